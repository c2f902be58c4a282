"""Lines of a project with ``debian/`` that a cause may come from: they ask for what it is about (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rebuilder.ecosystems.places import lines_of
from rebuilder.model.diagnosis import Cause
from rebuilder.model.project import Place

BUILD_FILES = re.compile(
    r"debian/(?:rules|[^/]*\.(?:sh|pl|py))|(?:.*/)?(?:(?:GNU)?[Mm]akefile(?:\.(?:am|in))?|CMakeLists\.txt|meson\.build"
    r"|configure\.(?:ac|in)|[^/]+\.(?:mk|cmake|sh|c|cc|cpp|h|hh|py|pl|m4))"
)
"""Paths of files that say how the packages are built, or are run for it."""
_DATE = r"(?P<before>(?:^|[`;&(]|\bshell |\bthen )\s*)date\b"
_ASKS = {
    Cause.EMBEDDED_PATH: r"\$[({]CURDIR|\$[({]?PWD\b|\bpwd\b|__FILE__|CMAKE_\w*(?:SOURCE|BINARY)_DIR|getcwd\(",
    Cause.EMBEDDED_TIME: rf"{_DATE}|__(?:DATE|TIME|TIMESTAMP)__|\btime\.\w*time\(|\blocaltime\b|string\(TIMESTAMP",
    Cause.FILE_ORDER: r"\bfind \S|\$\(wildcard |\bls\b|readdir\(|listdir\(|\bglob\(|file\(GLOB",
    Cause.LOCALE: r"\bsort\b|\blocale\b|setlocale\(|strftime\(",
    Cause.TIME_ZONE: r"\blocaltime|strftime\(|\bdate\b",
    Cause.HOST_OR_USER_NAME: r"hostname\b|\bwhoami\b|\buname -[na]|\$[({]?(?:USER|LOGNAME|HOME)\b|getuser\(",
    Cause.CPU_DEPENDENT: r"\bnproc\b|-march=native|_NPROCESSORS|cpu_count\(|/proc/cpuinfo",
    Cause.RANDOMNESS: r"\$RANDOM|/dev/u?random|\bmktemp\b|\buuid(?:gen|4)?\b|\brand(?:om)?\(",
}
_PATTERNS = {cause: re.compile(pattern) for cause, pattern in _ASKS.items()}
_UNTOLD_DATE = re.compile(rf"{_DATE}(?! [^`);|>]*(?:-d|--date|-r|--reference)\b)(?: -u\b)?")
_FIRST = ("debian/rules", "Makefile")


def places(cause: Cause, texts: Mapping[str, str]) -> tuple[Place, ...]:
    """Lines that ask for what a cause is about."""
    pattern = _PATTERNS.get(cause)
    return lines_of(pattern, texts, first=_FIRST) if pattern is not None else ()


def mended(cause: Cause, found: Sequence[Place], texts: Mapping[str, str]) -> dict[str, str]:
    """The file with the one line that asks ``date``, asking it for the time that ``dpkg-buildpackage`` tells."""
    if cause is not Cause.EMBEDDED_TIME or len(found) != 1:
        return {}
    [place] = found
    name = place.file.rpartition("/")[2]
    makes = name == "rules" or name.endswith(".mk") or "akefile" in name
    told = "$(SOURCE_DATE_EPOCH)" if makes else "${SOURCE_DATE_EPOCH}"
    lines = texts[place.file].splitlines(keepends=True)
    line = lines[place.line - 1]
    lines[place.line - 1] = _UNTOLD_DATE.sub(rf"\g<before>date -u -d @{told}", line)
    return {place.file: "".join(lines)} if lines[place.line - 1] != line else {}
