"""A Debian archive of a few small packages on the loopback interface, signed with a key of its own."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
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
        self.etc_apt, self.keyring = root / "etc", root / "debian-archive-keys.gpg"
        self._home = root / "gpg"
        self._home.mkdir(mode=0o700, parents=True)
        # One that gpg starts has five seconds to answer, which a busy machine may not give it.
        agent = [need("gpg-agent", "gpg-agent"), "--homedir", str(self._home), "--daemon", "--quiet"]
        subprocess.run(agent, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        self._gpg("--quick-gen-key", "--passphrase", "", "archive@example.org", "ed25519", "sign", "never")
        self.keyring.write_bytes(self._gpg("--export"))
        self.etc_apt.mkdir()
        line = f"deb {address}/debian bookworm main\n"
        (self.etc_apt / "sources.list").write_text(line)
        self._dists = root / "debian/dists/trixie"
        self.uri = f"{address}/debian"
        command = [need("dpkg", "dpkg"), "--print-architecture"]
        self.architecture = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=300
        ).stdout.strip()
        self._listed = ""
        self._sources = ""
        self._release = ""
        self.date = "Sun, 01 Jan 2023 00:00:00 UTC"

    def _gpg(self, *arguments: str) -> bytes:
        command = [need("gpg", "gpg"), "--homedir", str(self._home), "--batch", "--quiet", "--yes", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=300).stdout

    @property
    def fingerprint(self) -> str:
        """Of the key that signs."""
        listed = self._gpg("--list-keys", "--with-colons").decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def armour(self) -> None:
        """Write the keys as text."""
        self.keyring.write_bytes(self._gpg("--export", "--armor"))

    def use(self, suite: str) -> None:
        """Have apt's settings name a suite, and the key."""
        line = f"deb [signed-by={self.keyring}] {self.uri} {suite} main\n"
        (self.etc_apt / "sources.list").write_text(line)

    def close(self) -> None:
        """End the agent that gpg leaves running."""
        command = [need("gpgconf", "gpgconf"), "--homedir", str(self._home), "--kill", "gpg-agent"]
        subprocess.run(command, check=True, timeout=300)

    def add(
        self,
        name: str,
        files: Mapping[str, str | Path],
        scripts: Mapping[str, str],
        fields: str = "",
        *,
        version: str = "1-1",
        compression: str = "none",
        times: Mapping[str, int] | None = None,
    ) -> Path:
        """Build a package of texts and of programs of this machine, list it, and publish the list; the ``.deb``.

        Its files have times of their own, or one of 2020.
        """
        tree = self.root / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copy(content, tree / path)
            else:
                (tree / path).write_text(content)
            moment = (times or {}).get(path, 1_600_000_000)
            os.utime(tree / path, (moment, moment))
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a test <a@example.org>\n{fields}"
        )
        control += "Description: x\n"
        (tree / "DEBIAN/control").write_text(control)
        for script, text in scripts.items():
            (tree / "DEBIAN" / script).write_text(text)
            (tree / "DEBIAN" / script).chmod(0o755)
        deb = self.root / f"debian/pool/{name}_{version}_all.deb"
        deb.parent.mkdir(parents=True, exist_ok=True)
        command = [need("dpkg-deb", "dpkg"), "--root-owner-group", f"-Z{compression}", "--build", str(tree), str(deb)]
        latest = {"SOURCE_DATE_EPOCH": str(max([1_600_000_000, *(times or {}).values()]))}
        subprocess.run(command, check=True, capture_output=True, timeout=300, env={**os.environ, **latest})
        data = deb.read_bytes()
        self._listed += control
        self._listed += f"Filename: pool/{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        self._index()
        return deb

    def add_source(self, name: str, version: str = "1-1", *, signed: bool = False, fields: str = "") -> Path:
        """List a source package of one archive, with more fields, and publish the list; its ``.dsc``."""
        pool = self.root / "debian/pool"
        tar = pool / f"{name}_{version}.tar.gz"
        pool.mkdir(parents=True, exist_ok=True)
        with tarfile.open(tar, "w:gz") as archive:
            member = tarfile.TarInfo(f"{name}-{version}/debian/control")
            archive.addfile(member, io.BytesIO(b""))
        row = f"{tar.stat().st_size} {tar.name}"
        digests = {each: hashlib.new(each, tar.read_bytes()).hexdigest() for each in ("sha256", "md5")}
        head = (
            "Format: 1.0\n",
            f"Version: {version}\nMaintainer: a test <a@example.org>\nArchitecture: all\nBinary: {name}\n{fields}",
        )
        lists = f"Checksums-Sha256:\n {digests['sha256']} {row}\n", f"Files:\n {digests['md5']} {row}\n"
        dsc = pool / f"{name}_{version}.dsc"
        dsc.write_text(f"{head[0]}Source: {name}\n{head[1]}{''.join(lists)}")
        if signed:
            self._gpg("--clearsign", "--output", f"{dsc}.asc", str(dsc))
            Path(f"{dsc}.asc").replace(dsc)
        own = f"{dsc.stat().st_size} {dsc.name}"
        rows = [f" {hashlib.new(each, dsc.read_bytes()).hexdigest()} {own}\n" for each in ("sha256", "md5")]
        listed = "".join(text + row for text, row in zip(lists, rows, strict=True))
        self._sources += f"Package: {name}\n{head[0]}{head[1]}{listed}Directory: pool\n\n"
        self._index()
        return dsc

    def list_package(self, deb: Path) -> None:
        """Take a package that was built elsewhere into the pool, and list it as the archive does."""
        command = [need("dpkg-deb", "dpkg"), "--field", str(deb)]
        control = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
        data = deb.read_bytes()
        (self.root / "debian/pool").mkdir(parents=True, exist_ok=True)
        (self.root / "debian/pool" / deb.name).write_bytes(data)
        self._listed += control
        self._listed += f"Filename: pool/{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        self._index()

    def list_source(self, dsc: Path) -> None:
        """Take a source package into the pool, and list it as the archive does: with its ``.dsc`` among its files."""
        pool, text = self.root / "debian/pool", dsc.read_text()
        pool.mkdir(parents=True, exist_ok=True)
        stanza = text.replace("Source:", "Package:", 1)
        for algorithm, field in (("sha256", "Checksums-Sha256:\n"), ("md5", "Files:\n")):
            digest = hashlib.new(algorithm, dsc.read_bytes()).hexdigest()
            stanza = stanza.replace(field, f"{field} {digest} {dsc.stat().st_size} {dsc.name}\n", 1)
        for each in {line.split()[-1] for line in text.splitlines() if re.match(" [0-9a-f]{64} ", line)} | {dsc.name}:
            shutil.copy(dsc.with_name(each), pool)
        self._sources += f"{stanza}Directory: pool\n\n"
        self._index()

    def relist(self, before: str, after: str) -> None:
        """Publish lists that say something else."""
        assert before in self._listed
        self._listed = self._listed.replace(before, after)
        self._index()

    def drop(self) -> None:
        """Publish lists with nothing in them; the files stay."""
        self._listed = self._sources = ""
        self._index()

    def _index(self) -> None:
        rows = ""
        for place, text in (
            (f"main/binary-{self.architecture}/Packages", self._listed),
            ("main/source/Sources", self._sources),
        ):
            for path, data in ((place, text.encode()), (f"{place}.gz", gzip.compress(text.encode(), mtime=0))):
                (self._dists / path).parent.mkdir(parents=True, exist_ok=True)
                (self._dists / path).write_bytes(data)
                rows += f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}\n"
        self._release = (
            f"Origin: Debian\nSuite: stable\nCodename: trixie\nDate: {self.date}\n"
            f"Architectures: {self.architecture}\nComponents: main\nSHA256:\n{rows}"
        )
        self.sign()

    def sign(self) -> None:
        """Publish the release with a good signature."""
        (self.root / "release").write_text(self._release)
        signed = self._dists / "InRelease"
        self._gpg("--clearsign", "--output", str(signed), str(self.root / "release"))

    @property
    def release(self) -> str:
        """The text that is signed."""
        return self._release

    def sign_text(self, text: str) -> None:
        """Publish something else with a good signature."""
        self._release = text
        self.sign()

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
    """Programs of this machine, by name or path, and the libraries they want, by the paths a package has them at."""
    found = {
        name.lstrip("/") if "/" in name else f"usr/bin/{name}": Path(need(name, "dpkg")).resolve() for name in names
    }
    for program in list(found.values()):
        wanted = subprocess.run(["ldd", program], check=True, capture_output=True, text=True, timeout=300).stdout
        for library in re.findall(r"(/\S+) \(0x", wanted):
            merged = library if library.startswith("/usr/") else f"/usr{library}"
            found[merged.lstrip("/")] = Path(library).resolve()
    return found
