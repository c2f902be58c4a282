"""Looks for a published file in the inputs of the build that gave it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from rebuilder.errors import RebuilderError
from rebuilder.model.attempt import Outcome
from rebuilder.model.definition import Input, Role
from rebuilder.model.text import visible
from rebuilder.model.value import Sha256, Value, canonical_json, sha256_hex
from rebuilder.sandbox.protocol import Programs
from rebuilder.store.protocol import Memo

_PUBLISHED = "/inputs/published-file/file"
_LONGEST_NAME = 120
_MOST = 75
"""Percent of what no source has; a dependency that hands in as much of it makes the file, and not the source."""


class CarriedAt(Value):
    """Where the file was found."""

    input: str
    member: str
    how: str


class HandedIn(Value):
    """A build dependency with members of the file that no source has."""

    input: str
    member: str
    """The first of them."""
    share: int = Field(ge=0, le=100)
    """Of all bytes that no source has, in percent."""


class _Answer(Value):
    """What ``find_published`` writes, as far as it is believed."""

    found: tuple[CarriedAt, ...] = Field(max_length=20)
    whole: bool
    handed_in: tuple[HandedIn, ...] = Field(default=(), max_length=20)


class Carried(Value):
    """What came of a search."""

    sentence: str | None = None
    """Where the published file is among the inputs; None when it was not found."""
    whole: bool = True
    """Whether all inputs were looked through to their end."""
    note: str | None = None
    """Which build dependencies handed in a smaller part of the file, as a sentence."""


FindCarried = Callable[[Sha256, Sequence[Input]], Carried]
"""Digest of a published file, and the inputs of a build that gave it; all are blobs."""


def find_carried(programs: Programs, memo: Memo, published: Sha256, inputs: Sequence[Input]) -> Carried:
    """Look for a published file in sources and build dependencies, inside the sandbox.

    A search that fails costs no verdict: it says that not all was looked through. One that came to its end
    is kept, and not done again by the same program.
    """
    sources = [each for each in inputs if each.role is Role.SOURCE]
    dependencies = [each for each in inputs if each.role is Role.BUILD_DEPENDENCY]
    searched = [*sources, *dependencies]
    if not searched:
        return Carried()
    wanted = Input(role=Role.PARAMETERS, name="published file", sha256=published, path=_PUBLISHED)
    paths = [_PUBLISHED, *(each.path for each in sources), *(f"--glance={each.path}" for each in dependencies)]
    names = {each.path: each.name for each in searched}
    question = [
        programs.program_input("compare").sha256,
        published,
        *(f"{each.role} {each.path} {each.sha256}" for each in searched),
    ]
    key = sha256_hex(canonical_json(question))
    try:
        kept = memo.get(key)
        found = kept if kept is not None else _searched(programs, paths, (wanted, *searched))
        answer = _Answer.model_validate(found)
    except (RebuilderError, ValidationError):
        return Carried(whole=False)
    if not {each.input for each in answer.found} | {each.input for each in answer.handed_in} <= names.keys():
        return Carried(whole=False)
    if kept is None:
        memo.put(key, answer.document())
    if not answer.found:
        told = _handed_in(answer.handed_in, names)
        alarming = sum(each.share for each in answer.handed_in) >= _MOST
        return Carried(sentence=told if alarming else None, whole=answer.whole, note=None if alarming else told)
    first = answer.found[0]
    place = visible(names[first.input], _LONGEST_NAME)
    if first.member:
        place = f"{visible(first.member, _LONGEST_NAME)} in {place}"
    how = f" ({visible(first.how, _LONGEST_NAME)})" if first.how else ""
    return Carried(
        sentence=(
            f"The published file itself is among the inputs of its build: {place}{how}. "
            "A build that copies it gives the same bytes and shows nothing about the source."
        ),
        whole=answer.whole,
    )


def _handed_in(found: Sequence[HandedIn], names: Mapping[str, str]) -> str | None:
    if not found:
        return None
    first = visible(names[found[0].input], _LONGEST_NAME)
    others = f" and {len(found) - 1} more build dependencies" if len(found) > 1 else ""
    share = min(sum(each.share for each in found), 100)
    return (
        f"Of what the source does not have, {share}% are files of the build dependency {first}{others} as they are, "
        f"such as {visible(found[0].member, _LONGEST_NAME)}: they were copied, and no source code made them here."
    )


def _searched(programs: Programs, arguments: Sequence[str], inputs: Sequence[Input]) -> Any:
    result = programs.run("compare", "find_published", arguments, inputs=inputs)
    return result.document if result.run.outcome is Outcome.COMPLETED else None
