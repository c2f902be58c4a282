"""The README says what the program does: commands, options, exit codes and make targets exist as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from rebuilder.cli.main import app
from rebuilder.cli.verify import result_line
from rebuilder.errors import ExitCode
from rebuilder.verification.coordinator import Verified
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def lines(page: str) -> list[str]:
    """The lines of its code blocks, without remarks."""
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE)
    typed = [block for language, block in blocks if language in {"", "sh"}]
    return [line.partition("#")[0].strip() for block in typed for line in block.splitlines()]


LINES = lines(README)
COMMANDS = [line for line in LINES if line.startswith("rebuilder ")]
PAGES = ("operate/keys.md", "for-third-parties.md", "for-security-teams.md", "for-maintainers.md")
GUIDES = [line for page in PAGES for line in lines((ROOT / "docs" / page).read_text()) if line.startswith("rebuilder ")]


def known() -> dict[str, set[str]]:
    """Every command, sub-commands included, with its options."""
    top = get_command(app)
    found: dict[str, set[str]] = {}
    for name, command in getattr(top, "commands", {}).items():
        parts = dict(getattr(command, "commands", {"": command}))
        if getattr(command, "invoke_without_command", False):
            parts[""] = command
        for inner, sub in parts.items():
            found[f"{name} {inner}".strip()] = {option for parameter in sub.params for option in parameter.opts}
    return found


def name_of(words: list[str]) -> str:
    """Name of the command in a command line."""
    two = " ".join(words[1:3])
    return two if two in known() else words[1]


@pytest.mark.parametrize("line", [*COMMANDS, *GUIDES])
def test_commands_exist(line: str) -> None:
    """What stands in a code block can be typed: the command is there, and so are its options."""
    words = shlex.split(line)
    assert name_of(words) in known()
    assert {word for word in words if word.startswith("--")} <= known()[name_of(words)]


def test_every_command_is_shown() -> None:
    """Nothing the program can do is missing from the README."""
    shown = {name_of(shlex.split(line)) for line in COMMANDS}
    assert {name for name in known() if name not in shown and not re.search(f"`{name}[ `]", README)} == set()


def test_exit_codes_are_told() -> None:
    """The table has a row for every code there is."""
    rows = set(re.findall(r"^\| (\d) \|", README, re.MULTILINE))
    assert {str(code.value) for code in ExitCode} == rows


def test_make_targets_exist() -> None:
    """The two commands at the top are targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make ([a-z-]+)", "\n".join(LINES), re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    """Every relative link is a file or folder of the checkout."""
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_fields_of_a_json_line_are_told() -> None:
    """Each field has its row, in the order in which it is printed, and there is no row for one that is not printed."""
    done = reports.reproduced(MemoryBlobs())
    line = result_line(Verified(done.artifact, signed=reports.signed(done)), Path("site"))
    rows = re.findall(r"^\| `([a-z_]+)(?:\[\])?` \|", (ROOT / "docs/verify-json.md").read_text(), re.MULTILINE)
    assert list(line) == rows
