"""The recorded session shows what the program prints today: every piece of a sentence in it is one that it has."""

from __future__ import annotations

import ast
import io
import re
from itertools import pairwise
from pathlib import Path

import pytest

from rebuilder.cli.display import Display
from rebuilder.model.report import Stage
from rebuilder.verification.coordinator import Verified
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "session.md").read_text()
DEMO = [line for line in PAGE.partition("$ make demo\n")[2].partition("```")[0].splitlines() if line]
STEP = re.compile(r" {6}[a-z ]+: \S [a-z-]+")
STAGE = re.compile(r"\S+==\S+: (\S+)")
RESULT = re.compile(r"(\S+ [a-z-]+)  (\S+)  \((\d+\.\d s)\)")
VARIES = re.compile(
    r"https?://\S+(?<![:.,])|\S+\.(?:html|whl|tgz|so)\b|\b[0-9a-f]{12}\b|\bv?\d[\d.,:T-]*(?: (?:Python )?files)?\b|[()]"
    r"|\(\w+\)|\b\w+-times\b|\bGit says: .*|(?<=[.:;]) |,? \b(?:and|are|is) "
)
"""What is another one in another session: addresses, files, commits, numbers, and names in parentheses."""


def shown(make: str) -> list[str]:
    """What is printed of a made-up file with a verdict, and in the end."""
    stream, report = io.StringIO(), getattr(reports, make)(MemoryBlobs())
    display = Display(stream)
    for _ in range(2):
        done = Verified(report.artifact, signed=reports.signed(report), page="a/b", seconds={Stage.BUILD: 12.25})
        display.result(done, Path("site"))
    display.totals()
    return stream.getvalue().splitlines()


def sentences() -> str:
    """All text that the program, and the Makefile around it, can print."""
    found = [(ROOT / "Makefile").read_text()]
    for path in (ROOT / "rebuilder").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        found += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join(found).replace('\\"', '"')


@pytest.mark.parametrize("make", ["reproduced", "accounted"])
def test_results_have_the_form_that_they_have(make: str) -> None:
    """Verdict, file and time; then indented lines, the last of which is the page; in the end the totals."""
    first, *rest = shown(make)
    form = RESULT.fullmatch(first)
    assert form is not None
    recorded = [found for line in DEMO if (found := RESULT.fullmatch(line))]
    assert form[1] in {each[1] for each in recorded}
    assert rest[-1] == f"2 in all: 2 {make}."
    assert "5 in all: 4 reproduced, 1 accounted." in DEMO
    assert rest[rest.index(first) - 1].endswith("/index.html")
    ends = [line for line, following in pairwise(DEMO) if RESULT.fullmatch(following) and line.startswith(" ")]
    assert [True] * 4 == [line.endswith("/index.html") for line in ends]


def test_every_sentence_is_one_of_the_program() -> None:
    """Each piece between what varies, of three words or more, stands in the source as it was recorded."""
    known, wrong, looked = sentences(), [], 0
    for line in DEMO:
        if any(form.match(line) for form in (STAGE, STEP, RESULT)) or line.endswith("/index.html"):
            continue
        pieces = [each.strip(" .:;,") for each in VARIES.split(line.strip())]
        pieces = [each for each in pieces if len(each.split()) > 2]
        looked += len(pieces)
        wrong += [each for each in pieces if each not in known]
    assert looked > 20
    assert [] == wrong


def test_stages_are_those_there_are() -> None:
    """Every stage that was recorded still is one, in the order in which they are."""
    stages = [Stage(found[1]) for line in DEMO if (found := STAGE.match(line))]
    assert {Stage.FETCH, Stage.BUILD, Stage.COMPARE, Stage.SIGN, Stage.PUBLISH} <= set(stages)
