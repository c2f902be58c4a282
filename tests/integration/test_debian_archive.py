"""What Debian's archive signed, and only that: a small archive on the loopback interface."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rebuilder.ecosystems.debian.archive import AptSettings, DebianArchive
from rebuilder.ecosystems.debian.context import PlanningContext
from rebuilder.ecosystems.debian.ecosystem import Debian
from rebuilder.ecosystems.debian.index import SourceName, source_package, written_dsc
from rebuilder.errors import CorruptStoreError, FetchMismatchError, UnavailableError, UsageError
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.evidence import Evidence
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.debian_archive import Archive, served_archive
from tests.fakes.debian_machine import opened
from tests.fakes.environments import FakeEnvironments
from tests.fakes.memo import MemoryMemo
from tests.fakes.programs import InProcessPrograms


def _no_run(definition: BuildDefinition) -> Run:
    raise AssertionError(definition.commands)


@dataclass
class Machine:
    """A machine whose apt settings name one archive."""

    archive: Archive
    place: Path
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    memo: MemoryMemo = field(default_factory=MemoryMemo)
    accept_expired: tuple[str, ...] | None = ()
    options: dict[str, str] = field(default_factory=dict)
    snapshot: str | None = None

    def opened(self) -> DebianArchive:
        """What another process makes of it; only blobs and memo stay."""
        return opened(
            self.archive,
            self.blobs,
            self.place,
            options=self.options,
            accept_expired=self.accept_expired,
            snapshot=self.snapshot,
        )

    def debian(self) -> Debian:
        """The ecosystem."""
        return Debian(
            PlanningContext(
                open_archive=self.opened,
                blobs=self.blobs,
                programs=InProcessPrograms(self.blobs),
                here=_no_run,
                environments=FakeEnvironments(self.place),
                memo=self.memo,
                max_file_bytes=1 << 20,
                maintainers=self.place / "maintainers",
            )
        )

    def evidence(self, text: str) -> Evidence:
        """Of the only file that a subject names."""
        debian = self.debian()
        [evidence] = debian.evidence(debian.parse(text))
        return evidence


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive with one package and its source."""
    with served_archive(tmp_path / "archive") as archive:
        archive.use("trixie")
        archive.add("tiny", {"usr/bin/tiny": "#!/bin/sh\n"}, {})
        archive.add_source("tiny")
        yield archive


@pytest.fixture
def machine(archive: Archive, tmp_path: Path) -> Machine:
    """A machine that asks that archive."""
    place = tmp_path / "machine"
    place.mkdir()
    return Machine(archive, place)


def problem(machine: Machine, text: str = "tiny==1-1") -> UnavailableError:
    """Why there is no evidence."""
    with pytest.raises(UnavailableError) as caught:
        machine.evidence(text)
    return caught.value


def test_package_is_bound_by_what_the_archive_signed(machine: Machine, archive: Archive) -> None:
    """From the signature down to the bytes; each digest on the way is kept, and said."""
    evidence = machine.evidence("tiny==1-1")
    deb = archive.root / "debian/pool/tiny_1-1_all.deb"
    assert machine.blobs.read(evidence.artifact.sha256) == deb.read_bytes()
    assert ("pkg:deb/debian/tiny@1-1", "tiny_1-1_all.deb") == (evidence.artifact.purl, evidence.artifact.filename)
    assert machine.blobs.read(evidence.index_sha256)[:2] == b"\x1f\x8b"
    assert evidence.obstacle is None
    assert evidence.source is not None
    assert "dsc" == evidence.source.kind
    assert machine.blobs.has(evidence.source.digest["sha256"])
    assert archive.fingerprint in evidence.notes[0]
    assert "Sun, 01 Jan 2023" in evidence.notes[0]
    release = evidence.notes[0].partition("InRelease ")[2][:64]
    assert b"BEGIN PGP SIGNED MESSAGE" in machine.blobs.read(release)


def test_package_is_listed_inside(machine: Machine) -> None:
    """Members of both archives in it are named, and the control file is read."""
    inspection = machine.evidence("tiny").artifact_inspection
    assert inspection is not None
    assert "deb" == inspection.format
    assert {"control.tar/control", "data.tar/usr/bin/tiny"} <= {each.name for each in inspection.members}
    assert "Package: tiny" in inspection.texts["control.tar/control"]


def test_listing_says_when_something_changed(machine: Machine, archive: Archive) -> None:
    """The same lists have nothing new; another version is the newest by Debian's order."""
    before = machine.debian().listing("tiny")
    assert before is not None
    assert ("1-1", ["tiny_1-1_all.deb"]) == (before.newest, [each.filename for each in before.files])
    assert machine.debian().listing("tiny", before.mark) is None
    archive.add("tiny", {}, {}, version="1-1+b1")
    archive.add("tiny", {}, {}, version="1~rc1-1")
    after = machine.debian().listing("tiny", before.mark)
    assert after is not None
    assert "1-1+b1" == after.newest
    assert ["1-1+b1", "1-1", "1~rc1-1"] == [each.version for each in after.files]
    assert ["tiny"] == list(machine.debian().project_names())


def test_unknown_names_and_versions(machine: Machine) -> None:
    """What is not there is said with what there is."""
    for text, words in (("huge", "There is no package huge in trixie"), ("tiny==2-1", "has tiny 2-1")):
        with pytest.raises(UsageError, match=words):
            machine.evidence(text)
    with pytest.raises(UsageError) as caught:
        machine.evidence("tiny-udeb")
    assert "the installer" in str(caught.value.hint)
    for text in ("tiny/hurd-i386", "huge/hurd-i386", "tiny==1-1/hurd-i386"):
        with pytest.raises(UsageError, match="no packages for hurd-i386") as caught:
            machine.evidence(text)
        assert machine.archive.architecture in str(caught.value.hint)
    with pytest.raises(UsageError, match="has the suite sid"):
        machine.evidence("tiny@sid")


def test_another_build_of_the_same_source(machine: Machine, archive: Archive) -> None:
    """A binNMU has the source of the version without it; what it was built with is named."""
    archive.add("tiny", {}, {}, "Source: tiny (1-1)\nBuilt-Using: gcc-14 (= 14.2.0-19)\n", version="1-1+b1")
    notes = " ".join(machine.evidence("tiny").notes)
    assert "another build (+b1) of the source tiny 1-1" in notes
    assert "(Built-Using): gcc-14 14.2.0-19" in notes


def test_superseded_version_is_found_in_a_kept_list(machine: Machine, archive: Archive, tmp_path: Path) -> None:
    """A list that was verified once says what its suite had, as long as the files are there; not a stranger's."""
    before = machine.evidence("tiny==1-1")
    archive.drop()
    archive.add("tiny", {}, {}, version="2-1")
    after = machine.evidence("tiny==1-1")
    assert before.artifact == after.artifact
    assert before.index_sha256 == after.index_sha256
    assert "verified here before" in " ".join(after.notes)
    assert "2-1" == machine.evidence("tiny").artifact.version
    machine.blobs = MemoryBlobs()  # tidied away, and the lists are there all the same
    assert before.artifact == machine.evidence("tiny==1-1").artifact
    assert machine.blobs.has(before.index_sha256)
    kept = machine.place / "kept/lists" / before.index_sha256
    kept.chmod(0o644)
    kept.write_bytes(b"other bytes")
    with pytest.raises(CorruptStoreError, match="was modified"):
        machine.evidence("tiny==1-1")
    stranger = Machine(archive, tmp_path)
    with pytest.raises(UsageError, match="No list of the archive"):
        stranger.evidence("tiny==1-1")


def test_signature_that_does_not_hold(machine: Machine, archive: Archive) -> None:
    """Unsigned, forged, by another key, with text around it: nothing of it is used."""
    archive.publish_forged()
    assert "over something else" in str(problem(machine))
    archive.sign()
    signed = archive.root / "debian/dists/trixie/InRelease"
    text = signed.read_text()
    for other in (f"Suite: trixie\n\n{text}", f"{text}Suite: trixie\n", text + text, archive.release):
        signed.write_text(other)
        said = str(problem(machine))
        assert "outside of what is signed" in said or "it is not signed" in said, said
    archive.sign()
    shutil.copy("/usr/share/keyrings/debian-archive-keyring.gpg", archive.keyring)
    assert "not among the keys" in str(problem(machine))
    assert not (machine.place / "kept").exists()


def test_fingerprint_in_apt_settings(machine: Machine, archive: Archive) -> None:
    """Of the keys in a file, the one that is named counts; another one does not."""
    settings = archive.etc_apt / "sources.list"
    line = settings.read_text()
    for fingerprint, good in ((archive.fingerprint, True), ("0" * 40, False)):
        settings.write_text(line.replace(str(archive.keyring), f"{archive.keyring},{fingerprint}"))
        if good:
            assert "1-1" == machine.evidence("tiny").artifact.version
        else:
            assert "which the settings do not name" in str(problem(machine))


def test_keys_in_armour(machine: Machine, archive: Archive) -> None:
    """A file of keys as text, and one that is none."""
    archive.armour()
    assert "1-1" == machine.evidence("tiny").artifact.version
    archive.keyring.write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n")
    assert "holds no key" in str(problem(machine))
    archive.keyring.unlink()
    assert "cannot be read from" in str(problem(machine))


def test_expired_state(machine: Machine, archive: Archive) -> None:
    """Refused, unless the settings accept it; then it is said."""
    archive.expire()
    error = problem(machine)
    assert "was valid until Sun, 08 Jan 2023" in str(error)
    assert 'accept_expired = ["trixie"]' in str(error.hint)
    machine.accept_expired = ("trixie",)
    assert "it was used nevertheless" in " ".join(machine.evidence("tiny").notes)


def test_state_of_tomorrow(machine: Machine, archive: Archive) -> None:
    """A date that is still to come is no date."""
    archive.sign_text(archive.release.replace(archive.date, "Sun, 01 Jan 2040 00:00:00 UTC"))
    assert "still to come" in str(problem(machine))


def test_older_state_is_replayed(machine: Machine, archive: Archive) -> None:
    """What was seen last counts, and the mirror's older state is said; its packages are not."""
    signed = archive.root / "debian/dists/trixie/InRelease"
    older = signed.read_bytes()
    archive.date = "Mon, 02 Jan 2023 00:00:00 UTC"
    archive.add("tiny", {}, {}, version="2-1")
    assert "2-1" == machine.evidence("tiny").artifact.version
    signed.write_bytes(older)
    evidence = machine.evidence("tiny")
    assert "2-1" == evidence.artifact.version
    assert "The mirror shows trixie as of Sun, 01 Jan 2023" in " ".join(evidence.notes)


def test_release_in_the_place_of_its_security_updates(machine: Machine, archive: Archive) -> None:
    """What has the security updates of a release is called so itself: another list of that release hides them."""
    shutil.copytree(archive.root / "debian/dists/trixie", archive.root / "debian/dists/trixie-security")
    archive.use("trixie-security")
    assert "in the place of trixie-security" in str(problem(machine))


def test_one_suite_in_the_place_of_another(machine: Machine, archive: Archive) -> None:
    """A rightly signed release of another suite is refused."""
    archive.sign_text(archive.release.replace("Codename: trixie", "Codename: sid").replace("stable", "unstable"))
    assert "The mirror shows sid, unstable in the place of trixie" in str(problem(machine))


@pytest.mark.parametrize("path", ["main/binary-{}/Packages.gz", "main/source/Sources.gz"])
def test_list_with_other_bytes(machine: Machine, archive: Archive, path: str) -> None:
    """A list that is not the signed one is refused, whatever is in it."""
    file = archive.root / "debian/dists/trixie" / path.format(archive.architecture)
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert isinstance(problem(machine), FetchMismatchError)


@pytest.mark.parametrize("name", ["tiny_1-1_all.deb", "tiny_1-1.dsc"])
def test_file_with_other_bytes(machine: Machine, archive: Archive, name: str) -> None:
    """A package or a description of a source that is not the listed one is refused."""
    file = archive.root / "debian/pool" / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert isinstance(problem(machine), FetchMismatchError)


def test_description_is_gone_and_written_from_the_list(machine: Machine, archive: Archive, tmp_path: Path) -> None:
    """The tarball and the signed entry are enough for dpkg-source; that the file is gone is said."""
    (archive.root / "debian/pool/tiny_1-1.dsc").unlink()
    assert "Its .dsc cannot be had" in " ".join(machine.evidence("tiny").notes)
    opened = machine.opened()
    [release] = opened.releases(None)
    [index] = opened.indices(release, "source/Sources")
    source = source_package(opened.text(index), SourceName("tiny", "1-1"))
    assert source is not None
    (tmp_path / "tiny.dsc").write_bytes(written_dsc(source))
    shutil.copy(archive.root / "debian/pool/tiny_1-1.tar.gz", tmp_path)
    command = ["dpkg-source", "--no-check", "-x", "tiny.dsc", "unpacked"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    assert (tmp_path / "unpacked/debian/control").is_file()


def test_signature_of_the_maintainer(machine: Machine, archive: Archive) -> None:
    """Signed by a known key, by an unknown one, by nobody: a finding each."""
    for known, signed, words in (
        (True, True, f"is signed by the key {archive.fingerprint} of a Debian maintainer"),
        (False, True, "was not checked: there are no keys"),
        (True, False, "was not checked: it is not signed"),
    ):
        archive.drop()
        (archive.root / "debian/pool/tiny_1-1_all.deb").unlink(missing_ok=True)
        shutil.rmtree(archive.root / "tiny-1-1", ignore_errors=True)
        archive.add("tiny", {}, {})
        archive.add_source("tiny", signed=signed)
        shutil.rmtree(machine.place / "maintainers", ignore_errors=True)
        if known:
            (machine.place / "maintainers").mkdir()
            shutil.copy(archive.keyring, machine.place / "maintainers/debian-keyring.gpg")
        assert words in " ".join(machine.evidence("tiny").notes)


def test_package_that_says_it_is_another(machine: Machine, archive: Archive) -> None:
    """The signed list says version 3-1 of a file whose control file says 1-1."""
    archive.relist("Version: 1-1\nArchitecture", "Version: 3-1\nArchitecture")
    evidence = machine.evidence("tiny==3-1")
    assert evidence.obstacle is not None
    assert "of itself that it is tiny 1-1 all" in evidence.obstacle.sentence


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("Filename: pool/tiny", "Filename: pool/../../tiny", "is none in the archive"),
        ("Filename: pool/tiny", "Filename: /etc/tiny", "is none in the archive"),
        ("SHA256: ", "SHA256: zz", "no size or no SHA-256"),
        ("Architecture: all", "Architecture: all\nSource: ../x", "named in no form"),
        ("Architecture: all", "Architecture: all\nBuilt-Using: x (>> 1)", "named in no form"),
        ("Version: 1-1", "Version: 1-1\nVersion: 1-1", "twice"),
        ("Architecture: all", "Architecture: all\nnonsense", "is no field"),
    ],
)
def test_entry_that_cannot_be_used(machine: Machine, archive: Archive, before: str, after: str, words: str) -> None:
    """Whoever signed it: a place outside of the archive, no digest, two versions."""
    archive.relist(before, after)
    assert words in str(problem(machine, "tiny"))


def settings(*options: tuple[str, str]) -> AptSettings:
    """Settings of apt with nothing but some options."""
    return AptSettings((), "amd64", dict(options))


def test_proxies_of_apt() -> None:
    """As other programs have them; one host without a proxy."""
    assert {"http_proxy": "http://p:1", "no_proxy": "local.example.org"} == settings(
        ("Acquire::http::Proxy", "http://p:1"), ("Acquire::http::Proxy::local.example.org", "DIRECT")
    ).proxies
    assert {"no_proxy": "*"} == settings(("Acquire::http::Proxy", "DIRECT")).proxies
    assert Path("/ca.pem") == settings(("Acquire::https::CaInfo", "/ca.pem")).ca_bundle
