"""What ``uv pip compile`` answers: pins from its lock file, or its reason in plain words. Pure functions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from pydantic import ValidationError

from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import Pin
from rebuilder.model.text import clipped
from rebuilder.network.http.address import bare, shown

_ASK_OPERATOR = "Ask whoever runs the index; without digests nothing it lists can be pinned."
_LONGEST_REASON = 1500
_NO_SOLUTION = "No solution found when resolving dependencies"
_ADVICE = re.compile(r"\s*(?:Consider using|If the failing package) .*$|\s*\^+$")
"""What uv tells those who call it themselves, and the marks below a malformed requirement."""
_ORDER = {"error": 0, "cause": 0, "hint": 1, "warning": 2}
_NEWEST_GLIBC = 60
"""Minor version of glibc up to which wheel tags are ranked; uv has left out what the platform cannot run."""
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def read_lock(text: str, *, python_version: str, machine: str) -> tuple[Pin, ...]:
    """Pins of a PEP 751 lock file that uv wrote for one platform, one wheel each.

    Args:
        text: The lock file.
        python_version: Such as ``3.13``.
        machine: As in wheel tags, such as ``x86_64``.

    Raises:
        UnavailableError: the file is not what PEP 751 describes, or a package has no usable wheel in it.
    """
    try:
        packages = tomllib.loads(text)["packages"]
        return tuple(_pin(package, _ranks(python_version, machine)) for package in packages)
    except (tomllib.TOMLDecodeError, ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
        message = "The lock file that uv wrote has no such shape as PEP 751 describes."
        raise UnavailableError(message, hint="Install the version of uv that the rebuilder was locked with.") from error


def is_statement_about_releases(stderr: str) -> bool:
    """Whether uv says that no releases fit, rather than that the index or uv itself is in trouble.

    uv ends with 1 for both, and has no other structured output, so its words must be looked at: the headline of the
    resolver, and the hints it gives when the index refused access (it then acts as if the project did not exist).
    The tests run the real uv against each case, so that another wording shows when uv is updated.
    """
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    refused = re.search(r"^hint: An index\b.*\b(?:401|403|407) [A-Z]", stderr, re.MULTILINE)
    return errors[:1] == [f"error: {_NO_SOLUTION}"] and refused is None


def reason(stderr: str) -> str:
    """What uv said, as one paragraph: causes first, then hints and warnings; bounded, printable, without passwords.

    The words quote metadata that anybody may have published.
    """
    words: dict[int, list[str]] = {}
    for paragraph in _paragraphs(stderr):
        kind, _, rest = paragraph.partition(": ")
        text = rest if kind in _ORDER else paragraph
        text = _ADVICE.sub("", text)
        if text and text != _NO_SOLUTION:
            words.setdefault(_ORDER.get(kind, 0), []).append(text if text.endswith((".", "!", "?")) else f"{text}.")
    joined = " ".join(each for order in sorted(words) for each in words[order]) or "uv gave no reason."
    joined = re.sub(r"://[^/\s]*@", "://", joined)
    return clipped(joined, _LONGEST_REASON)


def _paragraphs(stderr: str) -> Iterator[str]:
    """Lines, with those that continue the one before (indented) joined to it."""
    current = ""
    for line in stderr.splitlines():
        begins = re.match(r"\s*(?:error|cause|hint|warning): |Resolved ", line)
        if begins or not line.strip():
            if current:
                yield current
            current = "" if line.startswith("Resolved ") else line.strip()
        else:
            current = f"{current} {line.strip()}".strip()
    if current:
        yield current


def _pin(package: Mapping[str, Any], ranks: Mapping[Tag, int]) -> Pin:
    candidates = [(rank, wheel) for wheel in package["wheels"] if (rank := _rank(_filename(wheel), ranks)) is not None]
    if not candidates:
        message = f"uv chose {package['name']} {package['version']}, but none of its wheels fits."
        raise UnavailableError(message, hint="Install the version of uv that the rebuilder was locked with.")
    _, wheel = min(candidates, key=lambda each: each[0])
    sha256 = wheel.get("hashes", {}).get("sha256", "")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise UnavailableError(f"The index gives no sha256 for {shown(wheel['url'])}.", hint=_ASK_OPERATOR)
    return Pin(
        name=package["name"],
        version=package["version"],
        filename=_filename(wheel),
        url=bare(wheel["url"]),
        sha256=sha256,
    )


def _filename(wheel: Mapping[str, Any]) -> str:
    name = wheel.get("name") or unquote(urlsplit(wheel["url"]).path.rpartition("/")[2])
    return str(name)


def _rank(filename: str, ranks: Mapping[Tag, int]) -> tuple[int, tuple[int, str], str] | None:
    """Smaller is better: the best tag, then the higher build number, as uv and pip have it."""
    try:
        _, _, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    fitting = [ranks[tag] for tag in tags if tag in ranks]
    return (min(fitting), (-build[0], build[1]) if build else (0, ""), filename) if fitting else None


@lru_cache(maxsize=16)
def _ranks(python_version: str, machine: str) -> dict[Tag, int]:
    """Tags of a CPython on glibc in order of preference."""
    major, minor = (int(part) for part in python_version.split(".")[:2])
    platforms = []
    for glibc in range(_NEWEST_GLIBC, 4, -1):
        platforms.append(f"manylinux_2_{glibc}_{machine}")
        platforms += [f"{_LEGACY[glibc]}_{machine}"] if glibc in _LEGACY else []
    platforms.append(f"linux_{machine}")
    interpreter = f"cp{major}{minor}"
    tags = [
        *cpython_tags((major, minor), abis=[interpreter], platforms=platforms),
        *compatible_tags((major, minor), interpreter=interpreter, platforms=platforms),
    ]
    return {tag: position for position, tag in reversed(list(enumerate(tags)))}
