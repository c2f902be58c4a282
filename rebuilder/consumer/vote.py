"""What one rebuilder says about one file, as somebody else counts it; whatever the format it was read from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from rebuilder.model.replayed import Replayed
from rebuilder.model.value import Sha256Field, Value
from rebuilder.model.verdict import Kind, Verdict


class Level(StrEnum):
    """How far a rebuild confirms the published file; the strongest first."""

    BUILD_ALONE = "build-alone"
    """The same bytes, by the build alone."""
    METADATA_WRITTEN = "metadata-written"
    """The same bytes, once recorded metadata was written into the finished archive."""
    EQUIVALENT = "equivalent"
    """The same content; only named archive metadata differs."""
    NORMALISED = "normalised"
    """The same content by what somebody else sets aside, which may be more than archive metadata."""
    UNAUTHENTICATED = "unauthenticated"
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
