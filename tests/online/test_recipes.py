"""The recipes that are shipped, with the bytes that they name.

Repositories and published files are fetched from where the recipes say. ``REBUILDER_TEST_COPIES`` may name a directory
with copies of the repositories, such as ``github.com/git/git`` below it, for a machine that reaches no forge.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rebuilder.ecosystems.generic.recipe import Recipe, parse_recipe
from rebuilder.model.definition import BuildDefinition
from rebuilder.store.blobs import DiskBlobs

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "schedules" / "examples"
BIN = Path(sys.executable).parent
COPIES = Path(os.environ.get("REBUILDER_TEST_COPIES", "/nonexistent"))
PAGES = "https://raw.githubusercontent.com/gitster/git-manpages/"


def from_debian(path: str, into: Path) -> bytes:
    """A file of the archive that apt is set to use, fetched by apt."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    repositories = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    url = next(each for each in repositories if each.rstrip("/").endswith("/debian")).rstrip("/") + f"/{path}"
    subprocess.run(["/usr/lib/apt/apt-helper", "download-file", url, into / "file"], check=True)
    return (into / "file").read_bytes()


class Station:
    """A store with the environments of this checkout, and a settings file."""

    def __init__(self, place: Path, environments: Path) -> None:
        self.place = place
        self.store = place / "store"
        for directory in ("trees", "current"):
            (self.store / "toolchains" / directory).mkdir(parents=True)
            for each in (environments / directory).iterdir():
                (self.store / "toolchains" / directory / each.name).symlink_to(each.resolve())
        self.blobs = DiskBlobs(self.store / "blobs")
        self.settings = place / "rebuilder.toml"

    def verified(self, name: str) -> tuple[Recipe, dict[str, dict[str, Any]]]:
        """The recipe, and what is said of each of its targets."""
        path = EXAMPLES / f"{name}.toml"
        recipe = parse_recipe(path, path.read_text())
        settings = re.findall(r"^# ((?:\[environments\.|\w+ = ).*)", path.read_text(), re.MULTILINE)
        if (repository := recipe.source.repository) is not None:
            copy = COPIES / repository.removeprefix("https://")
            if copy.is_dir():
                settings += ["[sources.mirrors]", f'"{repository}" = "{copy}"']
        self.settings.write_text("\n".join(settings))
        command: list[str | Path] = [BIN / "rebuilder", "verify", "--json", "--store", self.store]
        command += ["--keys", self.place / "keys", f"generic:{path}"]
        environment = os.environ | {"REBUILDER_CONFIG": str(self.settings)}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=environment)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert 0 == done.returncode, lines
        return recipe, {line["subject"]["filename"]: line for line in lines}


@pytest.fixture
def station(tmp_path: Path, environments_root: Path) -> Station:
    """One for each test."""
    return Station(tmp_path, environments_root)


def reproduced(recipe: Recipe, lines: dict[str, dict[str, Any]]) -> None:
    """Every target came out bit for bit."""
    found = {name: (line["verdict"], line["rebuilt"]["sha256"]) for name, line in lines.items()}
    assert {each.filename: ("reproduced", each.sha256) for each in recipe.targets} == found


def test_the_text_of_a_licence(station: Station, tmp_path: Path) -> None:
    """Both files are in Debian's archive byte for byte; what is stored by its digest is not fetched again."""
    station.blobs.put(from_debian("pool/main/h/hello/hello_2.10.orig.tar.gz", tmp_path))
    station.blobs.put(Path("/usr/share/common-licenses/GPL-3").read_bytes())
    reproduced(*station.verified("gnu-gpl"))


def test_the_archive_of_a_tag(station: Station, tmp_path: Path) -> None:
    """The published archive is Debian's too; it is made again of the commit."""
    station.blobs.put(from_debian("pool/main/p/password-store/password-store_1.7.4.orig.tar.xz", tmp_path))
    reproduced(*station.verified("password-store"))


def test_manual_pages(station: Station) -> None:
    """Made in a configured environment, which is made here: no catalog of XML is there before scripts have run."""
    copy = COPIES / "github.com/gitster/git-manpages"
    if copy.is_dir():
        text = (EXAMPLES / "git-manual.toml").read_text()
        for commit, path in re.findall(rf"{re.escape(PAGES)}([0-9a-f]{{40}})/([\w./-]+)", text):
            show = ["git", "--git-dir", str(copy), "show", f"{commit}:{path}"]
            station.blobs.put(subprocess.run(show, capture_output=True, check=True).stdout)
    recipe, lines = station.verified("git-manual")
    reproduced(recipe, lines)
    documents = [each for line in lines.values() for each in Path(line["report"]).parent.glob("definition-*.json")]
    definitions = [BuildDefinition.from_slsa(json.loads(each.read_bytes())) for each in documents]
    assert ["asciidoc"] * len(recipe.targets) == [each.toolchain.name for each in definitions]
