"""From a repository into the real sandbox: checked out there, git says what it says in a clone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.model.git import SourceTree
from rebuilder.network.git.sources import GitSources
from rebuilder.programs.source.checkout import NOT_THE_COMMIT
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.program_runner import program_input
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.repositories import make_repository

ASK = "cd /build/src && git describe --tags --long --dirty && git status --porcelain && git log --format=%H%d && ls"
BACKEND = """
import io, os, subprocess, tarfile
def build_sdist(out, settings=None):
    version = subprocess.check_output(["git", "describe", "--tags", "--dirty"], text=True).strip().lstrip("v")
    with tarfile.open(os.path.join(out, "x-%s.tar.gz" % version), "w:gz") as archive:
        archive.add("README")
    return "x-%s.tar.gz" % version
"""


class Harness:
    """A tagged commit as blobs, and a sandbox."""

    def __init__(self, environments: EnvironmentStore, toolchain: str, directory: Path) -> None:
        repository = make_repository(directory / "project")
        repository.commit({"tools/backend.py": BACKEND, ".gitignore": "__pycache__\n"})
        repository.tag("v1.2", annotated=True)
        self.sha = repository.git("rev-parse", "HEAD")
        self.blobs = MemoryBlobs()
        sources = GitSources(self.blobs, directory / "cache", {"https://example.org": str(directory)})
        source = sources.commit("https://example.org/project", self.sha, "v1.2")
        assert isinstance(source, SourceTree), source
        self.source = source
        self.sandbox = BubblewrapSandbox(self.blobs, FixedClock(), scratch=directory / "scratch")
        self._run = LocalRunner({"bubblewrap": self.sandbox}, environments, self.blobs)
        self._environment = EnvironmentRef(name=toolchain, sha256=environments.get(toolchain).sha256)

    def run(self, *commands: tuple[str, ...], commit_object: str | None = None) -> Run:
        """Check out, then run the commands."""
        commit = self.source.commit
        program = program_input(self.blobs, "pypi")
        inputs = {
            "source.tar": self.source.archive_sha256,
            "commit": commit_object or commit.object_sha256,
            "tag": commit.tags[0].object_sha256,
        }
        checkout = (
            *("/usr/bin/python3", "-I", "-S", program.path, "checkout", "--archive", "/inputs/source.tar"),
            *("--commit", self.sha, "--commit-object", "/inputs/commit", "--into", "/build/src", "--shallow"),
            *("--tag-object", "v1.2=/inputs/tag"),
        )
        files = [
            Input.model_validate({"role": Role.SOURCE, "name": name, "sha256": sha256, "path": f"/inputs/{name}"})
            for name, sha256 in inputs.items()
        ]
        return self._run(
            BuildDefinition(
                build_type="urn:example:build",
                purl="pkg:pypi/x@1.2",
                targets=("x-1.2.tar.gz",),
                inputs=(program, *files),
                toolchain=self._environment,
                commands=(checkout, *commands),
                environment={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"},
            )
        )

    def log(self, run: Run) -> str:
        """What it printed."""
        return self.blobs.read(run.log_sha256).decode("utf-8", "replace")


@pytest.fixture(params=["bullseye-git", "bookworm-git", "trixie-git", "forky-git"])
def harness(request: pytest.FixtureRequest, environments: EnvironmentStore, tmp_path: Path) -> Iterator[Harness]:
    """Each build environment with git in turn."""
    subject = Harness(environments, request.param, tmp_path)
    yield subject
    subject.sandbox.close()


def test_git_in_the_sandbox_describes_the_tag(harness: Harness) -> None:
    """No question of ownership, identity or network stands in its way."""
    run = harness.run(("/bin/sh", "-c", ASK))
    assert Outcome.COMPLETED == run.outcome, harness.log(run)
    log = [line.removeprefix("| ") for line in harness.log(run).splitlines() if line.startswith("| ")]
    assert [
        f"v1.2-0-g{harness.sha[:7]}",
        f"{harness.sha} (grafted, HEAD, tag: v1.2)",
        "README",
        "run.sh",
        "tools",
    ] == log[-5:]


def test_source_archive_with_a_version_from_git(harness: Harness) -> None:
    """A backend that asks git gets the version, twice the same."""
    program = program_input(harness.blobs, "pypi")
    build = (
        *("/usr/bin/python3", "-B", program.path, "build_sdist", "--backend", "backend", "--backend-path", "tools"),
        *("--source", "/build/src", "--out", "/out"),
    )
    run = harness.run(build)
    assert ["x-1.2.tar.gz"] == [each.filename for each in run.outputs], harness.log(run)


def test_other_commit_ends_the_run(harness: Harness) -> None:
    """Nothing is built from files that are not the commit's."""
    other = harness.blobs.put(harness.blobs.read(harness.source.commit.object_sha256).replace(b"Change", b"change"))
    run = harness.run(("/bin/sh", "-c", "echo built"), commit_object=other)
    assert (Outcome.BUILD_FAILED, NOT_THE_COMMIT) == (run.outcome, run.exit_code)
    assert "is not the commit" in harness.log(run)
    assert "\nbuilt\n" not in harness.log(run)
