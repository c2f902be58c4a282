"""From a commit to the published source archive and wheel: the definitions, and real builds of them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.compare.comparer import Comparer
from rebuilder.compare.finisher import Finisher
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.ecosystem import PyPI
from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.uv_tool import uv_input
from rebuilder.errors import FetchMismatchError, UnavailableError
from rebuilder.model.attempt import Attempt, Hypothesis, Limit
from rebuilder.model.comparison import Level
from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.model.evidence import Evidence, SourceKind
from rebuilder.model.git import SourceTree
from rebuilder.model.graph import FileChange, Origin, SourceCommit
from rebuilder.model.verdict import Verdict
from rebuilder.network.git.sources import GitSources
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.program_runner import SandboxPrograms
from rebuilder.store.blobs import DiskBlobs
from tests.fakes import git_backend
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.memo import MemoryMemo
from tests.fakes.planning import from_commit
from tests.fakes.projects import SOME_TIME, Distribution, make_sdist, make_wheel
from tests.fakes.pypi import INDEX, UPLOADED, Surroundings, attempt
from tests.fakes.repositories import Repository, make_repository
from tests.fakes.sources import FakeSources

URL = "https://example.org/owner/idna"
EARLIER = datetime(2023, 5, 6, 7, 8, 10, tzinfo=UTC)
COMMITTED = int(datetime(2023, 5, 6, 7, 0, 0, tzinfo=UTC).timestamp())
PYPROJECT = '[build-system]\nrequires = ["minibackend==1.0"]\nbuild-backend = "minibackend"\n'
FILES = {"pyproject.toml": PYPROJECT, "idna/__init__.py": 'version = "3.10"\n', ".gitignore": "*.pyc\n"}


def release(time: datetime = EARLIER) -> tuple[Distribution, Distribution]:
    """A source archive and a wheel of the commit's files."""
    files = {name: text for name, text in FILES.items() if not name.startswith(".")}
    sdist = make_sdist("idna", "3.10", files, times={"pyproject.toml": time, "idna/__init__.py": time})
    return sdist, make_wheel("idna", "3.10", time=time, metadata_time=SOME_TIME)


def committed(surroundings: Surroundings, files: dict[str, str] | None = None, *tags: str) -> tuple[Origin, SourceTree]:
    """A commit with these files, as the origin of a release."""
    content = {name: text.encode() for name, text in (FILES if files is None else files).items()}
    sha = surroundings.sources.add(URL, content, moment=COMMITTED)
    for each in tags:
        surroundings.sources.tag(URL, each, sha, annotated=each.startswith("annotated"))
    tree = surroundings.sources.commit(URL, sha)
    assert isinstance(tree, SourceTree)
    tag = tags[0] if tags else None
    return Origin(repository=URL, commit=sha, tag=tag, attested=True, sentence="Attested."), tree


def evidence(surroundings: Surroundings, *distributions: Distribution, filename: str | None = None) -> Evidence:
    """What is published about the one wheel, or the one file asked for."""
    surroundings.publish(*distributions)
    subject = surroundings.pypi.parse("idna").replace(filename=filename)
    [found] = surroundings.pypi.evidence(subject)
    return found


def test_source_archive_first_then_the_wheel() -> None:
    """Each step has its own file to rebuild; a confirmed one goes on to the next."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings, None, "v3.10")
    sdist, wheel = release()
    hypotheses = from_commit(surroundings.pypi, evidence(surroundings, sdist, wheel), origin, tree)
    first = hypotheses.first()
    assert ("sdist-from-commit-commit-times", sdist.filename) == (first.name, first.target)
    second = hypotheses.after(attempt(first, Level.IDENTICAL))
    assert ("wheel-from-commit-commit-times", wheel.filename) == (second.name, second.target)
    assert hypotheses.end(attempt(second, Level.EQUIVALENT)) is None


def test_definition_says_everything() -> None:
    """Commit, tag and their objects are pinned; the build environment has git; nothing published goes in."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings, None, "annotated-3.10", "other")
    sdist, wheel = release()
    first = from_commit(surroundings.pypi, evidence(surroundings, sdist, wheel), origin, tree).first()
    definition = first.definition
    assert definition.source is not None
    assert (SourceKind.GIT, URL, {"gitCommit": tree.commit.sha}) == (
        definition.source.kind,
        definition.source.uri,
        definition.source.digest,
    )
    assert [
        (Role.PROGRAM, "/tools/pypi.pyz"),
        (Role.BUILD_TOOL, "/tools/uv"),
        (Role.SOURCE, "/inputs/commit.tar"),
        (Role.SOURCE, "/inputs/commit"),
        (Role.SOURCE, "/inputs/tags/0"),
        (Role.PARAMETERS, "/inputs/requirements.txt"),
        (Role.BUILD_DEPENDENCY, "/inputs/wheels/minibackend-1.0-py3-none-any.whl"),
    ] == [(each.role, each.path) for each in definition.inputs]
    assert all(surroundings.blobs.has(each.sha256) for each in definition.inputs)
    assert not {sdist.sha256, wheel.sha256} & {each.sha256 for each in definition.inputs}
    checkout = next(command for command in definition.commands if "checkout" in command)
    assert "--shallow" in checkout
    assert "--tag-object=annotated-3.10=/inputs/tags/0" in checkout
    assert not any("other" in each for each in checkout), "a runner fetches the tag it was started for"
    assert "build_sdist" in definition.commands[-1]
    assert "trixie-git" == definition.toolchain.name
    assert "history before it is not there" in first.sentence
    assert BuildDefinition.from_slsa(definition.slsa) == definition


def test_a_difference_shapes_the_next() -> None:
    """After the times of the files: the time of the header, then the commit's; the wheel in the end by another way."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings)
    sdist, wheel = release()
    hypotheses = from_commit(surroundings.pypi, evidence(surroundings, sdist, wheel), origin, tree)
    names, epochs = [], []
    hypothesis = hypotheses.first()
    for _ in range(7):
        names.append(hypothesis.name)
        epochs.append(hypothesis.definition.environment.get("SOURCE_DATE_EPOCH"))
        if len(names) < 7:
            hypothesis = hypotheses.after(attempt(hypothesis, Level.DIFFERENT))
    assert hypotheses.end(attempt(hypothesis, Level.DIFFERENT)) is None
    assert [
        *("sdist-from-commit-commit-times", "sdist-from-commit-source-date-epoch", "sdist-from-commit-commit-time"),
        *("wheel-from-commit-commit-times", "wheel-from-commit-source-date-epoch", "wheel-from-commit-commit-time"),
        "wheel-from-commit-commit-times-through-sdist",
    ] == names
    assert [None, str(COMMITTED)] == [epochs[0], epochs[2]]


def test_one_time_in_the_source_archive_is_source_date_epoch() -> None:
    """A source archive with one time everywhere was made with the clock set."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings)
    sdist = make_sdist("idna", "3.10", {name: FILES[name] for name in ("pyproject.toml", "idna/__init__.py")})
    first = from_commit(surroundings.pypi, evidence(surroundings, sdist, release()[1]), origin, tree).first()
    assert "sdist-from-commit-source-date-epoch" == first.name
    assert str(int(SOME_TIME.timestamp())) == first.definition.environment["SOURCE_DATE_EPOCH"]


def test_trouble_with_one_step_leaves_the_other() -> None:
    """A build that fails, or reaches a limit, for the source archive does not keep the wheel from being tried."""
    for level, limit in ((None, None), (None, Limit.WALL_TIME)):
        surroundings = Surroundings()
        origin, tree = committed(surroundings)
        hypotheses = from_commit(surroundings.pypi, evidence(surroundings, *release()), origin, tree)
        hypothesis = hypotheses.first()
        while hypothesis.target.endswith(".tar.gz"):
            hypothesis = hypotheses.after(attempt(hypothesis, level, limit))
        assert hypothesis.name.startswith("wheel-from-commit")


def test_obstacle_of_one_step_leaves_the_other() -> None:
    """No backend makes a ZIP source archive: that is told in the end, after the wheel was tried."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("idna-3.10/pyproject.toml", PYPROJECT)
    found = evidence(surroundings, Distribution("idna", "idna-3.10.zip", buffer.getvalue()), release()[1])
    hypotheses = from_commit(surroundings.pypi, found, origin, tree)
    first = hypotheses.first()
    assert first.name.startswith("wheel-from-commit")
    obstacle = hypotheses.end(attempt(first, Level.IDENTICAL))
    assert obstacle is not None
    assert "idna-3.10.zip is not a .tar.gz archive" in obstacle.sentence


def test_the_same_time_is_tried_once() -> None:
    """When the one time is the commit's own, nothing is gained by another build with it."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings)
    at_commit = datetime.fromtimestamp(COMMITTED, UTC)
    files = {name: FILES[name] for name in ("pyproject.toml", "idna/__init__.py")}
    sdist = make_sdist("idna", "3.10", files, time=at_commit)
    hypotheses = from_commit(surroundings.pypi, evidence(surroundings, sdist, release()[1]), origin, tree)
    first = hypotheses.first()
    assert "sdist-from-commit-source-date-epoch" == first.name
    second = hypotheses.after(attempt(first, Level.DIFFERENT))
    assert "sdist-from-commit-commit-times" == second.name
    assert hypotheses.after(attempt(second, Level.DIFFERENT)).name.startswith("wheel-from-commit")


def test_requirements_are_those_of_the_commit() -> None:
    """What the source archive says about the build does not count here; a malformed commit is told as such."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings, FILES | {"pyproject.toml": "not toml ["})
    obstacle = from_commit(surroundings.pypi, evidence(surroundings, *release()), origin, tree).end()
    assert obstacle is not None
    assert obstacle.verdict is Verdict.BUILD_FAILED
    assert "not TOML" in obstacle.sentence


def test_project_in_a_directory() -> None:
    """The directory with the source archive's own pyproject.toml is built."""
    surroundings = Surroundings()
    below = {f"packages/idna/{name}": text for name, text in FILES.items()}
    origin, tree = committed(surroundings, below | {"pyproject.toml": "[tool.all]\n"})
    first = from_commit(surroundings.pypi, evidence(surroundings, *release()), origin, tree).first()
    assert "/build/src/packages/idna" in first.definition.commands[-1]


def changes(pypi: PyPI, found: Evidence, tree: SourceTree) -> tuple[FileChange, ...]:
    """How the source archive differs from the commit; nothing is looked up for that."""
    origin = Origin(repository=URL, commit=tree.commit.sha, attested=True, sentence="Attested.")
    commit = SourceCommit(origin=origin, tree=tree)
    return pypi.tree_changes(found, commit, FakeSources(MemoryBlobs()), ()).changes


def test_wheel_without_a_source_archive() -> None:
    """The commit is all there is to build from; the obstacle on the way from a source archive stays."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings)
    found = evidence(surroundings, release()[1])
    assert found.obstacle is not None
    assert found.obstacle.verdict is Verdict.INPUTS_MISSING
    first = from_commit(surroundings.pypi, found, origin, tree).first()
    assert first.name.startswith("wheel-from-commit")
    assert changes(surroundings.pypi, found, tree) == ()


def test_wheel_of_a_directory_without_a_source_archive() -> None:
    """One repository of many projects: the directory whose settings name this one is built."""
    surroundings = Surroundings()
    named = PYPROJECT + '[project]\nname = "Idna"\n'
    below = {f"packages/idna/{name}": text for name, text in (FILES | {"pyproject.toml": named}).items()}
    origin, tree = committed(surroundings, below | {"pyproject.toml": '[project]\nname = "all"\n'})
    first = from_commit(surroundings.pypi, evidence(surroundings, release()[1]), origin, tree).first()
    assert "/build/src/packages/idna" in first.definition.commands[-1]


def test_source_archive_alone() -> None:
    """A source archive is an artifact, too: it may follow from the commit."""
    surroundings = Surroundings()
    origin, tree = committed(surroundings)
    sdist, wheel = release()
    found = evidence(surroundings, sdist, wheel, filename=sdist.filename)
    assert found.obstacle is not None
    assert found.obstacle.verdict is Verdict.UNSUPPORTED
    hypotheses = from_commit(surroundings.pypi, found, origin, tree)
    first = hypotheses.first()
    assert sdist.filename == first.target
    assert hypotheses.end(attempt(first, Level.IDENTICAL)) is None


def test_changes_between_commit_and_source_archive() -> None:
    """Both are listed inside the sandbox, and compared by path below the project."""
    surroundings = Surroundings()
    _, tree = committed(surroundings, FILES | {"idna/__init__.py": "other\n"})
    found = changes(surroundings.pypi, evidence(surroundings, *release()), tree)
    assert [
        ("changed", "idna/__init__.py", None),
        ("added", "PKG-INFO", "generated-metadata"),
        ("missing", ".gitignore", "vcs-files"),
    ] == [(each.change.value, each.path, each.rule) for each in found]


def test_attestations_are_kept_as_they_were_served() -> None:
    """The documents of wheel and source archive become blobs; relative addresses are those of the page."""
    surroundings = Surroundings()
    sdist, wheel = release()
    for each in (sdist, wheel):
        surroundings.fetcher.serve(f"https://example.org/integrity/{each.filename}", each.filename.encode())
        surroundings.publish(each, provenance=f"/integrity/{each.filename}#x")
    [found] = surroundings.pypi.evidence(surroundings.pypi.parse("idna"))
    assert found.provenance_sha256 is not None
    assert found.source_provenance_sha256 is not None
    assert wheel.filename.encode() == surroundings.blobs.read(found.provenance_sha256)
    assert sdist.filename.encode() == surroundings.blobs.read(found.source_provenance_sha256)
    assert found.notes == ()


def test_no_attestations() -> None:
    """Named by nobody is nothing; named and not there is told."""
    surroundings = Surroundings()
    assert evidence(surroundings, *release()).provenance_sha256 is None
    surroundings = Surroundings()
    surroundings.publish(*release(), provenance="https://example.org/gone")
    [found] = surroundings.pypi.evidence(surroundings.pypi.parse("idna"))
    assert (None, None) == (found.provenance_sha256, found.source_provenance_sha256)
    assert ["there are none at the address" in each for each in found.notes] == [True, True]
    for odd in ("ftp://example.org/x", "http://[", "urn:x"):
        surroundings = Surroundings()
        surroundings.publish(*release(), provenance=odd)
        [found] = surroundings.pypi.evidence(surroundings.pypi.parse("idna"))
        assert found.provenance_sha256 is None


@pytest.mark.parametrize("error", [UnavailableError("Nobody answers."), FetchMismatchError("Too much came.")])
def test_attestations_that_cannot_be_fetched_are_our_trouble(error: UnavailableError) -> None:
    """A release must not look as if its attestation had vanished because nobody could look."""
    surroundings = Surroundings()
    surroundings.publish(*release(), provenance="https://example.org/down")
    surroundings.fetcher.break_down("https://example.org/down", error)
    with pytest.raises(type(error)):
        surroundings.pypi.evidence(surroundings.pypi.parse("idna"))


class Real:
    """A project that takes its version from git, published from a checkout, and real parts to build it again."""

    def __init__(self, directory: Path, environments: EnvironmentStore) -> None:
        self.repository = make_repository(directory / "repository", self._files())
        self.commit = self.repository.git("rev-parse", "HEAD")
        self.repository.tag("v1.5", annotated=True)
        self.surroundings = Surroundings()
        self.blobs = DiskBlobs(directory / "blobs")
        self.sandbox = BubblewrapSandbox(self.blobs, FixedClock(UPLOADED), scratch=directory / "scratch")
        self._environments = environments
        self._directory = directory

    def _files(self) -> dict[str, str]:
        backend = Path(git_backend.__file__).read_text(encoding="utf-8")
        system = '[build-system]\nrequires = []\nbuild-backend = "git_backend"\nbackend-path = ["tools"]\n'
        return {
            "pyproject.toml": system,
            "tools/git_backend.py": backend,
            "x/__init__.py": "",
            "run.sh*": "#!/bin/sh\n",
        }

    def publish(self) -> None:
        """Build on this machine, with file times as a checkout leaves them, and list the files."""
        self._give_times(self.repository)
        out = self._directory / "published"
        out.mkdir()
        for hook in ("build_sdist", "build_wheel"):
            code = f"import git_backend, sys; print(git_backend.{hook}(sys.argv[1]))"
            done = subprocess.run(
                [sys.executable, "-P", "-c", code, str(out)],
                cwd=self.repository.path,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": "tools", "PYTHONDONTWRITEBYTECODE": "1"},
                check=True,
                capture_output=True,
                text=True,
                timeout=300,
            )
            name = done.stdout.strip()
            self.surroundings.publish(Distribution("x", name, (out / name).read_bytes()))

    def _give_times(self, repository: Repository) -> None:
        for number, path in enumerate(repository.git("ls-files").splitlines()):
            moment = 1_700_000_500 * 10**9 + number * 10**9 + 123_456_700 * number
            os.utime(repository.path / path, ns=(moment, moment))

    @property
    def pypi(self) -> PyPI:
        """The ecosystem with a fake network and a real sandbox."""
        runner = LocalRunner({self.sandbox.kind: self.sandbox}, self._environments, self.blobs)
        self.run = runner
        self.programs = SandboxPrograms(self.sandbox, self._environments, self.blobs, "bookworm")
        fetcher = self.surroundings.fetcher
        fetcher._blobs = self.blobs
        context = PlanningContext(
            fetcher=fetcher,
            blobs=self.blobs,
            programs=self.programs,
            run=runner,
            resolver=self.surroundings.resolver,
            environments=self._environments,
            uv_input=lambda: uv_input(self.blobs, self._directory / "cache"),
            memo=MemoryMemo(),
        )
        return PyPI(INDEX, context)


def test_attested_commit_to_source_archive_and_wheel_bit_for_bit(
    tmp_path: Path, environments: EnvironmentStore
) -> None:
    """In the real sandbox: the tag gives the version, recorded times are written afterwards, the digests match."""
    real = Real(tmp_path, environments)
    real.publish()
    pypi = real.pypi
    sources = GitSources(real.blobs, tmp_path / "git", {URL: str(real.repository.path)})
    [found] = pypi.evidence(pypi.parse("x==1.5"))
    tree = sources.commit(URL, real.commit)
    assert isinstance(tree, SourceTree), tree
    origin = Origin(repository=URL, commit=real.commit, tag="v1.5", attested=True, sentence="Attested.")
    published = {each.filename: each.sha256 for each in (found.artifact.file, found.source_file) if each is not None}
    comparer = Comparer(real.blobs, real.programs)
    finisher = Finisher(real.run, real.programs, comparer, environments, real.blobs, environment_name="bookworm")
    same = {}
    hypotheses = from_commit(pypi, found, origin, tree)
    hypothesis: Hypothesis | None = hypotheses.first()
    while hypothesis is not None:
        name = hypothesis.target
        run = real.run(hypothesis.definition)
        assert [name] == [each.filename for each in run.outputs], real.blobs.read(run.log_sha256).decode()
        comparison = comparer.compare(published[name], run.outputs[0].sha256, name, name)
        made = finisher.finished(Attempt(hypothesis=hypothesis, run=run, rebuilt=run.outputs[0], comparison=comparison))
        same[hypothesis.name] = made.finished_identical or comparison.level is Level.IDENTICAL
        hypothesis = hypotheses.following(made)
    real.sandbox.close()
    assert {"sdist-from-commit-commit-times": True, "wheel-from-commit-commit-times": True} == same
    assert [("PKG-INFO", "generated-metadata"), ("x/_version.py", "generated-version")] == [
        (each.path, each.rule) for each in changes(pypi, found, tree)
    ]
