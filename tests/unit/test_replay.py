"""What is recorded of one archive and written into another: the same bytes, or nothing."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rebuilder.programs.archive import replay_tar, replay_zip
from rebuilder.programs.archive.deflate_search import CANDIDATES, DeflateSearch
from rebuilder.programs.archive.finish_archive import REFUSED, main
from rebuilder.programs.archive.normalise_tar import TAR
from rebuilder.programs.archive.normalise_zip import ZIP
from rebuilder.programs.compare.compare_archives import compare

NAMES = ("a/x.py", "a/y.py", "a-1.dist-info/WHEEL", "a-1.dist-info/RECORD")
REGULAR = 0o100644
TEXT = b"".join(b"%d squared is %d\n" % (each, each * each) for each in range(600))


class Unseekable(io.RawIOBase):
    """A file that is only written forwards."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Append."""
        self.data += bytes(data)
        return len(data)


def wheel(
    path: Path,
    *,
    names: tuple[str, ...] = NAMES,
    second: int = 0,
    mode: int = REGULAR,
    host: int = 3,
    level: int | None = 6,
    stream: bool = False,
    contents: dict[str, bytes] | None = None,
) -> str:
    """A wheel, packed in one way or another."""
    out: Any = Unseekable() if stream else io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, name in enumerate(names):
            info = zipfile.ZipInfo(name, (2020, 1, 2, 3, 4, second + 2 * number))
            info.create_system, info.external_attr = host, mode << 16
            info.compress_type = zipfile.ZIP_STORED if level is None else zipfile.ZIP_DEFLATED
            archive.writestr(info, (contents or {}).get(name, name.encode() + TEXT), compresslevel=level)
    path.write_bytes(out.data if stream else out.getvalue())
    return str(path)


def source(
    path: Path,
    *,
    form: int = tarfile.PAX_FORMAT,
    names: tuple[str, ...] = ("x-1/a.py", "x-1/b.py", f"x-1/{'c' * 120}.py"),
    mtime: float = 1_700_000_000,
    user: str = "",
    mode: int = 0o644,
    level: int = 9,
    header: tuple[int, str] = (0, ""),
    padding: int = 0,
) -> str:
    """A source archive, packed in one way or another."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=form) as archive:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode, info.uname, info.uid = len(TEXT), mtime + number, mode, user, len(user)
            archive.addfile(info, io.BytesIO(TEXT))
    with path.open("wb") as raw, gzip.GzipFile(header[1], "wb", level, raw, mtime=header[0]) as out:
        out.write(tar.getvalue() + bytes(padding))
    return str(path)


def record_of(published: str, rebuilt: str) -> dict[str, Any]:
    """What is recorded of two archives that are equivalent."""
    found = compare(published, rebuilt)
    assert found["level"] == "equivalent", found
    return found


def finish(rebuilt: str, record: Any) -> tuple[int, bytes | None]:
    """Exit code, and what was written."""
    folder = Path(rebuilt).parent
    (folder / "record.json").write_text(json.dumps(record))
    out = folder / "out"
    code = main(["--rebuilt", rebuilt, "--record", str(folder / "record.json"), "--out", str(out)])
    return code, out.read_bytes() if out.exists() else None


ROWS = tuple(
    b"".join(b"a/%d.py,sha256=x,%d\n" % (each, each) for each in order) for order in (range(90), range(89, -1, -1))
)
ZIPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "times": ({"second": 0}, {"second": 10}),
    "order": ({"names": NAMES}, {"names": NAMES[::-1]}),
    "umask": ({"mode": 0o100664}, {}),
    "host": ({"mode": 0o100666, "host": 0}, {}),
    "level": ({"level": 9}, {"level": 1}),
    "stored": ({"level": None}, {}),
    "deflated": ({}, {"level": None}),
    "streamed": ({"stream": True}, {}),
    "not streamed": ({}, {"stream": True}),
    "rows": ({"contents": {NAMES[3]: ROWS[1]}}, {"contents": {NAMES[3]: ROWS[0]}}),
    "rows that end with CRLF": (
        {"contents": {NAMES[3]: ROWS[1].replace(b"\n", b"\r\n")}},
        {"contents": {NAMES[3]: ROWS[0].replace(b"\n", b"\r\n")}},
    ),
    "stored rows": ({"contents": {NAMES[3]: ROWS[1]}, "level": None}, {"contents": {NAMES[3]: ROWS[0]}, "level": None}),
    "rows, order and level": (
        {"contents": {NAMES[3]: ROWS[1]}, "level": 9, "names": NAMES[::-1]},
        {"contents": {NAMES[3]: ROWS[0]}, "level": None},
    ),
    "everything": (
        {"second": 4, "names": NAMES[::-1], "mode": 0o100600, "level": 1, "stream": True},
        {"level": None},
    ),
}


@pytest.mark.parametrize("pair", ZIPS.values(), ids=ZIPS)
def test_wheel(tmp_path: Path, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """What was recorded makes the published bytes of the rebuilt ones."""
    published, rebuilt = (wheel(tmp_path / name, **each) for name, each in zip("pr", pair, strict=True))
    record = record_of(published, rebuilt)["record"]
    assert (0, Path(published).read_bytes()) == finish(rebuilt, record)


TARS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "times": ({}, {"mtime": 1_600_000_000}),
    "fractions": ({"mtime": 1_700_000_000.25}, {}),
    "no fractions": ({}, {"mtime": 1_700_000_000.25}),
    "owner": ({"user": "me"}, {}),
    "umask": ({"mode": 0o664}, {}),
    "order": ({"names": ("x-1/a", "x-1/b")}, {"names": ("x-1/b", "x-1/a")}),
    "header": ({"header": (12, "x.tar")}, {}),
    "no name": ({}, {"header": (12, "x.tar")}),
    "level": ({"level": 6}, {}),
    "padding": ({"padding": 512}, {}),
}


FORMS = [
    (tarfile.PAX_FORMAT, *TARS.values()),
    # GNU tar keeps no fractions of seconds.
    (tarfile.GNU_FORMAT, *(pair for name, pair in TARS.items() if "fractions" not in name)),
]


@pytest.mark.parametrize(("form", "pair"), [(form, pair) for form, *pairs in FORMS for pair in pairs])
def test_source_archive(tmp_path: Path, form: int, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The same for source archives, whatever the dialect."""
    published, rebuilt = (source(tmp_path / name, form=form, **each) for name, each in zip("pr", pair, strict=True))
    record = record_of(published, rebuilt)["record"]
    assert (0, Path(published).read_bytes()) == finish(rebuilt, record)


def test_settings_of_zlib_are_found() -> None:
    """Each candidate finds a stream of its own; another compressor's is not found."""
    search = DeflateSearch()
    for each in CANDIDATES:
        found = search.find(TEXT, each.packed(TEXT))
        assert found is not None
        assert each.packed(TEXT) == found.packed(TEXT)
    stream = CANDIDATES[0].packed(TEXT)
    assert search.find(TEXT, stream[:-1]) is None
    assert search.find(TEXT, stream + b"\0") is None


def test_other_compressor_is_a_problem(tmp_path: Path) -> None:
    """A stream that no settings give is not written."""
    rebuilt = wheel(tmp_path / "r")
    data = Path(rebuilt).read_bytes()
    published = tmp_path / "p"
    published.write_bytes(_two_blocks(tmp_path, data))
    assert "no settings of zlib give" in record_of(str(published), rebuilt)["unwritable"]


def _two_blocks(tmp_path: Path, data: bytes) -> bytes:
    """The same wheel, with an empty block in front of each compressed stream."""
    from rebuilder.programs.archive.opening import read_archive

    (tmp_path / "copy").write_bytes(data)
    archive = read_archive(str(tmp_path / "copy")).archive
    packed = [
        replay_zip._Packed(each, b"\0\0\0\xff\xff" + found.raw, found.crc)
        for each, found in zip(archive.members, replay_zip._data(str(tmp_path / "copy")), strict=True)
    ]
    out = io.BytesIO()
    replay_zip._serialise(packed, b"", out)
    return out.getvalue()


def test_only_what_normalisations_set_aside_is_recorded() -> None:
    """Every name is that of a normalisation; contents, comments and unknown bytes are never among them."""
    assert set(replay_zip.FIELDS) < set(ZIP)
    assert set(replay_tar.FIELDS) < set(TAR)
    never = {"zip-comment", "zip-extra-fields", "zip-directory-entries", "tar-directory-entries"}
    assert not never & {*replay_zip.FIELDS, *replay_tar.FIELDS}


def test_what_is_never_written(tmp_path: Path) -> None:
    """Comments are nobody's to write: they stay a difference that is named."""
    published, rebuilt = wheel(tmp_path / "p"), wheel(tmp_path / "r")
    with zipfile.ZipFile(published, "a") as archive:
        archive.comment = b"hello"
    assert "never written" in record_of(published, rebuilt)["unwritable"]


Forge = Callable[[dict[str, Any]], Any]
SETTINGS = {"deflate": [[6, 8, 0]] * 4}
FORGED: dict[str, Forge] = {
    "executable": lambda values: values.update({"zip-umask-modes": {"external": [0o100755 << 16] * 4}}),
    "symbolic link": lambda values: values.update({"zip-umask-modes": {"external": [0o120777 << 16] * 4}}),
    "another name": lambda values: values.update({"zip-contents": {"raw_name": ["x"] * 4}}),
    "another field": lambda values: values["zip-times"].update({"raw_name": ["x"] * 4}),
    "too large": lambda values: values["zip-times"].update({"time": [1 << 32] * 4}),
    "no numbers": lambda values: values["zip-times"].update({"time": ["x"] * 4}),
    "truth": lambda values: values["zip-times"].update({"time": [True] * 4}),
    "too few": lambda values: values["zip-times"].update({"time": [0] * 3}),
    "twice the same": lambda values: values.update({"zip-order": {"order": [0, 0, 1, 2], "rank": [0, 1, 2, 3]}}),
    "a version that Python refuses": lambda values: values.update(
        {"zip-versions": {"made": [20] * 4, "needed": [99] * 4}}
    ),
    "a descriptor that is not there": lambda values: values.update(
        {"zip-flags": {"flags": [8] * 4, "descriptor": [None] * 4}}
    ),
    "encrypted": lambda values: values.update({"zip-flags": {"flags": [1] * 4, "descriptor": [None] * 4}}),
    "method": lambda values: values.update(
        {"zip-compression": {"flags": [0] * 4, "method": [12] * 4, "deflate": [None] * 4}}
    ),
    "settings": lambda values: values.update(
        {"zip-compression": {"flags": [0] * 4, "method": [8] * 4, "deflate": [[77, 8, 0]] * 4}}
    ),
    "lines of another file": lambda values: values.update(
        {"wheel-record-order": {"lines": [[1, 0], None, None, None], "flags": [0] * 4, "method": [8] * 4, **SETTINGS}}
    ),
    "a line twice": lambda values: values.update(
        {"wheel-record-order": {"lines": [None] * 3 + [[0] * 91], "flags": [0] * 4, "method": [8] * 4, **SETTINGS}}
    ),
    "lines of code": lambda values: values.update(
        {
            "wheel-record-order": {
                "lines": [[*range(599, -1, -1), 600], None, None, None],
                "flags": [0] * 4,
                "method": [8] * 4,
                **SETTINGS,
            }
        }
    ),
    "no compression for other lines": lambda values: values.update(
        {
            "wheel-record-order": {
                "lines": [None] * 3 + [[*range(89, -1, -1), 90]],
                "flags": [0] * 4,
                "method": [8] * 4,
                "deflate": [None] * 4,
            }
        }
    ),
    "privileged": lambda values: values.update({"zip-umask-modes": {"external": [0o104644 << 16] * 4}}),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_forged_records(tmp_path: Path, forge: Forge) -> None:
    """A record that says more than its normalisations set aside leaves nothing."""
    contents = {NAMES[3]: ROWS[0]}
    published, rebuilt = wheel(tmp_path / "p", contents=contents), wheel(tmp_path / "r", second=10, contents=contents)
    record = record_of(published, rebuilt)["record"]
    forge(record["values"])
    assert (REFUSED, None) == finish(rebuilt, record)


@pytest.mark.parametrize(
    "record",
    [[], {}, {"format": "tar.gz", "members": 4, "values": {}}, {"format": "zip", "members": 5, "values": {}}, "x"],
    ids=str,
)
def test_no_record_at_all(tmp_path: Path, record: Any) -> None:
    """Anything else is refused in a sentence."""
    assert (REFUSED, None) == finish(wheel(tmp_path / "r"), record)


FORGED_TARS: dict[str, Forge] = {
    "executable": lambda values: values.update({"tar-umask-modes": {"mode": [[0o755, 0]] * 3}}),
    "long user": lambda values: values.update(
        {"tar-owners": {"uid": [[0, 0]] * 3, "gid": [[0, 0]] * 3, "uname": ["61" * 40] * 3, "gname": [""] * 3}}
    ),
    "no time": lambda values: values["tar-times"].update({"pax": ["1\n9 path=x"] * 3}),
    "much padding": lambda values: values.update({"tar-padding": {"zeros": 1 << 30}}),
    "no padding": lambda values: values.update({"tar-padding": {"zeros": 512}}),
    "settings": lambda values: values.update({"gzip-compression": {"level": 2, "deflate": [6, 1, 0]}}),
    "long name": lambda values: values.update(
        {"gzip-header": {"mtime": 0, "system": 3, "text": False, "name": "61" * 400}}
    ),
}


@pytest.mark.parametrize("forge", FORGED_TARS.values(), ids=FORGED_TARS)
def test_forged_records_of_source_archives(tmp_path: Path, forge: Forge) -> None:
    """The same for source archives."""
    published, rebuilt = source(tmp_path / "p"), source(tmp_path / "r", mtime=1_600_000_000.0)
    record = record_of(published, rebuilt)["record"]
    forge(record["values"])
    code, out = finish(rebuilt, record)
    if code == 0:  # who may run a file stays the rebuilt archive's
        with tarfile.open(fileobj=io.BytesIO(out or b"")) as archive:
            assert [0o644] * 3 == [each.mode for each in archive.getmembers()]
    else:
        assert (REFUSED, None) == (code, out)


def test_contents_are_the_rebuilt_ones(tmp_path: Path) -> None:
    """A record made of one archive and written into another with other contents leaves those as they are."""
    record = record_of(wheel(tmp_path / "p"), wheel(tmp_path / "r", second=10))["record"]
    other = wheel(tmp_path / "o", second=20, contents={NAMES[0]: b"mine"})
    code, out = finish(other, record)
    assert code == 0
    with zipfile.ZipFile(io.BytesIO(out or b"")) as archive:
        assert b"mine" == archive.read(NAMES[0])
