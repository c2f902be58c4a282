"""What is built next of a Debian package, from the attempts recorded so far."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebuilder.ecosystems.debian.traces import Traces
from rebuilder.model.attempt import MOST_HYPOTHESES, Attempt, History, Hypothesis
from rebuilder.model.decision import decide
from rebuilder.model.evidence import Obstacle
from rebuilder.model.verdict import Verdict
from tests.fakes.debian_plans import MOMENT, World, ended, with_new_compiler, with_updated_tool

PLACE = "/build/tiny-Ab12Cd/tiny-1"
SWAPPED = Traces(theirs=("1.2.3",), ours=("1.2.4",), moment=MOMENT)
"""The published file has another version where ours has that of the tool."""
BUILDINFO = f"""Format: 1.0
Source: tiny
Architecture: amd64
Version: 1-1
Checksums-Sha256:
 {"0" * 64} 3 tiny_1-1_amd64.deb
Build-Architecture: amd64
Build-Path: /build/reproducible-path/tiny-1
Installed-Build-Depends:
 tool (= 1.2.3-1)
"""


@pytest.fixture(scope="module")
def new_compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of environments whose compiler is newer than the package."""
    return with_new_compiler(tmp_path_factory.mktemp("root"))


def tried(world: World, *ends: int | None, traces: Traces | None = None) -> tuple[list[Hypothesis], Obstacle | None]:
    """What is tried where attempts end so, one after the other, the last way again and again; what is said at the end.

    Every attempt is planned by a process of its own. Each rebuilt package has the same traces.
    """
    attempts: list[Attempt] = []
    while isinstance(found := world.next(History(tuple(attempts))), Hypothesis):
        attempts.append(ended(found, ends[min(len(attempts), len(ends) - 1)]))
        if traces is not None and (rebuilt := attempts[-1].rebuilt) is not None:
            world.traces[rebuilt.sha256] = traces
        assert len(attempts) <= MOST_HYPOTHESES
    verdict = decide(tuple(attempts), found)
    assert verdict.sentence
    return [each.hypothesis for each in attempts], found


def names(world: World, *ends: int | None, traces: Traces | None = None) -> list[str]:
    """The names of what is tried."""
    hypotheses, _ = tried(world, *ends, traces=traces)
    return [each.name if each.lacks is None else f"{each.name}, lacking" for each in hypotheses]


def test_the_release_comes_first_and_is_enough() -> None:
    """With the newest build dependencies, and nothing read from the package."""
    hypotheses, obstacle = tried(World(), 0)
    assert (["release"], None) == ([each.name for each in hypotheses], obstacle)
    assert () == hypotheses[0].replayed


@pytest.mark.parametrize(
    ("known", "elsewhere", "traces", "expected"),
    [
        ({}, (), None, ["release"]),
        ({}, (), Traces(paths=(PLACE, "/home/me/tiny-1")), ["release", "build-path"]),
        ({}, (), SWAPPED, ["release", "release, lacking"]),
        ({"1.2.3-1": "kept-index"}, (), SWAPPED, ["release", "pinned"]),
        ({"1.2.2-1": "kept-index"}, (), SWAPPED, ["release", "release, lacking"]),
        ({}, ("forky",), Traces(), ["release", "release"]),
        ({}, (), Traces(unpaired=True), ["release", "with-tests"]),
        ({}, (), Traces(stray=("data.tar/usr/share/tiny/log",)), ["release", "with-tests"]),
        ({}, (), Traces(others=("data.tar/usr/share/doc/tiny/changelog.gz",)), ["release", "whole-changelogs"]),
    ],
)
def test_what_differs_says_what_is_tried(
    known: dict[str, str], elsewhere: tuple[str, ...], traces: Traces | None, expected: list[str]
) -> None:
    """A directory of the form that builders have, a version, another release, whole changelogs, tests."""
    world = World(known=dict(known), elsewhere=elsewhere)  # type: ignore[arg-type]
    assert expected == names(world, 3, 0, traces=traces)
    world.updates = True
    assert "without-updates" in names(world, 3, traces=traces)


def test_a_build_that_fails_says_nothing() -> None:
    """Nothing can be held against the published package; another release that has the file is tried."""
    assert ["release"] == names(World(), None)
    assert ["release", "release"] == names(World(elsewhere=("forky",)), None)


def test_what_is_read_from_the_package_is_counted() -> None:
    """A version that it names: ten bits, and one for each package."""
    hypotheses, _ = tried(World(known={"1.2.3-1": "pool"}), 3, 0, traces=SWAPPED)
    [told] = hypotheses[-1].replayed
    assert ("tool-version", 11, "tool 1.2.3-1") == (told.name, told.bits, told.value)
    [unsigned] = hypotheses[-1].definition.toolchain.unauthenticated
    assert ("tool", "1.2.3-1", "pool") == (unsigned.name, unsigned.version, unsigned.origin)


def test_what_nobody_signed_neither_accuses_nor_excuses() -> None:
    """It comes nearer, and that changes nothing: what a missing tool explains is shown by what was signed."""
    named = Traces(named={"tool": ("1.2.3",)}, moment=MOMENT)
    world = World(known={"1.2.3-1": "pool"})
    hypotheses, _ = tried(world, 3, 1, traces=named)
    last = hypotheses[-1]
    assert last.lacks is not None
    assert (Verdict.INPUTS_MISSING, ()) == (last.lacks.verdict, last.definition.toolchain.unauthenticated)
    hypotheses, _ = tried(World(known={"1.2.3-1": "pool"}), 3, 1, traces=named.replace(unpaired=True))
    assert [None] * len(hypotheses) == [each.lacks for each in hypotheses]
    assert decide(tuple(map(ended, hypotheses, [3, 1, 1, 1])), None).attempt == 0


def test_a_newer_compiler_is_what_lacks(new_compiler: Path) -> None:
    """Where nothing but compiled code differs; not where a file is missing."""
    compiled = Traces(compiled=True, moment=MOMENT)
    hypotheses, _ = tried(World(root=new_compiler), 1, traces=compiled)
    assert hypotheses[-1].lacks is not None
    assert "gcc-14 14.2.0-19" in hypotheses[-1].lacks.sentence
    for world, traces in ((World(root=new_compiler), compiled.replace(unpaired=True)), (World(), compiled)):
        assert all(each.lacks is None for each in tried(world, 1, traces=traces)[0])


@pytest.mark.parametrize(
    ("origin", "expected"), [("kept-index", ["pinned"]), ("pool", ["pinned", "release"]), (None, ["release"])]
)
def test_buildinfo_that_was_given(origin: str | None, expected: list[str]) -> None:
    """Tried first; where it comes out only with what nobody signed, builds without that are tried all the same."""
    world = World(known={"1.2.3-1": origin} if origin else {}, buildinfo=BUILDINFO)  # type: ignore[dict-item]
    assert expected == names(world, 0)


CONF = "data.tar/usr/share/tiny/tiny.conf"


@pytest.mark.parametrize(
    ("known", "traces", "expected"),
    [
        ({}, Traces(stray=(CONF,), added={CONF: (("verify_name",),)}), ["release", "release, lacking"]),
        ({"1.2.3-1": "kept-index"}, Traces(stray=(CONF,), added={CONF: (("verify_name",),)}), ["release", "pinned"]),
        ({}, Traces(stray=(CONF,), added={CONF: (("verify_other",),)}), ["release", "with-tests"]),
        ({}, Traces(stray=(CONF,), added={CONF: (("verify_name",), ("other_name",))}), ["release", "with-tests"]),
        ({}, Traces(stray=(CONF, "x"), added={CONF: (("verify_name",),)}), ["release", "with-tests"]),
        ({}, Traces(stray=(CONF,), added={CONF: (("verify_name",),)}, unpaired=True), ["release", "with-tests"]),
    ],
)
def test_what_came_with_an_update(tmp_path: Path, known: dict[str, str], traces: Traces, expected: list[str]) -> None:
    """All that only the rebuilt file says is of an update: what was before that is tried, or is what lacks."""
    world = World(known=dict(known), root=with_updated_tool(tmp_path))  # type: ignore[arg-type]
    ends = [3, 0] if "pinned" in expected else [3]
    assert expected == names(world, *ends, traces=traces)


def test_what_an_update_does_not_explain_after_all(tmp_path: Path) -> None:
    """The version before is there and changes nothing: tests are run, and nothing lacks."""
    world = World(known={"1.2.3-1": "kept-index"}, root=with_updated_tool(tmp_path))
    traces = Traces(stray=(CONF,), added={CONF: (("verify_name",),)})
    assert ["release", "pinned", "with-tests"] == names(world, 3, traces=traces)


def test_builds_are_few() -> None:
    """However many versions a package names, and whatever comes out of them."""
    known = {f"1.3.{number}-1": "index" for number in range(40)}
    traces = Traces(theirs=tuple(f"1.3.{number}" for number in range(40)), ours=("1.2.4",))
    assert 2 <= len(names(World(known=dict(known)), 9, 8, 7, 6, 5, traces=traces)) <= 9  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(ends=st.lists(st.sampled_from([None, 0, 1, 2, 3]), min_size=12, max_size=12))
def test_killed_anywhere_the_plan_goes_on(new_compiler: Path, ends: list[int | None]) -> None:
    """Attempts that were written down and read again give the same next one; no definition is built twice."""
    world = World(
        known={"1.2.3-1": "pool", "1.2.2-1": "kept-index"}, elsewhere=("forky",), root=new_compiler, updates=True
    )
    traces = Traces(theirs=("1.2.3", "1.2.2"), ours=("1.2.4",), paths=(PLACE,), compiled=True, moment=MOMENT)
    attempts: list[Attempt] = []
    while isinstance(found := world.next(History(tuple(attempts))), Hypothesis):
        made = ended(found, ends[len(attempts)])
        if made.rebuilt is not None:
            world.traces[made.rebuilt.sha256] = traces
        attempts.append(Attempt.model_validate_json(made.model_dump_json()))
        assert len(attempts) <= MOST_HYPOTHESES
    digests = [(each.hypothesis.definition.digest, each.hypothesis.lacks is None) for each in attempts]
    assert len(set(digests)) == len(digests)
    for number, each in enumerate(attempts):
        again = world.next(History(tuple(attempts[:number])))
        assert isinstance(again, Hypothesis)
        assert again.same(each.hypothesis)
