"""Debian packages built again offline: from a signed archive on loopback, in a configured build environment."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rebuilder.environments.protocol import Environments
from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.environment import Package
from rebuilder.replay.capsule import Capsule
from rebuilder.signing.envelope import statement_of
from rebuilder.signing.vocabulary import VERDICT_TYPE
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.command import Answer, Installation
from tests.fakes.debian_archive import Archive, served_archive
from tests.fakes.debian_sources import CONTROL, ENTRY, PROGRAM, RULES, Builder, source_package
from tests.fakes.environments import linked
from tests.integration.test_debian_verify import DebianInstallation


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive that has nothing yet."""
    with served_archive(tmp_path / "archive") as archive:
        archive.use("trixie")
        yield archive


@pytest.fixture
def machine(tmp_path: Path, environments_root: Path, archive: Archive) -> DebianInstallation:
    """A machine that asks that archive."""
    apt = tmp_path / "apt.conf"
    apt.write_text(f'Dir::Etc "{archive.etc_apt}";\nDir::State::lists "{tmp_path}/lists";\n')
    return installed(tmp_path / "machine", environments_root, apt)


def installed(root: Path, environments: Path, apt: Path) -> DebianInstallation:
    """A machine with the environments of all tests; what is made over them is its own."""
    own = linked(environments, root.with_name(f"environments-of-{root.name}"))
    made = Installation.make(root, own, "http://127.0.0.1:9/simple")
    return DebianInstallation(made.root, made.index_url, apt)


@pytest.fixture
def builder(environments: EnvironmentStore, tmp_path: Path) -> Builder:
    """A builder of the archive."""
    (tmp_path / "source").mkdir()
    return Builder(environments, MemoryBlobs(), tmp_path / "scratch")


def line(answer: Answer, verdict: str) -> dict[str, Any]:
    """The line about the only package."""
    assert verdict == answer.line["verdict"], (answer.line, answer.words)
    return answer.line


def test_packages_of_one_source_come_out(
    machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path
) -> None:
    """For any machine, for one, and a binary-only upload with the entry of its builder; each bit for bit."""
    dsc = source_package(tmp_path / "source")
    entry = ENTRY.format(archive.architecture)
    [common], [tiny], [rebuilt] = builder.build(dsc, "-A"), builder.build(dsc, "-B"), builder.build(dsc, "-B", entry)
    for each in (common, tiny, rebuilt):
        archive.list_package(each)
    archive.list_source(dsc)
    found = line(machine.verify("deb:tiny-common==1.0"), "reproduced")
    assert ([], 1) == (found["replayed"], found["attempts"])
    line(machine.verify(f"deb:tiny==1.0/{archive.architecture}"), "reproduced")
    found = line(machine.verify("deb:tiny==1.0+b1"), "reproduced")
    assert ["binary-only-date", "binary-only-form", "binary-only-maintainer", "binary-only-reason"] == [
        each["name"] for each in found["replayed"]
    ]
    assert 0 < found["replayed_bits"] < 96
    report = json.loads(Path(found["report"]).with_name("report.json").read_text())
    assert "Rebuild against another libc." in json.dumps(report)
    page = Path(found["report"]).read_text()
    assert "Rebuild against another libc." in page
    assert "tiny_1.0.dsc" in page


def test_files_that_tests_write(
    machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path
) -> None:
    """The builder ran them, and the package has what they left: so does ours, once they are run."""
    run = 'build-indep:\n\tcase "$$DEB_BUILD_OPTIONS" in *nocheck*) ;; *) echo passed >debian/passed;; esac\n'
    ship = "\tcp debian/passed debian/tiny-common/usr/share/tiny || true\n"
    rules = RULES.replace("build-indep:\n", run, 1).replace(_WHERE, ship + _WHERE)
    dsc = source_package(tmp_path / "source", {"debian/rules": rules})
    [common] = builder.build(dsc, "-A")
    archive.list_package(common)
    archive.list_source(dsc)
    found = line(machine.verify("deb:tiny-common==1.0"), "reproduced")
    assert ([("tests", 1)], 2) == ([(each["name"], each["bits"]) for each in found["replayed"]], found["attempts"])


def test_buildinfo_that_was_given(
    machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path
) -> None:
    """It is followed first, which is listed; one that is about something else blames nobody, and changes nothing."""
    dsc, place = source_package(tmp_path / "source"), "/build/tiny-Ab12Cd"
    [common] = builder.build(dsc, "-A", directory=place)
    archive.list_package(common)
    archive.list_source(dsc)
    digest, size = hashlib.sha256(common.read_bytes()).hexdigest(), common.stat().st_size
    described = tmp_path / "tiny_1.0_all.buildinfo"
    said = {"Source": "tiny", "Version": "1.0", "Architecture": "all", "Build-Architecture": archive.architecture}
    said |= {"Installed-Build-Depends": "base-files (= {})", "Build-Path": f"{place}/tiny-1.0", "Checksums-Sha256": ""}
    text = "".join(f"{name}: {value}\n" for name, value in said.items()) + f" {digest} {size} {common.name}\n"
    installed = {each.name: each.version for each in packages_of(builder.environments)}
    described.write_text(text.format(installed["base-files"]))
    found = line(machine.verify(described), "reproduced")
    assert (["build-path"], 1) == ([each["name"] for each in found["replayed"]], found["attempts"])
    page = Path(found["report"])
    assert (page.with_name("buildinfo-given.txt").read_bytes(), True) == (
        described.read_bytes(),
        page.with_name("buildinfo-1.txt").is_file(),
    )
    described.write_text(text.format("0.0"))  # nobody has that version: the path alone is followed
    found = line(machine.verify(described), "reproduced")
    assert ["build-path"] == [each["name"] for each in found["replayed"]]


def packages_of(environments: Environments) -> Sequence[Package]:
    """What is installed in the environment of a builder."""
    specification = environments.get("trixie-build").specification
    assert specification is not None
    return specification.packages


_WHERE = "\tpwd >debian/tiny-common/usr/share/tiny/where\n"
TOLD = RULES.replace(_WHERE, "\tcp /usr/share/tool/* debian/tiny-common/usr/share/tiny\n")
FORGED = RULES.replace(_WHERE, "\tcd debian/tiny-common/usr/share/tiny; echo forged >text; echo 1.2.3 >version\n")
"""What the source says, and what its publisher did instead."""


def tool(archive: Archive, text: str, version: str) -> Path:
    """Have the archive list a tool that copies itself into what is built with it."""
    files = {"usr/share/tool/text": f"{text}\n", "usr/share/tool/version": f"{version}\n"}
    return archive.add("tool", files, {}, version=f"{version}-1")


def test_package_made_for_the_purpose_is_no_proof(
    machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path
) -> None:
    """Who publishes a file and serves the pool can make it come out: a verdict of its own, which passes nothing."""
    control = CONTROL.replace("Build-Depends: dpkg-dev", "Build-Depends: dpkg-dev, tool")
    dsc = source_package(tmp_path / "source", {"debian/rules": TOLD, "debian/control": control})
    (tmp_path / "evil").mkdir()
    [evil] = builder.build(source_package(tmp_path / "evil", {"debian/rules": FORGED}), "-A")
    made = tool(archive, "forged", "1.2.3")
    archive.drop()
    tool(archive, "honest", "1.2.4")
    archive.list_package(evil)
    archive.list_source(dsc)
    answer = machine.verify("deb:tiny-common==1.0")
    found, digest = line(answer, "unauthenticated"), hashlib.sha256(made.read_bytes()).hexdigest()
    assert (3, True) == (answer.code, f"tool 1.2.3-1 (pool, SHA-256 {digest})" in found["sentence"])
    page = Path(found["report"])
    statement = statement_of(page.with_name("verdict.dsse.json").read_text())
    predicate = statement["predicate"]
    assert (VERDICT_TYPE, "REBUILDER_UNAUTHENTICATED") == (statement["predicateType"], predicate["level"])
    assert not {"verificationResult", "verifiedLevels"} & predicate.keys()
    [named] = predicate["attempts"][predicate["decidedBy"]]["unauthenticated"]
    assert ("tool", digest, "pool") == (named["name"], named["sha256"], named["origin"])
    archive.list_package(made)
    line(machine.verify("deb:tiny-common==1.0"), "reproduced")  # the archive signs that very package now


def test_stopped_verification_whose_environment_is_gone(
    machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path
) -> None:
    """It is begun anew, with the environment of today: nobody's fault."""
    control = CONTROL.replace("Build-Depends: dpkg-dev", "Build-Depends: dpkg-dev, tool")
    dsc = source_package(tmp_path / "source", {"debian/rules": TOLD, "debian/control": control})
    (tmp_path / "evil").mkdir()
    [evil] = builder.build(source_package(tmp_path / "evil", {"debian/rules": FORGED}), "-A")
    tool(archive, "honest", "9.2.4")
    archive.list_package(evil)
    archive.list_source(dsc)
    machine.killed_at("deb:tiny-common==1.0", "diffoscope")
    tool(archive, "honest", "9.2.5")
    for each in (machine.store / "toolchains/trees").iterdir():
        if not each.is_symlink():
            shutil.rmtree(each)
    found = line(machine.verify("deb:tiny-common==1.0"), "differs")
    report = json.loads(Path(found["report"]).with_name("report.json").read_text())
    used = {each["hypothesis"]["definition"]["toolchain"]["sha256"] for each in report["attempts"]}
    assert {each.name for each in (machine.store / "toolchains/trees").iterdir() if not each.is_symlink()} == used


def test_replay_on_a_machine_that_has_only_the_base(
    machine: DebianInstallation, archive: Archive, builder: Builder, environments_root: Path, tmp_path: Path
) -> None:
    """What lies over it is fetched and installed again; a package that is gone from everywhere is named."""
    control = CONTROL.replace("Build-Depends: dpkg-dev", "Build-Depends: dpkg-dev, tool")
    dsc = source_package(tmp_path / "source", {"debian/control": control})
    (tmp_path / "theirs").mkdir()
    [common] = builder.build(source_package(tmp_path / "theirs"), "-A")
    made = tool(archive, "honest", "9.2.4")
    archive.list_package(common)
    archive.list_source(dsc)
    page = Path(line(machine.verify("deb:tiny-common==1.0"), "reproduced")["report"]).parent
    assert machine.apt is not None
    given = "--inputs", archive.root / "debian/pool"
    answer = installed(tmp_path / "other", environments_root, machine.apt).run("replay", "--json", page, *given)
    assert (0, "agrees") == (answer.code, answer.line["outcome"]), answer.words
    made.unlink()
    answer = installed(tmp_path / "late", environments_root, machine.apt).run("replay", "--json", page, *given)
    assert (3, "not-replayed") == (answer.code, answer.line["outcome"]), answer.words
    assert "tool 9.2.4-1 (SHA-256" in answer.line["missing"][0]["reason"]


def test_capsule_replayed_without_network_and_environments(
    machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path
) -> None:
    """Two reports in one capsule: base and layers, sources, and a package that nobody signed; each byte once."""
    control = CONTROL.replace("Build-Depends: dpkg-dev", "Build-Depends: dpkg-dev, tool")
    dsc = source_package(tmp_path / "source", {"debian/rules": TOLD, "debian/control": control})
    (tmp_path / "evil").mkdir()
    theirs = source_package(tmp_path / "evil", {"debian/rules": FORGED})
    [evil], [tiny] = builder.build(theirs, "-A"), builder.build(theirs, "-B")
    tool(archive, "forged", "1.2.3")
    archive.drop()
    tool(archive, "honest", "1.2.4")
    for each in (evil, tiny):
        archive.list_package(each)
    archive.list_source(dsc)
    found = [
        line(machine.verify("deb:tiny-common==1.0"), "unauthenticated"),
        line(machine.verify("deb:tiny==1.0"), "reproduced"),
    ]
    capsule = tmp_path / "capsule.tar"
    answer = machine.run("export", "--capsule", *(Path(each["report"]).parent for each in found), "--output", capsule)
    assert 0 == answer.code, answer.words
    with Capsule.open(capsule) as opened:
        base = builder.environments.get("trixie-build").sha256
        assert (2, 3, True) == (len(opened.manifests), len(opened.environments), base in opened.environments)
    shutil.rmtree(machine.root)
    (tmp_path / "empty").mkdir()
    other = Installation.make(tmp_path / "other", tmp_path / "empty", machine.index_url)
    done = other.offline("replay", "--json", "--capsule", capsule)
    lines = [json.loads(each) for each in done.stdout.splitlines()]
    assert (0, ["agrees", "agrees"]) == (done.returncode, [each["outcome"] for each in lines]), done.stderr
    expected = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in (evil, tiny)}
    assert expected == {each["filename"]: each["found"] for each in lines}


def test_planted_difference(machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path) -> None:
    """What the archive publishes does other things than the source that it signs: told by file and section."""
    dsc = source_package(tmp_path / "source")
    (tmp_path / "evil").mkdir()
    changes = {"tiny.c": PROGRAM.replace("return", 'puts("something evil"); return')}
    [evil] = builder.build(source_package(tmp_path / "evil", changes), "-B")
    archive.list_package(evil)
    archive.list_source(dsc)
    found = line(machine.verify("deb:tiny==1.0"), "differs")
    assert "data.tar/usr/bin/tiny" in found["sentence"]
    assert "stable" == found["kind"]


def test_source_that_does_not_build(
    machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path
) -> None:
    """Nothing is claimed about the package; the page has the log."""
    [tiny] = builder.build(source_package(tmp_path / "source"), "-B")
    (tmp_path / "broken").mkdir()
    archive.list_package(tiny)
    archive.list_source(source_package(tmp_path / "broken", {"tiny.c": "#error broken\n"}))
    found = line(machine.verify("deb:tiny==1.0"), "build-failed")
    assert "exit code" in found["sentence"]


def test_build_dependency_that_nobody_has(
    machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path
) -> None:
    """Named; nothing is built."""
    [tiny] = builder.build(source_package(tmp_path / "source"), "-B")
    archive.list_package(tiny)
    archive.list_source(dsc := tmp_path / "source/tiny_1.0.dsc")
    (archive.root / "debian/pool" / dsc.name).unlink()
    archive._sources = archive._sources.replace("Build-Depends: dpkg-dev", "Build-Depends: dpkg-dev, libnothing-dev")
    archive._index()
    found = line(machine.verify("deb:tiny==1.0"), "inputs-missing")
    assert "libnothing-dev" in found["sentence"]


_PLACES = "/ /usr/bin /etc /inputs /inputs/source /tools /proc/1 /sys /var /var/lib/dpkg /dev"
_HARM = {
    "network": ('bash -c "exec 3<>/dev/tcp/{}" && echo reached; exit 8', "build-failed", "exit code"),
    "forks": ("bash -c ':() { : | : & }; :; sleep 100'", "timed-out", "on processes"),
    "disk": ("cat /dev/zero >zeros; rm zeros; cat /dev/zero >/tmp/zeros", "timed-out", "on file size"),
    "outside": (
        f"for at in {_PLACES}; do echo >$$at/x && echo reached; done; echo >>/inputs/source/tiny_1.0.dsc || exit 8",
        "build-failed",
        "exit code",
    ),
}
"""What a source does instead of being built, the verdict, and words of the sentence."""


def test_sources_that_do_harm(machine: DebianInstallation, archive: Archive, builder: Builder, tmp_path: Path) -> None:
    """Each ends in its verdict and one sentence, and reaches and leaves nothing; the store is as good as before."""
    daemons = "\tsetsid sh -c 'trap \"\" TERM HUP; while :; do sleep 9; done' & setsid sleep 999 >/dev/null 2>&1 &\n"
    good = source_package(tmp_path / "source", {"debian/rules": RULES.replace(_WHERE, daemons + _WHERE)})
    [common] = builder.build(good, "-A")
    (machine.root / "limits.toml").write_text("[limits]\nfile_bytes = 33554432\nprocesses = 100\n")
    settings = ("--config", machine.root / "limits.toml")
    for name, (harm, verdict, words) in _HARM.items():
        (tmp_path / name).mkdir()
        command = "\t" + harm.replace("{}", archive.uri.split("/")[2].replace(":", "/")) + "\n"
        archive.drop()
        archive.list_package(common)
        archive.list_source(source_package(tmp_path / name, {"debian/rules": RULES.replace(_WHERE, command)}))
        answer = machine.run("verify", "--json", *settings, "deb:tiny-common==1.0")
        found = line(answer, verdict)
        assert (3, True) == (answer.code, words in found["sentence"]), found["sentence"]
        assert "| reached" not in Path(found["report"]).with_name("log-1.txt").read_text()
    archive.drop()
    archive.list_package(common)
    archive.list_source(good)
    line(machine.run("verify", "--json", *settings, "deb:tiny-common==1.0"), "reproduced")
    assert [] == [each for each in machine.store.rglob("*") if each.name.startswith((".draft", "given@"))]
