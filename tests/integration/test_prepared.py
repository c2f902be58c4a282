"""Virtual environments that are made once: a build finds what the listed commands leave, whoever was there first."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.uv_tool import uv_input
from rebuilder.errors import CorruptStoreError
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.prepared import COMMANDS, REQUIREMENTS, WHEELS, Prepared
from rebuilder.sandbox.program_runner import program_input
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.kept_files import KeptFiles
from tests.fakes.clock import FixedClock
from tests.fakes.projects import Distribution, make_wheel

LIST = """
import hashlib, json, os
found = []
for top, names, files in os.walk("/build"):
    listed = os.listdir(top)
    for name in listed:
        path = os.path.join(top, name)
        status = os.lstat(path)
        content = os.readlink(path) if os.path.islink(path) else ""
        if os.path.isfile(path) and not content and os.access(path, os.R_OK):
            with open(path, "rb") as file:
                content = hashlib.sha256(file.read()).hexdigest()
        links = 1 if os.path.isdir(path) else status.st_nlink
        found.append([path, oct(status.st_mode), status.st_uid, links, status.st_size, content])
with open("/out/answer", "w") as file:
    json.dump(found, file)
"""
"""Everything below /build in the order in which directories list it, but times."""
HOSTILE_PTH = "import os; os.path.isdir('/build/env') and open('/build/env/ran', 'a').close()\n"


def _version(wheel: Distribution) -> str:
    return wheel.filename.split("-")[1]


class Harness:
    """A sandbox on one build environment, with and without what is kept."""

    def __init__(self, environments: EnvironmentStore, place: Path, toolchain: str = "trixie") -> None:
        self.place = place
        self.blobs = DiskBlobs(place / "blobs")
        self.kept = KeptFiles(place / "kept")
        self.sandbox = BubblewrapSandbox(self.blobs, FixedClock(), scratch=place / "scratch")
        self.toolchain = EnvironmentRef(name=toolchain, sha256=environments.get(toolchain).sha256)
        sandboxes, prepared = (
            {self.sandbox.kind: self.sandbox},
            Prepared(self.sandbox.storing(self.kept.blobs), self.kept),
        )
        self.plain = LocalRunner(sandboxes, environments, self.blobs)
        self.run = LocalRunner(sandboxes, environments, self.blobs, prepared)

    def definition(
        self, *commands: tuple[str, ...], wheels: tuple[Distribution, ...], **changes: Any
    ) -> BuildDefinition:
        """Install some wheels, and run commands then."""
        pins = "".join(f"{each.project}=={_version(each)} --hash=sha256:{each.sha256}\n" for each in wheels)
        listed = self.blobs.put(pins.encode())
        fields: dict[str, Any] = {
            "build_type": "urn:example:build",
            "purl": "pkg:pypi/x@1",
            "targets": ("x",),
            "inputs": (
                program_input(self.blobs, "pypi"),
                uv_input(self.blobs, self.place / "cache"),
                Input(role=Role.PARAMETERS, name="requirements.txt", sha256=listed, path=REQUIREMENTS),
                *(
                    Input(
                        role=Role.BUILD_DEPENDENCY,
                        name=each.project,
                        sha256=self.blobs.put(each.data),
                        path=f"{WHEELS}/{each.filename}",
                    )
                    for each in wheels
                ),
            ),
            "toolchain": self.toolchain,
            "commands": (*COMMANDS, *commands),
            "environment": {"PATH": "/build/env/bin:/usr/bin:/bin", "SOURCE_DATE_EPOCH": "1700000000"},
        }
        return BuildDefinition.model_validate(fields | changes)

    def ask(self, run: LocalRunner, program: str, *wheels: Distribution, **changes: Any) -> Any:
        """Run a Python program in the virtual environment; gives what it wrote."""
        ran = run(self.definition(("/build/env/bin/python", "-I", "-c", program), wheels=wheels, **changes))
        return json.loads(self.blobs.read(self.completed(ran).outputs[0].sha256))

    def completed(self, run: Run) -> Run:
        """The same run, which came to its end."""
        assert Outcome.COMPLETED == run.outcome, self.blobs.read(run.log_sha256).decode()
        return run

    def archives(self) -> list[Path]:
        """What is kept of virtual environments."""
        return [file for file in (self.place / "kept" / "files").glob("??/*") if tarfile.is_tarfile(file)]


@pytest.fixture
def harness(environments: EnvironmentStore, tmp_path: Path) -> Iterator[Harness]:
    """One for each test: what is kept is what that test made."""
    made = Harness(environments, tmp_path)
    yield made
    made.sandbox.close()


def wheels() -> tuple[Distribution, ...]:
    """Two, one with modules for another Python, data, a command and an empty file."""
    first = {
        "one/__init__.py": "NAME = 'one'\n",
        "one/old.py": "print 'Python 2'\n",
        "one/data/x.bin": "\0\1",
        "one-1.0.data/scripts/tool": "#!python\nprint('tool')\n",
    }
    return make_wheel("one", "1.0", first), make_wheel("two", "2.0", {"two.py": "import one\n", "zeta/__init__.py": ""})


@pytest.mark.parametrize("umask", ["0022", "0002"])
def test_a_build_finds_what_the_commands_leave(harness: Harness, umask: str) -> None:
    """Names, modes, contents, links and the order of directories; the first time, later, and as it is written."""
    listings = [harness.ask(run, LIST, *wheels(), umask=umask) for run in (harness.plain, harness.run, harness.run)]
    assert listings[0] == listings[1] == listings[2]
    paths = [each[0] for each in listings[0]]
    assert 1 == sum(path.endswith("/one/__pycache__/__init__.cpython-313.pyc") for path in paths)
    assert [] == [path for path in paths if "/old." in path and path.endswith(".pyc")]
    assert [] == [path for path in paths if path.startswith(("/build/uv", "/build/env.tar"))]
    assert 1 == len(harness.archives())


def test_the_log_tells_which_was_done(harness: Harness) -> None:
    """Taken from what is kept, or made by the commands."""
    asked = harness.definition(("/usr/bin/true",), wheels=wheels())
    logs = [
        harness.blobs.read(harness.completed(run(asked)).log_sha256).decode() for run in (harness.run, harness.plain)
    ]
    assert [True, False] == ["/inputs/virtual-environment.tar" in log for log in logs]
    assert [False, True] == ["/tools/uv" in log for log in logs]


def test_a_build_cannot_write_into_what_is_kept(harness: Harness) -> None:
    """Its copy is its own: the next build finds what the first found. The archive itself is read-only."""
    before = harness.ask(harness.run, LIST, *wheels())
    attack = """
import glob, json, os, shutil
for path in glob.glob("/build/env/lib/python3*/site-packages/one/**/*.py*", recursive=True):
    if os.path.isfile(path):
        open(path, "w").write("raise SystemExit(66)")
open(glob.glob("/build/env/lib/python3*/site-packages")[0] + "/evil.pth", "w").write("import evil")
refused = []
for name in ("/inputs/virtual-environment.tar", "/tools/pypi.pyz.bytecode", "/inputs/new"):
    for act in (
        lambda: open(name, "r+b"),
        lambda: open(name, "ab"),
        lambda: os.unlink(name),
        lambda: os.chmod(name, 0o666),
        lambda: os.rename("/build/env/pyvenv.cfg", name),
        lambda: os.symlink("/build", name),
    ):
        try:
            act()
        except OSError:
            refused.append(name)
json.dump(refused, open("/out/answer", "w"))
"""
    assert 18 == len(harness.ask(harness.run, attack, *wheels()))
    assert before == harness.ask(harness.run, LIST, *wheels())


def test_no_code_of_a_wheel_runs_while_one_is_made(harness: Harness) -> None:
    """Neither a .pth file nor sitecustomize, nor a module that is compiled; in a build they run as everywhere."""
    hostile = make_wheel(
        "hostile",
        "1.0",
        {
            "hostile.pth": HOSTILE_PTH,
            "sitecustomize.py": HOSTILE_PTH,
            "compileall.py": HOSTILE_PTH,
            "encodings/__init__.py": HOSTILE_PTH,
            "_virtualenv.py": HOSTILE_PTH,
        },
    )
    look = "import json, os; json.dump(sorted(os.listdir('/build/env')), open('/out/answer', 'w'))"
    assert "ran" in harness.ask(harness.run, look, hostile)
    (archive,) = harness.archives()
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    assert ("env/ran" in names, "env/pyvenv.cfg" in names) == (False, True)


def test_a_list_of_other_wheels_gets_its_own(harness: Harness) -> None:
    """The same name and version with other content, a wheel more, and a wrong digest in the list."""
    asked = "import json, one; json.dump(one.NAME, open('/out/answer', 'w'))"
    one, two = wheels()
    assert "one" == harness.ask(harness.run, asked, one, two)
    other = make_wheel("one", "1.0", {"one/__init__.py": "NAME = 'another'\n"})
    assert "another" == harness.ask(harness.run, asked, other, two)
    assert "one" == harness.ask(harness.run, asked, one)
    listed = harness.definition(("/usr/bin/true",), wheels=(one,))
    swapped = harness.definition(("/usr/bin/true",), wheels=(other,))
    mixed = listed.replace(inputs=(*listed.inputs[:-1], swapped.inputs[-1]))
    refused = harness.run(mixed)
    assert (Outcome.BUILD_FAILED, True) == (refused.outcome, b"ash" in harness.blobs.read(refused.log_sha256))
    assert 3 == len(harness.archives())


def test_a_changed_copy_is_found(harness: Harness, environments: EnvironmentStore) -> None:
    """By this process and another one; nothing is built with it, and it is made again then."""
    before = harness.ask(harness.run, LIST, *wheels())
    (archive,) = harness.archives()
    buffer = io.BytesIO()
    with tarfile.open(archive) as opened, tarfile.open(fileobj=buffer, mode="w") as written:
        for member in opened:
            content = opened.extractfile(member) if member.isfile() else None
            member.mode = 0o777 if member.isfile() else member.mode
            written.addfile(member, content)
    archive.chmod(0o644)
    archive.write_bytes(buffer.getvalue())
    archive.chmod(0o444)
    with pytest.raises(CorruptStoreError, match="is damaged"):
        harness.ask(harness.run, LIST, *wheels())
    assert before == harness.ask(harness.run, LIST, *wheels())
    again = Harness(environments, harness.place)
    try:
        (archive,) = harness.archives()
        archive.chmod(0o644)
        archive.write_bytes(buffer.getvalue())
        with pytest.raises(CorruptStoreError, match="is damaged"):
            again.ask(again.run, LIST, *wheels())
    finally:
        again.sandbox.close()


@pytest.mark.parametrize("toolchain", ["bullseye", "bookworm", "trixie", "forky"])
def test_made_again_it_is_the_same(environments: EnvironmentStore, tmp_path: Path, toolchain: str) -> None:
    """Byte for byte, on each Python, and so is the byte code of our programs."""
    digests = []
    for name in ("one", "two"):
        made = Harness(environments, tmp_path / name, toolchain)
        try:
            unpack = ("/usr/bin/python3", "-I", "-S", "/tools/pypi.pyz", "unpack", "--help")
            made.completed(made.run(made.definition(unpack, wheels=wheels())))
            digests.append({note.name: note.read_text() for note in (tmp_path / name / "kept" / "keys").iterdir()})
        finally:
            made.sandbox.close()
    assert (digests[0], 2) == (digests[1], len(digests[0]))


def test_byte_code_of_programs_is_used(harness: Harness) -> None:
    """Modules come from beside the application, and are not compiled again."""
    program = "/tools/pypi.pyz"
    asked = ("/usr/bin/python3", "-I", "-S", "-vv", program, "unpack", "--help")
    run = harness.completed(harness.run(harness.definition(asked, wheels=wheels())))
    log = harness.blobs.read(run.log_sha256).decode()
    assert f"{program}.bytecode/rebuilder/programs/archive/unpack.pyc" in log
    assert f"loaded from Zip {program}/rebuilder" not in log
