"""The files of npm tarballs by git's names, well-formed and hostile."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from rebuilder.programs.account import list_tarball
from rebuilder.programs.account.list_tarball import below, main
from tests.fakes.archives import gzip_bytes, tar_bytes, tar_member


def listed(directory: Path, *members: tuple[str, bytes]) -> dict[str, Any]:
    """What the program says of a tarball with these members."""
    (directory / "file").write_bytes(gzip_bytes(tar_bytes(*((tar_member(name), data) for name, data in members))))
    return run(directory)


def run(directory: Path) -> dict[str, Any]:
    """What the program says of the file."""
    assert 0 == main([str(directory / "file"), "--result", str(directory / "result")])
    found: dict[str, Any] = json.loads((directory / "result").read_text())
    return found


def git_name(content: bytes) -> str:
    """As ``git hash-object`` gives it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324


def test_files_by_path_and_name(tmp_path: Path) -> None:
    """Below the first directory, whatever it is called; the manifest as text."""
    manifest = b'{"name": "x"}'
    found = listed(tmp_path, ("package/package.json", manifest), ("x/lib/a.js", b"a\n"))
    assert ["package.json", "lib/a.js"] == [each["path"] for each in found["files"]]
    assert [git_name(manifest), git_name(b"a\n")] == [each["blob"] for each in found["files"]]
    assert (manifest.decode(), None) == (found["manifest"], found["problem"])
    assert hashlib.sha256(b"a\n").hexdigest() == found["files"][1]["sha256"]


def test_the_empty_blob_is_the_one_git_knows(tmp_path: Path) -> None:
    """Against the name that stands in git's own documentation."""
    [file] = listed(tmp_path, ("package/empty", b""))["files"]
    assert "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" == file["blob"]


def test_large_files_are_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a second reading; small ones before and after them keep theirs."""
    monkeypatch.setattr(list_tarball, "_TEXT_BYTES", 1000)
    large = random.Random(1).randbytes(5000)  # noqa: S311 - the same bytes in every run
    found = listed(tmp_path, ("p/a", b"1"), ("p/large", large), ("p/b", b"2"), ("p/larger", large * 2))
    expected = [git_name(each) for each in (b"1", large, b"2", large * 2)]
    assert expected == [each["blob"] for each in found["files"]]


def test_line_ends_of_windows(tmp_path: Path) -> None:
    """Only where every line ends so, and in texts."""
    found = listed(tmp_path, ("p/a", b"1\r\n2\r\n"), ("p/b", b"1\r\n2\n"), ("p/c", b"\0\r\n"), ("p/d", b"1\n"))
    assert [git_name(b"1\n2\n"), None, None, None] == [each.get("unix_blob") for each in found["files"]]


def test_what_a_file_is_by_its_bytes(tmp_path: Path) -> None:
    """Compiled code by its beginning or its name, scripts by theirs."""
    found = listed(tmp_path, ("p/x.md", b"\x7fELF..."), ("p/y.node", b"text"), ("p/run", b"#!/bin/sh\n"), ("p/z", b"z"))
    assert [True, True, None, None] == [each.get("compiled") for each in found["files"]]
    assert [None, None, True, None] == [each.get("script") for each in found["files"]]


@pytest.mark.parametrize(
    ("name", "path"),
    [("package/a", "a"), ("./package//b/./c", "b/c"), ("a", "a"), ("package/../../x", "../../x"), ("/etc/x", "x")],
)
def test_paths_as_installers_take_them(name: str, path: str) -> None:
    """What leads out stays to be seen."""
    assert path == below(name)


def test_what_is_no_tarball(tmp_path: Path) -> None:
    """A sentence, and no files."""
    (tmp_path / "file").write_bytes(b"PK\x03\x04 and so on")
    found = run(tmp_path)
    assert ([], True) == (found["files"], found["problem"].endswith("."))
