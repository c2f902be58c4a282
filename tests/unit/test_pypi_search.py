"""On which Python candidates are tried."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.build_inputs import BuildConditions, BuildInputs
from rebuilder.ecosystems.pypi.interpreter_choice import INTERPRETERS, Interpreter
from rebuilder.ecosystems.pypi.requirements import BuildSystem
from rebuilder.ecosystems.pypi.search import Candidate, try_candidates
from rebuilder.ecosystems.source_trees import Unpacked
from rebuilder.model.attempt import History, Hypothesis, plan
from rebuilder.model.definition import EnvironmentRef, Input, Limits, Role
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.model.verdict import Verdict

FILE = Input(role=Role.SOURCE, name="x-1.tar.gz", sha256="0" * 64, path="/inputs/x-1.tar.gz")
CANDIDATE = Candidate("as-it-is", "As it is.", BuildConditions())


def inputs(interpreter: Interpreter) -> BuildInputs:
    """Of a build on this Python."""
    program = Input(role=Role.PROGRAM, name="pypi.pyz", sha256="1" * 64, path="/tools/pypi.pyz")
    return BuildInputs(
        purl="pkg:pypi/x@1",
        filename="x-1-py3-none-any.whl",
        source=Source(kind=SourceKind.SDIST, uri="https://index.example/x-1.tar.gz", digest={"sha256": "0" * 64}),
        tree=Unpacked(FILE, "x-1"),
        system=BuildSystem("backend", (), ()),
        toolchain=EnvironmentRef(name=interpreter.environment, sha256="2" * 64),
        program=program,
        uv=Input(role=Role.PROGRAM, name="uv", sha256="3" * 64, path="/tools/uv"),
        requirements=Input(role=Role.PARAMETERS, name="r", sha256="4" * 64, path="/inputs/requirements.txt"),
        dependencies=(),
        limits=Limits(),
    )


def planned(*lacking: str) -> Hypothesis | object:
    """What comes first where nothing can be resolved for these Pythons."""

    def resolve(interpreter: Interpreter) -> tuple[BuildInputs, str]:
        if interpreter.python in lacking:
            raise NotRebuildable(Verdict.INPUTS_MISSING, f"Nothing fits {interpreter.python}.")
        return inputs(interpreter), "About it."

    def planner(history: History) -> None:
        try_candidates(history, [CANDIDATE], interpreters=INTERPRETERS, resolve=resolve)

    return plan(planner, History())


def test_the_next_python_is_tried_where_nothing_satisfies_the_requirements() -> None:
    """Wheels of a dependency may not have been there for the newest Python yet; the name says which it was."""
    found = planned("3.14", "3.13")
    assert isinstance(found, Hypothesis)
    assert ("bookworm", "as-it-is-python3.11") == (found.definition.toolchain.name, found.name)
    first = planned()
    assert isinstance(first, Hypothesis)
    assert "as-it-is" == first.name


def test_the_first_obstacle_is_told() -> None:
    """Of the likeliest Python, when there is none to go on with."""
    with pytest.raises(NotRebuildable, match=r"Nothing fits 3\.14\."):
        planned("3.14", "3.13", "3.11", "3.9", "2.7")
