"""Published reports run again on a machine that has nothing: no ledger, no index, no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fakes.command import Installation
from tests.fakes.projects import Distribution, build, make_sdist, minibackend_wheel
from tests.fakes.registry import Registry

EPOCH = int(datetime(2024, 5, 5, 5, 5, 4, tzinfo=UTC).timestamp())
UPLOADED = datetime(2024, 6, 1, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9/simple/"


@dataclass(frozen=True)
class Published:
    """What was verified and published once; the registry it came from is gone."""

    site: Path
    capsule: Path
    reports: dict[str, Path]
    """Directory of a report by its project."""
    wheels: dict[str, Distribution]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, environments_root: Path) -> Published:
    """A wheel that comes out as it is, one into which times were written, and one that differs; in one capsule."""
    root = tmp_path_factory.mktemp("published")
    sdists = {
        "one": make_sdist("one", "1.0"),
        "three": make_sdist("three", "1.0", tool="[tool.minibackend]\nnow = true\n"),
        "other": make_sdist("other", "1.0"),
    }
    wheels = {
        "one": build(sdists["one"], epoch=EPOCH),
        "three": build(sdists["three"]),
        "other": build(make_sdist("other", "1.0", {"other/__init__.py": "changed = True\n"}), epoch=EPOCH),
    }
    with Registry() as registry:
        registry.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        for each in (*sdists.values(), *wheels.values()):
            registry.add(each, uploaded=UPLOADED)
        here = Installation.make(root / "here", environments_root, registry.url)
        verified = here.verify(*(f"pypi:{name}==1.0" for name in wheels))
        lines = {Path(each["report"]).parents[3].name: each for each in verified.lines}
    assert {"one": "reproduced", "three": "reproduced", "other": "differs"} == {
        name: each["verdict"] for name, each in lines.items()
    }, verified.words
    reports = {name: Path(each["report"]).parent for name, each in lines.items()}
    answer = here.run("export", "--capsule", *reports.values(), "--output", root / "capsule.tar")
    assert 0 == answer.code, answer.words
    shutil.copytree(here.site, root / "site")
    moved = {name: root / "site" / each.relative_to(here.site) for name, each in reports.items()}
    shutil.rmtree(here.root)
    return Published(root / "site", root / "capsule.tar", moved, wheels)


@contextmanager
def served(site: Path) -> Iterator[str]:
    """A site on a web server of this machine; gives its address."""
    handler = partial(QuietHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


def offline(installation: Installation, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command on a machine without any network, not even a loopback interface that is up."""
    user = [] if os.geteuid() == 0 else ["--map-current-user"]
    command = ["unshare", "--net", *user, *installation.command(*arguments)]
    environment = installation.environment
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=300)


def test_another_machine_gives_the_published_bytes(tmp_path: Path, published: Published) -> None:
    """From the site and a capsule alone: an empty store, an empty home, no network; each as it was then."""
    there = Installation(tmp_path, NOWHERE)
    done = offline(there, "replay", "--json", "--capsule", published.capsule, *published.reports.values())
    assert 0 == done.returncode, done.stderr
    lines = {line["purl"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert {"agrees"} == {each["outcome"] for each in lines.values()}
    for name in ("one", "three"):
        assert published.wheels[name].sha256 == lines[f"pkg:pypi/{name}@1.0"]["found"]
    other = lines["pkg:pypi/other@1.0"]
    assert ("differs", other["expected"]) == (other["verdict"], other["found"])
    assert published.wheels["other"].sha256 != other["found"]
    assert not (there.store / "ledger.sqlite").exists()


def test_a_capsule_is_enough(tmp_path: Path, published: Published) -> None:
    """Without the site, in words: who signed, when it was logged, and that the same bytes came out."""
    done = offline(Installation(tmp_path, NOWHERE), "replay", "--capsule", published.capsule)
    assert 0 == done.returncode, done.stderr
    assert 3 == done.stdout.count("agreement: It came out as ")
    assert 2 == done.stdout.count("which is the published file")
    assert 3 == done.stdout.count(" and logged 20")
    assert 3 == done.stdout.count("vouches for that key")


def test_what_is_missing_is_named(tmp_path: Path, published: Published) -> None:
    """The site alone, without a network: the environment, the source archive and the backend, each with the reason."""
    done = offline(Installation(tmp_path, NOWHERE), "replay", "--json", published.reports["one"] / "report.json")
    assert 3 == done.returncode, done.stderr
    answer = json.loads(done.stdout)
    assert "not-replayed" == answer["outcome"]
    missing = {each["what"]: each["reason"] for each in answer["missing"]}
    assert "one-1.0.tar.gz" in missing
    assert any(name.startswith("the build environment ") for name in missing)
    assert "pypi.pyz" not in " ".join(missing), "our own programs are those of this version"


def test_inputs_come_from_a_directory_too(tmp_path: Path, published: Published, environments_root: Path) -> None:
    """Inputs by their names below a directory, and the environment that is here."""
    there = Installation.make(tmp_path / "there", environments_root, NOWHERE)
    mirror = tmp_path / "mirror" / "packages"
    mirror.mkdir(parents=True)
    for each in (make_sdist("one", "1.0"), minibackend_wheel()):
        (mirror / each.filename).write_bytes(each.data)
    answer = there.run("replay", "--json", "--inputs", mirror.parent, published.reports["one"])
    assert (0, "agrees") == (answer.code, answer.line["outcome"]), answer.words
    (mirror / "one-1.0.tar.gz").write_bytes(b"other bytes")
    again = Installation.make(tmp_path / "again", environments_root, NOWHERE)
    answer = again.run("replay", "--json", "--inputs", mirror.parent, published.reports["one"])
    assert 3 == answer.code
    assert "has other bytes" in answer.line["missing"][0]["reason"]


def test_the_site_may_have_the_capsule(tmp_path: Path, published: Published) -> None:
    """A capsule in the directory `capsule` of the site is found; what is there already is not there twice."""
    site = tmp_path / "site"
    shutil.copytree(published.site, site)
    page = site / published.reports["one"].relative_to(published.site)
    first = Installation(tmp_path / "first", NOWHERE)
    assert 0 == first.run("replay", "--capsule", published.capsule, page).code
    exported = first.run("export", "--capsule", page, "--output", site / "capsule")
    assert 0 == exported.code, exported.words
    blobs = sorted((site / "capsule" / "blobs" / "sha256").iterdir())
    assert 0 == first.run("export", "--capsule", page, "--output", site / "capsule").code
    assert blobs == sorted((site / "capsule" / "blobs" / "sha256").iterdir())
    answer = Installation(tmp_path / "second", NOWHERE).run("replay", "--json", page)
    assert (0, "agrees") == (answer.code, answer.line["outcome"]), answer.words
    with served(site) as address:
        by_address = f"{address}/{page.relative_to(site)}/report.json"
        answer = Installation(tmp_path / "third", NOWHERE).run("replay", "--json", by_address)
    assert (0, "agrees") == (answer.code, answer.line["outcome"]), answer.words


def test_other_bytes_are_told(tmp_path: Path, published: Published, environments_root: Path) -> None:
    """A key that signed nothing here, a statement that was changed, and a report where nothing was built."""
    there = Installation.make(tmp_path / "there", environments_root, NOWHERE)
    page = tmp_path / "site" / published.reports["one"].relative_to(published.site)
    shutil.copytree(published.site, tmp_path / "site")
    key = tmp_path / "other.pem"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True).stdout
    key.write_bytes(public)
    answer = there.run("replay", "--key", key, page)
    assert 3 == answer.code
    assert "is not what was signed" in answer.words
    (page / "provenance.dsse.json").write_bytes((published.reports["three"] / "provenance.dsse.json").read_bytes())
    answer = there.run("replay", page)
    assert 3 == answer.code
    assert "names another provenance" in answer.words
    (page / "provenance.dsse.json").unlink()
    assert 2 == there.run("replay", page).code


def test_without_the_environment_it_does_not_run(tmp_path: Path, environments_root: Path) -> None:
    """The command says what is missing, and how to get it."""
    here = Installation.make(tmp_path / "here", environments_root, "http://127.0.0.1:9/simple/")
    answer = here.run("environments", "export", "0" * 64, tmp_path / "environment")
    assert (4, False) == (answer.code, (tmp_path / "environment").exists())
    assert "rebuilder environments export" in answer.words
    (tmp_path / "environment").write_text("no export, but as long as the first block of one has to be" * 20)
    answer = here.run("environments", "import", tmp_path / "environment")
    assert 2 == answer.code
    assert "is no export" in answer.words
