"""Debian packages from the command line: a signed archive on loopback, real sandbox programs, and lists."""

from __future__ import annotations

import lzma
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from rebuilder.cli import check
from rebuilder.consumer.lock_files.debian import read_packages
from rebuilder.ecosystems.unavailable_inputs import PATIENCE
from rebuilder.errors import ExitCode
from rebuilder.service.schedules.reading import read_file
from rebuilder.service.schedules.watch import Watch
from rebuilder.store.ledger.ledger import Ledger
from tests.fakes.archives import tar_bytes, tar_member
from tests.fakes.command import Answer, Installation
from tests.fakes.debian_archive import Archive, served_archive
from tests.fakes.debs import CONTROL, ar_bytes, ar_header, control_tar, data_tar
from tests.fakes.published import PublishedRebuilder, identical, of_debian
from tests.fakes.toy import WHEEL_WORDS


@dataclass(frozen=True)
class DebianInstallation(Installation):
    """An installation on a machine whose apt settings name one archive."""

    apt: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """See :class:`Installation`."""
        return super().environment | {"APT_CONFIG": str(self.apt)}


NOT_BUILT = "Build-Depends: ;\n"
"""Of a source package that nobody builds, which takes no time."""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive with one package, compressed as Debian's are, and the description of its source."""
    with served_archive(tmp_path / "archive") as archive:
        archive.use("trixie")
        archive.add("tiny", {"usr/bin/tiny": "#!/bin/sh\n"}, {}, compression="xz")
        archive.add_source("tiny", fields=NOT_BUILT)
        yield archive


@pytest.fixture
def machine(tmp_path: Path, environments_root: Path, archive: Archive) -> DebianInstallation:
    """A machine that asks that archive."""
    apt = tmp_path / "apt.conf"
    apt.write_text(f'Dir::Etc "{archive.etc_apt}";\nDir::State::lists "{tmp_path}/lists";\n')
    made = Installation.make(tmp_path / "machine", environments_root, "http://127.0.0.1:9/simple")
    return DebianInstallation(made.root, made.index_url, apt)


def not_built(answer: Answer) -> dict[str, Any]:
    """The line about a package that was bound and read, and is not built."""
    line = answer.line
    assert (3, True) == (answer.code, line["verdict"] in {"unsupported", "inputs-missing"}), answer.words
    return line


def test_package_by_each_of_its_names(machine: DebianInstallation, archive: Archive) -> None:
    """Name, package URL and file on disk are one package, pinned to the bytes that were signed; its page says so."""
    deb = archive.root / "debian/pool/tiny_1-1_all.deb"
    for subject in ("deb:tiny==1-1", "pkg:deb/debian/tiny@1-1?arch=all&distro=trixie", deb):
        line = not_built(machine.verify(subject))
        assert ("pkg:deb/debian/tiny@1-1", "tiny_1-1_all.deb") == (line["subject"]["purl"], line["subject"]["filename"])
        assert "The build dependencies of tiny 1-1 cannot be used" in line["sentence"]
        assert ([], []) == (line["alarms"], line["contradictions"])
    page = Path(line["report"]).read_text()
    assert archive.fingerprint in page
    assert "Debian source package" in page
    assert not WHEEL_WORDS.search(page)


def written(path: Path, *listed: Path, **fields: str) -> Path:
    """A document that lists files with their digests; as ``.changes`` and ``.buildinfo`` do."""
    plain = {"Source": "tiny", "Version": "1-1", "Architecture": "all", "Build-Architecture": "amd64"}
    rows = "".join(f" {sha256(each.read_bytes()).hexdigest()} {each.stat().st_size} {each.name}\n" for each in listed)
    plain |= {"Installed-Build-Depends": "base-files (= 13)"}
    head = "".join(f"{name}: {value}\n" for name, value in (plain | fields).items())
    path.write_text(f"{head}Checksums-Sha256:\n{rows}")
    return path


def test_documents_that_name_packages(machine: DebianInstallation, archive: Archive, tmp_path: Path) -> None:
    """``.buildinfo``, ``.changes`` and ``.dsc``: what they name is verified, and what they say of it is told."""
    deb = archive.root / "debian/pool/tiny_1-1_all.deb"
    described = written(tmp_path / "tiny_1-1_all.buildinfo", deb, **{"Build-Path": "/home/a/tiny-1"})
    changes = written(tmp_path / "tiny_1-1_all.changes", deb, described)
    digest = sha256(described.read_bytes()).hexdigest()
    for path in (described, changes, deb.with_name("tiny_1-1.dsc")):
        line = not_built(machine.verify(path))
        assert ("pkg:deb/debian/tiny@1-1", "tiny_1-1_all.deb") == (line["subject"]["purl"], line["subject"]["filename"])
        report = Path(line["report"]).with_name("report.json").read_text()
        assert f"file {path.name}" in report
        assert ("build path" in report) == (path is described)
        assert (digest in report) == (path.suffix != ".dsc")


def test_documents_of_other_files(machine: DebianInstallation, archive: Archive, tmp_path: Path) -> None:
    """A digest that the archive does not have is an alarm; what names nothing of the archive is said in a sentence."""
    pool = archive.root / "debian/pool"
    other = tmp_path / "tiny_1-1_all.deb"
    other.write_bytes(b"other")
    answer = machine.verify(written(tmp_path / "a.changes", other))
    assert ExitCode.DIFFERS == answer.code
    assert "ALARM" in answer.words
    dsc = tmp_path / "tiny_1-1.dsc"
    for text, said in (
        ((pool / "tiny_1-1.dsc").read_text().replace("tiny_1-1.tar.gz", "other_1-1.tar.gz"), "other files"),
        ("Source: tony\nVersion: 1-1\nBinary: tony\nChecksums-Sha256:\n", "no files"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nA: 1\n", "outside"),
        ("\0", "field"),
    ):
        dsc.write_text(text)
        answer = machine.verify(dsc)
        assert ExitCode.USAGE == answer.code
        assert said in answer.words
    source = written(tmp_path / "b.changes", pool / "tiny_1-1.dsc")
    assert "names no package" in machine.verify(source).words
    assert "no file" in machine.verify(tmp_path / "c.buildinfo").words


def _claiming_too_much(kind: str) -> bytes:
    """A package of which a part says that it has 8 GiB, or comes out as 256 MiB of nothing."""
    control = lzma.compress(control_tar({"control": CONTROL.replace(b"tiny", b"huge")}))
    parts = (("debian-binary", b"2.0\n"), ("control.tar.xz", control))
    if kind == "member":
        return ar_bytes(*parts) + ar_header("data.tar.xz", 8 << 30) + lzma.compress(data_tar())
    bomb = lzma.compress(tar_bytes((tar_member("./zeros"), bytes(256 << 20))), preset=0)
    return ar_bytes(*parts, ("data.tar.xz", bomb))


def test_packages_that_claim_too_much(machine: DebianInstallation, archive: Archive, tmp_path: Path) -> None:
    """Signed by the archive all the same: not read to their end, in one sentence; others are verified as before."""
    path = tmp_path / "huge_1-1_all.deb"
    for kind, said in (("member", "cut short inside “data.tar.xz”"), ("bomb", "a bomb?")):
        path.write_bytes(_claiming_too_much(kind))
        archive.drop()
        archive.list_package(path)
        archive.add_source("huge")
        answer = machine.verify(path)
        assert (3, "unsupported") == (answer.code, answer.line["verdict"]), answer.words
        assert said in answer.line["sentence"]
    os.truncate(path, 1 << 40)
    answer = machine.verify(path)
    assert (ExitCode.USAGE, True) == (answer.code, "1,099,511,627,776 bytes" in answer.words)


def test_documents_of_a_hundred_thousand_packages(
    machine: DebianInstallation, archive: Archive, tmp_path: Path
) -> None:
    """What was installed, or is wanted for the build: one sentence, before anything is looked for."""
    many = [f"lib{number:06}" for number in range(100_000)]
    deb = archive.root / "debian/pool/tiny_1-1_all.deb"
    installed = "".join(f"\n {name} (= 1)," for name in many)
    answer = machine.verify(written(tmp_path / "a.buildinfo", deb, **{"Installed-Build-Depends": installed}))
    assert (ExitCode.USAGE, True) == (answer.code, "more than 20,000 packages" in answer.words)
    archive.add("many", {"usr/bin/many": "#!/bin/sh\n"}, {})
    archive.add_source("many", fields="Build-Depends: " + ",\n ".join(many) + "\n")
    answer = machine.verify("deb:many==1-1")
    assert (3, "unsupported") == (answer.code, answer.line["verdict"]), answer.words
    assert "more than a megabyte of relationships" in answer.line["sentence"]


def test_file_on_disk_of_a_version_with_an_epoch(machine: DebianInstallation, archive: Archive) -> None:
    """The name of the file does not say the epoch."""
    deb = archive.add("tiny", {"usr/bin/tiny": "#!/bin/sh\n"}, {}, version="1:2-1")
    named = deb.with_name("tiny_2-1_all.deb")
    shutil.copy(deb, named)
    assert "pkg:deb/debian/tiny@1:2-1" == unquote(not_built(machine.verify(named))["subject"]["purl"])


def test_file_on_disk_that_is_another(machine: DebianInstallation, archive: Archive, tmp_path: Path) -> None:
    """A package of the same name with other bytes, and one that is no package."""
    other = tmp_path / "tiny_1-1_all.deb"
    shutil.copy(archive.root / "debian/pool/tiny_1-1_all.deb", other)
    with other.open("ab") as file:
        file.write(b"\n")
    assert machine.verify(other).code != 0
    other.write_bytes(b"no package")
    answer = machine.verify(other)
    assert ExitCode.USAGE == answer.code
    assert "no ar archive" in answer.words


def test_what_is_not_looked_at(machine: DebianInstallation, archive: Archive, tmp_path: Path) -> None:
    """A package of the installer, on disk or by its name, and one for an architecture that there is none for."""
    udeb = tmp_path / "tiny-udeb_1-1_all.udeb"
    shutil.copy(archive.root / "debian/pool/tiny_1-1_all.deb", udeb)
    for subject, said in (
        (udeb, "is a package of the installer"),
        ("deb:tiny-udeb", "of the installer"),
        ("deb:tiny/hurd-i386", "no packages for hurd-i386"),
    ):
        answer = machine.verify(subject)
        assert (ExitCode.USAGE, True) == (answer.code, said in answer.words), answer.words


def test_replaced_package_is_an_alarm(machine: DebianInstallation, archive: Archive) -> None:
    """The archive signs other bytes under the same name and version: what was seen first is not forgotten."""
    not_built(machine.verify("deb:tiny==1-1"))
    archive.drop()
    shutil.rmtree(archive.root / "tiny-1-1")
    archive.add("tiny", {"usr/bin/tiny": "#!/bin/sh\nevil\n"}, {})
    archive.add_source("tiny", fields=NOT_BUILT)
    line = not_built(machine.verify("deb:tiny==1-1"))
    assert ["digest-changed"] == [each["kind"] for each in line["alarms"]]


@pytest.mark.parametrize("name", ["tiny_1-1.tar.gz", "tiny_1-1_all.deb"])
def test_mirror_that_lacks_what_its_list_has(machine: DebianInstallation, archive: Archive, name: str) -> None:
    """Our trouble, to try again; what stays so ends in a verdict that names file and list. So for the file itself."""
    pool = archive.root / "debian/pool"
    key = sha256((pool / "tiny_1-1_all.deb").read_bytes()).hexdigest()
    (pool / name).unlink()
    answer = machine.verify("deb:tiny==1-1")
    assert (ExitCode.OUR_FAULT, "infra-error") == (answer.code, answer.line["verdict"]), answer.words
    said = f"{name}, which its signed list names (trixie of Sun, 01 Jan 2023 00:00:00 UTC)"
    assert said in answer.line["problem"]
    with Ledger.open(machine.store / "ledger.sqlite") as ledger:
        begun = datetime.fromisoformat(str(ledger.cache_get("unavailable", key)))
        ledger.cache_put("unavailable", key, (begun - PATIENCE).isoformat(), begun)
    for _ in range(2):
        line = machine.verify("deb:tiny==1-1").line
        assert ("inputs-missing", True) == (line["verdict"], said in line["sentence"])


def test_list_of_installed_packages(machine: DebianInstallation, tmp_path: Path) -> None:
    """``verify -r`` of a dpkg status file, and a watch over it."""
    status = tmp_path / "status"
    status.write_text("Package: tiny\nStatus: install ok installed\nVersion: 1-1\nArchitecture: all\n")
    assert "pkg:deb/debian/tiny@1-1" == not_built(machine.verify("-r", status))["subject"]["purl"]
    (tmp_path / "watch.toml").write_text('[[watch]]\necosystem = "deb"\nfiles = ["status"]\nevery = "1d"\n')
    reading = read_file(tmp_path / "watch.toml")
    assert not reading.problems
    [entry] = reading.entries
    assert isinstance(entry.item, Watch)
    assert {"tiny": ("1-1",)} == entry.item.pins


def test_no_archive_in_apt_settings(machine: DebianInstallation, archive: Archive) -> None:
    """Said with what to do; other ecosystems go on."""
    (archive.etc_apt / "sources.list").write_text("")
    answer = machine.verify("deb:tiny==1-1")
    assert ExitCode.USAGE == answer.code
    assert "sources.list" in answer.words


def test_installed_packages_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rebuilder that confirmed the file passes; another version and another package of the same bytes do not."""
    found = of_debian(identical("tiny"), "tiny", "1-1")
    rebuilder = PublishedRebuilder(tmp_path / "rebuilder")
    rebuilder.publish(found)
    listed = f"Version: {{}}\nArchitecture: all\nSHA256: {found.artifact.sha256}\n"
    for name, version, code in (("tiny", "1-1", 0), ("tiny", "1-2", 3), ("tony", "1-1", 3)):
        status = tmp_path / "Packages"
        status.write_text(f"Package: {name}\n{listed.format(version)}")
        [dependency] = read_packages(status, status.read_text())
        assert found.artifact.sha256 == dependency.files[0].sha256
        given: dict[str, Any] = {"need": None, "policy_file": None, "all_platforms": False, "offline": True}
        given |= {"kind": "json", "seen": tmp_path / "seen"}
        assert code == check.run([str(status)], rebuilders=[str(rebuilder.site)], **given), capsys.readouterr()
