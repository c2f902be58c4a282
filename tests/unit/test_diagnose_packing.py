"""Causes that show which tree a wheel was packed in."""

from __future__ import annotations

import pytest

from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.diagnose.diagnosis import diagnose
from rebuilder.ecosystems.pypi.diagnosis import RULES
from rebuilder.ecosystems.pypi.evidence import has_build_script
from rebuilder.model.diagnosis import Cause, Certainty, Finding
from rebuilder.model.evidence import Inspection, Member, MemberKind
from tests.fakes.cases import CODE, INFO, NAME, VERSION, case, failure, wheel


def only(value: DiagnosisInput) -> Finding:
    """The one finding, which explains everything."""
    result = diagnose(value, RULES)
    assert result is not None
    assert () == result.unexplained
    (finding,) = result.findings
    return finding


def configured(value: DiagnosisInput, **texts: str) -> DiagnosisInput:
    """The case with texts of the source archive."""
    inspection = value.evidence.source_inspection
    assert inspection is not None
    read = {f"{NAME}-{VERSION}/{name.replace('_', '.')}": text for name, text in texts.items()}
    evidence = value.evidence.replace(source_inspection=inspection.replace(texts=read))
    return DiagnosisInput(evidence, value.attempts, value.decision, ecosystem=RULES)


@pytest.mark.parametrize("name", ["LICENSE", "AUTHORS.rst", "NOTICE.txt", "COPYING", "licenses/LICENCE.md"])
def test_a_licence_that_the_source_archive_lacks(name: str) -> None:
    """The tools pack it from the top of the tree; what to write into MANIFEST.in is said."""
    published = dict(CODE) | {f"{INFO}/{name}": "Do as you like.\n"}
    finding = only(case(wheel(published), wheel(CODE)))
    base = name.rpartition("/")[2]
    assert (Cause.EXTRA_SOURCE_FILES, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert f"“include {base}”" in finding.advice
    assert "from the top of the project" in finding.sentence


def test_a_licence_that_metadata_names() -> None:
    """The line that names it follows from it."""
    head = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"
    published = dict(CODE) | {f"{INFO}/NOTICE": "x\n", f"{INFO}/METADATA": f"{head}License-File: NOTICE\n"}
    rebuilt = dict(CODE) | {f"{INFO}/METADATA": head}
    assert Cause.EXTRA_SOURCE_FILES is only(case(wheel(published), wheel(rebuilt))).cause


def test_a_file_that_the_configuration_names() -> None:
    """It was not left over: the project wants it in its wheels."""
    value = case(wheel(dict(CODE) | {f"{NAME}/py.typed": ""}), wheel(CODE))
    finding = only(configured(value, setup_py="setup(package_data={'spindle': ['py.typed']})"))
    assert Cause.EXTRA_SOURCE_FILES is finding.cause
    assert f"Name {NAME}/py.typed in MANIFEST.in" in finding.advice
    assert (
        "configuration"
        not in only(configured(value, setup_py="setup(package_data={'spindle': ['other.typed']})")).sentence
    )


def test_the_same_file_in_another_case() -> None:
    """One finding for both names."""
    published, rebuilt = dict(CODE) | {f"{INFO}/License.txt": "x\n"}, dict(CODE) | {f"{INFO}/LICENSE.txt": "x\n"}
    value = case(wheel(published), wheel(rebuilt), source=dict(CODE) | {"LICENSE.txt": "x\n"})
    finding = only(value)
    assert Cause.FILE_SELECTION is finding.cause
    assert "case does not matter" in finding.sentence


def test_a_namespace_file_without_a_python() -> None:
    """A setuptools that a system has changed."""
    published = dict(CODE) | {f"{NAME}-{VERSION}-nspkg.pth": "import sys\n"}
    rebuilt = dict(CODE) | {f"{NAME}-{VERSION}-py3.9-nspkg.pth": "import sys\n"}
    finding = only(case(wheel(published), wheel(rebuilt)))
    assert (Cause.TOOL_VERSION, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert "Debian" in finding.sentence


def test_compiled_files_in_a_wheel_for_any_machine() -> None:
    """No build of the source archive makes those."""
    published = dict(CODE) | {f"{NAME}/_fast.cp35-win32.pyd": "MZ", f"{NAME}/.libs/libz-1.so.2": "ELF"}
    finding = only(case(wheel(published), wheel(CODE)))
    assert Cause.GENERATED_FILES is finding.cause
    assert "for any machine" in finding.sentence
    assert "each platform" in finding.advice


def test_a_module_that_lies_in_a_package_now() -> None:
    """The file of that name in the source is another one: it was left from before it moved."""
    published = dict(CODE) | {"size.py": "old = 1\n"}
    value = case(wheel(published), wheel(CODE), source=dict(CODE) | {"spindle/size.py": "new = 1\n"})
    finding = only(value)
    assert Cause.FILE_SELECTION is not finding.cause


@pytest.mark.parametrize(
    ("log", "expected", "said"),
    [
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'version.txt'",
            Cause.INCOMPLETE_SOURCE,
            "version.txt",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/build/src/x-1/requirements/base.in'",
            Cause.INCOMPLETE_SOURCE,
            "base.in",
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'gcc'", Cause.MISSING_COMPILER, ""),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'", Cause.MISSING_COMPILER, ""),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/etc/motd'", Cause.BUILD_ERROR, ""),
        ("  print s.getvalue()\n        ^\nSyntaxError: invalid syntax", Cause.MISSING_INTERPRETER, "Python 2"),
        ('    print "%s" % x\nSyntaxError: invalid syntax', Cause.MISSING_INTERPRETER, "Python 2"),
        ("    except IOError, e:\nSyntaxError: invalid syntax", Cause.MISSING_INTERPRETER, "Python 2"),
        ("    prints = x\nSyntaxError: invalid syntax", Cause.BUILD_ERROR, ""),
        (
            "AttributeError: module 'importlib._bootstrap' has no attribute 'SourceFileLoader'",
            Cause.MISSING_INTERPRETER,
            "",
        ),
        ("ModuleNotFoundError: No module named 'version'", Cause.MISSING_REQUIREMENT, "version"),
    ],
)
def test_what_stopped_a_build(log: str, expected: Cause, said: str) -> None:
    """What the source archive lacks is the publisher's to mend; what we lack is not."""
    finding = only(failure(log))
    assert expected is finding.cause
    assert said in finding.sentence


@pytest.mark.parametrize(("name", "expected"), [("x-1/setup.py", True), ("x-1/x/setup.py", False), ("x-1/x.py", False)])
def test_whether_anything_says_how_it_is_built(name: str, expected: bool) -> None:
    """A script below the top is not that of the project."""
    names = (name, "x-1/README", "x-1/x/__init__.py")
    members = tuple(Member(name=each, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00") for each in names)
    assert expected is has_build_script(Inspection(format="tar.gz", members=members))


def test_files_that_were_compressed_before_packing() -> None:
    """One finding for both names; what the source has compressed itself is another matter."""
    published = dict(CODE) | {f"{NAME}/data/a.json.gz": "x", f"{NAME}/data/b.json.gz": "y"}
    rebuilt = dict(CODE) | {f"{NAME}/data/a.json": "aa", f"{NAME}/data/b.json": "bb"}
    finding = only(case(wheel(published), wheel(rebuilt), source=rebuilt))
    assert (Cause.GENERATED_FILES, Certainty.LIKELY) == (finding.cause, finding.certainty)
    assert "2 files of the source are compressed" in finding.sentence
    source = rebuilt | {f"{NAME}/data/a.json.gz": "x", f"{NAME}/data/b.json.gz": "y"}
    other = diagnose(case(wheel(published), wheel(rebuilt), source=source), RULES)
    assert other is not None
    assert Cause.GENERATED_FILES not in {each.cause for each in other.findings}


@pytest.mark.parametrize(
    ("published", "rebuilt", "expected"),
    [
        ('{"name": "spindle", "version": "1"}', '{"version": "1", "name": "spindle"}', Cause.HASH_OR_SET_ORDER),
        ('{"name": "spindle", "version": "1"}', '{"name": "spindle", "version": "1.0"}', Cause.CHANGED_SOURCE_FILES),
    ],
)
def test_keys_of_metadata_in_another_order(published: str, rebuilt: str, expected: Cause) -> None:
    """The same length, and another beginning: no current tool writes such a file."""
    wheels = [wheel(dict(CODE) | {f"{INFO}/metadata.json": text}) for text in (published, rebuilt)]
    finding = only(case(*wheels))
    assert expected is finding.cause
    assert (expected is Cause.HASH_OR_SET_ORDER) == ("wheel 0.30" in finding.advice)


CONVERTED = """
try:
    import pypandoc

    long_description = pypandoc.convert_file('README.md', 'rst')
except ImportError:
    with open('README.md') as f:
        long_description = f.read()
"""


@pytest.mark.parametrize(
    ("setup_py", "expected"),
    [
        (CONVERTED, Cause.MISSING_REQUIREMENT),
        ("try:\n    from setuptools import setup\nexcept ImportError:\n    long_description = ''\n", None),
        ("import pypandoc\nlong_description = pypandoc.convert_file('README.md', 'rst')\n", None),
    ],
)
def test_a_description_that_something_converts_where_it_is(setup_py: str, expected: Cause | None) -> None:
    """What converts it is named, and what to do about it; a requirement without a choice is none of it."""
    wheels = [wheel(CODE, metadata=f"\n{text}\n") for text in ("|image|", "![image](x.svg)")]
    finding = only(configured(case(*wheels), setup_py=setup_py))
    assert (expected or Cause.CHANGED_SOURCE_FILES) is finding.cause
    assert (expected is not None) == ("List pypandoc in" in finding.advice)
