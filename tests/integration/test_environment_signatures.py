"""Only what the archive's own key signed is accepted: mmdebstrap against a small archive on the loopback interface."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Manifest

SPEC = Manifest(name="tiny", suite="trixie", provides={"python": "3.13"}, packages=("tiny",))


def need(program: str, package: str) -> str:
    """Path of a program this test cannot do without."""
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"{program} is missing: apt-get install {package}", pytrace=False)
    return found


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without telling about it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by its base
        """Say nothing."""


class Archive:
    """A Debian archive with one package, signed with a key of its own."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.etc_apt, self.keyring = root / "etc", root / "keys.gpg"
        self._home = root / "gpg"
        self._home.mkdir(mode=0o700, parents=True)
        self._gpg("--quick-gen-key", "--passphrase", "", "archive@example.org", "ed25519", "sign", "never")
        self.keyring.write_bytes(self._gpg("--export"))
        self.etc_apt.mkdir()
        line = f"deb http://127.0.0.1:{port}/debian bookworm main\n"
        (self.etc_apt / "sources.list").write_text(line)
        self._dists = root / "debian/dists/trixie"
        self.deb = root / "debian/pool/tiny_1-1_all.deb"
        self._package()
        self._index()
        self.sign()

    def _gpg(self, *arguments: str) -> bytes:
        command = [need("gpg", "gpg"), "--homedir", str(self._home), "--batch", "--quiet", "--yes", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    def close(self) -> None:
        """End the agent that gpg leaves running."""
        command = [need("gpgconf", "gpgconf"), "--homedir", str(self._home), "--kill", "gpg-agent"]
        subprocess.run(command, check=True, timeout=60)

    def _package(self) -> None:
        tree = self.root / "tiny"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "usr/bin").mkdir(parents=True)
        (tree / "usr/bin/tiny").write_text("#!/bin/sh\n")
        control = "Package: tiny\nVersion: 1-1\nArchitecture: all\nMaintainer: a test <a@example.org>\nDescription: x\n"
        (tree / "DEBIAN/control").write_text(control)
        (tree / "DEBIAN/preinst").write_text("#!/bin/sh\necho preinst ran >/tmp/preinst-ran\nexit 1\n")
        (tree / "DEBIAN/preinst").chmod(0o755)
        self.deb.parent.mkdir(parents=True)
        command = [need("dpkg-deb", "dpkg"), "--root-owner-group", "--build", str(tree), str(self.deb)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def _index(self) -> None:
        architecture = subprocess.run(
            [need("dpkg", "dpkg"), "--print-architecture"], check=True, capture_output=True, text=True, timeout=60
        ).stdout.strip()
        binary = self._dists / f"main/binary-{architecture}"
        binary.mkdir(parents=True)
        data = self.deb.read_bytes()
        (binary / "Packages").write_text(
            (self.root / "tiny/DEBIAN/control").read_text()
            + f"Filename: pool/{self.deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        )
        listed = [(hashlib.sha256(file.read_bytes()).hexdigest(), file) for file in binary.iterdir()]
        self._release = (
            "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sun, 01 Jan 2023 00:00:00 UTC\n"
            f"Architectures: {architecture}\nComponents: main\nSHA256:\n"
            + "".join(f" {sha256} {file.stat().st_size} {file.relative_to(self._dists)}\n" for sha256, file in listed)
        )

    def sign(self) -> None:
        """Publish the release with a good signature."""
        (self.root / "release").write_text(self._release)
        signed = self._dists / "InRelease"
        self._gpg("--clearsign", "--output", str(signed), str(self.root / "release"))

    def publish_unsigned(self) -> None:
        """Publish the release without any signature."""
        (self._dists / "InRelease").unlink()
        (self._dists / "Release").write_text(self._release)

    def publish_forged(self) -> None:
        """Publish another release under the old signature."""
        signed = self._dists / "InRelease"
        signed.write_text(signed.read_text().replace("Suite: stable", "Suite: stabel"))

    def expire(self) -> None:
        """Publish a release that was valid until long ago, with a good signature."""
        self._release = f"Valid-Until: Sun, 08 Jan 2023 00:00:00 UTC\n{self._release}"
        self.sign()

    def make(self, place: Path, accept_expired: tuple[str, ...] = ()) -> BuildEnvironmentError:
        """What making a build environment from it raises; there is always something, since it has no Python."""
        place.mkdir()
        mmdebstrap = Mmdebstrap(etc_apt=self.etc_apt, keyring=self.keyring, accept_expired=accept_expired)
        with pytest.raises(BuildEnvironmentError) as caught:
            mmdebstrap(SPEC, place / "root")
        return caught.value


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """The archive, served."""
    need("mmdebstrap", "mmdebstrap")
    handler = functools.partial(Quiet, directory=str(tmp_path / "archive"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    archive = Archive(tmp_path / "archive", server.server_address[1])
    try:
        yield archive
    finally:
        archive.close()
        server.shutdown()
        serving.join()
        server.server_close()


def test_signed_archive_is_taken(archive: Archive, tmp_path: Path) -> None:
    """The control: with a good signature the package is fetched and unpacked, its scripts are not run."""
    error = archive.make(tmp_path / "made")
    assert "lib" in str(error), "only what a package this small cannot have is missing"
    assert "signature" not in str(error)
    assert (tmp_path / "made/root/usr/bin/tiny").is_file()
    assert not (tmp_path / "made/root/tmp/preinst-ran").exists()
    assert not Path("/tmp/preinst-ran").exists()


def test_unsigned_archive(archive: Archive, tmp_path: Path) -> None:
    """No signature, no build environment."""
    archive.publish_unsigned()
    assert "signature cannot be verified" in str(archive.make(tmp_path / "made"))
    assert not (tmp_path / "made/root/usr/bin/tiny").exists()


def test_forged_release(archive: Archive, tmp_path: Path) -> None:
    """A signature over something else is none."""
    archive.publish_forged()
    assert "signature cannot be verified" in str(archive.make(tmp_path / "made"))


def test_other_key(archive: Archive, tmp_path: Path) -> None:
    """A good signature by somebody else is none, whatever other keys this machine trusts."""
    shutil.copy("/usr/share/keyrings/debian-archive-keyring.gpg", archive.keyring)
    assert "signature cannot be verified" in str(archive.make(tmp_path / "made"))


def test_expired_release(archive: Archive, tmp_path: Path) -> None:
    """A release that has expired is refused, whatever apt on this machine would do, unless it is accepted by name."""
    archive.expire()
    assert "signed state is too old" in str(archive.make(tmp_path / "made"))
    assert "signed state is too old" in str(archive.make(tmp_path / "other", ("bookworm",)))
    assert "too old" not in str(archive.make(tmp_path / "accepted", ("trixie",)))
    assert (tmp_path / "accepted/root/usr/bin/tiny").is_file()


def test_suite_is_gone(archive: Archive, tmp_path: Path) -> None:
    """A mirror that no longer has the release is told as that."""
    shutil.rmtree(archive.root / "debian/dists")
    assert "the mirror no longer has trixie." in str(archive.make(tmp_path / "made"))


def test_other_package(archive: Archive, tmp_path: Path) -> None:
    """A package with other bytes than the signed list says is refused."""
    data = bytearray(archive.deb.read_bytes())
    data[-1] ^= 1
    archive.deb.write_bytes(data)
    assert "something else than the archive signed" in str(archive.make(tmp_path / "made"))


def test_mirror_is_down(archive: Archive, tmp_path: Path) -> None:
    """A mirror that refuses connections is told as that."""
    (archive.etc_apt / "sources.list").write_text("deb http://127.0.0.1:9/debian bookworm main\n")
    assert "the mirror cannot be reached" in str(archive.make(tmp_path / "made"))


def test_package_is_not_there(archive: Archive, tmp_path: Path) -> None:
    """A mirror without a package is told as that."""
    place = tmp_path / "made"
    place.mkdir()
    spec = SPEC.replace(packages=("tiny", "huge"))
    with pytest.raises(BuildEnvironmentError, match="the mirror lacks a package"):
        Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring)(spec, place / "root")


def test_versions_that_are_asked_for(archive: Archive, tmp_path: Path) -> None:
    """A version that the archive has is taken; for one that it no longer has it is told as that."""
    mmdebstrap = Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring)
    for version, words in (("1-1", "lib"), ("0-9", "the mirror lacks a package")):
        place = tmp_path / version
        place.mkdir()
        with pytest.raises(BuildEnvironmentError, match=words):
            mmdebstrap(SPEC.replace(packages=(f"tiny={version}",)), place / "root")
        assert (version == "1-1") == (place / "root/usr/bin/tiny").is_file()
