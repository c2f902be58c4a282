"""One schedule file, read into watches and rechecks, or into sentences that say what is wrong with it and where."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from rebuilder.config import Config
from rebuilder.consumer.lock_files import read_lock
from rebuilder.consumer.platform_files import Target
from rebuilder.ecosystems.conventions import NamedPackages
from rebuilder.ecosystems.registry import DEFAULT, ECOSYSTEMS, conventions
from rebuilder.model.definition import Limits
from rebuilder.model.work import Check, Tier
from rebuilder.service.schedules import timing as times
from rebuilder.service.schedules.timing import seconds
from rebuilder.service.schedules.watch import Recheck, Timing, VersionRule, Versions, Watch
from rebuilder.toml_files import FileError, Remark, line_of, mistake, parse_toml, read_text, span, unknown


def collect(path: Path, named: NamedPackages) -> None:
    """Take the projects that a file names, and the versions it pins, whatever the platform.

    Raises:
        FileError: it cannot be used; ``named.read`` tells what was looked at all the same.
    """
    if path.suffix not in named.rules.lock_suffixes:
        named.collect(path)
        return
    named.read.append(path)
    for each in read_lock(path, read_text(path), Target(every=True)):
        if each.ecosystem != named.rules.name:
            raise FileError(path, f"This is a lock file of {each.ecosystem}, and the watch is for {named.rules.name}.")
        if not each.from_index:
            named.note(path, None, f"{each.name!r} is skipped: it does not come from an index.")
            continue
        try:
            named.add(each.name, each.version)
        except (ValueError, TypeError) as error:
            raise FileError(path, f"{each.place[:200]}: this package cannot be used: {error}.") from None


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
    double_runs: Annotated[bool, Field(strict=True)] = False


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


_MAX_BYTES = 1 << 20
_MAX_PROBLEMS = 200
"""Of one file; more would only push each other out of sight."""


@dataclass(frozen=True)
class ScheduleEntry:
    """One watch or recheck, and the line its table begins at."""

    item: Watch | Recheck
    line: int | None


@dataclass
class FileReading:
    """What one file says: if there are problems, nothing of it is to be used."""

    entries: list[ScheduleEntry] = field(default_factory=list)
    problems: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)
    read: list[Path] = field(default_factory=list)
    """Files that its watches name, those that are missing too."""
    globs: list[tuple[str, Path]] = field(default_factory=list)
    """Patterns of such files, with the directory they count from."""


def read_file(path: Path, *, ecosystems: Collection[str] = ECOSYSTEMS, limits: Limits | None = None) -> FileReading:
    """Read one schedule file and the lists it names.

    Args:
        path: The file.
        ecosystems: Names that are known.
        limits: What a watch's own limits are laid over; None for the defaults.
    """
    reading = FileReading()
    try:
        text = read_text(path, _MAX_BYTES)
        document = parse_toml(path, text)
    except FileError as error:
        reading.problems.append(error.remark.replace(file=path.name))
        return reading
    _Reader(path, text, document, reading, ecosystems=ecosystems, limits=limits or Limits()).run()
    return reading


class _Wrong(Exception):  # noqa: N818 - never leaves this module
    """A mistake at a key of a table."""

    def __init__(self, key: str, message: str, text: str | None = None) -> None:
        super().__init__(message)
        self.key, self.message, self.text = key, message, text


class _Reader:
    """Reads the tables of one file, in order, each on its own, so that all mistakes are told at once."""

    def __init__(
        self,
        path: Path,
        text: str,
        document: dict[str, Any],
        reading: FileReading,
        *,
        ecosystems: Collection[str],
        limits: Limits,
    ) -> None:
        self._path, self._document, self._reading = path, document, reading
        self._lines = text.splitlines()
        self._ecosystems, self._limits = ecosystems, limits
        self._count = 0
        self._kind: Kind = "watch"
        self._place: tuple[int | None, int | None] = (None, None)
        """Kind of the table at hand, and its lines."""

    def run(self) -> None:
        """Read everything."""
        for key in self._document:
            if key not in TABLES:
                near = "" if key not in ALL_KEYS else "; it belongs below a line [[watch]] or [[recheck]]"
                self._problem(None, key, unknown(key, list(TABLES)) + near, line=line_of(self._lines, key))
        for kind in TABLES:
            tables = self._document.get(kind, [])
            if not isinstance(tables, list):
                self._problem(None, kind, f"must be written with double brackets: [[{kind}]]", line=1)
                continue
            for index, table in enumerate(tables):
                self._table(kind, index, table)
        if not self._count and not self._reading.problems:
            self._problem(None, None, "has no [[watch]] and no [[recheck]]", line=None)
        self._reading.problems.sort(key=lambda each: (each.line is None, each.line or 0))

    def _table(self, kind: Kind, index: int, raw: Any) -> None:
        self._count += 1
        before = len(self._reading.problems)
        self._kind, self._place = kind, span(self._lines, kind, index)
        table, wrong = self._understood(kind, raw)
        if table is None:
            return
        name = table.name or (self._path.stem if self._count == 1 else f"{self._path.stem}-{self._count}")
        item: Watch | Recheck | None = None
        ecosystem = table.ecosystem
        if ecosystem is not None and ecosystem not in self._ecosystems:
            known = ", ".join(sorted(self._ecosystems))
            self._note("ecosystem", f"{ecosystem[:80]!r} is not known; known are {known}")
        timing = self._timing(table, wrong)
        if table.enabled:
            with self._noting():
                if isinstance(table, WatchTable):
                    item = self._watch(table, name, ecosystem or DEFAULT, timing, wrong)
                elif isinstance(table, RecheckTable):
                    item = self._recheck(table, name, ecosystem, timing)
        if item is not None and len(self._reading.problems) == before:
            self._reading.entries.append(ScheduleEntry(item, self._place[0]))

    def _understood(self, kind: Kind, raw: Any) -> tuple[Table | None, set[str]]:
        """A table without the keys that are wrong, and these; an unknown one may have been meant for any."""
        try:
            return TABLES[kind].model_validate(raw), set()
        except ValidationError as error:
            wrong = set()
            for each in error.errors():
                self._mistake(kind, self._place, each)
                wrong |= {str(key) for key in each["loc"][:1]}
                wrong |= set(keys(kind)) if each["type"] == "extra_forbidden" else set()
            if not isinstance(raw, dict):
                return None, wrong
            rest = {key: value for key, value in raw.items() if key not in {str(e["loc"][0]) for e in error.errors()}}
            return TABLES[kind].model_validate(rest), wrong

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """A mistake in here is noted, and the rest of the table is looked at all the same."""
        try:
            yield
        except _Wrong as wrong:
            self._note(wrong.key, wrong.message, wrong.text)

    def _note(self, key: str, message: str, text: str | None = None) -> None:
        line = line_of(self._lines, key, *self._place, text) or self._place[0]
        self._problem(self._kind, key, message, line=line)

    def _timing(self, table: Table, wrong: Collection[str]) -> Timing:
        if table.every is not None and table.cron is not None:
            self._note("cron", "stands beside “every”; only one of them can be")
        if table.every is None and table.cron is None and not {"every", "cron"} & set(wrong):
            self._note("every", 'is missing; say how often, such as every = "6h" or cron = "0 */6 * * *"')
        timing = Timing.model_validate(table.model_dump(include={"every", "cron", "time_zone"}))
        timing = timing.replace(jitter=table.jitter or 0)
        for key, sentence_ in times.mistakes(timing):
            self._note(key, sentence_)
        return timing

    def _watch(
        self, table: WatchTable, name: str, ecosystem: str, timing: Timing, wrong: Collection[str] = ()
    ) -> Watch:
        if not table.packages and not table.files and not {"packages", "files"} & set(wrong):
            self._note("packages", "is missing; say what is watched with “packages” or “files”")
        named = self._named(table, ecosystem)
        self._files(table.files, named)
        versions = Versions(rule=VersionRule.LATEST)
        with self._noting():
            versions = _versions(table.versions, pinned=bool(named.pins))
            if versions.rule is VersionRule.LISTED and not named.pins:
                raise _Wrong("versions", "is “listed”, but no file of this watch names a version")
        return Watch(
            name=name,
            file=self._path.name,
            ecosystem=ecosystem,
            packages=tuple(sorted(named.packages)),
            patterns=tuple(sorted(named.patterns)),
            pins={
                project: tuple(sorted(found, key=named.rules.version_key))
                for project, found in sorted(named.pins.items())
            },
            versions=versions,
            prereleases=table.prereleases,
            timing=timing,
            priority=table.priority,
            double_runs=table.double_runs,
            tier=table.tier,
            limits=self._bounded(table.limits),
        )

    def _recheck(self, table: RecheckTable, name: str, ecosystem: str | None, timing: Timing) -> Recheck:
        ecosystem = DEFAULT if table.packages and ecosystem is None else ecosystem
        named = self._named(table, ecosystem or DEFAULT)
        return Recheck(
            name=name,
            file=self._path.name,
            ecosystem=ecosystem,
            packages=tuple(sorted(named.packages)),
            patterns=tuple(sorted(named.patterns)),
            older_than=int(table.older_than),
            check=table.check_,
            at_most=table.at_most,
            timing=timing,
            priority=table.priority,
            double_runs=table.double_runs,
        )

    def _named(self, table: Table, ecosystem: str) -> NamedPackages:
        named = NamedPackages(conventions(ecosystem))
        for text in table.packages:
            try:
                named.add(text)
            except ValueError as error:
                version = "; versions are chosen by “versions”, or by a lock file" if "=" in text else ""
                self._note("packages", f"{error}{version}", text)
        return named

    def _files(self, names: list[str], named: NamedPackages) -> None:
        named.notes, named.read = self._reading.notes, []
        for name in names:
            with self._noting():
                self._file(name, named)

    def _file(self, name: str, named: NamedPackages) -> None:
        paths = [self._path.parent / name]
        if glob.has_magic(name):
            if "**" in name:
                raise _Wrong("files", f"{name[:80]!r} has “**”, which could mean the whole disk; use “*”", name)
            self._reading.globs.append((name, self._path.parent))
            paths = expand(name, self._path.parent)
            if not paths:
                raise _Wrong("files", f"no file matches {name[:80]!r}", name)
        for path in paths:
            try:
                collect(path, named)
            except FileError as error:
                words = error.remark.replace(key=None).label.rstrip(".")
                self._note("files", words, name)
            finally:
                self._reading.read += named.read
                named.read = []

    def _bounded(self, table: Any) -> Limits | None:
        if table is None:
            return None
        if not isinstance(table, dict):
            raise _Wrong("limits", "must be a table")
        try:
            return Config(limits=self._limits.model_dump() | table).limits
        except ValidationError as error:
            for each in error.errors():
                self._note(str(each["loc"][-1]), message(each, list(Limits.model_fields)))
            return None

    def _mistake(self, kind: Kind, place: tuple[int | None, int | None], error: ErrorDetails) -> None:
        key = str(error["loc"][0]) if error["loc"] else None
        text = error["input"] if len(error["loc"]) > 1 and isinstance(error["input"], str) else None
        line = (line_of(self._lines, key, *place, text) if key else None) or place[0]
        self._problem(kind, key, message(error, keys(kind)), line=line)

    def _problem(self, kind: Kind | None, key: str | None, words: str, *, line: int | None) -> None:
        where = ".".join(filter(None, (kind, key and key[:80]))) or None
        if len(self._reading.problems) == _MAX_PROBLEMS:
            words, where, line = f"has more mistakes; the first {_MAX_PROBLEMS} are told", None, None
        if len(self._reading.problems) <= _MAX_PROBLEMS:
            ended = words if words.endswith("?") else f"{words}."
            self._reading.problems.append(Remark(file=self._path.name, line=line, key=where, message=ended))


def expand(pattern: str, directory: Path) -> list[Path]:
    """The files that a pattern means, in order; a bounded number of them."""
    found = sorted(glob.glob(pattern, root_dir=directory))[:_MAX_FILES]  # noqa: PTH207 - of a pattern that has “..”
    return [directory / each for each in found]


def _versions(raw: Any, *, pinned: bool) -> Versions:
    if raw is None:
        return Versions(rule=VersionRule.LISTED if pinned else VersionRule.LATEST)
    if isinstance(raw, str) and raw in {VersionRule.LATEST, VersionRule.ALL, VersionRule.LISTED}:
        return Versions(rule=VersionRule(raw))
    try:
        if isinstance(raw, dict) and "newest" in raw:
            return Versions(rule=VersionRule.NEWEST, newest=Newest.model_validate(raw).newest)
        if isinstance(raw, dict) and "since" in raw and not isinstance(raw["since"], datetime):
            return Versions(rule=VersionRule.SINCE, since=Since.model_validate(raw).since)
    except ValidationError as error:
        first = error.errors()[0]
        raise _Wrong("versions", f"{first['loc'][-1]!s} {message(first, ['newest', 'since'])}") from None
    raise _Wrong(
        "versions",
        "must be “latest”, “all”, “listed”, { newest = 3 } or { since = 2026-01-31 } (the date without quotes)",
    )
