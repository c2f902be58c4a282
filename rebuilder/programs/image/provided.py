"""What a tree has that builds look for: interpreters, a compiler, auditwheel. It is read, and nothing of it is run."""

from __future__ import annotations

import os
import re

from rebuilder.programs.image.tree import resolved

_TAG = re.compile(r"cp(3)(\d{1,2})-(?:cp|abi)\w{1,12}")
_SYSTEM = re.compile(r"python(3\.\d{1,2})")
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,2}")
_TOOL = re.compile(r"(auditwheel|pip)-(\d{1,4}(?:\.\d{1,4}){0,3})(?:-[\w.]+)?\.(?:dist|egg)-info")


def provided(root: str) -> dict[str, str]:
    """By rule: ``python`` of the system, interpreters below ``opt/python`` by their tag, ``gcc``, and some tools.

    Images of the manylinux and musllinux kind have interpreters as ``/opt/python/TAG/bin/python`` and tools in
    directories of their own below ``/opt/_internal`` (PEP 513 and those after it; https://github.com/pypa/manylinux).
    """
    found = {}
    for tag in _names(root, "opt/python"):
        match = _TAG.fullmatch(tag)
        if match is not None and _program(root, f"opt/python/{tag}/bin/python"):
            found[tag] = f"{match[1]}.{match[2]}"
    for directory in ("usr/bin", "usr/local/bin"):
        place = resolved(root, f"{directory}/python3")
        version = _SYSTEM.fullmatch(os.path.basename(place or ""))
        if "python" not in found and version is not None and _program(root, f"{directory}/python3"):
            found["python"] = version[1]
    compilers = [each for place in _compilers(root) for each in _names(root, place) if _VERSION.fullmatch(each)]
    if compilers:
        found["gcc"] = _newest(compilers)
    tools: dict[str, list[str]] = {}
    for place in _packages(root):
        for match in filter(None, map(_TOOL.fullmatch, _names(root, place))):
            tools.setdefault(match[1], []).append(match[2])
    return found | {name: _newest(versions) for name, versions in tools.items()}


def _newest(versions: list[str]) -> str:
    return max(versions, key=lambda each: [int(part) for part in each.split(".")])


def _compilers(root: str) -> list[str]:
    tops = ["usr", *(f"opt/rh/{each}/root/usr" for each in _names(root, "opt/rh"))]
    return [f"{top}/lib/gcc/{each}" for top in tops for each in _names(root, f"{top}/lib/gcc")]


def _packages(root: str) -> list[str]:
    tools = [f"opt/_internal/{each}" for each in _names(root, "opt/_internal")]
    tools += [f"opt/_internal/pipx/venvs/{each}" for each in _names(root, "opt/_internal/pipx/venvs")]
    places = [f"{top}/lib/{each}" for top in ("usr", "usr/local", *tools) for each in _names(root, f"{top}/lib")]
    return [f"{place}/{kind}" for place in places for kind in ("site-packages", "dist-packages") if "/python3" in place]


def _names(root: str, path: str) -> list[str]:
    place = resolved(root, path)
    return sorted(os.listdir(place)) if place is not None and os.path.isdir(place) else []


def _program(root: str, path: str) -> bool:
    place = resolved(root, path)
    return place is not None and os.path.isfile(place) and bool(os.stat(place).st_mode & 0o111)
