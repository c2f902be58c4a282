"""Planning rebuilds of one Debian package from recorded attempts, without an archive, apt or a sandbox."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rebuilder.ecosystems.debian.archive import SignedRelease
from rebuilder.ecosystems.debian.build_dependencies import BuildPackage, Resolution
from rebuilder.ecosystems.debian.build_inputs import SourceFiles
from rebuilder.ecosystems.debian.candidates import Candidate
from rebuilder.ecosystems.debian.hypotheses import Case, Way, infer
from rebuilder.ecosystems.debian.index import BinaryPackage, IndexedFile, SourceName, SourcePackage
from rebuilder.ecosystems.debian.pinned_packages import Pin
from rebuilder.ecosystems.debian.planning import Planner
from rebuilder.ecosystems.debian.traces import OtherVersion, Traces
from rebuilder.ecosystems.notebook import Notebook
from rebuilder.ecosystems.obstacles import NotRebuildable, planned
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import Attempt, History, Hypothesis, Outcome, Output, Run
from rebuilder.model.comparison import Comparison, Difference, Level, MemberChange
from rebuilder.model.definition import Input, Role
from rebuilder.model.environment import Origin, Package, Specification
from rebuilder.model.evidence import Evidence, Obstacle, Source, SourceKind
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.model.verdict import Verdict
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.verifications import NOW

PUBLISHED = sha256_hex(b"published")
TOOL = "1.2.4-1"
"""The version of the tool that the release has now."""
MOMENT = 1_735_689_600


def digest(text: str) -> Sha256:
    """A digest that belongs to a word."""
    return sha256_hex(text.encode())


def with_new_compiler(root: Path) -> Path:
    """The root of an environment whose compiler is newer than any package that is published here."""
    place = root / "usr/share/doc/gcc-14-base"
    place.mkdir(parents=True)
    entry = f"gcc-14 (14.2.0-19) unstable; urgency=medium\n\n -- a <a@example.org>  {format_datetime(NOW)}\n"
    (place / "changelog.Debian.gz").write_bytes(gzip.compress(entry.encode(), mtime=0))
    return root


def with_updated_tool(root: Path) -> Path:
    """The root of an environment whose tool got an update of the release, with an option."""
    place, listed = root / "usr/share/doc/tool", root / "var/lib/dpkg/info"
    place.mkdir(parents=True)
    listed.mkdir(parents=True)
    entry = f"tool ({{}}) {{}}; urgency=medium\n\n -- a <a@example.org>  {format_datetime(NOW)}\n\n"
    text = entry.format(TOOL, "trixie") + entry.format("1.2.3-1", "unstable")
    (place / "changelog.Debian.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    (listed / "tool.list").write_text("/.\n/usr\n/usr/share/doc/tool/options\n")
    (place / "options").write_text("verify_name: whether a name is verified")
    return root


@dataclass(frozen=True)
class FakePlanner(Planner):
    """Knows versions and releases by heart."""

    known: Mapping[str, Origin] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()
    """Other releases that have the very same file."""
    updates: bool = False
    """Whether the tool got an update."""
    root: Path = Path("/nonexistent")

    def had(self, releases: object, pins: Sequence[Pin]) -> tuple[Pin, ...]:
        """Of before, what is known."""
        return tuple(each for each in pins if each.version in self.known)

    def suites(self, own: str) -> Iterator[str]:
        """See :class:`Planner`."""
        return (each for each in self.elsewhere if each != own)

    def listed(self, releases: Iterable[SignedRelease], package: str) -> list[str]:
        """Other releases have no other version."""
        return []

    def versions(self, releases: object, other: OtherVersion, base_files: str) -> list[str]:
        """Those that are known and wanted, and one that nobody has."""
        return [f"{other.wanted}-9", *(each for each in self.known if other.fits(each))]


@dataclass(frozen=True)
class FakeCase(Case):
    """One package whose environments are values."""

    def releases(self, way: Way) -> list[SignedRelease]:
        """No state of an archive is looked at."""
        return []

    def _room(self, way: Way) -> tuple[BuildEnvironment, Resolution]:
        planner = cast("FakePlanner", self.planner)
        origin: Origin = "index"
        version = TOOL if way.updates or not planner.updates else "1.2.1-1"
        for pin in way.pins:
            if pin.version not in planner.known:
                raise NotRebuildable(Verdict.INPUTS_MISSING, f"Nobody has {pin.name} {pin.version}.")
            version, origin = pin.version, planner.known[pin.version]
        packages = (
            Package(name="gcc-14-base", version="14.2.0-19", architecture="amd64", sha256=digest("gcc")),
            Package(name="libc6", version="2.41-1", architecture="amd64", sha256=digest("libc6")),
            Package(name="tool", version=version, architecture="all", sha256=digest(version), origin=origin),
        )
        name = f"{way.suite}-{version}"
        room = BuildEnvironment(
            name=name,
            sha256=digest(name),
            root=planner.root,
            specification=Specification(method="configured", suite=way.suite, packages=packages, recipe=1),
            summary=EnvironmentSummary(name=name, sha256=digest(name), packages=()),
        )
        over = tuple(BuildPackage(package=each, path="", size=1, uri="") for each in packages if planner.updates)
        return room, Resolution(packages=over)


@dataclass
class World:
    """What there is to build with, and what comes out of it."""

    known: dict[str, Origin] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()
    traces: dict[str, Traces] = field(default_factory=dict)
    """What the published package says beside a rebuilt one, by the digest of that."""
    updates: bool = False
    """Whether the tool got an update."""
    root: Path = Path("/nonexistent")
    """Of every environment; see :func:`with_new_compiler`."""
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    buildinfo: str | None = None

    def next(self, history: History) -> Hypothesis | Obstacle | None:
        """What a process that knows nothing but what is recorded does next."""
        return planned(lambda known: infer(self._case(), known), history)

    def _case(self) -> Case:
        evidence, source = self._evidence(), SourceName("tiny", "1-1")
        file = IndexedFile("tiny_1-1_amd64.deb", "pool/tiny_1-1_amd64.deb", 9, PUBLISHED)
        dsc = Input(role=Role.SOURCE, name="tiny_1-1.dsc", sha256=digest("dsc"), path="/inputs/source/tiny_1-1.dsc")
        context: Any = SimpleNamespace(
            archive=SimpleNamespace(settings=SimpleNamespace(architecture="amd64"), releases=lambda _: []),
            blobs=self.blobs,
            programs=SimpleNamespace(run=self._compared),
            releases=("trixie", *self.elsewhere),
            sandbox="bubblewrap",
        )
        package = BinaryPackage("tiny", "1-1", "amd64", file, source)
        candidates: Any = SimpleNamespace(versions=lambda *_: [SimpleNamespace(package=package)])
        notebook = Notebook()
        return FakeCase(
            planner=FakePlanner(
                context=context,
                candidates=candidates,
                notebook=notebook,
                known=self.known,
                elsewhere=self.elsewhere,
                updates=self.updates,
                root=self.root,
            ),
            evidence=evidence,
            candidate=cast("Candidate", SimpleNamespace(package=package, suite="trixie")),
            source=SourcePackage("tiny", "1-1", (), {}),
            targets=("tiny_1-1_amd64.deb",),
            files=SourceFiles((dsc,), dsc),
            entry=None,
        )

    def _compared(self, *_: object, inputs: Sequence[Input], **__: object) -> SimpleNamespace:
        """What holding two packages against each other gives; nothing of most."""
        traces = self.traces.get(inputs[1].sha256)
        return SimpleNamespace(document=traces.document() if traces is not None else None)

    def _evidence(self) -> Evidence:
        artifact = Artifact(
            ecosystem="deb",
            purl="pkg:deb/debian/tiny@1-1",
            name="tiny",
            version="1-1",
            file=PublishedFile(
                filename="tiny_1-1_amd64.deb", url="http://127.0.0.1/tiny.deb", sha256=PUBLISHED, size=9
            ),
        )
        source = Source(kind=SourceKind.DSC, uri="http://127.0.0.1/tiny.dsc", digest={"sha256": digest("dsc")})
        given = self.blobs.put(self.buildinfo.encode()) if self.buildinfo is not None else None
        return Evidence(artifact=artifact, source=source, index_sha256=digest("index"), buildinfo_sha256=given)


def ended(hypothesis: Hypothesis, members: int | None) -> Attempt:
    """An attempt in which so many members differ; None: its build failed."""
    made = PUBLISHED if members == 0 else digest(f"{hypothesis.definition.digest} {members}")
    rebuilt = Output(filename="tiny_1-1_amd64.deb", sha256=made, size=9) if members is not None else None
    one = Difference(member="data.tar/usr/bin/tiny", change=MemberChange.CONTENT, detail="other content")
    return Attempt(
        hypothesis=hypothesis,
        run=Run(
            outcome=Outcome.COMPLETED if rebuilt else Outcome.BUILD_FAILED,
            exit_code=0 if rebuilt else 2,
            outputs=(rebuilt,) if rebuilt else (),
            log_sha256=digest("log"),
            wall_seconds=1,
            cpu_seconds=1,
            peak_memory_bytes=1,
            sandbox_version="fake 1",
            started=NOW,
        ),
        rebuilt=rebuilt,
        comparison=Comparison(
            level=Level.DIFFERENT if members else Level.IDENTICAL,
            published_sha256=PUBLISHED,
            rebuilt_sha256=made,
            differences=(one,) if members else (),
            differences_total=members or 0,
        )
        if rebuilt
        else None,
    )
