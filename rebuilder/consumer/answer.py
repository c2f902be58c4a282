"""What came out about each dependency, and about all of them: one value for the table, JSON, SARIF and JUnit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from rebuilder.consumer.lock_files import Dependency, LockedFile
from rebuilder.consumer.vote import Level, Vote
from rebuilder.errors import ExitCode
from rebuilder.model.text import visible
from rebuilder.model.value import Sha256

_SHOWN = 300


class Standing(StrEnum):
    """What is to be done with a dependency; a difference is never mistaken for a lack of answers."""

    PASSED = "passed"
    EXCEPTED = "excepted"
    """It does not pass, and an exception of the policy lets it through."""
    TOLERATED = "tolerated"
    """Nothing speaks against it, too little for it, and the policy lets that through."""
    UNDECIDED = "undecided"
    """Nothing speaks against it, and too little for it."""
    UNANSWERED = "unanswered"
    """The same, and a rebuilder could not be read."""
    DIFFERS = "differs"
    """A rebuilder that is trusted says that its rebuild differs."""
    REFUSED = "refused"
    """What a rebuilder shows about it was changed, or contradicts itself."""

    @property
    def passes(self) -> bool:
        """Whether it may be installed."""
        return self in {Standing.PASSED, Standing.EXCEPTED, Standing.TOLERATED}

    @property
    def icon(self) -> str:
        """One character, always beside the word."""
        return _ICONS[self]


_ICONS = {
    Standing.PASSED: "✓",
    Standing.EXCEPTED: "~",
    Standing.TOLERATED: "○",
    Standing.UNDECIDED: "?",
    Standing.UNANSWERED: "!",
    Standing.DIFFERS: "≠",
    Standing.REFUSED: "✗",
}
_CODES = {
    Standing.UNDECIDED: ExitCode.UNDECIDED,
    Standing.UNANSWERED: ExitCode.OUR_FAULT,
    Standing.DIFFERS: ExitCode.DIFFERS,
    Standing.REFUSED: ExitCode.DIFFERS,
}
_SEVERITY = (ExitCode.OK, ExitCode.UNDECIDED, ExitCode.OUR_FAULT, ExitCode.DIFFERS)


@dataclass(frozen=True)
class Answer:
    """What the rebuilders say about one dependency."""

    dependency: Dependency
    file: LockedFile | None
    """The file that counts; None where it is not known."""
    standing: Standing
    sentence: str
    """Why, in words."""
    counted: tuple[Vote, ...] = ()
    """Votes that count, one for each operator; the strongest first."""
    votes: tuple[Vote, ...] = ()
    """All that were read."""

    @property
    def name(self) -> str:
        """The file as whoever asked knows it; the package where nobody named a file."""
        return (self.file.filename if self.file is not None else None) or self.dependency.label

    @property
    def filename(self) -> str | None:
        """Of the file; where the lock file does not say, as a rebuilder calls it."""
        if self.file is None:
            return None
        return self.file.filename or next((each.filename for each in self.votes), None)

    @property
    def sha256(self) -> Sha256 | None:
        """Of the file; where the lock file does not say, as the statement that names it by its SHA-512 does."""
        if self.file is None:
            return None
        return self.file.sha256 or next((each.sha256 for each in self.votes), None)

    @property
    def level(self) -> Level | None:
        """What all that count agree on: the weakest level among them."""
        levels = [each.level for each in self.counted if each.level is not None]
        return max(levels, key=list(Level).index, default=None)

    def document(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "ecosystem": self.dependency.ecosystem or None,
            "name": self.dependency.name,
            "version": self.dependency.version,
            "place": self.dependency.place,
            "filename": self.filename,
            "sha256": self.sha256,
            "sha512": self.file.sha512 if self.file is not None else None,
            "standing": self.standing.value,
            "sentence": self.sentence,
            "level": self.level,
            "counted": len(self.counted),
            "votes": [each.document() for each in self.votes],
        }


@dataclass(frozen=True)
class Outcome:
    """The answers about everything that was asked for."""

    answers: tuple[Answer, ...]
    rebuilders: tuple[str, ...]
    """Names of those that were asked."""
    now: datetime
    remarks: tuple[str, ...] = ()
    refused: tuple[str, ...] = field(default=())
    """What is wrong with a rebuilder as a whole, as sentences."""

    @property
    def code(self) -> ExitCode:
        """By the worst of all."""
        codes = [_CODES.get(each.standing, ExitCode.OK) for each in self.answers]
        return max([*codes, ExitCode.DIFFERS if self.refused else ExitCode.OK], key=_SEVERITY.index)

    @property
    def sentence(self) -> str:
        """The counts, with what they are of."""
        total = len(self.answers)
        standings = Counter(each.standing for each in self.answers)
        levels = Counter(each.level for each in self.answers if each.standing is Standing.PASSED)
        how = [f"{levels[level]} {_LEVEL_WORDS[level]}" for level in Level if levels[level]]
        words = _STANDING_WORDS | ({Standing.DIFFERS: "differs"} if standings[Standing.DIFFERS] == 1 else {})
        lacks = [f"{standings[each]} {words[each]}" for each in Standing if standings[each] and each.value != "passed"]
        passed = f"{standings[Standing.PASSED]} of {total} {'is' if total == 1 else 'are'} confirmed"
        return passed + (f" ({', '.join(how)})" if how else "") + (f"; {', '.join(lacks)}" if lacks else "") + "."

    def document(self) -> dict[str, Any]:
        """As plain JSON types (docs/check.md)."""
        return {
            "checked": self.now.isoformat(timespec="seconds"),
            "rebuilders": list(self.rebuilders),
            "counts": {each.value: sum(one.standing is each for one in self.answers) for each in Standing},
            "total": len(self.answers),
            "sentence": self.sentence,
            "remarks": list(self.remarks),
            "refused": list(self.refused),
            "answers": [each.document() for each in self.answers],
        }

    def table(self) -> list[str]:
        """Lines for a terminal: one for each dependency, and why where it does not pass."""
        rows = [self._row(each) for each in self.answers]
        widths = [max(map(len, column)) for column in zip(*[_HEAD, *rows], strict=True)]
        lines = ["  " + _line(_HEAD, widths)]
        for answer, row in zip(self.answers, rows, strict=True):
            lines.append(f"{answer.standing.icon} {_line(row, widths)}")
            if answer.standing is not Standing.PASSED:
                lines.append(f"    {answer.standing}: {visible(answer.sentence, _SHOWN)}")
                lines += [f"    {visible(each.report, _SHOWN)}" for each in answer.votes if each.report is not None]
        lines += [f"! {visible(each, _SHOWN)}" for each in self.refused]
        lines += [f"- {visible(each, _SHOWN)}" for each in self.remarks]
        return [*lines, self.sentence]

    def _row(self, answer: Answer) -> list[str]:
        best = answer.counted[0] if answer.counted else None
        newest = max((each.logged for each in answer.counted if each.logged is not None), default=None)
        replayed = list(dict.fromkeys(one.name for each in answer.counted for one in each.replayed))
        return [
            visible(answer.dependency.label, 60),
            answer.level or "-",
            ", ".join(visible(each.voter.name, 40) for each in answer.counted) or "-",
            ", ".join(replayed[:3]) + (f" and {len(replayed) - 3} more" if len(replayed) > 3 else "") or "-",
            _attested(best),
            _age(self.now, newest),
        ]


_HEAD = ["package", "confirmed", "by", "replayed", "attested by", "logged"]
_LEVEL_WORDS = {
    Level.BUILD_ALONE: "by the build alone",
    Level.METADATA_WRITTEN: "with recorded values written into the archive",
    Level.EQUIVALENT: "with the same content",
    Level.NORMALISED: "with the same content by what another program sets aside",
    Level.UNAUTHENTICATED: "with the same bytes out of builds with something that nobody signed",
}
_STANDING_WORDS = {
    Standing.EXCEPTED: "let through by an exception",
    Standing.TOLERATED: "undecided and let through",
    Standing.UNDECIDED: "undecided",
    Standing.UNANSWERED: "without an answer",
    Standing.DIFFERS: "differ",
    Standing.REFUSED: "refused",
}


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _attested(vote: Vote | None) -> str:
    if vote is None or vote.attested is None:
        return "-"
    return visible(vote.publisher or vote.attested, 60)


def _age(now: datetime, logged: datetime | None) -> str:
    if logged is None:
        return "-"
    days = max(0, (now - logged).days)
    return "today" if days == 0 else f"{days} day{'' if days == 1 else 's'} ago"
