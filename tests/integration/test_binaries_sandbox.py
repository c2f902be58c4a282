"""What compiled files say about themselves, read inside the real sandbox."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from rebuilder.compare.accounting import read_binaries
from rebuilder.compare.comparer import compare_compiled
from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.definition import Input, Role
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.program_runner import SandboxPrograms
from tests.fakes.archives import Entry, zip_bytes
from tests.fakes.binaries import compiled, fat, macho, pe
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.memo import MemoryMemo


class Harness:
    """Programs in a sandbox, over blobs in memory."""

    def __init__(self, environments: EnvironmentStore, scratch: Path) -> None:
        self.blobs = MemoryBlobs()
        self.sandbox = BubblewrapSandbox(self.blobs, FixedClock(), scratch=scratch)
        self.memo = MemoryMemo()
        self.programs = SandboxPrograms(self.sandbox, environments, self.blobs, "trixie")


@pytest.fixture(scope="module")
def harness(environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One sandbox for all tests here."""
    made = Harness(environments, tmp_path_factory.mktemp("scratch"))
    yield made
    made.sandbox.close()


def test_wheel_of_every_format(harness: Harness, tmp_path: Path) -> None:
    """The environment's Python reads what the compiler of this machine made, and libraries of two other systems."""
    elf = compiled(tmp_path, "-g", "-O2")
    wheel = zip_bytes(
        Entry("p/a.so", elf),
        Entry("p/b.so", fat((12, macho()))),
        Entry("p/c.pyd", pe()),
        Entry("p/d.py", b"import p\n"),
    )
    found = read_binaries(harness.programs, harness.memo, harness.blobs.put(wheel))
    assert ((), 3) == (found.problems, found.total)
    assert ["elf", "macho", "pe"] == [each.facts.format for each in found.members]
    assert "GCC" in {each.name for each in found.members[0].facts.images[0].compilers}
    assert [()] * 3 == [each.facts.problems for each in found.members]


def test_what_cannot_be_read(harness: Harness, tmp_path: Path) -> None:
    """A damaged archive, and one that takes too long, end in a sentence."""
    (sentence,) = read_binaries(harness.programs, harness.memo, harness.blobs.put(b"x")).problems
    assert "neither a ZIP nor" in sentence
    damaged = bytearray(compiled(tmp_path))
    damaged[32:64] = b"\xff" * 32
    (member,) = read_binaries(
        harness.programs, harness.memo, harness.blobs.put(zip_bytes(Entry("a.so", bytes(damaged))))
    ).members
    assert member.facts.problems


def test_functions_are_compared(harness: Harness, tmp_path: Path) -> None:
    """On an environment with objdump: the same code elsewhere in the file is equal, other code is not."""
    before = "int first(int x) { return x * 3; }\n"
    functions = "int one(int x) { return x + 1; }\nint two(int x) { return x * 5 - 2; }\n"
    sources = (functions, before + functions.replace("- 2", "- 3"))
    wheels = [zip_bytes(Entry("p/m.so", compiled(tmp_path, "-O2", source=each))) for each in sources]
    published, rebuilt = map(harness.blobs.put, wheels)
    compared = compare_compiled(
        harness.programs, published, rebuilt, "p-1-cp313-cp313-linux_x86_64.whl", environment="diffoscope"
    )
    assert compared is not None
    found = compared["p/m.so"]
    assert (2, 3, 1) == (found.functions, found.functions_rebuilt, found.functions_equal)
    assert (("two",), ("first",)) == (found.functions_different, found.functions_added)


def test_ten_megabytes(harness: Harness, tmp_path: Path) -> None:
    """A wheel of ten megabytes costs less than two seconds of CPU time, and less than 200 MB of memory."""
    (tmp_path / "noise").write_bytes(random.Random(1).randbytes(7 << 20) + bytes(18 << 20))  # noqa: S311
    source = '__asm__(".section .rodata\\n.incbin \\"noise\\"\\n.text"); int f(int x) { return x + 1; }'
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("p.libs/liblarge-01234567.so.1.2", compiled(tmp_path, "-g", source=source))
        small = compiled(tmp_path, "-g", "-O2")
        for index in range(30):
            archive.writestr(f"p/m{index}.so", small + random.Random(index).randbytes(100 << 10))  # noqa: S311
    assert len(out.getvalue()) > 10 << 20
    wheel = Input(
        role=Role.PARAMETERS, name="archive", sha256=harness.blobs.put(out.getvalue()), path="/inputs/archive"
    )
    result = harness.programs.run("binary", "read_binaries", [wheel.path], inputs=[wheel])
    assert 31 == result.document["total"]
    assert result.run.cpu_seconds is not None
    assert result.run.cpu_seconds < 2
    assert result.run.peak_memory_bytes is not None
    assert result.run.peak_memory_bytes < 200 << 20
