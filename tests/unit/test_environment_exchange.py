"""Build environments as files: the same bytes each time, and nothing of a hostile one is kept."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.environments import exchange
from rebuilder.environments.settle import level
from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.tree import listing
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError, UsageError
from rebuilder.model.environment import Made, Manifest
from rebuilder.model.settings import InterpreterSettings
from tests.fakes.clock import FixedClock
from tests.fakes.environments import PACKAGE, TinyMaker, plant


class LongMaker(TinyMaker):
    """Trees with what is hard to write down: long names, names that are no text, empty files, absolute links."""

    def __call__(self, spec: Manifest, root: Path) -> Made:
        """Make one."""
        plant(root)
        deep = root / ("d" * 90) / ("e" * 90)
        deep.mkdir(parents=True)
        (deep / ("f" * 200)).write_text("long\n")
        (deep / "link").symlink_to("../" * 2 + "g" * 180)
        (root / "etc" / os.fsdecode(b"\xff \xc3\xa9%")).write_bytes(b"")
        (root / "etc" / "program").symlink_to("/usr/bin/python3")
        (root / "etc" / "block").write_bytes(bytes(512))
        level(root)
        return Made(packages=(PACKAGE,), tool="a test", sources=("deb http://mirror.example.org/debian trixie main",))


def store(root: Path, maker: TinyMaker | None = None) -> EnvironmentStore:
    """A store."""
    return EnvironmentStore(root, FixedClock(), maker=maker or LongMaker())


def exported(tmp_path: Path) -> tuple[str, Path]:
    """An environment in a file, and its digest."""
    there = store(tmp_path / "there")
    sha256 = there.get("trixie").sha256
    there.export(sha256, tmp_path / "export")
    return sha256, tmp_path / "export"


def left(root: Path) -> list[str]:
    """Everything a store holds but its locks and directories."""
    return [str(each) for each in root.rglob("*") if not each.is_dir() and not each.name.startswith(".")]


def test_there_and_back(tmp_path: Path) -> None:
    """Another machine has it by its digest, entry by entry, no name stands for it, and it exports the same bytes."""
    sha256, file = exported(tmp_path)
    here = store(tmp_path / "here")
    found = here.import_(file)
    assert (sha256, "trixie", ("python3 3.13.5-1",)) == (found.sha256, found.name, found.summary.packages)
    assert listing(found.root) == listing(store(tmp_path / "there").by_digest(sha256).root)
    assert found == here.by_digest(sha256) == store(tmp_path / "here").by_digest(sha256)
    assert not (tmp_path / "here/current").exists()
    assert [()] == [each.names for each in here.kept_trees()]
    here.export(sha256, tmp_path / "again")
    assert file.read_bytes() == (tmp_path / "again").read_bytes()
    assert [] == list((tmp_path / "here/making").glob("[!.]*"))


def test_any_tar_reads_it(tmp_path: Path) -> None:
    """The specification lies inside, first; nothing in it is about the machine it is from."""
    sha256, file = exported(tmp_path)
    with tarfile.open(file) as archive:
        names = archive.getnames()
        document = archive.extractfile("environment.json")
        assert document is not None
        record = json.load(document)
    assert ["environment.json", "listing", "root"] == names[:3]
    assert {"root/usr/bin/python3.13", f"root/{'d' * 90}/{'e' * 90}/{'f' * 200}"} <= set(names)
    assert (sha256, [PACKAGE.document()]) == (record["sha256"], record["made"]["packages"])
    assert b"mirror.example.org" not in file.read_bytes()


def test_where_given_files_lay_stays_here(tmp_path: Path) -> None:
    """A Python of the settings: its digest goes along, its place does not."""
    python = InterpreterSettings(version="3.12", archive="/home/somebody/python.tar", sha256="cd" * 32)
    manifest = Manifest(name="mine", suite="trixie", packages=(), provides={"python": "3.12"}, interpreter=python)
    there = store(tmp_path / "there")
    there.export(there.get(manifest).sha256, tmp_path / "export")
    assert b"somebody" not in (tmp_path / "export").read_bytes()
    found = store(tmp_path / "here").import_(tmp_path / "export")
    assert ({"python": "3.12"}, "image") == (found.provides, found.specification and found.specification.method)
    assert found.specification is not None
    assert found.specification.image is not None
    assert "cd" * 32 == found.specification.image.sha256


def test_umask(tmp_path: Path) -> None:
    """Whatever the umask, what is imported is there for the users builds run as."""
    _, file = exported(tmp_path)
    before = os.umask(0o077)
    try:
        found = store(tmp_path / "here").import_(file)
    finally:
        os.umask(before)
    for place in (found.root, found.root.parent, found.root.parent.parent, tmp_path / "here"):
        assert 0o755 == place.stat().st_mode & 0o777, place


def test_imported_twice(tmp_path: Path) -> None:
    """The second time nothing changes; a damaged tree is not taken for a good one."""
    _, file = exported(tmp_path)
    here = store(tmp_path / "here")
    found = here.import_(file)
    assert found == here.import_(file)
    (found.root / "etc/passwd").write_text("other")
    with pytest.raises(CorruptEnvironmentError, match="etc/passwd was changed"):
        here.import_(file)


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    """An unknown digest, a file that is there, a directory that is not, a modified tree: one sentence, and no file."""
    there = store(tmp_path / "there")
    found = there.get("trixie")
    with pytest.raises(BuildEnvironmentError, match="no build environment with the digest 0000"):
        there.export("0" * 64, tmp_path / "x")
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        there.export(found.sha256, tmp_path / "mine")
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        there.export(found.sha256, tmp_path / "none" / "x")
    (found.root / "etc/passwd").write_text("other")
    with pytest.raises(CorruptEnvironmentError, match="etc/passwd was changed"):
        there.export(found.sha256, tmp_path / "x")
    assert "mine" == (tmp_path / "mine").read_text()
    assert ["mine", "there"] == sorted(each.name for each in tmp_path.iterdir())


def hostile(
    lines: list[str], *members: tuple[tarfile.TarInfo, bytes], sha256: str | None = None, times: bool = False
) -> bytes:
    """An export with any listing and any members."""
    text = "".join(f"{line}\n" for line in lines).encode()
    kept = {"configured": True, "package_times": True} if times else {}
    spec = {"name": "trixie", "suite": "trixie", "packages": [], **kept}
    record = {
        "sha256": sha256 or hashlib.sha256(text).hexdigest(),
        "spec": spec,
        "made": {"packages": []},
        "made_at": "2026-11-01T00:00:00Z",
        "recipe": 2,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in (("environment.json", json.dumps(record).encode()), ("listing", text)):
            archive.addfile(member(name, size=len(data)), io.BytesIO(data))
        for each, data in members:
            archive.addfile(each, io.BytesIO(data))
        end = archive.offset
    return out.getvalue()[:end] + bytes(1024)


def member(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "", time: int = 946_684_800
) -> tarfile.TarInfo:
    """A member as exports have them."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mtime = kind, size, link, time
    info.mode = {tarfile.DIRTYPE: 0o755, tarfile.SYMTYPE: 0o777}.get(kind, 0o644)
    return info


TOP = "d 0755 ."
ROOT = (member("root", tarfile.DIRTYPE), b"")
EMPTY = "f 0644 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "its listing is not one"),
        ([EMPTY + " a"], "its listing is not one"),
        ([TOP, EMPTY + " /etc/evil"], "'/etc/evil' is not a path"),
        ([TOP, EMPTY + " ../evil"], "'../evil' is not a path"),
        ([TOP, "d 0755 a", EMPTY + " a/../../evil"], "'a/../../evil' is not a path"),
        ([TOP, EMPTY + " %2e%2e/evil"], "'../evil' is not a path"),
        ([TOP, EMPTY + " a%00b"], "is not a path"),
        ([TOP, EMPTY + " " + "a" * 256], "is not a path"),
        ([TOP, EMPTY + " a/b"], "'a/b' is below no directory"),
        ([TOP, "l /etc a", EMPTY + " a/b"], "'a/b' is below no directory"),
        ([TOP, EMPTY + " b", EMPTY + " a"], "'a' is there twice"),
        ([TOP, EMPTY + " a", EMPTY + " a"], "'a' is there twice"),
        ([TOP, "l ../../etc/passwd a"], "the link 'a' leads out of it"),
        ([TOP, "l /../etc a"], "the link 'a' leads out of it"),
        ([TOP, "l a%00b c"], "the link 'c' leads out of it"),
        ([TOP, "c 0644 1 3 null"], "is of no entry"),
        ([TOP, "p 0644 pipe"], "is of no entry"),
        ([TOP, EMPTY.replace("0644", "4755") + " su"], "is of no entry"),
        ([TOP, EMPTY + " a b"], "is of no entry"),
        ([TOP, "l /etc build"], "'build' is not a directory"),
        ([TOP, EMPTY + " tmp"], "'tmp' is not a directory"),
        ([TOP, f"f 0644 {5 << 30} {'0' * 64} a"], "it has more than 4 GB"),
        ([TOP, EMPTY + " a"], "'a' is not there"),
        ([TOP, EMPTY.replace("f", "f@0", 1) + " a"], "a time that no entry"),
        ([TOP, EMPTY.replace("f", "f@2147483647", 1) + " a"], "a time that no entry"),
        ([TOP, "l@99999999999 a b"], "is of no entry"),
        ([TOP, "l@-5 a b"], "is of no entry"),
        ([TOP, "d@5 0755 a"], "is of no entry"),
        ([TOP, "d@5 0755 ."], "is of no entry"),
    ],
)
def test_hostile_listings(tmp_path: Path, lines: list[str], words: str) -> None:
    """What no environment has is told before any of it is written, and nothing stays."""
    file = tmp_path / "export"
    file.write_bytes(hostile(lines, ROOT))
    refused(tmp_path, file, words)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([(member("/etc/evil"), b"")], "'a' is not there"),
        ([(member("root/../evil"), b"")], "'a' is not there"),
        ([(member("root/a", tarfile.CHRTYPE), b"")], "'a' is not there"),
        ([(member("root/a", tarfile.LNKTYPE, link="/etc/passwd"), b"")], "'a' is not there"),
        ([(member("root/a", tarfile.SYMTYPE, link="/etc/passwd"), b"")], "'a' is not there"),
        ([(member("root/a", size=3), b"abd")], "'a' has other bytes"),
        ([(member("root/a", size=4), b"abcd")], "'a' is not there"),
        ([(member("root/a", size=3), b"abc"), (member("root/b"), b"")], "it has something where"),
    ],
)
def test_hostile_members(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], words: str) -> None:
    """Anything but the very bytes that follow from the listing ends it."""
    line = f"f 0644 3 {hashlib.sha256(b'abc').hexdigest()} a"
    file = tmp_path / "export"
    file.write_bytes(hostile([TOP, line], ROOT, *members))
    refused(tmp_path, file, words)


TIMED = EMPTY.replace("f", "f@5", 1)


@pytest.mark.parametrize(
    ("line", "time", "times", "words"),
    [
        (TIMED, 946_684_800, True, "'a' is not there"),
        (TIMED, 6, True, "'a' is not there"),
        (EMPTY, 5, True, "'a' is not there"),
        (TIMED, 5, False, "is not one that a tree"),
        (TIMED.replace("5", "05", 1), 5, True, "is not one that a tree"),
        (TIMED.replace("5", "946684800", 1), 946_684_800, True, "is not one that a tree"),
    ],
)
def test_times_that_its_listing_does_not_say(tmp_path: Path, line: str, time: int, times: bool, words: str) -> None:
    """Each member has the time of its line; only what keeps times of packages has any, each spelt in one way."""
    file = tmp_path / "export"
    file.write_bytes(hostile([TOP, f"{line} a"], ROOT, (member("root/a", time=time), b""), times=times))
    refused(tmp_path, file, words)


def test_times_of_packages_go_along(tmp_path: Path) -> None:
    """Files and links have them there, too; directories have the one time."""
    file = tmp_path / "export"
    lines = [TOP, "d 0755 a", f"{TIMED} a/b", "l@2147483646 /a/b c"]
    link = member("root/c", tarfile.SYMTYPE, link="/a/b", time=2_147_483_646)
    members = (ROOT, (member("root/a", tarfile.DIRTYPE), b""), (member("root/a/b", time=5), b""), (link, b""))
    file.write_bytes(hostile(lines, *members, times=True))
    here = store(tmp_path / "here")
    found = here.import_(file)
    times = [int((found.root / name).lstat().st_mtime) for name in (".", "a", "a/b", "c")]
    assert [946_684_800, 946_684_800, 5, 2_147_483_646] == times
    here.export(found.sha256, tmp_path / "again")
    here_too = store(tmp_path / "there").import_(tmp_path / "again")
    assert (found.sha256, listing(found.root, times=True)) == (here_too.sha256, listing(here_too.root, times=True))


def refused(tmp_path: Path, file: Path, words: str) -> None:
    """The import fails with one sentence that has the words, and the store is as empty as before."""
    with pytest.raises(UsageError) as caught:
        store(tmp_path / "here").import_(file)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{file} is no export")
    assert "\n" not in str(caught.value)
    assert [] == left(tmp_path / "here")
    assert [] == list((tmp_path / "here/making").glob("[!.]*"))


def test_a_listing_in_another_spelling(tmp_path: Path) -> None:
    """One tree has one listing: one that says the same otherwise is not its digest."""
    file = tmp_path / "export"
    file.write_bytes(hostile([TOP, EMPTY + " %61"], ROOT, (member("root/a"), b"")))
    refused(tmp_path, file, "is not one that a tree")


CHANGES: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda _: b"", "it is cut short"),
    (lambda _: b"no archive, but as long as a block" * 32, "it is not one"),
    (lambda data: data[:-1], "it is cut short"),
    (lambda data: data[: len(data) // 2], "it is cut short"),
    (lambda data: data + b"\0", "it goes on after its end"),
    (lambda data: data + b"more", "it goes on after its end"),
    (lambda data: data.replace(b"an interpreter\n", b"AN interpreter\n"), "has other bytes"),
    (lambda data: data.replace(b"root/usr/bin/python3\0", b"root/usr/bin/pythan3\0"), "is not there"),
    (lambda data: data.replace(b"environment.json", b"environment.jsom"), "it is not one"),
    (lambda data: data.replace(b'"recipe":2', b'"recipe":0'), "is not what an environment"),
    (lambda data: data.replace(b'"name":"trixie"', b'"name":"../xie"'), "is not what an environment"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_damaged_exports(tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    """A file that is cut, longer, or changed anywhere is refused as a whole."""
    _, file = exported(tmp_path)
    data = change(file.read_bytes())
    assert data != file.read_bytes()
    file.write_bytes(data)
    refused(tmp_path, file, words)


def test_the_digest_is_that_of_the_listing(tmp_path: Path) -> None:
    """A good tree under another digest is refused."""
    file = tmp_path / "export"
    file.write_bytes(hostile([TOP], ROOT, sha256="ab" * 32))
    refused(tmp_path, file, "has not the digest")


def test_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit on entries, as on bytes."""
    monkeypatch.setattr(exchange, "MOST_ENTRIES", 3)
    _, file = exported_small(tmp_path)
    refused(tmp_path, file, "it has more than 3 entries")


def exported_small(tmp_path: Path) -> tuple[str, Path]:
    """An export with four entries."""
    file = tmp_path / "export"
    file.write_bytes(hostile([TOP, EMPTY + " a", EMPTY + " b", EMPTY + " c"], ROOT))
    return "", file


def test_a_head_that_is_too_large(tmp_path: Path) -> None:
    """A size in a header is no reason to read as much."""
    file = tmp_path / "export"
    file.write_bytes(member("environment.json", size=1 << 40).tobuf(tarfile.GNU_FORMAT))
    refused(tmp_path, file, "its environment.json is too large")


@pytest.mark.parametrize("name", ["none", "."])
def test_no_file_at_all(tmp_path: Path, name: str) -> None:
    """What cannot be read is told as that."""
    with pytest.raises(UsageError, match="cannot be read"):
        store(tmp_path / "here").import_(tmp_path / name)


BELOW = "".join(f"{line}\n" for line in (TOP, "d 0755 a", f"{EMPTY} a/file", "d 0755 proc", f"{EMPTY} z")).encode()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["x a/none"], "hides 'a/none', which the one below has not"),
        (["x ."], "'.' is not a path inside it"),
        (["x a/../z"], "is not a path inside it"),
        (["x %2Fz"], "is not a path inside it"),
        (["x z", "x z"], "there twice or out of order"),
        (["x z", f"{EMPTY} z"], "there twice or out of order"),
        ([f"{EMPTY} z", "x z"], "there twice or out of order"),
        (["x z", "x a"], "there twice or out of order"),
        (["x a", "x a/file"], "'a/file' is not to be hidden"),
        (["x proc"], "'proc' is not to be hidden"),
        (["l /etc proc"], "'proc' is not a directory"),
        (["x 0644 z"], "of no entry"),
        ([f"base {'ab' * 32}"], "of no entry"),
    ],
)
def test_what_lies_over_another_and_may_not(lines: list[str], words: str) -> None:
    """Whiteouts hide what is there, once, in order, and nothing that a build needs to begin."""
    text = "".join(f"{line}\n" for line in (f"base {'ab' * 32}", TOP, *lines))
    with pytest.raises(exchange.NotAnExportError, match=re.escape(words)):
        exchange.check(text.encode(), BELOW)


def test_what_may_lie_over_another() -> None:
    """A directory in the place of one that is hidden; a link whose name looks like the first line changes nothing."""
    digest = "ab" * 32
    text = f"base {digest}\n{TOP}\nd 0755 a\nx a\n{EMPTY} a/other\nl base {'cd' * 32}\nx z\n".encode()
    exchange.check(text, BELOW)
    assert digest == exchange.base_of(text)
    assert exchange.base_of(BELOW) is None
    plain = text.partition(b"\n")[2]
    assert exchange.base_of(plain) is None
    with pytest.raises(exchange.NotAnExportError, match="of no entry"):
        exchange.check(plain)
