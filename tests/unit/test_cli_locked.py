"""``rebuilder verify -r``: which files of which releases are verified, and with which digests."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from packaging.tags import sys_tags

from rebuilder.cli.verify import Names, every_file, locked_subjects
from rebuilder.errors import ExitCode, UsageError
from rebuilder.model.artifact import Subject

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
HERE = f"numpy-2.0-{next(sys_tags())}.whl"
MAC = "numpy-2.0-cp311-cp311-macosx_10_9_arm64.whl"


def names(project: str) -> dict[str, str]:
    """What an index lists."""
    return {
        "numpy": {A: MAC, B: HERE, C: "numpy-2.0.tar.gz", D: "numpy-1.0-py3-none-any.whl"},
        "idna": {A: "idna-3.10-py3-none-any.whl", B: "idna-3.10.tar.gz"},
    }.get(project, {})


def nobody(project: str) -> dict[str, str]:
    """An index that must not be asked."""
    raise AssertionError(project)


def read(
    path: Path, text: str, ask: Names = names, *, all_files: bool = False
) -> list[tuple[str | None, str | None, ExitCode | None]]:
    """File name, digest, and the exit code of what cannot be verified."""
    path.write_text(text)
    found = locked_subjects([path], ask, all_files=all_files)
    return [(each.filename, each.local_sha256, error.exit_code if error else None) for each, error in found]


def test_the_file_of_this_platform_with_its_digest(tmp_path: Path) -> None:
    """A wheel for another platform that sorts first is not taken; with --all-files everything that is locked is."""
    text = f"numpy==2.0 --hash=sha256:{A} --hash=sha256:{B} --hash=sha256:{C}\n"
    assert read(tmp_path / "requirements.txt", text) == [(HERE, B, None)]
    found = read(tmp_path / "requirements.txt", text, all_files=True)
    assert {each[0] for each in found} == {MAC, HERE, "numpy-2.0.tar.gz"}


def test_without_a_digest_the_index_says_it(tmp_path: Path) -> None:
    """A line that pins a version only; files of other versions are none of it."""
    assert read(tmp_path / "requirements.txt", "numpy==2.0\nidna==3.10\n") == [
        (HERE, B, None),
        ("idna-3.10-py3-none-any.whl", A, None),
    ]


def test_a_digest_that_the_index_does_not_list(tmp_path: Path) -> None:
    """Other bytes than those published are a difference, not a lack; what has no file is undecided."""
    path = tmp_path / "requirements.txt"
    assert read(path, f"idna==3.10 --hash=sha256:{D}\n") == [(None, None, ExitCode.DIFFERS)]
    assert read(path, "-e ./here\n") == [(None, None, ExitCode.UNDECIDED)]
    assert read(path, f"numpy==2.0 --hash=sha256:{A}\n") == [(None, None, ExitCode.UNDECIDED)]


def test_a_lock_file_that_names_its_files_asks_nobody(tmp_path: Path) -> None:
    """uv.lock has names and digests."""
    url = "https://files.example.org/idna-3.10-py3-none-any.whl"
    text = (
        'version = 1\n[[package]]\nname = "idna"\nversion = "3.10"\nsource = { registry = "https://x/simple" }\n'
        f'wheels = [{{ url = "{url}", hash = "sha256:{D}" }}]\n'
    )
    assert read(tmp_path / "uv.lock", text, nobody) == [("idna-3.10-py3-none-any.whl", D, None)]


def test_every_file_of_a_release() -> None:
    """The one for this platform first; not for what names no release."""
    subject = Subject(ecosystem="pypi", name="numpy", version="2.0", asked="pypi:numpy==2.0")
    assert [each.filename for each in every_file(subject, names)] == [HERE, "numpy-2.0.tar.gz", MAC]
    with pytest.raises(UsageError, match="does not name a release"):
        every_file(subject.replace(version=None), names)


def test_a_lock_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Wrong use, before anything is done."""
    with pytest.raises(UsageError, match="does not exist"):
        list(locked_subjects([tmp_path / "missing.txt"], nobody, all_files=False))


def test_files_of_npm_with_their_sha512(tmp_path: Path) -> None:
    """Where a lock file binds one file by it; lines of repositories are not taken for releases."""
    sha512 = hashlib.sha512(b"tarball").hexdigest()
    integrity = "sha512-" + base64.b64encode(bytes.fromhex(sha512)).decode()
    lock = tmp_path / "pnpm-lock.yaml"
    lock.write_text(
        "lockfileVersion: '9.0'\n"
        "packages:\n"
        f"  bound@1.0.0: {{resolution: {{integrity: {integrity}}}}}\n"
        "  open@1.0.0: {}\n"
        "  cloned@git+https://git.example.org/a.git#0: {resolution: {repo: https://git.example.org/a.git, type: git}}\n"
    )
    found = list(locked_subjects([lock], nobody, all_files=False))
    assert [(each.name, each.version, each.local_sha512, error is None) for each, error in found] == [
        ("bound", "1.0.0", sha512, True),
        ("open", "1.0.0", None, True),
        ("cloned", None, None, False),
    ]
