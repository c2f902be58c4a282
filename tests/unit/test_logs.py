"""Log lines: readable, parseable, unbreakable, and with the ids of what they are about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rebuilder.model.report import Stage
from rebuilder.model.verdict import Verdict
from rebuilder.service.logs import LoggingProgress, bound, configure
from tests.fakes.reports import HOSTILE

log = logging.getLogger("rebuilder.test")


@pytest.fixture(autouse=True)
def logger_as_before() -> Iterator[None]:
    """What a test sets up ends with it."""
    logger = logging.getLogger("rebuilder")
    before = (logger.handlers, logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was logged as JSON."""
    return [json.loads(each) for each in stream.getvalue().splitlines()]


def test_json_lines_carry_the_ids_of_what_is_around() -> None:
    """One id per artifact and attempt goes through everything inside, and no further."""
    stream = io.StringIO()
    configure(json=True, stream=stream)
    with bound(artifact="pkg:pypi/idna@3.20 idna.whl", worker="w"):
        with bound(verification=7):
            log.info("Built in %d s.", 3, extra={"attempt": 0, "verdict": Verdict.DIFFERS})
        log.warning("Slow.")
    log.error("Alone.")
    first, second, third = lines(stream)
    assert ["time", "level", "event", "logger"] == list(first)[:4]
    assert first.pop("time").endswith("Z")
    assert {
        "level": "info",
        "event": "Built in 3 s.",
        "logger": "rebuilder.test",
        "artifact": "pkg:pypi/idna@3.20 idna.whl",
        "worker": "w",
        "verification": 7,
        "attempt": 0,
        "verdict": "differs",
    } == first
    assert ("warning", False, "w") == (second["level"], "verification" in second, second["worker"])
    assert {"time", "level", "event", "logger"} == set(third)


def test_no_field_stands_for_another() -> None:
    """A field named like one of ours does not replace it."""
    stream = io.StringIO()
    configure(json=True, stream=stream)
    with bound(time="never", event="no"):
        log.info("Yes.", extra={"level": "none"})
    [line] = lines(stream)
    assert ("Yes.", "info", False) == (line["event"], line["level"], line["time"] == "never")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "hostile", [HOSTILE, "one\ntwo\r\x85\u2028three", "\udcff\x1b]0;title\x07", '"}\n{"event":"no"}']
)
def test_hostile_text_cannot_break_a_line(as_json: bool, hostile: str) -> None:
    """Whatever was published, one event is one line without a control character."""
    stream = io.StringIO()
    configure(json=as_json, stream=stream)
    with bound(artifact=hostile):
        log.info("It said: %s", hostile, extra={"detail": hostile})
    text = stream.getvalue()
    assert 1 == text.count("\n")
    assert text[:-1].isprintable()
    assert 1 == len(text.splitlines())


@pytest.mark.parametrize("as_json", [True, False])
def test_text_is_bounded(as_json: bool) -> None:
    """What comes from outside cannot fill the disk."""
    stream = io.StringIO()
    configure(json=as_json, stream=stream)
    log.info("x" * 1_000_000, extra={"detail": ["y" * 1_000_000]})
    assert len(stream.getvalue()) < 20_000


def test_text_lines_are_for_people() -> None:
    """Time, level, what it is about, sentence; a traceback is indented and escaped."""
    stream = io.StringIO()
    configure(json=False, stream=stream)
    try:
        int("odd\x1b[31m")
    except ValueError:
        with bound(artifact="idna-3.20-py3-none-any.whl", verification=7):
            log.exception("A defect.")
    first, *others = stream.getvalue().splitlines()
    assert "ERROR   idna-3.20-py3-none-any.whl: A defect." == first.partition("Z ")[2]
    assert all(each.startswith("    ") for each in others)
    assert r"    ValueError: invalid literal for int() with base 10: 'odd\x1b[31m'" == others[-1]


def test_a_traceback_is_a_field_in_json() -> None:
    """Programs get it in one piece."""
    stream = io.StringIO()
    configure(json=True, stream=stream)
    try:
        int("odd")
    except ValueError:
        log.exception("A defect.")
    [line] = lines(stream)
    assert line["traceback"].endswith("base 10: 'odd'")


def test_stages_are_for_programs() -> None:
    """People would not find the verdicts among them; those who look closely get them all the same."""
    told = []
    for as_json, level in ((True, logging.INFO), (False, logging.INFO), (False, logging.DEBUG)):
        stream, moments = io.StringIO(), iter([1.0, 2.0])
        configure(json=as_json, stream=stream, level=level)
        progress = LoggingProgress(seconds=lambda moments=moments: next(moments))  # type: ignore[misc]
        progress.stage(Stage.BUILD)
        progress.ended()
        told.append("took 1.0 s" in stream.getvalue())
    assert [True, False, True] == told


def test_values_json_cannot_carry_become_text() -> None:
    """An infinite number or any object is text, not an invalid document."""
    stream = io.StringIO()
    configure(json=True, stream=stream)
    log.info("x", extra={"a": float("nan"), "b": 1.5, "c": {"d"}, "e": None, "f": True})
    [line] = lines(stream)
    assert ("nan", 1.5, "{'d'}", True) == (line["a"], line["b"], line["c"], line["f"])
    assert "e" not in line


def test_configuring_again_replaces() -> None:
    """No line comes twice, and what is less important stays out."""
    first, second = io.StringIO(), io.StringIO()
    configure(json=True, stream=first)
    configure(json=True, stream=second)
    log.debug("Small.")
    log.info("Once.")
    assert "" == first.getvalue()
    assert ["Once."] == [each["event"] for each in lines(second)]


def test_stages_are_logged_with_their_seconds() -> None:
    """Each stage ends when the next begins; what it is busy with is for those who look closely."""
    stream, moments = io.StringIO(), iter([10.0, 12.5, 12.5, 20.0])
    configure(json=True, stream=stream, level=logging.DEBUG)
    progress = LoggingProgress(seconds=lambda: next(moments))
    progress.subject("pypi:idna==3.20")
    progress.stage(Stage.FETCH, "idna")
    progress.stage(Stage.FETCH, "half of it")
    progress.stage(Stage.BUILD)
    progress.ended()
    progress.ended()
    logged = lines(stream)
    took = [(each["stage"], each["seconds"]) for each in logged if each["level"] == "info"]
    assert [("fetch", 2.5), ("build", 7.5)] == took
    assert ["Work on pypi:idna==3.20 begins.", "Stage fetch: idna", "Stage fetch: half of it"] == [
        each["event"] for each in logged[:3]
    ]
