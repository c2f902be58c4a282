"""From evidence to build definitions, with a resolver and a backend that answer from a list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rebuilder.ecosystems.pypi.hash_seed import iterated
from rebuilder.model.artifact import Resolution
from rebuilder.model.attempt import MOST_BITS, Attempt, History, Hypothesis, Limit, Output, When, bits_before
from rebuilder.model.comparison import Level
from rebuilder.model.definition import BuildDefinition, Limits, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Obstacle
from rebuilder.model.verdict import Verdict
from tests.fakes.planning import Planning, from_published
from tests.fakes.projects import SOME_TIME, Distribution, make_sdist, make_wheel, minibackend_wheel
from tests.fakes.pypi import UPLOADED, Surroundings, attempt
from tests.fakes.resolver import FakeResolver

EARLIER = datetime(2023, 5, 6, 7, 8, 10, tzinfo=UTC)


def begin(surroundings: Surroundings, *distributions: Distribution, **fields: Any) -> Planning:
    """The hypotheses about the wheel of a release."""
    surroundings.publish(*distributions, **fields)
    pypi = surroundings.pypi
    [evidence] = pypi.evidence(pypi.parse("idna"))
    return from_published(pypi, evidence)


def uniform() -> tuple[Distribution, Distribution]:
    """A release whose wheel has one time everywhere."""
    return make_sdist("idna", "3.10", time=EARLIER), make_wheel("idna", "3.10")


def mixed() -> tuple[Distribution, Distribution]:
    """A release whose wheel has the times of a working tree."""
    return make_sdist("idna", "3.10"), make_wheel("idna", "3.10", time=EARLIER, metadata_time=SOME_TIME)


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
        constraints: Sequence[str] = (),
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
    obstacle = pypi.next(pypi.steps(evidence).steps[1], evidence, History(), limits=Limits())
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


def made(attempt: Attempt, surroundings: Surroundings, rebuilt: Distribution) -> Attempt:
    """The attempt, with this wheel as what it left."""
    output = Output(filename=rebuilt.filename, sha256=surroundings.blobs.put(rebuilt.data), size=len(rebuilt.data))
    return attempt.replace(rebuilt=output)


def looked_at_again(surroundings: Surroundings, hypotheses: Planning, rebuilt: Distribution) -> Hypothesis | None:
    """What is tried after all guesses left that wheel; None when nothing is."""
    hypothesis: Hypothesis | None = hypotheses.first()
    while hypothesis is not None and hypothesis.name in {"source-date-epoch", "source-archive-times"}:
        hypothesis = hypotheses.following(made(attempt(hypothesis, Level.DIFFERENT), surroundings, rebuilt))
    return hypothesis


def test_retagged_wheel() -> None:
    """A build number that the backend does not give is given by ``wheel tags``; that is counted, and then is all."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("wheel", "0.45.1"))
    hypotheses = begin(surroundings, make_sdist("idna", "3.10"), make_wheel("idna", "3.10", tag="2-py3-none-any"))
    found = looked_at_again(surroundings, hypotheses, make_wheel("idna", "3.10"))
    assert found is not None
    assert ("-m", "wheel", "tags", "--remove", "--build=2", "/out/idna-3.10-py3-none-any.whl") == (
        found.definition.commands[-1][1:]
    )
    assert "wheel" in [each.name for each in found.definition.inputs if each.role is Role.BUILD_DEPENDENCY]
    assert "--build=2" in [each.value for each in found.replayed]
    assert hypotheses.end(attempt(found, Level.EQUIVALENT)) is None


def test_retagging_needs_the_tool() -> None:
    """Without a wheel package that can, nothing more is tried."""
    surroundings = Surroundings()
    hypotheses = begin(surroundings, make_sdist("idna", "3.10"), make_wheel("idna", "3.10", tag="2-py3-none-any"))
    assert looked_at_again(surroundings, hypotheses, make_wheel("idna", "3.10")) is None


def test_version_of_a_plug_in() -> None:
    """A declared plug-in that finds another version is told the one that the file name has, which is counted."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("hatch-vcs", "0.5.0"))
    sdist = make_sdist("idna", "3.10", requires=["minibackend==1.0", "hatch-vcs"])
    found = looked_at_again(
        surroundings, begin(surroundings, sdist, make_wheel("idna", "3.10")), make_wheel("idna", "0")
    )
    assert found is not None
    assert "3.10" == found.definition.environment["SETUPTOOLS_SCM_PRETEND_VERSION"]
    assert ("version", "3.10") in [(each.name, each.value) for each in found.replayed]
    assert "The rebuild has version 0, the published wheel has 3.10" in found.sentence


def test_version_of_a_plug_in_that_finds_none() -> None:
    """A build that fails beside a declared plug-in is made again with the version, before another interpreter is."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("pbr", "6.1.0"))
    sdist = make_sdist("idna", "3.10", requires=["minibackend==1.0", "pbr"])
    hypotheses = begin(surroundings, sdist, make_wheel("idna", "3.10"))
    found = hypotheses.after(attempt(hypotheses.first(), None))
    assert "3.10" == found.definition.environment["PBR_VERSION"]
    assert "The build failed, the published wheel has 3.10" in found.sentence
    assert hypotheses.end(attempt(found, Level.EQUIVALENT)) is None


def test_second_look_at_what_came_of_the_first() -> None:
    """With the right version, the rebuild may show more."""
    surroundings = Surroundings()
    for name, version in (("setuptools", "65.5.0"), ("wheel", "0.37.1"), ("pbr", "6.1.0")):
        surroundings.add_dependency(make_wheel(name, version))
    sdist = make_sdist("idna", "3.10", requires=["setuptools", "pbr"], backend="setuptools.build_meta")
    texts = ["Requires-Dist: A\nRequires-Dist: b (>=1)\n", "Requires-Dist: b (>=1)\nRequires-Dist: A\n"]
    packer = "bdist_wheel (0.37.1)"
    published, rebuilt = (make_wheel("idna", "3.10", metadata=text, generator=packer) for text in texts)
    hypotheses = begin(surroundings, sdist, published)
    told = hypotheses.after(attempt(hypotheses.first(), None))
    found = hypotheses.following(made(attempt(told, Level.DIFFERENT), surroundings, rebuilt))
    assert found is not None
    assert "3.10" == found.definition.environment["PBR_VERSION"]
    assert "as_debian" in [word for command in found.definition.commands for word in command]
    assert ("tool-patch", 2) in [(each.name, each.bits) for each in found.replayed]


def test_requirements_in_the_order_of_a_set() -> None:
    """A hash seed that gives the published order is set, and counted; requirements that are no set have none."""
    names = ["scipy", "twython", "numpy", "requests"]
    orders = [iterated(names, seed, 1) for seed in (7, 0)]
    for rebuilt, expected in ((orders[1], True), (orders[1][::-1], False)):
        surroundings = Surroundings()
        surroundings.add_dependency(make_wheel("setuptools", "80.9.0"))
        sdist = make_sdist("idna", "3.10", requires=["setuptools"], backend="setuptools.build_meta")
        wheels = [
            make_wheel(
                "idna",
                "3.10",
                metadata="".join(f"Requires-Dist: {name}\n" for name in order),
                generator="setuptools (80.9.0)",
            )
            for order in (orders[0], rebuilt)
        ]
        found = looked_at_again(surroundings, begin(surroundings, sdist, wheels[0]), wheels[1])
        assert expected == (found is not None)
        if found is not None:
            seed = found.definition.environment["PYTHONHASHSEED"]
            assert orders[0] == iterated(orders[0], int(seed), 1)
            assert ("hash-seed", seed, 16) in [(each.name, each.value, each.bits) for each in found.replayed]


@pytest.mark.parametrize(
    ("top_level", "expected"),
    [
        ("idna\nscripts\ntesting\n", ["scripts", "testing"]),
        ("idna\nhello\n", None),  # any name could be a message to the build
        ("scripts\n", None),  # something else differs as well
        ("idna\npackaged\n", None),  # has files
    ],
)
def test_empty_directories_beside_the_source(top_level: str, expected: list[str] | None) -> None:
    """Setuptools finds packages in them: they are made, of a closed set of names, and counted."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("setuptools", "80.9.0"))
    sdist = make_sdist("idna", "3.10", requires=["setuptools"], backend="setuptools.build_meta")
    published, rebuilt = (
        make_wheel(
            "idna",
            "3.10",
            files={"idna/__init__.py": "", "packaged/x.py": "", "idna-3.10.dist-info/top_level.txt": text},
            generator="setuptools (80.9.0)",
        )
        for text in (top_level, "idna\n")
    )
    found = looked_at_again(surroundings, begin(surroundings, sdist, published), rebuilt)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert ["mkdir", "-p", "--", *expected] == next(
        list(each[2:]) for each in found.definition.commands if "mkdir" in each
    )
    assert ("directories", " ".join(expected), 10) in [(each.name, each.value, each.bits) for each in found.replayed]


def commands(hypothesis: Hypothesis) -> list[str]:
    """All words of its commands."""
    return [word for command in hypothesis.definition.commands for word in command]


def test_a_python_that_is_not_there_is_presented() -> None:
    """The wheel names it; a newer one presents itself as it, which is told and counted."""
    surroundings = Surroundings()
    sdist = make_sdist("idna", "3.10", time=EARLIER)
    wheel = make_wheel("idna", "3.10", files={"idna/__init__.py": "", "idna-3.10-py3.10-nspkg.pth": "import sys\n"})
    found = begin(surroundings, sdist, wheel).first()
    assert "bookworm" == found.definition.toolchain.name
    assert {"as_python", "3.10"} <= set(commands(found))
    assert "Python 3.11 presents itself as it" in found.sentence
    assert ("interpreter", "3.10", 4) in [(each.name, each.value, each.bits) for each in found.replayed]
    assert found.lacks is None
    other = make_wheel("idna", "3.10", files={"idna/__pycache__/a.cpython-310.pyc": "x"})
    compiled = begin(Surroundings(), sdist, other).first()
    assert "as_python" not in commands(compiled)
    assert compiled.lacks is not None
    assert Verdict.UNSUPPORTED is compiled.lacks.verdict


def test_extensions_are_left_out_of_a_wheel_without_any() -> None:
    """By the variable that the source reads, when it asks for further requirements, too."""
    surroundings = Surroundings()
    script = "import os\nif os.environ.get('BUILD_EXTENSION') != 'no': ext_modules = [Extension('x', ['x.c'])]\n"
    sdist = make_sdist("idna", "3.10", files={"idna/__init__.py": "", "setup.py": script}, time=EARLIER)
    found = begin(surroundings, sdist, make_wheel("idna", "3.10")).first()
    assert "no" == found.definition.environment["BUILD_EXTENSION"]
    assert "BUILD_EXTENSION=no leaves them out" in found.sentence
    assert ("extensions", 1) in [(each.name, each.bits) for each in found.replayed]


def test_version_without_a_plug_in() -> None:
    """Nobody asks for the version then: it stays what the source says."""
    surroundings = Surroundings()
    assert looked_at_again(surroundings, begin(surroundings, *uniform()), make_wheel("idna", "0")) is None


def test_line_ends_of_a_description() -> None:
    """A description that another setuptools ends otherwise says which one it was."""
    surroundings = Surroundings()
    for version in ("59.6.0", "65.5.0"):
        surroundings.add_dependency(make_wheel("setuptools", version))
    surroundings.add_dependency(make_wheel("wheel", "0.37.1"))
    text = "Home-page: https://example.org/\nPlatform: any\n\nText\n"
    packer = "bdist_wheel (0.37.1)"
    sdist = make_sdist("idna", "3.10", requires=["setuptools"], backend="setuptools.build_meta")
    wheel = make_wheel("idna", "3.10", metadata=f"{text}\n", generator=packer)
    found = looked_at_again(
        surroundings, begin(surroundings, sdist, wheel), make_wheel("idna", "3.10", metadata=text, generator=packer)
    )
    assert found is not None
    assert "59.6.0" in [each.version for each in found.definition.inputs if each.role is Role.BUILD_DEPENDENCY]
    assert "with 1 where setuptools 65.5.0 wrote it" in found.sentence


def test_description_that_python_2_read() -> None:
    """It is read so again; what else Python 2 does otherwise is our lack."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("setuptools", "44.1.1"))
    surroundings.add_dependency(make_wheel("wheel", "0.31.1"))
    packer = "bdist_wheel (0.31.1)"
    sdist = make_sdist("idna", "3.10", requires=["setuptools"], backend="setuptools.build_meta")
    texts = ["Home-page: https://example.org/\nPlatform: any\n\n\nText\n\n\n"]
    texts.append(texts[0].replace("\nText", "\n\nText"))
    wheels = [make_wheel("idna", "3.10", metadata=text, generator=packer) for text in texts]
    found = looked_at_again(surroundings, begin(surroundings, sdist, wheels[0]), wheels[1])
    assert found is not None
    assert "as_python_2" in [word for command in found.definition.commands for word in command]
    assert ("interpreter-patch", 1) in [(each.name, each.bits) for each in found.replayed]
    assert found.lacks is not None
    assert Cause.MISSING_INTERPRETER is found.lacks.cause
