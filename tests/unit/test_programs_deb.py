"""Debian packages inside the sandbox programs: read, refused, compared; nothing that dpkg installs is set aside."""

from __future__ import annotations

import ctypes.util
import gzip
import lzma
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.inspect_archive import inspect
from rebuilder.programs.archive.normalise_search import DEB
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.unpack import UnpackRefused, unpack
from rebuilder.programs.compare.compare_archives import compare
from tests.fakes.archives import tar_bytes, tar_member
from tests.fakes.debs import CONTROL, ar_bytes, control_tar, data_tar, deb
from tests.fakes.images import zstandard


def file(tmp_path: Path, data: bytes, name: str = "package.deb") -> str:
    """A package on the disk."""
    (tmp_path / name).write_bytes(data)
    return str(tmp_path / name)


def judge(tmp_path: Path, published: bytes, rebuilt: bytes) -> dict[str, Any]:
    """How two packages compare."""
    return compare(file(tmp_path, published, "published.deb"), file(tmp_path, rebuilt, "rebuilt.deb"))


def plain(*parts: tuple[str, bytes]) -> bytes:
    """A package of these parts behind ``debian-binary``."""
    return ar_bytes(("debian-binary", b"2.0\n"), *parts)


def zst(data: bytes) -> bytes:
    """A package with Zstandard inside."""
    return ar_bytes(
        ("debian-binary", b"2.0\n"), ("control.tar.zst", zstandard(control_tar())), ("data.tar.zst", zstandard(data))
    )


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_members_of_both_archives_are_listed(ending: str, tmp_path: Path) -> None:
    """Under the name of the archive; the control file as text."""
    found = inspect(file(tmp_path, deb(ending=ending)), ["control.tar/*"])
    assert ("deb", True, [], []) == tuple(found[each] for each in ("format", "readable", "problems", "contradictions"))
    names = [each["name"] for each in found["members"]]
    below = [f"data.tar/{each}" for each in ("usr/", "usr/bin/", "usr/bin/tiny")]
    assert ["debian-binary", "control.tar/control", *below] == names
    assert {"control.tar/control": CONTROL.decode()} == found["texts"]


def test_zstandard_inside(tmp_path: Path) -> None:
    """Frames one behind the other are read; their sizes are set aside by a name, bytes behind them are not."""
    assert ctypes.util.find_library("zstd"), "apt-get install libzstd1"
    data = data_tar()
    one, two = (
        zst(data),
        ar_bytes(
            ("debian-binary", b"2.0\n"),
            ("control.tar.zst", zstandard(control_tar())),
            ("data.tar.zst", zstandard(data[:1000]) + zstandard(data[1000:])),
        ),
    )
    assert [] == inspect(file(tmp_path, one), [])["problems"]
    found = inspect(file(tmp_path, two), [])
    assert found["readable"]
    assert "different" == judge(tmp_path, one, two)["level"], "where a stream was cut is no matter of compression"
    hidden = ar_bytes(
        ("debian-binary", b"2.0\n"),
        ("control.tar.zst", zstandard(control_tar())),
        ("data.tar.zst", zstandard(data) + b"\x50\x2a\x4d\x18\x04\0\0\0hide"),
    )
    assert "bytes after its compressed data" in " ".join(inspect(file(tmp_path, hidden), [])["contradictions"])
    for broken in (one[:-20], one.replace(zstandard(b"")[:5], b"\x28\xb5\x2f\xfd\xff", 1)):
        assert not inspect(file(tmp_path, broken), [])["readable"]


def test_as_dpkg_writes_them(tmp_path: Path) -> None:
    """What ``dpkg-deb`` makes with each of its compressions has no problem, and no contradiction."""
    dpkg = shutil.which("dpkg-deb")
    assert dpkg, "apt-get install dpkg"
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "DEBIAN/control").write_bytes(CONTROL)
    (tree / "DEBIAN/conffiles").write_text("/etc/tiny.conf\n")
    (tree / "etc/tiny.conf").write_text("x\n" * 3)
    (tree / "etc/link").symlink_to("/usr/share/tiny")
    for kind in ("none", "gzip", "xz", "zstd"):
        command = [dpkg, "--root-owner-group", f"-Z{kind}", "--build", str(tree), str(tmp_path / f"{kind}.deb")]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        found = inspect(str(tmp_path / f"{kind}.deb"), [])
        assert (True, [], []) == tuple(found[each] for each in ("readable", "problems", "contradictions")), kind


TREE = (
    tar_member("./usr", type=tarfile.DIRTYPE, mode=0o755),
    tar_member("./usr/bin", type=tarfile.DIRTYPE, mode=0o755),
    (tar_member("./usr/bin/tiny"), b"#!/bin/sh\nexit 0\n"),
)
PLAIN = deb(ending="")
PAIRS: dict[str, tuple[bytes, bytes]] = {
    "ar-times": (deb(), deb(mtime=1_600_000_000)),
    "ar-owners": (deb(), deb(owner=(1000, 1000))),
    "ar-owners: modes": (deb(), deb(mode=0o100600)),
    "tar-times": (PLAIN, deb(data=data_tar(mtime=1_600_000_000), ending="")),
    "tar-times: control": (PLAIN, deb(control_tar(mtime=1_600_000_000), ending="")),
    "tar-format": (PLAIN, deb(data=tar_bytes(*TREE, tar_format=tarfile.GNU_FORMAT), ending="")),
    "tar-padding": (PLAIN, deb(data=data_tar() + bytes(5120), ending="")),
    "tar-order": (
        deb(data=data_tar({"usr/bin/a": b"a", "usr/bin/b": b"b"}), ending=""),
        deb(data=data_tar({"usr/bin/b": b"b", "usr/bin/a": b"a"}), ending=""),
    ),
    "xz-compression": (
        deb(),
        plain(
            ("control.tar.xz", lzma.compress(control_tar())),
            ("data.tar.xz", lzma.compress(data_tar(), check=lzma.CHECK_CRC32)),
        ),
    ),
    "gzip-compression": (
        deb(ending=".gz"),
        plain(
            ("control.tar.gz", gzip.compress(control_tar(), 9, mtime=0)),
            ("data.tar.gz", gzip.compress(data_tar(), 1, mtime=0)),
        ),
    ),
}


@pytest.mark.parametrize("label", PAIRS)
def test_what_is_set_aside_is_named(label: str, tmp_path: Path) -> None:
    """One name each, and no other."""
    found = judge(tmp_path, *PAIRS[label])
    assert ("equivalent", [label.partition(":")[0]]) == (found["level"], found["normalisations"]), found
    assert found["differences"]
    assert "nothing is written" in found["unwritable"]


INSTALLED: dict[str, bytes] = {
    "content": deb(data=data_tar({"usr/bin/tiny": b"#!/bin/sh\nexit 1\n"})),
    "owner": deb(data=data_tar(uid=1000)),
    "group by name": deb(data=data_tar(gname="staff")),
    "others may write": deb(data=data_tar(mode=0o666)),
    "set-user-id": deb(data=data_tar(mode=0o4755)),
    "no entry for a directory": deb(data=tar_bytes((tar_member("./usr/bin/tiny"), b"#!/bin/sh\nexit 0\n"))),
    "another script": deb(control_tar({"postinst": b"#!/bin/sh\n"})),
    "mode of a control file": deb(control_tar(mode=0o755)),
    "an attribute": deb(data=data_tar(pax_headers={"SCHILY.xattr.security.capability": "x"})),
    "a part behind": deb(extra=(("_gpgorigin", b"signature"),)),
    "another compression": deb(ending=".gz"),
    "no compression": deb(ending=""),
}


@pytest.mark.parametrize("label", INSTALLED)
def test_what_is_installed_is_never_set_aside(label: str, tmp_path: Path) -> None:
    """Whatever the ar headers say besides."""
    assert "different" == judge(tmp_path, deb(mtime=5), INSTALLED[label])["level"]


def test_times_that_decide_count(tmp_path: Path) -> None:
    """Where compiled files are used by their times, times are content."""
    files = {"usr/lib/a.py": b"x", "usr/lib/a.pyc": b"y"}
    found = judge(tmp_path, deb(data=data_tar(files)), deb(data=data_tar(files, mtime=1_600_000_000)))
    assert "different" == found["level"]


def test_differences_name_the_member(tmp_path: Path) -> None:
    """With the archive it is in, and the lines that differ."""
    found = judge(tmp_path, deb(), INSTALLED["content"])
    [each] = found["differences"]
    assert ("data.tar/usr/bin/tiny", "content") == (each["member"], each["change"])
    assert ["exit 0"] == each["content"]["published"]


def doubled(name: str) -> bytes:
    """A package with a part twice."""
    return deb(extra=((f"{name}.tar.xz", lzma.compress(data_tar({"usr/bin/other": b"!"}))),))


CONTRADICTORY: dict[str, tuple[bytes, str]] = {
    "two control archives": (doubled("control"), "a part twice"),
    "two data archives": (doubled("data"), "a part twice"),
    "a second debian-binary": (deb(extra=(("debian-binary", b"2.0\n"),)), "a part twice"),
    "another format": (
        ar_bytes(("debian-binary", b"2.1\n"), ("control.tar", control_tar()), ("data.tar", data_tar())),
        "another version",
    ),
    "another padding": (deb(extra=(("_odd", b"1"),))[:-1] + b"x", "something else than a line feed"),
    "a name that says another compression": (
        plain(("control.tar.gz", lzma.compress(control_tar())), ("data.tar", data_tar())),
        "another compression",
    ),
    "control twice": (
        deb(tar_bytes((tar_member("./control"), CONTROL), (tar_member("control"), CONTROL + b"X: y\n"))),
        "a path twice",
    ),
    "a file twice": (deb(data=tar_bytes((tar_member("./a"), b"1"), (tar_member("./a"), b"2"))), "a path twice"),
    "a header of its own": (
        deb().replace(b"%-12d" % 1_700_000_000, b"001700000000", 1),
        "only some readers read",
    ),
    "a size in two headers": (
        deb(data=tar_bytes((tar_member("./a", pax_headers={"size": "3"}), b"1234"))),
        "In data.tar:",
    ),
}


@pytest.mark.parametrize("label", CONTRADICTORY)
def test_packages_of_two_minds(label: str, tmp_path: Path) -> None:
    """What readers disagree about is equal to nothing, not even with other times around it."""
    data, words = CONTRADICTORY[label]
    path = file(tmp_path, data)
    reading = read_archive(path)
    if reading.readable:
        assert words in " ".join(contradictions(reading.archive))
    else:
        assert "In data.tar" in words, reading.problems
    again = data.replace(b"1700000000  ", b"1600000000  ")
    assert "different" == judge(tmp_path, data, again)["level"]


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing in it": (b"!<arch>\n", "first part is not debian-binary"),
    "an archive of objects": (ar_bytes(("a.o/", b"x")), "first part is not debian-binary"),
    "no control archive": (plain(("data.tar", data_tar())), "no control.tar"),
    "data first": (plain(("data.tar", data_tar()), ("control.tar", control_tar())), "no control.tar"),
    "something between": (
        plain(("control.tar", control_tar()), ("evil", b"x"), ("data.tar", data_tar())),
        "stands in front",
    ),
    "no control file": (deb(tar_bytes((tar_member("./x"), b""))), "no control file"),
    "control is a link": (
        plain(
            ("control.tar", tar_bytes(tar_member("./control", type=tarfile.SYMTYPE, linkname="/etc/passwd"))),
            ("data.tar", data_tar()),
        ),
        "no control file",
    ),
    "a size beyond the end": (deb()[:-100], "cut short"),
    "a negative size": (deb().replace(b"4         `", b"-4        `", 1), "none"),
    "a long name of BSD": (ar_bytes(("#1/20", b"x" * 20)), "none"),
    "rubbish behind": (deb() + b"rubbish", "damaged"),
    "thousands of parts": (ar_bytes(*((f"_{each}", b"") for each in range(200))), "more than 100 parts"),
    "a damaged archive": (plain(("control.tar.xz", b"\xfd7zXZ\0rubbish"), ("data.tar", data_tar())), "control.tar"),
    "a sparse file": (
        deb(data=tar_bytes((tar_member("./a", pax_headers={"GNU.sparse.major": "1"}), b"x"))),
        "sparse",
    ),
    "a bomb": (deb(data=tar_bytes((tar_member("./zeros"), bytes(64 << 20)))), "bomb"),
}


@pytest.mark.parametrize("label", UNREADABLE)
def test_what_is_no_package(label: str, tmp_path: Path) -> None:
    """A sentence, and no exception; unpacking refuses it too."""
    data, words = UNREADABLE[label]
    path = file(tmp_path, data)
    found = inspect(path, [])
    assert not found["readable"]
    assert words in " ".join(found["problems"])
    with pytest.raises(UnpackRefused):
        unpack(path, str(tmp_path / "into"), umask=0o022)


DANGERS: dict[str, tuple[bytes, str]] = {
    "an absolute name": (deb(data=tar_bytes((tar_member("/etc/passwd"), b""))), "absolute name"),
    "a way out": (deb(data=tar_bytes((tar_member("./../etc/passwd"), b""))), "climbs out"),
    "a device": (deb(data=tar_bytes(tar_member("./dev", type=tarfile.CHRTYPE, devmajor=1))), "is a device"),
    "through a link": (
        deb(data=tar_bytes(tar_member("./usr", type=tarfile.SYMTYPE, linkname="/"), (tar_member("./usr/a"), b""))),
        "another that is not a directory",
    ),
    "a configuration file that is a link": (
        deb(
            control_tar({"conffiles": b"/etc/x\n"}),
            tar_bytes(tar_member("./etc/x", type=tarfile.SYMTYPE, linkname="/etc/shadow")),
        ),
        "a configuration file that is a symlink",
    ),
    "a configuration file that is not there": (deb(control_tar({"conffiles": b"/etc/x\n"})), "that is not in it"),
    "a configuration file elsewhere": (deb(control_tar({"conffiles": b"/../etc/x\n"})), "that is no path"),
    "one more part": (deb(extra=(("_gpgorigin", b"x"),)), "parts that no package has: _gpgorigin"),
}


@pytest.mark.parametrize("label", DANGERS)
def test_dangers_are_told(label: str, tmp_path: Path) -> None:
    """Each is a sentence about a package that can be read."""
    data, words = DANGERS[label]
    found = inspect(file(tmp_path, data), [])
    assert found["readable"]
    assert words in " ".join(found["problems"]), found["problems"]


def test_unpacked_below_the_names_of_the_archives(tmp_path: Path) -> None:
    """Files of both archives, and nothing outside."""
    assert 2 == unpack(file(tmp_path, deb()), str(tmp_path / "into"), umask=0o022)
    assert CONTROL == (tmp_path / "into/control.tar/control").read_bytes()
    assert (tmp_path / "into/data.tar/usr/bin/tiny").is_file()


def elf(*sections: tuple[str, int, bytes], entry: int = 0x1000) -> bytes:
    """A file of 64 bits with these sections: name, flags, content."""
    table, names, contents = b"", b"\0", b""
    rows = [("", 0, b""), *sections]
    begin = 64
    for name, flags, content in [*rows, (".shstrtab", 0, b"")]:
        place, at = begin + len(contents), len(names)
        names += name.encode() + b"\0"
        data = names if name == ".shstrtab" else content
        contents += data
        table += struct.pack("<IIQQQQIIQQ", at, 1 if name else 0, flags, 0, place, len(data), 0, 0, 1, 0)
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack(
            "<HHIQQQIHHHHHH", 3, 62, 1, entry, 0, begin + len(contents), 0, 64, 56, 0, 64, len(rows) + 1, len(rows)
        )
    )
    return head + contents + table


CODE, DATA = (".text", 6, b"\x90" * 64), (".rodata", 2, b"text")
BUILD = [(".note.gnu.build-id", 2, each * 20) for each in (b"1", b"2")]
LINK = [(".gnu_debuglink", 0, each * 8) for each in (b"1", b"2")]


@pytest.mark.parametrize(
    ("published", "rebuilt", "words"),
    [
        (
            elf(CODE, DATA, BUILD[0], LINK[0]),
            elf(CODE, DATA, BUILD[1], LINK[1]),
            "all bytes but those of .note.gnu.build-id and .gnu_debuglink",
        ),
        (
            elf(CODE, DATA, BUILD[0], (".debug_info", 0, b"a")),
            elf(CODE, DATA, BUILD[0], (".debug_info", 0, b"bcd")),
            "Debugging information only: code, data",
        ),
        (elf(CODE, DATA), elf((".text", 6, b"\x91" * 64), DATA), "these differ: “.text”"),
        (elf(CODE, BUILD[0]), elf(CODE, BUILD[1], entry=0x2000), "these differ: “.note.gnu.build-id”"),
        (elf(CODE, BUILD[0], (".debug_info", 0, b"a")), elf(CODE, BUILD[1], (".debug_info", 0, b"b")), "these differ"),
        (
            elf(CODE, (".debug_info", 0, b"a")),
            elf(CODE, (".debug_info", 0, b"b"), entry=0x2000),
            "these differ: “.debug_info”",
        ),
    ],
)
def test_how_far_compiled_files_differ(published: bytes, rebuilt: bytes, words: str, tmp_path: Path) -> None:
    """Said of the member, and never set aside; what only its sections have equal is not called so."""
    sides = (deb(data=data_tar({"usr/lib/libtiny.so": each})) for each in (published, rebuilt))
    found = judge(tmp_path, *sides)
    assert "different" == found["level"]
    [each] = found["differences"]
    assert words in each["detail"]
    if "differ" in words:
        assert not any(claim in each["detail"] for claim in ("are equal:", "only"))


def test_sections_of_no_elf_file(tmp_path: Path) -> None:
    """A table that leads out of the file says nothing, and breaks nothing."""
    good = elf(CODE, DATA)
    for at, value in ((40, 1 << 60), (60, 0xFFFF), (58, 1)):
        bad = bytearray(good)
        struct.pack_into("<Q" if at == 40 else "<H", bad, at, value)
        sides = (deb(data=data_tar({"usr/lib/libtiny.so": each})) for each in (good, bytes(bad)))
        [each] = judge(tmp_path, *sides)["differences"]
        assert "sections" not in each["detail"]


def test_every_normalisation_has_a_case() -> None:
    """Those of tar and gzip have theirs beside them."""
    elsewhere = {"gzip-header", "bzip2-compression", "zstd-compression"}
    assert set(DEB) == {each.partition(":")[0] for each in PAIRS} | elsewhere
