"""Tar archives that are two trees, and that what is compared is what is unpacked."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.evidence import check_source
from rebuilder.model.evidence import Inspection
from rebuilder.model.verdict import Verdict
from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.inspect_archive import inspect
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.unpack import MALFORMED, main
from rebuilder.programs.compare.compare_archives import compare
from tests.fakes.archives import gzip_bytes, tar_bytes, tar_member
from tests.fakes.projects import TRUSTED


def header(name: bytes, length: int = 0, kind: bytes = b"0", **fields: bytes) -> bytes:
    """One ustar header block; fields as bytes where they are not ordinary."""
    block = bytearray(512)
    parts = {
        "name": (0, name),
        "mode": (100, b"0000644\0"),
        "owner": (108, b"0000000\0" * 2),
        "size": (124, b"%011o\0" % length),
        "mtime": (136, b"%011o\0" % 1_700_000_000),
        "kind": (156, kind),
        "link": (157, b""),
        "magic": (257, b"ustar\0" + b"00"),
        "major": (329, b""),
        "prefix": (345, b""),
    }
    for label, (at, usual) in parts.items():
        value = fields.get(label, usual)
        block[at : at + len(value)] = value
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:]))
    return bytes(block)


def member(name: bytes, content: bytes = b"x", kind: bytes = b"0", **fields: bytes) -> bytes:
    """A header with its content."""
    return header(name, len(content), kind, **fields) + content + bytes(-len(content) % 512)


def record(key: bytes, value: bytes) -> bytes:
    """One pax record."""
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length = len(b"%d" % length) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """A pax header."""
    return member(b"pax", b"".join(record(*each) for each in records), kind)


def archive(*parts: bytes) -> bytes:
    """A whole archive."""
    return b"".join(parts) + bytes(1024)


def long_name(name: bytes) -> bytes:
    """A GNU long name."""
    return member(b"././@LongLink", name + b"\0", b"L")


FIRST = member(b"x-1/bk.py", b"good")
CONTRADICTORY = {
    "GNU name, then pax path": archive(FIRST, long_name(b"x-1/bk.py"), pax((b"path", b"x-1/old.py")), member(b"x")),
    "pax path, then GNU name": archive(FIRST, pax((b"path", b"x-1/old.py")), long_name(b"x-1/bk.py"), member(b"x")),
    "two GNU names": archive(FIRST, long_name(b"x-1/a"), long_name(b"x-1/b"), member(b"x")),
    "two pax headers": archive(FIRST, pax((b"path", b"x-1/a")), pax((b"path", b"x-1/b")), member(b"x")),
    "two paths": archive(FIRST, pax((b"path", b"x-1/a"), (b"path", b"x-1/b")), member(b"x")),
    "two link targets": archive(FIRST, pax((b"linkpath", b"a"), (b"linkpath", b"b")), header(b"x-1/l", 0, b"2")),
    "two times": archive(FIRST, pax((b"mtime", b"1"), (b"mtime", b"2")), member(b"x-1/a")),
    "empty path": archive(FIRST, pax((b"path", b"")), member(b"x-1/a")),
    "global path": archive(pax((b"path", b"x-1/a"), kind=b"g"), FIRST),
    "global size": archive(pax((b"size", b"4"), kind=b"g"), FIRST),
    "pax size": archive(FIRST, pax((b"size", b"4")), header(b"x-1/a", 0) + b"good" + bytes(508)),
    "base-256 size": archive(FIRST, header(b"x-1/a", size=b"\x80" + bytes(10) + b"\1") + b"x" + bytes(511)),
    "digits after a NUL": archive(FIRST, member(b"x-1/a", size=b"00000000001\0"[:2] + b"1\0" + b"00000001")),
    "directory with content": archive(FIRST, header(b"x-1/d/", 512, b"5")),
    "link with content": archive(FIRST, header(b"x-1/l", 512, b"2", link=b"bk.py")),
    "file with the name of a directory": archive(FIRST, header(b"x-1/d/")),
    "old file, directory by its pax path": archive(FIRST, pax((b"path", b"x-1/d/")), header(b"x-1/d", 0, b"\0")),
    "NUL in a pax path": archive(FIRST, pax((b"path", b"x-1/bk.py\0a")), member(b"x-1/a")),
    "more after a GNU name": archive(FIRST, long_name(b"x-1/a\0b"), member(b"x-1/a")),
    "prefix without ustar": archive(FIRST, member(b"bk.py", magic=b"ustar  \0", prefix=b"x-1")),
    "an end to Python": archive(FIRST, member(b"x-1/a", magic=b"", major=b"no"), member(b"x-1/b")),
    "an end to Python, before a name": archive(
        FIRST, member(b"pax", record(b"path", b"x-1/a"), b"x", magic=b"", major=b"no"), member(b"x-1/b")
    ),
    "an end to Python, for all members": archive(
        FIRST, member(b"pax", record(b"comment", b"a"), b"g", magic=b"", major=b"no"), member(b"x-1/b")
    ),
    "prefix, another version of ustar": archive(FIRST, member(b"bk.py", magic=b"ustar\0\0\0", prefix=b"x-1")),
    "prefix that star ends earlier": archive(FIRST, member(b"bk.py", prefix=b"x" * 140 + bytes(23) + b"tar\0")),
    "holes of Solaris": archive(FIRST, pax((b"SUN.holesdata", b" 0 1")), member(b"x-1/a")),
    "character set": archive(FIRST, pax((b"hdrcharset", b"KOI8-R")), member(b"x-1/a")),
    "header of Solaris": archive(FIRST, pax((b"path", b"x-1/a"), kind=b"X"), member(b"x")),
    "digits after a NUL, of a pax header": archive(
        FIRST, header(b"pax", 0, b"x", size=b"0013\x0001234567") + record(b"a", b"aaaaa") + bytes(501), member(b"x-1/a")
    ),
    "after the end": archive(FIRST) + FIRST,
    "one zero block": FIRST + bytes(512) + FIRST + bytes(1024),
    "two streams": gzip_bytes(FIRST) + gzip_bytes(archive(member(b"x-1/more"))),
    "after the stream": gzip_bytes(archive(FIRST), trailing=b"x"),
}
REFUSED = {
    "sparse by record": archive(FIRST, pax((b"GNU.sparse.name", b"x-1/bk.py")), member(b"x-1/a")),
    "sparse by type": archive(FIRST, member(b"x-1/a", kind=b"S")),
    "negative size": archive(FIRST, header(b"x-1/a", size=b"\xff" * 12)),
    "size with a sign": archive(FIRST, header(b"x-1/a", size=b"-0000000001\0")),
    "size with an underline": archive(FIRST, header(b"x-1/a", size=b"0000000_001\0")),
    "size larger than is": archive(FIRST, header(b"x-1/a", size=b"77777777777\0")),
    "unknown type": archive(FIRST, member(b"x-1/a", kind=b"X")),
    "global header in between": archive(FIRST, pax((b"path", b"x-1/a")), pax((b"a", b"b"), kind=b"g"), member(b"x")),
    "record without a keyword": archive(FIRST, pax((b"", b"")), member(b"x-1/a")),
    "record without a keyword before a path": archive(FIRST, pax((b"", b""), (b"path", b"x-1/b")), member(b"x-1/a")),
    "malformed record": archive(FIRST, member(b"pax", b"7 path=a\n", b"x"), member(b"x-1/a")),
}


def unpacked(directory: Path, data: bytes) -> int:
    """The exit code of unpacking."""
    path = directory / "source"
    path.write_bytes(data)
    return main(["--source", str(path), "--into", str(directory / "into")])


@pytest.mark.parametrize("label", CONTRADICTORY)
def test_a_contradiction_is_named_and_nothing_is_built_from_it(label: str, tmp_path: Path) -> None:
    """One plain sentence; it is equal to no archive and is not unpacked."""
    data = CONTRADICTORY[label]
    path, other = tmp_path / "archive", tmp_path / "other"
    path.write_bytes(data)
    reading = read_archive(str(path))
    assert reading.readable, reading.problems
    found = contradictions(reading.archive)
    assert found
    assert all(each.isprintable() and each.endswith(".") for each in found)
    other.write_bytes(archive(FIRST))
    assert "different" == compare(str(path), str(other))["level"] == compare(str(other), str(path))["level"]
    assert MALFORMED == unpacked(tmp_path, data)


def test_padding_after_a_stream_contradicts_nothing(tmp_path: Path) -> None:
    """Zeros up to a full block are what devices leave; all readers pass over them, and they stay a difference."""
    padded, plain = tmp_path / "padded", tmp_path / "plain"
    padded.write_bytes(gzip_bytes(archive(FIRST), trailing=bytes(512)))
    plain.write_bytes(gzip_bytes(archive(FIRST)))
    assert () == contradictions(read_archive(str(padded)).archive)
    assert "different" == compare(str(padded), str(plain))["level"]
    assert 0 == unpacked(tmp_path, padded.read_bytes())


@pytest.mark.parametrize("label", REFUSED)
def test_what_cannot_be_read_alike_is_not_read(label: str, tmp_path: Path) -> None:
    """Neither compared nor unpacked."""
    path = tmp_path / "archive"
    path.write_bytes(REFUSED[label])
    assert not read_archive(str(path)).readable
    assert MALFORMED == unpacked(tmp_path, REFUSED[label])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_honest_writers_contradict_nothing(form: int, tmp_path: Path) -> None:
    """Long names, links, fractions, directories and empty files, in every form that Python writes."""
    names = ["x-1/a", "x-1/" + "d/" * 46 + "b", *([] if form == tarfile.USTAR_FORMAT else ["x-1/" + "ä/" * 90 + "b"])]
    members = [(tar_member(name, mtime=1_700_000_000), b"content") for name in names]
    links = [
        tar_member("x-1/" + "l" * 90, type=tarfile.SYMTYPE, linkname="a"),
        tar_member("x-1/h", type=tarfile.LNKTYPE, linkname="x-1/a"),
        tar_member("x-1/dir", type=tarfile.DIRTYPE, mode=0o755),
    ]
    path = tmp_path / "archive"
    path.write_bytes(tar_bytes(*members, *links, tar_format=form))
    assert () == contradictions(read_archive(str(path)).archive)
    assert 0 == unpacked(tmp_path, path.read_bytes())


def test_a_header_for_all_members_may_say_what_is_no_content(tmp_path: Path) -> None:
    """The commit in archives of git, and the like."""
    data = archive(pax((b"comment", b"0" * 40), kind=b"g"), FIRST)
    path = tmp_path / "archive"
    path.write_bytes(data)
    assert () == contradictions(read_archive(str(path)).archive)


PARTS = st.lists(
    st.one_of(
        st.sampled_from([FIRST, member(b"x-1/a", b"a"), member(b"x-1/d/b", b"b"), header(b"x-1/d", 0, b"5")]),
        st.sampled_from([long_name(b"x-1/" + b"n" * 120), long_name(b"x-1/bk.py")]),
        st.sampled_from([pax((b"path", b"x-1/p")), pax((b"size", b"1")), pax((b"mtime", b"1.5"))]),
        st.sampled_from([pax((b"path", b"x-1/g"), kind=b"g"), pax((b"comment", b"c"), kind=b"g")]),
        st.sampled_from([member(b"x-1/f/", b""), member(b"old", b"o", b"\0"), member(b"s", b"s", prefix=b"x-1")]),
    ),
    max_size=5,
)


@settings(deadline=None, max_examples=150)
@given(parts=PARTS)
def test_what_is_unpacked_is_what_python_unpacks(parts: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where nothing is contradictory, our tree and that of ``tarfile``, another reader, are the same."""
    directory = tmp_path_factory.mktemp("tar")
    data = archive(FIRST, *parts)
    if unpacked(directory, data):
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as reader:
        reader.extractall(directory / "theirs", **TRUSTED)
    trees = [
        {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (directory / "into", directory / "theirs")
    ]
    assert trees[0] == trees[1]


def test_large_numbers_are_no_contradiction(tmp_path: Path) -> None:
    """The binary form of a number that is no size is no contradiction."""
    data = archive(member(b"x-1/a", b"x", owner=b"\x80" + struct.pack(">xxxL", 1 << 24) + b"0000000\0"))
    path = tmp_path / "archive"
    path.write_bytes(data)
    assert () == contradictions(read_archive(str(path)).archive)


def test_a_source_archive_that_is_two_trees_is_unsupported(tmp_path: Path) -> None:
    """From its bytes to the obstacle: the member is named, and nothing is built."""
    path = tmp_path / "x-1.tar"
    path.write_bytes(CONTRADICTORY["GNU name, then pax path"])
    listing = Inspection.model_validate(inspect(str(path), []))
    with pytest.raises(NotRebuildable) as stopped:
        check_source(listing, path.name)
    obstacle = stopped.value.obstacle
    assert Verdict.UNSUPPORTED is obstacle.verdict
    assert "x-1.tar is not unpacked: readers disagree" in obstacle.sentence
    assert "“x-1/old.py”" in obstacle.sentence or "“x-1/bk.py”" in obstacle.sentence
    check_source(Inspection.model_validate(inspect(str(_honest(tmp_path)), [])), "x-1.tar")


def _honest(directory: Path) -> Path:
    path = directory / "honest.tar"
    path.write_bytes(archive(FIRST))
    return path
