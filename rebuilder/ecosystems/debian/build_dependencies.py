"""Which packages a build has beside those of its build environment: the work of apt, with lists that were verified.

The ``apt-get`` of the environment itself chooses, inside the sandbox, so that it does not matter which one the machine
has. It starts from what the environment has installed, reads the lists of the archive (each a file bound by the digest
that the signed release has for it), and takes the newest version of each package, as builders of the archive do.
What is pinned comes before that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple
from urllib.parse import unquote

from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.archive import SignedIndex, SignedRelease
from rebuilder.ecosystems.debian.context import PlanningContext
from rebuilder.ecosystems.debian.index import SourcePackage, indexed_file
from rebuilder.ecosystems.debian.pinned_packages import Pin, PinnedPackage, pinned_packages, preferences
from rebuilder.ecosystems.debian.relations import wanted
from rebuilder.ecosystems.debian.subject import is_architecture, is_name
from rebuilder.ecosystems.debian.version import is_version
from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, unsupported
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.environments.sources import without_password
from rebuilder.errors import SandboxFaultError
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, Input, Limits, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.environment import Package, Release
from rebuilder.model.text import clipped, written_lines
from rebuilder.model.value import Value, canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict

BUILD_TYPE = "tag:rebuilder,2026:build-dependencies/v1"
"""Names how the commands came about: ``apt-get build-dep`` over the lists of an archive."""
MOST_PACKAGES = 4000
MOST_BYTES = 8 << 30
"""Of all packages that one build has beside its environment."""
_AGAIN = 1
"""Part of the key of what was worked out; another number works it out anew."""
_PLACE = "/inputs/apt"
_PINNED = f"{_PLACE}/pinned/Packages"
_LIMITS = Limits(
    wall_seconds=180,
    cpu_seconds=120,
    memory_bytes=2 << 30,
    processes=16,
    file_bytes=512 << 20,
    disk_bytes=1 << 30,
    output_bytes=32 << 20,
    log_bytes=1 << 20,
)
_SETTINGS = f"""\
APT::Architecture "{{architecture}}";
APT::Architectures "{{architecture}}";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::AllowUnauthenticated "true";
APT::Get::allow-downgrades "true";
APT::Get::allow-remove-essential "true";
Acquire::Languages "none";
Acquire::ForceHash "SHA256";
Debug::NoLocking "true";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{_PLACE}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "{_PLACE}/preferences";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "/tmp/state";
Dir::State::lists "{_PLACE}/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "/tmp/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
_CHOOSE = (
    "mkdir -p /tmp/state /tmp/cache/archives/partial; "
    f'apt-get -y --print-uris "$@" build-dep {_PLACE}/wanted.dsc >/out/chosen'
)
_CHOSEN = re.compile(
    r"'(?:copy:/(?P<archive>[0-9]{1,3})/(?P<path>[^']+)|[^']+)' (?P<file>\S+) (?P<size>[0-9]+)"
    r" SHA256:(?P<sha256>[0-9a-f]{64})"
)
_FILE = re.compile(r"(?P<name>[^_]+)_(?P<version>[^_]+)_(?P<architecture>[^_]+)\.deb")
_REMOVED = re.compile(r"^The following packages will be REMOVED:\n((?:  .*\n)+)", re.MULTILINE)
_NO_WAY = ("E: Unable to ", "E: Version ", "E: Error, pkgProblemResolver", "E: Unsatisfied ")
"""What apt says where packages do not go together."""
_UNMET = re.compile(r"^ .*?(?P<what>(?:PreDepends|Depends|Conflicts|Breaks): .+)$", re.MULTILINE)


class BuildPackage(Value):
    """A package that a build has beside those of its environment."""

    package: Package
    path: str
    """Below the archive's address."""
    size: int
    """Bytes."""
    uri: str


class Resolution(Value):
    """All that a build has beside its environment."""

    packages: tuple[BuildPackage, ...] = ()
    """In the order of names."""
    removed: tuple[str, ...] = ()
    """Packages of the environment that are in the way of others."""
    releases: tuple[Release, ...] = ()
    """The signed states of the archive that they were chosen from."""
    notes: tuple[str, ...] = ()
    """What a report has to say about it, one sentence each."""


class _Wanted(NamedTuple):
    """What apt is asked for."""

    depends: tuple[str, ...]
    conflicts: tuple[str, ...]


def resolve(
    context: PlanningContext,
    source: SourcePackage,
    base: BuildEnvironment,
    releases: Sequence[SignedRelease],
    *,
    architecture: str,
    part: Literal["all", "any"],
    profiles: Sequence[str] = (),
    pins: Sequence[Pin] = (),
) -> Resolution:
    """Choose the packages for one build of a source package.

    What was chosen once, from the same lists over the same environment, is not chosen again.

    Args:
        context: The archive, and what runs apt.
        source: As the signed list has it.
        base: The environment that they are installed over.
        releases: States of the suite, of its updates and its security updates; earlier ones may be given.
        architecture: Of the build.
        part: ``all`` builds the packages for any architecture (``dpkg-buildpackage -A``), ``any`` those for this one.
        profiles: Of the build; builders of the archive have none.
        pins: Versions that are taken instead of the newest ones.

    Raises:
        NotRebuildable: what is wanted is not to be had, or is not to be understood.
        UnavailableError: a list, or the archive, cannot be had.
        BuildEnvironmentError, SandboxUnavailableError, SandboxFaultError: apt cannot be run.
    """
    lists = [
        (number, index)
        for number, release in enumerate(releases)
        for index in context.archive.indices(release, f"binary-{architecture}/Packages")
        if index.path.split("/")[0] in _components(source)
    ]
    first = _wanted(source, architecture, part, profiles)
    key = sha256_hex(
        canonical_json(
            {
                "again": _AGAIN,
                "base": base.sha256,
                "wanted": [list(each) for each in first],
                "architecture": architecture,
                "releases": [[without_password(each.archive.uri), each.kept.sha256] for each in releases],
                "lists": [index.sha256 for _, index in lists],
                "pins": [each.document() for each in pins],
            }
        )
    )
    known = context.memo.get(f"build-dependencies:{key}")
    if known is not None:
        return Resolution.model_validate(known)
    found = pinned_packages(context, releases, [index for _, index in lists], pins, architecture)
    question = _Question(context, base, releases, lists, architecture, tuple(pins), found)
    try:
        resolution = question.asked(first)
    except NotRebuildable:
        every = _wanted(source, architecture, part, profiles, all_alternatives=True)
        if every == first:
            raise
        note = "Of alternatives among its build dependencies another one than the first is taken, which is not there."
        resolution = question.asked(every)
        resolution = resolution.replace(notes=(*resolution.notes, note))
    context.memo.put(f"build-dependencies:{key}", resolution.document())
    return resolution


def _components(source: SourcePackage) -> set[str]:
    """Where packages of a source package's component may take others from (Debian Policy, 2.2)."""
    others = {"contrib", "non-free", "non-free-firmware"}
    return {"main"} | (others if source.fields.get("section", "").partition("/")[0] in others else set())


def _wanted(
    source: SourcePackage,
    architecture: str,
    part: Literal["all", "any"],
    profiles: Sequence[str],
    *,
    all_alternatives: bool = False,
) -> _Wanted:
    end = "-indep" if part == "all" else "-arch"
    try:
        depends, conflicts = (
            tuple(
                each
                for field in (kind, f"{kind}{end}")
                for each in wanted(
                    source.fields.get(field, ""),
                    architecture,
                    frozenset(profiles),
                    all_alternatives=all_alternatives or kind == "build-conflicts",
                )
            )
            for kind in ("build-depends", "build-conflicts")
        )
    except MalformedStanzaError as error:
        sentence = f"The build dependencies of {source.name} {source.version} cannot be used: {error}."
        raise unsupported(sentence) from None
    return _Wanted(depends, conflicts)


class _Question(NamedTuple):
    """What apt chooses from."""

    context: PlanningContext
    base: BuildEnvironment
    releases: Sequence[SignedRelease]
    lists: Sequence[tuple[int, SignedIndex]]
    """Each with the number of its release."""
    architecture: str
    pins: tuple[Pin, ...]
    pinned: tuple[PinnedPackage, ...]
    """Those that no list has."""

    def asked(self, what: _Wanted) -> Resolution:
        """Have apt choose.

        Raises:
            NotRebuildable: it finds no way.
        """
        run = self.context.here(self._definition(what))
        chosen = next((each for each in run.outputs if each.filename == "chosen"), None)
        text = self.context.blobs.read(chosen.sha256).decode("utf-8", "replace") if chosen else ""
        if run.outcome is not Outcome.COMPLETED:
            raise self._problem(run, text)
        packages = sorted(self._packages(text), key=lambda each: (each.package.name, each.package.architecture))
        if len(packages) > MOST_PACKAGES or sum(each.size for each in packages) > MOST_BYTES:
            sentence = f"A build wants {len(packages):,} packages beside its environment, which is more than is taken."
            raise unsupported(sentence)
        removed = _REMOVED.search(text)
        return Resolution(
            packages=tuple(packages),
            removed=tuple(each.rstrip("*") for each in removed[1].split()) if removed else (),
            releases=tuple(each.kept for each in self.releases),
            notes=tuple(dict.fromkeys(each.note for each in self.pinned)),
        )

    def _definition(self, what: _Wanted) -> BuildDefinition:
        put = self.context.blobs.put
        sources = []
        inputs = []

        def add(path: str, sha256: str) -> None:
            inputs.append(Input(role=Role.PARAMETERS, name=path.rpartition("/")[2], sha256=sha256, path=path))

        for number, release in enumerate(self.releases):
            suite = release.archive.suite
            place = f"{_PLACE}/lists/_{number}_dists_{suite.replace('/', '_')}"
            add(f"{place}_InRelease", release.kept.sha256)
            for each, index in self.lists:
                if each == number:
                    component = index.path.split("/")[0]
                    add(
                        f"{place}_{component}_binary-{self.architecture}_Packages",
                        self.context.archive.decompressed(index),
                    )
                    sources.append(f"deb [trusted=yes] copy:/{number} {suite} {component}\n")
        add(f"{_PLACE}/sources.list", put("".join(sources).encode()))
        add(f"{_PLACE}/apt.conf", put(_SETTINGS.format(architecture=self.architecture).encode()))
        add(f"{_PLACE}/preferences", put(preferences(self.pins, self.pinned).encode()))
        add(f"{_PLACE}/wanted.dsc", put(self._dsc(what).encode()))
        words = []
        if self.pinned:
            add(_PINNED, put(b"\n".join(each.stanza for each in self.pinned)))
            words = ["--with-source", _PINNED]
        return BuildDefinition(
            build_type=BUILD_TYPE,
            purl="pkg:generic/rebuilder-build-dependencies",
            targets=("chosen",),
            inputs=tuple(inputs),
            toolchain=self.base.ref,
            commands=(("/bin/sh", "-ec", _CHOOSE, "sh", *words),),
            environment={"APT_CONFIG": f"{_PLACE}/apt.conf", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            limits=_LIMITS,
        )

    def _dsc(self, what: _Wanted) -> str:
        forced = [f"{each.name} (= {each.version})" for each in self.pins if each.installed]
        lines = ["Format: 3.0 (quilt)", "Source: wanted", "Version: 1", "Binary: wanted", "Architecture: any"]
        lines += [f"Build-Depends: {', '.join((*what.depends, *forced))}"] if what.depends or forced else []
        lines += [f"Build-Conflicts: {', '.join(what.conflicts)}"] if what.conflicts else []
        return "\n".join([*lines, ""])

    def _packages(self, text: str) -> Iterator[BuildPackage]:
        known = {(each.name, each.version, each.architecture): each for each in self.pinned}
        for line in filter(lambda line: line.startswith("'"), text.split("\n")):
            found = _CHOSEN.fullmatch(line)
            named = _FILE.fullmatch(unquote(found["file"])) if found else None
            if found is None or named is None:
                raise SandboxFaultError(f"apt chose something that is no package: {clipped(line)}")
            name, version, architecture = named.groups()
            if not (is_name(name) and is_version(version) and is_architecture(architecture)):
                raise SandboxFaultError(f"apt chose something that is no package: {clipped(line)}")
            if found["archive"] is None:
                pinned = known.get((name, version, architecture))
                if pinned is None or pinned.file.sha256 != found["sha256"]:
                    raise SandboxFaultError(f"apt chose a package that it was not given: {clipped(line)}")
                file, uri, origin = pinned.file, pinned.uri, pinned.origin
            else:
                release = self.releases[int(found["archive"])]
                try:
                    file = indexed_file(unquote(found["path"]), found["size"], found["sha256"])
                except MalformedStanzaError as error:
                    raise unsupported(f"{name} {version}, a build dependency, cannot be used: {error}.") from None
                uri, origin = without_password(self.context.archive.address(release, file)), "index"
            yield BuildPackage(
                package=Package(
                    name=name, version=version, architecture=architecture, sha256=file.sha256, origin=origin
                ),
                path=file.path,
                size=file.size,
                uri=uri,
            )

    def _problem(self, run: Run, text: str) -> NotRebuildable | SandboxFaultError:
        if run.limit is not None:
            sentence = "Choosing the build dependencies reached a limit of time, memory or disk."
            return NotRebuildable(Verdict.TIMED_OUT, sentence, Cause.RESOURCE_LIMIT)
        unmet = list(dict.fromkeys(clipped(each["what"], 120) for each in _UNMET.finditer(text)))
        if not unmet:
            lines = written_lines(self.context.blobs.read(run.log_sha256))
            said = next((line for line in lines if line.startswith("E: ")), "nothing")
            sentence = f"apt cannot choose build dependencies. It said: {clipped(said)}"
            if self.pins and said.startswith(_NO_WAY):  # what a published file names stops nothing
                return inputs_missing(sentence, Cause.MISSING_REQUIREMENT)
            return SandboxFaultError(sentence)
        more = f" and {len(unmet) - 3} more" if len(unmet) > 3 else ""
        where = self.releases[0].archive.suite if self.releases else "no suite"
        sentence = f"Build dependencies cannot be met in {where}: {'; '.join(unmet[:3])}{more}."
        return inputs_missing(sentence, Cause.MISSING_REQUIREMENT)
