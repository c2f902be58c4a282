"""What changes the result of a build: one definition run again with one thing changed at a time."""

from __future__ import annotations

from enum import StrEnum

from rebuilder.model.comparison import Level
from rebuilder.model.value import Sha256Field, Value


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


class Effect(StrEnum):
    """What the change does to the digest of the result."""

    NONE = "none"
    """The same bytes."""
    UNCLEAR = "unclear"
    """The build is not steady, and nothing differs with the change that could be told from what varies by itself."""
    FLIPS = "flips"
    """Other bytes."""
    STEADIES = "steadies"
    """Two builds, which differ from each other otherwise, are the same with it."""
    FAILED = "failed"
    """With the change there is no result."""
    NOT_TRIED = "not tried"


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
