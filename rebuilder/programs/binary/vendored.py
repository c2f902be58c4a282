"""Libraries that a wheel brings along: which tool put them there, what they were called, what a bill of materials says.

auditwheel and delvewheel put them into ``NAME.libs`` and add a digest to their names, delocate into ``.dylibs``.
PEP 770 says where bills of materials are.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rebuilder.programs.archive.reading import shown

_GRAFTED = re.compile(r"(?P<stem>.+?)(?:-[0-9a-f]{8})+(?P<rest>\.so(?:\.[\w.]+)?)$")
_GRAFTED_DLL = re.compile(r"(?P<stem>.+?)-[0-9a-f]{32}(?P<rest>\.dll)$", re.IGNORECASE)
_NUMBERED = re.compile(r"\.so\.(\d+(?:\.\d+)+)$|\.(\d+(?:\.\d+)+)\.dylib$")
_COMPONENTS = 500


def vendored(path: str) -> dict[str, Any] | None:
    """The library's origin as the path of the member tells it; None when it is none that was brought along."""
    parts = path.split("/")
    name, directories = parts[-1], parts[:-1]
    tool, original = None, name
    if ".dylibs" in directories or "__dot__dylibs" in directories:
        tool = "delocate"
    elif any(each.endswith(".libs") for each in directories):
        plain = _GRAFTED.match(name) or _GRAFTED_DLL.match(name)
        tool = "delvewheel" if name.lower().endswith(".dll") else "auditwheel"
        original = plain["stem"] + plain["rest"] if plain else name
    if tool is None:
        return None
    numbered = _NUMBERED.search(original)
    version = next((each for each in numbered.groups() if each), None) if numbered else None
    return {
        "tool": tool,
        "original": shown(original, 120),
        "version": shown(version, 40) if version else None,
        "version_from": "file name" if version else None,
        "origin": None,
    }


def stem(original: str) -> str:
    """What a library is called: ``png16`` of ``libpng16.so.16.50.0``."""
    name = re.split(r"\.(?:so|dll|dylib)\b|\.\d+(?:\.\d+)*\.dylib", original, maxsplit=1)[0]
    return name[3:] if name.startswith("lib") else name


def read_origins(documents: list[bytes]) -> dict[str, dict[str, str]]:
    """Components of bills of materials (CycloneDX, JSON) by their name; what cannot be read says nothing."""
    found: dict[str, dict[str, str]] = {}
    for document in documents:
        try:
            components = json.loads(document)["components"]
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
        for each in components[:_COMPONENTS] if isinstance(components, list) else []:
            fields = [each.get(name) for name in ("name", "version", "purl")] if isinstance(each, dict) else [None]
            if all(isinstance(field, str) for field in fields):
                name, version, purl = map(str, fields)
                origin = {
                    "version": shown(version, 60),
                    "version_from": "bill of materials",
                    "origin": shown(purl, 200),
                }
                found.setdefault(name.lower(), origin)
    return found


def origin_of(original: str, origins: dict[str, dict[str, str]]) -> dict[str, str] | None:
    """What a bill of materials says of a library, if one of its components is called like it."""
    name = stem(original).lower()
    return origins.get(name) or origins.get(f"lib{name}")
