"""The changelog entry of a binary-only upload (``+bN``): a text of the package that its build needs.

A builder writes it in front of the source's changelog, and ``dh_installchangelogs`` puts it into a file of its own
that only this architecture has. It is taken apart strictly, and what goes into a build is written anew from the parts:
a text that is not the same again is none.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import NamedTuple

from rebuilder.ecosystems.debian.index import SourceName
from rebuilder.model.replayed import Replayed, told_before

_ENTRY = re.compile(
    r"(?P<source>[a-z0-9][a-z0-9+.-]+) \((?P<version>[0-9][A-Za-z0-9.+~:-]*)\) (?P<suite>[a-z][a-z0-9-]{0,59}); "
    r"urgency=(?P<urgency>low|medium|high), binary-only=yes\n"
    r"\n"
    r"  \* Binary-only non-maintainer upload for (?P<architecture>[a-z0-9-]+); no source changes\.\n"
    r"(?P<reason>(?:  (?:\* |  )[^\n]+\n)+)"
    r"\n"
    r" -- (?P<maintainer>[^<>\n]{1,100} <[^<>\s]{3,100}>)  (?P<date>[^\n]{25,31})\n"
    r"(?P<blank>\n{0,3})"
)
_LONGEST_REASON = 400
_SECOND_BITS, _CHARACTER_BITS = 32, 7
_ZONE_BITS = 12
"""Of minutes that a day has, before and after UTC."""
_SUITE = re.compile(
    r"(?:bullseye|bookworm|trixie|forky|duke|oldstable|stable|testing|unstable|sid|experimental)"
    r"(?:-backports(?:-sloppy)?|-proposed-updates|-updates|-security|-lts)?"
)
"""Suites that builders build for; a word that is none of them is counted by its letters."""
_SUITE_BITS, _LETTER_BITS = 7, 6


class BinaryOnlyEntry(NamedTuple):
    """Its parts."""

    source: str
    version: str
    suite: str
    urgency: str
    architecture: str
    reason: tuple[str, ...]
    """Lines, with what they begin with."""
    maintainer: str
    moment: datetime
    blank: int
    """Empty lines at its end."""

    @property
    def text(self) -> str:
        """As it stands in the package."""
        head = f"{self.source} ({self.version}) {self.suite}; urgency={self.urgency}, binary-only=yes\n\n"
        first = f"  * Binary-only non-maintainer upload for {self.architecture}; no source changes.\n"
        body = "".join(f"{line}\n" for line in self.reason)
        return f"{head}{first}{body}\n -- {self.maintainer}  {_date(self.moment)}\n" + "\n" * self.blank

    @property
    def written(self) -> str:
        """As its builder wrote it in front of a changelog: tools take the empty line behind it away in the package."""
        return self.text if self.blank else f"{self.text}\n"

    @property
    def replayed(self) -> tuple[Replayed, ...]:
        """What of it is read from the package, and not said by its name."""
        reason = " ".join(line[4:] for line in self.reason)
        suite = _SUITE_BITS if _SUITE.fullmatch(self.suite) else _LETTER_BITS * len(self.suite)
        zone = _ZONE_BITS if self.moment.utcoffset() else 0
        return (
            told_before("binary-only-date", _date(self.moment), _SECOND_BITS + zone),
            told_before("binary-only-form", f"{self.suite}, {self.urgency}, {self.blank} empty lines", suite + 4),
            told_before("binary-only-maintainer", self.maintainer, _CHARACTER_BITS * len(self.maintainer)),
            told_before("binary-only-reason", reason, _CHARACTER_BITS * sum(map(len, self.reason))),
        )


def parsed(text: str, wanted: SourceName, version: str, architecture: str) -> BinaryOnlyEntry | None:
    """Take an entry apart; None where it is none, is another one's, or does not come out the same again.

    The text is hostile.
    """
    found = _ENTRY.fullmatch(text)
    if found is None or not text.isascii() or not all(map(str.isprintable, text.split("\n"))):
        return None
    try:
        moment = parsedate_to_datetime(found["date"])
    except (ValueError, OverflowError):
        return None
    entry = BinaryOnlyEntry(
        source=found["source"],
        version=found["version"],
        suite=found["suite"],
        urgency=found["urgency"],
        architecture=found["architecture"],
        reason=tuple(found["reason"].splitlines()),
        maintainer=found["maintainer"],
        moment=moment,
        blank=len(found["blank"]),
    )
    own = (entry.source, entry.version, entry.architecture) == (wanted.name, version, architecture)
    short = len(found["reason"]) <= _LONGEST_REASON
    counted = moment.tzinfo is not None and 0 <= moment.timestamp() < 1 << _SECOND_BITS
    return entry if own and short and counted and entry.text == text else None


def _date(moment: datetime) -> str:
    return format_datetime(moment)
