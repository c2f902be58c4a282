"""What changelogs of a build environment say of the time before."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from rebuilder.ecosystems.debian.changelogs import (
    before_updates,
    entries,
    last_point_release,
    newest_tool,
    updates_with,
)
from rebuilder.ecosystems.debian.hypotheses import Case, Way, _as_of_then, _newest_time, _replayed
from rebuilder.ecosystems.debian.pinned_packages import Pin
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.environment import Package, Specification
from rebuilder.model.evidence import Evidence, Inspection, Member, MemberKind
from rebuilder.model.replayed import bits_before
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256

SHA256 = Sha256("ab" * 32)
BASE_FILES = {"13.8+deb13u2": ("trixie", 11), "13.8+deb13u1": ("trixie", 8), "13.8": ("unstable", 5)}
VERSIONS = {"base-files": "13.8+deb13u2", "libc6": "2.41-12+deb13u2", "libc6-dev": "2.41-12+deb13u2", "old": "1-1"}


def changelog(source: str, versions: dict[str, tuple[str, int]]) -> bytes:
    """One with these versions, each with what it was uploaded to and a month of 2025."""
    entry = "{} ({}) {}; urgency=medium\n\n  * A change (of 2; it is -- one).\n\n -- A <a@example.org>  {}\n\n"
    dated = [
        (version, suite, f"{datetime(2025, month, 2, tzinfo=UTC):%a, %d %b %Y %H:%M:%S} +0000")
        for version, (suite, month) in versions.items()
    ]
    return gzip.compress("".join(entry.format(source, *each) for each in dated).encode(), mtime=0)


def environment(tmp_path: Path, logs: dict[str, bytes], versions: dict[str, str]) -> BuildEnvironment:
    """One that has these packages, and changelogs of them below a layer where they begin with ``layer/``."""
    for name, data in logs.items():
        place = tmp_path / ("layer" if name.startswith("layer/") else "base") / "usr/share/doc" / name.split("/")[-1]
        place.mkdir(parents=True)
        (place / "changelog.Debian.gz").write_bytes(data)
    packages = [Package(name=name, version=each, architecture="all", sha256=SHA256) for name, each in versions.items()]
    return BuildEnvironment(
        name="trixie-build",
        sha256=SHA256,
        root=tmp_path / "base",
        layers=(tmp_path / "layer",) if (tmp_path / "layer").is_dir() else (),
        specification=Specification(method="configured", suite="trixie", packages=tuple(packages), recipe=2),
        summary=EnvironmentSummary(name="trixie-build", sha256=SHA256, provides={}, packages=()),
    )


def of_glibc(tmp_path: Path) -> BuildEnvironment:
    """A release with updates: of its C library, whose packages share a changelog, of the kernel, and not of another."""
    libc = {"2.41-12+deb13u2": ("trixie", 10), "2.41-12+deb13u1": ("trixie", 7), "2.41-12": ("unstable", 4)}
    linux = {"6.12.9-1": ("trixie", 9), "6.12.8-1": ("trixie", 6), "6.12.7-1": ("trixie", 3)}
    logs = {"base-files": changelog("base-files", BASE_FILES), "libc6": changelog("glibc", libc)}
    logs |= {"layer/linux-libc-dev": changelog("linux", linux), "old": changelog("old", {"1-1": ("unstable", 12)})}
    found = environment(tmp_path, logs, {**VERSIONS, "linux-libc-dev": "6.12.9-1+b1", "other": "1-1"})
    (tmp_path / "layer/usr/share/doc/libc6-dev").symlink_to("libc6")
    return found


def test_what_a_release_had_then(tmp_path: Path) -> None:
    """Of what it has updated since; with nothing of before it was out, and nothing that it did not update."""
    room = of_glibc(tmp_path)

    def then(month: int) -> dict[str, str]:
        found = before_updates(room, "trixie", datetime(2025, month, 20, tzinfo=UTC))
        assert {"libc6", "libc6-dev"} == set(found.get("glibc", {"libc6": "", "libc6-dev": ""}))
        return {name: version for each in found.values() for name, version in each.items()}

    assert {} == then(4) == then(12)
    early = dict.fromkeys(("libc6", "libc6-dev"), "2.41-12")
    assert {**early, "base-files": "13.8", "linux-libc-dev": "6.12.8-1"} == then(6)
    late = dict.fromkeys(("libc6", "libc6-dev"), "2.41-12+deb13u1")
    assert {**late, "base-files": "13.8+deb13u1"} == then(9)
    assert {} == before_updates(room, "bookworm", datetime(2025, 6, 20, tzinfo=UTC))
    assert datetime(2025, 8, 2, tzinfo=UTC) == last_point_release(room, datetime(2025, 9, 20, tzinfo=UTC))


def test_ways_that_follow_from_updates(tmp_path: Path) -> None:
    """As of the moment of the source, then as of the point release before; with what there is, and for two bits."""
    room, lost = of_glibc(tmp_path), {"base-files"}
    planner = SimpleNamespace(had=lambda _, pins: tuple(each for each in pins if each.name not in lost))
    case = SimpleNamespace(
        candidate=SimpleNamespace(suite="trixie"),
        once=lambda _, make: make(),
        planner=planner,
        releases=lambda _: [],
        room=lambda _: (room, None),
    )

    def ways(way: Way, month: int | None) -> list[tuple[str, dict[str, str]]]:
        moment = None if month is None else int(datetime(2025, month, 20, tzinfo=UTC).timestamp())
        found = list(_as_of_then(cast("Case", case), way, moment))
        assert {2} == {bits_before(_replayed(cast("Case", case), each.way)) for each in found} or not found
        return [(each.sentence, {pin.name: pin.version for pin in each.way.then if pin.installed}) for each in found]

    way = Way("trixie")
    assert [] == ways(way, 4) == ways(way, 12) == ways(way, None) == ways(replace(way, updates=False), 9)
    [(then, at_once), (_, before)] = ways(way, 9)
    assert dict.fromkeys(("libc6", "libc6-dev"), "2.41-12+deb13u1") == at_once
    assert {**at_once, "linux-libc-dev": "6.12.8-1"} == before
    assert "libc6 2.41-12+deb13u1" in then
    assert "2025-09-20" in then
    assert [] == ways(replace(way, then=(Pin(name="libc6", version="1"),)), 9)
    [dated, _] = _as_of_then(cast("Case", case), way, int(datetime(2025, 9, 20, tzinfo=UTC).timestamp()), dated=True)
    assert (12, True) == (bits_before(_replayed(cast("Case", case), dated.way)), "By its own times" in dated.sentence)
    lost |= {"libc6-dev"}
    assert [{"linux-libc-dev": "6.12.8-1"}] == [named for _, named in ways(way, 9)]
    lost |= {"linux-libc-dev"}
    assert [] == ways(way, 9)


@pytest.mark.parametrize(
    ("times", "newest"), [((), None), (("2026-01-02T03:04:05", "2025-12-31T00:00:00"), 1_767_323_045), (("x",), None)]
)
def test_what_the_published_file_says_of_its_time(times: tuple[str, ...], newest: int | None) -> None:
    """The newest of its members counts; what is no time says nothing."""
    members = tuple(Member(name=each, kind=MemberKind.FILE, size=0, mtime=each) for each in times)
    evidence = SimpleNamespace(artifact_inspection=Inspection(format="deb", members=members))
    assert newest == _newest_time(cast("Evidence", evidence))
    assert _newest_time(cast("Evidence", SimpleNamespace(artifact_inspection=None))) is None


def test_updates_that_have_a_name_in_their_files(tmp_path: Path) -> None:
    """Looked for in files of the package alone, which no link leads out to; a list of files that is a link is none."""
    room = of_glibc(tmp_path)
    info, machine = room.root / "var/lib/dpkg/info", tmp_path / "machine"
    info.mkdir(parents=True)
    machine.write_text("verify_name")
    (room.root / "usr/away").symlink_to(machine)
    (room.root / "usr/options").write_text("verify_host, no_other")
    (info / "libc6:amd64.list").write_text("/.\n/usr/options\n/usr/away\n/../machine\n/usr/gone\n")
    (info / "libc6-dev.list").symlink_to(info / "libc6:amd64.list")
    (info / "base-files.list").symlink_to(machine)
    names = {"verify_host", "verify_name"}
    own = {"libc6": ("2.41-12+deb13u1", {"verify_host"}), "libc6-dev": ("2.41-12+deb13u1", {"verify_host"})}
    assert own == updates_with(room, "trixie", names)
    assert {} == updates_with(room, "bookworm", names)


def test_how_old_the_compiler_is(tmp_path: Path) -> None:
    """The newer one of compiler and linker counts."""
    logs = {name: changelog("x", {"1-1": ("unstable", month)}) for name, month in (("gcc-14-base", 3), ("b", 4))}
    room = environment(tmp_path, logs, {"gcc-14-base": "14-1", "binutils-common": "2.44-3"})
    assert (("gcc-14", "14-1"), datetime(2025, 3, 2, tzinfo=UTC)) == newest_tool(room)


def test_no_link_leads_out_of_it(tmp_path: Path) -> None:
    """A changelog that is none, damaged, without a date, or elsewhere on the machine says nothing."""
    real = changelog("x", {"1-1": ("unstable", 3)})
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine/changelog.Debian.gz").write_bytes(real)
    room = environment(tmp_path, {"real": real, "cut": real[:30], "none": b"text"}, {})
    docs = room.root / "usr/share/doc"
    (docs / "away").symlink_to(tmp_path / "machine")
    (docs / "loop").symlink_to("loop")
    (docs / "file").mkdir()
    (docs / "file/changelog.Debian.gz").symlink_to(tmp_path / "machine/changelog.Debian.gz")
    undated = gzip.compress(b"x (1-1) unstable; urgency=low\n\n -- a <a@b.c>  never\n")
    (docs / "undated").mkdir()
    (docs / "undated/changelog.Debian.gz").write_bytes(undated)
    assert ["1-1"] == [each.version for each in entries(room, "real")]
    for name in ("cut", "none", "away", "loop", "file", "undated", "missing"):
        assert [] == list(entries(room, name)), name
