"""What lands where: archives whose readers disagree, orders that decide, and what honest writers do."""

from __future__ import annotations

import io
import itertools
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebuilder.model.evidence import Inspection
from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.landing import maps, order_decides
from rebuilder.programs.archive.normalise_search import normalised
from rebuilder.programs.archive.normalise_zip import ZIP
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.unpack import unpack
from rebuilder.programs.archive.zip import ZipArchive
from rebuilder.programs.compare.compare_archives import compare
from tests.fakes import reports
from tests.fakes.archives import Entry, gzip_bytes, tar_bytes, tar_member, zip_bytes
from tests.fakes.blobs import MemoryBlobs

META = Entry("x-1.dist-info/METADATA", b"Name: x\n")
OTHER_TIME = (44 << 9 | 3 << 5 | 4) << 16 | (5 << 11 | 6 << 5 | 7)
NOON = (44 << 9 | 3 << 5 | 1) << 16 | 12 << 11
"""2024-03-01 12:00:00 as MS-DOS date and time."""
NOON_UNIX = 1709294400


def unicode_path(name: bytes, other: bytes) -> bytes:
    """A unicode path field (APPNOTE 4.6.9) of the name, with another one."""
    return struct.pack("<HHBL", 0x7075, 5 + len(other), 1, zlib.crc32(name)) + other


def archive(directory: Path, data: bytes, *, raw: bool = True) -> ZipArchive:
    """The value of a readable ZIP file."""
    path = directory / "archive"
    path.write_bytes(data)
    reading = read_archive(str(path), raw=raw)
    assert reading.readable, reading.problems
    result: ZipArchive = reading.archive
    return result


def level(directory: Path, published: bytes, rebuilt: bytes) -> dict[str, Any]:
    """How two files compare."""
    (directory / "published").write_bytes(published)
    (directory / "rebuilt").write_bytes(rebuilt)
    return compare(str(directory / "published"), str(directory / "rebuilt"))


INNER = zip_bytes(Entry("inner.pth", b"import os\n", time=OTHER_TIME))
CONTRADICTORY = {
    "local header says empty": (
        zip_bytes(META, Entry(descriptor=True, local={"crc": 0, "csize": 0, "usize": 0, "flags": 0})),
        "different sizes",
    ),
    "local size": (zip_bytes(META, Entry(local={"usize": 3})), "different sizes"),
    "local checksum": (zip_bytes(META, Entry(local={"crc": 3})), "different sizes or checksums"),
    "local size of all ones": (zip_bytes(META, Entry(local={"usize": 0xFFFFFFFF})), "different sizes"),
    "local name": (zip_bytes(META, Entry(local={"name": b"pkg/mOdule.py"})), "different names"),
    "local method": (zip_bytes(META, Entry(local={"method": 0})), "different compressions"),
    "local descriptor flag": (zip_bytes(META, Entry(local={"flags": 8})), "different flags"),
    "local encryption flag": (zip_bytes(META, Entry(local={"flags": 1})), "different flags"),
    "local utf-8 flag": (zip_bytes(META, Entry("ä", flags=0x800, local={"flags": 0})), "different flags"),
    "no descriptor": (zip_bytes(META, Entry(flags=8)), "data descriptor is announced"),
    "stored archive without sizes": (
        zip_bytes(META, Entry("a.bin", INNER, method=0, descriptor=True)),
        "data descriptor is announced",
    ),
    "stored archive, sizes known": (
        zip_bytes(
            META,
            Entry("a.bin", INNER, method=0, descriptor=True, local={"csize": len(INNER), "usize": len(INNER)}),
        ),
        "data descriptor is announced",
    ),
    "ZIP64 numbers": (zip_bytes(META, Entry(local_extra=struct.pack("<HHQ", 1, 8, 99))), "ZIP64"),
    "ZIP64 twice": (zip_bytes(META, Entry(extra=struct.pack("<HHQ", 1, 8, 15) * 2)), "ZIP64"),
    "between members": (zip_bytes(META, Entry(gap=b"x")), "between members"),
    "after compressed data": (zip_bytes(META, Entry(slack=b"x")), "after the end of compressed data"),
    "in front": (zip_bytes(META, prefix=b"#!/bin/sh\n"), "in front of its first member"),
    "after the end": (zip_bytes(META, trailing=b"x"), "after its end"),
    "before the directory": (zip_bytes(META, before_directory=b"x"), "central directory"),
    "archive in a comment": (zip_bytes(META, Entry(comment=INNER)), "structures in a comment"),
    "archive in the comment": (zip_bytes(META, comment=b"PK\1\2"), "Its comment holds signatures"),
    "archive in an extra field": (
        zip_bytes(META, Entry(extra=struct.pack("<HH", 0xCAFE, len(INNER)) + INNER)),
        "structures in an extra field",
    ),
    "NUL": (zip_bytes(META, Entry("core.py\0a")), "NUL"),
    "other unicode path": (zip_bytes(META, Entry("a.py", extra=unicode_path(b"a.py", b"b.py"))), "disagree"),
    "stale unicode path": (zip_bytes(META, Entry("a.py", extra=unicode_path(b"c.py", b"b.py"))), "unicode path"),
    "local unicode path": (zip_bytes(META, Entry("a.py", local_extra=unicode_path(b"a.py", b"b.py"))), "disagree"),
    "encoding": (zip_bytes(META, Entry("ä.py")), "disagree about the name"),
    "no UTF-8": (zip_bytes(META, Entry(b"\xff.py", flags=0x800)), "UTF-8 and is not"),
    "broken extra field": (zip_bytes(META, Entry(extra=b"\1\2\3\4\5")), "malformed"),
    "climbs": (zip_bytes(META, Entry("a/../../b.py")), "leads out"),
    "absolute": (zip_bytes(META, Entry("/b.py")), "leads out"),
    "directory with content": (zip_bytes(META, Entry("a/", b"import os")), "directory has content"),
    "purelib and platlib": (
        zip_bytes(META, Entry("x-1.data/purelib/a.py", b"1"), Entry("x-1.data/platlib/a.py", b"2")),
        "installed to one path",
    ),
    "root and purelib": (zip_bytes(META, Entry("a.py", b"1"), Entry("x-1.data/purelib/a.py", b"2")), "one path"),
    "root and data": (
        zip_bytes(META, Entry("a.py", b"1"), Entry("x-1.data/data/lib/python3.12/site-packages/a.py", b"2")),
        "one path",
    ),
    "scripts and data": (
        zip_bytes(META, Entry("x-1.data/scripts/a", b"1"), Entry("x-1.data/data/bin/a", b"2")),
        "one path",
    ),
    "data of another release": (zip_bytes(META, Entry("y-1.data/purelib/a.py")), "disagree about the name"),
    "dot before data": (zip_bytes(META, Entry("./x-1.data/purelib/a.py")), "disagree about the name"),
    "one name twice": (zip_bytes(META, Entry("a.py", b"1"), Entry("a.py", b"2")), "installed to one path"),
    "one path twice": (zip_bytes(META, Entry("b/a.py", b"1"), Entry("b//a.py", b"2")), "installed to one path"),
    "headers and data": (
        zip_bytes(
            META, Entry("x-1.data/headers/a.h", b"1"), Entry("x-1.data/data/include/site/python3.11/x/a.h", b"2")
        ),
        "one path",
    ),
    "headers, and data by another spelling": (
        zip_bytes(
            Entry("Foo_Bar-1.dist-info/METADATA", b"Name: foo.bar\n"),
            Entry("Foo_Bar-1.data/headers/a.h", b"1"),
            Entry("Foo_Bar-1.data/data/include/python3.12/foo-bar/a.h", b"2"),
        ),
        "one path",
    ),
    "directory by its mode": (zip_bytes(META, Entry("pkg", b"", mode=0o40755), Entry()), "directory by its mode"),
    "streamed, deflated, without data": (
        zip_bytes(META, Entry("a.py", b"", descriptor=True, method=0)).replace(
            b"\x14\0\x08\0\0\0", b"\x14\0\x08\0\x08\0"
        ),
        "data descriptor is announced",
    ),
    "two dist-infos": (zip_bytes(META, Entry("y-2.dist-info/METADATA", b"")), "more than one .dist-info"),
}


@pytest.mark.parametrize("label", CONTRADICTORY)
def test_a_contradiction_is_named_and_never_equal(label: str, tmp_path: Path) -> None:
    """One plain sentence; such an archive is equal to none, whichever side it is on."""
    data, expected = CONTRADICTORY[label]
    found = contradictions(archive(tmp_path, data))
    assert found == contradictions(archive(tmp_path, data, raw=False)), "a listing says what a comparison says"
    assert [each for each in found if expected in each], found
    assert all(each.isprintable() and each.endswith(".") for each in found)
    honest = zip_bytes(META, Entry())
    for one, other in ((data, honest), (honest, data), (data, later(data))):
        assert level(tmp_path, one, other)["level"] == "different"
    assert "Readers disagree about what the published file holds." in level(tmp_path, data, later(data))["problem"]


def test_many_contradictions_are_a_few_sentences(tmp_path: Path) -> None:
    """One for a kind, with examples and a count, however many members there are and however long their names."""
    many = [Entry(f"{'n' * 300}{index // 2}.py", b"%d" % index, gap=b"x", local={"crc": 1}) for index in range(200)]
    found = contradictions(archive(tmp_path, zip_bytes(META, *many, trailing=b"x")))
    assert 4 == len(found)
    assert "2 times; which one stays" in found[0]
    assert "with 100 paths in all" in found[0]
    assert max(map(len, found)) < 700


def later(data: bytes) -> bytes:
    """The same archive with another time in the header of its first member, in both places."""
    old, new = (struct.pack("<HH", value & 0xFFFF, value >> 16) for value in (META.time, OTHER_TIME))
    return data.replace(old, new)


TWINS = {
    "case": ("Core.py", "core.py"),
    "case beyond ASCII": ("ÄÖ.py", "äö.py"),
    "sharp s": ("straße.py", "STRASSE.py"),
    "normal forms": ("\u00e4.py", "a\u0308.py"),
    "dots at the end": ("core.py", "core.py."),
    "spaces at the end": ("core.py", "core.py "),
    "a directory with a dot": ("pkg/a.py", "pkg./a.py"),
    "a stream": ("core.py", "core.py::$DATA"),
    "replaced characters": ("a_b.py", "a?b.py"),
    "backslash": ("pkg/a.py", "pkg\\a.py"),
    "invisible": ("core.py", "co\u200cre.py"),
    "passed over": ("core.py", "co\ufe0fre.py"),
    "backslash at the end": ("pkg", "pkg\\"),
    "a short name of Windows": ("longer_name.py", "LONGER~1.PY"),
    "a directory with a short name": ("longer_name/a.py", "longer~1/a.py"),
    "a drive": ("a.py", "C:a.py"),
    "headers on Windows": ("x-1.data/headers/a.h", "x-1.data/data/include/x/a.h"),
    "case across schemes": ("x-1.data/purelib/Core.py", "x-1.data/platlib/core.py"),
    "case of directories": ("Pkg/a.py", "pkg/b.py"),
    "file in the way, in another case": ("Pkg", "pkg/b.py"),
}


@pytest.mark.parametrize("label", TWINS)
def test_twins_make_their_order_content(label: str, tmp_path: Path) -> None:
    """Where names meet on some file system, two orders are two wheels."""
    entries = [Entry(name, b"%d" % index, flags=0x800) for index, name in enumerate(TWINS[label])]
    one, other = zip_bytes(META, *entries), zip_bytes(META, *reversed(entries))
    assert order_decides(archive(tmp_path, one))
    assert level(tmp_path, one, other)["level"] == "different"
    assert level(tmp_path, zip_bytes(META, *entries), zip_bytes(META, *entries, physical=[0, 2, 1]))["level"] == (
        "different"
    )
    assert level(tmp_path, one, later(one))["normalisations"] == ["zip-times"]


HONEST = {
    "streamed": [META, Entry(descriptor=True), Entry("empty", b"", method=0, descriptor=True)],
    "streamed, sizes known": [META, Entry(descriptor=True, local={"csize": 17, "usize": 15})],
    "directories": [META, Entry("pkg/", b"", mode=0o40755, method=0, attributes=0x10), Entry()],
    "times and owners": [META, Entry(extra=struct.pack("<HHBl", 0x5455, 5, 1, 7), local_extra=b"\xfe\xca\0\0")],
    "ZIP64": [META, Entry(zip64=True)],
    "ZIP64, streamed": [META, Entry(zip64=True, descriptor=True, local={})],
    "MS-DOS": [META, Entry(host=0, mode=0)],
    "UTF-8": [META, Entry("ä.py", flags=0x800)],
    "level hints": [META, Entry(flags=2, local={"flags": 4})],
    "stored archive": [META, Entry("inner.zip", INNER, method=0)],
    "the directory itself": [META, Entry("./", b"", mode=0o40755, method=0, attributes=0x10), Entry()],
    "tildes": [META, Entry("notes.txt~"), Entry("~/a"), Entry("release~2024-1")],
    "alignment": [META, Entry(local_extra=b"\0\0\0")],
    "the same twice": [META, Entry("a.py"), Entry("a.py")],
}


@pytest.mark.parametrize("label", HONEST)
def test_honest_writers_contradict_nothing(label: str, tmp_path: Path) -> None:
    """Data descriptors, directories, stamps and the like are read alike by all."""
    entries = HONEST[label]
    for raw in (True, False):
        assert () == contradictions(archive(tmp_path, zip_bytes(*entries), raw=raw))
    assert not order_decides(archive(tmp_path, zip_bytes(*entries))) or label == "the same twice"


class _Stream(io.RawIOBase):
    """A file that cannot go back."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.data += data
        return len(data)


def test_python_writes_no_contradictions(tmp_path: Path) -> None:
    """Neither into a file nor into a stream, with whatever method, name or size."""
    stream = _Stream()
    for target in (tmp_path / "file.zip", stream):
        with zipfile.ZipFile(target, "w") as packed:
            for method, name, content in itertools.product((0, 8, 12), ("a", "ä", "d/e"), (b"", b"x" * 999)):
                packed.writestr(f"{method}/{len(content)}/{name}", content, method)
            packed.mkdir("folder") if hasattr(packed, "mkdir") else packed.writestr("folder/", b"")
            with packed.open("large", "w", force_zip64=True) as file:
                file.write(b"y" * 99)
            packed.open("large and empty", "w", force_zip64=True).close()
            packed.writestr("last", b"z")
    for data in ((tmp_path / "file.zip").read_bytes(), bytes(stream.data)):
        assert () == contradictions(archive(tmp_path, data)) == contradictions(archive(tmp_path, data, raw=False))


def test_what_was_streamed_is_unpacked(tmp_path: Path) -> None:
    """A source archive whose writer could not go back is one like others."""
    (tmp_path / "source").write_bytes(zip_bytes(Entry("x-1/a.py", b"1", descriptor=True), Entry("x-1/b.py", b"2")))
    assert 2 == unpack(str(tmp_path / "source"), str(tmp_path / "into"), umask=0o022)
    assert b"1" == (tmp_path / "into" / "x-1" / "a.py").read_bytes()


CHOOSY: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a version that Python refuses": ({"needed": 99}, {}),
    "the same in the local header": ({"local": {"needed": 99}}, {}),
    "compression that zipimport does not know": ({"method": 12}, {}),
    "read only on MS-DOS": ({"host": 0, "mode": 0, "attributes": 1}, {"host": 0, "mode": 0}),
    "read only on MS-DOS, beside Unix": ({"host": 0, "mode": 0, "attributes": 1}, {"mode": 0o100644}),
}


@pytest.mark.parametrize("label", CHOOSY)
def test_what_only_some_readers_take_is_not_set_aside(label: str, tmp_path: Path) -> None:
    """A member that one installer refuses, or unpacks in another way, is not the same as one that all take."""
    one, other = CHOOSY[label]
    if one.get("method") == 12:
        data = _compressed(zipfile.ZIP_BZIP2), _compressed(zipfile.ZIP_DEFLATED)
    else:
        data = zip_bytes(META, Entry(**one)), zip_bytes(META, Entry(**other))
    found = level(tmp_path, *data)
    assert "different" == found["level"]
    assert not [each for each in found["differences"] if "rebuilt 0." in each["detail"]], "values are the files' own"


def _compressed(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("a.py", b"x" * 99, method)
    return out.getvalue()


def test_a_signed_record_is_bytes(tmp_path: Path) -> None:
    """Where a signature of RECORD lies beside it, another order of its rows is another content."""
    for name, expected in (("RECORD.jws", "different"), ("RECORD.p7s", "different"), ("RECORD.txt", "equivalent")):
        one, other = (
            zip_bytes(META, Entry(f"x-1.dist-info/{name}"), Entry("x-1.dist-info/RECORD", rows))
            for rows in (b"a,,\nb,,\n", b"b,,\na,,\n")
        )
        assert expected == level(tmp_path, one, other)["level"]


CODE = struct.pack("<H2sLLL", 3495, b"\r\n", 0, NOON_UNIX, 15)
STAMPED = {
    "valid here": (CODE, NOON, True),
    "valid two hours east": (CODE, NOON + (2 << 11), True),
    "of another size": (struct.pack("<H2sLLL", 3495, b"\r\n", 0, NOON_UNIX, 14), NOON, False),
    "of another day": (CODE, NOON + (2 << 16), False),
    "of another minute": (CODE, NOON + (7 << 5), False),
    "by hash": (struct.pack("<H2sLQ", 3495, b"\r\n", 3, 1), NOON, False),
    "Python 3.6": (struct.pack("<H2sLL", 3379, b"\r\n", NOON_UNIX, 15), NOON, True),
    "Python 2.7": (struct.pack("<H2sL", 62211, b"\r\n", NOON_UNIX), NOON, True),
    "no byte code": (b"hello", NOON, False),
}


@pytest.mark.parametrize("label", STAMPED)
def test_a_time_that_byte_code_goes_by_is_content(label: str, tmp_path: Path) -> None:
    """The time of a source is only set aside where no byte code beside it is valid for it in any time zone."""
    code, time, counts = STAMPED[label]
    rest = [META, Entry("m.pyc", code)]
    published, rebuilt = (zip_bytes(*rest, Entry("m.py", time=each)) for each in (time, time + (1 << 5)))
    assert level(tmp_path, published, rebuilt)["level"] == ("different" if counts else "equivalent")


@pytest.mark.parametrize("directory", [b"", b"pkg/"])
def test_a_time_counts_for_byte_code_in_a_cache_too(directory: bytes, tmp_path: Path) -> None:
    """Whoever unpacks with times has Python run what lies in ``__pycache__``; stamps in extra fields are times too."""
    code = Entry(directory + b"__pycache__/m.cpython-312.opt-1.pyc", CODE)
    stamp = struct.pack("<HHBl", 0x5455, 5, 1, NOON_UNIX)
    pairs: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        ({"time": NOON}, {"time": NOON + (1 << 5)}),
        ({"time": OTHER_TIME, "extra": stamp}, {"time": OTHER_TIME}),
    )
    for first, second in pairs:
        published, rebuilt = (zip_bytes(META, code, Entry(directory + b"m.py", **each)) for each in (first, second))
        found = level(tmp_path, published, rebuilt)
        assert "different" == found["level"]
        assert not [each for each in found["differences"] if "1980-00-00" in each["detail"]], (
            "values are the files' own"
        )
    other = (zip_bytes(META, code, Entry(directory + b"n.py", time=each)) for each in (NOON, OTHER_TIME))
    assert "equivalent" == level(tmp_path, *other)["level"]


ROWS = {
    "a byte order mark": (b"\xef\xbb\xbfa,,\nb,,\n", b"b,,\n\xef\xbb\xbfa,,\n"),
    "quoted line end": (b'a,,\n"b\nc",,\nd,,\n', b'"b\na,,\nc",,\nd,,\n'),
    "one file twice": (b"a,sha256=1,1\na,sha256=2,2\n", b"a,sha256=2,2\na,sha256=1,1\n"),
    "other line ends": (b"a,,\nb\x0cc,,\n", b"b\x0cc,,\na,,\n"),
    "a carriage return inside": (b"a,,\nb\rc,,\n", b"b\rc,,\na,,\n"),
    "open quotes": (b'a,,\n"b,,\n', b'"b,,\na,,\n'),
    "no text": (b"\xff,,\nb,,\n", b"b,,\n\xff,,\n"),
}


@pytest.mark.parametrize("label", ROWS)
def test_rows_of_a_record_that_are_no_lines_stay_in_order(label: str, tmp_path: Path) -> None:
    """Lines are set aside as rows only: what a CSV reader sees must be the same set."""
    one, other = (zip_bytes(META, Entry("x-1.dist-info/RECORD", content)) for content in ROWS[label])
    assert level(tmp_path, one, other)["level"] == "different"


NAMES = st.sampled_from(["a.py", "A.py", "a.py.", "pkg/a.py", "pkg/", "x-1.data/purelib/a.py", "x-1.data/platlib/a.py"])
FIELDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "name": NAMES,
        "content": st.sampled_from([b"", b"1", b"2"]),
        "time": st.sampled_from([META.time, OTHER_TIME]),
        "mode": st.sampled_from([0o100644, 0o100755, 0o755, 0o644, 0]),
        "host": st.sampled_from([0, 3]),
        "method": st.sampled_from([0, 8]),
        "descriptor": st.booleans(),
        "comment": st.sampled_from([b"", b"c"]),
    }
)
ENTRIES = FIELDS.map(lambda fields: Entry(**fields))


@settings(deadline=None, max_examples=150)
@given(entries=st.lists(ENTRIES, max_size=4), data=st.data(), names=st.sets(st.sampled_from(sorted(ZIP))))
def test_no_set_of_normalisations_hides_a_landing(
    entries: list[Entry], data: st.DataObject, names: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two archives that become equal under some normalisations have the same maps, whichever those are."""
    other = data.draw(st.permutations(entries))
    for index in data.draw(st.sets(st.sampled_from(range(max(1, len(entries)))), max_size=len(entries))):
        other[index : index + 1] = [data.draw(ENTRIES)]
    directory = tmp_path_factory.mktemp("pair")
    one, two = (archive(directory, zip_bytes(META, *each)) for each in (entries, other))
    if not contradictions(one) and not contradictions(two) and maps(one) != maps(two):
        assert normalised(one, names, ZIP) != normalised(two, names, ZIP)
        assert normalised(one, ZIP, ZIP) != normalised(two, ZIP, ZIP)


def test_other_formats_have_no_maps(tmp_path: Path) -> None:
    """A source archive is unpacked, not installed: what counts there is in its members."""
    one, other = (gzip_bytes(tar_bytes((tar_member("a", mtime=time), b"x"))) for time in (1, 2))
    assert level(tmp_path, one, other)["normalisations"] == ["tar-times", "gzip-compression"]


def test_an_artifact_and_its_source_archive_say_it_once_each() -> None:
    """One text a file, for the page and the alarm; nothing where all readers agree."""
    evidence = reports.reproduced(MemoryBlobs()).evidence
    assert () == evidence.contradictions
    listing = Inspection(format="zip", contradictions=("One.", "Two.", "Three.", "Four."))
    found = evidence.replace(artifact_inspection=listing).contradictions
    assert (f"Readers disagree about what {evidence.artifact.filename} holds. One. Two. Three.",) == found
