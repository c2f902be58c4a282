"""Listings of archives, well-formed and hostile."""

from __future__ import annotations

import bz2
import json
import lzma
import os
import random
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from rebuilder.model.evidence import Inspection, MemberKind
from rebuilder.programs.archive import reading
from rebuilder.programs.archive.inspect_archive import inspect, main
from tests.fakes.archives import Entry, gzip_bytes, tar_bytes, tar_member, zip_bytes


def look(directory: Path, data: bytes, *globs: str) -> Inspection:
    """What the program says of some bytes; its document must fit the model."""
    path = directory / "file"
    path.write_bytes(data)
    return Inspection.model_validate(inspect(str(path), list(globs)))


def test_zip_listing(tmp_path: Path) -> None:
    """Every field a hypothesis may need, in archive order."""
    found = look(tmp_path, zip_bytes(Entry("b.py", mode=0o100664), Entry("a/", b"", mode=0, host=0, method=0)))
    first, second = found.members
    assert ("zip", (), True) == (found.format, found.problems, found.readable)
    assert ("b.py", MemberKind.FILE, 15, 0o100664) == (first.name, first.kind, first.size, first.mode)
    assert ("2024-01-02T03:04:06", 3, "deflated") == (first.mtime, first.create_system, first.compression)
    assert ("a/", MemberKind.DIRECTORY, None, None) == (second.name, second.kind, second.sha256, second.mode)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (tar_bytes((tar_member("p/a"), b"x")), "tar"),
        (gzip_bytes(tar_bytes((tar_member("p/a"), b"x"))), "tar.gz"),
        (bz2.compress(tar_bytes((tar_member("p/a"), b"x"))), "tar.bz2"),
        (lzma.compress(tar_bytes((tar_member("p/a"), b"x"))), "tar.xz"),
    ],
)
def test_tar_listing(data: bytes, name: str, tmp_path: Path) -> None:
    """Formats are recognised by content."""
    found = look(tmp_path, data, "*/a")
    assert (name, (), True, {"p/a": "x"}) == (found.format, found.problems, found.readable, found.texts)
    assert ("p/a", 1, 0o644, "2023-11-14T22:13:20") == (
        found.members[0].name,
        found.members[0].size,
        found.members[0].mode,
        found.members[0].mtime,
    )


def test_texts_are_what_was_asked_for(tmp_path: Path) -> None:
    """Globs choose members; undecodable bytes stay visible; long texts are cut, which is said."""
    data = zip_bytes(Entry("d/A", b"\xffx"), Entry("d/B", b"no"), Entry("d/C", b"y" * (1 << 20) + b"z"))
    found = look(tmp_path, data, "d/A", "*/C")
    assert {"d/A", "d/C"} == set(found.texts)
    assert "\\xffx" == found.texts["d/A"]
    assert "y" * (1 << 20) == found.texts["d/C"]
    (problem,) = found.problems
    assert problem.startswith("“d/C” is longer than 1,048,576 bytes")


def test_program_takes_several_files(tmp_path: Path) -> None:
    """One start of the sandbox is enough for a wheel and its source."""
    paths = [tmp_path / "one", tmp_path / "two"]
    paths[0].write_bytes(zip_bytes(Entry("a")))
    paths[1].write_bytes(tar_bytes((tar_member("b"), b"x")))
    result = tmp_path / "result"
    assert 0 == main([*map(str, paths), "--text", "a", "--text", "b", "--result", str(result)])
    archives = json.loads(result.read_text())["archives"]
    assert [["a"], ["b"]] == [list(each["texts"]) for each in archives]


ZIP_DANGERS = {
    "has an absolute name": Entry("/etc/passwd"),
    "has a name that climbs out": Entry("a/../../etc/passwd"),
    "has a name with control": Entry("a\x1b[31m\n"),
    "has a backslash in its name": Entry("..\\windows"),
    "has a link target outside": Entry("l", b"../../etc/passwd", mode=0o120777),
    "is a device": Entry("null", b"", mode=0o020666),
    "is a named pipe": Entry("pipe", b"", mode=0o010666),
    "has a set-user-id or set-group-id bit": Entry("su", mode=0o104755),
}


@pytest.mark.parametrize("sentence", ZIP_DANGERS)
def test_zip_dangers_are_named(sentence: str, tmp_path: Path) -> None:
    """Each is a sentence that names the member; the listing goes on."""
    found = look(tmp_path, zip_bytes(Entry("first"), ZIP_DANGERS[sentence], Entry("last")))
    assert [True] == [sentence in each for each in found.problems if sentence in each]
    assert (True, 3) == (found.readable, len(found.members))
    assert all(each.isprintable() for each in found.problems)


TAR_DANGERS = {
    "has an absolute name": tar_member("/etc/passwd"),
    "has a name that climbs out": tar_member("../x"),
    "has a link target outside": tar_member("l", type=tarfile.LNKTYPE, linkname="../../etc/shadow"),
    "is a device": tar_member("sda", type=tarfile.BLKTYPE),
    "is a named pipe": tar_member("pipe", type=tarfile.FIFOTYPE),
    "has a set-user-id": tar_member("su", mode=0o6755),
}


@pytest.mark.parametrize("sentence", TAR_DANGERS)
def test_tar_dangers_are_named(sentence: str, tmp_path: Path) -> None:
    """The same for tar archives."""
    found = look(tmp_path, tar_bytes(TAR_DANGERS[sentence]))
    assert 1 == len([each for each in found.problems if sentence in each]), found.problems
    assert found.readable


def test_duplicates_and_paths_through_links(tmp_path: Path) -> None:
    """Names that lead to the same place, and members below something that is no directory."""
    found = look(tmp_path, zip_bytes(Entry("a"), Entry("./a"), Entry("l", b"/", mode=0o120777), Entry("l/x")))
    assert any("more than once: “a”" in each for each in found.problems)
    assert any("not a directory: “l/x”" in each for each in found.problems)


def test_names_with_html_stay_text(tmp_path: Path) -> None:
    """A name is data: it is neither changed nor cut in the listing."""
    name = "<script>alert(1)</script>/" + "x" * 300
    assert name == look(tmp_path, zip_bytes(Entry(name))).members[0].name


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """Bytes that are no text stay visible; without the flag, code page 437 gives every byte a character."""
    found = look(tmp_path, zip_bytes(Entry(b"a\xff", flags=0x800), Entry(b"b\x82")))
    assert ["a\\xff", "bé"] == [each.name for each in found.members]


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    """Cut at any byte, an archive is never called readable and complete, and never ends the program."""
    small = tar_bytes((tar_member("p/a", mtime=1.5), b"x" * 600))
    for data, least in (
        (zip_bytes(Entry(), Entry("b", descriptor=True), Entry("c", zip64=True), comment=b"end"), None),
        (gzip_bytes(small, name=b"a.tar"), None),
        (bz2.compress(small), None),
        (lzma.compress(small), None),
        (small[: 4 * 1024], 2 * 1024),
    ):
        for length in range(0, len(data) if least is None else least, 1 if least is None else 7):
            found = look(tmp_path, data[:length])
            assert not found.readable or any("cut short" in each for each in found.problems), length
            assert found.problems


def test_garbage_is_neither(tmp_path: Path) -> None:
    """Anything else is a sentence, not a traceback."""
    chance = random.Random(5)  # noqa: S311 - for a test
    starts = (b"", b"PK\3\4", b"PK\5\6", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", bytes(600))
    for start in starts:
        found = look(tmp_path, start + chance.randbytes(2000) * bool(start))
        assert not found.readable
        assert 1 <= len(found.problems)


def test_random_damage_never_ends_the_program(tmp_path: Path) -> None:
    """Any bytes anywhere: a listing or a sentence."""
    chance = random.Random(6)  # noqa: S311
    tar = tar_bytes((tar_member("p/" + "n" * 150, mtime=1.5), b"x"), (tar_member("l", type=tarfile.SYMTYPE), b""))
    samples = [zip_bytes(Entry(), Entry("b", descriptor=True), Entry("c", zip64=True)), tar, gzip_bytes(tar)]
    for _turn in range(400):
        data = bytearray(chance.choice(samples))
        for _change in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        look(tmp_path, bytes(data), "*")


def test_overlapping_members_are_a_bomb(tmp_path: Path) -> None:
    """Two directory entries for one piece of data are refused before anything is decompressed."""
    data = bytearray(zip_bytes(Entry("a"), Entry("b")))
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = bytes(4)
    found = look(tmp_path, bytes(data))
    assert not found.readable
    assert "Members overlap at “b” (a bomb?)." in found.problems


@pytest.mark.parametrize("kind", ["zip", "gzip"])
def test_bombs_are_stopped(kind: str, tmp_path: Path) -> None:
    """What decompresses out of proportion is not read to its end, and costs little memory."""
    path = tmp_path / "bomb"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as member:
            for _each in range(40):
                member.write(bytes(1 << 20))
    else:
        path.write_bytes(gzip_bytes(tar_bytes((tar_member("zeros"), bytes(40 << 20)))))
    tracemalloc.start()
    found = Inspection.model_validate(inspect(str(path), []))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not found.readable
    assert "out of proportion" in found.problems[0]
    assert peak < 16 << 20


def test_a_size_that_lies_is_damage(tmp_path: Path) -> None:
    """Decompression stops where the directory says the content ends."""
    data = bytearray(zip_bytes(Entry("a", b"x" * 100)))
    directory = data.rindex(b"PK\1\2")
    data[directory + 24 : directory + 28] = (50).to_bytes(4, "little")
    found = look(tmp_path, bytes(data))
    assert any("the member “a” has more bytes" in each for each in found.problems)


def test_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    """Both copies of a checksum may agree and still be wrong."""
    data = zip_bytes(Entry("a", b"content"))
    checksum = zlib.crc32(b"content").to_bytes(4, "little")
    assert 2 == data.count(checksum)
    found = look(tmp_path, data.replace(checksum, b"\1\2\3\4"))
    assert (False, ()) == (found.readable, found.members)
    assert found.problems[0].startswith("It is damaged: the member “a” does not")


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting stops at the limit."""
    monkeypatch.setattr(reading, "MEMBERS", 10)
    found = look(tmp_path, tar_bytes(*(tar_member(str(index)) for index in range(11))))
    assert (False, "It has more than 10 members; reading stopped there.") == (found.readable, found.problems[0])


def test_many_members_are_read(tmp_path: Path) -> None:
    """More members than the plain format can count are no problem."""
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(66_000):
            archive.writestr(zipfile.ZipInfo(f"d{index % 100}/{index}"), b"")
    found = inspect(str(path), [])
    assert (66_000, True, []) == (len(found["members"]), found["readable"], found["problems"])


@pytest.mark.parametrize("entry", [Entry(flags=1), Entry(method=0, local={}, flags=0)._replace(method=93)])
def test_what_cannot_be_read_is_said(entry: Entry, tmp_path: Path) -> None:
    """Encrypted members and unknown compression are not guessed at."""
    found = look(tmp_path, zip_bytes(entry))
    assert not found.readable
    assert found.problems[0].startswith("It cannot be read: the member “pkg/module.py”")


def test_sparse_tar_is_refused(tmp_path: Path) -> None:
    """A sparse member's size is not the size of its data."""
    assert not look(tmp_path, tar_bytes(tar_member("s", pax_headers={"GNU.sparse.major": "1"}))).readable


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing input is our fault, so it is loud."""
    with pytest.raises(OSError, match="absent"):
        inspect(os.fspath(tmp_path / "absent"), [])
