"""Rebuilt file against published file, and against rebuilds with one thing changed at a time."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from rebuilder.model.value import Sha256Field, Value, Worded


class Level(StrEnum):
    """How close two files are."""

    IDENTICAL = "identical"
    """The same bytes."""
    EQUIVALENT = "equivalent"
    """The same content; only named archive metadata differs."""
    DIFFERENT = "different"


class MemberChange(Worded):
    """How a member differs between the published and the rebuilt archive."""

    words: str

    ADDED = "added", "only in our rebuild"
    """Only in the rebuilt file."""
    MISSING = "missing", "only in the published file"
    """Only in the published file."""
    CONTENT = "content", "content differs"
    MODE = "mode", "file mode differs"
    """Executable bits or type bits that mean something."""
    LINK = "link", "link target differs"
    KIND = "kind", "kind of entry differs"
    METADATA = "metadata", "archive metadata differs"
    """Only archive metadata that a normalisation removes."""


Excerpts = Annotated[tuple[Annotated[str, StringConstraints(max_length=400)], ...], Field(max_length=24)]
"""Lines out of a member, each cut; few."""


class ContentChange(Value):
    """How the content of a member differs, as far as it was looked into."""

    text: bool
    """Both sides are text (UTF-8 without NUL)."""
    line_ends: bool = False
    """One side ends lines with CRLF where the other has LF; the excerpts are without it."""
    moved: bool = False
    """Lines that both sides have stand in another order."""
    published: Excerpts = ()
    """The first lines only the published side has, in its order; of anything but text, the bytes around the first
    difference in hexadecimal."""
    rebuilt: Excerpts = ()
    published_total: int = Field(default=0, ge=0)
    """Lines only the published side has, before ``published`` was cut."""
    rebuilt_total: int = Field(default=0, ge=0)

    @property
    def complete(self) -> bool:
        """Whether every differing line is among the excerpts."""
        return len(self.published) == self.published_total and len(self.rebuilt) == self.rebuilt_total


class Difference(Value):
    """One member that differs, and how."""

    member: str
    change: MemberChange
    detail: str
    """One sentence with both sides, such as "published 1,204 bytes, rebuilt 1,210 bytes"."""
    content: ContentChange | None = None
    """None when it is no change of content, or nobody looked into the member."""


class Diffoscope(Value):
    """What running diffoscope gave; every field may be missing, the verdict never hangs on it."""

    version: str | None = None
    html_sha256: Sha256Field | None = None
    json_sha256: Sha256Field | None = None
    text_sha256: Sha256Field | None = None
    missing_tools: tuple[str, ...] = ()
    problem: str | None = None
    """Why there is no report or only a part of one, as a sentence."""


class Comparison(Value):
    """The result of comparing one rebuilt file with the published file."""

    level: Level
    published_sha256: Sha256Field
    rebuilt_sha256: Sha256Field
    normalisations: tuple[str, ...] = ()
    """The smallest set of named normalisations under which the files are equal (level ``equivalent``)."""
    differences: tuple[Difference, ...] = ()
    differences_total: int = 0
    """Count before ``differences`` was cut to what a page can show."""
    problem: str | None = None
    """Why the comparison could look no further than the digests, as a sentence."""
    diffoscope: Diffoscope | None = None


class Factor(StrEnum):
    """What is changed."""

    TIME = "time"
    BUILD_PATH = "build path"
    UMASK = "umask"
    LOCALE = "locale"
    TIME_ZONE = "time zone"
    HASH_SEED = "hash seed"
    CPU_COUNT = "CPU count"
    HOST_NAME = "host name"
    FILE_ORDER = "file order"
    USER = "user"


class Effect(Worded):
    """What the change does to the digest of the result."""

    words: str

    NONE = "none", "changes nothing"
    """The same bytes."""
    UNCLEAR = "unclear", "cannot be told: the build varies by itself"
    """The build is not steady, and nothing differs with the change that could be told from what varies by itself."""
    FLIPS = "flips", "changes the result"
    """Other bytes."""
    STEADIES = "steadies", "makes two builds the same"
    """Two builds, which differ from each other otherwise, are the same with it."""
    FAILED = "failed", "no result"
    """With the change there is no result."""
    NOT_TRIED = "not tried", "not tried"


class ChangedLine(Value):
    """A line of text that another one stands for when the factor is changed."""

    member: str
    before: str
    """As the definition gives it, each time."""
    after: str
    """With the factor changed, each time."""


class VariationRow(Value):
    """One factor."""

    factor: Factor
    change: str
    """What was changed, from what to what."""
    effect: Effect
    level: Level | None = None
    """How the result compares with the one without the change."""
    rebuilt_sha256: Sha256Field | None = None
    members: tuple[str, ...] = ()
    """Those that differ because of it; the first ones."""
    members_total: int = 0
    lines: tuple[ChangedLine, ...] = ()
    """Lines of text that differ because of it; the first ones."""
    note: str | None = None
    """Why there is no result, or what its meaning is limited by."""

    @property
    def telling(self) -> bool:
        """Whether the factor matters."""
        return self.effect in {Effect.FLIPS, Effect.STEADIES}


class Variation(Value):
    """The table: one row for each factor."""

    definition: str
    """Digest of the definition that was varied."""
    rebuilt_sha256: Sha256Field
    """What it gives with nothing changed."""
    steady: bool
    """Whether it gives that twice."""
    rows: tuple[VariationRow, ...]
    seconds: float
    """Wall time of all runs."""
