"""Log lines: text for people or JSON for programs, each with the ids of what it is about."""

from __future__ import annotations

import json as json_format
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from rebuilder.model.report import Stage
from rebuilder.model.text import visible

LOGGER = "rebuilder"
"""All loggers of the program are below this one."""
_LONGEST = 4000
"""Characters of one text in a line; what comes from outside cannot fill a disk."""
_OWN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_bound: ContextVar[Mapping[str, Any]] = ContextVar("rebuilder_log_fields", default={})  # noqa: B039 - never changed

log = logging.getLogger("rebuilder.stage")


def configure(*, json: bool, stream: TextIO, level: int = logging.INFO) -> None:
    """Write what the program logs to a stream; a second call replaces the first.

    Args:
        json: One JSON object a line; otherwise lines for people.
        stream: Where to.
        level: Less important lines are left out.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if json else TextLines())
    logger = logging.getLogger(LOGGER)
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
    # How long each stage took fills a page for every artifact; programs can bear it.
    log.setLevel(logging.WARNING if level == logging.INFO and not json else level)


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Every line logged inside carries these fields, beside those of what is around."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonLines(logging.Formatter):
    """One object a line: ``time`` (RFC 3339), ``level``, ``event``, then the fields; ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        document = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "event": _cut(record.getMessage()),
            "logger": record.name,
        }
        fields = {name: _plain(value) for name, value in _fields(record).items()}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)[-_LONGEST:]
        return json_format.dumps({**document, **fields, **document})  # in this order, and no field stands for another


class TextLines(logging.Formatter):
    """Time, level, what it is about, sentence; whatever could break the line or colour a terminal is escaped.

    People get the one field that tells lines of several workers apart; all the others are for programs.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end; a traceback follows on lines of its own, indented."""
        about = _fields(record).get("artifact")
        prefix = f"{visible(_cut(str(about)))}: " if about is not None else ""
        line = f"{_time(record)} {record.levelname:<7} {prefix}{visible(_cut(record.getMessage()))}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)[-_LONGEST:]
            line += "".join(f"\n    {visible(each)}" for each in trace.splitlines())
        return line


class LoggingProgress:
    """Implements :class:`rebuilder.stopwatch.Progress`: each stage is logged with the seconds it took."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._now = seconds
        self._stage: Stage | None = None
        self._since = 0.0

    def subject(self, name: str) -> None:
        """Work on another subject begins."""
        self.ended()
        log.debug("Work on %s begins.", name)

    def stage(self, stage: Stage, detail: str = "") -> None:
        """A stage begins, or tells what it is busy with."""
        if stage is not self._stage:
            self.ended()
            self._stage, self._since = stage, self._now()
        log.debug("Stage %s: %s", stage.value, detail or "begins.", extra={"stage": stage.value})

    def ended(self) -> None:
        """The running stage is over, and none follows."""
        stage, self._stage = self._stage, None
        if stage is not None:
            seconds = round(self._now() - self._since, 3)
            log.info("Stage %s took %.1f s.", stage.value, seconds, extra={"stage": stage.value, "seconds": seconds})


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    extra = {name: value for name, value in vars(record).items() if name not in _OWN}
    return {name: value for name, value in {**_bound.get(), **extra}.items() if value is not None}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> object:
    """A value as JSON can carry it."""
    if isinstance(value, str):
        return _cut(str(value))
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
