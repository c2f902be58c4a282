"""What a wheel says about its own build."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.wheel_traces import Generator, read_traces
from rebuilder.model.evidence import Inspection, Member, MemberKind
from rebuilder.model.verdict import Verdict

WHEEL = "Wheel-Version: 1.0\nGenerator: {}\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n"
METADATA = "Metadata-Version: 2.1\nName: x\nVersion: 1\n"


def member(name: str, mtime: str = "2024-03-01T12:00:00", mode: int | None = 0o100644, system: int = 3) -> Member:
    """A file in a ZIP."""
    return Member(name=name, kind=MemberKind.FILE, size=1, mode=mode, mtime=mtime, create_system=system)


def wheel(
    *members: Member, generator: str = "hatchling 1.27.0", texts: dict[str, str] | None = None, mode: int = 0o100644
) -> Inspection:
    """A wheel with its metadata files and these members before them."""
    written = {"x-1.dist-info/METADATA": METADATA, "x-1.dist-info/WHEEL": WHEEL.format(generator)}
    generated = [member(f"x-1.dist-info/{name}", mode=mode) for name in ("METADATA", "WHEEL", "RECORD")]
    return Inspection(format="zip", members=(*members, *generated), texts=written | (texts or {}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hatchling 1.27.0", Generator("hatchling", "1.27.0")),
        ("setuptools (75.8.0)", Generator("setuptools", "75.8.0")),
        ("bdist_wheel (0.45.1)", Generator("bdist_wheel", "0.45.1")),
        ("flit 3.12.0", Generator("flit", "3.12.0")),
        ("poetry 1.0.0a9", Generator("poetry", "1.0.0a9")),
        ("scikit-build-core 0.10.7", Generator("scikit-build-core", "0.10.7")),
        ("by hand", None),
        ("", None),
        ("a" * 9000, None),
    ],
)
def test_generator(text: str, expected: Generator | None) -> None:
    """Both ways to write a version are understood."""
    assert expected == read_traces(wheel(generator=text)).generator


def test_tags_and_purelib() -> None:
    """Repeated headers are all kept."""
    traces = read_traces(wheel())
    assert ("py2-none-any", "py3-none-any") == traces.tags
    assert traces.root_is_purelib


def test_times() -> None:
    """One time everywhere is told from several."""
    assert "2024-03-01T12:00:00" == read_traces(wheel(member("x.py"))).uniform_time
    traces = read_traces(wheel(member("x.py", "2023-01-01T00:00:00")))
    assert traces.uniform_time is None
    assert "2023-01-01T00:00:00" == traces.times["x.py"]
    assert "2024-03-01T12:00:00" == traces.times[f"{traces.dist_info}/WHEEL"]


@pytest.mark.parametrize(
    ("mode", "umask"), [(0o100644, 0o022), (0o100664, 0o002), (0o100600, 0o077), (0o666, 0o000), (0o100660, 0o007)]
)
def test_modes_tell_the_umask(mode: int, umask: int) -> None:
    """What the files lack is what the umask took; sources and generated files may tell differently."""
    assert umask == read_traces(wheel(mode=mode)).generated_umask
    assert umask == read_traces(wheel(member("x.py", mode=mode), member("y.py", mode=mode))).source_umask


def test_licences_tell_the_umask_of_the_source() -> None:
    """Modules may get the mode of a new file; licences and data keep the mode of their source."""
    licence = member("x-1.dist-info/licenses/LICENSE", mode=0o100644)
    data, module = member("x/data.txt", mode=0o100640), member("x/a.py", mode=0o100664)
    assert read_traces(wheel(module, data, licence)).source_umask == 0o022
    assert read_traces(wheel(module, data)).source_umask == 0o027
    assert read_traces(wheel(module)).source_umask == 0o002


def test_executables_do_not_confuse_the_umask() -> None:
    """0755 comes from the same umask as 0644."""
    assert read_traces(wheel(member("run", mode=0o100755))).source_umask == 0o022


def test_no_modes_no_umask() -> None:
    """A wheel without Unix modes says nothing about a umask."""
    assert read_traces(wheel(member("x.py", mode=None))).source_umask is None


def test_systems() -> None:
    """All members agree on one, or it says none."""
    assert read_traces(wheel()).create_system == 3
    assert read_traces(wheel(member("x.py", system=0))).create_system is None


@pytest.mark.parametrize(
    "broken",
    [
        Inspection(format="zip"),
        wheel(texts={"x-1.dist-info/WHEEL": ""}),
        wheel(texts={"x-1.dist-info/METADATA": "<html>\x00"}),
        Inspection(format="zip", members=wheel().members),
        wheel(member("y-1.dist-info/WHEEL")),
    ],
)
def test_malformed_wheel_is_an_obstacle(broken: Inspection) -> None:
    """A wheel without readable WHEEL and METADATA cannot be rebuilt; the sentence says what is wrong."""
    with pytest.raises(NotRebuildable) as caught:
        read_traces(broken)
    assert Verdict.UNSUPPORTED is caught.value.obstacle.verdict
    assert caught.value.obstacle.sentence.startswith("The published wheel is malformed: ")
