"""What rebuilders say about files, whatever the format it was read from, and what came out about the dependencies.

One value for the table, JSON, SARIF and JUnit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rebuilder.consumer.lock_files import Dependency, LockedFile
from rebuilder.errors import ExitCode
from rebuilder.model.replayed import Replayed
from rebuilder.model.text import visible
from rebuilder.model.value import Sha256, Sha256Field, Value, Worded
from rebuilder.model.verdict import Kind, Verdict


class Level(Worded):
    """How far a rebuild confirms the published file; the strongest first."""

    words: str

    BUILD_ALONE = "build-alone", "by the build alone"
    """The same bytes, by the build alone."""
    METADATA_WRITTEN = "metadata-written", "with recorded values written into the archive"
    """The same bytes, once recorded metadata was written into the finished archive."""
    EQUIVALENT = "equivalent", "with the same content"
    """The same content; only named archive metadata differs."""
    NORMALISED = "normalised", "with the same content by what another program sets aside"
    """The same content by what somebody else sets aside, which may be more than archive metadata."""
    UNAUTHENTICATED = "unauthenticated", "with the same bytes out of builds with something that nobody signed"
    """The same bytes, from a build with something that nobody signed: it may have been made for that very build."""

    def reaches(self, least: Level) -> bool:
        """Whether it is as strong as another one, or stronger."""
        order = list(Level)
        return order.index(self) <= order.index(least)


class Voter(Value):
    """Who says it."""

    operator: str
    """Who runs the rebuilder, by something nobody else can claim: the key of its log, a key of links, a host. All votes
    of one operator are one vote."""
    name: str
    """For people: where it publishes, or what they call it."""
    key_id: str
    """Of the key that signed the statement; two operators with one key are one."""
    lineage: str = "rebuilder"
    """Whose code found out how to build: ``rebuilder``, ``rebuilderd``, ``oss-rebuild``. Two rebuilders with the same
    code may make the same mistake."""


class Vote(Value):
    """One signed statement about one file, after everything that can be checked of it was."""

    sha256: Sha256Field
    """Of the published file."""
    filename: str
    package: str | None = None
    """The project of the file, where it is said."""
    version: str | None = None
    """Of the release of the file, where it is said."""
    verdict: Verdict
    level: Level | None = None
    """None where the verdict does not confirm the file."""
    kind: Kind | None = None
    sentence: str = ""
    """The finding in words; somebody else's, so hostile."""
    replayed: tuple[Replayed, ...] = ()
    """What was read from the published file and used to make the same bytes."""
    voter: Voter
    statement: Sha256Field
    """SHA-256 of the signed document."""
    verified: datetime | None = None
    """When it was found out, by the statement itself."""
    logged: datetime | None = None
    """When it was added to the log, by the log; None where there is no log."""
    number: int | None = None
    """Of its entry in the log."""
    attested: str | None = None
    """What checking the publisher's own attestation gave, such as ``verified`` or ``none``; None: not said."""
    publisher: str | None = None
    """Who published by that attestation, such as a repository; only where ``attested`` is ``verified``."""
    report: str | None = None
    """Where the report is."""


def independent(votes: Iterable[Vote], *, lineages: bool = False) -> list[Vote]:
    """One vote for each operator, the strongest one first; what does not confirm is left out.

    Who shares an operator or a key with somebody is one with them, and with all whom they are one with.

    Args:
        votes: About one file.
        lineages: Count one vote for each lineage of inference code only.
    """
    entities: list[list[Vote]] = []
    for vote in sorted(votes, key=_strength):
        same = [each for each in entities if any(_is_one(vote, other) for other in each)]
        entities = [each for each in entities if each not in same]
        entities.append([*(each for joined in same for each in joined), vote])
    found: list[Vote] = []
    confirming = ((vote, number) for number, each in enumerate(entities) for vote in each if vote.level is not None)
    counted: set[int] = set()
    for vote, number in sorted(confirming, key=lambda each: _strength(each[0])):
        known = {each.voter.lineage for each in found} if lineages else set()
        if number not in counted and vote.voter.lineage not in known:
            found.append(vote)
            counted.add(number)
    return found


def newest(votes: Iterable[Vote]) -> list[Vote]:
    """What each operator said last: copies of one log may be of several days, and an old one does not speak any more.

    Where nothing is dated, all are kept.
    """
    found = list(votes)
    last: dict[str, tuple[datetime, int]] = {}
    for each in found:
        if (moment := _moment(each)) is not None:
            last[each.voter.operator] = max(moment, last.get(each.voter.operator, moment))
    return [each for each in found if _moment(each) in {None, last.get(each.voter.operator)}]


def _moment(vote: Vote) -> tuple[datetime, int] | None:
    """When it was logged; what was logged in one second is in the order of the log."""
    return (vote.logged, vote.number or 0) if vote.logged is not None else None


def dissent(votes: Sequence[Vote]) -> list[Vote]:
    """Those that say a rebuild differs, whatever the others say."""
    return [each for each in votes if each.verdict is Verdict.DIFFERS]


def _strength(vote: Vote) -> int:
    return list(Level).index(vote.level) if vote.level is not None else len(Level)


def _is_one(one: Vote, other: Vote) -> bool:
    return one.voter.operator == other.voter.operator or one.voter.key_id == other.voter.key_id


_SHOWN = 300


class Standing(Worded):
    """What is to be done with a dependency; a difference is never mistaken for a lack of answers."""

    icon: str
    """One character, always beside the word."""
    words: str
    """Of so many dependencies."""

    PASSED = "passed", "✓", ""
    EXCEPTED = "excepted", "~", "let through by an exception"
    """It does not pass, and an exception of the policy lets it through."""
    TOLERATED = "tolerated", "○", "undecided and let through"
    """Nothing speaks against it, too little for it, and the policy lets that through."""
    UNDECIDED = "undecided", "?", "undecided"
    """Nothing speaks against it, and too little for it."""
    UNANSWERED = "unanswered", "!", "without an answer"
    """The same, and a rebuilder could not be read."""
    DIFFERS = "differs", "≠", "differ"
    """A rebuilder that is trusted says that its rebuild differs."""
    REFUSED = "refused", "✗", "refused"
    """What a rebuilder shows about it was changed, or contradicts itself."""

    @property
    def passes(self) -> bool:
        """Whether it may be installed."""
        return self in {Standing.PASSED, Standing.EXCEPTED, Standing.TOLERATED}


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
        how = [f"{levels[level]} {level.words}" for level in Level if levels[level]]
        words = {each: each.words for each in Standing if standings[each] and each is not Standing.PASSED}
        if standings[Standing.DIFFERS] == 1:
            words[Standing.DIFFERS] = "differs"
        lacks = [f"{standings[each]} {word}" for each, word in words.items()]
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
