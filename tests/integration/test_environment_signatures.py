"""Only what the archive's own key signed is accepted: mmdebstrap against a small archive on the loopback interface."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Manifest
from tests.fakes.debian_archive import Archive, served_archive

SPEC = Manifest(name="tiny", suite="trixie", provides={"python": "3.13"}, packages=("tiny",))


def make(archive: Archive, place: Path, accept_expired: tuple[str, ...] = ()) -> BuildEnvironmentError:
    """What making a build environment from it raises; there is always something, since it has no Python."""
    place.mkdir()
    mmdebstrap = Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring, accept_expired=accept_expired)
    with pytest.raises(BuildEnvironmentError) as caught:
        mmdebstrap(SPEC, place / "root")
    return caught.value


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive with one package, whose script cannot succeed."""
    with served_archive(tmp_path / "archive") as archive:
        script = "#!/bin/sh\necho preinst ran >/tmp/preinst-ran\nexit 1\n"
        archive.add("tiny", {"usr/bin/tiny": "#!/bin/sh\n"}, {"preinst": script})
        yield archive


def test_signed_archive_is_taken(archive: Archive, tmp_path: Path) -> None:
    """The control: with a good signature the package is fetched and unpacked, its scripts are not run."""
    error = make(archive, tmp_path / "made")
    assert "without Python" in str(error), "only what a package this small cannot have is missing"
    assert "signature" not in str(error)
    assert (tmp_path / "made/root/usr/bin/tiny").is_file()
    assert not (tmp_path / "made/root/tmp/preinst-ran").exists()
    assert not Path("/tmp/preinst-ran").exists()


def test_unsigned_archive(archive: Archive, tmp_path: Path) -> None:
    """No signature, no build environment."""
    archive.publish_unsigned()
    assert "signature cannot be verified" in str(make(archive, tmp_path / "made"))
    assert not (tmp_path / "made/root/usr/bin/tiny").exists()


def test_forged_release(archive: Archive, tmp_path: Path) -> None:
    """A signature over something else is none."""
    archive.publish_forged()
    assert "signature cannot be verified" in str(make(archive, tmp_path / "made"))


def test_other_key(archive: Archive, tmp_path: Path) -> None:
    """A good signature by somebody else is none, whatever other keys this machine trusts."""
    shutil.copy("/usr/share/keyrings/debian-archive-keyring.gpg", archive.keyring)
    assert "signature cannot be verified" in str(make(archive, tmp_path / "made"))


def test_expired_release(archive: Archive, tmp_path: Path) -> None:
    """A release that has expired is refused, whatever apt on this machine would do, unless it is accepted by name."""
    archive.expire()
    assert "signed state is too old" in str(make(archive, tmp_path / "made"))
    assert "signed state is too old" in str(make(archive, tmp_path / "other", ("bookworm",)))
    assert "too old" not in str(make(archive, tmp_path / "accepted", ("trixie",)))
    assert (tmp_path / "accepted/root/usr/bin/tiny").is_file()


def test_suite_is_gone(archive: Archive, tmp_path: Path) -> None:
    """A mirror that no longer has the release is told as that."""
    shutil.rmtree(archive.root / "debian/dists")
    assert "the mirror no longer has trixie." in str(make(archive, tmp_path / "made"))


def test_other_package(archive: Archive, tmp_path: Path) -> None:
    """A package with other bytes than the signed list says is refused."""
    (deb,) = (archive.root / "debian/pool").iterdir()
    data = bytearray(deb.read_bytes())
    data[-1] ^= 1
    deb.write_bytes(data)
    assert "something else than the archive signed" in str(make(archive, tmp_path / "made"))


def test_mirror_is_down(archive: Archive, tmp_path: Path) -> None:
    """A mirror that refuses connections is told as that."""
    (archive.etc_apt / "sources.list").write_text("deb http://127.0.0.1:9/debian bookworm main\n")
    assert "the mirror cannot be reached" in str(make(archive, tmp_path / "made"))


def test_package_is_not_there(archive: Archive, tmp_path: Path) -> None:
    """A mirror without a package is told as that."""
    place = tmp_path / "made"
    place.mkdir()
    spec = SPEC.replace(packages=("tiny", "huge"))
    with pytest.raises(BuildEnvironmentError, match="the mirror lacks a package: huge"):
        Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring)(spec, place / "root")


def test_versions_that_are_asked_for(archive: Archive, tmp_path: Path) -> None:
    """A version that the archive has is taken; for one that it no longer has it is told as that."""
    mmdebstrap = Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring)
    for version, words in (("1-1", "without Python"), ("0-9", "the mirror lacks a package: tiny 0-9")):
        place = tmp_path / version
        place.mkdir()
        with pytest.raises(BuildEnvironmentError, match=words):
            mmdebstrap(SPEC.replace(packages=(f"tiny={version}",)), place / "root")
        assert (version == "1-1") == (place / "root/usr/bin/tiny").is_file()
