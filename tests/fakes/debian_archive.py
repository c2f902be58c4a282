"""A Debian archive of a few small packages on the loopback interface, signed with a key of its own."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.web_server import served


def need(program: str, package: str) -> str:
    """Path of a program the tests cannot do without."""
    found = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        pytest.fail(f"{program} is missing: apt-get install {package}", pytrace=False)
    return found


class Archive:
    """An archive below a directory that a server shows; it has the suite ``trixie``."""

    def __init__(self, root: Path, address: str) -> None:
        self.root = root
        self.etc_apt, self.keyring = root / "etc", root / "keys.gpg"
        self._home = root / "gpg"
        self._home.mkdir(mode=0o700, parents=True)
        self._gpg("--quick-gen-key", "--passphrase", "", "archive@example.org", "ed25519", "sign", "never")
        self.keyring.write_bytes(self._gpg("--export"))
        self.etc_apt.mkdir()
        line = f"deb {address}/debian bookworm main\n"
        (self.etc_apt / "sources.list").write_text(line)
        self._dists = root / "debian/dists/trixie"
        self._listed = ""
        self._release = ""

    def _gpg(self, *arguments: str) -> bytes:
        command = [need("gpg", "gpg"), "--homedir", str(self._home), "--batch", "--quiet", "--yes", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    def close(self) -> None:
        """End the agent that gpg leaves running."""
        command = [need("gpgconf", "gpgconf"), "--homedir", str(self._home), "--kill", "gpg-agent"]
        subprocess.run(command, check=True, timeout=60)

    def add(self, name: str, files: Mapping[str, str | Path], scripts: Mapping[str, str], fields: str = "") -> Path:
        """Build a package of texts and of programs of this machine, list it, and publish the list; the ``.deb``."""
        tree = self.root / name
        (tree / "DEBIAN").mkdir(parents=True)
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copy(content, tree / path)
            else:
                (tree / path).write_text(content)
        control = f"Package: {name}\nVersion: 1-1\nArchitecture: all\nMaintainer: a test <a@example.org>\n{fields}"
        control += "Description: x\n"
        (tree / "DEBIAN/control").write_text(control)
        for script, text in scripts.items():
            (tree / "DEBIAN" / script).write_text(text)
            (tree / "DEBIAN" / script).chmod(0o755)
        deb = self.root / f"debian/pool/{name}_1-1_all.deb"
        deb.parent.mkdir(parents=True, exist_ok=True)
        command = [need("dpkg-deb", "dpkg"), "--root-owner-group", "-Znone", "--build", str(tree), str(deb)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        data = deb.read_bytes()
        self._listed += control
        self._listed += f"Filename: pool/{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        self._index()
        return deb

    def _index(self) -> None:
        architecture = subprocess.run(
            [need("dpkg", "dpkg"), "--print-architecture"], check=True, capture_output=True, text=True, timeout=60
        ).stdout.strip()
        packages = self._dists / f"main/binary-{architecture}/Packages"
        packages.parent.mkdir(parents=True, exist_ok=True)
        packages.write_text(self._listed)
        self._release = (
            "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sun, 01 Jan 2023 00:00:00 UTC\n"
            f"Architectures: {architecture}\nComponents: main\nSHA256:\n"
            f" {hashlib.sha256(packages.read_bytes()).hexdigest()} {packages.stat().st_size} "
            f"{packages.relative_to(self._dists)}\n"
        )
        self.sign()

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


@contextmanager
def served_archive(root: Path) -> Iterator[Archive]:
    """An empty archive, served."""
    need("mmdebstrap", "mmdebstrap")
    with served(root) as address:
        found = Archive(root, address)
        try:
            yield found
        finally:
            found.close()


def programs(*names: str) -> dict[str, Path]:
    """Programs of this machine and the libraries they want, by the paths a package has them at."""
    found = {f"usr/bin/{name}": Path(need(name, "dpkg")).resolve() for name in names}
    for program in list(found.values()):
        wanted = subprocess.run(["ldd", program], check=True, capture_output=True, text=True, timeout=60).stdout
        for library in re.findall(r"(/\S+) \(0x", wanted):
            merged = library if library.startswith("/usr/") else f"/usr{library}"
            found[merged.lstrip("/")] = Path(library).resolve()
    return found
