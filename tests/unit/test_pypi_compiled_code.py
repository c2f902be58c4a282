"""Which compiler a wheel's code asks for, what of its words reaches a build, and what comes of comparing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi import compiled_code
from rebuilder.ecosystems.pypi.compiled_code import compiled_here
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.interpreter_choice import Interpreter
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import (
    BuildEnvironmentError,
    CorruptEnvironmentError,
    RebuilderError,
    SandboxFaultError,
    SandboxUnavailableError,
    StoreError,
)
from rebuilder.model.accounting import Accounting, Content, How, MemberAccount
from rebuilder.model.attempt import Outcome, Output, Run
from rebuilder.model.binary import (
    BinaryFacts,
    BinaryFormat,
    BinaryImage,
    CodeComparison,
    Compiler,
    Section,
    Vendored,
)
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.model.environment import Manifest
from rebuilder.model.evidence import Inspection, Member, MemberKind
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from tests.fakes import reports
from tests.fakes.pypi import run

if TYPE_CHECKING:
    from rebuilder.environments.protocol import Environments
    from rebuilder.sandbox.protocol import Runner

NAME = "sample-1.0-cp39-cp39-manylinux_2_17_x86_64.whl"
FLAGS = ("-mtune=generic", "-march=x86-64", "-g", "-O3", "-fwrapv", "-fPIC")


def gcc(version: str, *flags: str, where: str = "DW_AT_producer") -> Compiler:
    """A GCC that names itself."""
    return Compiler(name="GCC", version=version, evidence=f"GNU C17 {version}", where=where, flags=flags)


def member(
    *compilers: Compiler, path: str = "p/a.so", vendored: bool = False, architecture: str = "x86_64"
) -> MemberAccount:
    """A compiled member."""
    made = BinaryImage(architecture=architecture, kind="shared library", compilers=compilers)
    brought = Vendored(tool="auditwheel", original="a.so") if vendored else None
    return MemberAccount(
        path=path,
        sha256=Sha256("0" * 64),
        size=9,
        kind=Content.COMPILED,
        how=How.NOT_COMPILED,
        binary=BinaryFacts(format=BinaryFormat.ELF, images=(made,), vendored=brought),
    )


class House:
    """A context whose parts are as a test says, and what was run there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **environments: tuple[str, str]) -> None:
        self.known = environments
        self.maker: Any = None
        self.outcome = Outcome.COMPLETED
        self.outputs: tuple[Output, ...] = (
            Output(filename="sample-1.0-cp39-cp39-linux_x86_64.whl", sha256=reports.sha("w"), size=1),
        )
        self.found: dict[str, CodeComparison] | None = {}
        self.obstacle: NotRebuildable | None = None
        self.compilers: tuple[Manifest, ...] = ()
        self.asked: list[str] = []
        monkeypatch.setattr(compiled_code, "build_in", self.build_in)
        monkeypatch.setattr(compiled_code, "_definition", self.definition)
        monkeypatch.setattr(compiled_code, "compare_compiled", lambda *_args, **_named: self.found)
        self.subject = reports.artifact(filename=NAME)

    def get(self, name: str) -> BuildEnvironment:
        """An environment with a Python and a GCC."""
        self.asked.append(name)
        if name not in self.known:
            raise BuildEnvironmentError(f"The build environment {name} cannot be made: the disk is full.")
        python, package = self.known[name]
        summary = EnvironmentSummary(name=name, sha256="1" * 64, packages=("bash 5.1-2", package))
        return BuildEnvironment(
            name=name, sha256=Sha256("1" * 64), root=Path("/"), provides={"python": python}, summary=summary
        )

    def build_in(self, _context: Any, _evidence: Any, interpreter: Interpreter) -> str:
        """The environment, in the place of what a build takes."""
        if self.obstacle is not None:
            raise self.obstacle
        return interpreter.environment

    def run(self, _definition: BuildDefinition) -> Run:
        """What the compiler leaves."""
        return run(self.outcome, *self.outputs)

    def definition(self, environment: str, maker: Any) -> BuildDefinition:
        """Some definition; remembers what asked for it."""
        self.maker = maker
        known = EnvironmentRef(name=environment, sha256=Sha256("1" * 64))
        return reports.definition(self.subject, environment={"IN": environment}).replace(toolchain=known)

    def compiled(self, *members: MemberAccount, source: tuple[str, ...] = ()) -> Accounting:
        """What comes of members of a wheel, and a source archive with files of these names."""
        unused: Any = dict.fromkeys(("fetcher", "blobs", "programs", "resolver", "uv_input", "memo"))
        context = PlanningContext(
            compilers=self.compilers or tuple(manifest(name, found[0]) for name, found in self.known.items()),
            environments=cast("Environments", self),
            run=cast("Runner", self.run),
            **unused,
        )
        listed = tuple(Member(name=each, kind=MemberKind.FILE, size=1, mtime="2026-01-01T00:00:00") for each in source)
        inspection = Inspection(format="tar", readable=True, members=listed)
        evidence = reports.report(self.subject).evidence.replace(source_inspection=inspection)
        accounting = Accounting(source_sha256=reports.sha("s"), members=members)
        return compiled_here(context, evidence, accounting)


def manifest(name: str, python: str | None = None, gcc: str | None = None) -> Manifest:
    """An environment of the settings, or one of the catalog, which says what it has."""
    provides = {key: value for key, value in {"python": python, "gcc": gcc}.items() if value is not None}
    return Manifest(name=name, suite="trixie", packages=(), provides=provides)


GCC10 = {"gcc10": ("3.9", "gcc-10 10.2.1-6")}


def test_the_same_bytes_settle_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal functions are a sentence; equal bytes are what a member is accounted for with."""
    house = House(monkeypatch, **GCC10)
    paths = ("p/a.so", "p/b.so", "p/c.so")
    house.found = {
        "p/a.so": CodeComparison(rebuilt_sha256="0" * 64),
        "p/b.so": CodeComparison(rebuilt_sha256="5" * 64, functions=3, functions_equal=3),
    }
    found = house.compiled(*(member(gcc("10.2.1", *FLAGS), path=path) for path in paths))
    assert [How.COMPILED_EQUAL, How.COMPILED_DIFFERENT, How.NOT_COMPILED] == [each.how for each in found.members]
    assert "3 of 3 functions" in (found.members[1].detail or "")
    assert ("10.2", "3.9", FLAGS) == (house.maker.gcc, house.maker.python, house.maker.flags)
    assert found.compiled is not None
    assert {"IN": "gcc10"} == found.compiled.definition.environment


def test_only_the_same_release_of_the_compiler_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another minor version, or another Python, nothing is compiled and nothing is published."""
    environments = {
        "newer": ("3.9", "gcc-12 12.2.0-14"),
        "minor": ("3.9", "gcc-10 10.3.1-6"),
        "python": ("3.11", "gcc-10 10.2.1-6"),
        "none": ("3.9", "gcc-10-base 10.2.1-6"),
    }
    found = House(monkeypatch, **environments).compiled(member(gcc("10.2.1")))
    assert (None, How.NOT_COMPILED, None) == (found.compiled, found.members[0].how, found.members[0].recompiled)
    assert "No build environment here has both" in found.remarks[0]
    found = House(monkeypatch, **environments, **GCC10).compiled(member(gcc("10.2.1")))
    assert found.compiled is not None


def test_debugging_information_counts_before_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of the C library name an older GCC; of comments the newest counts."""
    house = House(monkeypatch, **GCC10)
    comments = (gcc("4.8.5", where=".comment"), gcc("10.2.1", where=".comment"), gcc("9.3.0", where=".comment"))
    assert house.compiled(member(*comments)).compiled is not None
    house.compiled(member(gcc("10.2.1", "-O1"), gcc("14.2.1", where=".comment")))
    assert ("10.2", ("-O1",)) == (house.maker.gcc, house.maker.flags)


@pytest.mark.parametrize(
    "odd",
    [
        member(gcc("10.2.1"), architecture="aarch64"),
        member(gcc("10.2.1"), vendored=True),
        member(Compiler(name="clang", version="10.2.1", evidence="clang", where=".comment")),
        member(gcc("10.2.1")).replace(binary=None),
        member(gcc("10.2.1")).replace(how=How.UNEXPLAINED, accuses=True),
    ],
)
def test_what_is_not_compiled_here(odd: MemberAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processors, compilers and origins, what nobody looked into, and what nothing accounts for."""
    found = House(monkeypatch, **GCC10).compiled(odd)
    assert ((odd,), None, ()) == (found.members, found.compiled, found.remarks)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (("s/Cargo.toml", "s/Cargo.lock"), "Cargo.lock names are not in"),
        (("s/Cargo.toml", "s/Cargo.lock", "s/v/a/.cargo-checksum.json"), "has that rustc"),
        (("s/Cargo.toml",), "nor a Cargo.lock"),
        (("s/setup.py",), "has no Cargo.toml"),
    ],
)
def test_what_keeps_rust_from_being_compiled(
    source: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside code of GCC, which every extension has some of."""
    rust = member(Compiler(name="rustc", version="1.83.0", evidence="rustc", where=".comment"), gcc("10.2.1"))
    found = House(monkeypatch, **GCC10).compiled(rust, source=source)
    assert ((rust,), None, 1) == (found.members, found.compiled, len(found.remarks))
    assert "rustc 1.83.0" in found.remarks[0]
    assert why in found.remarks[0]


def test_without_an_environment_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said: nobody asked for it."""
    assert () == House(monkeypatch).compiled(member(gcc("10.2.1"))).remarks


def test_builds_that_do_not_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that cannot be planned, fails or leaves no wheel is a remark and no difference."""
    house = House(monkeypatch, **GCC10)
    house.found = {"p/a.so": CodeComparison(rebuilt_sha256="5" * 64)}
    house.outputs = ()
    for outcome in (Outcome.BUILD_FAILED, Outcome.TIMED_OUT, Outcome.COMPLETED):
        house.outcome = outcome
        found = house.compiled(member(gcc("10.2.1")))
        assert (How.NOT_COMPILED, 1) == (found.members[0].how, len(found.remarks))
    house.outputs, house.found = (Output(filename="s.whl", sha256=reports.sha("w"), size=1),), None
    assert "comparing it did not" in house.compiled(member(gcc("10.2.1"))).remarks[0]
    house.obstacle = NotRebuildable(Verdict.INPUTS_MISSING, "There is no backend.")
    found = house.compiled(member(gcc("10.2.1")))
    assert found.compiled is None
    assert found.remarks[0].endswith("There is no backend.")


def test_a_source_that_asks_for_its_own_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build could copy the published file, and a report with it is not signed: nobody would be warned of the rest."""
    house = House(monkeypatch, **GCC10)
    itself = Input(role=Role.BUILD_DEPENDENCY, name="sample", sha256=house.subject.sha256, path=f"/inputs/{NAME}")
    definition = reports.definition(house.subject)
    monkeypatch.setattr(compiled_code, "_definition", lambda *_: definition.replace(inputs=(itself,)))
    found = house.compiled(member(gcc("10.2.1")))
    assert (None, 1) == (found.compiled, len(found.remarks))


@pytest.mark.parametrize("error", [SandboxFaultError, SandboxUnavailableError, StoreError, BuildEnvironmentError])
@pytest.mark.parametrize("where", ["run", "compare_compiled", "get"])
def test_what_fails_here_costs_no_verdict(
    monkeypatch: pytest.MonkeyPatch, error: type[RebuilderError], where: str
) -> None:
    """A full disk, a sandbox that a compiler broke, an archive that is away: a sentence without places of ours."""
    house = House(monkeypatch, **GCC10)

    def fails(*_: object, **_named: object) -> Any:
        raise error("No space is left (/srv/private/trees/making).")

    def modified(*_: object, **_named: object) -> Any:
        raise CorruptEnvironmentError("It was modified.")

    place: Any = compiled_code if where == "compare_compiled" else house
    monkeypatch.setattr(place, where, fails)
    found = house.compiled(member(gcc("10.2.1")))
    assert [How.NOT_COMPILED] == [each.how for each in found.members]
    [remark] = found.remarks
    assert "No space is left (…)." in remark
    monkeypatch.setattr(place, where, modified)
    with pytest.raises(CorruptEnvironmentError):
        house.compiled(member(gcc("10.2.1")))


EVIL = (
    "-include/etc/passwd",
    "-DX=1",
    "-fplugin=/x.so",
    "-specs=x",
    "-Wl,-z",
    "-O3;id",
    "-march=native",
    "-fcf-protection=message",
    "$(id)",
    "-o",
)


def test_options_are_of_a_closed_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stranger wrote into debugging information reaches no compiler unless it is one of a few words."""
    house = House(monkeypatch, **GCC10)
    house.compiled(member(gcc("10.2.1", *EVIL, *FLAGS)))
    assert FLAGS == house.maker.flags
    other = member(gcc("10.2.1", "-g", "-O2", "-fPIC"), path="p/b.so")
    house.compiled(member(gcc("10.2.1", *FLAGS)), other)
    assert ("-g", "-fPIC") == house.maker.flags


def test_an_order_of_options_is_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says many of them could say with their order what a source archive is to be deciphered with."""
    house = House(monkeypatch, **GCC10)
    many = tuple(f"-f{each}" for each in ("PIC", "pic", "wrapv", "no-plt", "exceptions", "fast-math", "data-sections"))
    many += ("-O0", "-O1", "-O2", "-O3", "-Os", "-Og", "-g", "-msse2", "-msse3", "-msse4", "-mtune=generic")
    house.compiled(member(gcc("10.2.1", *many)))
    assert 12 == len(house.maker.flags)


def test_what_debian_adds_is_taken_back() -> None:
    """Unless the published file was compiled with it, or says nothing of its options."""
    options = compiled_code._options(("-O3", "-fstack-protector-strong"), "/build/src/p-1").split()
    assert "-fno-stack-protector" not in options
    assert {"-fcf-protection=none", "-U_FORTIFY_SOURCE", "-DNDEBUG", "-O3"} <= set(options)
    assert "-ffile-prefix-map=/build/src/p-1=/project" == options[-1]
    assert "-ffile-prefix-map=/build/src=/project" == compiled_code._options((), "/build/src").split()[-1]


def test_one_is_made_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an environment is said to have is looked at first; what it has in truth, then."""
    house = House(monkeypatch, **GCC10, moved=("3.9", "gcc-10 10.3.1-1"))
    others = (manifest("newer", "3.9", "14.2"), manifest("python", "3.11", "10.2"))
    house.compilers = (*others, manifest("moved", "3.9", "10.2"), manifest("gcc10", "3.9", "10.2"))
    assert house.compiled(member(gcc("10.2.1"))).compiled is not None
    assert ["moved", "gcc10"] == house.asked
    house.compilers = (manifest("absent", "3.9", "10.2"),)
    found = house.compiled(member(gcc("10.2.1")))
    assert found.compiled is None
    assert "It was not compiled here: The build environment absent cannot be made" in found.remarks[0]


def test_what_is_large_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment is made for it either."""
    house = House(monkeypatch, **GCC10)
    large = member(gcc("10.2.1"))
    assert large.binary is not None
    image = large.binary.images[0].replace(sections=(Section(name=".text", size=compiled_code.MOST_CODE + 1),))
    found = house.compiled(large.replace(binary=large.binary.replace(images=(image,))))
    assert (None, []) == (found.compiled, house.asked)
    assert "MB of code" in found.remarks[0]


def test_files_that_do_not_say_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of CPython are taken, and the remark says so."""
    house = House(monkeypatch, **GCC10)
    (remark,) = house.compiled(member(gcc("10.2.1", where=".comment"))).remarks
    assert "with -O3 -g -fwrapv -fPIC, since it does not say" in remark
