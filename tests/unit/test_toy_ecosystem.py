"""CONTRIBUTING.md, "Adding an ecosystem": a folder (here a module) and a line are enough for a page and signed data."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from rebuilder.compare.carried import Carried
from rebuilder.config import Config
from rebuilder.ecosystems import registry
from rebuilder.ecosystems.registry import parse_subject
from rebuilder.model.attempt import Outcome, Output, Run
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.definition import BuildDefinition, Limits
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Reason
from rebuilder.service.schedules.reading import read_file
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.statements import Builder
from rebuilder.site.publisher import Site
from rebuilder.stopwatch import Stopwatch, WatchedEnvironments
from rebuilder.verification.coordinator import Coordinator
from rebuilder.verification.signer import Signer
from rebuilder.wiring import Wired
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.idle import IdleEcosystem, idle_parts
from tests.fakes.ledgers import open_ledger
from tests.fakes.logs import log_writer
from tests.fakes.orders import order
from tests.fakes.progress import NoDisplay
from tests.fakes.pypi import FakeEnvironments
from tests.fakes.pypi import run as ran
from tests.fakes.signer import MemorySigner
from tests.fakes.toy import ENVIRONMENT, WHEEL_WORDS, Toy, ToyConventions

CONTRIBUTING = Path(__file__).parent.parent.parent / "CONTRIBUTING.md"


@pytest.fixture(autouse=True)
def line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line in the registry."""
    monkeypatch.setitem(registry.ECOSYSTEMS, "toy", ToyConventions())


class Shouting:
    """A runner whose sandbox can do one thing; what it left is kept."""

    def __init__(self, blobs: MemoryBlobs, voice: str) -> None:
        self._blobs, self._voice = blobs, voice

    def __call__(self, definition: BuildDefinition, /) -> Run:
        """Shout what is there."""
        (given,) = definition.inputs
        text = self._blobs.read(given.sha256).upper() + self._voice.encode()
        output = Output(filename=definition.targets[0], sha256=self._blobs.put(text), size=len(text))
        self._blobs.put(b"")
        return ran(Outcome.COMPLETED, output)


class Comparing:
    """Compares digests."""

    def compare(self, published: str, rebuilt: str, *_names: str) -> Comparison:
        """Two files."""
        level = Level.IDENTICAL if published == rebuilt else Level.DIFFERENT
        return Comparison.model_validate(
            {"level": level, "published_sha256": published, "rebuilt_sha256": rebuilt, "differences_total": 0}
        )


@contextmanager
def house(tmp_path: Path, voice: str) -> Iterator[tuple[Wired, MemoryBlobs, FixedClock]]:
    """Parts that verify toys."""
    blobs, clock = MemoryBlobs(), FixedClock()
    environments = WatchedEnvironments(cast("Any", FakeEnvironments()), Stopwatch(NoDisplay()))
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        parts = replace(
            idle_parts(ledger, blobs, clock, IdleEcosystem()),
            ecosystems={"toy": Toy(blobs, environments.get(ENVIRONMENT).sha256)},
            run=Shouting(blobs, voice),
            comparer=cast("Any", Comparing()),
            finisher=cast("Any", SimpleNamespace(finished=lambda attempt: attempt)),
            find_carried=lambda _published, _inputs: Carried(),
            diffoscope=cast("Any", SimpleNamespace(report=lambda *_: None)),
            environments=environments,
        )
        yield parts, blobs, clock


def verified(tmp_path: Path, voice: str = "") -> tuple[Verdict | None, list[Path], str]:
    """The verdict on one toy, the files beside its page, and what was signed."""
    key = MemorySigner()
    with house(tmp_path, voice) as (parts, blobs, clock):
        signer = Signer(
            ledger=parts.ledger,
            blobs=blobs,
            signer=key,
            builder=Builder(id="https://rebuilder.example.org"),
            site=Site(tmp_path / "site", blobs, public_key=key.public_pem, key_id=key.key_id, verifier="example.org"),
            clock=clock,
            agreement=Agreement({key.key_id: key.public_pem}),
            log=log_writer(parts.ledger, tmp_path / "site"),
            directory=KeyDirectory(tmp_path / "keys"),
        )
        (result,) = Coordinator(parts).verify(parse_subject("toy:hello", parts.ecosystems), signer)
    assert result.fault is None, result.fault
    assert result.page is not None
    assert result.signed is not None
    envelopes = [json.loads(each)["payload"] for each in (result.signed.vsa, result.signed.provenance) if each]
    page = tmp_path / "site" / result.page
    return (
        result.verdict,
        [*page.parent.iterdir()] if page.is_file() else [*page.iterdir()],
        "".join(base64.b64decode(each).decode() for each in envelopes),
    )


@pytest.mark.parametrize(("voice", "expected"), [("", Verdict.REPRODUCED), ("?", Verdict.DIFFERS)])
def test_a_toy_is_verified(tmp_path: Path, voice: str, expected: Verdict) -> None:
    """Evidence, plan, run, comparison, verdict, signature and page; none of it speaks of another ecosystem's files."""
    verdict, files, signed = verified(tmp_path, voice)
    assert expected is verdict
    assert "whisper-to-shout" in signed
    assert not WHEEL_WORDS.findall(signed)
    texts = {each.name: each.read_text() for each in files if each.suffix in {".html", ".json"}}
    assert {"index.html", "report.json"} <= set(texts)
    assert "Source archive → shout" in texts["index.html"]
    for name, text in texts.items():
        assert not WHEEL_WORDS.findall(text), name


@pytest.mark.parametrize("asked", [None, Limits(wall_seconds=7)])
def test_limits_of_an_order(tmp_path: Path, asked: Limits | None) -> None:
    """A build may use what the order says, and otherwise what the settings say."""
    with house(tmp_path, "") as (made, _blobs, _clock):
        parts = replace(made, limits=Limits(processes=9))
        coordinator = Coordinator(parts)
        [evidence] = coordinator.evidence(parse_subject("toy:hello", parts.ecosystems))
        begun = coordinator.begin(evidence, order=order(reason=Reason.ASKED, limits=asked))
        [attempt] = coordinator.examine(begun).attempts
    assert (asked or Limits(processes=9)) == attempt.hypothesis.definition.limits


def test_its_line_is_all_it_takes(tmp_path: Path) -> None:
    """Schedules and settings know it by its name; nothing can be expected of publishers that nothing attests."""
    schedule = tmp_path / "ours.toml"
    schedule.write_text('[[watch]]\necosystem = "toy"\npackages = ["hello"]\nevery = "1d"\n')
    reading = read_file(schedule)
    assert ([], ["hello"]) == (reading.problems, [name for each in reading.entries for name in each.item.packages])
    with pytest.raises(ValidationError, match="is not a project"):
        Config.model_validate({"expect": {"toy:hello": {"attested": True}}})


def test_the_guide_says_so() -> None:
    """What the guide tells to do is where it says it is."""
    text = CONTRIBUTING.read_text()
    named = re.findall(r"`((?:rebuilder|docs|tests)/[\w./*{},]+)`", text[text.index("### Adding a normalisation") :])
    assert len(named) > 8
    for each in named:
        root = CONTRIBUTING.parent
        assert any(root.glob(each)) if "*" in each else (root / each).exists(), each
