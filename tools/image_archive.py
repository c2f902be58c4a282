#!/usr/bin/env python3
"""Make the container image as an OCI archive, the same bytes each time: image_archive.py FILE [--like FILE | --check].

What the image is stands in the Dockerfile, in the stages ``base`` and ``rebuilder``. One layer is a build environment,
as the rebuilder makes them, of exactly those Debian packages. The other is ``/opt/rebuilder``, installed with the
image's own Python by ``tools/install-python``, from the commit that is checked out and at its time; its ``image.json``
has the packages of the first layer by name, version and digest. With ``--like`` that file says which they are, and not
what the mirror has newest. ``--check`` makes the image once more from its own, in a clone elsewhere, with another
umask, time zone and locale, and says what differs.

Nothing is compressed: programs that compress do not agree on the bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import re
import shlex
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rebuilder import tar_members
from rebuilder.clock import SystemClock
from rebuilder.config import load_config
from rebuilder.ecosystems.debian.conventions import apt_archive
from rebuilder.ecosystems.debian.layer_packages import layer_packages
from rebuilder.environments.catalog import why_not_made
from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.protocol import LayerPackage, Wanted
from rebuilder.environments.settle import RECIPE
from rebuilder.environments.tree import TIME, walk
from rebuilder.errors import ExitCode, RebuilderError, UsageError
from rebuilder.foreign_json import read_json
from rebuilder.model.environment import Manifest, Package, Specification
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.network.http.address import Credentials
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.sandbox.bubblewrap.as_root import as_root
from rebuilder.store.blobs import DiskBlobs

PLACE, PYTHON, USER = "opt/rebuilder", "3.13", 1000
RECORD = f"{PLACE}/image.json"
_TYPE = "application/vnd.oci.image"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_FOR_ALL = ("tmp", "var/tmp")
_OF_BUILDS = ("build", "inputs", "out", "tools")
"""Directories that mean something in build environments alone."""
_FOR_PEOPLE = ("man", "locale", "info", "doc/*/[!c]*", "doc/*/changelog*")
"""Below ``usr/share``; what says under which licence it is stays."""
_TOLD = re.compile(r"(PIP_|SSL_CERT|REQUESTS_CA).*|(https?|no|all)_proxy", re.IGNORECASE)
"""Variables by which this machine tells pip where files come from."""
_OWN = ("/usr", "/opt", "/proc", "/dev", "/sys", "/tmp", f"/{PLACE}", "/bin", "/lib", "/lib64", "/sbin")
"""What the image's programs do not see of this machine."""


class Recipe(NamedTuple):
    """What the Dockerfile says."""

    suite: str
    packages: tuple[str, ...]
    config: dict[str, Any]
    """As an image's configuration has it (https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md)."""


def recipe(dockerfile: str) -> Recipe:
    """Read the stages ``base`` and ``rebuilder``."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", dockerfile))
    stages = {}
    for each in re.split(r"(?m)^FROM ", text)[1:]:
        head, *lines = each.strip().splitlines()
        image, _, name = head.partition(" AS ")
        stages[name] = {"FROM": image} | dict(line.split(" ", 1) for line in lines)
    base, said = stages["base"], stages["rebuilder"]
    words = shlex.split(base["RUN"].partition("apt-get install")[2].partition("&&")[0])
    config = {
        "User": said["USER"],
        "Env": shlex.split(said["ENV"]),
        "Entrypoint": json.loads(said["ENTRYPOINT"]),
        "Cmd": json.loads(said["CMD"]),
        "Volumes": {said["VOLUME"]: {}},
        "WorkingDir": said["WORKDIR"],
    }
    suite = base["FROM"].removeprefix("debian:").removesuffix("-slim")
    return Recipe(suite, tuple(each for each in words if not each.startswith("-")), config)


def write_layer(file: Path, root: Path, time: int, home: str | None = None) -> None:
    """Write a tree as a layer: one time, modes that say who may execute, and all of it root's but one directory."""
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as archive:
        for path, status in sorted(walk(root)):
            name = os.fsdecode(path)
            if name == "." or name in _OF_BUILDS:
                continue
            info, place = tarfile.TarInfo(name), root / name
            info.mtime, info.uid, info.gid = time, *(USER if name == home else 0,) * 2
            info.mode = 0o755 if stat.S_ISDIR(status.st_mode) or status.st_mode & 0o111 else 0o644
            if name in _FOR_ALL:
                info.mode = 0o1777
            if stat.S_ISLNK(status.st_mode):
                info.type, info.mode = tarfile.SYMTYPE, 0o777
                info.linkname = os.readlink(place)  # noqa: PTH115 - as it is written
            elif stat.S_ISDIR(status.st_mode):
                info.type = tarfile.DIRTYPE
            else:
                info.size = status.st_size
            with place.open("rb") if info.isreg() else io.BytesIO() as content:
                archive.addfile(info, content)


def write_archive(out: Path, layers: Sequence[Path], config: Mapping[str, Any], time: int) -> str:
    """Write the archive of an image (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).

    Returns:
        The digest of its manifest.
    """
    files = dict[str, bytes | Path]()

    def described(kind: str, content: bytes | Path) -> dict[str, Any]:
        digest = sha256_hex(content) if isinstance(content, bytes) else _digest(content)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        files[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"{_TYPE}.{kind}", "digest": f"sha256:{digest}", "size": size}

    listed = [described("layer.v1.tar", each) for each in layers]
    configuration = {
        "created": f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "architecture": _MACHINES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in listed]},
    }
    about = described("config.v1+json", canonical_json(configuration))
    manifest = {"schemaVersion": 2, "mediaType": f"{_TYPE}.manifest.v1+json", "config": about, "layers": listed}
    named = described("manifest.v1+json", canonical_json(manifest))
    named["annotations"] = {"org.opencontainers.image.ref.name": "rebuilder:latest"}
    index = {"schemaVersion": 2, "mediaType": f"{_TYPE}.index.v1+json", "manifests": [named]}
    files |= {"oci-layout": canonical_json({"imageLayoutVersion": "1.0.0"}), "index.json": canonical_json(index)}
    with out.open("wb") as archive:
        for name, content in sorted(files.items()):
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            archive.write(tar_members.header(name.encode(), "f", 0o644, size))
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
                while chunk := source.read(1 << 20):
                    archive.write(chunk)
            archive.write(tar_members.padding(size))
        archive.write(tar_members.END)
    return str(named["digest"])


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def make(out: Path, packages: tuple[Package, ...] = ()) -> str:
    """Make the image of the commit that is checked out.

    Args:
        out: The archive to write.
        packages: All that it has; none: what the mirror has.

    Returns:
        The digest of its manifest.
    """
    revision, epoch = _git("log", "-1", "--format=%H %ct").decode().split()
    with tempfile.TemporaryDirectory(prefix="image-") as made:
        place = Path(made)
        source, stage = place / "source", place / "stage"
        source.mkdir()
        subprocess.run(["tar", "-xC", source], input=_git("archive", revision), check=True)
        said = recipe((source / "Dockerfile").read_text())
        root, made_from = _debian(place / "store", _wanted(said, packages))
        home = said.config["WorkingDir"].lstrip("/")
        (stage / home).mkdir(parents=True)
        (stage / PLACE).parent.mkdir()
        _install(root, source, place / "opt", epoch)
        (place / PLACE).rename(stage / PLACE)
        (stage / RECORD).write_bytes(canonical_json(made_from.document()))
        _name_user(root, stage / "etc", said.config["User"], home)
        layers = place / "packages.tar", place / "program.tar"
        write_layer(layers[0], root, TIME)
        write_layer(layers[1], stage, int(epoch), home)
        config = said.config | {"Labels": {"org.opencontainers.image.revision": revision}}
        return write_archive(out, layers, config, int(epoch))


def _wanted(said: Recipe, packages: tuple[Package, ...]) -> Wanted:
    provides, prune = {"python": PYTHON}, tuple(f"usr/share/{each}" for each in _FOR_PEOPLE)
    if packages:
        pinned = Specification(
            method="configured", suite=said.suite, packages=packages, provides=provides, recipe=RECIPE
        )
        if why := why_not_made(pinned):
            raise UsageError(f"That is not made: {why}.")
        return pinned.replace(prune=prune)
    asked = tuple(sorted({"?essential", *said.packages}))
    return Manifest(name="image", suite=said.suite, packages=asked, configured=True, provides=provides, prune=prune)


def _debian(store: Path, wanted: Wanted) -> tuple[Path, Specification]:
    """A tree, and what it was made from whichever day it is."""
    found = _fetched(store, wanted) if isinstance(wanted, Specification) else ()
    maker = Mmdebstrap(as_root=as_root, source=offered(found, store / "offered") if found else None)
    environment = environment_store(store, SystemClock(), report=_say, maker=maker).get(wanted)
    assert environment.specification is not None  # noqa: S101 - it was made here
    return environment.root, environment.specification.content


def _fetched(store: Path, wanted: Specification) -> Sequence[LayerPackage]:
    """The packages of a specification, by name and digest: from mirrors' pools, listed or not, or from a snapshot."""
    _say("fetching the packages that are named")
    config, blobs = load_config(None, {}), DiskBlobs(store / "blobs")
    with ExitStack() as stack:

        def opened(
            ca_bundle: Path | None, credentials: Credentials | None, environment: Mapping[str, str] | None = None
        ) -> HttpFetcher:
            cache, reach = HttpCache(store / "cache"), Reach(config.network.reachable, environment or os.environ)
            fetcher = HttpFetcher(blobs, cache, ca_bundle=ca_bundle, credentials=credentials, reach=reach)
            return stack.enter_context(fetcher)

        return layer_packages(apt_archive(config, blobs, opened), blobs, wanted, config.download_bytes)


def offered(packages: Sequence[LayerPackage], place: Path) -> str:
    """Offer packages, and no others, to apt.

    Returns:
        A source (sources.list(5)).
    """
    place.mkdir()
    text = b""
    for package, file in packages:
        deb = place / f"{package.sha256}.deb"
        deb.hardlink_to(file)
        text += subprocess.run(["dpkg-deb", "-f", deb], capture_output=True, check=True).stdout
        text += f"Filename: {deb.name}\nSize: {deb.stat().st_size}\nSHA256: {package.sha256}\n\n".encode()
    (place / "Packages").write_bytes(text)
    return f"deb [trusted=yes] copy:{place} ./"


def _install(root: Path, source: Path, opt: Path, epoch: str) -> None:
    """Install into ``/opt/rebuilder`` what the lock files bind by digest, as this machine tells pip to fetch it.

    The image's programs see this machine's other files, since pip's settings may name any of them.
    """
    _say("installing the locked wheels")
    opt.mkdir()
    told = {name: value for name, value in os.environ.items() if _TOLD.fullmatch(name)}
    told |= {"PATH": "/usr/bin", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": epoch}
    told |= {"HOME": str(Path.home()), "PIP_NO_CACHE_DIR": "1", "PIP_NO_COMPILE": "1"}
    words = ["bwrap", "--unshare-all", "--share-net", "--die-with-parent", "--uid", str(USER), "--gid", str(USER)]
    words += ["--bind", str(opt), "/opt", "--ro-bind", str(root / "usr"), "/usr"]
    words += [word for each in ("bin", "lib", "lib64", "sbin") for word in ("--symlink", f"usr/{each}", f"/{each}")]
    for each in (*Path("/").iterdir(), *Path("/opt").iterdir()):
        if each.is_dir() and not each.is_symlink() and str(each) not in _OWN:
            words += ["--ro-bind", str(each), str(each)]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    words += ["--ro-bind", str(source), "/src", "--chdir", "/src"]
    words += ["--clearenv", *(word for name, value in told.items() for word in ("--setenv", name, value))]
    subprocess.run([*words, "tools/install-python", f"/{PLACE}", "requirements-service.lock"], check=True)
    compiling = ["-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash", f"/{PLACE}/lib"]
    subprocess.run([*words, f"/{PLACE}/bin/python", *compiling], check=True)


def _name_user(root: Path, etc: Path, name: str, home: str) -> None:
    """Let the image's user stand where a build environment has the one that builds run as."""
    etc.mkdir()
    for file, rest in (("passwd", f"{USER}::/{home}:/usr/sbin/nologin"), ("group", "")):
        lines = [each for each in (root / "etc" / file).read_text().splitlines() if f":{USER}:" not in each]
        (etc / file).write_text("\n".join([*lines, f"{name}:x:{USER}:{rest}", ""]))


def _blob(archive: tarfile.TarFile, digest: str) -> Any:
    return archive.extractfile(f"blobs/{digest.replace(':', '/')}")


def _manifest(archive: tarfile.TarFile) -> Any:
    index: Any = archive.extractfile("index.json")
    return json.load(_blob(archive, json.load(index)["manifests"][0]["digest"]))


def record(file: Path) -> bytes:
    """What an archive that was made here has as its record."""
    with tarfile.open(file) as archive:
        *_, last = _manifest(archive)["layers"]
        with tarfile.open(fileobj=_blob(archive, last["digest"])) as layer:
            found: Any = layer.extractfile(RECORD)
            return bytes(found.read())


def members(file: Path) -> list[dict[str, str]]:
    """What there is in an archive that was made here, by path: first the configuration, then each layer."""
    with tarfile.open(file) as archive:
        manifest = _manifest(archive)
        found = [{name: str(value) for name, value in json.load(_blob(archive, manifest["config"]["digest"])).items()}]
        del found[0]["rootfs"]
        for each in manifest["layers"]:
            with tarfile.open(fileobj=_blob(archive, each["digest"])) as layer:
                found.append({info.name: _told(layer, info) for info in layer})
        return found


def _told(layer: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    content = layer.extractfile(info) if info.isreg() else None
    digest = sha256_hex(content.read()) if content is not None else info.linkname
    return f"{info.type!r} {info.mode:o} {info.uid}:{info.gid} {info.mtime} {digest}"


def differences(one: Path, other: Path) -> list[str]:
    """Where two archives that were made here differ."""
    found = []
    for number, (mine, its) in enumerate(zip(members(one), members(other), strict=True)):
        paths = sorted(each for each in mine.keys() | its.keys() if mine.get(each) != its.get(each))
        more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
        where = f"layer {number}" if number else "the configuration"
        found += [f"{where} in {', '.join(paths[:5])}{more}"] if paths else []
    return found or ["the form of the archive"]


def check(out: Path) -> ExitCode:
    """Make the image, and make it again elsewhere from what it says of itself."""
    revision, digest = _git("rev-parse", "HEAD").decode().strip(), make(out)
    with tempfile.TemporaryDirectory(prefix="elsewhere-") as elsewhere:
        clone, again, like = Path(elsewhere, "clone"), Path(elsewhere, "again.tar"), Path(elsewhere, "image.json")
        like.write_bytes(record(out))
        _git("clone", "--quiet", "--no-checkout", ".", clone)
        subprocess.run(["git", "-C", clone, "checkout", "--quiet", revision], check=True)
        other = {**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "TMPDIR": elsewhere, "SOURCE_DATE_EPOCH": "1"}
        words = [sys.executable, str(clone / "tools" / Path(__file__).name), str(again), "--like", str(like)]
        subprocess.run(words, env=other, cwd="/", umask=0o077, check=True, stdout=subprocess.DEVNULL)
        if _digest(out) == _digest(again):
            print(f"The image came out the same twice: {digest}, {out.stat().st_size:,} bytes, in {out}.")
            return ExitCode.OK
        print(f"The image differs when it is made again: {'; '.join(differences(out, again))}.")
    return ExitCode.DIFFERS


def _git(*words: str | Path) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, check=True).stdout


def _packages(file: Path) -> tuple[Package, ...]:
    """Of the record of an image, which somebody may have written."""
    try:
        return Specification.model_validate(read_json(file.read_bytes())).packages
    except (OSError, ValueError):
        raise UsageError(f"{file} cannot be read as the image.json of an image.") from None


def _say(what: str) -> None:
    print(what, file=sys.stderr)


def main(arguments: list[str]) -> ExitCode:
    """Make the image, and say its digest."""
    parser = argparse.ArgumentParser(description="Make the container image, the same bytes each time.")
    parser.add_argument("file", type=Path, help="the OCI archive to write")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--like", type=Path, help="image.json of the image whose packages are taken")
    how.add_argument("--check", action="store_true", help="make it twice, and say what differs")
    given = parser.parse_args(arguments)
    try:
        if not given.file.parent.is_dir():
            raise UsageError(f"There is no directory {given.file.parent}.")
        packages = _packages(given.like) if given.like is not None else ()
        if _git("status", "--porcelain"):
            _say("What is not committed is not in the image.")
        if given.check:
            return check(given.file)
        digest = make(given.file, packages)
    except (RebuilderError, subprocess.CalledProcessError, OSError) as error:
        why = f"{error.cmd[0]} failed" if isinstance(error, subprocess.CalledProcessError) else str(error)
        _say(f"The image cannot be made: {why.rstrip('.')}. {getattr(error, 'hint', None) or ''}".strip())
        return getattr(error, "exit_code", ExitCode.OUR_FAULT)
    print(f"{digest} is in {given.file}, {given.file.stat().st_size:,} bytes.")
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
