"""What a User Mode Linux guest left in the sandbox around it, when all of its processes are gone."""

from __future__ import annotations

import os
import stat
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rebuilder.model.attempt import Limit
from rebuilder.sandbox import uml_guest

_ANSWER_BYTES = 64 << 10
_Model = TypeVar("_Model", bound=BaseModel)


class Begun(BaseModel):
    """What the guest wrote when the commands began."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kernel: str
    """Release of the guest's kernel."""


class Answer(BaseModel):
    """How the guest says the run ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: str | None = None
    """Why the guest could not do what it was asked."""
    exit_code: int | None = None
    limit: Limit | None = None
    peak_bytes: int = 0
    """Highest resident memory seen over all processes of the build together."""


def begun(directory: int) -> Begun | None:
    """What the guest said at the start; None when the commands did not begin."""
    return _document(directory, uml_guest.BEGUN, Begun)


def answer(directory: int) -> Answer | None:
    """What the guest said at the end; None when it did not get there."""
    return _document(directory, uml_guest.RESULT, Answer)


def log(directory: int, most: int) -> bytes:
    """The first ``most`` bytes the commands wrote."""
    return _content(directory, uml_guest.LOG, most)


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
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
