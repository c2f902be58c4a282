"""Causes in the files themselves: other sources, lines of text, builds that are not steady, failures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebuilder.diagnose.case import MOST_LINES, DiagnosisInput
from rebuilder.diagnose.diagnosis import FIRST, LAST, diagnose
from rebuilder.ecosystems.pypi.diagnosis import RULES
from rebuilder.model.attempt import Limit, Outcome
from rebuilder.model.comparison import Effect, Factor, Level, Variation, VariationRow
from rebuilder.model.diagnosis import Cause, Certainty
from rebuilder.model.evidence import Obstacle
from rebuilder.model.graph import Origin, SourceTrail
from rebuilder.model.verdict import Verdict
from tests.fakes.cases import CODE, Files, case, causes, failure, found, obstructed, wheel

PATH = "spindle/data.py"


def code(text: str | bytes) -> Files:
    """The project with one more file."""
    return dict(CODE) | {PATH: text}


def lines(published: str, rebuilt: str, *, again: str | None = None) -> DiagnosisInput:
    """A file that the build writes and that holds these lines."""
    repeat = wheel(code(again)) if again is not None else None
    return case(wheel(code(published)), wheel(code(rebuilt)), again=repeat)


def test_a_file_that_the_source_lacks() -> None:
    """Only the published file has it: built from somewhere else; the advice names it."""
    value = case(wheel(code("x = 1\n")), wheel(CODE))
    assert [Cause.EXTRA_SOURCE_FILES] == causes(value)
    (finding,) = found(value).findings
    assert Certainty.LIKELY is finding.certainty
    assert "two explanations fit" in finding.sentence
    assert f"contains {PATH}" in finding.advice


def test_a_file_that_the_source_has_and_the_rebuild_does_not_pack() -> None:
    """It is there, so the choice of files differs."""
    assert [Cause.FILE_SELECTION] == causes(case(wheel(code("x = 1\n")), wheel(CODE), source=code("x = 1\n")))


def test_a_file_that_only_the_rebuild_packs() -> None:
    """The source has it, the published file does not."""
    assert [Cause.MISSING_SOURCE_FILES] == causes(case(wheel(CODE), wheel(code("x = 1\n")), source=code("x = 1\n")))


def test_a_file_that_only_the_rebuild_wrote() -> None:
    """Neither the source nor the published file has it."""
    assert [Cause.GENERATED_FILES] == causes(case(wheel(CODE), wheel(code("x = 1\n"))))


def test_a_version_file_is_a_generated_one() -> None:
    """Its name says that a tool writes it."""
    files = dict(CODE) | {"spindle/_version.py": "version = 1\n"}
    assert [Cause.GENERATED_FILES] == causes(case(wheel(files), wheel(CODE)))


def test_another_version_of_a_source_file() -> None:
    """What was published is not what the source archive has."""
    value = case(
        wheel(code('return "gthread"\n')), wheel(code('return "threads"\n')), source=code('return "threads"\n')
    )
    assert [Cause.CHANGED_SOURCE_FILES] == causes(value)
    (line,) = found(value).findings[0].evidence
    assert ('return "gthread"', 'return "threads"') == (line.published, line.rebuilt)


def test_binary_files_are_explained_by_what_is_known_of_them() -> None:
    """Without text there is the source archive alone."""
    value = case(wheel(code(b"\0\1")), wheel(code(b"\0\2")))
    assert [Cause.GENERATED_FILES] == causes(value)


@pytest.mark.parametrize(
    ("published", "rebuilt", "cause"),
    [
        ("a = 1\r\nb = 2\r\n", "a = 1\nb = 2\n", Cause.LINE_ENDS),
        ("a = 'Â·'\n", "a = '·'\n", Cause.LOCALE),
        ("at = '/home/ann/spindle/x.py'\n", "at = '/build/source/x.py'\n", Cause.EMBEDDED_PATH),
        ("at = r'C:\\src\\x.py'\n", "at = r'/build/source/x.py'\n", Cause.EMBEDDED_PATH),
        ("made = '2024-05-05T05:05:04Z'\n", "made = '2026-11-20T14:03:12Z'\n", Cause.EMBEDDED_TIME),
        ("made = 1714885504\n", "made = 1763647392\n", Cause.EMBEDDED_TIME),
        ("made = 'Sun May 5 2024'\n", "made = 'Fri Nov 20 2026'\n", Cause.EMBEDDED_TIME),
        ("# by flit-core 3.9.0\n", "# by flit-core 3.12.0\n", Cause.DEPENDENCY_DRIFT),
        ("# by something 3.9.0\n", "# by something 3.8.0\n", Cause.GENERATED_FILES),
        ("host = 'anns-laptop'\n", "host = 'rebuilder'\n", Cause.HOST_OR_USER_NAME),
        ("all = ['a1', 'b2', 'c3', 'd4']\n", "all = ['c3', 'a1', 'd4', 'b2']\n", Cause.HASH_OR_SET_ORDER),
        ("a = 1\nb = 2\nc = 3\n", "b = 2\na = 1\nc = 3\n", Cause.HASH_OR_SET_ORDER),
        ("something\n", "altogether else\n", Cause.GENERATED_FILES),
    ],
)
def test_lines_tell(published: str, rebuilt: str, cause: Cause) -> None:
    """Lines that are the same but for one kind of thing."""
    assert [cause] == causes(lines(published, rebuilt))


def test_two_causes_in_one_file() -> None:
    """Line by line; a file is explained only when all of its lines are."""
    value = lines("at = '/home/a/x'\nmade = 1714885504\n", "at = '/build/x'\nmade = 1763647392\n")
    assert {Cause.EMBEDDED_PATH, Cause.EMBEDDED_TIME} == set(causes(value))


def test_random_values_are_seen_only_where_builds_differ_from_each_other() -> None:
    """A token is random when a second rebuild has another one."""
    tokens = [f"token = b'{each}'\n" for each in ("\\x01\\x02", "\\x03\\x04", "\\x05\\x06")]
    assert [Cause.GENERATED_FILES] == causes(lines(*tokens[:2]))
    assert [Cause.RANDOMNESS] == causes(lines(tokens[0], tokens[1], again=tokens[2]))


def test_what_differs_between_rebuilds_is_not_steady() -> None:
    """Nothing in the lines says why; that it varies is certain."""
    value = lines("one thing\n", "another matter\n", again="a third case\n")
    assert [Cause.RANDOMNESS] == causes(value)
    assert Certainty.SHOWN is found(value).findings[0].certainty


def table(
    *, steady: bool, effect: Effect, level: Level = Level.DIFFERENT, factor: Factor = Factor.CPU_COUNT
) -> Variation:
    """One row about the file."""
    row = VariationRow(factor=factor, change="1 → 2", effect=effect, level=level, members=(PATH,), members_total=1)
    return Variation(definition="ab" * 32, rebuilt_sha256="cd" * 32, steady=steady, rows=(row,), seconds=1)


@pytest.mark.parametrize(
    ("variation", "cause"),
    [
        (table(steady=True, effect=Effect.FLIPS), Cause.CPU_DEPENDENT),
        (table(steady=False, effect=Effect.STEADIES, factor=Factor.TIME), Cause.EMBEDDED_TIME),
        (table(steady=True, effect=Effect.NONE), Cause.GENERATED_FILES),
        (table(steady=True, effect=Effect.FLIPS, level=Level.EQUIVALENT), Cause.GENERATED_FILES),
    ],
)
def test_an_experiment_names_the_factor(variation: Variation, cause: Cause) -> None:
    """A factor that changes the content of a file that differs; one without effect says nothing."""
    published, rebuilt = wheel(code("something\n")), wheel(code("altogether else\n"))
    assert [cause] == causes(case(published, rebuilt, variation=variation))


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("ModuleNotFoundError: No module named 'distutils'\nbuild_wheel: failed", Cause.MISSING_INTERPRETER),
        ("ImportError: No module named 'Cython.Build'", Cause.MISSING_REQUIREMENT),
        ("error in x setup command: use_2to3 is invalid.", Cause.MISSING_INTERPRETER),
        ("error: command '/usr/bin/gcc' failed: No such file", Cause.MISSING_COMPILER),
        ("x.c:1:10: fatal error: ffi.h: No such file or directory", Cause.MISSING_COMPILER),
        (
            "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
            Cause.NETWORK_WANTED,
        ),
        ("pkg_resources.DistributionNotFound: The 'pbr' distribution was not found", Cause.MISSING_REQUIREMENT),
    ],
)
def test_words_of_a_log_are_hints(log: str, cause: Cause) -> None:
    """The cause is guessed and labelled so; how the build ended is certain."""
    (finding,) = found(failure(log)).findings
    assert (cause, Certainty.HINT) == (finding.cause, finding.certainty)
    assert "backend failed (exit code 70)" in (finding.evidence[0].note or "")


def test_files_of_other_ecosystems_get_no_words_of_python() -> None:
    """What Python and its packaging tools write hints at nothing where neither was asked for."""
    for log in ("ModuleNotFoundError: No module named 'distutils'", "DistributionNotFound: 'pbr' was not found"):
        diagnosis = diagnose(failure(log))
        assert diagnosis is not None
        (finding,) = diagnosis.findings
        assert Cause.BUILD_ERROR is finding.cause
        assert "a build command failed" in finding.sentence


def test_a_failure_without_words_is_one() -> None:
    """Nothing in the log is known: the last line that looks like an error is shown."""
    (finding,) = found(failure("something\nValueError: no luck today\n")).findings
    assert (Cause.BUILD_ERROR, Certainty.SHOWN) == (finding.cause, finding.certainty)
    assert "ValueError: no luck today" == finding.evidence[-1].note


def test_the_error_of_the_project_is_shown_and_not_ours_behind_it() -> None:
    """The place that Python names stands with it; what our program says is shown where nothing else does."""
    ours = "build_wheel: the backend's build_wheel failed"
    log = f'  File "/build/src/setup.py", line 7, in <module>\n    x.y\nAttributeError: no y\n{ours}\n'
    (finding,) = found(failure(log)).findings
    shown = [each.note for each in finding.evidence[1:]]
    assert ['File "/build/src/setup.py", line 7, in <module>', "AttributeError: no y"] == shown
    (finding,) = found(failure(f"build_wheel: x.whl\n{ours}\n")).findings
    assert ours == finding.evidence[-1].note


def test_a_limit_is_the_cause() -> None:
    """What was reached is named."""
    value = failure(outcome=Outcome.TIMED_OUT, limit=Limit.MEMORY, exit_code=None)
    assert [Cause.RESOURCE_LIMIT] == causes(value)
    assert "limit on memory" in found(value).findings[0].sentence


@pytest.mark.parametrize(
    ("verdict", "source", "cause"),
    [
        (Verdict.INPUTS_MISSING, False, Cause.SOURCE_UNAVAILABLE),
        (Verdict.INPUTS_MISSING, True, Cause.SOURCE_UNAVAILABLE),
        (Verdict.UNSUPPORTED, True, Cause.NOT_SUPPORTED),
    ],
)
def test_obstacles_are_causes(verdict: Verdict, source: bool, cause: Cause) -> None:
    """What stood in the way, in its own words."""
    value = obstructed(Obstacle(verdict=verdict, sentence="It is so."), source=source)
    assert [cause] == causes(value)
    assert "It is so." == found(value).findings[0].evidence[0].note


def test_a_repository_that_was_not_reached_is_no_lack_of_the_publisher() -> None:
    """Where one is named, nobody is told that there is none."""
    value = obstructed(Obstacle(verdict=Verdict.INPUTS_MISSING, sentence="It was not reached."), source=False)
    assert "No source is published" in found(value).findings[0].sentence
    origin = Origin(repository="https://forge.example.org/weavers/spindle", attested=False, sentence="Claimed.")
    trail = SourceTrail(nodes=(), steps=(), origin=origin)
    assert Cause.SOURCE_UNAVAILABLE.spoken == found(replace(value, trail=trail)).findings[0].sentence


def test_a_comparison_that_did_not_come_to_an_end_stays_unexplained() -> None:
    """Nothing is invented for what nobody could look into."""
    value = lines("a\n", "b\n")
    assert value.comparison is not None
    comparison = value.comparison.replace(differences=(), differences_total=0, problem="No.")
    (attempt,) = value.attempts
    result = found(DiagnosisInput(value.evidence, (attempt.replace(comparison=comparison),), value.decision))
    assert ((), (value.evidence.artifact.filename,)) == (result.findings, result.unexplained)
    assert "No known cause" in result.sentence


def test_findings_stay_small() -> None:
    """A thousand files that differ are one finding with a few lines; what is not kept counts as unexplained."""
    many = {f"spindle/m{number:04}.py": "x = 1\n" for number in range(1000)}
    result = found(case(wheel(many), wheel(CODE)))
    assert {Cause.EXTRA_SOURCE_FILES, Cause.MISSING_SOURCE_FILES} >= {each.cause for each in result.findings}
    assert all(len(each.evidence) <= MOST_LINES for each in result.findings)
    assert 502 == result.unexplained_total
    assert len(result.model_dump_json()) < 20_000


def test_every_rule_says_what_it_looks_for() -> None:
    """A name, and a sentence of documentation."""
    assert all(
        rule.__doc__ and rule.__doc__.strip().endswith(".") for rule in (FIRST | dict(RULES.rules) | LAST).values()
    )
