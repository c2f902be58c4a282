"""Comparing archives: every byte counts, and the sentences say what differs."""

from __future__ import annotations

import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebuilder.model.comparison import Difference
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.compare.compare_archives import LOOK_BYTES, LOOK_TOTAL, SHOWN, compare
from tests.fakes.archives import Entry, gzip_bytes, tar_bytes, tar_member, zip_bytes

SAMPLES = {
    "zip": zip_bytes(
        Entry(),
        Entry("pkg/", b"", mode=0o40755, method=0),
        Entry("a-1.dist-info/RECORD", b"b\na\n", descriptor=True, extra=struct.pack("<HHBl", 0x5455, 5, 1, 7)),
        Entry("link", b"pkg", mode=0o120777, zip64=True, gap=b"gap", slack=b"xx"),
        prefix=b"#!x\n",
        comment=b"hello",
        trailing=b"zz",
        before_directory=b"q",
    ),
    "tar.gz": gzip_bytes(tar_bytes((tar_member("p/" + "x" * 120, mtime=1.5, uname="me"), b"hello")), name=b"p.tar"),
    "tar": tar_bytes((tar_member("p/" + "x" * 120, mtime=1.5, uname="me"), b"hello"), tar_format=tarfile.GNU_FORMAT)[
        : 6 * 512
    ],
}


def judge(directory: Path, published: bytes, rebuilt: bytes) -> dict[str, Any]:
    """The result of comparing some bytes."""
    paths = directory / "published", directory / "rebuilt"
    paths[0].write_bytes(published)
    paths[1].write_bytes(rebuilt)
    return compare(str(paths[0]), str(paths[1]))


@pytest.mark.parametrize("label", SAMPLES)
def test_every_byte_is_accounted_for(label: str, tmp_path: Path) -> None:
    """Change any byte: the file becomes unreadable or another value. So equal values mean equal files."""
    path = tmp_path / "file"
    data = SAMPLES[label]
    path.write_bytes(data)
    before = read_archive(str(path))
    assert before.readable, before.problems
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= 0x01
        path.write_bytes(changed)
        after = read_archive(str(path))
        assert not after.readable or after.archive != before.archive, index


@pytest.mark.parametrize("label", SAMPLES)
def test_a_shorter_file_is_another_value(label: str, tmp_path: Path) -> None:
    """The same for bytes that are missing at the end, or added."""
    path = tmp_path / "file"
    data = SAMPLES[label]
    path.write_bytes(data)
    before = read_archive(str(path))
    for other in (*(data[:length] for length in range(0, len(data), 3)), data + b"\0", data + b"x"):
        path.write_bytes(other)
        after = read_archive(str(path))
        assert not after.readable or after.archive != before.archive, len(other)


def test_differences_give_both_sides(tmp_path: Path) -> None:
    """One row per member that differs, in sentences."""
    published = zip_bytes(
        Entry("both", b"1\n2\n3\n"), Entry("gone"), Entry("mode", mode=0o100755), Entry("link", b"a", mode=0o120777)
    )
    rebuilt = zip_bytes(
        Entry("both", b"1\n2\nfour\n"), Entry("mode"), Entry("new", b"x"), Entry("link", b"a", mode=0o100644)
    )
    result = judge(tmp_path, published, rebuilt)
    assert [
        (
            "both",
            "content",
            "Published 6 bytes, rebuilt 9 bytes. First difference in line 3: published “3”, rebuilt “four”.",
        ),
        ("gone", "missing", "Only in the published file: a file of 15 bytes."),
        ("link", "kind", "Published a symlink to “a”, rebuilt a file of 1 bytes."),
        ("mode", "mode", "Mode: published 100755, rebuilt 100644."),
        ("new", "added", "Only in the rebuilt file: a file of 1 bytes."),
    ] == [(each["member"], each["change"], each["detail"]) for each in result["differences"]]
    assert 5 == result["differences_total"]


@pytest.mark.parametrize(
    ("published", "rebuilt", "expected"),
    [
        (b"a\r\nb\r\n", b"a\nb\n", "Only line ends differ: published 2 CRLF and 0 LF, rebuilt 0 CRLF and 2 LF."),
        (b"a\nb\n", b"b\na\n", "The same lines in another order. Line 1: published “a”, rebuilt “b”."),
        (b"\0\1\2", b"\0\1\3", "First difference at byte 2."),
        (b"a\n", b"a\nb\n", "First difference in line 2: published ends before it, rebuilt “b”."),
        (b"\x1b[31m\n", b"\x07\n", "published “\\x1b[31m”, rebuilt “\\x07”."),
        ("ä\n".encode(), "ö\n".encode(), "First difference in line 1: published “ä”, rebuilt “ö”."),
        (b"x" * 600_000 + b"a", b"x" * 600_000 + b"b", "The first 524,288 bytes are the same."),
        (b"y" * 300, b"z" * 300, "published “" + "y" * 99 + "…”, rebuilt “" + "z" * 99 + "…”."),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_content_is_looked_into(published: bytes, rebuilt: bytes, expected: str, kind: str, tmp_path: Path) -> None:
    """The sentence says where it begins to differ, with nothing in it that could act on a terminal."""

    def archive(content: bytes) -> bytes:
        if kind == "zip":
            return zip_bytes(Entry("a", content))
        return gzip_bytes(tar_bytes((tar_member("a"), content)))

    (difference,) = judge(tmp_path, archive(published), archive(rebuilt))["differences"]
    assert difference["detail"].endswith(expected)
    assert difference["detail"].isprintable()


def test_compressed_text_is_looked_into(tmp_path: Path) -> None:
    """Where the compression is the same: another header, or a bomb, is told as the bytes that it is."""

    def told(published: bytes, rebuilt: bytes) -> Difference:
        [found] = judge(tmp_path, *(tar_bytes((tar_member("a.gz"), each)) for each in (published, rebuilt)))[
            "differences"
        ]
        return Difference.model_validate(found)

    found = told(gzip_bytes(b"one\ntwo\n"), gzip_bytes(b"one\n2\n"))
    assert found.content is not None
    assert (True, ("two",), ("2",)) == (found.content.text, found.content.published, found.content.rebuilt)
    assert "Decompressed" in found.detail
    for other in (gzip_bytes(b"one\n2\n", name=b"a"), gzip_bytes(b"2" * 2 * LOOK_BYTES), gzip_bytes(b"2") + b"x", b"2"):
        found = told(gzip_bytes(b"one\ntwo\n"), other)
        assert found.content is None or not found.content.text
        assert "Decompressed" not in found.detail


def test_lists_are_cut_and_counted(tmp_path: Path) -> None:
    """A page stays a page; the total stays true."""
    published = zip_bytes(*(Entry(f"{index}", b"a") for index in range(SHOWN + 20)))
    rebuilt = zip_bytes(*(Entry(f"{index}", b"b") for index in range(SHOWN + 20)))
    result = judge(tmp_path, published, rebuilt)
    assert (SHOWN, SHOWN + 20) == (len(result["differences"]), result["differences_total"])


def test_small_members_are_handed_back_before_large_ones(tmp_path: Path) -> None:
    """What says how a wheel was built stands at its end, after whatever many files it has; the order stays."""
    names = [*(f"a/{index:04}" for index in range(SHOWN + 5)), "x.dist-info/METADATA"]
    sides = [zip_bytes(*(Entry(name, side * (30 if "/0" in name else 1)) for name in names)) for side in (b"a", b"b")]
    result = judge(tmp_path, *sides)
    found = [each["member"] for each in result["differences"][:SHOWN]]
    assert "x.dist-info/METADATA" == found[-1]
    assert names[: SHOWN - 1] == found[:-1]
    assert SHOWN + 6 == result["differences_total"]


def test_a_long_list_of_files_is_read_to_its_end(tmp_path: Path) -> None:
    """Beyond what is looked into of other members: the one row that differs is found."""
    rows = [f"a/{index:06},sha256={'x' * 43},1\n" for index in range(12_000)]
    record, other = "".join(rows).encode(), "".join([*rows[:-1], "b,,\n"]).encode()
    assert len(record) > LOOK_BYTES
    name = "x.dist-info/RECORD"
    (found,) = judge(tmp_path, zip_bytes(Entry(name, record)), zip_bytes(Entry(name, other)))["differences"]
    assert (["b,,"], 1) == (found["content"]["rebuilt"], found["content"]["published_total"])
    (found,) = judge(tmp_path, zip_bytes(Entry("list", record)), zip_bytes(Entry("list", other)))["differences"]
    assert "content" not in found


@pytest.mark.parametrize(("cut", "side"), [(0, "published"), (1, "rebuilt")])
def test_unreadable_side_is_named(cut: int, side: str, tmp_path: Path) -> None:
    """A damaged archive is different, never equivalent, and the problem says which and why."""
    files = [zip_bytes(Entry()), zip_bytes(Entry(time=0))]
    files[cut] = files[cut][:-4]
    result = judge(tmp_path, files[0], files[1])
    assert "different" == result["level"]
    assert result["problem"].startswith(f"The {side} file cannot be read")


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    """Other bytes are different, with a reason."""
    assert "neither a ZIP nor a tar" in judge(tmp_path, b"a", b"b")["problem"]


NAMES = st.lists(st.from_regex(r"[a-d]{1,3}(/[a-d]{1,3})?", fullmatch=True), min_size=1, max_size=6, unique=True)
CONTENTS = st.binary(min_size=1, max_size=60)
METADATA = {
    "zip-times": st.builds(lambda time: {"time": time}, st.integers(min_value=1, max_value=0xFFFFFFFF)),
    "zip-umask-modes": st.just({"mode": 0o100664}),
    "zip-text-hint": st.just({"internal": 1}),
    "zip-flags": st.just({"descriptor": True}),
    "zip-versions": st.just({"made": 63}),
    "zip-comment": st.just({"comment": b"c"}),
}


def distinct(names: list[str]) -> list[str]:
    """Names of which none is a directory of another."""
    parents = {name.split("/")[0] for name in names if "/" in name}
    return [name for name in names if name not in parents]


@settings(deadline=None, max_examples=60)
@given(names=NAMES, contents=st.lists(CONTENTS, min_size=6, max_size=6), data=st.data())
def test_any_changed_content_is_a_difference(
    names: list[str], contents: list[bytes], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One byte of one member, among any changes of metadata: always different, and that member is named."""
    names = distinct(names)
    published = [Entry(name, content) for name, content in zip(names, contents, strict=False)]
    chosen = data.draw(st.integers(0, len(published) - 1))
    content = bytearray(published[chosen].content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    fields = data.draw(st.one_of(*METADATA.values()))
    rebuilt = [each._replace(**fields) for each in published]
    rebuilt[chosen] = rebuilt[chosen]._replace(content=bytes(content))
    result = judge(tmp_path_factory.mktemp("pair"), zip_bytes(*published), zip_bytes(*rebuilt))
    assert ("different", [(names[chosen], "content")]) == (
        result["level"],
        [(each["member"], each["change"]) for each in result["differences"]],
    )


@settings(deadline=None, max_examples=60)
@given(names=NAMES, contents=st.lists(CONTENTS, min_size=6, max_size=6), data=st.data())
def test_changes_of_metadata_are_named_exactly(
    names: list[str], contents: list[bytes], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any combination of metadata changes gives equivalent with exactly those names."""
    names = distinct(names)
    published = [Entry(name, content) for name, content in zip(names, contents, strict=False)]
    chosen = data.draw(st.sets(st.sampled_from(sorted(METADATA))))
    rebuilt = list(published)
    for name in chosen:
        fields = data.draw(METADATA[name])
        rebuilt = [each._replace(**fields) for each in rebuilt]
        if "time" in fields and fields["time"] == published[0].time:
            chosen = chosen - {name}
    expected = set(chosen)
    if data.draw(st.booleans()):
        rebuilt.reverse()
        expected |= {"zip-order"} if len(rebuilt) > 1 else set()
    result = judge(tmp_path_factory.mktemp("pair"), zip_bytes(*published), zip_bytes(*rebuilt))
    assert ("equivalent" if expected else "identical", expected) == (result["level"], set(result["normalisations"]))


@settings(deadline=None, max_examples=60)
@given(left=st.binary(max_size=300), right=st.binary(max_size=300), start=st.sampled_from([b"", *SAMPLES.values()]))
def test_any_bytes_give_a_result(
    left: bytes, right: bytes, start: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the files hold, there is an answer, and it is never equivalent for what cannot be read."""
    result = judge(tmp_path_factory.mktemp("pair"), start[: len(left)] + left, start[: len(right)] + right)
    assert result["level"] in {"identical", "different"}


@pytest.mark.parametrize(
    ("published", "rebuilt", "expected"),
    [
        (b"a\nb\nc\n", b"a\nx\nc\n", {"published": ["b"], "rebuilt": ["x"], "published_total": 1, "rebuilt_total": 1}),
        (b"a\nb\nc\n", b"c\nb\na\n", {"moved": True}),
        (b"a\r\nb\r\n", b"a\nc\n", {"line_ends": True, "published": ["b"], "rebuilt": ["c"]}),
        (b"a\na\n", b"a\n", {"published": ["a"], "rebuilt": [], "moved": False}),
        (b"\0" * 9 + b"ab", b"\0" * 9 + b"cd", {"text": False, "published": ["00 00 00 00 00 00 00 00 61 62"]}),
        (b"\x1b[31m\n", b"plain\n", {"published": ["\\x1b[31m"]}),
    ],
)
def test_the_lines_only_one_side_has_are_handed_back(
    published: bytes, rebuilt: bytes, expected: dict[str, Any], tmp_path: Path
) -> None:
    """Counted, in their order, with nothing in them that could act on a terminal."""
    (found,) = judge(tmp_path, zip_bytes(Entry("a", published)), zip_bytes(Entry("a", rebuilt)))["differences"]
    assert expected == {name: found["content"][name] for name in expected}


def test_excerpts_are_bounded(tmp_path: Path) -> None:
    """However much differs: few lines, each cut, fewer still where many members differ; the model takes all of it."""
    many = range(60)
    sides = [
        zip_bytes(*(Entry(f"m{number:02}", f"{side}{'x' * 500}\n".encode() * 50) for number in many)) for side in "ab"
    ]
    result = judge(tmp_path, *sides)
    found = [Difference.model_validate(each) for each in result["differences"]]
    contents = [each.content for each in found if each.content is not None]
    assert 60 == len(contents)
    assert [12] * 48 + [2] * 12 == [len(each.published) for each in contents]
    assert {50} == {each.published_total for each in contents}
    assert max(len(line) for each in contents for line in each.published) <= 200
    assert not any(each.complete for each in contents)


def test_nothing_is_looked_into_beyond_a_total(tmp_path: Path) -> None:
    """Members after that are told by their sizes alone."""
    size = LOOK_TOTAL // 50
    sides = [
        zip_bytes(*(Entry(f"m{number:02}", side * size, method=0) for number in range(52))) for side in (b"a", b"b")
    ]
    result = judge(tmp_path, *sides)
    assert [True] * 50 + [False] * 2 == ["content" in each for each in result["differences"]]
