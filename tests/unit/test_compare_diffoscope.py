"""Running diffoscope: whatever happens, there is a value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.compare.diffoscope import DiffoscopeRunner
from rebuilder.environments.protocol import BuildEnvironment, Environments, Wanted
from rebuilder.errors import BuildEnvironmentError, RebuilderError, SandboxFaultError, StoreError
from rebuilder.model.attempt import Limit, Outcome, Output, Run
from rebuilder.model.comparison import Diffoscope
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256
from tests.fakes.blobs import MemoryBlobs

DIGEST = Sha256("ab" * 32)


class OneEnvironment(Environments):
    """Implements :class:`rebuilder.environments.protocol.Environments` with one build environment, or none."""

    def __init__(self, error: RebuilderError | None = None) -> None:
        self._error = error

    def get(self, wanted: Wanted) -> BuildEnvironment:
        """The build environment."""
        assert isinstance(wanted, str)
        name = wanted
        if self._error:
            raise self._error
        packages = ("binutils 2.44-3", "diffoscope-minimal 295")
        summary = EnvironmentSummary(name=name, sha256=DIGEST, packages=packages)
        return BuildEnvironment(name=name, sha256=DIGEST, root=Path("/"), summary=summary)

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """Nobody asks for it."""
        raise AssertionError(sha256)

    def remake(self, name: str) -> BuildEnvironment:
        """Nobody asks for it."""
        raise AssertionError(name)


class Play:
    """Stands for a run: keeps the definition, gives files or an ending."""

    def __init__(
        self, blobs: MemoryBlobs, files: dict[str, bytes], *, limit: Limit | None = None, exit_code: int = 0
    ) -> None:
        self._blobs = blobs
        self._files = files
        self._limit = limit
        self._exit_code = exit_code
        self.definitions: list[BuildDefinition] = []

    def __call__(self, definition: BuildDefinition) -> Run:
        """See :class:`rebuilder.sandbox.protocol.Runner`."""
        self.definitions.append(definition)
        outcome = Outcome.BUILD_FAILED if self._exit_code else Outcome.COMPLETED
        return Run(
            outcome=Outcome.TIMED_OUT if self._limit else outcome,
            exit_code=None if self._limit else self._exit_code,
            limit=self._limit,
            outputs=tuple(
                Output(filename=name, sha256=self._blobs.put(data), size=len(data))
                for name, data in self._files.items()
            ),
            log_sha256=self._blobs.put(b"log"),
            wall_seconds=3,
            cpu_seconds=1,
            peak_memory_bytes=1,
            sandbox_version="none",
            started=datetime(2026, 1, 2, tzinfo=UTC),
        )


def report(files: dict[str, bytes], *, limit: Limit | None = None, exit_code: int = 0) -> Diffoscope:
    """What is made of a run."""
    blobs = MemoryBlobs()
    return DiffoscopeRunner(Play(blobs, files, limit=limit, exit_code=exit_code), OneEnvironment(), blobs).report(
        DIGEST, DIGEST, "a.whl"
    )


def test_reports_version_and_missing_tools() -> None:
    """Tools come from the remarks in the report, at any depth."""
    comments = ["'xxd' not available in path. Falling back to Python hexlify.", "pdftotext not available in path."]
    document = {
        "details": [{"comments": comments}, {"details": [{"comments": ["'cd-iccdump' not available in path."]}]}]
    }
    found = report({"report.html": b"h", "report.txt": b"t", "report.json": json.dumps(document).encode()})
    assert ("295", None) == (found.version, found.problem)
    assert ("cd-iccdump", "pdftotext", "xxd") == found.missing_tools
    assert None not in {found.html_sha256, found.json_sha256, found.text_sha256}


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"7", b'{"comments": 7, "details": {"a": 1}}', b"\xff"])
def test_odd_json_says_nothing_about_tools(text: bytes) -> None:
    """The JSON was written beside hostile files."""
    assert () == report({"report.html": b"h", "report.json": text}).missing_tools


@pytest.mark.parametrize(
    ("limit", "exit_code", "files", "problem"),
    [
        (Limit.MEMORY, 0, {}, "diffoscope was stopped at its limit"),
        (None, 2, {}, "diffoscope failed with exit code 2"),
        (None, 0, {}, "diffoscope found nothing to report."),
    ],
)
def test_endings_are_sentences(limit: Limit | None, exit_code: int, files: dict[str, bytes], problem: str) -> None:
    """Each way not to get a report has one."""
    found = report(files, limit=limit, exit_code=exit_code)
    assert (found.problem or "").startswith(problem)
    assert found.html_sha256 is None


@pytest.mark.parametrize(
    "error", [BuildEnvironmentError("No build environment."), SandboxFaultError("Lost."), StoreError("Full.")]
)
def test_our_trouble_never_loses_the_verdict(error: RebuilderError) -> None:
    """An error of ours is a problem of the report."""
    blobs = MemoryBlobs()
    runner = DiffoscopeRunner(Play(blobs, {}), OneEnvironment(error), blobs)
    assert f"diffoscope could not be run. {error}" == runner.report(DIGEST, DIGEST, "a.whl").problem


def test_paths_do_not_tell_where_files_came_from() -> None:
    """Both files have the published name, in directories named for the sides; limits hold."""
    blobs = MemoryBlobs()
    play = Play(blobs, {})
    DiffoscopeRunner(play, OneEnvironment(), blobs).report(DIGEST, DIGEST, "a.whl")
    [definition] = play.definitions
    assert ("/inputs/published/a.whl", "/inputs/rebuilt/a.whl") == definition.commands[0][-2:]
    assert definition.limits.wall_seconds <= 300
    assert definition.limits.output_bytes <= 32 << 20
