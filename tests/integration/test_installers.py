"""The oracle of "equivalent": two versions each of pip and uv install mutated wheels, offline, inside a sandbox.

``make oracle`` (part of ``make tests``) puts the older pip and uv there; the newer ones are those of the lock file.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pip
import pytest
import uv
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.compare.compare_archives import compare
from rebuilder.sandbox.bubblewrap.host_support import bubblewrap
from tests.fakes.archives import Entry, zip_bytes

ROOT = Path(__file__).parents[2]
ORACLE = ROOT / ".build" / "oracle"
NAME = "x-1-py3-none-any.whl"
OTHER_TIME = (44 << 9 | 3 << 5 | 4) << 16 | (5 << 11 | 6 << 5 | 7)
BASE = (
    Entry("x-1.dist-info/METADATA", b"Metadata-Version: 2.1\nName: x\nVersion: 1\n"),
    Entry("x-1.dist-info/WHEEL", b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
)
NAMES = (
    "pkg/__init__.py",
    "pkg/a.py",
    "pkg/A.py",
    "pkg//b.py",
    "pkg/./c.py",
    "./pkg/d.py",
    "pkg\\e.py",
    "pkg/ä.py",
    "pkg/data/",
    "x-1.data/purelib/pkg/a.py",
    "x-1.data/platlib/pkg/a.py",
    "x-1.data/scripts/run",
    "x-1.data/data/bin/run",
    "x-1.data/data/share/x",
    "y-1.data/purelib/pkg/f.py",
    "X-1.data/purelib/pkg/g.py",
    "pkg/h.py\0i",
    "pkg/../j.py",
)


def installers() -> dict[str, tuple[str, str]]:
    """Name to kind and path: both pips, and both uvs reading a file and reading what is sent to them."""
    if not (ORACLE / "bin" / "uv").is_file():
        pytest.fail("The older installers are not here; run `make oracle`.", pytrace=False)
    newer, older = uv.find_uv_bin(), str(ORACLE / "bin" / "uv")
    return {
        "pip": ("pip", str(Path(pip.__file__).parents[1])),
        "older pip": ("pip", str(ORACLE)),
        "uv": ("uv", newer),
        "uv, sent": ("uv-http", newer),
        "older uv": ("uv", older),
        "older uv, sent": ("uv-http", older),
    }


def install(directory: Path, wheels: list[bytes]) -> list[dict[str, Any]]:
    """What each installer makes of each wheel; null where it refuses."""
    paths = [directory / str(index) / NAME for index in range(len(wheels))]
    for path, content in zip(paths, wheels, strict=True):
        path.parent.mkdir()
        path.write_bytes(content)
    job, result = directory / "job.json", directory / "result.json"
    document = {"installers": installers(), "wheels": [str(path) for path in paths], "result": str(result)}
    job.write_text(json.dumps(document))
    work = str(directory)
    sandbox = [bubblewrap()[0], "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev"]
    sandbox += [
        "--proc",
        "/proc",
        "--bind",
        work,
        work,
        "--clearenv",
        "--setenv",
        "HOME",
        work,
        "--setenv",
        "TMPDIR",
        work,
    ]
    script = str(ROOT / "tests" / "fakes" / "installers.py")
    subprocess.run([*sandbox, sys.executable, script, str(job)], check=True, timeout=300)
    found: list[dict[str, Any]] = json.loads(result.read_text())
    return found


def wheel(*entries: Entry, **fields: Any) -> bytes:
    """A wheel that installers take, but for what the entries do."""
    names = [each.name.split("\0")[0] if isinstance(each.name, str) else "" for each in entries]
    rows = "".join(f"{name},,\n" for name in dict.fromkeys(names) if name and not name.endswith("/"))
    record = Entry("x-1.dist-info/RECORD", f"{rows}x-1.dist-info/RECORD,,\n".encode())
    return zip_bytes(*entries, *BASE, record, **fields)


CHANGES: tuple[dict[str, Any], ...] = (
    {"time": OTHER_TIME},
    {"comment": b"remark"},
    {"descriptor": True},
    {"method": 0},
    {"level": 1},
    {"host": 0, "mode": 0},
    {"mode": 0o100664},
    {"mode": 0o100755},
    {"mode": 0o755},
    {"zip64": True},
    {"made": 63, "needed": 10},
    {"internal": 1},
    {"flags": 0x800},
    {"extra": b"\xfe\xca\0\0"},
    {"local": {"time": OTHER_TIME}},
    {"local": {"flags": 8}},
    {"local": {"crc": 0, "csize": 0, "usize": 0}, "flags": 8},
    {"gap": b"x"},
)


def pairs(seed: int, most: int) -> list[tuple[bytes, bytes]]:
    """Pairs of wheels whose members are alike, and whose metadata and orders are not."""
    chance = random.Random(seed)  # noqa: S311
    result = []
    for _ in range(most):
        names = chance.sample(NAMES, chance.randint(1, 4))
        if chance.random() < 0.2:
            names.append(chance.choice(names))
        entries = [
            Entry(
                each,
                b"" if each.endswith("/") else chance.choice((b"1\n", b"2\n")),
                mode=0o40755 if each.endswith("/") else 0o100644,
                flags=0x800 if not each.isascii() else 0,
            )
            for each in names
        ]
        other = list(entries)
        for index in chance.sample(range(len(other)), chance.randint(0, len(other))):
            if not str(other[index].name).endswith("/"):
                other[index] = other[index]._replace(**chance.choice(CHANGES))
        if chance.random() < 0.5:
            chance.shuffle(other)
        physical = list(range(len(other) + 3))
        if chance.random() < 0.3:
            chance.shuffle(physical)
        result.append((wheel(*entries), wheel(*other, physical=physical)))
    return result


def judged(directory: Path, published: bytes, rebuilt: bytes) -> str:
    """The level at which two wheels compare."""
    (directory / "published").write_bytes(published)
    (directory / "rebuilt").write_bytes(rebuilt)
    return str(compare(str(directory / "published"), str(directory / "rebuilt"))["level"])


def plain(directory: Path, content: bytes) -> bool:
    """Whether no two readers disagree about a wheel."""
    path = directory / "wheel"
    path.write_bytes(content)
    reading = read_archive(str(path))
    return reading.readable and not contradictions(reading.archive)


@settings(deadline=None, max_examples=2, database=None, phases=[Phase.generate])
@given(seed=st.integers(0, 1 << 32))
def test_equivalent_wheels_are_installed_alike(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each puts the same files on disk for both, and of a wheel without contradictions all make the same."""
    directory = tmp_path_factory.mktemp("oracle")
    tried = pairs(seed, 100)
    equal = [pair for pair in tried if judged(directory, *pair) == "equivalent"][:3]
    assert equal
    alone = [one for one, _ in tried if plain(directory, one)][: len(equal)]
    found = install(directory, [each for pair in equal for each in pair] + alone)
    for index, (one, two) in enumerate(equal):
        both = [(name, found[2 * index][name], found[2 * index + 1][name]) for name in installers()]
        both = [(name, left, right) for name, left, right in both if left is not None and right is not None]
        assert both, (one, two)
        assert [] == [name for name, left, right in both if left != right], (one, two)
    assert alone
    for single, content in zip(found[2 * len(equal) :], alone, strict=True):
        trees = {name: _contents(each) for name, each in single.items() if each is not None}
        assert trees, content
        assert len({json.dumps(each, sort_keys=True) for each in trees.values()}) == 1, (content, trees)


def _contents(tree: dict[str, Any]) -> dict[str, Any]:
    """Files and their contents alone: which of them are executable is not what installers agree about."""
    return {
        name: value[0] for name, value in tree.items() if value is not None and not name.endswith(".dist-info/RECORD")
    }


HIDDEN = zip_bytes(Entry("hidden.py", b"print('hidden')\n", method=0))[: 30 + 9 + 16]
"""A local header and its data."""
ATTACKS = {
    "twins": wheel(Entry("x-1.data/platlib/pkg/a.py", b"1"), Entry("x-1.data/purelib/pkg/a.py", b"2")),
    "data of another release": wheel(Entry("y-1.data/purelib/pkg/f.py")),
    "local header that says empty": wheel(
        Entry("pkg/a.py", HIDDEN, method=0, flags=8, local={"flags": 0, "crc": 0, "csize": 0, "usize": 0})
    ),
    "NUL": wheel(Entry("pkg/h.py\0i")),
    "encoding": wheel(Entry("pkg/ä.py")),
}


def test_the_oracle_sees_what_is_called_contradictory(tmp_path: Path) -> None:
    """Installers really disagree about these, or some refuse them; and each is named a contradiction."""
    assert not [label for label, content in ATTACKS.items() if plain(tmp_path, content)]
    found = install(tmp_path, list(ATTACKS.values()))
    for label, trees in zip(ATTACKS, found, strict=True):
        seen = {json.dumps(each and _contents(each), sort_keys=True) for each in trees.values()}
        assert len(seen) > 1 or label == "twins", label
    assert any(each is not None for each in found[0].values())
