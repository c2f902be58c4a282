"""What is made of the files a User Mode Linux guest leaves, whatever is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.errors import SandboxFaultError
from rebuilder.model.attempt import Limit
from rebuilder.sandbox import uml_answer, uml_guest
from rebuilder.sandbox.uml_answer import Answer, Begun, told

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
    (tmp_path / uml_guest.BEGUN).write_text('{"kernel": "6.12"}')
    (tmp_path / uml_guest.RESULT).write_text('{"exit_code": null, "limit": "memory", "peak_bytes": 4096}')
    (tmp_path / uml_guest.LOG).write_bytes(b"0123456789")
    assert uml_answer.begun(place) == BEGUN
    assert uml_answer.answer(place) == Answer(limit=Limit.MEMORY, peak_bytes=4096)
    assert uml_answer.log(place, 4) == b"0123"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"exit_code": "x"}', '{"limit": "hunger"}', '{"else": 1}', '"' + "x" * 100_000 + '"']
)
def test_anything_else_is_no_answer(place: int, tmp_path: Path, content: str) -> None:
    """What is not exactly an answer is none, and cannot be taken for an end."""
    (tmp_path / uml_guest.RESULT).write_text(content)
    assert uml_answer.answer(place) is None


def test_only_plain_files_are_read(place: int, tmp_path: Path) -> None:
    """Neither links out of the directory nor pipes that nobody writes to."""
    secret = tmp_path / "secret"
    secret.write_text('{"exit_code": 0}')
    (tmp_path / uml_guest.RESULT).symlink_to(secret)
    os.mkfifo(tmp_path / uml_guest.LOG)
    (tmp_path / uml_guest.BEGUN).mkdir()
    assert uml_answer.answer(place) is None
    assert uml_answer.log(place, 100) == b""
    assert uml_answer.begun(place) is None


@pytest.mark.parametrize(
    ("begun", "answer", "limit", "expected"),
    [
        (BEGUN, DONE, None, DONE),
        (BEGUN, Answer(limit=Limit.DISK), None, Answer(limit=Limit.DISK)),
        (BEGUN, None, Limit.WALL_TIME, Answer(limit=Limit.WALL_TIME)),
        (BEGUN, None, Limit.CPU_TIME, Answer(limit=Limit.CPU_TIME)),
        (BEGUN, DONE, Limit.WALL_TIME, Answer(limit=Limit.WALL_TIME)),
    ],
    ids=["done", "limit", "hangs", "runs wild", "does not halt"],
)
def test_the_end_of_a_build(begun: Begun, answer: Answer | None, limit: Limit | None, expected: Answer) -> None:
    """A guest that hangs while a build runs in it has reached a limit."""
    assert (begun, expected) == told(begun, answer, limit, "panic")


@pytest.mark.parametrize(
    ("begun", "answer", "limit", "sentence"),
    [
        (None, None, None, "did not get to the build: panic"),
        (None, None, Limit.WALL_TIME, "did not get to the build: wall time"),
        (None, DONE, None, "did not get to the build"),
        (BEGUN, None, None, "broke down while a build ran in it: panic"),
        (BEGUN, Answer(), None, "broke down"),
        (BEGUN, DONE, Limit.LOG, "broke down while a build ran in it: log size"),
        (BEGUN, None, Limit.DISK, "broke down while a build ran in it: disk"),
        (BEGUN, Answer(problem="OSError: x"), None, "failed: OSError: x"),
    ],
    ids=["no boot", "boot hangs", "end without start", "panic", "empty", "console", "memory file", "problem"],
)
def test_our_own_trouble(begun: Begun | None, answer: Answer | None, limit: Limit | None, sentence: str) -> None:
    """Whatever else happens is our fault, and never says anything about the artifact."""
    with pytest.raises(SandboxFaultError, match=sentence):
        told(begun, answer, limit, "panic")
