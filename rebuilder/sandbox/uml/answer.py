"""What a User Mode Linux guest left in the sandbox around it, when all of its processes are gone."""

from __future__ import annotations

import os
import re
import stat
from typing import TypeVar

from pydantic import ConfigDict, ValidationError

from rebuilder.errors import NoGuestError
from rebuilder.model.attempt import Limit
from rebuilder.model.text import clipped
from rebuilder.model.value import Value
from rebuilder.sandbox.uml import guest

_ANSWER_BYTES = 64 << 10
_BACKSTOPS = frozenset({Limit.WALL_TIME, Limit.CPU_TIME, Limit.PROCESSES})
"""Limits of the sandbox around a guest that a build reaches when the guest no longer watches over it."""

_Model = TypeVar("_Model", bound=Value)


class Begun(Value):
    """What the guest wrote when the commands began."""

    model_config = ConfigDict(strict=True)

    kernel: str
    """Release of the guest's kernel."""


class Answer(Value):
    """How the guest says the run ended."""

    problem: str | None = None
    """Why the guest could not do what it was asked."""
    broken: str | None = None
    """How the guest ended without saying how the build in it did; never what the guest itself wrote."""
    exit_code: int | None = None
    limit: Limit | None = None
    peak_bytes: int = 0
    """Highest resident memory seen over all processes of the build together."""


def begun(directory: int) -> Begun | None:
    """What the guest said at the start; None when the commands did not begin."""
    return _document(directory, guest.BEGUN, Begun)


def answer(directory: int) -> Answer | None:
    """What the guest said at the end; None when it did not get there."""
    return _document(directory, guest.RESULT, Answer)


def log(directory: int, most: int) -> bytes:
    """The first ``most`` bytes the commands wrote."""
    return _content(directory, guest.LOG, most)


def not_begun(answer: Answer | None, limit: Limit | None, said: str) -> NoGuestError:
    """Why there was no guest to build in.

    Args:
        answer: What it said at the end.
        limit: The limit of the sandbox around it that was passed.
        said: The last words of its kernel.
    """
    problem = answer.problem if answer is not None else None
    return NoGuestError(f"a guest did not get to the build: {_plain(problem or limit or last_words(said))}")


def told(answer: Answer | None, limit: Limit | None, said: str) -> Answer:
    """How a build ended whose guest is no more; the arguments are those of :func:`not_begun`."""
    if limit in _BACKSTOPS:
        return Answer(limit=limit)
    if answer is None or limit is not None or answer.problem is not None:
        why = (answer.problem if answer is not None else None) or limit or last_words(said)
        return Answer(broken=f"The guest that this build ran in broke down: {_plain(why)}.")
    if answer.limit is None and answer.exit_code is None:
        return Answer(broken="The guest that this build ran in did not say how it ended.")
    return answer.replace(broken=None)


def last_words(said: str) -> str:
    """What a kernel said at its end, without the state of its processor."""
    panic = re.search(r"Kernel panic.*?(?= CPU:|$)", said)
    release = re.search(r"Not tainted \S+", said)
    if panic is None:
        return said[-300:]
    return f"{panic[0]} ({release[0]})" if release is not None else panic[0]


def _plain(text: str) -> str:
    """A few words of a guest, whoever wrote them there."""
    return clipped(text, 300).rstrip(".")


def _document(directory: int, name: str, model: type[_Model]) -> _Model | None:
    try:
        return model.model_validate_json(_content(directory, name, _ANSWER_BYTES))
    except ValidationError:
        return None


def _content(directory: int, name: str, most: int) -> bytes:
    """A file the guest wrote. A guest that broke out of its kernel may have put anything in its place."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
