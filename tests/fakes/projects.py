"""Builders of small real source archives and wheels, so that tests need no files and no internet."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MINIBACKEND = Path(__file__).with_name("minibackend.py")
SOME_TIME = datetime(2024, 3, 1, 12, 0, 0, tzinfo=UTC)
"""Default time of files in archives: even seconds, since ZIP keeps no odd ones."""
EPOCH = int(datetime(2024, 5, 5, 5, 5, 4, tzinfo=UTC).timestamp())
"""For ``SOURCE_DATE_EPOCH``."""
UPLOADED = datetime(2024, 6, 1, tzinfo=UTC)

TRUSTED: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Archives here are our own; Python before 3.11.4 has no filters, later ones want to be told."""


@dataclass(frozen=True)
class Distribution:
    """A file as a registry would publish it."""

    project: str
    filename: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Digest of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


def make_sdist(
    name: str,
    version: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    backend: str = "minibackend",
    requires: Sequence[str] = ("minibackend==1.0",),
    tool: str = "",
    time: datetime = SOME_TIME,
    times: Mapping[str, datetime] | None = None,
    modes: Mapping[str, int] | None = None,
) -> Distribution:
    """A source archive (PEP 625) with a ``pyproject.toml``, and by default one module of the project's name.

    Args:
        name: Project name.
        version: Its version.
        files: Path below the top directory to content; a ``pyproject.toml`` here wins over the made one.
        backend: ``[build-system] build-backend``.
        requires: ``[build-system] requires``.
        tool: TOML text added to the end of ``pyproject.toml``.
        time: Modification time of every file not in ``times``.
        times: Modification times by path.
        modes: Modes by path, otherwise 0644.
    """
    module = name.replace("-", "_")
    members: dict[str, str | bytes] = {
        "pyproject.toml": (
            f'[build-system]\nrequires = {list(requires)!r}\nbuild-backend = "{backend}"\n'
            f'\n[project]\nname = "{name}"\nversion = "{version}"\n{tool}'
        ),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    members |= {f"{module}/__init__.py": f'version = "{version}"\n'} if files is None else files
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(f"{module}-{version}/{path}")
            info.size = len(data)
            info.mtime = int((times or {}).get(path, time).timestamp())
            info.mode = (modes or {}).get(path, 0o644)
            archive.addfile(info, io.BytesIO(data))
    return Distribution(name, f"{module}-{version}.tar.gz", gzip.compress(tar.getvalue(), mtime=0))


def make_wheel(
    name: str,
    version: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    generator: str = "minibackend 1.0",
    tag: str = "py3-none-any",
    requires: Sequence[str] = (),
    requires_python: str | None = None,
    time: datetime = SOME_TIME,
    metadata_time: datetime | None = None,
    times: Mapping[str, datetime] | None = None,
    modes: Mapping[str, int] | None = None,
    metadata: str = "",
) -> Distribution:
    """A wheel written member by member, for what no backend would write.

    Args:
        name: Project name.
        version: Its version.
        files: Path in the wheel to content; by default one module of the project's name.
        generator: ``Generator`` of ``WHEEL``.
        tag: Compatibility tag, also in the file name.
        requires: ``Requires-Dist`` lines.
        requires_python: ``Requires-Python``.
        time: Time of every member not in ``times``.
        metadata_time: Time of ``.dist-info`` members; ``time`` when None.
        times: Times by path.
        modes: Modes by path, otherwise 0644.
        metadata: Lines added to the end of ``METADATA``.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    members = {f"{module}/__init__.py": f'version = "{version}"\n'} if files is None else dict(files)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    head += f"Requires-Python: {requires_python}\n" if requires_python else ""
    members[f"{info}/METADATA"] = head + "".join(f"Requires-Dist: {each}\n" for each in requires) + metadata
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: {generator}\nRoot-Is-Purelib: true\nTag: {tag}\n"
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, content in members.items():
            default = metadata_time if metadata_time is not None and path.startswith(f"{info}/") else time
            moment = (times or {}).get(path, default)
            member = zipfile.ZipInfo(path, moment.timetuple()[:6])
            member.create_system = 3
            member.external_attr = (0o100000 | (modes or {}).get(path, 0o644)) << 16
            archive.writestr(member, content)
    return Distribution(name, f"{module}-{version}-{tag}.whl", buffer.getvalue())


def minibackend_wheel(version: str = "1.0") -> Distribution:
    """The build backend of ``minibackend.py`` as a wheel, for a registry to serve as a build dependency."""
    source = MINIBACKEND.read_text(encoding="utf-8").replace('__version__ = "1.0"', f'__version__ = "{version}"')
    return make_wheel("minibackend", version, {"minibackend.py": source}, generator="by-hand 1")


def build(sdist: Distribution, *, epoch: int | None = None) -> Distribution:
    """The wheel ``minibackend`` makes of a source archive on this machine, as its author would have published it.

    Args:
        sdist: From :func:`make_sdist`.
        epoch: ``SOURCE_DATE_EPOCH`` the author had set; None when there was none.
    """
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(fileobj=io.BytesIO(sdist.data)) as archive:
            archive.extractall(directory, **TRUSTED)
        tree = Path(directory) / sdist.filename.removesuffix(".tar.gz")
        return _call_backend("build_wheel", sdist.project, tree, epoch)


def compressed_by_another_program(wheel: Distribution) -> Distribution:
    """The same wheel, compressed as no setting of zlib that backends use would have it."""
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as old, zipfile.ZipFile(data, "w") as new:
        for each in old.infolist():
            content = old.read(each)
            each.compress_type = zipfile.ZIP_DEFLATED
            with new.open(each, "w") as member:
                member._compressor = zlib.compressobj(6, zlib.DEFLATED, -15, 8, zlib.Z_FIXED)  # type: ignore[attr-defined]
                member.write(content)
    return replace(wheel, data=data.getvalue())


def package(project: str, tree: Path, *, epoch: int | None = None) -> Distribution:
    """The source archive ``minibackend`` makes of a work tree on this machine, as an author would publish it."""
    return _call_backend("build_sdist", project, tree, epoch)


def _call_backend(hook: str, project: str, tree: Path, epoch: int | None) -> Distribution:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "minibackend.py").write_bytes(MINIBACKEND.read_bytes())
        (root / "out").mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(root),
            "MINIBACKEND_NOW": str(SOME_TIME.timestamp() + 3600),
        }
        environment |= {} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)}
        code = f"import sys, minibackend; print(minibackend.{hook}(sys.argv[1]))"
        done = subprocess.run(
            [sys.executable, "-S", "-P", "-c", code, str(root / "out")],
            cwd=tree,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
        filename = done.stdout.strip()
        return Distribution(project, filename, (root / "out" / filename).read_bytes())


def _record(members: Mapping[str, str | bytes], path: str) -> str:
    lines = []
    for name, content in members.items():
        data = content.encode() if isinstance(content, str) else content
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join(lines) + f"{path},,\n"
