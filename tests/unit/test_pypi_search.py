"""On which Python candidates are tried."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi import hypotheses, second_look
from rebuilder.ecosystems.pypi.build_inputs import BuildConditions, BuildInputs, InImage, held_tool, replayed
from rebuilder.ecosystems.pypi.image_builds import ImageBuild
from rebuilder.ecosystems.pypi.interpreter_choice import INTERPRETERS, Interpreter, NamedPython
from rebuilder.ecosystems.pypi.requirements import BuildSystem
from rebuilder.ecosystems.pypi.search import Candidate, Reached, try_candidates
from rebuilder.ecosystems.source_trees import Unpacked
from rebuilder.model.attempt import History, Hypothesis, plan
from rebuilder.model.definition import EnvironmentRef, Input, Limits, Role
from rebuilder.model.evidence import Obstacle, Source, SourceKind
from rebuilder.model.verdict import Verdict

FILE = Input(role=Role.SOURCE, name="x-1.tar.gz", sha256="0" * 64, path="/inputs/x-1.tar.gz")
CANDIDATE = Candidate("as-it-is", "As it is.", BuildConditions())
_NOTHING: Any = None


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


def test_what_auditwheel_is_told_is_counted() -> None:
    """Nothing of a file name is told to a build for free; an image that is for one platform says it itself."""
    for repair, bits in ((("--plat", "manylinux_2_28_x86_64"), [11]), ((), []), (None, [])):
        used = InImage(python="/usr/bin/python3", version="3.13", repair=repair)
        told = replayed(replace(inputs(INTERPRETERS[0]), in_image=used), BuildConditions())
        assert bits == [each.bits for each in told if each.name == "platform-tag"]


@pytest.mark.parametrize(("tools", "tried"), [(9, True), (10, False)])
def test_a_second_look_is_not_told_too_much(monkeypatch: pytest.MonkeyPatch, tools: int, tried: bool) -> None:
    """It would be refused, and a wheel that asks for it would have no other build, such as that of its metadata."""
    told = replace(
        inputs(INTERPRETERS[0]), as_python="3.9", chosen=tuple(held_tool(f"x {each}") for each in range(tools))
    )
    change = second_look._Change("held", "Held.", told, _NOTHING)
    monkeypatch.setattr(second_look, "_changes", lambda *_: [change])
    monkeypatch.setattr(second_look, "resolve_requirements", lambda _context, given, *_, **_more: (given, ()))
    published: Any = SimpleNamespace(
        tools=SimpleNamespace(requirements=_NOTHING, not_after=None), wheel=None, traces=None
    )
    attempt: Any = None
    context: Any = None
    found = second_look._changed_build(context, published, Reached(attempt, CANDIDATE, told, "About it."))
    assert tried is (found is not None)


@pytest.mark.parametrize(("named", "kept"), [("3.13", False), ("3.9", True), (None, False)])
def test_in_an_image_another_python_is_lacking(monkeypatch: pytest.MonkeyPatch, named: str | None, kept: bool) -> None:
    """That compiled files were made alike says nothing about what another Python wrote beside them."""
    interpreter = next(each for each in INTERPRETERS if each.python == "3.13")
    lacks = Obstacle(verdict=Verdict.UNSUPPORTED, sentence="Whose tools?")
    image = ImageBuild("own", interpreter, InImage(python="/usr/bin/python3", version="3.13"), None, lacks)
    case: Any = SimpleNamespace(
        source_file=SimpleNamespace(filename="x-1.tar.gz", sha256="0" * 64, url="https://index.example/x-1.tar.gz"),
        source=SimpleNamespace(top_directory="x-1"),
        tools=SimpleNamespace(requirements=SimpleNamespace(requirements=()), windows=None, not_after=None, system=None),
        evidence=SimpleNamespace(artifact=None),
        traces=SimpleNamespace(generator=None),
        **dict.fromkeys(("origin", "wheel", "setup_path", "uploaded")),
    )
    found = NamedPython(named, "It holds bytecode.") if named is not None else None
    monkeypatch.setattr(hypotheses, "named_python", lambda _: found)
    monkeypatch.setattr(hypotheses, "starting_inputs", lambda *_, **_more: inputs(interpreter))
    monkeypatch.setattr(hypotheses, "with_tools", lambda given, *_: (given, []))
    monkeypatch.setattr(hypotheses, "resolve_requirements", lambda _context, given, *_, **_more: (given, ()))
    monkeypatch.setattr(hypotheses, "with_what", lambda *_: "")
    context: Any = None
    given, _ = hypotheses._with_requirements(context, case, interpreter, image=image)
    assert given.lacks is not None
    assert kept is (given.lacks != lacks)
