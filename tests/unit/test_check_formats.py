"""SARIF and JUnit: the form that their readers ask for, whatever hostile text is in an answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from xml.etree import ElementTree as ET

import pytest
from pydantic import Field, StringConstraints

from rebuilder.consumer.answer import Answer, Outcome, Standing
from rebuilder.consumer.formats import junit, sarif
from rebuilder.consumer.lock_files import Dependency, LockedFile
from rebuilder.model.value import Sha256, Value
from tests.fakes.reports import HOSTILE

Level = Literal["none", "note", "warning", "error"]
Text = Annotated[str, StringConstraints(min_length=1)]


class Message(Value):
    text: Text


class ArtifactLocation(Value):
    uri: Annotated[str, StringConstraints(pattern=r"^[!-~]+$")]


class Region(Value):
    startLine: int = Field(ge=1)  # noqa: N815


class PhysicalLocation(Value):
    artifactLocation: ArtifactLocation  # noqa: N815
    region: Region | None = None


class Location(Value):
    physicalLocation: PhysicalLocation  # noqa: N815


class Result(Value):
    ruleId: Text  # noqa: N815
    ruleIndex: int = Field(ge=0)  # noqa: N815
    level: Level
    message: Message
    locations: tuple[Location, ...] = ()
    partialFingerprints: dict[str, str] = {}  # noqa: N815
    properties: dict[str, Any] = {}


class Configuration(Value):
    level: Level


class Rule(Value):
    id: Text
    shortDescription: Message  # noqa: N815
    defaultConfiguration: Configuration  # noqa: N815


class Driver(Value):
    name: Text
    version: Text
    rules: tuple[Rule, ...]


class Tool(Value):
    driver: Driver


class Run(Value):
    tool: Tool
    results: tuple[Result, ...]
    columnKind: Literal["utf16CodeUnits", "unicodeCodePoints"]  # noqa: N815


class Log(Value):
    """What section 3 of SARIF 2.1.0 asks for, of the members that are written here; there are no others."""

    schema_: str = Field(alias="$schema")
    version: Literal["2.1.0"]
    runs: tuple[Run, ...]


@pytest.fixture
def outcome() -> Outcome:
    """Every standing, with text that somebody hostile wrote."""
    answers = []
    for number, standing in enumerate(Standing, 1):
        dependency = Dependency("pypi", f"p{number}{HOSTILE}", "1", f"some where/requirements.txt, line {number}")
        file = LockedFile(HOSTILE, Sha256(f"{number:064x}"))
        answers.append(Answer(dependency, file, standing, HOSTILE))
    answers.append(Answer(Dependency("", "x.whl", None, "dist/x.whl"), None, Standing.UNDECIDED, "?"))
    return Outcome(tuple(answers), ("one",), datetime(2026, 1, 1, tzinfo=UTC), (HOSTILE,), ("A fork.",))


def test_sarif(outcome: Outcome) -> None:
    """A result for all that is not confirmed, its rule, its line, and nothing that a viewer could take for an order."""
    text = sarif(outcome)
    document = json.loads(text)
    assert len(Log.model_validate_json(text).runs) == 1
    results = document["runs"][0]["results"]
    rules = [each["id"] for each in document["runs"][0]["tool"]["driver"]["rules"]]
    assert len(results) == len(outcome.answers)  # one passes, and one is about a rebuilder
    assert [] == [each for each in results if rules[each["ruleIndex"]] != each["ruleId"]]
    assert results[0]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "some%20where/requirements.txt"},
        "region": {"startLine": 2},
    }
    assert results[-1]["message"]["text"] == "A fork."
    assert "\u202e" not in "".join(each["message"]["text"] for each in results)


def test_junit(outcome: Outcome) -> None:
    """Well-formed, and the counts are those of the cases."""
    (suite,) = ET.fromstring(junit(outcome))  # noqa: S314 - ours
    kinds = {kind: len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error", "skipped")}
    assert kinds == {"failure": 5, "error": 1, "skipped": 2}
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["9", "5", "1", "2"]
    assert all(each.get("name") and each.get("classname") for each in suite)


def test_the_table_shows_every_character(outcome: Outcome) -> None:
    """No control character reaches a terminal; the last line has the denominator."""
    lines = outcome.table()
    assert all(line.isprintable() for line in lines)
    assert lines[-1].startswith("1 of 8 are confirmed")
