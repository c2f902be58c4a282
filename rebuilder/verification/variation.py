"""Controlled variation: one build definition run again with one thing changed at a time."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rebuilder.compare.comparer import Comparer
from rebuilder.errors import SandboxFaultError, SandboxUnavailableError, UsageError
from rebuilder.model.attempt import Hypothesis, Outcome, Output, Run
from rebuilder.model.comparison import (
    ChangedLine,
    Comparison,
    Difference,
    Effect,
    Factor,
    Level,
    MemberChange,
    Variation,
    VariationRow,
)
from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.sandbox.prepared import ANOTHER_PLACE, moved
from rebuilder.sandbox.protocol import Runner
from rebuilder.verification.attempts import product, wait_until_apart

MOST_SECONDS = 1800.0
"""Build time after which no further factor is tried."""
_MOST_MEMBERS = 20
_MOST_LINES = 40
_EPOCH = "SOURCE_DATE_EPOCH"
_FIRST = timedelta(days=1, hours=11, minutes=58, seconds=20)
_LATER = timedelta(days=400, hours=7, minutes=11)
"""Between two clocks: another year, month, day, weekday, hour and minute, whatever the first one is."""
_OTHER_ZONE, _ZONE = "XYZ-11:30", timedelta(hours=11, minutes=30)


@dataclass(frozen=True)
class FactorChange:
    """One thing changed in a definition."""

    words: str
    definition: BuildDefinition
    reference: BuildDefinition | None = None
    """What the result is compared with; None: the definition as it is."""
    settles: bool = False
    """Whether the change takes something away that could vary by itself."""
    note: str | None = None


def clock_after(moment: datetime) -> datetime:
    """The clock of a build all of whose files are from before a moment: on the next day, and the same all day.

    Tools such as ninja and make want no file of the future.
    """
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _FIRST


def changes(definition: BuildDefinition, factor: Factor, after: datetime) -> Iterator[FactorChange]:
    """Ways to change one factor, the most telling first; none when a definition cannot express it. Pure.

    Args:
        definition: What is changed.
        factor: What of it.
        after: When all files that it builds with were there.
    """
    match factor:
        case Factor.TIME:
            yield from _times(definition, clock_after(after))
        case Factor.BUILD_PATH:
            yield from _path(definition)
        case Factor.UMASK:
            other = "0002" if definition.umask != "0002" else "0022"
            commands = tuple(_with_umask(command, definition.umask, other) for command in definition.commands)
            yield FactorChange(f"{definition.umask} → {other}", definition.replace(umask=other, commands=commands))
        case Factor.LOCALE:
            yield _variables(definition, {"LANG": "C", "LC_ALL": "C"})
        case Factor.TIME_ZONE:
            yield _variables(definition, {"TZ": _OTHER_ZONE})
        case Factor.HASH_SEED:
            settles = definition.environment.get("PYTHONHASHSEED", "random") == "random"
            for seed in ("1", "2", "3"):
                yield _variables(definition, {"PYTHONHASHSEED": seed}, settles=settles)
        case Factor.CPU_COUNT:
            other_count = 2 if definition.cpu_count == 1 else 1
            yield FactorChange(
                f"{definition.cpu_count} → {other_count}",
                definition.replace(cpu_count=other_count),
                settles=other_count == 1,
            )
        case Factor.HOST_NAME:
            yield FactorChange(f"{definition.hostname} → elsewhere", definition.replace(hostname="elsewhere"))
        case Factor.FILE_ORDER:
            yield from _file_order(definition)
        case Factor.USER:
            note = "The number of the user stays the same; only names in the environment are changed."
            yield _variables(definition, {"USER": "another", "LOGNAME": "another", "HOME": "/tmp/another"}, note=note)  # noqa: S108


def elsewhere(
    definition: BuildDefinition, after: datetime, factors: Sequence[Factor] = tuple(Factor)
) -> BuildDefinition:
    """The same build on another machine, in another place, at another time: every factor changed at once. Pure.

    Where it has another clock, that stands, and all commands that build see it.
    """
    for factor in sorted(factors, key=lambda each: each is Factor.TIME):  # a clock of its own has one CPU
        change = next(changes(definition, factor, after), None)
        definition = change.definition if change is not None else definition
    if definition.clock is None:
        return definition
    return definition.replace(clock_stands=True, commands=_as_last_command(definition.commands))


def _as_last_command(commands: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The same, with all that builds in the last command: a clock is set when that begins."""
    building = [at for at, command in enumerate(commands) if _built_tree(command) is not None]
    first = min(building, default=len(commands) - 1)
    return (*commands[:first], ("/bin/sh", "-e", "-c", "\n".join(map(shlex.join, commands[first:]))))


def _built_tree(command: tuple[str, ...]) -> str | None:
    """The source tree that a command builds, where it names one; making a tree is no build."""
    named = next((each for each in ("--source", "--top") if each in command[:-1]), None)
    return command[command.index(named) + 1] if named is not None and "--into" not in command else None


def _times(definition: BuildDefinition, clock: datetime) -> Iterator[FactorChange]:
    """A clock where there can be one; otherwise the time that builds are told to use."""
    first = definition.clock or clock
    here = definition.replace(sandbox="uml", clock=first, cpu_count=1)
    later = here.replace(clock=first + _LATER)
    yield FactorChange(
        f"clock {first:%Y-%m-%d %H:%M} → {first + _LATER:%Y-%m-%d %H:%M}", later, reference=here, settles=True
    )
    epoch = definition.environment.get(_EPOCH)
    if epoch is None:
        note = "The clock itself cannot be set here."
        yield _variables(definition, {_EPOCH: str(int(clock.timestamp()))}, settles=True, note=note)
    elif epoch.isdigit():
        moved = str(int(epoch) + int(_LATER.total_seconds()))
        note = "The clock itself cannot be set here; this is the time that the build is told."
        yield _variables(definition, {_EPOCH: moved}, note=note)


def _path(definition: BuildDefinition) -> Iterator[FactorChange]:
    yield FactorChange(
        f"/build → {ANOTHER_PLACE}",
        definition.replace(
            directory=moved(definition.directory),
            commands=tuple(tuple(map(moved, command)) for command in definition.commands),
            environment={name: moved(value) for name, value in definition.environment.items()},
        ),
    )


def _with_umask(command: tuple[str, ...], umask: str, other: str) -> tuple[str, ...]:
    """A command that makes a source tree, as under another umask; the tree is made by whoever builds, too."""
    at = command.index("--umask") + 1 if "--umask" in command[:-1] else 0
    if not at or command[at] != umask:
        return tuple(each.replace(f"--umask {umask};", f"--umask {other};") for each in command)
    return (*command[:at], other, *command[at + 1 :])


def _file_order(definition: BuildDefinition) -> Iterator[FactorChange]:
    """Directories of a source tree list their entries in another order, where a command names the tree it builds."""
    program = next((each.path for each in definition.inputs if each.role is Role.PROGRAM), None)
    commands: list[tuple[str, ...]] = []
    for command in definition.commands:
        tree = _built_tree(command)
        if program is not None and tree is not None:
            commands.append(("/usr/bin/python3", "-I", "-S", program, "reverse_tree", "--tree", tree))
        commands.append(command)
    if len(commands) > len(definition.commands):
        yield FactorChange(
            "directories of the source tree list their entries in reverse",
            definition.replace(commands=tuple(commands)),
        )


def _variables(
    definition: BuildDefinition, values: dict[str, str], *, settles: bool = False, note: str | None = None
) -> FactorChange:
    before = definition.environment
    words = ", ".join(f"{name} {before.get(name, '(not set)')} → {value}" for name, value in values.items())
    changed = definition.replace(environment=before | values)
    return FactorChange(words, changed, settles=settles, note=note)


@dataclass(frozen=True)
class _Result:
    """What a definition gave."""

    definition: BuildDefinition
    run: Run
    output: Output | None


class VariationRunner:
    """Runs variations.

    Args:
        run: Runs definitions; one that names a sandbox this machine has not got raises ``SandboxUnavailableError``.
        comparer: Compares what they leave.
        after: When all files that are built with were there.
        is_inventory: Whether a member only lists what is in the others; see :class:`EcosystemRules`.
        most_seconds: Build time after which no further factor is tried.
    """

    def __init__(
        self,
        run: Runner,
        comparer: Comparer,
        after: datetime,
        *,
        is_inventory: Callable[[str], bool] = lambda _: False,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self._run = run
        self._comparer = comparer
        self._after = after
        self._is_inventory = is_inventory
        self._most = most_seconds
        self._spent = 0.0
        self._contents = False
        """Whether only content counts, and nothing that is around it."""
        self._beyond = True
        """Whether anything is left that does not vary by itself."""
        self.restless: frozenset[Trait] = frozenset()
        """What varied by itself in the last table, and no factor settled."""

    def vary(
        self,
        hypothesis: Hypothesis,
        factors: Sequence[Factor] = tuple(Factor),
        *,
        there: BuildDefinition | None = None,
    ) -> Variation | None:
        """Build it twice as it is, then with each factor changed; None when it gives nothing as it is.

        When a change seems to have an effect, it is built as it is once more: what differs then differs by itself, such
        as with the hour, and is the effect of no change.

        Args:
            hypothesis: What to build.
            factors: What to change.
            there: The same with every factor changed (:func:`elsewhere`). Factors are then tried likeliest first, until
                they account for all in which its content differs; a time is another one there.

        Raises:
            BuildEnvironmentError, StoreError, SandboxFaultError: see :class:`rebuilder.sandbox.protocol.Runner`.
            SandboxUnavailableError: the definition cannot be run here as it is.
        """
        self._spent, self._hypothesis, definition = 0.0, hypothesis, hypothesis.definition
        self._contents = there is not None
        first = self._made(definition)
        wait_until_apart(first.run)
        second = self._made(definition)
        if first.output is None or second.output is None:
            return None
        noise = self._compared(first.output, second.output)
        rows = self._rows(first, factors, noise, there)
        if noise is None and any(each.effect is Effect.FLIPS for each in rows):
            last = self._made(definition).output
            noise = None if last is None else self._compared(first.output, last)
            if noise is not None:
                rows = self._rows(first, factors, noise, there)
        return Variation(
            definition=definition.digest,
            rebuilt_sha256=first.output.sha256,
            steady=noise is None,
            rows=rows,
            seconds=round(self._spent, 3),
        )

    def _rows(
        self, base: _Result, factors: Sequence[Factor], noise: Comparison | None, there: BuildDefinition | None
    ) -> tuple[VariationRow, ...]:
        self.restless = self._traits(noise)
        result = self._made(there).output if there is not None else None
        if there is None or result is None or base.output is None:
            return tuple(self._row(base, each, noise, there)[0] for each in factors)
        different = self._compared(base.output, result)
        left = self._traits(different)
        self._beyond = True
        found: dict[Factor, VariationRow] = {}
        restless = {each[:2] for each in self.restless}
        for factor in _likeliest_first(factors, left, different, there):
            telling = [each for each in left if each[:2] not in restless]
            if not telling and not (factor in _SETTLING and self.restless):
                note = "Nothing is left that it could explain."
                found[factor] = VariationRow(factor=factor, change="", effect=Effect.NOT_TRIED, note=note)
                continue
            self._beyond = bool(telling)
            row, told = self._row(base, factor, noise, there)
            found[factor] = row
            settled = {(member, before) for member, before, _after in told} if noise is not None else set()
            timed = {(member, after) for member, _before, after in told} if factor is Factor.TIME else set()
            left = frozenset(
                each
                for each in left
                if each[1] in _WHOLE  # what is told as a whole may have other causes, too
                or (each not in told and each[:2] not in settled and (each[0], each[2]) not in timed)
            )
            if factor is not Factor.TIME and row.rebuilt_sha256 is not None and any(each[1] in _WHOLE for each in told):
                changed = base.output.replace(sha256=row.rebuilt_sha256)
                still = {member for member, _before, _after in self._traits(self._compared(changed, result))}
                left = frozenset(each for each in left if each[0] in still)  # it is as elsewhere by this change alone
        return tuple(found[each] for each in factors)

    def _row(
        self, base: _Result, factor: Factor, noise: Comparison | None, there: BuildDefinition | None
    ) -> tuple[VariationRow, frozenset[Trait]]:
        """The first change that has an effect, and what it changes; the last one otherwise."""
        row = VariationRow(
            factor=factor, change="", effect=Effect.NOT_TRIED, note="The build definition has no place for it."
        )
        told: frozenset[Trait] = frozenset()
        for change in self._changes(base.definition, factor, there):
            if self._spent > self._most:
                note = "The time for this was used up."
                return row.replace(change=change.words, effect=Effect.NOT_TRIED, note=note), told
            try:
                row, told = self._changed(base, factor, change, noise)
            except (SandboxUnavailableError, SandboxFaultError, UsageError) as error:
                row = VariationRow(factor=factor, change=change.words, effect=Effect.NOT_TRIED, note=str(error))
            if row.effect in {Effect.FLIPS, Effect.STEADIES}:
                break
            if factor is Factor.TIME and row.effect is Effect.NONE and noise is None:
                break  # a clock says more than what the build is told about it
        return row, told

    def _changes(
        self, definition: BuildDefinition, factor: Factor, there: BuildDefinition | None
    ) -> Iterator[FactorChange]:
        if there is None:
            yield from changes(definition, factor, self._after)
        elif factor is not Factor.TIME:  # what another value would do, it did not do there
            yield from itertools.islice(changes(definition, factor, self._after), 1)
        elif there.clock is not None:
            before = there.clock - _LATER
            words = f"clock {before:%Y-%m-%d %H:%M} → {there.clock:%Y-%m-%d %H:%M}"
            yield FactorChange(words, there, reference=there.replace(clock=before), settles=True)

    def _changed(
        self, base: _Result, factor: Factor, change: FactorChange, noise: Comparison | None
    ) -> tuple[VariationRow, frozenset[Trait]]:
        result = self._made(change.definition)
        if result.output is None:
            return _failed(factor, change, result.run), frozenset()
        if noise is not None and change.settles:
            if change.definition.clock is None:
                wait_until_apart(result.run)
            settled = self._settled(base, result, self._made(change.definition), noise)
            if settled:
                self.restless -= settled
                return _row(factor, change, Effect.STEADIES, result.output, found=noise, told=settled), settled
        if noise is not None and not self._beyond:
            return _row(factor, change, Effect.UNCLEAR, result.output), frozenset()
        reference = base if change.reference is None else self._made(change.reference)
        if reference.output is None:
            return _failed(factor, change, reference.run), frozenset()
        found = self._compared(reference.output, result.output)
        told = self._traits(found)
        if noise is None:
            effect = Effect.NONE if found is None else Effect.FLIPS
            return _row(factor, change, effect, result.output, found=found, told=told), told
        told = self._told(reference, change, found, noise)
        effect = Effect.FLIPS if told else Effect.UNCLEAR
        return _row(factor, change, effect, result.output, found=found if told else None, told=told), told

    def _settled(self, base: _Result, result: _Result, again: _Result, noise: Comparison) -> frozenset[Trait]:
        """What varies by itself, and not with the change: all of it, or lines and members that are the same twice.

        A line of the build as it is stands where one of the changed build does, by their order among all that differ.
        """
        if base.output is None or result.output is None or again.output is None:
            return frozenset()
        varying, clock = self._traits(noise), result.definition.clock
        if clock is None:  # what shows the time may have been made within the same minute twice
            varying = frozenset(each for each in varying if not _shows(each[1], base.run.started))
        if again.output.sha256 == result.output.sha256:
            return varying
        still = self._traits(self._compared(result.output, again.output))
        if clock is not None:  # one that stands goes on by parts of a second
            still = frozenset(each for each in still if not (_shows(each[1], clock) and _same_but_digits(each)))
        whole = {member for member, before, _after in still if before in _WHOLE}
        lines = {(member, before) for member, before, _after in still}
        place = {
            (member, before): after
            for member, before, after in self._traits(self._compared(base.output, result.output))
        }

        def steady(member: str, before: str) -> bool:
            if before in _WHOLE:
                return all(member != each for each, _before, _after in still)
            there = place.get((member, before))
            return there is not None and member not in whole and (member, there) not in lines

        return frozenset(each for each in varying if steady(each[0], each[1]))

    def _told(
        self, reference: _Result, change: FactorChange, found: Comparison | None, noise: Comparison
    ) -> frozenset[Trait]:
        """What a change changes in a build that varies by itself: twice the same, and not without the change."""
        told = _beyond(self._traits(found), self._traits(noise))
        if not told or reference.output is None:
            return frozenset()
        again, without = self._made(change.definition).output, self._made(reference.definition).output
        if again is None or without is None:
            return frozenset()
        told &= self._traits(self._compared(reference.output, again))
        return _beyond(told, self._traits(self._compared(reference.output, without)))

    def _made(self, definition: BuildDefinition) -> _Result:
        run = self._run(definition)
        self._spent += run.wall_seconds
        return _Result(definition, run, product(run, self._hypothesis))

    def _compared(self, first: Output, second: Output) -> Comparison | None:
        """How two results differ; None when they do not, or not in their content where only that is looked at."""
        found = self._comparer.difference(first, second)
        return None if found is not None and self._contents and found.level is not Level.DIFFERENT else found

    def _traits(self, comparison: Comparison | None) -> frozenset[Trait]:
        """What differs, line by line where it can be, in a form that can be told from what differs anyway."""
        if comparison is None:
            return frozenset()
        found: set[Trait] = set() if self._contents else {("", name, "") for name in comparison.normalisations}
        for each in comparison.differences:
            if each.change is MemberChange.METADATA or self._is_inventory(each.member):
                continue
            pairs = _pairs(each)
            found |= {(each.member, *pair) for pair in pairs} or {(each.member, f"\0{each.change.value}", "")}
        return frozenset(found)


_MARKS: dict[Factor, re.Pattern[str]] = {
    Factor.BUILD_PATH: re.compile(re.escape(ANOTHER_PLACE)),
    Factor.HOST_NAME: re.compile(r"\belsewhere\b"),
    Factor.USER: re.compile(r"\banother\b|^tar-owners$"),
    Factor.UMASK: re.compile(r"umask-modes|\b0?002\b"),
    Factor.FILE_ORDER: re.compile(r"-order$"),
}
"""What a factor's other value looks like in a result: it is then tried sooner, and nothing follows from it."""
_ORDERING = (Factor.HASH_SEED, Factor.FILE_ORDER)
_SETTLING = (Factor.CPU_COUNT, Factor.TIME)
"""What may settle a build that varies by itself. There is one CPU where another clock is, so that comes last."""


def _likeliest_first(
    factors: Sequence[Factor], different: frozenset[Trait], found: Comparison | None, there: BuildDefinition
) -> list[Factor]:
    """Factors whose marks are in what differs, then the others, those last that cost most."""
    moved = any(each.content is not None and each.content.moved for each in (found.differences if found else ()))
    ordered = moved or any(_same_entries(each) for each in different)
    timed = there.clock is not None and any(_shows(each[2], there.clock) for each in different)

    def rank(factor: Factor) -> tuple[bool, bool, bool]:
        mark = _MARKS.get(factor)
        likely = mark is not None and any(mark.search(text) for each in different for text in each[1:])
        likely = likely or (ordered and factor in _ORDERING) or (timed and factor is Factor.TIME)
        return not likely, factor in _SETTLING, factor is Factor.TIME

    return sorted(factors, key=rank)


def _same_entries(trait: Trait) -> bool:
    """Whether two lines have the same words in another order."""
    words = [sorted(re.findall(r"\w+", each)) for each in trait[1:]]
    return words[0] == words[1] and trait[1] != trait[2]


_FORMS_OF_TIME = (
    *(
        "%Y-%m-%d",
        "%Y/%m/%d",
        "%Y%m%d",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d.%m.%Y",
        "%b %e",
        "%b %d",
        "%e %b",
        "%B %e",
        "%e %B",
    ),
    "%H:%M",
)
_SAME_HOUR = -4
"""The first digits of a time in seconds that stay the same for hours."""


def _shows(text: str, moment: datetime) -> bool:
    """Whether a text has a moment in it, in UTC or in the zone that builds elsewhere have."""
    there = (moment.astimezone(UTC), moment.astimezone(UTC) + _ZONE)
    forms = (" ".join(each.strftime(form).split()) for each in there for form in _FORMS_OF_TIME)
    words = " ".join(text.split())
    return str(int(moment.timestamp()))[:_SAME_HOUR] in words or any(form in words for form in forms)


def _same_but_digits(trait: Trait) -> bool:
    return re.sub(r"\d", "0", trait[1]) == re.sub(r"\d", "0", trait[2])


_WHOLE = frozenset(f"\0{change.value}" for change in MemberChange)
"""Stands where a line would, when a member is told as a whole."""
Trait = tuple[str, str, str]
"""What differs: a member, the line of text (or the kind of change), and what stands there otherwise."""


def _beyond(found: frozenset[Trait], noise: frozenset[Trait]) -> frozenset[Trait]:
    """What cannot be what varies by itself: lines that do not, members that do not at all."""
    restless = {member for member, _before, _after in noise}
    whole = {member for member, before, _after in noise if before in _WHOLE}
    lines = {(member, before) for member, before, _after in noise}

    def told(member: str, before: str) -> bool:
        if before in _WHOLE:
            return member not in restless
        return member not in whole and (member, before) not in lines

    return frozenset(each for each in found - noise if told(each[0], each[1]))


def _pairs(difference: Difference) -> list[tuple[str, str]]:
    """Lines that stand for each other; none where a text is not known in full, or its sides have other numbers."""
    content = difference.content
    if content is None or not content.text or not content.complete or content.line_ends or content.moved:
        return []
    if len(content.published) != len(content.rebuilt):
        return []
    return list(zip(content.published, content.rebuilt, strict=True))


def _row(
    factor: Factor,
    change: FactorChange,
    effect: Effect,
    output: Output,
    *,
    found: Comparison | None = None,
    told: Collection[Trait] = (),
) -> VariationRow:
    """One row; of what was found, members and lines that ``told`` names."""
    names = {member for member, _before, _after in told}
    differences = found.differences if found is not None else ()
    every = found is not None and found.level is Level.EQUIVALENT
    members = tuple(dict.fromkeys(each.member for each in differences if every or each.member in names))
    lines = [
        ChangedLine(member=each.member, before=before, after=after)
        for each in differences
        for before, after in _pairs(each)
        if (each.member, before, after) in told
    ]
    return VariationRow(
        factor=factor,
        change=change.words,
        effect=effect,
        level=found.level if found is not None else Level.IDENTICAL,
        rebuilt_sha256=output.sha256,
        members=members[:_MOST_MEMBERS],
        members_total=len(members),
        lines=tuple(lines[:_MOST_LINES]),
        note=change.note,
    )


def _failed(factor: Factor, change: FactorChange, run: Run) -> VariationRow:
    return VariationRow(factor=factor, change=change.words, effect=Effect.FAILED, note=_ending(run))


def _ending(run: Run) -> str:
    if run.limit is not None:
        return f"The build reached its limit on {run.limit.value}."
    if run.outcome is Outcome.COMPLETED:
        return "The build left no file to compare."
    return f"A build command ended with exit code {run.exit_code}."
