"""``rebuilder preflight`` on real projects, with real builds in the real sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.cli.preflight import read_texts
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.model.diagnosis import Cause, Certainty
from rebuilder.model.project import Outcome, OwnFile, Preflight
from rebuilder.network.git.work_tree import read_work_tree
from rebuilder.preflight.examination import examine
from rebuilder.verification.parts import Parts

TOML = """[build-system]
requires = ["minibackend"]
build-backend = "minibackend"
[project]
name = "loom"
version = "1.0"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project of one module."""
    root = tmp_path / "loom"
    (root / "loom").mkdir(parents=True)
    (root / "loom" / "__init__.py").write_text("x = 1\n")
    (root / "pyproject.toml").write_text(TOML)
    return root


def looked_at(parts: Parts, place: Path, *own: OwnFile) -> Preflight:
    """What is found out about the project in a directory."""
    tree = read_work_tree(place, parts.blobs)
    return examine(parts, parts.ecosystems["pypi"], tree, read_texts(place, tree, ECOSYSTEMS["pypi"]), own)


@pytest.mark.usefixtures("registry")
def test_a_project_that_everybody_builds_alike(place: Path, parts: Parts) -> None:
    """Nothing is found; the wheel in dist/ that was built so is the same, and another one is not."""
    found = looked_at(parts, place)
    assert (Outcome.SAME, ()) == (found.outcome, found.findings), found
    wheel = found.built[-1]
    again = looked_at(parts, place, OwnFile(filename=wheel.filename, sha256=wheel.sha256))
    assert [Outcome.SAME] == [each.outcome for each in again.compared]
    (place / "loom" / "__init__.py").write_text("x = 2\n")
    changed = looked_at(parts, place, OwnFile(filename=wheel.filename, sha256=wheel.sha256))
    assert Outcome.DIFFERS is changed.outcome
    assert [Outcome.DIFFERS] == [each.outcome for each in changed.compared]


@pytest.mark.usefixtures("registry")
def test_causes_in_one_file_are_told_apart(place: Path, parts: Parts) -> None:
    """Each is shown with its own line, by a build in which nothing else was changed."""
    (place / "pyproject.toml").write_text(f'{TOML}[tool.minibackend]\nembed = ["host", "zone"]\n')
    found = looked_at(parts, place)
    assert Outcome.DIFFERS is found.outcome
    shown = {each.cause: each for each in found.findings if each.certainty is Certainty.SHOWN}
    assert {Cause.HOST_OR_USER_NAME, Cause.TIME_ZONE} == shown.keys()
    for cause, begin in ((Cause.HOST_OR_USER_NAME, "host = "), (Cause.TIME_ZONE, "zone = ")):
        lines = [each.rebuilt for each in shown[cause].evidence if each.rebuilt is not None]
        assert lines
        assert all(each.startswith(begin) for each in lines)


@pytest.mark.usefixtures("registry")
def test_a_build_that_fails_is_no_difference(place: Path, parts: Parts) -> None:
    """What cannot be built says nothing about other machines."""
    (place / "pyproject.toml").write_text(f'{TOML}[tool.minibackend]\nfail = "the loom is broken"\n')
    found = looked_at(parts, place)
    assert Outcome.UNDECIDED is found.outcome
    assert found.findings
