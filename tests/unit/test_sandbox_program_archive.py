"""Families of sandbox programs, packed."""

from __future__ import annotations

import ast
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rebuilder.programs
from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.programs.command import BYTECODE
from rebuilder.programs.families import PROGRAMS
from rebuilder.sandbox.program_runner import pack, program_archive, program_input
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

PACKAGE = Path(rebuilder.programs.__file__).parent


def members(packed: bytes) -> set[str]:
    """Names in a zip application, below the package of the programs."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = {name for name in archive.namelist() if archive.read(name)}
    return {name.removeprefix("rebuilder/programs/") for name in names}


def needed(family: str) -> set[str]:
    """What a family's programs import, as Python's own parser sees it."""
    table = PROGRAMS[family]
    found: set[str] = set()
    waiting = [f"rebuilder.programs.{name}" for name in ("command", *table.values())]
    while waiting:
        path = f"{waiting.pop().removeprefix('rebuilder.programs.').partition(':')[0].replace('.', '/')}.py"
        if path in found or not (PACKAGE / path).is_file():
            continue
        found.add(path)
        for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                waiting += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("family", sorted(PROGRAMS))
def test_always_the_same_bytes(family: str) -> None:
    """Names in order, one time, one mode: the digest depends on the programs only."""
    packed = pack(PACKAGE, family)
    assert packed == pack(PACKAGE, family) == program_archive(family)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        infos = archive.infolist()
    assert sorted(member.filename for member in infos) == [member.filename for member in infos]
    assert {(1980, 1, 1, 0, 0, 0)} == {member.date_time for member in infos}
    assert {0o100644 << 16} == {member.external_attr for member in infos}


@pytest.mark.parametrize("family", sorted(PROGRAMS))
def test_what_the_programs_import_and_nothing_else(family: str) -> None:
    """Transitively; nothing else of the rebuilder, and nothing of a package itself."""
    assert needed(family) | {"__main__.py"} == members(program_archive(family))


def test_a_package_holds_nothing_but_what_it_is_for() -> None:
    """In a zip application they are empty."""
    packages = sorted(PACKAGE.rglob("__init__.py"))
    assert packages
    for path in packages:
        assert 1 == len(ast.parse(path.read_text()).body), path


@pytest.mark.parametrize(
    ("changed", "families"),
    [
        ("pypi/elsewhere.py", {"pypi"}),
        ("families.py", set()),
        ("compare/differences.py", {"compare"}),
        ("archive/finish_archive.py", {"archive"}),
        ("archive/unpack.py", {"pypi", "source"}),
        ("archive/__init__.py", set()),
        ("archive/reading.py", {"archive", "compare", "pypi", "source"}),
        ("command.py", {"archive", "compare", "pypi", "source"}),
        ("bytecode.py", {"archive", "compare", "pypi", "source"}),
    ],
)
def test_a_change_is_of_the_families_that_use_it(changed: str, families: set[str], tmp_path: Path) -> None:
    """The definition of a wheel's build stays the same when a program changes that it does not run."""
    copy = tmp_path / "programs"
    shutil.copytree(PACKAGE, copy)
    asked = ("archive", "compare", "pypi", "source")
    before = {family: pack(copy, family) for family in asked}
    with (copy / changed).open("a") as file:
        file.write("\n# changed\n")
    assert families == {family for family in asked if pack(copy, family) != before[family]}


@pytest.mark.parametrize("family", sorted(PROGRAMS))
def test_can_be_run(family: str, tmp_path: Path) -> None:
    """Each program, with a Python and nothing else."""
    file = tmp_path / f"{family}.pyz"
    file.write_bytes(program_archive(family))
    table = PROGRAMS[family]

    def ran(program: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", str(file), program, "--help"]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert table
    for program in table:
        assert (0, "") == (ran(program).returncode, ran(program).stderr), program
    unknown = ran("no-such-program")
    assert (64, True) == (unknown.returncode, "must be named" in unknown.stderr)


@pytest.mark.parametrize("family", sorted(PROGRAMS))
def test_its_byte_code(family: str, tmp_path: Path) -> None:
    """The same bytes each time, with every module; what lies beside an application is what its modules come from."""
    file = tmp_path / f"{family}.pyz"
    file.write_bytes(program_archive(family))

    def run(*words: str | Path) -> str:
        command = [sys.executable, "-s", "-S", str(file), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    for name in ("one", "two"):
        run("bytecode", "--application", file, "--out", tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with zipfile.ZipFile(tmp_path / "one") as made, zipfile.ZipFile(file) as application:
        sources = {name for name in application.namelist() if name != "__main__.py"}
        assert sources | {f"{name}c" for name in sources} == set(made.namelist())
        assert all(made.read(name) == application.read(name) for name in sources)
        program = "rebuilder/programs/command.py"
        other = {each: made.read(each) for each in made.namelist() if not each.startswith(program)}
    with zipfile.ZipFile(f"{file}{BYTECODE}", "w") as beside:
        for name, content in other.items():
            beside.writestr(name, content)
        beside.writestr(program, f"BYTECODE = {BYTECODE!r}\ndef run(*_):\n    print('from beside')\n")
    assert "from beside\n" == run()


def test_is_an_input() -> None:
    """Stored as a blob, at its fixed path."""
    blobs = MemoryBlobs()
    entry = program_input(blobs, "compare")
    assert (Role.PROGRAM, "compare.pyz", "/tools/compare.pyz") == (entry.role, entry.name, entry.path)
    assert program_archive("compare") == blobs.read(entry.sha256)


def test_definitions_of_the_first_version_are_the_same_build() -> None:
    """Their programs are one application at another path; role, path and digest are read and written as they were."""
    old = reports.definition(reports.artifact()).slsa
    (program,) = (each for each in old["resolvedDependencies"] if each["annotations"]["role"] == "guest-program")
    program |= {"name": "guest.pyz", "annotations": {"role": "guest-program", "path": "/tools/guest.pyz"}}
    read = BuildDefinition.from_slsa(old)
    assert Role.PROGRAM in {each.role for each in read.inputs}
    assert old == read.slsa
