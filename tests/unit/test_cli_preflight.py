"""What ``rebuilder preflight`` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.cli.preflight import lines, preflight
from rebuilder.config import Config
from rebuilder.errors import UsageError
from rebuilder.model.comparison import Level
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine, Finding
from rebuilder.model.project import BuiltFile, ComparedFile, Outcome, Place, Preflight, ProjectFinding
from tests.fakes import reports

SHA = reports.sha("loom")
WHEEL = "loom-1.0-py3-none-any.whl"


def test_a_finding_has_its_file_its_lines_and_what_to_change() -> None:
    """Sides are called after where they were built; what is printed is safe for a terminal."""
    evidence = (
        EvidenceLine(member="loom/made.txt", published="host = elsewhere", rebuilt="host = localhost"),
        EvidenceLine(note="published gz of 3 bytes, rebuilt gz of 4 bytes"),
    )
    found = Finding(
        cause=Cause.HOST_OR_USER_NAME,
        sentence="It is\x1b.",
        certainty=Certainty.SHOWN,
        evidence=evidence,
        advice="Do not.",
    )
    mine = ProjectFinding.of(found, WHEEL).replace(
        places=(Place(file="setup.py", line=3, text="platform.node()"),), patch="--- a/setup.py\n"
    )
    assert Level.DIFFERENT is mine.level
    said = list(
        lines(
            Preflight(
                project="loom",
                outcome=Outcome.DIFFERS,
                sentence="No.",
                built=(BuiltFile(filename=WHEEL, sha256=SHA, outcome=Outcome.DIFFERS),),
                compared=(ComparedFile(filename=WHEEL, sha256=SHA, outcome=Outcome.UNDECIDED, sentence="Another."),),
                findings=(mine,),
                notes=("Noted.",),
                builds=8,
                seconds=2.0,
            )
        )
    )
    assert [
        "✘ loom: No.",
        f"  ✘ {WHEEL}  {SHA}",
        f"  ? yours: {WHEEL}  {SHA}",
        "      Another.",
        "",
        "1. It is⟨U+001B⟩.  [host-or-user-name, shown]",
        f"   In {WHEEL}:",
        "     loom/made.txt: there “host = elsewhere”, here “host = localhost”",
        "     there gz of 3 bytes, here gz of 4 bytes",
        "   setup.py:3: platform.node()",
        "   What to change: Do not.",
        "   | --- a/setup.py",
        "",
        "  Noted.",
        "",
        "  8 builds in 2.0 s",
    ] == said


@pytest.mark.parametrize("name", ["", "gone/found.sarif"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_built(tmp_path: Path, name: str) -> None:
    """A directory, or a file in one that is not there: nobody waits for builds whose result has no place."""
    with pytest.raises(UsageError, match="cannot be written"):
        preflight(Config(store=tmp_path / "store"), [tmp_path], as_json=False, sarif=tmp_path / name)
    assert not (tmp_path / "store").exists()
