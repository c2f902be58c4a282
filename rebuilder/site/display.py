"""How raw values are shown: sizes, times, digests, links, and text that somebody hostile may have written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from rebuilder.model.incident import Touched
from rebuilder.model.report import Summary, page_path
from rebuilder.model.text import visible as text_visible

SHORT = 120
"""Characters of a name that a table shows before it is cut."""
LONG = 600
"""Characters of a sentence or a command line before it is cut."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_HTTP = re.compile(r"https?://[!-~]+\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, for a reader and for a machine."""

    text: str
    iso: str


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest in full, and the part of it that a narrow column shows."""

    full: str
    short: str


def visible(text: str, limit: int = LONG) -> str:
    """:func:`rebuilder.model.text.visible`, no longer than a page has room for."""
    return text_visible(text, limit)


def log_tail(data: bytes, lines: int = 40, width: int = 400) -> str:
    """The last lines of a log as visible text; colour sequences go, since they carry no words."""
    tail = data[-lines * width * 2 :].decode("utf-8", "backslashreplace")
    kept = _COLOURS.sub("", tail).rstrip().split("\n")[-lines:]
    return "\n".join(visible(line.rstrip("\r").expandtabs(), width) for line in kept)


def plain_lines(data: bytes, lines: int = 2000) -> str:
    """The first lines of a text document as visible text."""
    kept = data.decode("utf-8", "backslashreplace").rstrip().split("\n")
    shown = [visible(line.rstrip("\r").expandtabs(), LONG) for line in kept[:lines]]
    if len(kept) > lines:
        shown.append(f"… {len(kept) - lines:,} more lines")
    return "\n".join(shown)


def size(count: int | None) -> str:
    """A size, exact and in a unit a person reads: ``70,442 bytes (68.8 KiB)``."""
    if count is None:
        return "not stated"
    if count < 1024:
        return f"{count} {'byte' if count == 1 else 'bytes'}"
    return f"{count:,} bytes ({memory(count)})"


def memory(count: float) -> str:
    """A size in the largest binary unit that leaves a number of at least one."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def duration(seconds: float) -> str:
    """A length of time: ``84 ms``, ``3.2 s``, ``4 min 05 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def span(length: timedelta) -> str:
    """A length of time as one says it: ``12 minutes``, ``3 hours``, ``2 days``; rounded down."""
    minutes = max(0, int(length.total_seconds()) // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return count(minutes, "minute", "minutes")
    hours = minutes // 60
    return count(hours, "hour", "hours") if hours < 48 else count(hours // 24, "day", "days")


def moment(when: datetime) -> Moment:
    """A time in UTC, to the minute for the reader; one without a zone is taken as UTC."""
    utc = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return Moment(f"{utc:%Y-%m-%d %H:%M} UTC", utc.strftime("%Y-%m-%dT%H:%M:%SZ"))


def digest(value: str, length: int = 16) -> Digest:
    """A digest and its first characters."""
    shown = visible(value, 128)
    return Digest(shown, shown if len(shown) <= length else f"{shown[:length]}…")


def link(url: str) -> str | None:
    """The address itself when it is safe to follow, else None: it is then shown as text only.

    Safe means http or https, printable ASCII, a host, and no user name that could pose as one.
    """
    if len(url) > 2000 or not _HTTP.match(url):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return url if host and "@" not in parts.netloc else None


def secure_link(url: str | None) -> str | None:
    """Like :func:`link`, for addresses out of certificates and unsigned claims: https only."""
    return link(url) if url is not None and url[:8].lower() == "https://" else None


def count(number: int, one: str, many: str) -> str:
    """A number with its noun: ``1 file``, ``2,410 files``."""
    return f"{number:,} {one if number == 1 else many}"


def more(number: int, one: str, many: str) -> str | None:
    """The same of what is left out; None where nothing is."""
    return count(number, one, many) if number > 0 else None


def page_href(root: str, summary: Summary | Touched) -> str:
    """Relative address of an artifact's page; ``root`` leads from the present page to the site's root.

    Directory names are percent-encoded on disk already, so their percent signs are encoded once more here.
    """
    path = page_path(summary.ecosystem, summary.name, summary.version, summary.filename, summary.sha256)
    return f"{root}{quote(path, safe='/+!~@')}/index.html"
