"""``rebuilder explain``: what it prints of a report that is there, of one that it has to make, and with a table."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from typing import Any

import pytest

from rebuilder.cli.explain import explain
from rebuilder.config import Config
from rebuilder.errors import ExitCode, UsageError
from rebuilder.wiring import wire
from tests.fakes.progress import NoDisplay
from tests.fakes.projects import EPOCH, Distribution, build, make_sdist, make_wheel
from tests.fakes.registry import Registry


def commented(wheel: Distribution) -> Distribution:
    """The wheel with a comment on its archive, which nothing it was built from gives."""
    buffer = io.BytesIO(wheel.data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"packed by hand"
    return dataclasses.replace(wheel, data=buffer.getvalue())


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line on standard output."""
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_what_was_never_verified_is_verified_first(
    registry: Registry, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then the cause is printed with both sides and what to change; asked again, the report is taken as it is."""
    sdist = make_sdist("one", "1.0")
    registry.publish(
        sdist, make_wheel("one", "1.0", {"one/__init__.py": 'version = "1.0"\n', "one/more.py": "x = 1\n"})
    )
    assert ExitCode.DIFFERS == explain(config, "pypi:one==1.0", vary=False, as_json=False)
    words = capsys.readouterr().out
    assert "≠ differs  one-1.0-py3-none-any.whl" in words
    assert "has 1 file that the source archive lacks (one/more.py)" in words
    assert "What to change: Publish a source archive that contains one/more.py" in words
    assert ExitCode.DIFFERS == explain(config, "pypi:one", vary=False, as_json=False)
    assert words == capsys.readouterr().out
    with wire(config, NoDisplay()) as parts:
        assert 1 == len(parts.ledger.history("pypi", "one"))


def test_as_json_with_the_table(registry: Registry, config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """An equivalent file has its causes too, and exit code 0; a table that is asked for leaves no other report."""
    sdist = make_sdist("two", "1.0")
    registry.publish(sdist, commented(build(sdist, epoch=EPOCH)))
    assert ExitCode.OK == explain(config, "pypi:two==1.0", vary=False, as_json=True)
    before = document(capsys)
    assert ("equivalent", None) == (before["verdict"], before["variation"])
    assert ["archive-form"] == [each["cause"] for each in before["diagnosis"]["findings"]]
    assert ExitCode.OK == explain(config, "pypi:two==1.0", vary=True, as_json=True)
    after = document(capsys)
    assert before["diagnosis"] == after["diagnosis"]
    assert 10 == len(after["variation"]["rows"])
    assert explain(config, "pypi:two==1.0", vary=False, as_json=True) == ExitCode.OK
    assert before == document(capsys)


def test_what_does_not_exist_is_wrong_use(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, and the exit code for it."""
    assert ExitCode.USAGE == explain(config, "pypi:nowhere==1.0", vary=False, as_json=True)
    assert "nowhere" in document(capsys)["problem"]
    with pytest.raises(UsageError):
        explain(config, "what is this", vary=False, as_json=False)
