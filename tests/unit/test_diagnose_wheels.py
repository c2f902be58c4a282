"""Causes in the metadata and the archive of wheels, on archives the real comparison looked at."""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
from pathlib import Path

import pytest

from rebuilder.diagnose.archive_rules import CAUSES
from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.diagnose.diagnosis import diagnose
from rebuilder.ecosystems.pypi.diagnosis import RULES
from rebuilder.ecosystems.pypi.wheel_traces import metadata_file
from rebuilder.model.diagnosis import Cause, Certainty
from rebuilder.programs.archive.normalise_search import DEB
from rebuilder.programs.archive.normalise_tar import TAR
from rebuilder.programs.archive.normalise_zip import ZIP
from tests.fakes.archives import gzip_bytes, tar_bytes, tar_member
from tests.fakes.cases import CODE, INFO, NAME, VERSION, Files, case, causes, compared, found, later, wheel

HEAD = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"


def metadata(lines: str) -> bytes:
    """A wheel whose METADATA ends with these lines."""
    return wheel(CODE, metadata=lines)


def extra(**files: str) -> Files:
    """Files of ``.dist-info`` beside the code."""
    return dict(CODE) | {f"{INFO}/{name.replace('_txt', '.txt')}": text for name, text in files.items()}


def rewritten(data: bytes, member: str, old: bytes, new: bytes) -> bytes:
    """The archive with a change in one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(buffer, "w") as after:
        for info in before.infolist():
            content = before.read(info)
            after.writestr(info, content.replace(old, new) if info.filename == member else content)
    return buffer.getvalue()


def test_what_is_the_same_has_no_causes() -> None:
    """Identical files are not diagnosed."""
    assert None is diagnose(case(wheel(CODE), wheel(CODE)), RULES)


def test_times_of_generated_files_are_the_time_of_the_build() -> None:
    """Only .dist-info differs: nobody set SOURCE_DATE_EPOCH, and the advice is to."""
    value = case(wheel(CODE, metadata_time=later()), wheel(CODE))
    assert [Cause.ARCHIVE_TIMES] == causes(value)
    (finding,) = found(value).findings
    assert "no SOURCE_DATE_EPOCH" in finding.sentence
    assert "SOURCE_DATE_EPOCH" in finding.advice
    assert ("2024-03-02T12:00:00", "2024-03-01T12:00:00") == (
        finding.evidence[1].published,
        finding.evidence[1].rebuilt,
    )


@pytest.mark.parametrize(("time", "cause"), [(0, Cause.ARCHIVE_FORM), (5, Cause.ARCHIVE_TIMES)])
def test_a_gzip_header_tells_of_a_time_or_of_a_system(time: int, cause: Cause) -> None:
    """Who packed on another system did not forget an epoch."""
    content = tar_bytes((tar_member("toy/a.txt"), b"a"))
    comparison = compared(gzip_bytes(content, system=19, mtime=time), gzip_bytes(content, system=3))
    value = case(wheel(CODE, metadata_time=later()), wheel(CODE))
    attempts = (value.attempts[0].replace(comparison=comparison),)
    (finding,) = found(DiagnosisInput(value.evidence, attempts, value.decision)).findings
    assert cause is finding.cause
    assert "system 19" in "".join(f"{each.note}{each.published}" for each in finding.evidence)


def test_other_times_and_another_umask_are_two_causes() -> None:
    """Each normalisation that was needed has its finding."""
    published = wheel(CODE, time=later(), modes={f"{NAME}/__init__.py": 0o664})
    value = case(published, wheel(CODE))
    assert [Cause.ARCHIVE_TIMES, Cause.MODES_UMASK] == causes(value)
    assert "100664" in found(value).findings[1].sentence


def test_every_normalisation_has_a_cause() -> None:
    """The list of causes and the lists of normalisations are the same."""
    assert set(CAUSES) == {*ZIP, *TAR, *DEB}


def test_executable_bits_are_named_with_windows() -> None:
    """Read and write for all and execute for none is what Windows gives."""
    path = f"{NAME}/__init__.py"
    value = case(wheel(CODE, modes={path: 0o666}), wheel(CODE, modes={path: 0o777}))
    assert [Cause.MODES_UMASK] == causes(value)
    assert "Windows" in found(value).findings[0].sentence


@pytest.mark.parametrize(
    ("published", "rebuilt"),
    [
        ("Platform: UNKNOWN\n", ""),
        ("", "License-File: LICENSE\n"),
        ("Requires-Dist: six (<2,>=1)\n", "Requires-Dist: six>=1,<2\n"),
        ("Requires-Python: >=2.7, !=3.0.*\n", "Requires-Python: !=3.0.*,>=2.7\n"),
        ("Maintainer: Alex Grönholm\n", "Maintainer: =?utf-8?q?Alex_Gr=C3=B6nholm?=\n"),
        ("Author: A\nHome-page: B\n", "Home-page: B\nAuthor: A\n"),
        ("\ntext\n", "\n        text\n"),
        ("\n\n", ""),
    ],
)
def test_the_same_metadata_in_another_form_is_the_tool(published: str, rebuilt: str) -> None:
    """Nothing the project says is different, and RECORD, which follows, is not a cause of its own."""
    value = case(metadata(published), metadata(rebuilt))
    assert [Cause.TOOL_VERSION] == causes(value)
    (finding,) = found(value).findings
    assert all(not (line.member or "").endswith("RECORD") for line in finding.evidence)


def test_other_requirements_are_not_another_form() -> None:
    """A bound that differs is something else that was declared."""
    value = case(metadata("Requires-Dist: six>=1\n"), metadata("Requires-Dist: six>=2\n"))
    assert [Cause.INTERPRETER_VERSION] == causes(value)
    assert Certainty.LIKELY is found(value).findings[0].certainty


def test_another_description_is_another_source() -> None:
    """Text the tool does not make comes from the project."""
    value = case(metadata("\nWords of today\n"), metadata("\nOther words altogether\n"))
    assert [Cause.CHANGED_SOURCE_FILES] == causes(value)


def test_generator_names_both_versions() -> None:
    """WHEEL says which tool wrote it."""
    value = case(wheel(CODE, generator="bdist_wheel (0.37.1)"), wheel(CODE, generator="bdist_wheel (0.37.0)"))
    assert [Cause.TOOL_VERSION] == causes(value)
    sentence = found(value).findings[0].sentence
    assert "bdist_wheel (0.37.1), the rebuild by bdist_wheel (0.37.0)" in sentence
    assert "itself" not in sentence


def test_a_tool_that_built_itself_is_said_so() -> None:
    """The generator is the project."""
    value = case(wheel(CODE, generator=f"{NAME} 3.1.5"), wheel(CODE, generator=f"{NAME} 3.1.6"))
    assert "a version of itself" in found(value).findings[0].sentence


def test_a_universal_wheel_asks_for_the_option_in_the_configuration() -> None:
    """py2.py3 published, py3 rebuilt: --universal."""
    value = case(
        wheel(CODE, tag="py2-none-any\nTag: py3-none-any"),
        wheel(CODE),
        filename=f"{NAME}-{VERSION}-py2.py3-none-any.whl",
        rebuilt_name=f"{NAME}-{VERSION}-py3-none-any.whl",
    )
    assert [Cause.NAME_OR_TAG] == causes(value)
    assert "universal = 1" in found(value).findings[0].advice


def test_names_with_the_python_version_in_them() -> None:
    """The .pth of a namespace package carries the interpreter's version."""
    published = dict(CODE) | {f"{NAME}-{VERSION}-py3.9-nspkg.pth": "import sys\n"}
    rebuilt = dict(CODE) | {f"{NAME}-{VERSION}-py3.11-nspkg.pth": "import sys\n"}
    value = case(wheel(published), wheel(rebuilt))
    assert [Cause.INTERPRETER_VERSION] == causes(value)
    assert "Built with Python 3.9, rebuilt with 3.11" in found(value).findings[0].sentence


def test_numbers_in_another_order_are_no_other_interpreter() -> None:
    """The same classifiers on one line, moved: nothing shows another Python."""
    line = '{{"metadata_version": "2.0", "classifiers": ["Python :: {}", "Python :: {}"]}}\n'
    files = [dict(CODE) | {f"{INFO}/metadata.json": line.format(*each)} for each in (("2.7", "3.4"), ("3.4", "2.7"))]
    value = case(wheel(files[0]), wheel(files[1]))
    assert Cause.INTERPRETER_VERSION not in [each.cause for each in found(value).findings]


def test_a_file_of_another_version_with_other_content_is_the_tool_too() -> None:
    """Its name is the interpreter; what is in it is not."""
    name = f"{NAME}-{VERSION}-py{{}}-nspkg.pth"
    value = case(
        wheel(dict(CODE) | {name.format("3.9"): "import sys\n"}),
        wheel(dict(CODE) | {name.format("3.11"): "import sys, os\n"}),
    )
    assert [Cause.INTERPRETER_VERSION, Cause.TOOL_VERSION] == causes(value)


def test_entry_points_with_the_python_version_in_them() -> None:
    """pip3.8 against pip3.11."""
    texts = [
        extra(entry_points_txt=f"[console_scripts]\nspin{version} = spindle:main\n") for version in ("3.8", "3.11")
    ]
    value = case(wheel(texts[0]), wheel(texts[1]))
    assert [Cause.INTERPRETER_VERSION] == causes(value)


def test_top_level_names_what_the_source_has_not_got() -> None:
    """A package in top_level.txt that is no directory of the source archive."""
    value = case(wheel(extra(top_level_txt="scripts\nspindle\n")), wheel(extra(top_level_txt="spindle\n")))
    assert [Cause.EXTRA_SOURCE_FILES] == causes(value)
    assert "scripts" in found(value).findings[0].sentence


def test_top_level_names_what_earlier_builds_left() -> None:
    """Directories that builds make were packed as packages."""
    value = case(wheel(extra(top_level_txt="build\nspindle\n")), wheel(extra(top_level_txt="spindle\n")))
    assert [Cause.STALE_FILES] == causes(value)


def test_top_level_names_what_only_one_side_has() -> None:
    """A line of it follows from the package it names, on either side."""
    more = {"spindle_tools/__init__.py": ""}
    with_it = wheel({**extra(top_level_txt="spindle\nspindle_tools\n"), **more})
    assert [Cause.EXTRA_SOURCE_FILES] == causes(case(with_it, wheel(extra(top_level_txt="spindle\n"))))
    source = {**CODE, **more}
    assert [Cause.MISSING_SOURCE_FILES] == causes(case(wheel(extra(top_level_txt="spindle\n")), with_it, source=source))


@pytest.mark.parametrize(
    ("published", "rebuilt", "cause"),
    [
        (("weft", "reed", "warp"), ("reed", "warp", "weft"), Cause.HASH_OR_SET_ORDER),
        (("reed", "warp", "weft"), ("weft", "reed", "warp"), Cause.TOOL_VERSION),
    ],
)
def test_requirements_in_another_order(published: tuple[str, ...], rebuilt: tuple[str, ...], cause: Cause) -> None:
    """An order that no tool gives is the project's; a sorted one may be that of a tool that sorts."""
    sides = [metadata("".join(f"Requires-Dist: {each}\n" for each in names)) for names in (published, rebuilt)]
    value = case(*sides)
    text = zipfile.ZipFile(io.BytesIO(sides[0])).read(f"{INFO}/METADATA").decode()
    inspection = value.evidence.artifact_inspection
    assert inspection is not None
    inspection = inspection.replace(texts={f"{INFO}/METADATA": text})
    value = dataclasses.replace(value, evidence=value.evidence.replace(artifact_inspection=inspection))
    assert [cause] == causes(value)


def test_headers_in_another_order_are_the_tool() -> None:
    """Whole headers change places from one version of a tool to the next."""
    both = ("Summary: x\nAuthor: y\n", "Author: y\nSummary: x\n")
    assert [Cause.TOOL_VERSION] == causes(case(*map(metadata, both)))


def test_files_of_several_pythons_are_left_over() -> None:
    """Such as two ``-nspkg.pth``; not where the source has them, and not where there is one."""
    two = {f"spindle-3.1.6-py{each}-nspkg.pth": "import sys\n" for each in ("3.7", "3.9")}
    (finding,) = found(case(wheel(dict(CODE) | two), wheel(CODE))).findings
    assert (Cause.STALE_FILES, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert "several versions of Python" in finding.sentence
    assert [Cause.FILE_SELECTION] == causes(case(wheel(dict(CODE) | two), wheel(CODE), source=dict(CODE) | two))
    one = {"spindle-3.1.6-py3.7-nspkg.pth": "import sys\n"}
    assert [Cause.EXTRA_SOURCE_FILES] == causes(case(wheel(dict(CODE) | one), wheel(CODE)))


def test_modules_for_one_python_each() -> None:
    """``_py311`` and ``_py313``: each build packs its own."""
    both = [{f"spindle_py{each}.py": text} for each, text in (("311", "x = 1\n"), ("313", "x = None\n"))]
    files = dict(CODE) | both[0] | both[1]
    value = case(wheel(dict(CODE) | both[0]), wheel(dict(CODE) | both[1]), source=files)
    assert [Cause.INTERPRETER_VERSION] == causes(value)
    assert "Built with Python 3.11, rebuilt with 3.13" in found(value).findings[0].sentence


def test_fields_for_times_beside_the_same_times() -> None:
    """Another archive writer, and no other time: an epoch would change nothing."""
    plain = wheel(CODE)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(plain)) as before, zipfile.ZipFile(buffer, "w") as after:
        for info in before.infolist():
            content = before.read(info)
            info.extra = b"UT\x05\x00\x01\x40\x19\x37\x66"
            after.writestr(info, content)
    assert [Cause.ARCHIVE_FORM] == causes(case(buffer.getvalue(), plain))


def test_a_licence_that_moved_is_the_tool() -> None:
    """licenses/LICENSE against LICENSE: another layout of the same file."""
    value = case(
        wheel(dict(CODE) | {f"{INFO}/LICENSE": "MIT\n"}), wheel(dict(CODE) | {f"{INFO}/licenses/LICENSE": "MIT\n"})
    )
    assert [Cause.TOOL_VERSION] == causes(value)


def test_a_licence_the_source_lacks_is_not_the_tool() -> None:
    """It came from somewhere else than the source archive."""
    value = case(wheel(dict(CODE) | {f"{INFO}/LICENSE": "MIT\n"}), wheel(CODE))
    assert [Cause.EXTRA_SOURCE_FILES] == causes(value)


def test_python_2_packs_other_files() -> None:
    """A wheel for Python 2 alone, without a file that the source has."""
    more = dict(CODE) | {f"{NAME}/_py3.py": "x = 1\n"}
    value = case(
        wheel(CODE, tag="py2-none-any"),
        wheel(more),
        source=more,
        filename=f"{NAME}-{VERSION}-py2-none-any.whl",
        rebuilt_name=f"{NAME}-{VERSION}-py3-none-any.whl",
    )
    assert {Cause.INTERPRETER_VERSION, Cause.NAME_OR_TAG} == set(causes(value))


def test_record_is_a_cause_when_no_member_explains_it() -> None:
    """A line about a member that does not differ is not a consequence."""
    value = case(rewritten(wheel(CODE), f"{INFO}/RECORD", b",10\n", b",011\n"), wheel(CODE))
    assert [f"{INFO}/RECORD"] == [each.member for each in value.differences]
    assert [Cause.TOOL_VERSION] == causes(value)
    assert Certainty.LIKELY is found(value).findings[0].certainty


def test_metadata_files_are_known_by_their_directory() -> None:
    """A file of that name elsewhere is none."""
    assert metadata_file("a-1.dist-info/METADATA", "METADATA")
    assert not metadata_file("a/METADATA", "METADATA")
    assert not metadata_file("x/a-1.dist-info/METADATA", "METADATA")


def test_every_cause_is_in_the_guide() -> None:
    """docs/explain.md has a line for each cause, and for none that there is not."""
    text = (Path(__file__).parents[2] / "docs" / "explain.md").read_text()
    assert {each.value for each in Cause} == set(re.findall(r"^### `([a-z-]+)`$", text, re.MULTILINE))
