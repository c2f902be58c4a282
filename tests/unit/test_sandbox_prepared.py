"""Which definitions are run from what was made before, and what that depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.attempt import Limit
from rebuilder.model.definition import BuildDefinition, Input, Role
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256
from rebuilder.sandbox import prepared
from rebuilder.sandbox.prepared import COMMANDS, VENV, Prepared
from rebuilder.store.kept_files import KeptFiles
from tests.fakes import sandbox
from tests.fakes.clock import FixedClock
from tests.fakes.sandbox import FakeSandbox, Script

BUILD = ("/build/env/bin/python", "/tools/pypi.pyz", "build_wheel")
NAME = "virtual-environment.tar"


class Everything(dict[Any, Script]):
    """Scripts that give the same for all commands but those of a program's byte code."""

    def __init__(self, script: Script, bytecode: Script) -> None:
        super().__init__()
        self.script, self.bytecode = script, bytecode

    def __missing__(self, commands: tuple[tuple[str, ...], ...]) -> Script:
        return self.bytecode if "bytecode" in commands[0] else self.script


def environment(root: Path) -> BuildEnvironment:
    """A build environment that is only handed on."""
    summary = EnvironmentSummary(name="trixie", sha256="ab" * 32, packages=())
    return BuildEnvironment(name="trixie", sha256=Sha256("ab" * 32), root=root, summary=summary)


class Room:
    """A sandbox that gives one archive, and what is kept of it."""

    def __init__(
        self,
        root: Path,
        script: Script = Script(outputs={NAME: b"tree"}),  # noqa: B008
        *,
        bytecode: Script = Script(exit_code=64),  # noqa: B008
        most_bytes: int = 1 << 20,
    ) -> None:
        self.root = root
        self.kept = KeptFiles(root / "kept", most_bytes=most_bytes)
        self.sandbox = FakeSandbox(self.kept.blobs, FixedClock(), Everything(script, bytecode))
        self.prepared = Prepared(self.sandbox, self.kept)

    def input(self, path: str, content: bytes = b"x", role: Role = Role.BUILD_DEPENDENCY, **fields: Any) -> Input:
        """An input that there is a file for."""
        sha256 = self.kept.blobs.put(content)
        return Input(role=role, name=path.rpartition("/")[2], sha256=sha256, path=path, **fields)

    def definition(self, *commands: tuple[str, ...], wheel: bytes = b"wheel", **changes: Any) -> BuildDefinition:
        """A build that installs one wheel."""
        inputs = (
            self.input("/tools/pypi.pyz", b"programs", Role.PROGRAM),
            self.input(prepared.UV, b"uv", Role.BUILD_TOOL, executable=True),
            self.input("/inputs/x-1.tar.gz", b"source", Role.SOURCE),
            self.input(prepared.REQUIREMENTS, b"list of " + wheel, Role.PARAMETERS),
            self.input(f"{prepared.WHEELS}/a-1-py3-none-any.whl", wheel, uri="https://index.example/a"),
        )
        changes.setdefault("inputs", inputs)
        return sandbox.definition(*(commands or (*COMMANDS, ("unpack",), BUILD)), **changes)

    def taken(self, definition: BuildDefinition) -> tuple[BuildDefinition, Mapping[str, Path]]:
        """What is run instead of it."""
        inputs = {each.path: self.kept.blobs.path(each.sha256) for each in definition.inputs}
        return self.prepared.taken(definition, environment(self.root), inputs)


def environments(room: Room) -> list[BuildDefinition]:
    """Runs that made a virtual environment."""
    return [ran for ran, _, _ in room.sandbox.ran if ran.targets == (NAME,)]


def test_made_once_and_taken_then(tmp_path: Path) -> None:
    """The rest of the definition stays; by another process too, nothing is made again."""
    room = Room(tmp_path)
    asked = room.definition()
    run, inputs = room.taken(asked)
    assert 1 == len(environments(room))
    assert (f"/inputs/{NAME}" in run.commands[0][-1], asked.commands[len(COMMANDS) :]) == (True, run.commands[1:])
    assert (*asked.inputs, run.inputs[-1]) == run.inputs
    assert (f"/inputs/{NAME}", b"tree") == (run.inputs[-1].path, inputs[run.inputs[-1].path].read_bytes())
    assert {each.path for each in run.inputs} == set(inputs)
    other = Prepared(room.sandbox, KeptFiles(tmp_path / "kept", most_bytes=1 << 20))
    assert run == other.taken(asked, environment(tmp_path), {each.path: tmp_path for each in asked.inputs})[0]
    assert 1 == len(environments(room))


def test_nothing_of_the_build_is_seen_while_it_is_made(tmp_path: Path) -> None:
    """Not the source, not our programs, no variable: uv, the wheels and their list alone."""
    room = Room(tmp_path)
    room.taken(room.definition(environment={"SOURCE_DATE_EPOCH": "1", "UV_INDEX": "x", "PATH": "/"}, hostname="h"))
    (made,) = environments(room)
    assert {prepared.UV, prepared.REQUIREMENTS, f"{prepared.WHEELS}/a-1-py3-none-any.whl"} == {
        each.path for each in made.inputs
    }
    assert COMMANDS[:3] == made.commands[:3]
    assert not {"SOURCE_DATE_EPOCH", "UV_INDEX"} & set(made.environment)
    assert all(command[:2] == ("/usr/bin/env", "-i") for command in COMMANDS)


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": {"SOURCE_DATE_EPOCH": "7", "PYTHONHASHSEED": "9", "PATH": "/usr/bin"}},
        {"purl": "pkg:pypi/other@2", "filename": "other"},
        {"sandbox": "uml", "hostname": "elsewhere"},
    ],
    ids=["variables", "another release", "another sandbox"],
)
def test_what_it_does_not_depend_on(changes: dict[str, Any], tmp_path: Path) -> None:
    """Another build with the same wheels takes the same."""
    room = Room(tmp_path)
    first, second = room.taken(room.definition())[0], room.taken(room.definition(**changes))[0]
    assert 1 == len(environments(room))
    assert first.inputs[-1] == second.inputs[-1]


def test_what_it_depends_on(tmp_path: Path) -> None:
    """Another wheel or list, another umask and another build environment never take what was made for one."""
    room = Room(tmp_path)
    toolchain = room.definition().toolchain.replace(sha256="cd" * 32)
    for changes in ({}, {"wheel": b"evil"}, {"umask": "0002"}, {"toolchain": toolchain}):
        room.taken(room.definition(**changes))
    assert 4 == len(environments(room)) == len({each.digest for each in environments(room)})
    fewer = room.definition()
    room.taken(fewer.replace(inputs=fewer.inputs[:-1]))
    assert 5 == len(environments(room))


def test_other_commands_run_as_they_are_written(tmp_path: Path) -> None:
    """One word more or less, another order, or anything before them: nothing is taken."""
    room = Room(tmp_path)
    first, *others = COMMANDS
    for commands in (
        (("unpack",), *COMMANDS, BUILD),
        (VENV, BUILD),
        ((*first, "--seed"), *others, BUILD),
        (*others, first, BUILD),
        (*COMMANDS[:-1], BUILD),
    ):
        asked = room.definition(*commands)
        assert asked == room.taken(asked)[0]
    assert [] == environments(room)


@pytest.mark.parametrize(
    "script",
    [
        Script(exit_code=1),
        Script(limit=Limit.OUTPUT),
        Script(),
        Script(outputs={NAME: b"tree", "other": b"x"}),
        Script(outputs={NAME: b"x" * (1 << 18)}),
    ],
    ids=["failed", "limit", "nothing", "two files", "too large"],
)
def test_what_cannot_be_made_is_done_without(script: Script, tmp_path: Path) -> None:
    """The definition runs as it is written, and the log of that says why; it is tried once."""
    room = Room(tmp_path, script)
    asked = room.definition()
    assert asked == room.taken(asked)[0] == room.taken(asked)[0]
    assert 1 == len(environments(room))


def test_nothing_is_kept_where_nothing_may_be(tmp_path: Path) -> None:
    """With a limit of 0 bytes every definition runs as it is written."""
    room = Room(tmp_path, most_bytes=0, bytecode=Script(outputs={"pypi.pyz.bytecode": b"code"}))
    asked = room.definition()
    assert (asked, []) == (room.taken(asked)[0], room.sandbox.ran)


def test_byte_code_lies_beside_its_application(tmp_path: Path) -> None:
    """Made from the application alone, for the Python of that build environment."""
    room = Room(tmp_path, bytecode=Script(outputs={"pypi.pyz.bytecode": b"code"}))
    asked = room.definition(("/usr/bin/python3", "-I", "-S", "/tools/pypi.pyz", "unpack"))
    run, inputs = room.taken(asked)
    ((made, _, seen),) = room.sandbox.ran
    assert ({"/tools/pypi.pyz"}, asked.toolchain) == (set(seen), made.toolchain)
    assert (asked.commands, (*asked.inputs, run.inputs[-1])) == (run.commands, run.inputs)
    assert b"code" == inputs["/tools/pypi.pyz.bytecode"].read_bytes()


def test_what_a_definition_names_itself_is_what_it_gets(tmp_path: Path) -> None:
    """Nothing of ours takes the place of an input."""
    room = Room(tmp_path, bytecode=Script(outputs={"pypi.pyz.bytecode": b"code"}))
    own = [room.input(path, b"own", Role.PARAMETERS) for path in (f"/inputs/{NAME}", "/tools/pypi.pyz.bytecode")]
    asked = room.definition()
    asked = asked.replace(inputs=(*asked.inputs, *own))
    run, inputs = room.taken(asked)
    assert (asked, []) == (run, room.sandbox.ran)
    assert {b"own"} == {inputs[each.path].read_bytes() for each in own}
