"""Our own container image: the same bytes however its files lie on the disk; its digests and its record are right."""

from __future__ import annotations

import json
import os
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from rebuilder.model.environment import Package, Specification
from rebuilder.model.value import Sha256, canonical_json, sha256_hex
from rebuilder.programs.image.unpack_image import unpack
from tools.image_archive import RECORD, differences, members, recipe, record, write_archive, write_layer

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MADE_FROM = Specification(
    method="configured",
    suite="trixie",
    packages=(Package(name="dash", version="0.5.12-12", architecture="amd64", sha256=Sha256("0" * 64)),),
    recipe=2,
)
FILES = {
    "bin/sh": (b"#!shell\n", 0o755),
    "bin/other": (b"x" * 70_000, 0o711),
    "etc/text": ("ä".encode(), 0o600),
    f"etc/{'long' * 50}": (b"", 0o640),
    "home/here/file": (b"1", 0o644),
    "tmp/.keep": (b"", 0o644),
    RECORD: (canonical_json(MADE_FROM.document()), 0o644),
}


def made(
    place: Path,
    *,
    backwards: bool = False,
    umask: int = 0o022,
    time: int = 1,
    more: Mapping[str, bytes] = {},
    user: str = "here",
) -> Path:
    """An archive of two layers of one tree, written under these circumstances."""
    before = os.umask(umask)
    try:
        root = place / "root"
        files = {**FILES, **{name: (content, 0o644) for name, content in more.items()}}
        for name in sorted(files, reverse=backwards):
            content, mode = files[name]
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
            (root / name).chmod(mode & ~umask)
        (root / "link").symlink_to("etc/text")
        for each in root.rglob("*"):
            os.utime(each, (time, time), follow_symlinks=False)
        layers = [place / "one", place / "two"]
        for layer, home in zip(layers, (None, "home/here"), strict=True):
            write_layer(layer, root, 1_000_000_000, home)
        config = {"User": user, "Env": ["A=b"]}
        digest = write_archive(place / "image.tar", layers, config, 1_000_000_000)
    finally:
        os.umask(before)
    with tarfile.open(place / "image.tar") as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        assert digest == json.load(index)["manifests"][0]["digest"]
    return place / "image.tar"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One as usual."""
    (tmp_path / "usual").mkdir()
    return made(tmp_path / "usual")


def test_same_bytes_whatever_the_order_umask_and_times(tmp_path: Path, archive: Path) -> None:
    """Files made in another order, under another umask and at another time give the same archive."""
    again = made(tmp_path, backwards=True, umask=0o077, time=1_700_000_001)
    assert sha256_hex(archive.read_bytes()) == sha256_hex(again.read_bytes())


def test_what_differs_is_named(tmp_path: Path, archive: Path) -> None:
    """Another file, and a changed one, are named with their layer; equal images differ in their form at most."""
    other = made(tmp_path, more={"more": b"", "bin/sh": b"another"}, user="there")
    told = ["the configuration in config", "layer 1 in bin/sh, more", "layer 2 in bin/sh, more"]
    assert told == differences(archive, other)
    assert ["the form of the archive"] == differences(archive, archive)


def test_read_as_any_image(tmp_path: Path, archive: Path) -> None:
    """The reader of strangers' images finds every digest right, and the tree; ours finds the packages."""
    out = tmp_path / "out"
    (out / "root").mkdir(parents=True)
    with archive.open("rb") as source:
        told = unpack(source, str(out), MACHINE, ["tmp"])
    with tarfile.open(archive) as opened:
        names = [each.name for each in opened]
        assert f"blobs/sha256/{told['sha256']}" in names
        blobs = {each: opened.extractfile(each).read() for each in names if "/" in each}  # type: ignore[union-attr]
    assert [each.rpartition("/")[2] for each in blobs] == [sha256_hex(each) for each in blobs.values()]
    assert {"A": "b"} == told["variables"]
    assert b"x" * 70_000 == (out / "root/bin/other").read_bytes()
    assert canonical_json(MADE_FROM.document()) == record(archive)
    _, *layers = members(archive)
    assert ["0:0", "1000:1000"] == [layer["home/here"].split()[2] for layer in layers]
    assert ["1777", "1777"] == [layer["tmp"].split()[1] for layer in layers]


def test_made_of_the_dockerfile() -> None:
    """The recipe is what the Dockerfile says, so that there is no second place to say it."""
    said = recipe(DOCKERFILE.read_text())
    assert "trixie" == said.suite
    assert {"python3", "git", "bubblewrap", "mmdebstrap", "ca-certificates"} <= set(said.packages)
    assert not [each for each in said.packages if each.startswith("-") or "/" in each]
    assert ("rebuilder", ["rebuilder"], ["doctor"]) == (
        said.config["User"],
        said.config["Entrypoint"],
        said.config["Cmd"],
    )
    assert "PATH=/opt/rebuilder/bin:/usr/bin:/bin" in said.config["Env"]
    assert {"/var/lib/rebuilder": {}} == said.config["Volumes"]
