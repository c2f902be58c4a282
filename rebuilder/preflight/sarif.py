"""What was found as SARIF 2.1.0, for code hosts that show it beside the lines."""

from __future__ import annotations

from typing import Any

from rebuilder.consumer.formats import sarif_of, sarif_place
from rebuilder.model.comparison import Level
from rebuilder.model.diagnosis import Certainty
from rebuilder.model.project import Preflight, ProjectFinding
from rebuilder.model.text import visible


def preflight_sarif(found: Preflight, main_file: str) -> str:
    """A result for each finding, where it comes from.

    Args:
        found: What was found.
        main_file: What a finding is beside that has no line: the file that says how the project is built.
    """
    rules = [
        {"id": each.value, "shortDescription": {"text": each.spoken}, "help": {"text": each.advice}}
        for each in dict.fromkeys(each.cause for each in found.findings)
    ]
    return sarif_of("rebuilder preflight", rules, [_result(each, main_file) for each in found.findings])


def _result(each: ProjectFinding, main_file: str) -> dict[str, Any]:
    shown = each.certainty is Certainty.SHOWN and each.level is Level.DIFFERENT
    places = [sarif_place(one.file, one.line) for one in each.places[:1]]
    return {
        "ruleId": each.cause.value,
        "level": "error" if shown else "warning",
        "message": {"text": visible(f"{each.sentence} {each.advice}")},
        "locations": places or [sarif_place(main_file, None)],
        "partialFingerprints": {"cause/v1": each.cause.value},
    }
