"""Which build environment a wheel is rebuilt on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.interpreter_choice import (
    INTERPRETERS,
    Interpreter,
    NamedPython,
    choose,
    named_is_lacking,
    named_python,
    stand_ins,
    with_configured,
)
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Inspection, Member, MemberKind
from rebuilder.model.settings import InterpreterSettings
from rebuilder.model.verdict import Verdict

ALL = ["trixie", "bookworm", "bullseye"]


def shown(found: list[Interpreter]) -> list[str]:
    """The environment of each, and the Python that the one in it presents itself as."""
    return [f"{each.environment} as {each.python}" if each.runs_on else each.environment for each in found]


@pytest.mark.parametrize(
    ("requires_python", "year", "expected"),
    [
        (None, 2026, ["trixie", "bookworm"]),
        (None, 2025, ALL),
        (">=3.9", 2025, ALL),
        (">=3.9", 2024, ["bookworm", "bullseye", "trixie"]),
        (">=3.9", 2021, ["bullseye", "bookworm", "trixie"]),
        (">=2.7", 2018, ["bullseye", "bullseye as 3.6", "bookworm"]),
        (">=2.7", 2013, ["bullseye", "bullseye as 3.4", "bookworm"]),
        (">=3.6,<3.9", 2026, ["bullseye as 3.8"]),
        ("==3.12.*", 2026, ["trixie as 3.12"]),
        (">=3.10", 2015, ["bookworm", "bookworm as 3.10", "trixie"]),
        (">=3.12", 2026, ["trixie"]),
        (">=3.12", 2023, ["trixie", "trixie as 3.12"]),
        (">=3.14", 2026, ["forky"]),
        ("<3.13", 2026, ["bookworm"]),
        ("<3.11", 2026, ["bullseye"]),
        (">=3.11.4", 2026, ["trixie", "bookworm"]),
        ("not a specifier", 2026, ["trixie", "bookworm"]),
    ],
)
def test_choice(requires_python: str | None, year: int, expected: list[str]) -> None:
    """The newest Python there was at the upload, among those the release supports."""
    found = choose(requires_python, datetime(year, 1, 2, tzinfo=UTC))
    assert expected == shown(found)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("3.9", ["bullseye", "trixie", "bookworm"]),
        ("3.14", ["forky", "trixie", "bookworm"]),
        ("3.15", ["trixie", "bookworm"]),
        ("3.10", ["bookworm as 3.10", "trixie", "bookworm"]),
        ("3.7", ["bullseye as 3.7", "trixie", "bookworm"]),
        ("2.7", ["python2", "trixie", "bookworm"]),
    ],
)
def test_named(named: str, expected: list[str]) -> None:
    """The Python the wheel names comes first, or one that presents itself as it; or the nearest."""
    found = choose(None, datetime(2026, 1, 2, tzinfo=UTC), named=NamedPython(named, ""))
    assert expected == shown(found)


def test_bytecode_is_written_by_the_python_it_is_of() -> None:
    """Nothing that presents itself as that Python is tried for it."""
    found = choose(None, datetime(2026, 1, 2, tzinfo=UTC), named=NamedPython("3.10", "", compiled=True))
    assert ["bookworm", "trixie"] == shown(found)


def test_a_named_python_that_is_not_used_is_lacking() -> None:
    """What the build on another one makes says nothing about the wheel."""
    named = NamedPython("3.15", "The wheel holds 'x-1-py3.15-nspkg.pth': Python 3.15 built it.")
    lacking = named_is_lacking(named, INTERPRETERS[1])
    assert lacking is not None
    assert Verdict.UNSUPPORTED is lacking.verdict
    assert "nspkg" in lacking.sentence
    assert "3.13" in lacking.sentence
    assert named_is_lacking(NamedPython("3.13", ""), INTERPRETERS[1]) is None
    assert named_is_lacking(None, INTERPRETERS[1]) is None


def test_stand_ins_run_on_the_nearest_newer_python() -> None:
    """One for each CPython 3 that is not there, newest first; forky, which few have, stands in for none."""
    found = {each.python: each.runs_on for each in stand_ins(INTERPRETERS)}
    expected = {"3.12": "3.13", "3.10": "3.11", "3.8": "3.9", "3.7": "3.9", "3.6": "3.9", "3.5": "3.9", "3.4": "3.9"}
    assert expected == found
    assert list(expected) == list(found)
    own = with_configured({"mine": InterpreterSettings(version="3.10", path="/srv/310")})
    assert "3.10" not in {each.python for each in stand_ins(own)}


@pytest.mark.parametrize(
    ("tools", "year", "expected"),
    [
        ({"setuptools": "36.8.0"}, 2018, ["bullseye", "bullseye as 3.6"]),
        ({"setuptools": "44.1.1"}, 2025, ["bookworm", "bullseye"]),
        ({"setuptools": "66.1.0"}, 2025, ALL),
        ({"setuptools": "84.0.0"}, 2026, ["trixie", "bookworm"]),
        ({"flit_core": "3.2.0"}, 2024, ["bookworm", "bullseye", "trixie"]),
        ({"poetry-core": "1.0.8"}, 2025, ["bookworm", "bullseye"]),
        ({"setuptools": "40.0"}, 2019, ["bullseye as 3.7"]),
        ({"setuptools": "40.0"}, 2026, ["bullseye as 3.8"]),
        ({"setuptools": "today's"}, 2025, ALL),
    ],
)
def test_what_tools_run_on(tools: dict[str, str], year: int, expected: list[str]) -> None:
    """A Python that an inferred tool does not run on is left out, unless there is no other."""
    found = choose(None, datetime(year, 1, 2, tzinfo=UTC), tools=tools)
    assert expected == shown(found)


def test_interpreters_of_the_settings() -> None:
    """They are chosen like any other; one with a version that Debian has takes its place."""
    own = {
        "mine": InterpreterSettings(version="3.12", path="/srv/312"),
        "better": InterpreterSettings(version="3.11", path="/srv/311"),
        "future": InterpreterSettings(version="3.20", path="/srv/320"),
    }
    interpreters = with_configured(own)
    versions = ["3.20", "3.14", "3.13", "3.12", "3.11", "3.9", "2.7"]
    assert versions == [each.python for each in interpreters]
    found = choose("<3.20", datetime(2024, 1, 2, tzinfo=UTC), interpreters=interpreters)
    assert ["mine", "better", "bullseye"] == [each.environment for each in found]
    assert INTERPRETERS == with_configured({})


@pytest.mark.parametrize(
    ("year", "evidence", "expected"),
    [
        (2024, {}, "Python 3.11 was there when"),
        (2015, {}, "Python 3.9 came out after the upload"),
        (2024, {"named": NamedPython("3.9", "")}, "Python 3.9 is the one the wheel names."),
        (2024, {"named": NamedPython("2.7", "")}, "Python 2.7 is the one the wheel names."),
        (
            2024,
            {"named": NamedPython("3.6", "")},
            "No build environment has Python 3.6, which the wheel names: Python 3.9 presents itself as it.",
        ),
        (2025, {"tools": {"setuptools": "44.1.1"}}, "setuptools 44.1.1 does not run on Python 3.13: distutils and"),
        (2019, {"tools": {"setuptools": "40.0"}}, "setuptools 40.0 does not run on Python 3.9: HTMLParser.unescape"),
    ],
)
def test_reason(year: int, evidence: dict[str, Any], expected: str) -> None:
    """Each choice says why, in one or two sentences."""
    assert choose(None, datetime(year, 1, 2, tzinfo=UTC), **evidence)[0].reason.startswith(expected)


def test_no_environment() -> None:
    """A release for other Pythons only is not supported, and the sentence says which there are."""
    with pytest.raises(NotRebuildable, match=r"'<3'.*3\.9, 3\.11, 3\.13, 3\.14") as caught:
        choose("<3", datetime(2026, 1, 1, tzinfo=UTC))
    assert Verdict.UNSUPPORTED is caught.value.obstacle.verdict


def wheel(name: str, scripts: str = "") -> Inspection:
    """With a file of that name, and these entry points."""
    member = Member(name=name, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00")
    texts = {"x-1.dist-info/entry_points.txt": f"[console_scripts]\n{scripts}"}
    return Inspection(format="zip", members=(member,), texts=texts)


@pytest.mark.parametrize(
    ("name", "scripts", "expected"),
    [
        ("x-1-py3.9-nspkg.pth", "", "3.9"),
        ("x-1-py3.10-nspkg.pth", "", "3.10"),
        ("x-1-py2.7-nspkg.pth", "", "2.7"),
        ("x.py", "x = x:main\nx3 = x:main\nx3.9 = x:main\n", "3.9"),
        ("x.py", "x = x:main\nx-3.12 = x:main\n", "3.12"),
        ("x.py", "x = x:main\nx-3.12 = x:old\nx3 = x:old\n", "3.12"),
        ("x.py", "x = x:main\ny3.9 = x:main\n", None),
        ("x.py", "x = x:main\nx3.9 = x:other\n", None),
        ("x.py", "", None),
        ("x/__pycache__/y.cpython-311.pyc", "", "3.11"),
        ("x/__pycache__/y.cpython-39.opt-1.pyc", "", "3.9"),
        ("x/__pycache__/y.pypy39.pyc", "", None),
        ("x/y.pyc", "", None),
    ],
)
def test_named_python(name: str, scripts: str, expected: str | None) -> None:
    """The version is in the name of a namespace file, or of a command beside the one without it."""
    found = named_python(wheel(name, scripts))
    assert expected == (found.python if found else None)


def test_byte_code_of_several_pythons() -> None:
    """Left over from several runs, it says nothing of the build."""
    names = ("x/__pycache__/y.cpython-311.pyc", "x/__pycache__/y.cpython-39.pyc")
    members = tuple(member for name in names for member in wheel(name).members)
    assert named_python(Inspection(format="zip", members=members, texts={})) is None


@pytest.mark.parametrize(
    ("tags", "expected"),
    [(["py2-none-any"], "2.7"), (["py27-none-any"], "2.7"), (["py2-none-any", "py3-none-any"], None), ([], None)],
)
def test_wheel_for_python_2_alone(tags: list[str], expected: str | None) -> None:
    """All of its tags say so."""
    text = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n" + "".join(f"Tag: {each}\n" for each in tags)
    listing = wheel("x/__init__.py")
    found = named_python(listing.replace(texts={**listing.texts, "x-1.dist-info/WHEEL": text}))
    assert expected == (found.python if found is not None else None)


def test_python_2_is_only_for_what_names_it() -> None:
    """Although old tools run on it, too."""
    found = choose(None, datetime(2018, 1, 2, tzinfo=UTC), tools={"setuptools": "36.8.0"})
    assert "2.7" not in {each.python for each in found}


def test_the_last_python_2_accuses_nobody() -> None:
    """What Debian's does not give may be another one's."""
    named, day = NamedPython("2.7", "It says so."), datetime(2018, 1, 2, tzinfo=UTC)
    (ours, *_) = choose(None, day, named=named)
    lacking = named_is_lacking(named, ours)
    assert lacking is not None
    assert (Verdict.UNSUPPORTED, Cause.MISSING_INTERPRETER) == (lacking.verdict, lacking.cause)
    assert named_is_lacking(None, ours) is None
    assert named_is_lacking(named, replace(ours, environment="mine")) is None


def test_python_2_comes_last_for_what_is_for_both() -> None:
    """Some releases of that time run on it alone; those that ask for another are none of them."""
    day = datetime(2018, 1, 2, tzinfo=UTC)
    assert "python2" == choose(None, day, python_2=True)[-1].environment
    assert 1 == shown(choose(None, day, python_2=True)).count("python2")
    assert "python2" not in shown(choose(">=3.5", day, python_2=True))
