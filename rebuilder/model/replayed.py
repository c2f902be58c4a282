"""Values that were read from the published file and used, and how much a build may be told of it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from rebuilder.model.value import Sha256Field, Value

MOST_BITS = 96
"""What a build may be told of the published file, all values together; see docs/adr/0018."""
MOST_TEXT_BITS = 4096
"""The same of :data:`SHOWN_TEXTS`, which are counted apart; see docs/adr/0060."""
SHOWN_TEXTS = frozenset({"binary-only-maintainer", "binary-only-reason"})
"""Names of values that are no scalars: who built a Debian package again, and why, as its changelog says in public."""


class When(StrEnum):
    """When a value was used."""

    BEFORE_BUILD = "before-build"
    """The build could act on it."""
    FINISHED_ARCHIVE = "finished-archive"
    """It was written into the finished archive, where no code of the build runs."""


EXTENSIONS = "extensions"
"""Name of what a build was told that leaves compiled extensions out; ``off`` in reports from before its words were."""


class Replayed(Value):
    """One value that was read from the published file and used."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,40}$")]
    """Of what is set in a build; on a finished archive, of the normalisation that sets the same thing aside."""
    when: When
    value: Annotated[str, StringConstraints(max_length=500)] | None = None
    """As it is used; None where it is a document."""
    sha256: Sha256Field | None = None
    """Of the document (canonical JSON), where there is a value for each member."""
    bits: int = Field(ge=0)
    """Before the build: size of the set it was chosen from, as a power of two, rounded up. On a finished archive: size
    of the document."""


def told_before(name: str, value: str, bits: int) -> Replayed:
    """One that a build is told; see :class:`Replayed`. What is longer than a report has room for is cut."""
    return Replayed(name=name, when=When.BEFORE_BUILD, value=value[:500], bits=bits)


def is_told(value: Replayed) -> bool:
    """Whether it is what a build was told in words of its source, so that compiled extensions are left out."""
    return value.name == EXTENSIONS and value.value != "off"


def bits_before(values: Iterable[Replayed]) -> int:
    """How much the build was told of the published file, without :data:`SHOWN_TEXTS`."""
    return sum(each.bits for each in values if each.when is When.BEFORE_BUILD and each.name not in SHOWN_TEXTS)


def text_bits(values: Iterable[Replayed]) -> int:
    """How much the build was told in :data:`SHOWN_TEXTS`."""
    return sum(each.bits for each in values if each.name in SHOWN_TEXTS)


def too_much(values: Iterable[Replayed]) -> str | None:
    """Why a build is not run, as a sentence; None when it was not told too much."""
    told = tuple(values)
    total = bits_before(told)
    if text_bits(told) > MOST_TEXT_BITS:
        return (
            f"The build would be told a text of {text_bits(told):,} bits, and at most {MOST_TEXT_BITS:,} are allowed."
        )
    if total <= MOST_BITS:
        return None
    names = ", ".join(f"{each.name} ({each.bits})" for each in told if each.when is When.BEFORE_BUILD)
    return (
        f"The build would be told {total} bits of the published file, and at most {MOST_BITS} are allowed: {names}. "
        "What can say that much could say what to build."
    )
