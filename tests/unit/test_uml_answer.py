"""What is made of the files a User Mode Linux guest leaves, whatever is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.model.attempt import Limit
from rebuilder.sandbox.uml import answer, guest
from rebuilder.sandbox.uml.answer import Answer, Begun, not_begun, told

BEGUN = Begun(kernel="6.12")
DONE = Answer(exit_code=0, peak_bytes=4096)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[int]:
    """A descriptor of an empty directory, as the sandbox around a guest gives one."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_what_a_guest_writes_is_read(place: int, tmp_path: Path) -> None:
    """Start, end and log, the log no further than its limit."""
    (tmp_path / guest.BEGUN).write_text('{"kernel": "6.12"}')
    (tmp_path / guest.RESULT).write_text('{"exit_code": null, "limit": "memory", "peak_bytes": 4096}')
    (tmp_path / guest.LOG).write_bytes(b"0123456789")
    assert answer.begun(place) == BEGUN
    assert answer.answer(place) == Answer(limit=Limit.MEMORY, peak_bytes=4096)
    assert answer.log(place, 4) == b"0123"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"exit_code": "x"}', '{"limit": "hunger"}', '{"else": 1}', '"' + "x" * 100_000 + '"']
)
def test_anything_else_is_no_answer(place: int, tmp_path: Path, content: str) -> None:
    """What is not exactly an answer is none, and cannot be taken for an end."""
    (tmp_path / guest.RESULT).write_text(content)
    assert answer.answer(place) is None


def test_only_plain_files_are_read(place: int, tmp_path: Path) -> None:
    """Neither links out of the directory nor pipes that nobody writes to."""
    secret = tmp_path / "secret"
    secret.write_text('{"exit_code": 0}')
    (tmp_path / guest.RESULT).symlink_to(secret)
    os.mkfifo(tmp_path / guest.LOG)
    (tmp_path / guest.BEGUN).mkdir()
    assert answer.answer(place) is None
    assert answer.log(place, 100) == b""
    assert answer.begun(place) is None


@pytest.mark.parametrize(
    ("answer", "limit", "expected"),
    [
        (DONE, None, DONE),
        (Answer(limit=Limit.DISK), None, Answer(limit=Limit.DISK)),
        (None, Limit.WALL_TIME, Answer(limit=Limit.WALL_TIME)),
        (None, Limit.CPU_TIME, Answer(limit=Limit.CPU_TIME)),
        (DONE, Limit.WALL_TIME, Answer(limit=Limit.WALL_TIME)),
    ],
    ids=["done", "limit", "hangs", "runs wild", "does not halt"],
)
def test_the_end_of_a_build(answer: Answer | None, limit: Limit | None, expected: Answer) -> None:
    """A guest that hangs while a build runs in it has reached a limit."""
    assert expected == told(answer, limit, "panic")


@pytest.mark.parametrize(
    ("answer", "limit", "reason"),
    [
        (None, None, "panic"),
        (None, Limit.WALL_TIME, "wall time"),
        (DONE, None, "panic"),
        (Answer(problem="OSError: x"), None, "OSError: x"),
        (Answer(problem="a\x1b[2Jb"), None, "a⟨U+001B⟩[2Jb"),
    ],
    ids=["no boot", "boot hangs", "end without start", "problem", "terminal"],
)
def test_no_guest(answer: Answer | None, limit: Limit | None, reason: str) -> None:
    """A guest that ends before the build begins is none; nothing was tried in it."""
    assert not_begun(answer, limit, "panic").reason.endswith(f": {reason}")


@pytest.mark.parametrize(
    ("answer", "limit", "reason"),
    [
        (None, None, "broke down: panic."),
        (Answer(), None, "did not say how it ended."),
        (DONE, Limit.LOG, "broke down: log size."),
        (None, Limit.DISK, "broke down: disk"),
        (Answer(problem="OSError: x"), None, "broke down: OSError: x."),
        (Answer(problem="a\nrebuilder: b"), None, "broke down: a⟨U+000A⟩rebuilder: b."),
    ],
    ids=["panic", "empty", "console", "memory file", "problem", "lines"],
)
def test_a_guest_that_breaks_down(answer: Answer | None, limit: Limit | None, reason: str) -> None:
    """Once a build runs in it, what becomes of a guest may be its doing; so it is how the build ended."""
    ended = told(answer, limit, "panic")
    assert (None, None) == (ended.exit_code, ended.limit)
    assert reason in str(ended.broken)


def test_a_guest_cannot_say_that_it_broke_down() -> None:
    """That is concluded, and never read."""
    assert told(Answer(exit_code=0, broken="x"), None, "") == Answer(exit_code=0)


def test_the_last_words_of_a_kernel() -> None:
    """The panic and the release, and nothing of the registers."""
    said = (
        "Checking PROT_EXEC mmap in /tmp...OK Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b "
        "CPU: 0 UID: 0 PID: 1 Comm: python3 Not tainted 6.12.113 #1 Stack: 00000002 6088847b"
    )
    assert answer.last_words(said) == (
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b (Not tainted 6.12.113)"
    )
