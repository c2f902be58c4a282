"""A worker process: its parts, its signals, its signs of life."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from rebuilder.config import Config
from rebuilder.errors import RebuilderError
from rebuilder.service.logs import LoggingProgress, configure
from rebuilder.service.worker import Worker
from rebuilder.store.ledger.liveness import this_process
from rebuilder.wiring import wire

_IDLE_SECONDS = 1.0
"""Between two questions to an empty queue."""
_MOST_TASKS = 1000
"""After so many a worker makes room for a fresh process: what others' libraries leak does not pile up."""

log = logging.getLogger("rebuilder.worker")


def work(config: Config, stopping: threading.Event) -> None:
    """Work until SIGTERM or SIGINT comes, ``stopping`` is set, or so many tasks are done that a fresh process is due.

    After that the running task is finished if that takes no longer than ``service.stop_seconds``, and
    given back otherwise.

    Raises:
        RebuilderError: the store cannot be used to begin with.
    """
    progress = LoggingProgress()
    with wire(config, progress) as parts:
        worker = Worker(
            parts,
            owner=this_process(),
            lease_seconds=config.service.lease_seconds,
            room=lambda: lacking_room(config),
            rest=progress.ended,
            cache_hits=parts.cache_counter.take,
        )
        log.info("A worker begins.")
        with _signals(stopping), _patience(worker, stopping, config.service.stop_seconds), _signs_of_life(worker):
            done, waiting_for = 0, RepeatedError()
            while not stopping.is_set() and done < _MOST_TASKS:
                if _step(worker, waiting_for):
                    done += 1
                else:
                    stopping.wait(_IDLE_SECONDS)
        log.info("A worker ends; tasks done: %d.", done)


def lacking_room(config: Config) -> str | None:
    """Why nothing new may be begun; None when there is room."""
    wanted = config.service.disk_reserve_bytes + config.limits.disk_bytes
    free = shutil.disk_usage(config.store).free
    if free >= wanted:
        return None
    return f"the disk of {config.store} has {free:,} bytes free, and {wanted:,} are wanted before a build begins."


class RepeatedError:
    """Something that is asked for every second and told once."""

    def __init__(self) -> None:
        self._told: str | None = None

    def told(self, error: RebuilderError) -> None:
        """Log an error, unless it is the one that was logged last."""
        if self._told != type(error).__name__:
            log.warning("The worker waits: %s", error)
        self._told = type(error).__name__

    def passed(self) -> None:
        """Log that the error has passed, if one was logged."""
        if self._told is not None:
            log.info("The worker goes on.")
        self._told = None


def _step(worker: Worker, waiting_for: RepeatedError) -> bool:
    try:
        worked = worker.step()
    except RebuilderError as error:  # a ledger that is away comes back
        waiting_for.told(error)
        return False
    waiting_for.passed()
    return worked


@contextlib.contextmanager
def _signals(stopping: threading.Event) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _patience(worker: Worker, stopping: threading.Event, seconds: float) -> Iterator[None]:
    """Once it is to stop, a worker may finish what it is at; what takes longer is given back, and the process ends."""
    ended = threading.Event()

    def watch() -> None:
        stopping.wait()
        worker.stop()
        if ended.wait(seconds):
            return
        log.warning("The running task takes longer than %g s to finish; it is given back.", seconds)
        with contextlib.suppress(RebuilderError):
            worker.give_back()
        worker.parts.abandon()
        logging.shutdown()
        os._exit(0)

    threading.Thread(target=watch, name="patience", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextlib.contextmanager
def _signs_of_life(worker: Worker) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(worker.lease_seconds / 3):
            try:
                worker.renew()
            except RebuilderError as error:
                log.warning("The lease could not be renewed: %s", error)

    thread = threading.Thread(target=beat, name="signs-of-life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)


def main() -> None:
    """What the service starts: settings come as one line of JSON on standard input, and its end says stop."""
    os.umask(os.umask(0o022) | 0o022)
    config = Config.model_validate_json(sys.stdin.buffer.readline())
    configure(json=os.environ.get("REBUILDER_LOG") == "json", stream=sys.stderr)
    stopping = threading.Event()

    def listen() -> None:
        sys.stdin.buffer.read()
        stopping.set()

    threading.Thread(target=listen, name="standard-input", daemon=True).start()
    try:
        work(config, stopping)
    except RebuilderError as error:
        log.error("The worker cannot begin: %s", error)  # noqa: TRY400 - a sentence, not a traceback
        logging.shutdown()
        os._exit(error.exit_code)
    # Reading standard input holds a lock that the interpreter would wait for at its end.
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
