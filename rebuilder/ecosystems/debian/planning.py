"""What planning a build asks: what environments have, which versions there are, what packages say of their tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from rebuilder.ecosystems.debian.archive import SignedRelease
from rebuilder.ecosystems.debian.binary_only import BinaryOnlyEntry
from rebuilder.ecosystems.debian.binary_only import parsed as parsed_entry
from rebuilder.ecosystems.debian.build import ENTRY
from rebuilder.ecosystems.debian.candidates import Candidate, Candidates
from rebuilder.ecosystems.debian.context import PlanningContext
from rebuilder.ecosystems.debian.index import BinaryPackage, SourceName
from rebuilder.ecosystems.debian.pinned_packages import Pin, there
from rebuilder.ecosystems.debian.traces import OtherVersion, Traces, plain
from rebuilder.ecosystems.debian.version import parsed
from rebuilder.ecosystems.notebook import Notebook
from rebuilder.ecosystems.obstacles import inputs_missing, unsupported
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.attempt import Output
from rebuilder.model.definition import Input, Limits, Role
from rebuilder.model.evidence import Evidence
from rebuilder.sandbox.protocol import PROGRAM_LIMITS

_LIMITS = PROGRAM_LIMITS.replace(memory_bytes=3 << 30)


@dataclass(frozen=True)
class Planner:
    """The parts that builds are planned with."""

    context: PlanningContext
    candidates: Candidates
    limits: Limits = field(default_factory=Limits)
    """What one build may use."""
    notebook: Notebook = field(default_factory=Notebook)

    @property
    def architecture(self) -> str:
        """Of this machine."""
        return self.context.archive.settings.architecture

    def suites(self, own: str) -> Iterator[str]:
        """Other releases that can be built in and that the mirrors have."""
        there = {each.suite.removesuffix(each.pocket) for each in self.context.archive.settings.archives}
        there.update(self.candidates.other_releases())
        return (each for each in self.context.releases if each != own and each in there)

    def listed(self, releases: Iterable[SignedRelease], package: str) -> list[str]:
        """Versions of a package that some states list."""
        found = self.candidates.versions(releases, package, self.architecture)
        return list(dict.fromkeys(each.package.version for each in found))

    def versions(self, releases: Sequence[SignedRelease], other: OtherVersion, base_files: str) -> list[str]:
        """Versions of a package that may be the one that is wanted: in lists of now and before, and by guess."""
        found = self.listed(releases, other.package)
        for each in releases:
            found += self.candidates.kept_versions(each, other.package, self.architecture)
        fitting = [each for each in found if other.fits(each) and each != other.have]
        return list(dict.fromkeys([*fitting, *_guesses(other, base_files)]))

    def had(self, releases: Sequence[SignedRelease], pins: Sequence[Pin]) -> tuple[Pin, ...]:
        """Those of some pins that a list of now or before has, or the pool."""
        kind = f"binary-{self.architecture}/Packages"
        lists = [index for each in releases for index in self.context.archive.indices(each, kind)]
        return there(self.context, releases, lists, pins, self.architecture)

    def entry_input(self, entry: BinaryOnlyEntry) -> Input:
        """The changelog entry of a binary-only upload, written anew."""
        sha256 = self.context.blobs.put(entry.written.encode())
        return Input(role=Role.PARAMETERS, name="binary-only-changes", sha256=sha256, path=ENTRY)

    def binary_only(self, candidate: Candidate, siblings: Sequence[BinaryPackage], version: str) -> BinaryOnlyEntry:
        """What a binary-only upload says of itself, from the first package of the build that does.

        Raises:
            NotRebuildable: none does, or in another form than the archive's builders write it.
        """
        context = self.context
        own = candidate.package
        for each in sorted(siblings, key=lambda each: (each.name != own.name, each.name)):
            if each.file.size > context.max_file_bytes:
                continue
            sha256 = context.archive.file(candidate.index.release, each.file, context.max_file_bytes)
            given = Input(role=Role.PARAMETERS, name=each.file.name, sha256=sha256, path="/inputs/package.deb")
            arguments = [given.path, "--architecture", own.architecture]
            result = context.programs.run("debian", "read_changelog", arguments, inputs=[given])
            text = result.document.get("text") if isinstance(result.document, dict) else None
            if not isinstance(text, str):
                continue
            entry = parsed_entry(text, SourceName(own.source.name, own.source.version), version, own.architecture)
            if entry is not None:
                return entry
            sentence = f"The entry for {own.rebuild} in the changelog of {each.file.name} is none that builders write."
            raise unsupported(sentence)
        sentence = f"No package of this build ({own.rebuild}) has the entry that its builder wrote into the changelog."
        raise inputs_missing(sentence)


def base_name(suite: str) -> str:
    """The build environment of a release, before build dependencies are installed over it."""
    return f"{suite}-build"


def made_with(environment: BuildEnvironment) -> dict[str, str]:
    """Version of each package of an environment."""
    specification = environment.specification
    if specification is None:
        return {}
    base = specification.base.packages if specification.base is not None else ()
    return {each.name: each.version for each in (*base, *specification.packages)}


def traces_of(context: PlanningContext, evidence: Evidence, rebuilt: Output) -> Traces | None:
    """Hold two packages against each other inside the sandbox; None where that came to nothing."""
    published = evidence.artifact.file
    sides = (("published", published.filename, published.sha256), ("rebuilt", rebuilt.filename, rebuilt.sha256))
    inputs = [
        Input(role=Role.PARAMETERS, name=name, sha256=sha256, path=f"/inputs/{side}.deb")
        for side, name, sha256 in sides
    ]
    paths = [each.path for each in inputs]
    result = context.programs.run("debian", "compare_traces", paths, inputs=inputs, limits=_LIMITS)
    try:
        return Traces.model_validate(result.document) if result.document is not None else None
    except ValidationError:
        return None


def _guesses(other: OtherVersion, base_files: str) -> list[str]:
    """What Debian may have called a version, by what it called the one that is there; the pool is asked for these."""
    if not other.have or not re.fullmatch(r"[0-9][A-Za-z0-9.+~]*", other.wanted) or other.package == "perl":
        return []
    have, release = parsed(other.have), base_files.partition(".")[0]
    upstream = have.upstream.replace(plain(other.have), other.wanted, 1)
    epoch = f"{have.epoch}:" if have.epoch else ""
    if not have.revision:
        return [f"{epoch}{upstream}"]
    before = re.sub(r"[+~]deb[0-9]+u[0-9]+$", "", have.revision)
    stable = [f"{each}+deb{release}u{number}" for each in dict.fromkeys((before, "1")) for number in (1, 2)]
    return [f"{epoch}{upstream}-{each}" for each in dict.fromkeys((have.revision, before, *stable, "1", "2"))]
