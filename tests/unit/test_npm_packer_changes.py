"""A note where a release was packed by other means than the one before it."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.npm import packer
from rebuilder.ecosystems.npm.packer import PackerFacts, packer_change
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.model.evidence import Evidence
from rebuilder.model.verdict import Verdict
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.npm import npm_context
from tests.fakes.reports import artifact

VERSIONS = ["1.0.0", "1.0.1", "1.0.2", "not a version", "2.0.0"]
MAC = PackerFacts(readable=True, gzip_level=6, gzip_system=19, writer="node-tar", times=499162500)


class Looked:
    """Releases that are looked at one after the other, each with marks of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._context = npm_context(None, MemoryBlobs())  # type: ignore[arg-type] # no registry is asked
        self._facts: PackerFacts | NotRebuildable = MAC
        monkeypatch.setattr(packer, "_read_facts", lambda _context, _evidence: self._read())

    def _read(self) -> PackerFacts:
        if isinstance(self._facts, NotRebuildable):
            raise self._facts
        return self._facts

    def at(self, version: str, facts: PackerFacts | NotRebuildable) -> str | None:
        """What is said of a release with these marks."""
        self._facts = facts
        about = artifact()
        about = about.replace(name="thing", version=version, purl=f"pkg:npm/thing@{version}")
        return packer_change(self._context, Evidence(artifact=about, index_sha256=about.sha256), VERSIONS)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Looked:
    """Nothing was looked at yet."""
    return Looked(monkeypatch)


def test_the_first_that_is_looked_at_has_nothing_before_it(looked: Looked) -> None:
    """Nor has one that is older than what was looked at."""
    assert looked.at("1.0.1", MAC) is None
    assert looked.at("1.0.0", MAC.replace(gzip_system=3)) is None


def test_the_same_marks_are_no_change(looked: Looked) -> None:
    """Whatever differs with the files: newest time, modes, order."""
    assert looked.at("1.0.0", MAC) is None
    assert looked.at("1.0.1", MAC.replace(newest=5, modes=(0o644,), orders=("path",), gzip_time=7)) is None


def test_another_system_is_a_note(looked: Looked) -> None:
    """Against the nearest before it, not against the oldest or a later one."""
    looked.at("1.0.0", MAC.replace(writer="fstream"))
    looked.at("1.0.1", MAC)
    looked.at("2.0.0", MAC.replace(gzip_level=9))
    said = looked.at("1.0.2", MAC.replace(gzip_system=255))
    assert said is not None
    assert "than 1.0.1" in said
    assert said.endswith("system in the gzip header none, not macOS.")


def test_what_cannot_be_read_says_nothing(looked: Looked) -> None:
    """And is not remembered."""
    looked.at("1.0.0", MAC)
    assert looked.at("1.0.1", PackerFacts(readable=False)) is None
    assert looked.at("1.0.1", NotRebuildable(Verdict.TIMED_OUT, "Too slow.")) is None
    assert looked.at("1.0.2", MAC) is None
