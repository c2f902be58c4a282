"""ZIP normalisations: each removes what it names, nothing else, and only the needed ones are reported."""

from __future__ import annotations

import struct
from itertools import combinations
from pathlib import Path

import pytest

from rebuilder.programs.archive.normalise_search import DEB, normalised
from rebuilder.programs.archive.normalise_tar import TAR
from rebuilder.programs.archive.normalise_zip import ZIP
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.zip import ZipArchive
from rebuilder.programs.compare.compare_archives import compare
from tests.fakes.archives import Entry, pair, zip_bytes

OTHER_TIME = 45 << 25 | 3 << 21 | 7 << 16
TIMES_EXTRA = struct.pack("<HHBl", 0x5455, 5, 1, 1_700_000_000)
OWNERS_EXTRA = struct.pack("<HHBBLBL", 0x7875, 11, 1, 4, 1000, 4, 1000)
LONG = b"a line of text that deflate can do something with, a line of text, a line of text\n" * 40
RECORD = "pkg-1.dist-info/RECORD"
DOS_FILE = Entry(host=0, mode=0)
DIRECTORY = Entry("pkg/", b"", mode=0o40755, method=0)

PAIRS = {
    "zip-times": ([Entry()], [Entry(time=OTHER_TIME)]),
    "zip-times: extra": ([Entry()], [Entry(extra=TIMES_EXTRA, local_extra=TIMES_EXTRA)]),
    "zip-times: local only": ([Entry()], [Entry(local={"time": OTHER_TIME})]),
    "zip-extra-fields": ([Entry()], [Entry(extra=OWNERS_EXTRA, local_extra=OWNERS_EXTRA)]),
    "zip-host-system": ([Entry()], [DOS_FILE]),
    "zip-host-system: directory": (
        [DIRECTORY, Entry("pkg/empty/", b"", mode=0o40755, method=0)],
        [DIRECTORY, Entry("pkg/empty/", b"", mode=0, host=0, attributes=0x10, method=0)],
    ),
    "zip-regular-bit": ([Entry()], [Entry(mode=0o644)]),
    "zip-umask-modes": ([Entry()], [Entry(mode=0o100664)]),
    "zip-umask-modes: executable": ([Entry(mode=0o100755)], [Entry(mode=0o100775)]),
    "zip-zip64": ([Entry()], [Entry(zip64=True)]),
    "zip-compression": ([Entry(content=LONG)], [Entry(content=LONG, level=1)]),
    "zip-compression: stored": ([Entry(content=LONG)], [Entry(content=LONG, method=0)]),
    "zip-compression: flags": ([Entry()], [Entry(flags=2)]),
    "zip-versions": ([Entry()], [Entry(made=63, needed=10)]),
    "zip-flags": ([Entry()], [Entry(descriptor=True)]),
    "zip-flags: utf-8": ([Entry()], [Entry(flags=0x800)]),
    "zip-text-hint": ([Entry()], [Entry(internal=1)]),
    "zip-comment": ([Entry()], [Entry(comment=b"a remark")]),
    "zip-directory-entries": ([Entry()], [DIRECTORY, Entry()]),
    "zip-order": ([Entry("a"), Entry("b")], [Entry("b"), Entry("a")]),
    "wheel-record-order": ([Entry(RECORD, b"a,,\nb,,\n")], [Entry(RECORD, b"b,,\na,,\n")]),
}
CONTENT = {
    "content": Entry(content=b"print('hellO')\n"),
    "name": Entry("pkg/other.py"),
    "executable": Entry(mode=0o100744),
    "executable without type": Entry(mode=0o755),
    "executable on Windows": Entry(mode=0o100755, host=0),
    "owner may not write": Entry(mode=0o100444),
    "setuid": Entry(mode=0o104644),
    "symbolic link": Entry(mode=0o120644),
    "device": Entry(mode=0o020644),
    "unknown host": Entry(host=7),
    "unknown extra field": Entry(extra=struct.pack("<HH4s", 0x4242, 4, b"name")),
    "broken extra field": Entry(extra=b"\1\2\3"),
    "volume label": Entry(attributes=0x08, internal=2),
}


def archive(path: str) -> ZipArchive:
    """The value of a readable ZIP file."""
    reading = read_archive(path)
    assert reading.readable, reading.problems
    result: ZipArchive = reading.archive
    return result


def test_equal_files_are_identical(tmp_path: Path) -> None:
    """No difference, no normalisation."""
    result = compare(*pair(tmp_path, zip_bytes(Entry()), zip_bytes(Entry())))
    assert ("identical", []) == (result["level"], result["normalisations"])


@pytest.mark.parametrize("label", PAIRS)
def test_each_normalisation_is_found_alone(label: str, tmp_path: Path) -> None:
    """A difference of one kind needs exactly the normalisation of that name, in both directions."""
    left, right = PAIRS[label]
    for published, rebuilt in ((left, right), (right, left)):
        result = compare(*pair(tmp_path, zip_bytes(*published), zip_bytes(*rebuilt)))
        assert ("equivalent", [label.split(":", maxsplit=1)[0]]) == (result["level"], result["normalisations"])
        assert result["differences_total"] >= 1
        assert {"metadata"} == {each["change"] for each in result["differences"]}


def test_every_normalisation_has_a_case() -> None:
    """Nothing in the list is untested."""
    assert set(ZIP) == {label.split(":", maxsplit=1)[0] for label in PAIRS}


@pytest.mark.parametrize("label", PAIRS)
def test_no_other_normalisation_hides_it(label: str, tmp_path: Path) -> None:
    """All other normalisations together leave the difference standing."""
    left, right = PAIRS[label]
    paths = pair(tmp_path, zip_bytes(*left), zip_bytes(*right))
    others = [name for name in ZIP if name != label.split(":", maxsplit=1)[0]]
    assert normalised(archive(paths[0]), others, ZIP) != normalised(archive(paths[1]), others, ZIP)


@pytest.mark.parametrize("label", CONTENT)
def test_content_is_never_normalised(label: str, tmp_path: Path) -> None:
    """Contents, names, executable bits, types, links, and bytes that belong to nothing always count."""
    padding = [Entry("first", b"")]
    result = compare(*pair(tmp_path, zip_bytes(*padding, Entry()), zip_bytes(*padding, CONTENT[label])))
    assert "different" == result["level"], result
    assert result["differences"]
    assert result["problem"] is None


@pytest.mark.parametrize("rebuilt", [Entry(mode=0o100755, host=0), Entry(mode=0o755)], ids=["host", "type"])
def test_executable_members_keep_what_decides(rebuilt: Entry, tmp_path: Path) -> None:
    """Host and type bits decide whether unpackers make a member executable, so there they count."""
    result = compare(*pair(tmp_path, zip_bytes(Entry(mode=0o100755)), zip_bytes(rebuilt)))
    assert "different" == result["level"]


@pytest.mark.parametrize(
    "rebuilt",
    [
        zip_bytes(Entry(), prefix=b"#!/bin/sh\n"),
        zip_bytes(Entry(), trailing=b"x"),
        zip_bytes(Entry(), before_directory=b"x"),
    ],
    ids=["prefix", "trailing", "before the directory"],
)
def test_bytes_outside_members_count(rebuilt: bytes, tmp_path: Path) -> None:
    """What could hide in an archive is never set aside."""
    result = compare(*pair(tmp_path, zip_bytes(Entry()), rebuilt))
    assert "different" == result["level"]


def test_an_empty_directory_is_content(tmp_path: Path) -> None:
    """Only entries for directories that hold something follow from the rest."""
    empty = Entry("pkg/empty/", b"", mode=0o40755, method=0)
    result = compare(*pair(tmp_path, zip_bytes(Entry()), zip_bytes(Entry(), empty)))
    assert ["added"] == [each["change"] for each in result["differences"]]


def test_order_counts_where_it_decides_something(tmp_path: Path) -> None:
    """Of two members with one name the last one wins, so their order is content."""
    first, second = Entry("a", b"1"), Entry("a", b"2")
    result = compare(*pair(tmp_path, zip_bytes(first, second), zip_bytes(second, first)))
    assert "different" == result["level"]
    link, below = Entry("d", b"/etc", mode=0o120777), Entry("d/file")
    result = compare(*pair(tmp_path, zip_bytes(link, below), zip_bytes(below, link)))
    assert "different" == result["level"]


def test_order_of_data_in_the_file(tmp_path: Path) -> None:
    """Local headers in another order than the directory are an order like any other."""
    entries = [Entry("a"), Entry("b")]
    result = compare(*pair(tmp_path, zip_bytes(*entries), zip_bytes(*entries, physical=[1, 0])))
    assert ["zip-order"] == result["normalisations"]


def test_record_with_another_line_is_content(tmp_path: Path) -> None:
    """Only the order of RECORD's lines is set aside, and only in RECORD."""
    one, other = zip_bytes(Entry(RECORD, b"a,,\nb,,\n")), zip_bytes(Entry(RECORD, b"a,,\nc,,\n"))
    assert "different" == compare(*pair(tmp_path, one, other))["level"]
    one, other = zip_bytes(Entry("pkg/RECORD", b"a\nb\n")), zip_bytes(Entry("pkg/RECORD", b"b\na\n"))
    assert "different" == compare(*pair(tmp_path, one, other))["level"]


def test_smallest_set_of_many(tmp_path: Path) -> None:
    """Of all subsets of all normalisations, none smaller than the reported one makes the files equal."""
    published = zip_bytes(Entry("a", LONG), Entry("b", mode=0o100664), Entry(RECORD, b"a\nb\n"))
    rebuilt = zip_bytes(
        Entry(RECORD, b"b\na\n", time=OTHER_TIME), Entry("b"), Entry("a", LONG, level=1, internal=1), comment=b"x"
    )
    paths = pair(tmp_path, published, rebuilt)
    result = compare(*paths)
    expected = [
        "zip-times",
        "zip-umask-modes",
        "zip-compression",
        "zip-text-hint",
        "zip-comment",
        "zip-order",
        "wheel-record-order",
    ]
    assert expected == result["normalisations"]
    values = archive(paths[0]), archive(paths[1])
    for size in range(len(expected)):
        enough = [
            names
            for names in combinations(ZIP, size)
            if normalised(values[0], names, ZIP) == normalised(values[1], names, ZIP)
        ]
        assert [] == enough


@pytest.mark.parametrize("name", ZIP)
def test_normalisations_are_pure_and_stable(name: str, tmp_path: Path) -> None:
    """Applying one twice gives what applying it once gives, and never touches content."""
    for index, (left, right) in enumerate(PAIRS.values()):
        path = tmp_path / str(index)
        path.write_bytes(zip_bytes(*left) if index % 2 else zip_bytes(*right))
        before = archive(str(path))
        after = ZIP[name](before)
        assert after == ZIP[name](after)
        kept = {each.raw_name: each for each in after.members}
        assert before.members
        for each in before.members:
            if each.raw_name in kept and name != "wheel-record-order":
                assert each.sha256 == kept[each.raw_name].sha256
            assert each.raw_name in kept or name == "zip-directory-entries"


def test_documentation_lists_them_all() -> None:
    """The page strangers read names exactly what the code does."""
    page = (Path(__file__).parents[2] / "docs" / "normalisations.md").read_text()
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    own = {name: function for name, function in DEB.items() if name not in TAR}
    assert [*ZIP, *TAR, *own] == listed
    for name, function in {**ZIP, **TAR, **own}.items():
        assert (function.__doc__ or "").startswith(f"``{name}``: ")
