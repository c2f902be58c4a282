"""What is said of a difference is no more than was shown, and nothing our environment lacked is the maintainer's."""

from __future__ import annotations

from typing import Any

import pytest

from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.diagnose.diagnosis import diagnose
from rebuilder.ecosystems.pypi.diagnosis import RULES
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import ChangedLine, Effect, Factor, Level, Variation, VariationRow
from rebuilder.model.decision import decide
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Basis, Cause, Certainty, Finding
from rebuilder.model.evidence import Obstacle, Source, SourceKind
from rebuilder.model.verdict import Verdict
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.cases import CODE, INFO, NAME, VERSION, Files, case, compared, failure, obstructed, wheel
from tests.fakes.projects import make_wheel
from tests.unit.test_diagnose_wheels import rewritten

PATH = f"{NAME}/data.py"


def findings(value: DiagnosisInput) -> list[Finding]:
    """All of a case whose differences are all explained."""
    result = diagnose(value, RULES)
    assert result is not None
    assert () == result.unexplained, result
    return list(result.findings)


def test_what_has_the_published_bytes_has_no_cause() -> None:
    """Whatever it was built with: nothing differs that could be explained."""
    report = reports.unauthenticated(MemoryBlobs())
    assert diagnose(DiagnosisInput(report.evidence, report.attempts, report.decision, report.trail), RULES) is None


def with_tools(value: DiagnosisInput, **versions: str) -> DiagnosisInput:
    """The same case, whose rebuilds used these build dependencies."""
    inputs = tuple(
        Input(role=Role.BUILD_DEPENDENCY, name=name, version=version, sha256="ab" * 32, path=f"/inputs/{name}")
        for name, version in versions.items()
    )
    return changed(value, inputs=inputs)


def changed(value: DiagnosisInput, **definition: Any) -> DiagnosisInput:
    """The same case with another build definition."""

    def of(attempt: Attempt) -> Attempt:
        made = attempt.hypothesis.definition.replace(**definition)
        return attempt.replace(hypothesis=attempt.hypothesis.replace(definition=made))

    attempts = tuple(of(each) for each in value.attempts)
    fields = {"variation": value.variation, "trail": value.trail, "log": value.log}
    return DiagnosisInput(value.evidence, attempts, value.decision, **fields)  # type: ignore[arg-type]


def with_file(**files: str) -> Files:
    """The project with more files; ``__`` stands for a slash, ``_dot_`` for a dot."""
    return dict(CODE) | {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}


# Another version


def versions(published: str, rebuilt: str, files: Files = CODE, other: Files | None = None) -> DiagnosisInput:
    """A wheel that was published in one version and rebuilt in another."""
    return case(
        make_wheel(NAME, published, files).data,
        make_wheel(NAME, rebuilt, other or files).data,
        filename=f"{NAME}-{published}-py3-none-any.whl",
        rebuilt_name=f"{NAME}-{rebuilt}-py3-none-any.whl",
    )


@pytest.mark.parametrize("rebuilt", ["0", "0.0.0", "3.1.7.dev0+g0123abc", "3.1", "3.1.6.post1"])
def test_another_version_is_said_with_both(rebuilt: str) -> None:
    """It explains the name of the file and of its metadata; never that the metadata is written in another form."""
    (finding,) = findings(versions(VERSION, rebuilt))
    assert (Cause.OTHER_VERSION, Certainty.SHOWN) == (finding.cause, finding.certainty)
    assert f"The rebuild has version {rebuilt}, the published file version {VERSION}." == finding.sentence
    assert (VERSION, rebuilt) == (finding.evidence[0].published, finding.evidence[0].rebuilt)


def test_lines_that_name_the_version_follow_from_it() -> None:
    """A version file, with nothing else in it."""
    files = [with_file(spindle___version_dot_py=f"__version__ = '{each}'\n") for each in (VERSION, "0")]
    found = findings(versions(VERSION, "0", *files))
    assert [Cause.OTHER_VERSION] == [each.cause for each in found]


def test_what_has_more_than_the_version_is_another_finding() -> None:
    """Entry points of the same name with other content do not follow from the version."""
    made = [
        dict(CODE) | {f"{NAME}-{each}.dist-info/entry_points.txt": f"[console_scripts]\n{name} = a:b\n"}
        for each, name in ((VERSION, "old-name"), ("0", "n"))
    ]
    found = findings(versions(VERSION, "0", *made))
    assert [(Cause.OTHER_VERSION, Certainty.SHOWN), (Cause.GENERATED_FILES, Certainty.LIKELY)] == [
        (each.cause, each.certainty) for each in found
    ]


def test_another_version_header_under_the_same_name() -> None:
    """METADATA alone says another version."""
    rebuilt = rewritten(wheel(CODE), f"{INFO}/METADATA", b"\nVersion: 3.1.6\n", b"\nVersion: 3.1.7\n")
    (finding,) = findings(case(wheel(CODE), rebuilt))
    assert (Cause.OTHER_VERSION, "The rebuild has version 3.1.7, the published file version 3.1.6.") == (
        finding.cause,
        finding.sentence,
    )


# Signatures


@pytest.mark.parametrize("name", ["RECORD.jws", "RECORD.p7s", "METADATA.asc", "RECORD.sigstore.json"])
def test_a_signature_is_no_file_of_the_source(name: str) -> None:
    """It follows from the kind of file, and no source archive can hold it."""
    (finding,) = findings(case(wheel(dict(CODE) | {f"{INFO}/{name}": "{}"}), wheel(CODE)))
    assert (Cause.ADDED_SIGNATURE, "follows from the kind of file") == (finding.cause, finding.how)
    assert "source archive" not in finding.sentence + finding.advice


def test_a_signature_that_the_source_has_is_a_file_like_others() -> None:
    """Somebody packs detached signatures as data."""
    files = with_file(spindle__key_dot_asc="x")
    assert [Cause.FILE_SELECTION] == [each.cause for each in findings(case(wheel(files), wheel(CODE), source=files))]


# Stale files


@pytest.mark.parametrize(
    "name",
    [
        f"{NAME}/__pycache__/x.cpython-311.pyc",
        f"{NAME}/old.pyc",
        f"{NAME}.egg-info/PKG-INFO",
        "build/lib/spindle/x.py",
        f"{NAME}/core.py.orig",
        f"{NAME}/core.py~",
        ".DS_Store",
    ],
)
def test_what_tools_leave_behind_is_stale(name: str) -> None:
    """Likely, not shown; the advice is a clean build."""
    (finding,) = findings(case(wheel(dict(CODE) | {name: "x"}), wheel(CODE)))
    assert (Cause.STALE_FILES, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert "fresh checkout" in finding.advice


def test_a_module_beside_others_may_be_stale_or_of_another_tree() -> None:
    """Setuptools packs from build/lib, where deleted files stay: two explanations, and neither is shown."""
    value = case(wheel(with_file(spindle__old_dot_py="x = 1\n")), wheel(CODE))
    (finding,) = findings(with_tools(value, setuptools="80.9.0"))
    assert (Cause.STALE_FILES, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert "two explanations fit" in finding.sentence
    (finding,) = findings(with_tools(value, hatchling="1.0"))
    assert (Cause.EXTRA_SOURCE_FILES, Certainty.LIKELY) == (finding.cause, finding.certainty)


@pytest.mark.parametrize(
    ("in_commit", "cause", "certainty", "basis"),
    [
        (True, Cause.EXTRA_SOURCE_FILES, Certainty.SHOWN, Basis.EXPERIMENT),
        (False, Cause.STALE_FILES, Certainty.LIKELY, Basis.COMPARISON),
    ],
)
def test_a_build_of_the_commit_tells(in_commit: bool, cause: Cause, certainty: Certainty, basis: Basis) -> None:
    """If it has the file, that is where it comes from; if it has not, the repository is no explanation."""
    published = wheel(with_file(spindle__old_dot_py="x = 1\n", spindle__b_dot_py="b = 1\n"))
    value = case(published, wheel(CODE), source=with_file(spindle__b_dot_py="b = 1\n"))
    (first,) = value.attempts
    source = Source(kind=SourceKind.GIT, uri="https://example.org/r", digest={"gitCommit": "ab" * 20})
    made = first.hypothesis.definition.replace(source=source)
    comparison = compared(published, wheel(with_file(spindle__old_dot_py="x = 1\n")) if in_commit else wheel(CODE))
    second = first.replace(hypothesis=first.hypothesis.replace(definition=made), comparison=comparison)
    found = diagnose(DiagnosisInput(value.evidence, (first, second), value.decision), RULES)
    assert found is not None
    (finding,) = [each for each in found.findings if "old.py" in each.sentence]
    assert (cause, certainty, basis) == (finding.cause, finding.certainty, finding.basis)


# What our environment lacked

LOG = (
    "building 'spindle._c' extension\n"
    "warning: build_ext: building extension \"spindle._c\" failed: command 'x86_64-linux-gnu-gcc' failed: No file\n"
)


def platform(log: str = LOG, commands: tuple[tuple[str, ...], ...] = ()) -> DiagnosisInput:
    """A pure wheel was published, one for a platform was rebuilt."""
    value = case(
        wheel(CODE, tag="py311-none-any"),
        wheel(CODE, tag="cp313-cp313-linux_x86_64"),
        filename=f"{NAME}-{VERSION}-py311-none-any.whl",
        rebuilt_name=f"{NAME}-{VERSION}-cp313-cp313-linux_x86_64.whl",
        log=log,
    )
    return changed(value, commands=commands) if commands else value


def test_an_extension_that_we_cannot_compile_is_said_first_and_is_ours() -> None:
    """Not another interpreter; and the maintainer has nothing to change."""
    (finding,) = findings(platform())
    assert Cause.MISSING_COMPILER is finding.cause
    assert finding.cause.ours
    assert "spindle._c" in finding.sentence
    assert "interpreter" not in finding.sentence


def test_a_compiled_member_that_we_cannot_make() -> None:
    """The published wheel has the extension."""
    published = wheel(dict(CODE) | {f"{NAME}/_c.abi3.so": "x"})
    found = findings(case(published, wheel(CODE), log=LOG))
    assert [Cause.MISSING_COMPILER] == [each.cause for each in found]
    assert "_c.abi3.so" in found[0].sentence


def test_tags_of_another_platform_are_no_other_interpreter() -> None:
    """Without a word of a compiler too; with our own attempt told the tag, least of all."""
    (finding,) = findings(platform(log=""))
    assert Cause.NAME_OR_TAG is finding.cause
    assert "interpreter" not in finding.sentence
    value = case(
        wheel(CODE, tag="py311-none-any"),
        wheel(CODE, tag="py3-none-any"),
        filename=f"{NAME}-{VERSION}-py311-none-any.whl",
        rebuilt_name=f"{NAME}-{VERSION}-py3-none-any.whl",
    )
    assert "another interpreter" in findings(value)[0].sentence
    told = changed(value, commands=(("python", "setup.py", "bdist_wheel", "--python-tag=py311"),))
    assert "another interpreter" not in findings(told)[0].sentence


@pytest.mark.parametrize(
    "log",
    [
        "error: command 'gcc' failed",
        "/bin/sh: 1: cmake: not found",
        "FileNotFoundError: [Errno 2] No such file or directory: 'git'",
        "ModuleNotFoundError: No module named 'distutils'",
        "error in x setup command: use_2to3 is invalid.",
    ],
)
def test_what_is_missing_here_is_no_advice_to_the_maintainer(log: str) -> None:
    """A compiler, a program, an old Python."""
    (finding,) = findings(failure(log))
    assert finding.cause.ours


@pytest.mark.parametrize(("cause", "expected"), [(None, Cause.NOT_SUPPORTED), (Cause.NO_UPLOAD_TIME,) * 2])
def test_an_obstacle_may_name_its_cause(cause: Cause | None, expected: Cause) -> None:
    """An index without upload times says nothing about the kind of file; nothing was compared for either."""
    obstacle = Obstacle(verdict=Verdict.UNSUPPORTED, sentence="It is so.", cause=cause)
    (finding,) = findings(obstructed(obstacle))
    assert (expected, "follows from the kind of file", True) == (finding.cause, finding.how, finding.cause.ours)


# Experiments, line by line

THREE = "host = '{host}'\nat = '{path}'\nmade = {time}\n"


def three(host: str, path: str, time: int, shape: str = THREE) -> bytes:
    """A wheel with a file that names machine, directory and time."""
    return wheel(with_file(spindle__data_dot_py=shape.format(host=host, path=path, time=time)))


def row(factor: Factor, before: str, after: str, effect: Effect = Effect.FLIPS) -> VariationRow:
    """One line that a factor changes."""
    return VariationRow(
        factor=factor,
        change="this → that",
        effect=effect,
        level=Level.DIFFERENT,
        members=(PATH,),
        members_total=1,
        lines=(ChangedLine(member=PATH, before=before, after=after),),
    )


def table(*rows: VariationRow, steady: bool = False) -> Variation:
    """What was varied."""
    return Variation(definition="ab" * 32, rebuilt_sha256="cd" * 32, steady=steady, rows=rows, seconds=1)


@pytest.mark.parametrize("shape", [THREE, "built by {host} in {path} at {time}\n"])
def test_three_causes_in_one_file(shape: str) -> None:
    """Whether in lines of their own or in one; the randomness of the time is not put upon the others."""
    ours, again = ("rebuilder", "/build/source", 1763647392), ("rebuilder", "/build/source", 1763647394)
    value = case(
        three("anns-laptop", "/home/ann/src", 1714885504, shape),
        three(*ours, shape),
        again=three(*again, shape),
    )
    found = findings(value)
    assert {Cause.HOST_OR_USER_NAME, Cause.EMBEDDED_PATH, Cause.EMBEDDED_TIME} == {each.cause for each in found}
    assert Certainty.LIKELY is next(each.certainty for each in found if each.cause is Cause.HOST_OR_USER_NAME)


def test_an_experiment_shows_the_lines_it_changes_and_no_others() -> None:
    """Host and path were changed one at a time; the time varies by itself; each line has its cause."""
    value = case(
        three("anns-laptop", "/srv/ann/src", 1714885504),
        three("rebuilder", "/build/source", 1763647392),
        again=three("rebuilder", "/build/source", 1763647394),
        variation=table(
            row(Factor.HOST_NAME, "host = 'rebuilder'", "host = 'elsewhere'"),
            row(Factor.BUILD_PATH, "at = '/build/source'", "at = '/build/another/place/source'"),
            VariationRow(factor=Factor.LOCALE, change="", effect=Effect.UNCLEAR, members=(PATH,)),
        ),
    )
    found = {each.cause: each for each in findings(value)}
    assert {Cause.HOST_OR_USER_NAME, Cause.EMBEDDED_PATH, Cause.EMBEDDED_TIME} == set(found)
    assert "shown by an experiment" == found[Cause.HOST_OR_USER_NAME].how == found[Cause.EMBEDDED_PATH].how
    assert "likely" == found[Cause.EMBEDDED_TIME].how
    sides = [(each.published, each.rebuilt) for each in found[Cause.HOST_OR_USER_NAME].evidence if each.member]
    assert [("host = 'anns-laptop'", "host = 'rebuilder'")] == sides


@pytest.mark.parametrize(("published", "cause"), [("a b c d", Cause.FILE_ORDER), ("a b c e", Cause.GENERATED_FILES)])
def test_a_line_of_words_in_another_order(published: str, cause: Cause) -> None:
    """The experiment shows the line with the same words, and no line with others."""
    value = case(
        wheel(with_file(spindle__data_dot_py=f"{published}\n")),
        wheel(with_file(spindle__data_dot_py="d c b a\n")),
        variation=table(row(Factor.FILE_ORDER, "d c b a", "b a d c"), steady=True),
    )
    assert cause is findings(value)[0].cause


def test_what_only_our_rebuilds_show_is_not_said_of_the_published_file() -> None:
    """A factor changes a line that is the same in the published file; another line differs."""
    text = "host = 'rebuilder'\n{}\n"
    value = case(
        wheel(with_file(spindle__data_dot_py=text.format("one thing"))),
        wheel(with_file(spindle__data_dot_py=text.format("another matter"))),
        variation=table(row(Factor.HOST_NAME, "host = 'rebuilder'", "host = 'elsewhere'"), steady=True),
    )
    assert Cause.HOST_OR_USER_NAME not in {each.cause for each in findings(value)}
    unsteady = case(
        wheel(with_file(spindle__data_dot_py="one thing\nstays = 1\n")),
        wheel(with_file(spindle__data_dot_py="another matter\nstays = 1\n")),
        again=wheel(with_file(spindle__data_dot_py="another matter\nstays = 2\n")),
    )
    assert Cause.RANDOMNESS not in {each.cause for each in findings(unsteady)}


# Two rebuilds


@pytest.mark.parametrize(
    ("again", "words"),
    [
        (wheel({f"{NAME}/__init__.py": "b\n"}), "byte for byte the same."),
        (
            wheel({f"{NAME}/__init__.py": "c\n"}),
            f"in 2 files ({INFO}/RECORD, {NAME}/__init__.py): the build is not deterministic.",
        ),
    ],
)
def test_two_rebuilds_are_compared_with_each_other(again: bytes, words: str) -> None:
    """The same is said only of the same bytes; otherwise what differs."""
    published, rebuilt = (wheel({f"{NAME}/__init__.py": each}) for each in ("a\n", "b\n"))
    value = case(published, rebuilt, again=again)
    if again == rebuilt:
        second = value.attempts[1].replace(agreement=Level.IDENTICAL, disagreement=None)
        value = DiagnosisInput(value.evidence, (value.attempts[0], second), value.decision)
    assert (decide(value.attempts, None).rebuilds or "").endswith(words)


def test_two_rebuilds_that_differ_in_stored_times_only() -> None:
    """Not the same, and not unstable either; other metadata is named."""
    published, rebuilt = (wheel({f"{NAME}/__init__.py": each}) for each in ("a\n", "b\n"))
    value = case(published, rebuilt)
    (first,) = value.attempts
    between = compared(published, rebuilt)
    for names, words in ((("zip-times",), "but for stored times."), (("zip-order",), "(zip-order)")):
        disagreement = between.replace(level=Level.EQUIVALENT, normalisations=names)
        changes = {"repeat": True, "agreement": Level.EQUIVALENT, "disagreement": disagreement}
        decision = decide((first, first.replace(**changes)), None)
        assert words in (decision.rebuilds or "")
