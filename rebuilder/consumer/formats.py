"""An outcome in the formats that other programs show: SARIF 2.1.0 for code hosts, JUnit's XML for CI servers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from rebuilder import __version__
from rebuilder.consumer.answer import Answer, Outcome, Standing
from rebuilder.model.text import visible

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULES = {
    Standing.EXCEPTED: ("note", "An exception of the policy lets a file through that does not pass."),
    Standing.TOLERATED: ("warning", "Too few rebuilders confirm a file, and the policy lets that through."),
    Standing.UNDECIDED: ("warning", "Too few rebuilders confirm a file."),
    Standing.UNANSWERED: ("warning", "A rebuilder could not be read, and too few others confirm a file."),
    Standing.DIFFERS: ("error", "A rebuild differs from a file."),
    Standing.REFUSED: ("error", "What a rebuilder shows about a file was changed, or contradicts itself."),
}
_LINE = re.compile(r"(?P<file>.+), line (?P<line>[1-9][0-9]*)")
_MOST = 1000


def sarif(outcome: Outcome) -> str:
    """SARIF 2.1.0: a result for everything that is not confirmed."""
    results = [_result(each) for each in outcome.answers if each.standing is not Standing.PASSED]
    names = [each.value for each in _RULES]
    results += [
        {"ruleId": "refused", "ruleIndex": names.index("refused"), "level": "error", "message": {"text": _safe(each)}}
        for each in outcome.refused
    ]
    rules = [
        {"id": rule.value, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}
        for rule, (level, text) in _RULES.items()
    ]
    return sarif_of("rebuilder check", rules, results)


def sarif_of(command: str, rules: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> str:
    """The SARIF document with what one command found."""
    driver = {"name": command, "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "utf16CodeUnits"}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _result(answer: Answer) -> dict[str, Any]:
    where = _LINE.fullmatch(answer.dependency.place)
    file = where["file"] if where else answer.dependency.place.partition(", ")[0]
    place = sarif_place(file, int(where["line"]) if where else None)
    return {
        "ruleId": answer.standing.value,
        "ruleIndex": [*_RULES].index(answer.standing),
        "level": _RULES[answer.standing][0],
        "message": {"text": _safe(f"{answer.dependency.label}: {answer.sentence}")},
        "locations": [place],
        "partialFingerprints": {"dependency/v1": f"{answer.dependency.label} {answer.sha256 or '-'}"},
        "properties": answer.document(),
    }


def sarif_place(file: str, line: int | None) -> dict[str, Any]:
    """A location: a line of a file, or all of it."""
    from urllib.parse import quote

    place: dict[str, Any] = {"artifactLocation": {"uri": quote(file, safe="/")}}
    if line is not None:
        place["region"] = {"startLine": line}
    return {"physicalLocation": place}


def junit(outcome: Outcome) -> str:
    """JUnit's XML: a test case for each dependency; what does not pass is a failure, what has no answer an error."""
    cases = [_case(each) for each in outcome.answers]
    for sentence in outcome.refused:
        case = ET.Element("testcase", classname="rebuilder.check", name="rebuilders")
        ET.SubElement(case, "failure", type="refused", message=_safe(sentence))
        cases.append(case)
    suite = ET.Element(
        "testsuite",
        name="rebuilder check",
        tests=str(len(cases)),
        failures=str(sum(each.find("failure") is not None for each in cases)),
        errors=str(sum(each.find("error") is not None for each in cases)),
        skipped=str(sum(each.find("skipped") is not None for each in cases)),
        timestamp=outcome.now.strftime("%Y-%m-%dT%H:%M:%S"),
    )
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


_KINDS = {Standing.EXCEPTED: "skipped", Standing.UNANSWERED: "error"}


def _case(answer: Answer) -> ET.Element:
    kind = answer.dependency.ecosystem or "file"
    case = ET.Element("testcase", classname=f"rebuilder.check.{kind}", name=_safe(answer.dependency.label))
    if answer.standing in {Standing.EXCEPTED, Standing.TOLERATED}:
        ET.SubElement(case, "skipped", message=_safe(answer.sentence))
    elif answer.standing is not Standing.PASSED:
        word = _KINDS.get(answer.standing, "failure")
        ET.SubElement(case, word, type=answer.standing.value, message=_safe(answer.sentence))
    return case


def _safe(text: str) -> str:
    """Text that others wrote, with nothing in it that XML cannot carry or a terminal would take for an order."""
    return visible(text, _MOST)
