"""What is changed for each factor, and what the results mean; with builds that are functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from rebuilder.compare.comparer import Comparer
from rebuilder.ecosystems.pypi.diagnosis import RULES
from rebuilder.errors import SandboxFaultError, SandboxUnavailableError
from rebuilder.model.attempt import Hypothesis, Limit, Outcome, Output, Run
from rebuilder.model.comparison import (
    Comparison,
    ContentChange,
    Difference,
    Effect,
    Factor,
    Level,
    MemberChange,
    Variation,
)
from rebuilder.model.definition import BuildDefinition, Input, Role
from rebuilder.model.evidence import Evidence, Inspection, Member, MemberKind
from rebuilder.model.value import Sha256
from rebuilder.sandbox.prepared import COMMANDS
from rebuilder.verification.findings import newest
from rebuilder.verification.variation import VariationRunner, changes, elsewhere
from tests.fakes import reports

NOW = datetime(2026, 11, 30, 13, 5, 7, tzinfo=UTC)
SUBJECT = reports.artifact()
PROGRAM = Input(role=Role.PROGRAM, name="pypi.pyz", sha256=reports.sha("programs"), path="/tools/pypi.pyz")
BASE = reports.definition(
    SUBJECT,
    inputs=(PROGRAM,),
    commands=(
        ("unpack", "--into", "/build/source"),
        ("/build/env/bin/python", "--source", "/build/source/x", "--out", "/out"),
    ),
)


class FakeComparer(Comparer):
    """Says of two contents that the member of that name differs; content before a colon is archive metadata."""

    def __init__(self, contents: dict[str, str]) -> None:
        self.contents = contents

    def compare(self, published: Sha256, rebuilt: Sha256, filename: str, rebuilt_filename: str) -> Comparison:
        """Compare what the builds wrote: ``member=value`` for each member."""
        sides = [dict(part.split("=") for part in self.contents[each].split()) for each in (published, rebuilt)]
        members = sorted(name for name in sides[0] if sides[0][name] != sides[1][name])
        times = members == ["times"]
        return Comparison(
            level=Level.EQUIVALENT if times else Level.DIFFERENT,
            published_sha256=published,
            rebuilt_sha256=rebuilt,
            normalisations=("zip-times",) if times else (),
            differences=tuple(Difference(member=name, change=MemberChange.CONTENT, detail="") for name in members),
            differences_total=len(members),
        )


def varied(
    build: Callable[[BuildDefinition], str | Run],
    base: BuildDefinition = BASE,
    comparer: type[FakeComparer] = FakeComparer,
    there: BuildDefinition | None = None,
    guests: bool = False,
    **options: Any,
) -> Variation | None:
    """The table for a build that gives this text, in a place without User Mode Linux unless it has guests."""
    contents: dict[str, str] = {}

    def run(definition: BuildDefinition) -> Run:
        if definition.sandbox == "uml" and not guests:
            raise SandboxUnavailableError("There is no such sandbox here.")
        text = build(definition)
        if isinstance(text, Run):
            return text
        sha256 = reports.sha(text)
        contents[sha256] = text
        return ended(outputs=(Output(filename=definition.targets[0], sha256=sha256, size=1),))

    return VariationRunner(run, comparer(contents), NOW, **options).vary(
        Hypothesis(name="build", sentence="As it is.", definition=base), there=there
    )


def ended(**changes: Any) -> Run:
    """A run that went well, unless ``changes`` say otherwise."""
    from tests.fakes.blobs import MemoryBlobs

    return reports.run(MemoryBlobs(), **changes)


def test_a_factor_that_our_sandbox_fails_costs_no_other() -> None:
    """One factor is told as not tried, with what went wrong; the others have their rows."""

    def build(definition: BuildDefinition) -> str:
        if definition.hostname == "elsewhere":
            raise SandboxFaultError("The machine ran out of memory.")
        return "the same"

    table = varied(build)
    assert table is not None
    rows = {row.factor: row for row in table.rows}
    assert set(Factor) == set(rows)
    assert (Effect.NOT_TRIED, "The machine ran out of memory.") == (
        rows[Factor.HOST_NAME].effect,
        rows[Factor.HOST_NAME].note,
    )
    assert Effect.NONE is rows[Factor.UMASK].effect


def effects(table: Variation | None) -> dict[Factor, Effect]:
    """Effect by factor, of those that have one."""
    assert table is not None
    return {row.factor: row.effect for row in table.rows if row.effect not in {Effect.NONE, Effect.UNCLEAR}}


@pytest.mark.parametrize("factor", Factor)
def test_each_change_changes_one_thing(factor: Factor) -> None:
    """Every factor has a change; what it was and what it becomes is said."""
    found = list(changes(BASE, factor, NOW))
    assert found
    for change in found:
        assert change.definition != BASE
        assert "→" in change.words or factor is Factor.FILE_ORDER


def test_clocks_are_later_than_all_files_and_differ_in_everything() -> None:
    """On every day of four years, a leap year among them: another year, month, day, weekday, hour and minute."""
    for day in range(4 * 366):
        after = NOW + timedelta(days=day, minutes=7 * day)
        change = next(changes(BASE, Factor.TIME, after))
        assert change.reference is not None
        first, later = change.reference.clock, change.definition.clock
        assert first is not None
        assert later is not None
        assert after + timedelta(hours=11) < first < after + timedelta(hours=36)
        for field in ("%Y", "%m", "%d", "%a", "%H", "%M"):
            assert first.strftime(field) != later.strftime(field), (first, later)
    same = {next(changes(BASE, Factor.TIME, NOW.replace(hour=hour))).words for hour in range(24)}
    assert 1 == len(same)


def test_a_tool_that_wants_no_file_of_the_future() -> None:
    """It builds under both clocks, as its files are older, and the year in the result is found."""

    def build(definition: BuildDefinition) -> str | Run:
        clock = definition.clock or NOW
        return f"year={clock:%Y}" if clock >= NOW else ended(outcome=Outcome.BUILD_FAILED, exit_code=1)

    table = varied(build, guests=True)
    assert {Factor.TIME: Effect.FLIPS} == effects(table)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["2026-03-09T08:41:54"], NOW),
        (["2027-01-02T03:04:05", "2026-03-09T08:41:54"], datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (["2107-12-31T23:59:58", "2027-13-45T00:00:00", "none"], NOW),
    ],
)
def test_files_of_the_source_may_be_newer(times: list[str], expected: datetime) -> None:
    """By what its archive lists, as far as that is a time at all."""
    members = tuple(Member(name="a", kind=MemberKind.FILE, size=1, mtime=each) for each in times)
    listing = Inspection(format="tar.gz", members=members)
    evidence = Evidence(artifact=SUBJECT, index_sha256=SUBJECT.sha256, source_inspection=listing)
    assert expected == newest(evidence, NOW)
    assert NOW == newest(evidence.replace(source_inspection=None), NOW)


def test_the_path_changes_everywhere_it_is_named() -> None:
    """Commands, environment and directory; the inputs stay where they are."""
    (change,) = changes(
        BASE.replace(environment={"PATH": "/build/env/bin:/usr/bin", "X": "/x/build"}), Factor.BUILD_PATH, NOW
    )
    moved = change.definition
    assert "/build/another/place" == moved.directory
    assert ("unpack", "--into", "/build/another/place/source") == moved.commands[0]
    assert {"PATH": "/build/another/place/env/bin:/usr/bin", "X": "/x/build"} == moved.environment
    assert BASE.inputs == moved.inputs


def test_the_virtual_environment_moves_along() -> None:
    """No word of the commands that make it stays as it was."""
    (change,) = changes(BASE.replace(commands=(*COMMANDS, *BASE.commands)), Factor.BUILD_PATH, NOW)
    words = [word for command in change.definition.commands for word in command]
    assert any("--directory /build/another/place;" in word for word in words)
    assert "/build" not in " ".join(words).replace("/build/another/place", "")


def test_the_order_of_files_needs_a_tree() -> None:
    """A build that names no source tree cannot be turned round, and the table says so."""
    base = BASE.replace(commands=(("make",),))
    table = varied(lambda _: "a=1", base)
    assert {Factor.FILE_ORDER: Effect.NOT_TRIED} == effects(table)


def test_a_build_that_heeds_nothing_is_flipped_by_nothing() -> None:
    """Every row says that it has no effect."""
    table = varied(lambda _: "a=1")
    assert table is not None
    assert table.steady
    assert {} == effects(table)
    assert set(Factor) == {row.factor for row in table.rows}


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (Factor.TIME, lambda each: each.environment.get("SOURCE_DATE_EPOCH")),
        (Factor.BUILD_PATH, lambda each: each.directory),
        (Factor.UMASK, lambda each: each.umask),
        (Factor.LOCALE, lambda each: each.environment.get("LC_ALL")),
        (Factor.TIME_ZONE, lambda each: each.environment.get("TZ")),
        (Factor.CPU_COUNT, lambda each: each.cpu_count),
        (Factor.HOST_NAME, lambda each: each.hostname),
        (Factor.USER, lambda each: each.environment.get("USER")),
        (Factor.FILE_ORDER, lambda each: len(each.commands)),
        (Factor.HASH_SEED, lambda each: each.environment["PYTHONHASHSEED"] in {"0", "1"}),
    ],
)
def test_the_factor_that_is_in_the_result_flips_it(factor: Factor, text: Callable[[BuildDefinition], object]) -> None:
    """That one and no other, with the member; a seed that changes nothing is followed by another."""
    table = varied(lambda definition: f"a=1 b={text(definition)}".replace("b=/", "b="))
    assert {factor: Effect.FLIPS} == effects(table)
    assert table is not None
    (row,) = [each for each in table.rows if each.effect is Effect.FLIPS]
    assert (("b",), Level.DIFFERENT) == (row.members, row.level)


def test_a_list_of_the_other_members_is_no_effect_of_its_own() -> None:
    """It differs wherever one of them does; the ecosystem says which member it is."""
    turns = count()

    def build(definition: BuildDefinition) -> str:
        return f"list={definition.umask} random={next(turns)}"

    assert Effect.FLIPS is effects(varied(build))[Factor.UMASK]
    assert Factor.UMASK not in effects(varied(build, is_inventory="list".__eq__))
    assert RULES.is_inventory("x-1.dist-info/RECORD")
    assert not RULES.is_inventory("x/RECORD")


def test_a_clock_that_is_fixed_steadies() -> None:
    """Without the time told to it the build gives something else each time; with it, the same."""
    count = itertools.count()
    base = reports.definition(SUBJECT, epoch=None, inputs=(PROGRAM,), commands=BASE.commands)
    table = varied(lambda each: f"a={each.environment.get('SOURCE_DATE_EPOCH') or next(count)}", base)
    assert table is not None
    assert not table.steady
    assert {Factor.TIME: Effect.STEADIES} == effects(table)


def test_what_differs_anyway_is_no_effect() -> None:
    """A random member is in every result; another member that changes is told from it."""
    count = itertools.count()
    table = varied(lambda each: f"random={next(count)} b={each.umask}")
    assert {Factor.UMASK: Effect.FLIPS} == effects(table)


def test_what_changes_with_the_hour_is_the_effect_of_no_change() -> None:
    """Something else every third time: what is built as it is once more shows that no change did that."""
    count = itertools.count()
    table = varied(lambda _: f"hour={next(count) // 3}")
    assert table is not None
    assert not table.steady
    assert Effect.FLIPS not in effects(table).values()
    told = varied(lambda each: f"hour={next(count) // 3} b={each.umask}")
    assert [Factor.UMASK] == [factor for factor, effect in effects(told).items() if effect is Effect.FLIPS]


def test_a_change_with_which_the_build_fails() -> None:
    """It is said with its exit code, and nothing is concluded from it."""
    failed = ended(outcome=Outcome.BUILD_FAILED, exit_code=7)
    table = varied(lambda each: failed if each.umask != BASE.umask else "a=1")
    assert {Factor.UMASK: Effect.FAILED} == effects(table)
    assert table is not None
    [note] = [row.note for row in table.rows if row.factor is Factor.UMASK]
    assert note is not None
    assert "exit code 7" in note


def test_a_build_that_gives_nothing_is_not_varied() -> None:
    """There is nothing to compare with."""
    assert None is varied(lambda _: ended(outcome=Outcome.TIMED_OUT, exit_code=None, limit=Limit.MEMORY))


def test_the_time_for_it_is_bounded() -> None:
    """Factors that no time is left for are listed as not tried."""
    table = varied(lambda _: "a=1", most_seconds=1.0)
    assert dict.fromkeys(Factor, Effect.NOT_TRIED) == effects(table)


class LineComparer(FakeComparer):
    """Says of two texts which lines of the one member they are differ."""

    def compare(self, published: Sha256, rebuilt: Sha256, filename: str, rebuilt_filename: str) -> Comparison:
        """Compare line by line."""
        left, right = (self.contents[each].splitlines() for each in (published, rebuilt))
        sides = [[line for line in one if line not in other] for one, other in ((left, right), (right, left))]
        content = ContentChange(
            text=True,
            published=tuple(sides[0]),
            rebuilt=tuple(sides[1]),
            published_total=len(sides[0]),
            rebuilt_total=len(sides[1]),
        )
        one = Difference(member="a", change=MemberChange.CONTENT, detail="", content=content)
        return Comparison(
            level=Level.DIFFERENT,
            published_sha256=published,
            rebuilt_sha256=rebuilt,
            differences=(one,),
            differences_total=1,
        )


def test_lines_are_told_from_those_that_vary_by_themselves() -> None:
    """Host name, path and a counter in one file: the first two have their line each, the others cannot be told."""
    count = itertools.count()
    table = varied(
        lambda each: f"count {next(count)}\nhost {each.hostname}\nat {each.directory}", comparer=LineComparer
    )
    assert table is not None
    assert not table.steady
    assert {Factor.HOST_NAME: Effect.FLIPS, Factor.BUILD_PATH: Effect.FLIPS} == effects(table)
    rows = {row.factor: row for row in table.rows}
    assert [(f"host {BASE.hostname}", "host elsewhere")] == [
        (line.before, line.after) for line in rows[Factor.HOST_NAME].lines
    ]
    assert Effect.UNCLEAR is rows[Factor.LOCALE].effect


def test_what_comes_out_once_is_no_effect() -> None:
    """A member that differs only now and then is not put upon the factor that was changed just then."""
    count = itertools.count()
    table = varied(lambda _: f"random={next(count)} b={next(count) // 9}")
    assert table is not None
    assert not [row for row in table.rows if row.effect is Effect.FLIPS and row.factor is Factor.UMASK]


def test_elsewhere_everything_is_changed() -> None:
    """Every factor that a definition has a place for is another one, and the clock is that of the guest."""
    made = elsewhere(BASE.replace(cpu_count=2), NOW)
    assert "uml" == made.sandbox
    assert made.clock is not None
    assert (1, "0002", "elsewhere") == (made.cpu_count, made.umask, made.hostname)
    assert {"TZ", "PYTHONHASHSEED", "LC_ALL", "USER"} <= made.environment.keys()
    assert any("reverse_tree" in command for command in made.commands)
    assert made.directory.startswith("/build/another")


def test_elsewhere_without_a_clock_is_the_same_sandbox() -> None:
    """Where no guest runs, all else is changed."""
    made = elsewhere(BASE, NOW, [each for each in Factor if each is not Factor.TIME])
    assert BASE.sandbox == made.sandbox
    assert made.clock is None
    assert BASE.umask != made.umask


def test_the_umask_is_that_of_the_checkout_too() -> None:
    """Files of a source tree have the modes that the umask of whoever builds gives them."""
    commands = (("unpack", "--into", "/build/src", "--umask", "0022"), *BASE.commands)
    [change] = changes(BASE.replace(commands=commands), Factor.UMASK, NOW)
    assert ("unpack", "--into", "/build/src", "--umask", "0002") == change.definition.commands[0]


def test_factors_are_tried_until_they_account_for_everything() -> None:
    """What differs elsewhere is accounted for by the likeliest factor; for the others nothing is built."""
    built = []

    def build(definition: BuildDefinition) -> str:
        built.append(definition)
        return f"a={definition.hostname}"

    table = varied(
        build, there=elsewhere(BASE, NOW, [each for each in Factor if each is not Factor.TIME]), comparer=Lines
    )
    assert {Factor.HOST_NAME: Effect.FLIPS} == {
        factor: effect for factor, effect in effects(table).items() if effect is not Effect.NOT_TRIED
    }
    assert len(built) < len(Factor)


def test_two_factors_in_one_member_are_both_found() -> None:
    """One of them alone does not account for what differs elsewhere, so the other is looked for, too."""

    def build(definition: BuildDefinition) -> str:
        return f"a={definition.hostname}-{definition.environment.get('TZ')}"

    table = varied(
        build, there=elsewhere(BASE, NOW, [each for each in Factor if each is not Factor.TIME]), comparer=Lines
    )
    found = {factor for factor, effect in effects(table).items() if effect is Effect.FLIPS}
    assert {Factor.HOST_NAME, Factor.TIME_ZONE} == found


class Lines(FakeComparer):
    """Tells each member with the one line that it has."""

    def compare(self, published: Sha256, rebuilt: Sha256, filename: str, rebuilt_filename: str) -> Comparison:
        """As its base, with the lines."""
        sides = [dict(part.split("=") for part in self.contents[each].split()) for each in (published, rebuilt)]
        found = super().compare(published, rebuilt, filename, rebuilt_filename)
        return found.replace(
            differences=tuple(
                each.replace(
                    content=ContentChange(
                        text=True,
                        published=(sides[0][each.member],),
                        rebuilt=(sides[1][each.member],),
                        published_total=1,
                        rebuilt_total=1,
                    )
                )
                for each in found.differences
            )
        )
