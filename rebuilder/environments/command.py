"""Running one host program with a time limit and its output in a file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_TAIL_BYTES = 16_384
_LOOK_SECONDS = 0.5


class CommandError(Exception):
    """A program could not be run to a good end.

    ``output`` is the end of what it printed; ``code`` what it ended with, None when it did not end by itself;
    ``limit`` whether a limit ended it.
    """

    def __init__(self, reason: str, output: str = "", code: int | None = None, *, limit: bool = False) -> None:
        super().__init__(reason)
        self.output = output
        self.code = code
        self.limit = limit


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    seconds: float,
    standard_input: BinaryIO | None = None,
    watch: Callable[[int], str | None] = lambda _: None,
) -> None:
    """Run a program without a terminal and wait for it; at a limit it is killed with all its children.

    Args:
        argv: The program (found on the environment's ``PATH``) and its arguments.
        environment: Its whole environment.
        log: File for standard output and standard error, written anew.
        seconds: Limit on wall time.
        standard_input: A file that it reads; None: nothing.
        watch: Asked again and again, with the number of the process, which other limit it has passed.

    Raises:
        CommandError: it is not installed, failed, or reached the limit.
        OSError: ``log`` cannot be written.
    """
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=standard_input or subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"{argv[0]} cannot be started: {error.strerror or error}") from error
    end = time.monotonic() + seconds
    try:
        while (code := _ended(process, min(_LOOK_SECONDS, end - time.monotonic()))) is None:
            late = time.monotonic() >= end
            passed = f"more than {seconds:.0f} s" if late else watch(process.pid)
            if passed is not None:
                raise CommandError(f"{Path(argv[0]).name} took {passed}", _tail(log), limit=True)
    finally:
        _end(process)
    if code != 0:
        raise CommandError(f"{Path(argv[0]).name} ended with exit code {code}", _tail(log), code)


def _ended(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """What a program ended with; None when it still runs after some time."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=max(0.0, seconds))
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program's whole session, also when we are interrupted ourselves.

    Only while the program was not waited for: afterwards its number may belong to somebody else.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return file.read().decode("utf-8", "replace")
