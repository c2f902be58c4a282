"""A machine that has the program and what a rebuilder published, and no ledger, index or network of the first one."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.command import Installation
from tests.fakes.loopback_index import LoopbackIndex, serving
from tests.fakes.projects import EPOCH, Distribution, build, make_sdist, minibackend_wheel
from tests.fakes.registry import Registry
from tests.fakes.second_machine import SITE, SecondMachine, second_machine
from tests.fakes.web_server import served

NOWHERE = "http://127.0.0.1:9/simple/"


@dataclass(frozen=True)
class Published:
    """What was verified and published once; the registry it came from is gone."""

    site: Path
    earlier: Path
    """The site before the last report."""
    forked: Path
    """Another site of the same keys that goes on from the earlier one."""
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
        "another": make_sdist("another", "1.0"),
    }
    wheels = {
        "one": build(sdists["one"], epoch=EPOCH),
        "three": build(sdists["three"]),
        "other": build(make_sdist("other", "1.0", {"other/__init__.py": "changed = True\n"}), epoch=EPOCH),
        "another": build(sdists["another"], epoch=EPOCH),
    }
    with Registry() as registry:
        registry.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        registry.publish(*sdists.values(), *wheels.values())
        here = Installation.make(root / "here", environments_root, registry.url)
        verified = here.verify("pypi:one==1.0", "pypi:three==1.0")
        shutil.copytree(here.site, root / "earlier")
        shutil.copytree(here.root, root / "there", symlinks=True)
        last = here.verify("pypi:other==1.0")
        Installation(root / "there", registry.url).verify("pypi:another==1.0")
        shutil.move(root / "there" / "site", root / "forked")
        verified.lines.extend(last.lines)
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
    shutil.rmtree(root / "there")
    return Published(root / "site", root / "earlier", root / "forked", root / "capsule.tar", moved, wheels)


def test_the_drill(tmp_path: Path, published: Published) -> None:
    """Another user, an empty home, nothing of the first machine: all that a stranger is promised, step by step."""
    machine, wheels = second_machine(tmp_path / "home"), published.wheels
    site = shutil.copytree(published.site, tmp_path / "site")
    shutil.unpack_archive(published.capsule, site / "capsule", "tar")
    assert machine.run(site, "ls", str(site))[0] != 0, "the first machine can be seen"
    assert machine.run(site, "id", "-u") == (0, "4242\n")

    # It checks a lock file.
    lock = machine.home / "requirements.txt"
    lock.write_text("".join(f"{name}==1.0 --hash=sha256:{wheels[name].sha256}\n" for name in ("one", "three")))
    checked = ("rebuilder", "check", "requirements.txt", "--offline", "--rebuilder", SITE)
    code, said = machine.run(site, *checked)
    assert (code, "2 of 2 are confirmed (1 by the build alone, 1 with recorded values" in said) == (0, True), said
    with lock.open("a") as file:
        file.write(f"other==1.0 --hash=sha256:{wheels['other'].sha256}\n")
    code, said = machine.run(site, *checked)
    assert (code, "1 differ" in said) == (1, True), said

    # A wheel with a file more than the one that was confirmed is not installed, and the others are.
    refuses_a_doctored_wheel(machine, site, published)

    # A report comes out again, from a capsule and without a network.
    pages = [f"{SITE}/{each.relative_to(published.site)}/report.json" for each in published.reports.values()]
    code, said = machine.run(site, "rebuilder", "replay", "--json", *pages)
    lines = {line["purl"]: line for line in map(json.loads, filter(lambda each: each[:1] == "{", said.splitlines()))}
    assert (code, {each["outcome"] for each in lines.values()}) == (0, {"agrees"}), said
    for name in ("one", "three"):
        assert wheels[name].sha256 == lines[f"pkg:pypi/{name}@1.0"]["found"]
    other = lines["pkg:pypi/other@1.0"]
    assert ("differs", other["expected"]) == (other["verdict"], other["found"])
    assert wheels["other"].sha256 != other["found"]

    # A log that was cut and one that was forked are found, by who checks and by who audits.
    verified = ("rebuilder", "log", "verify", SITE, "--statements")
    assert machine.run(site, *verified)[0] == 0
    for other_site, word in ((published.earlier, "cut"), (published.forked, "forked")):
        for command in (checked, verified):
            code, said = machine.run(other_site, *command)
            assert (code, word in said) == (1, True), said
    assert machine.run(site, *verified)[0] == 0


def refuses_a_doctored_wheel(machine: SecondMachine, site: Path, published: Published) -> None:
    """Through the proxy, with pip: an index has other bytes for one of the confirmed wheels."""
    one, three = (published.wheels[name] for name in ("one", "three"))
    doctored = io.BytesIO(one.data)
    with zipfile.ZipFile(doctored, "a") as archive:
        archive.writestr("one_init.pth", "import os; os.system('echo planted')\n")
    (machine.home / "policy.toml").write_text(f'[[rebuilders]]\nplace = "{SITE}"\n')
    index = LoopbackIndex({one.filename: doctored.getvalue(), three.filename: three.data})
    with serving(index):
        proxy = ("rebuilder", "proxy", "--policy", "policy.toml", "--listen", "127.0.0.1:0", "--index-url", index.url)
        with machine.serving(site, *proxy) as running:
            assert running.stdout is not None
            [address] = re.findall(r"http://[\d.:]+", next(line for line in running.stdout if "http://" in line))[:1]
            pip = (sys.executable, "-m", "pip", "install", "--no-cache-dir", "--no-deps", "--target", "installed")
            asked = (*pip, "--index-url", f"{address}/simple")
            code, said = machine.run(site, *asked, "one==1.0", network=True)
            assert code != 0
            assert f"{one.filename} does not pass (undecided)" in " ".join(said.split()), said
            code, said = machine.run(site, *asked, "three==1.0", network=True)
            assert code == 0, said
    assert index.fetched == [three.filename]
    assert [each.name for each in (machine.home / "installed").glob("*.pth")] == []


def test_a_capsule_is_enough(tmp_path: Path, published: Published) -> None:
    """Without the site, in words: who signed, when it was logged, and that the same bytes came out."""
    done = Installation(tmp_path, NOWHERE).offline("replay", "--capsule", published.capsule)
    assert 0 == done.returncode, done.stderr
    assert 3 == done.stdout.count("agreement: It came out as ")
    assert 2 == done.stdout.count("which is the published file")
    assert 3 == done.stdout.count(" and logged 20")
    assert 3 == done.stdout.count("vouches for that key")


def test_what_is_missing_is_named(tmp_path: Path, published: Published) -> None:
    """The site alone, without a network: the environment, the source archive and the backend, each with the reason."""
    done = Installation(tmp_path, NOWHERE).offline("replay", "--json", published.reports["one"] / "report.json")
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
    assert "cannot be a build environment" in answer.words
