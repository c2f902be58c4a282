"""A small real build backend (PEP 517), standard library only, for rebuilds that need no internet.

It is put into a wheel by :func:`tests.fakes.projects.minibackend_wheel`. With ``SOURCE_DATE_EPOCH`` every
member has that time; without it source files keep the time they have on disk and ``.dist-info`` gets the
time flit writes. ``[tool.minibackend]`` in ``pyproject.toml`` makes it misbehave on purpose: ``fail``
(a message), ``random`` (true: one member has random bytes), ``now`` (true: ``.dist-info`` has the wall clock),
``embed`` (names of things around the build that one member then holds, see ``_embedded``),
``seconds`` (how long it takes, but for its author), ``sboms`` (files that go into ``.dist-info/sboms``, PEP 770).
Members are stored, not deflated, so that no zlib version shows in the output.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import locale
import os
import platform
import sys
import tarfile
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

__version__ = "1.0"
FLIT_TIME = (2016, 1, 1, 0, 0, 0)
Moment = tuple[int, int, int, int, int, int]


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """What ``[tool.minibackend] requires`` says: requirements beyond ``[build-system] requires``."""
    return list(_project()[1].get("requires", []))


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel of the project in the working directory (PEP 517)."""
    project, options = _project()
    if "fail" in options:
        sys.exit(str(options["fail"]))
    if "MINIBACKEND_NOW" not in os.environ:
        time.sleep(options.get("seconds", 0))
    name, version = project["name"].replace("-", "_"), project["version"]
    members = _source_members(name)
    if options.get("random"):
        members.append((f"{name}/_random.py", b"token = " + repr(os.urandom(8)).encode() + b"\n", FLIT_TIME, 0o644))
    if "embed" in options:
        members.append((f"{name}/_embedded.py", _embedded(name, options["embed"]).encode(), FLIT_TIME, 0o644))
    for sbom in options.get("sboms", []):
        member = f"{name}-{version}.dist-info/sboms/{Path(sbom).name}"
        members.append((member, Path(sbom).read_bytes(), FLIT_TIME, 0o644))
    metadata_time = _moment(float(os.environ.get("MINIBACKEND_NOW", time.time())) if options.get("now") else None)
    for filename, text in (("METADATA", _metadata(project)), ("WHEEL", _wheel(options))):
        members.append((f"{name}-{version}.dist-info/{filename}", text.encode(), metadata_time, 0o644))
    members.append(_record(f"{name}-{version}.dist-info/RECORD", members, metadata_time))
    filename = f"{name}-{version}-{options.get('tag', 'py3-none-any')}.whl"
    with zipfile.ZipFile(Path(wheel_directory) / filename, "w", zipfile.ZIP_STORED) as archive:
        for path, data, moment, mode in members:
            info = zipfile.ZipInfo(path, moment)
            info.create_system = 3
            info.external_attr = (0o100000 | mode) << 16
            archive.writestr(info, data)
    return filename


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Build the source archive (PEP 625) of the project in the working directory.

    All files but hidden ones, and a ``PKG-INFO``; with ``SOURCE_DATE_EPOCH`` everything has that time.
    """
    project, _options = _project()
    top = f"{project['name'].replace('-', '_')}-{project['version']}"
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(each for each in Path().rglob("*") if each.is_file()):
            if not any(part.startswith(".") for part in path.parts):
                when = int(epoch) if epoch else int(path.stat().st_mtime)
                _add(archive, f"{top}/{path.as_posix()}", path.read_bytes(), when)
        _add(archive, f"{top}/PKG-INFO", _metadata(project).encode(), int(epoch) if epoch else 0)
    data = gzip.compress(tar.getvalue(), mtime=int(epoch) if epoch else 0)
    (Path(sdist_directory) / f"{top}.tar.gz").write_bytes(data)
    return f"{top}.tar.gz"


def _embedded(name: str, wanted: list[str]) -> str:
    """A line for each thing around the build that is asked for."""
    Path("made").touch()
    values: dict[str, Any] = {
        "path": str(Path.cwd()),
        "umask": oct(Path("made").stat().st_mode),
        "locale": locale.setlocale(locale.LC_CTYPE, ""),
        "zone": time.strftime("%H:%M", time.localtime(0)),
        "set": " ".join({"alpha", "beta", "gamma", "delta", "epsilon"}),
        "cpus": len(os.sched_getaffinity(0)),
        "host": platform.node(),
        "listing": " ".join(each.name for each in Path(name).iterdir()),
        "user": os.environ.get("USER", "nobody"),
        "time": os.environ.get("SOURCE_DATE_EPOCH", time.time_ns()),
    }
    return "".join(f"{each} = {str(values[each])!r}\n" for each in wanted)


def _add(archive: tarfile.TarFile, name: str, data: bytes, when: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), when, 0o644
    archive.addfile(info, io.BytesIO(data))


def _project() -> tuple[dict[str, Any], dict[str, Any]]:
    document = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    return document["project"], document.get("tool", {}).get("minibackend", {})


def _moment(seconds: float | None) -> Moment:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        seconds = int(epoch)
    if seconds is None:
        return FLIT_TIME
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return (year, month, day, hour, minute, second) if year >= 1980 else (1980, 1, 1, 0, 0, 0)


def _source_members(name: str) -> list[tuple[str, bytes, Moment, int]]:
    paths = [Path(f"{name}.py")] if Path(f"{name}.py").is_file() else sorted(Path(name).rglob("*"))
    return [
        (
            path.as_posix(),
            path.read_bytes(),
            _moment(path.stat().st_mtime),
            0o755 if os.access(path, os.X_OK) else 0o644,
        )
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    ]


def _metadata(project: dict[str, Any]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    if "requires-python" in project:
        lines.append(f"Requires-Python: {project['requires-python']}")
    lines += [f"Requires-Dist: {each}" for each in project.get("dependencies", [])]
    return "\n".join(lines) + "\n"


def _wheel(options: dict[str, Any]) -> str:
    tag = options.get("tag", "py3-none-any")
    return f"Wheel-Version: 1.0\nGenerator: minibackend {__version__}\nRoot-Is-Purelib: true\nTag: {tag}\n"


def _record(path: str, members: list[tuple[str, bytes, Moment, int]], moment: Moment) -> tuple[str, bytes, Moment, int]:
    lines = []
    for name, data, *_rest in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return path, ("".join(lines) + f"{path},,\n").encode(), moment, 0o644
