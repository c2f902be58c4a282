"""From evidence to build definitions, with a resolver and a backend that answer from a list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rebuilder.ecosystems.protocol import StepTask
from rebuilder.model.artifact import Resolution
from rebuilder.model.attempt import Attempt, History, Hypothesis, Limit, Output
from rebuilder.model.comparison import Level
from rebuilder.model.definition import BuildDefinition, Limits, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Obstacle
from rebuilder.model.replayed import MOST_BITS, When, bits_before
from rebuilder.model.verdict import Verdict
from tests.fakes.planning import EARLIER, begin, commands, from_published, mixed, uniform
from tests.fakes.projects import SOME_TIME, Distribution, make_sdist, make_wheel, minibackend_wheel
from tests.fakes.pypi import UPLOADED, Surroundings, attempt
from tests.fakes.resolver import FakeResolver


def stopped(surroundings: Surroundings, *distributions: Distribution, **fields: Any) -> tuple[Verdict, str]:
    """The obstacle that keeps the generator from yielding anything."""
    obstacle = begin(surroundings, *distributions, **fields).end()
    assert obstacle is not None
    return obstacle.verdict, obstacle.sentence


def parameters(surroundings: Surroundings, definition: BuildDefinition, name: str) -> str:
    """Text of a parameter document."""
    [found] = [each for each in definition.inputs if each.name == name]
    assert found.role is Role.PARAMETERS
    return surroundings.blobs.read(found.sha256).decode()


def test_one_time_first_when_the_wheel_has_one() -> None:
    """SOURCE_DATE_EPOCH is the one time, read as UTC; then the times of the files are tried, then nothing."""
    surroundings = Surroundings()
    hypotheses = begin(surroundings, *uniform())
    first = hypotheses.first()
    assert first.name == "source-date-epoch"
    assert str(int(SOME_TIME.timestamp())) == first.definition.environment["SOURCE_DATE_EPOCH"]
    assert "one" not in [each.name for each in first.definition.inputs]
    assert "2024-03-01 12:00:00" in first.sentence
    second = hypotheses.after(attempt(first, Level.DIFFERENT))
    assert second.name == "source-archive-times"
    assert "SOURCE_DATE_EPOCH" not in second.definition.environment
    assert hypotheses.end(attempt(second, Level.DIFFERENT)) is None


def test_times_of_the_files_first_when_the_wheel_has_several() -> None:
    """Source files keep the times of the source archive; no document of times goes into the build."""
    surroundings = Surroundings()
    hypotheses = begin(surroundings, *mixed())
    first = hypotheses.first()
    assert first.name == "source-archive-times"
    assert ["requirements.txt"] == [each.name for each in first.definition.inputs if each.role is Role.PARAMETERS]
    assert hypotheses.after(attempt(first, Level.DIFFERENT)).name == "source-date-epoch"


def test_what_the_build_is_told_is_counted() -> None:
    """Every value read from the wheel is listed, with how much it can say; all together stay under the limit."""
    hypothesis = begin(Surroundings(), *uniform()).first()
    told = {each.name: (each.value, each.bits) for each in hypothesis.replayed}
    assert {When.BEFORE_BUILD} == {each.when for each in hypothesis.replayed}
    assert (str(int(SOME_TIME.timestamp())), 32) == told["source-date-epoch"]
    assert ("0022 0022", 2) == told["umask"]
    assert {"interpreter", "search"} <= set(told)
    assert 0 < bits_before(hypothesis.replayed) <= MOST_BITS


def test_nothing_free_form_reaches_the_build() -> None:
    """Other times, order, modes and names of members in the wheel give the very same definition."""
    members = {"idna-3.10.dist-info/METADATA": 0o600, "idna-3.10.dist-info/WHEEL": 0o640}
    sdist, plain = mixed()
    definitions = set()
    for modes in ({}, members):
        wheel = make_wheel("idna", "3.10", modes=modes, times={"idna/__init__.py": SOME_TIME.replace(year=2011)})
        definitions.add(begin(Surroundings(), sdist, wheel).first().definition.digest)
    definitions.add(begin(Surroundings(), sdist, plain).first().definition.digest)
    assert 1 == len(definitions)


def test_definition_says_everything() -> None:
    """Inputs are pinned and bound where commands look for them; the published wheel is none of them."""
    surroundings = Surroundings()
    sdist, wheel = uniform()
    definition = begin(surroundings, sdist, wheel).first().definition
    backend = minibackend_wheel()
    assert [
        (Role.PROGRAM, "/tools/pypi.pyz"),
        (Role.BUILD_TOOL, "/tools/uv"),
        (Role.SOURCE, "/inputs/idna-3.10.tar.gz"),
        (Role.PARAMETERS, "/inputs/requirements.txt"),
        (Role.BUILD_DEPENDENCY, f"/inputs/wheels/{backend.filename}"),
    ] == [(each.role, each.path) for each in definition.inputs]
    assert wheel.sha256 not in definition.canonical.decode()
    assert all(surroundings.blobs.has(each.sha256) for each in definition.inputs)
    requirements = parameters(surroundings, definition, "requirements.txt")
    assert requirements == f"minibackend==1.0 --hash=sha256:{backend.sha256}\n"
    assert ("pkg:pypi/idna@3.10", wheel.filename, "trixie", "0022") == (
        definition.purl,
        definition.targets[0],
        definition.toolchain.name,
        definition.umask,
    )
    assert {"HOME", "LANG", "LC_ALL", "PATH", "PYTHONHASHSEED", "SOURCE_DATE_EPOCH", "TZ"} == set(
        definition.environment
    )
    assert "/build/src/idna-3.10" in definition.commands[-1]
    assert BuildDefinition.from_slsa(definition.slsa) == definition


def test_modes_in_the_wheel_become_umasks() -> None:
    """Group-writable generated files mean umask 0002 for the backend; sources have their own."""
    surroundings = Surroundings()
    names = [f"idna-3.10.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")]
    wheel = make_wheel("idna", "3.10", modes=dict.fromkeys(names, 0o664))
    definition = begin(surroundings, make_sdist("idna", "3.10"), wheel).first().definition
    assert definition.umask == "0002"
    assert ("--umask", "0022") == next(each for each in definition.commands if "unpack" in each)[-2:]


def test_equal_content_settles_it() -> None:
    """When only metadata of the archive differs, another guess about times could only do worse."""
    hypotheses = begin(Surroundings(), *mixed())
    assert hypotheses.end(attempt(hypotheses.first(), Level.EQUIVALENT)) is None


def only_times(surroundings: Surroundings, hypothesis: Hypothesis, rebuilt: Distribution) -> Attempt:
    """An attempt that left a wheel which differs from the published one in times alone."""
    made = attempt(hypothesis, Level.EQUIVALENT)
    assert made.comparison is not None
    output = Output(filename=rebuilt.filename, sha256=surroundings.blobs.put(rebuilt.data), size=len(rebuilt.data))
    comparison = made.comparison.replace(normalisations=("zip-times",))
    return made.replace(rebuilt=output, comparison=comparison)


def test_clock_is_tried_when_only_times_are_left() -> None:
    """What the build wrote is written again at the recorded time, under a kernel of its own; then that is all."""
    surroundings = Surroundings(sandboxes=frozenset({"bubblewrap", "uml"}), clock="kernel")
    hypotheses = begin(surroundings, *mixed())
    first = hypotheses.first()
    rebuilt = make_wheel("idna", "3.10", time=EARLIER, metadata_time=SOME_TIME + timedelta(days=9))
    second = hypotheses.after(only_times(surroundings, first, rebuilt))
    clock = second.definition.clock
    assert clock is not None
    assert ("wall-clock", "uml", True) == (second.name, second.definition.sandbox, second.definition.clock_stands)
    assert SOME_TIME < clock < SOME_TIME + timedelta(seconds=1)
    assert "clock of the sandbox stands" in second.sentence
    assert first.definition.inputs == second.definition.inputs
    assert hypotheses.end(only_times(surroundings, second, rebuilt)) is None


@pytest.mark.parametrize("fields", [{"clock": "kernel"}, {"sandboxes": frozenset({"bubblewrap", "uml"})}], ids=min)
def test_without_a_clock_of_its_own_it_is_not_tried(fields: dict[str, Any]) -> None:
    """Where there is no such sandbox, or times are written afterwards, equal content is the end."""
    surroundings = Surroundings(**fields)
    hypotheses = begin(surroundings, *mixed())
    first = hypotheses.first()
    rebuilt = make_wheel("idna", "3.10", time=EARLIER, metadata_time=SOME_TIME + timedelta(days=9))
    assert hypotheses.end(only_times(surroundings, first, rebuilt)) is None


def test_wheel_of_another_build_system() -> None:
    """What Bazel packed is not tried with a backend that does not make it."""
    wheel = make_wheel("idna", "3.10", generator="bazel-wheelmaker 1.0")
    verdict, sentence = stopped(Surroundings(), make_sdist("idna", "3.10"), wheel)
    assert (Verdict.UNSUPPORTED, True) == (verdict, "Bazel" in sentence)


def test_failed_build_is_tried_on_another_python() -> None:
    """Times do not mend a build that fails; another interpreter may."""
    hypotheses = begin(Surroundings(), *uniform())
    first = hypotheses.first()
    second = hypotheses.after(attempt(first, None))
    assert ("source-date-epoch-python3.11", "bookworm") == (second.name, second.definition.toolchain.name)
    third = hypotheses.after(attempt(second, None))
    assert "bullseye" == third.definition.toolchain.name
    assert hypotheses.end(attempt(third, None)) is None


def test_what_one_python_cannot_have_is_tried_on_another() -> None:
    """Build dependencies may have no release for the likeliest interpreter."""
    sdist = make_sdist("idna", "3.10", requires=["minibackend==1.0", 'lacking; python_version >= "3.12"'])
    first = begin(Surroundings(), sdist, make_wheel("idna", "3.10")).first()
    assert ("source-date-epoch-python3.11", "bookworm") == (first.name, first.definition.toolchain.name)


def test_reached_limit_is_not_tried_again() -> None:
    """A build that reached a limit would reach it again."""
    hypotheses = begin(Surroundings(), *uniform())
    assert hypotheses.end(attempt(hypotheses.first(), None, Limit.WALL_TIME)) is None


def test_backend_is_asked_once_for_what_else_it_requires() -> None:
    """What get_requires_for_build_wheel names is resolved together with the rest, and remembered."""
    surroundings = Surroundings(requires=["helper>=1", "minibackend"])
    surroundings.add_dependency(make_wheel("helper", "1.5"))
    definition = begin(surroundings, *uniform()).first().definition
    assert ["helper", "minibackend"] == [each.name for each in definition.inputs if each.role is Role.BUILD_DEPENDENCY]
    [asked] = surroundings.asked
    assert "--requires-only" in asked.commands[-1]
    pypi = surroundings.pypi
    [evidence] = pypi.evidence(pypi.parse("idna"))
    assert definition == from_published(pypi, evidence).first().definition
    assert len(surroundings.asked) == 1


@pytest.mark.parametrize("requires", ["text", [1], {"a": 1}, None])
def test_backend_that_cannot_be_asked_is_built_all_the_same(requires: Any) -> None:
    """The build fails by itself then, with a log; a file somebody tampered with is no answer either."""
    surroundings = Surroundings(requires=requires)
    hypothesis = begin(surroundings, *uniform()).first()
    assert "further requirements failed" in hypothesis.sentence
    assert not [key for key, value in surroundings.memo.documents.items() if value == requires]


def test_backend_that_asks_for_an_address_is_an_obstacle() -> None:
    """Dynamic requirements are no more trusted than written ones."""
    surroundings = Surroundings(requires=["x @ https://example.org/x.whl"])
    assert Verdict.INPUTS_MISSING is stopped(surroundings, *uniform())[0]


def test_nothing_newer_than_the_upload() -> None:
    """A newer release of a dependency is not used; without an older one its absence is an obstacle."""
    surroundings = Surroundings(requires=["helper"])
    surroundings.add_dependency(make_wheel("helper", "2.0"), uploaded=UPLOADED + timedelta(days=30))
    verdict, sentence = stopped(surroundings, *uniform())
    assert Verdict.INPUTS_MISSING is verdict
    assert "before 2025-03-02 00:00 UTC" in sentence
    surroundings = Surroundings(requires=["helper"])
    surroundings.add_dependency(make_wheel("helper", "2.0"), uploaded=UPLOADED + timedelta(days=30))
    surroundings.add_dependency(make_wheel("helper", "1.0"), uploaded=UPLOADED - timedelta(days=30))
    definition = begin(surroundings, *uniform()).first().definition
    assert ["1.0", "1.0"] == [each.version for each in definition.inputs if each.role is Role.BUILD_DEPENDENCY]


def test_backend_published_just_after_the_wheel() -> None:
    """The tool that packed the wheel existed before it was published; the sentence says what was allowed."""
    surroundings = Surroundings()
    surroundings.add_dependency(minibackend_wheel("1.1"), uploaded=UPLOADED + timedelta(minutes=5))
    wheel = make_wheel("idna", "3.10", generator="minibackend 1.1")
    hypothesis = begin(surroundings, make_sdist("idna", "3.10"), wheel).first()
    assert "minibackend==1.1 was published only after the wheel" in hypothesis.sentence
    assert "'minibackend==1.0'" in hypothesis.sentence, "the contradiction with pyproject.toml is told"


@pytest.mark.parametrize(
    ("version", "words"), [("9.9", "cannot be had together"), ("1.1.post20250701", "never released")]
)
def test_generator_nobody_published(version: str, words: str) -> None:
    """The nearest release stands in for a tool that is on no index; what that makes says nothing about the wheel."""
    wheel = make_wheel("idna", "3.10", generator=f"minibackend {version}")
    hypothesis = begin(Surroundings(), make_sdist("idna", "3.10"), wheel).first()
    assert ["1.0"] == [each.version for each in hypothesis.definition.inputs if each.role is Role.BUILD_DEPENDENCY]
    assert hypothesis.lacks is not None
    assert (Verdict.INPUTS_MISSING, Cause.UNPUBLISHED_TOOL) == (hypothesis.lacks.verdict, hypothesis.lacks.cause)
    assert f"minibackend {version}" in hypothesis.lacks.sentence
    assert words in hypothesis.lacks.sentence
    assert "minibackend 1.0 stands in for it" in hypothesis.sentence


def test_release_that_was_taken_back() -> None:
    """Another release of its series calls itself so, which is told and counted."""
    surroundings = Surroundings()
    surroundings.add_dependency(minibackend_wheel("1.0.1"))
    wheel = make_wheel("idna", "3.10", generator="minibackend 1.0.3")
    found = begin(surroundings, make_sdist("idna", "3.10"), wheel).first()
    assert {"as_version", "--tool=minibackend", "--version=1.0.3"} <= set(commands(found))
    assert ("presented-tool", "minibackend 1.0.3", 7) in [(each.name, each.value, each.bits) for each in found.replayed]
    assert "minibackend 1.0.1 stands in for it, and calls itself so" in found.sentence
    for other in ("1.1.0", "1.0.3.post1", "1.0.300"):
        wheel = make_wheel("idna", "3.10", generator=f"minibackend {other}")
        assert "as_version" not in commands(begin(Surroundings(), make_sdist("idna", "3.10"), wheel).first())


def test_generator_without_anything_near() -> None:
    """A tool of which there is no release at all cannot be stood in for."""
    wheel = make_wheel("idna", "3.10", generator="hatchling 1.27.0")
    verdict, sentence = stopped(Surroundings(), make_sdist("idna", "3.10"), wheel)
    assert Verdict.INPUTS_MISSING is verdict
    assert "hatchling==1.27.0" in sentence


@pytest.mark.parametrize(
    ("tag", "words"), [("py2-none-any", "for Python 2 alone"), ("py3-none-win_amd64", "tagged for one platform")]
)
def test_wheel_that_cannot_be_expected(tag: str, words: str) -> None:
    """What is tagged for something that there is not is tried; a difference is not held against it."""
    hypothesis = begin(Surroundings(), make_sdist("idna", "3.10"), make_wheel("idna", "3.10", tag=tag)).first()
    assert hypothesis.lacks is not None
    assert Verdict.UNSUPPORTED is hypothesis.lacks.verdict
    assert words in hypothesis.lacks.sentence
    assert begin(Surroundings(), *uniform()).first().lacks is None


class WithoutWheels(FakeResolver):
    """An index on which something is published as a source archive alone."""

    def resolve(
        self,
        requirements: Sequence[str],
        *,
        python_version: str,
        not_after: datetime,
    ) -> Resolution:
        """What uv says of it."""
        return Resolution(problem="Because all versions of m2r have no usable wheels and you require m2r, …")


def test_requirement_that_has_no_wheel() -> None:
    """That it is installed from wheels alone is our lack: no publisher has to change anything."""
    surroundings = Surroundings(resolver=WithoutWheels())
    surroundings.publish(make_sdist("idna", "3.10"), make_wheel("idna", "3.10"))
    pypi = surroundings.pypi
    [evidence] = pypi.evidence(pypi.parse("idna"))
    obstacle = pypi.next(StepTask(pypi.steps(evidence).steps[1], evidence, Limits()), History())
    assert isinstance(obstacle, Obstacle)
    assert (Verdict.INPUTS_MISSING, Cause.NOT_SUPPORTED) == (obstacle.verdict, obstacle.cause)
    assert Cause.NOT_SUPPORTED.ours


def with_python_2_tools() -> Surroundings:
    """An index with setuptools for both Pythons, and wheel."""
    surroundings = Surroundings()
    for name, version in (("setuptools", "44.1.1"), ("setuptools", "45.0.0"), ("wheel", "0.33.6")):
        surroundings.add_dependency(make_wheel(name, version))
    return surroundings


def test_wheel_for_python_2() -> None:
    """It runs setup.py, with a setuptools that is for it; where there is none, the difference is our lack."""
    surroundings = with_python_2_tools()
    wheel = make_wheel("idna", "3.10", tag="py2-none-any", generator="bdist_wheel (0.33.6)")
    sdist = make_sdist("idna", "3.10", files={"idna/__init__.py": "", "setup.py": "setup()"}, time=EARLIER)
    hypotheses = begin(surroundings, sdist, wheel)
    found = hypotheses.first()
    assert "python2" == found.definition.toolchain.name
    assert found.lacks is not None
    assert "Debian's last one" in found.lacks.sentence
    assert ["PYTHONPATH=/build/env/lib/python3.9/site-packages", "/usr/bin/python2.7", "setup.py", "bdist_wheel"] == [
        *found.definition.commands[-1][2:6]
    ]
    assert "44.1.1" in [each.version for each in found.definition.inputs if each.role is Role.BUILD_DEPENDENCY]
    assert ("interpreter", "2.7", 4) in [(each.name, each.value, each.bits) for each in found.replayed]
    assert [] == surroundings.asked, "no backend is asked for anything"
    on_windows = replace(
        wheel, data=re.sub(rb"(PK\x01\x02.)\x03", lambda found: found[1] + bytes(1), wheel.data, flags=re.DOTALL)
    )
    lacking = begin(with_python_2_tools(), sdist, on_windows).first().lacks
    assert lacking is not None
    assert "on Windows" in lacking.sentence
    again = hypotheses.after(attempt(found, None))
    assert again.definition.toolchain.name != "python2"
    assert again.lacks is not None
    assert Cause.MISSING_INTERPRETER is again.lacks.cause


def test_other_obstacles() -> None:
    """No upload time, no interpreter, a malformed pyproject.toml: each has its sentence."""
    assert "does not say when" in stopped(Surroundings(), *uniform(), **{"upload-time": None})[1]
    assert "'<3'" in stopped(Surroundings(), *uniform(), **{"requires-python": "<3"})[1]
    broken = make_sdist("idna", "3.10", {"pyproject.toml": "[build-system\n"})
    assert Verdict.BUILD_FAILED is stopped(Surroundings(), broken, make_wheel("idna", "3.10"))[0]


def test_impossible_times_leave_one_hypothesis() -> None:
    """A wheel with month 13 has no time for SOURCE_DATE_EPOCH; its build is tried without."""
    sdist, wheel = uniform()
    stamp = (SOME_TIME.year - 1980) << 9 | SOME_TIME.month << 5 | SOME_TIME.day
    impossible = (SOME_TIME.year - 1980) << 9 | 13 << 5 | SOME_TIME.day
    data = wheel.data.replace(stamp.to_bytes(2, "little"), impossible.to_bytes(2, "little"))
    hypotheses = begin(Surroundings(), sdist, Distribution("idna", wheel.filename, data))
    first = hypotheses.first()
    assert first.name == "source-archive-times"
    assert hypotheses.end(attempt(first, Level.DIFFERENT)) is None
