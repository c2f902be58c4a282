"""tar and compression normalisations: each removes what it names, nothing else."""

from __future__ import annotations

import bz2
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.programs.archive.normalise_search import normalised
from rebuilder.programs.archive.normalise_tar import TAR
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.compare.compare_archives import compare
from tests.fakes.archives import gzip_bytes, pair, tar_bytes, tar_member
from tests.fakes.images import zstandard

LONG = b"a line of text that deflate can do something with, a line of text, a line of text\n" * 40


def one(*, tar_format: int = tarfile.PAX_FORMAT, content: bytes = LONG, **fields: object) -> bytes:
    """A tar archive with one file."""
    return tar_bytes((tar_member("pkg-1/module.py", **fields), content), tar_format=tar_format)


def several(*names: str) -> bytes:
    """A tar archive with files of these names."""
    return tar_bytes(*((tar_member(name), name.encode()) for name in names))


PAIRS: dict[str, tuple[bytes, bytes]] = {
    "tar-times": (one(), one(mtime=1_600_000_000)),
    "tar-times: fraction": (one(), one(mtime=1_600_000_000.25)),
    "tar-owners": (one(), one(uid=1000, gid=100, uname="someone", gname="users")),
    "tar-owners: large": (one(), one(uid=1 << 40)),
    "tar-umask-modes": (one(), one(mode=0o664)),
    "tar-format": (one(), one(tar_format=tarfile.GNU_FORMAT)),
    "tar-format: long name": (
        tar_bytes(tar_member("a/" * 60 + "b")),
        tar_bytes(tar_member("a/" * 60 + "b"), tar_format=tarfile.GNU_FORMAT),
    ),
    "tar-padding": (one(), one() + bytes(5120)),
    "tar-directory-entries": (
        tar_bytes(tar_member("d/a")),
        tar_bytes(tar_member("d", type=tarfile.DIRTYPE, mode=0o755), tar_member("d/a")),
    ),
    "tar-order": (several("a", "b"), several("b", "a")),
    "gzip-header": (gzip_bytes(one()), gzip_bytes(one(), mtime=5, name=b"pkg-1.tar", system=3)),
    "gzip-compression": (gzip_bytes(one()), gzip_bytes(one(), level=1)),
    "bzip2-compression": (bz2.compress(LONG_TAR := one(content=LONG * 400)), bz2.compress(LONG_TAR, 1)),
    "xz-compression": (lzma.compress(one()), lzma.compress(one(), check=lzma.CHECK_CRC32)),
    "zstd-compression": (zstandard(one()), zstandard(one(), 1000)),
}
CONTENT: dict[str, Callable[[], bytes]] = {
    "content": lambda: one(content=LONG[:-1] + b"!"),
    "size": lambda: one(content=LONG + b"!"),
    "executable": lambda: one(mode=0o755),
    "setuid": lambda: one(mode=0o4644),
    "owner may not write": lambda: one(mode=0o444),
    "name": lambda: tar_bytes((tar_member("pkg-1/Module.py"), LONG)),
    "symbolic link": lambda: tar_bytes(tar_member("pkg-1/module.py", type=tarfile.SYMTYPE, linkname="other")),
    "hard link": lambda: tar_bytes(tar_member("pkg-1/module.py", type=tarfile.LNKTYPE, linkname="other")),
    "fifo": lambda: tar_bytes(tar_member("pkg-1/module.py", type=tarfile.FIFOTYPE)),
    "device": lambda: tar_bytes(tar_member("pkg-1/module.py", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "extended attribute": lambda: one(pax_headers={"SCHILY.xattr.security.capability": "x"}),
    "twice": lambda: tar_bytes(*[(tar_member("pkg-1/module.py"), LONG)] * 2),
}


def with_uid_field(field: bytes) -> bytes:
    """An archive in which the user number is written as these 8 bytes."""
    data = bytearray(one())
    data[108:116] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def test_odd_numbers_keep_their_bytes(tmp_path: Path) -> None:
    """Bytes that hide behind the end of a number make another archive, and belong to its owner field or its form."""
    result = compare(*pair(tmp_path, with_uid_field(b"0\0aaaaaa"), with_uid_field(b"0\0bbbbbb")))
    assert ("equivalent", ["tar-owners"]) == (result["level"], result["normalisations"])
    assert "different" != compare(*pair(tmp_path, one(), with_uid_field(b"     0 \0")))["level"]


@pytest.mark.parametrize("label", PAIRS)
def test_each_normalisation_is_found_alone(label: str, tmp_path: Path) -> None:
    """A difference of one kind needs exactly the normalisation of that name, in both directions."""
    left, right = PAIRS[label]
    for published, rebuilt in ((left, right), (right, left)):
        result = compare(*pair(tmp_path, published, rebuilt))
        assert ("equivalent", [label.split(":", maxsplit=1)[0]]) == (result["level"], result["normalisations"])
        assert result["differences_total"] >= 1


def test_every_normalisation_has_a_case() -> None:
    """Nothing in the list is untested."""
    assert set(TAR) == {label.split(":", maxsplit=1)[0] for label in PAIRS}


@pytest.mark.parametrize("label", PAIRS)
def test_no_other_normalisation_hides_it(label: str, tmp_path: Path) -> None:
    """All others together leave the difference standing; only dialects also hold times and owners in their own form."""
    name = label.split(":", maxsplit=1)[0]
    others = [each for each in TAR if each != name]
    left, right = (read_archive(path).archive for path in pair(tmp_path, *PAIRS[label]))
    assert normalised(left, others, TAR) != normalised(right, others, TAR)


@pytest.mark.parametrize("label", CONTENT)
@pytest.mark.parametrize("wrap", [lambda data: data, gzip_bytes], ids=["tar", "tar.gz"])
def test_content_is_never_normalised(label: str, wrap: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Contents, names, executable bits, kinds, links and attributes always count."""
    result = compare(*pair(tmp_path, wrap(one()), wrap(CONTENT[label]())))
    assert "different" == result["level"], result
    assert result["differences"]
    assert result["problem"] is None


def test_link_targets_count(tmp_path: Path) -> None:
    """Another target is another content."""
    links = [tar_bytes(tar_member("a", type=tarfile.SYMTYPE, linkname=target)) for target in ("b", "c")]
    result = compare(*pair(tmp_path, links[0], links[1]))
    assert [{"member": "a", "change": "link", "detail": "Published links to “b”, rebuilt to “c”."}] == result[
        "differences"
    ]


def test_several_at_once(tmp_path: Path) -> None:
    """The set is the union of what each difference needs."""
    published = gzip_bytes(one(), mtime=7)
    rebuilt = gzip_bytes(one(uid=5, mode=0o664, tar_format=tarfile.GNU_FORMAT), mtime=8, level=9)
    result = compare(*pair(tmp_path, published, rebuilt))
    assert ["tar-owners", "tar-umask-modes", "tar-format", "gzip-header", "gzip-compression"] == result[
        "normalisations"
    ]


def test_times_in_extensions_need_no_other_name(tmp_path: Path) -> None:
    """A pax header that only holds times goes with the times, a longer one stays."""
    kept = {"comment": "kept"}
    result = compare(*pair(tmp_path, one(mtime=1.5, pax_headers=kept), one(mtime=2.5, pax_headers=kept)))
    assert ["tar-times"] == result["normalisations"]


@pytest.mark.parametrize("fields", [{"mode": 0o1777}, {"mode": 0o700}, {"pax_headers": {"SCHILY.acl.access": "x"}}])
def test_unusual_directories_count(fields: dict[str, object], tmp_path: Path) -> None:
    """A directory entry with a mode or attributes of its own is content; so is one that is empty."""
    directory = tar_member("d", **({"type": tarfile.DIRTYPE, "mode": 0o755} | fields))
    result = compare(*pair(tmp_path, several("d/a"), tar_bytes(directory, (tar_member("d/a"), b"d/a"))))
    assert "different" == result["level"]
    empty = tar_member("e", type=tarfile.DIRTYPE, mode=0o755)
    assert "different" == compare(*pair(tmp_path, several("a"), tar_bytes((tar_member("a"), b"a"), empty)))["level"]


def test_order_with_hard_links_counts(tmp_path: Path) -> None:
    """A hard link must follow its target."""
    target, link = (tar_member("b"), b"x"), tar_member("a", type=tarfile.LNKTYPE, linkname="b")
    result = compare(*pair(tmp_path, tar_bytes(target, link), tar_bytes(link, target)))
    assert "different" == result["level"]


def test_formats_are_not_mixed(tmp_path: Path) -> None:
    """A plain and a compressed archive are different files, and the sentence names both formats."""
    result = compare(*pair(tmp_path, one(), gzip_bytes(one())))
    assert "The published file is of format tar, the rebuilt file of format tar.gz." == result["problem"]
