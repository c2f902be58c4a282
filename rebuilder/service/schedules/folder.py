"""A directory of schedule files, read again and again: edits take effect, broken ones do not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from rebuilder.clock import Clock
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.model.definition import Limits
from rebuilder.model.value import Value
from rebuilder.service.schedules.reading import FileReading, ScheduleEntry, expand, read_file
from rebuilder.service.schedules.watch import Recheck, Schedule, Watch
from rebuilder.toml_files import Remark

_SETTLE = timedelta(seconds=2)
"""A file that was written so lately may be half-saved, and one that is missing so lately may be on its way."""
_MAX_FILES = 1000


class FolderReading(Value):
    """What the directory says now."""

    schedule: Schedule
    problems: tuple[Remark, ...] = ()
    """What is wrong, and what is done about it."""
    notes: tuple[Remark, ...] = ()
    """What was skipped; nothing is wrong with it."""
    changed: bool
    """Whether anything of this differs from the reading before; true for the first."""


_Mark = tuple[int, ...] | None
"""What tells whether a file has changed; None when there is none."""


@dataclass
class _File:
    """What is known of one schedule file."""

    marks: dict[Path, _Mark]
    """Of the file and of all files that it names."""
    globs: list[list[Path]]
    """What its patterns meant."""
    latest: FileReading
    good: list[ScheduleEntry] = field(default_factory=list)
    """Of the last version without a mistake."""
    missing_since: datetime | None = None


class Folder:
    """Reads schedules; not for several threads at once.

    Args:
        directory: Where the files are: every ``*.toml`` in it whose name does not begin with a dot.
        clock: The time, to tell files that are just being written.
        ecosystems: Names that are known.
        limits: What a watch's own limits are laid over; None for the defaults.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        ecosystems: Collection[str] = ECOSYSTEMS,
        limits: Limits | None = None,
    ) -> None:
        self._directory, self._clock = directory, clock
        self._ecosystems, self._limits = ecosystems, limits
        self._files: dict[Path, _File] = {}
        self._last: FolderReading | None = None

    def read(self) -> FolderReading:
        """Look at all files; those that have not changed are not opened."""
        now = self._clock.now()
        problems: list[Remark] = []
        present = self._present(problems)
        for path in present:
            self._look(path, now)
        for path in set(self._files) - set(present):
            self._gone(path, now, unreadable=bool(problems))
        schedule = self._together(problems)
        reading = FolderReading(
            schedule=schedule,
            problems=tuple(problems),
            notes=tuple(note for _, file in sorted(self._files.items()) for note in file.latest.notes),
            changed=True,
        )
        changed = reading != self._last
        self._last = reading
        return reading.replace(changed=changed)

    def _present(self, problems: list[Remark]) -> list[Path]:
        try:
            names = sorted(each.name for each in self._directory.iterdir())
            names = [name for name in names if name.endswith(".toml") and name[0] != "."]
        except FileNotFoundError:
            said = "This directory is not there yet, so nothing is watched: make it, and put a schedule file into it."
            problems.append(Remark(file=str(self._directory), message=said))
            return []
        except NotADirectoryError:
            problems.append(Remark(file=str(self._directory), message="This is a file; name the directory it is in."))
            return []
        except OSError as error:
            problems.append(
                Remark(file=str(self._directory), message=f"This directory cannot be read: {error.strerror}.")
            )
            return []
        if len(names) > _MAX_FILES:
            problems.append(
                Remark(file=str(self._directory), message=f"Only the first {_MAX_FILES} schedule files are read.")
            )
        return [self._directory / name for name in names[:_MAX_FILES]]

    def _look(self, path: Path, now: datetime) -> None:
        file = self._files.get(path)
        if file is not None:
            file.missing_since = None
            marks = {each: _mark(each) for each in file.marks}
            globs = [expand(*each) for each in file.latest.globs]
            if marks == file.marks and globs == file.globs:
                return
            if _unsettled(marks.values(), now):
                return
        # Marks of the file come before its contents: what changes in between is seen the next time.
        own = _mark(path)
        latest = read_file(path, ecosystems=self._ecosystems, limits=self._limits)
        good = file.good if file is not None else []
        marks = {path: own, **{each: _mark(each) for each in latest.read}}
        if _unsettled(marks.values(), now):
            marks[path] = ()  # differs from every mark: it is read again once it has settled
        self._files[path] = _File(marks, [expand(*each) for each in latest.globs], latest, good)

    def _gone(self, path: Path, now: datetime, *, unreadable: bool) -> None:
        file = self._files[path]
        if unreadable:
            return  # nobody removed it: what cannot be looked into says nothing about its files
        since = file.missing_since = file.missing_since or now
        if not timedelta(0) <= now - since < _SETTLE:
            del self._files[path]

    def _together(self, problems: list[Remark]) -> Schedule:
        """What all files say; where two use one name, the one that came later is at fault, else the later in order."""
        used: dict[str, ScheduleEntry] = {}
        for _, file in sorted(self._files.items(), key=lambda each: (each[1].good != each[1].latest.entries, each[0])):
            wrong = [*file.latest.problems, *_clashes(file.latest.entries, used)]
            if not wrong:
                file.good = file.latest.entries
            elif _clashes(file.good, used):
                file.good = []
            used |= {entry.item.name: entry for entry in file.good}
            problems += wrong
            if wrong:
                words = "The last good version stays in use" if file.good else "Nothing of this file is used"
                problems.append(Remark(file=wrong[0].file, message=f"{words} until this is mended."))
        items = [entry.item for _, file in sorted(self._files.items()) for entry in file.good]
        return Schedule(
            watches=tuple(item for item in items if isinstance(item, Watch)),
            rechecks=tuple(item for item in items if isinstance(item, Recheck)),
        )


def _clashes(entries: list[ScheduleEntry], used: dict[str, ScheduleEntry]) -> list[Remark]:
    """Names that another file, or this one, has already."""
    own: dict[str, ScheduleEntry] = {}
    found = []
    for entry in entries:
        name = entry.item.name
        other = own.get(name) or used.get(name)
        if other is not None:
            place = f"{other.item.file}, line {other.line}" if other.line else other.item.file
            message = f"The name {name!r} is taken already in {place}; give it another “name”."
            found.append(Remark(file=entry.item.file, line=entry.line, key="name", message=message))
        own.setdefault(name, entry)
    return found


def _mark(path: Path) -> _Mark:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)


def _unsettled(marks: Iterable[_Mark], now: datetime) -> bool:
    """Whether one of the files was changed in the last moments; a time to come is a clock that was wrong."""
    ages = (now.timestamp() - max(mark[:2]) / 1e9 for mark in marks if mark)
    return any(0 <= age < _SETTLE.total_seconds() for age in ages)
