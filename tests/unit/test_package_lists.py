"""Names and pins from requirements files, lock files and plain lists; hostile ones too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.ecosystems.conventions import NamedPackages, matches
from rebuilder.ecosystems.registry import conventions
from rebuilder.service.schedules.reading import collect
from rebuilder.toml_files import FileError

PYLOCK = """
lock-version = "1.0"
created-by = "a tool"
[[packages]]
name = "attrs"
version = "25.1.0"
index = "https://index.example.org/simple"
sdist = { url = "https://files.example.org/attrs-25.1.0.tar.gz", hashes = { sha256 = "aa" } }
[[packages]]
name = "mine"
directory = { path = "." }
"""
UV = """
version = 1
[[package]]
name = "idna"
version = "3.10"
source = { registry = "https://index.example.org/simple" }
[[package]]
name = "mine"
version = "0.1.0"
source = { editable = "." }
[[package]]
name = "fork"
version = "1.0"
source = { git = "https://example.org/fork?rev=1#abc" }
"""
REGISTRY = b"source = { registry = 'https://index.example.org/simple' }\n"
NPM = """{"lockfileVersion": 3, "packages": {"": {"name": "mine"},
"node_modules/ms": {"version": "2.1.3", "resolved": "https://registry.example.org/ms/-/ms-2.1.3.tgz"},
"node_modules/a/node_modules/ms": {"version": "2.0.0", "resolved": "https://registry.example.org/ms/-/ms-2.0.0.tgz"},
"node_modules/fork": {"version": "1.0.0", "resolved": "git+ssh://git@example.org/x.git#abc"}}}"""
POETRY = """
[[package]]
name = "idna"
version = "3.10"
[[package]]
name = "private"
version = "2"
[package.source]
type = "legacy"
url = "https://index.example.org/simple"
[[package]]
name = "fork"
version = "1.0"
[package.source]
type = "git"
[metadata]
lock-version = "2.1"
"""


def read(path: Path, text: str | bytes, ecosystem: str = "pypi") -> NamedPackages:
    """Write a file and collect what it names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    named = NamedPackages(conventions(ecosystem))
    collect(path, named)
    return named


def test_a_lock_file_of_npm(tmp_path: Path) -> None:
    """With all versions of a package; what does not come from a registry is noted. Python's are none of npm."""
    named = read(tmp_path / "package-lock.json", NPM, "npm")
    assert {"ms": {"2.1.3", "2.0.0"}} == named.pins
    assert 1 == len(named.notes)
    for name, text, ecosystem in (("package-lock.json", NPM, "pypi"), ("uv.lock", UV, "npm")):
        with pytest.raises(FileError):
            read(tmp_path / name, text, ecosystem)


@pytest.mark.parametrize(
    ("name", "text", "pins", "notes"),
    [
        ("pylock.toml", PYLOCK, {"attrs": {"25.1.0"}}, 1),
        ("uv.lock", UV, {"idna": {"3.10"}}, 1),
        ("poetry.lock", POETRY, {"idna": {"3.10"}, "private": {"2"}}, 1),
    ],
)
def test_lock_files(tmp_path: Path, name: str, text: str, pins: dict[str, set[str]], notes: int) -> None:
    """What comes from an index is taken with its version; the project itself is not, others are noted."""
    named = read(tmp_path / name, text)
    assert pins == named.pins
    assert set(pins) == named.packages
    assert notes == len(named.notes)


def test_requirements(tmp_path: Path) -> None:
    """Pins, ranges, extras, markers, hashes over several lines, options, comments, what no index has."""
    named = read(
        tmp_path / "requirements.txt",
        "\ufeff# made by a tool\n--index-url https://index.example.org/simple\n"
        "idna==3.10 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "Flit_Core[x]>=3 ; python_version<'3'  # why\nattrs==25.*\n"
        "-e ./here\nthere @ https://example.org/there.zip\ngit+https://example.org/x#egg=x\n",
    )
    assert {"idna", "flit-core", "attrs"} == named.packages
    assert {"idna": {"3.10"}} == named.pins
    assert [8, 9, 10] == [note.line for note in named.notes]


def test_includes_stay_in_their_tree(tmp_path: Path) -> None:
    """-r is followed below the directory, in circles too, and not out of it."""
    (tmp_path / "a" / "more").mkdir(parents=True)
    (tmp_path / "a" / "more" / "dev.txt").write_text("attrs\n-r ../all.txt\n")
    named = read(tmp_path / "a" / "all.txt", "idna\n-r more/dev.txt\n")
    assert {"idna", "attrs"} == named.packages
    (tmp_path / "outside.txt").write_text("secret\n")
    (tmp_path / "a" / "link.txt").symlink_to(tmp_path / "outside.txt")
    for text in ("-r ../outside.txt", "--requirement=/etc/passwd", "-r link.txt"):
        with pytest.raises(FileError, match="outside the directory"):
            read(tmp_path / "a" / "all.txt", text)


def test_plain_lists(tmp_path: Path) -> None:
    """One name or pattern a line, of any ecosystem."""
    named = read(tmp_path / "names.txt", "# mine\nidna\ndjango-*  # all\n\n")
    assert ({"idna"}, {"django-*"}) == (named.packages, named.patterns)
    npm = read(tmp_path / "npm.list", "sigstore\n@sigstore/*\n", "npm")
    assert ({"sigstore"}, {"@sigstore/*"}) == (npm.packages, npm.patterns)


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("r.txt", b"idna\n=== what ===\n", 2, "no requirement"),
        ("r.txt", b"idna\n\xff\xfe\n", 2, "not UTF-8"),
        ("r.txt", b"idna==not-a-version\n", 1, "cannot be used"),
        ("uv.lock", b"version = 1\n[[package]\n", 2, "not readable as TOML"),
        ("x.toml", b"[tool]\n", None, "neither pylock.toml"),
        ("uv.lock", b"version = 1\npackage = 3\n", None, "not an array"),
        ("uv.lock", b"version = 1\n[[package]]\nversion = '1'\n", None, "not written as"),
        ("uv.lock", b"version = 1\n[[package]]\nname = '../../x'\n" + REGISTRY, None, "no name of a package"),
        ("uv.lock", b"version = 1\n[[package]]\nname = 'x'\nversion = 'y'\n" + REGISTRY, None, "no version of"),
        ("uv.lock", b"version = 1\n[[package]]\nname = 'x'\nversion = 3\n" + REGISTRY, None, "cannot be used"),
        ("uv.lock", b"version = 1\n[[package]]\nname = 3\n" + REGISTRY, None, "not written as"),
        ("pylock.toml", b"lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 3\n", None, "no pylock.toml"),
        ("pylock.toml", b"lock-version = '9'\ncreated-by = 'x'\npackages = []\n", None, "no pylock.toml"),
        ("pylock.toml", b"x = " + b"[" * 100_000, None, "nested too deeply"),
        ("r.txt", b"#" * (9 << 20), None, "larger than 8 MiB"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: bytes, line: int | None, words: str) -> None:
    """One sentence, with the line where there is one."""
    with pytest.raises(FileError, match=words) as caught:
        read(tmp_path / name, content)
    assert line == caught.value.remark.line


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    """A path that leads to a pipe nobody writes to is no file."""
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(FileError, match="This is no file"):
        collect(tmp_path / "pipe.txt", NamedPackages(conventions("pypi")))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [("django-*", "django-x", True), ("django-*", "django", False), ("a?c", "abc", True), ("[ab]", "a", False)],
)
def test_patterns(pattern: str, name: str, expected: bool) -> None:
    """Stars and question marks; brackets are letters like others."""
    assert expected is matches(pattern, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\npackages: {alpha@1.0.0: {}, b@file:b: {resolution: {directory: b}}}\n",
        ),
        ("yarn.lock", '# yarn lockfile v1\nalpha@^1:\n  version "1.0.0"\n"b@file:b":\n  version "0.0.0"\n'),
    ],
)
def test_lock_files_of_npm(tmp_path: Path, name: str, text: str) -> None:
    """Names and versions; what is in a directory is skipped; a lock file of another ecosystem is refused."""
    path = tmp_path / name
    path.write_text(text)
    named = NamedPackages(conventions("npm"))
    collect(path, named)
    assert (named.packages, named.pins, len(named.notes)) == ({"alpha"}, {"alpha": {"1.0.0"}}, 1)
    if path.suffix == ".lock":
        with pytest.raises(FileError, match="npm"):
            collect(path, NamedPackages(conventions("pypi")))
