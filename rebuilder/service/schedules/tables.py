"""What may be written in a schedule file, and how a mistake in it is told."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import ErrorDetails

from rebuilder.model.work import Check, Tier
from rebuilder.service.schedules.timing import seconds
from rebuilder.toml_files import mistake

_MAX_FILES = 1000
_MOST = 1_000_000
_WORDS = {
    "string_pattern_mismatch": "must be made of letters, digits, spaces and “._-:”, and begin with a letter or a digit",
    "string_too": "must have 1 to 100 characters",
}
"""What is said of names, beside what is said of any text."""


def _written(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("must be a text in quotes, such as “6h”")  # noqa: TRY004 - pydantic takes this one
    return seconds(value)


_Name = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\W_][\w .:-]*$"), Field(strict=True)
]
_Text = Annotated[str, Field(strict=True)]
_Duration = Annotated[int, BeforeValidator(_written)]
_Texts = Annotated[list[_Text], Field(strict=True, max_length=100_000)]


class Table(BaseModel):
    """What watches and rechecks have in common, as it is written."""

    model_config = ConfigDict(extra="forbid")

    name: _Name | None = None
    enabled: Annotated[bool, Field(strict=True)] = True
    ecosystem: _Text | None = None
    packages: _Texts = []
    every: _Duration | None = None
    cron: _Text | None = None
    jitter: _Duration | None = None
    time_zone: _Text = "UTC"
    priority: Annotated[int, Field(strict=True, ge=-9, le=9)] = 0


class WatchTable(Table):
    """A ``[[watch]]``; ``versions`` and ``limits`` are looked at once the rest is known."""

    files: Annotated[list[_Text], Field(strict=True, max_length=_MAX_FILES)] = []
    versions: Any = None
    prereleases: Annotated[bool, Field(strict=True)] = False
    tier: Tier = Tier.FULL
    limits: Any = None


class RecheckTable(Table):
    """A ``[[recheck]]``."""

    older_than: _Duration = 30 * 86400
    check_: Annotated[Check, Field(alias="check")] = Check.VERIFY
    at_most: Annotated[int, Field(strict=True, gt=0, le=_MOST)] = 100


class Newest(BaseModel):
    """``versions = { newest = 3 }``."""

    model_config = ConfigDict(extra="forbid")
    newest: Annotated[int, Field(strict=True, gt=0, le=_MOST)]


class Since(BaseModel):
    """``versions = { since = 2026-01-31 }``."""

    model_config = ConfigDict(extra="forbid")
    since: Annotated[date, Field(strict=True)]


Kind = Literal["watch", "recheck"]
TABLES: dict[Kind, type[Table]] = {"watch": WatchTable, "recheck": RecheckTable}


def keys(kind: Kind) -> list[str]:
    """What may stand in a table."""
    return [field.alias or name for name, field in TABLES[kind].model_fields.items()]


ALL_KEYS = {key for kind in TABLES for key in keys(kind)}
"""What may stand in any of them."""


def message(error: ErrorDetails, known: list[str]) -> str:
    """A mistake in words that fit behind the name of the key; ``known`` is what would have been right."""
    return mistake(error, known, _WORDS)
