"""``rebuilder preflight`` on real projects, with real builds in the real sandbox."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from rebuilder.cli.preflight import read_texts
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.model.diagnosis import Cause, Certainty
from rebuilder.model.project import Outcome, OwnFile, Preflight, Project
from rebuilder.network.git.work_tree import read_work_tree
from rebuilder.preflight.examination import examine
from rebuilder.verification.parts import Parts
from tests.bench.planted.projects import PROJECTS
from tests.bench.planted.release import source_tree
from tests.fakes.command import Installation
from tests.fakes.repositories import make_repository

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
    assert "another name" not in changed.compared[0].sentence


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


@pytest.mark.usefixtures("registry")
def test_what_is_compiled_has_a_compiler(place: Path, parts: Parts) -> None:
    """Where the project says that it compiles something, and has sources in C, its environment has GCC."""
    used = []
    for name, text in (("loom/fast.c", "int x;\n"), ("pyproject.toml", f"{TOML}[tool.setuptools]\next-modules = []\n")):
        (place / name).write_text(text)
        project = parts.ecosystems["pypi"].project(read_work_tree(place, parts.blobs))
        assert isinstance(project, Project)
        used.append(project.hypotheses[0].definition.toolchain.name)
    assert [False, True] == [each.endswith("-gcc") for each in used]


def test_the_command_names_what_is_planted(tmp_path: Path, installation: Installation) -> None:
    """A project of the bench: its cause is shown, in SARIF, too; a file of another version alone decides nothing."""
    planted = PROJECTS["time-zone-1"]
    place = tmp_path / "planted"
    for name, content in source_tree(planted, "planted").items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (place / "dist").mkdir()
    (place / "dist" / "planted-0.1-py3-none-any.whl").write_bytes(b"")
    answer = installation.run("preflight", "--json", "--sarif", tmp_path / "found.sarif", place)
    assert (1, "differs") == (answer.code, answer.line["outcome"]), answer.words
    shown = {each["cause"] for each in answer.line["findings"] if each["certainty"] == "shown"}
    assert {each.value for each in planted.causes} == shown
    assert ["undecided"] == [each["outcome"] for each in answer.line["compared"]]
    [run] = json.loads((tmp_path / "found.sarif").read_text())["runs"]
    assert "time-zone" in {each["ruleId"] for each in run["results"]}


def test_a_file_that_is_named_and_not_made(place: Path, installation: Installation) -> None:
    """Whoever names it asks about it: that could not be found out."""
    (place / "dist").mkdir()
    old = place / "dist" / "loom-0.1-py3-none-any.whl"
    old.write_bytes(b"")
    answer = installation.run("preflight", "--json", place, old)
    assert (3, "undecided") == (answer.code, answer.line["outcome"]), answer.words
    assert "not what the tree gives now" in answer.line["sentence"]
    assert 0 == installation.run("preflight", "--json", place).code


ASKING = """import os, shutil, subprocess
from pathlib import Path
from minibackend import *
from minibackend import build_sdist as _build_sdist

def build_sdist(directory, settings=None):
    said = subprocess.run(["git", "describe", "--tags", "--dirty"], check=True, capture_output=True, text=True).stdout
    Path("loom/said.py").write_text(f"said = {said.strip()!r}\\n")
    os.utime("loom/said.py", (int(os.environ["SOURCE_DATE_EPOCH"]),) * 2)
    shutil.rmtree("__pycache__", ignore_errors=True)
    return _build_sdist(directory, settings)
"""


@pytest.mark.usefixtures("registry")
def test_a_backend_that_asks_git(tmp_path: Path, parts: Parts) -> None:
    """It is told what git says of the checkout, and so are others."""
    text = TOML.replace('"minibackend"\n', '"_backend"\nbackend-path = ["."]  # it asks git\n')
    files = {"pyproject.toml": text, "_backend.py": ASKING, "loom/__init__.py": "x = 1\n"}
    make_repository(tmp_path / "asking", files).tag("v1.0")
    found = looked_at(parts, tmp_path / "asking")
    assert (Outcome.SAME, ()) == (found.outcome, found.findings), found.findings
    with zipfile.ZipFile(parts.blobs.path(found.built[-1].sha256)) as wheel:
        assert b"said = 'v1.0'\n" == wheel.read("loom/said.py")
