"""The lock file that a package without one would have got: npm itself resolves, inside the sandbox, as of a moment.

1. The documents of the packages that ``package.json`` leads to are fetched, and trimmed to the versions that the
   registry had before the moment. Which packages those are is guessed: of each range the newest version is followed.
2. npm runs ``install --package-lock-only`` with a registry that serves exactly these documents
   (:mod:`rebuilder.programs.npm.install`), which writes down what it was asked for and does not have.
3. That is fetched too, and npm runs again, until nothing is missing. What npm wrote is the lock file.

Nothing of the published artifact takes part, but for the moment. The run is none of a build: its result is, as an
input.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rebuilder.ecosystems.npm.context import PlanningContext
from rebuilder.ecosystems.npm.dependencies import LockFile, Manager, some
from rebuilder.ecosystems.npm.lock_files import MOST_BYTES
from rebuilder.ecosystems.npm.node_versions import satisfies
from rebuilder.ecosystems.npm.packument import MEDIA_TYPE, Packument, moment
from rebuilder.ecosystems.npm.registry import NpmRegistry
from rebuilder.ecosystems.npm.subject import is_name, is_version, precedence, tarball_name
from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing, quoted, unsupported
from rebuilder.errors import UnknownProjectError
from rebuilder.foreign_json import UnreadableJson, read_json
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, Input, Limits, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.value import Sha256, canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.programs.npm.loopback import ADDRESS, TARBALLS, file_name

BUILD_TYPE = "tag:rebuilder,2026:npm-resolution/v1"
"""Documented in docs/predicates/program-runs.md."""
MOST_NAMES = 3_000
"""Packages whose documents are fetched for one resolution."""
MOST_ROUNDS = 12
SHORT = "application/vnd.npm.install-v1+json"
"""Media type of a document with what installers need, and the time of the last change alone."""
LOCK = "package-lock.json"
_AT_ONCE = 8
_MISSING = "missing.json"
_COPYING = timedelta(days=45)
"""How long a registry that copies another one takes until it has seen all versions that there are of a package."""
UNLOCKED = "The commit has no lock file:"
"""How the sentence begins that says how versions were chosen."""
_DOCUMENTS = "/inputs/documents"
_LIMITS = Limits(wall_seconds=300, cpu_seconds=300, output_bytes=MOST_BYTES)
_ERROR = re.compile(r"^(?:\| )?npm (?:ERR!|error) (\S.*)$", re.MULTILINE)
_FOLLOWED = ("dependencies", "optionalDependencies", "peerDependencies")
_KEPT = (
    *("name", "version", "deprecated", "bin", "directories", "engines", "os", "cpu", "libc", "_hasShrinkwrap"),
    *("hasInstallScript", "bundleDependencies", "bundledDependencies", "peerDependenciesMeta", *_FOLLOWED),
)
"""What of an entry npm looks at (https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md)."""


@dataclass(frozen=True)
class Resolved:
    """What npm chose."""

    lock: LockFile
    sentence: str
    notes: tuple[str, ...]
    guessed: bool = False
    """Whether the registry does not say what there was at that moment, so that versions after it were allowed."""


def resolve(
    context: PlanningContext,
    opened: BuildDefinition,
    manifests: Sequence[Mapping[str, Any]],
    directory: str,
    *,
    manager: Manager,
    program: Input,
    source: str,
    not_after: datetime,
    release: tuple[str, str],
) -> Resolved:
    """Have npm choose the newest versions of before a moment that are in the ranges of ``package.json``.

    Args:
        context: Where packages come from, and where npm runs.
        opened: A definition whose commands unpack npm and check the commit out; npm runs behind them.
        manifests: The package.json of the project, and of its workspaces as far as they are known; hostile.
        directory: Where npm is run, in the repository: of the package, or of its workspaces.
        manager: npm 7 or newer.
        program: The family ``npm`` of our own programs.
        source: Directory of the checked-out repository in the sandbox.
        not_after: The moment.
        release: Name and version of what is built, which nobody had while it was made.

    Raises:
        NotRebuildable: npm cannot resolve it, or what it needs is not to be had.
        UnavailableError: the registry does not answer.
        SandboxUnavailableError, SandboxFaultError, StoreError: see :class:`rebuilder.sandbox.protocol.Runner`.
    """
    question = {
        "resolution": opened.digest,
        "directory": directory,
        "manager": [manager.name, manager.version],
        "not_after": not_after.astimezone(UTC).isoformat(),
        "release": list(release),
    }
    key = sha256_hex(canonical_json(question))
    path = posixpath.join(directory, LOCK)
    sentence = (
        f"{UNLOCKED} {manager.label} chose the newest versions of before "
        f"{not_after.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC that package.json allows."
    )
    known = context.memo.get(key)
    if isinstance(known, dict) and context.blobs.has(str(known.get("lock"))):
        chosen = LockFile(path, context.blobs.read(known["lock"]))
        return Resolved(chosen, sentence, tuple(known["notes"]), bool(known.get("guessed")))
    rounds = _Rounds(context, not_after, release)
    rounds.follow(manifests)
    for number in range(MOST_ROUNDS):
        run = context.run(_definition(opened, rounds, directory, manager=manager, program=program, source=source))
        missing = _missing(context, run)
        if not rounds.add(missing):
            lock = next((each.sha256 for each in run.outputs if each.filename == LOCK), None)
            if run.outcome is Outcome.COMPLETED and lock is not None:
                found = {"lock": lock, "notes": rounds.notes, "guessed": rounds.guessed, "rounds": number + 1}
                context.memo.put(key, found)
                return Resolved(LockFile(path, context.blobs.read(lock)), sentence, tuple(rounds.notes), rounds.guessed)
            if rounds.conflicts or run.outcome is not Outcome.BUILD_FAILED or rounds.gone & set(missing):
                raise _unresolved(context, run, rounds.gone & set(missing))
            rounds.conflicts = True
    raise unsupported(f"npm still asked for more packages after {MOST_ROUNDS} rounds.")


class _Rounds:
    """The documents that were fetched so far."""

    def __init__(self, context: PlanningContext, not_after: datetime, release: tuple[str, str]) -> None:
        self._context = context
        self._release = release
        self._not_after = not_after
        self._entries: dict[str, dict[str, Any]] = {}
        self._widened: dict[str, set[str]] = {}
        """Ranges that no version of before the moment is in, by package."""
        self._seen: set[tuple[str, str]] = set()
        self.inputs: dict[str, Input] = {}
        self.gone: set[str] = set()
        """What the registry does not have."""
        self.conflicts = False
        """Whether ranges of peers contradict one another."""

    @property
    def guessed(self) -> bool:
        """See :attr:`Resolved.guessed`."""
        return bool(self._widened)

    @property
    def notes(self) -> list[str]:
        """What a reader may want to know of how versions were chosen."""
        notes = []
        if self._widened:
            notes.append(
                f"The registry says that it saw no version of {some(sorted(self._widened))} before that moment that "
                "package.json allows, as one that copies another registry does: those that it saw first were allowed."
            )
        if self.conflicts:
            notes.append("npm was told --legacy-peer-deps: without it, ranges of peers contradict one another.")
        return notes

    def follow(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Fetch the documents that lead on from some package.json, as far as can be guessed."""
        wanted = [each for manifest in manifests for each in _wanted(manifest, ("devDependencies", *_FOLLOWED))]
        while wanted:
            self._fetch({name for name, _ in wanted} - self._entries.keys())
            lacking = [each for each in wanted if self._lacks(*each)]
            for name, range_ in lacking:
                self._widened.setdefault(name, set()).add(range_)
            self._fetch({name for name, _ in lacking})
            entries = [self._entry(*each) for each in wanted]
            wanted = [each for entry in entries if entry is not None for each in _wanted(entry, _FOLLOWED)]
            wanted = [each for each in dict.fromkeys(wanted) if each not in self._seen]
            self._seen.update(wanted)

    def add(self, missing: Sequence[str]) -> bool:
        """Fetch what npm asked for in vain; whether there is anything new."""
        before = len(self.inputs)
        self.follow([{"dependencies": {each: "*" for each in missing if is_name(each)}}])
        for each in missing:
            name, _, version = each.rpartition("@")
            if is_name(name) and is_version(version) and each not in self.gone:
                self._add_tarball(name, version)
        return len(self.inputs) > before

    def _lacks(self, name: str, wanted: str) -> bool:
        """Whether no version that is allowed is in a range."""
        entries = self._entries.get(name)
        if entries is None or wanted in self._widened.get(name, ()):
            return False
        return not any(_fits(each, wanted) for each in entries)

    def _fetch(self, names: Iterable[str]) -> None:
        new = sorted(set(names) - self.gone)
        if len(self._entries.keys() | set(new)) > MOST_NAMES:
            raise unsupported(f"Its dependencies lead to more than {MOST_NAMES:,} packages.")

        def read(name: str) -> dict[str, Any] | None:
            own, version = self._release
            without = version if name == own else None
            try:
                return trimmed(
                    self._context.registry, name, self._not_after, self._widened.get(name, ()), without=without
                )
            except UnknownProjectError:
                return None

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="npm-documents") as pool:
            for name, document in zip(new, pool.map(read, new), strict=True):
                if document is None:
                    self.gone.add(name)
                    continue
                self._entries[name] = document["versions"]
                file = f"{name.replace('/', '+')}.json"
                sha256 = self._context.blobs.put(json.dumps(document, separators=(",", ":")).encode())
                path = f"{_DOCUMENTS}/{file}"
                self.inputs[name] = Input(role=Role.PARAMETERS, name=file, sha256=sha256, path=path)

    def _entry(self, name: str, wanted: str) -> dict[str, Any] | None:
        """The newest version in a range, or the newest of all where that is no range."""
        versions = sorted(self._entries.get(name, {}), key=precedence, reverse=True)
        fitting = next((each for each in versions if _fits(each, wanted)), versions[0] if versions else None)
        return None if fitting is None else self._entries[name][fitting]

    def _add_tarball(self, name: str, version: str) -> None:
        """Npm looks into a tarball where that brings packages or a lock file of its own along."""
        label = f"{name}@{version}"
        release = self._context.registry.packument(name).release(version)
        if release is None or (name, version) == self._release:
            self.gone.add(label)
            return
        sha256 = self._context.registry.tarball(release)
        path = f"{TARBALLS}/{file_name(name, version)}"
        self.inputs[label] = Input(role=Role.PARAMETERS, name=name, version=version, sha256=sha256, path=path)


def _fits(version: str, wanted: str) -> bool:
    """Whether a version may be in a range; a text that is no range, such as a tag, may mean any."""
    return version == wanted.lstrip("=v ") or satisfies(version, wanted) is not False


def trimmed(
    registry: NpmRegistry,
    name: str,
    not_after: datetime,
    ranges: Collection[str] = (),
    *,
    without: str | None = None,
) -> dict[str, Any]:
    """The document of a package as the registry would have given it at a moment.

    Only what installers look at is kept, and tarballs are those of the registry in the sandbox. The short form has no
    times of versions; it is enough where nothing changed since the moment.

    Args:
        registry: Has the document.
        name: Of the package.
        not_after: The moment.
        ranges: Of each of them, what the registry saw within weeks of its first version is allowed, too.
        without: A version that was not there.

    Raises:
        UnknownProjectError, UnavailableError: see :meth:`rebuilder.ecosystems.npm.registry.NpmRegistry.document`.
    """
    packument = Packument(registry.document(name, accept=SHORT), name)
    changed = moment(packument.content.get("modified"))
    versions = packument.versions
    if changed is None or changed > not_after:
        packument = Packument(registry.document(name, accept=MEDIA_TYPE), name)
        times = {each: time for each in packument.versions if (time := packument.published(each)) is not None}
        versions = [each for each in packument.versions if each in times and times[each] <= not_after]
        for wanted in ranges:
            there = [each for each in packument.versions if each != without]
            fitting = [each for each in there if _fits(each, wanted)] or [each for each in times if each != without]
            seen = min((times[each] for each in fitting if each in times), default=None)
            versions += [each for each in fitting if seen is None or times.get(each, seen) <= seen + _COPYING]
    entries = packument.content["versions"]
    kept = {
        each: _kept(name, each, entries[each])
        for each in dict.fromkeys(versions)
        if isinstance(entries[each], dict) and each != without
    }
    return {"name": name, "dist-tags": _tags(packument, kept), "versions": kept}


def _kept(name: str, version: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    given = entry.get("dist")
    dist = {each: given[each] for each in ("integrity", "shasum") if each in given} if isinstance(given, dict) else {}
    address = f"{ADDRESS}/{name}/-/{tarball_name(name, version)}"
    kept = {each: entry[each] for each in _KEPT if each in entry}
    return kept | {"name": name, "version": version, "dist": {**dist, "tarball": address}}


def _tags(packument: Packument, kept: Mapping[str, Any]) -> dict[str, str]:
    """``latest`` is what it was then, as far as one can tell: the newest release that is no later than today's."""
    given = packument.content.get("dist-tags")
    tags = {name: each for name, each in given.items() if each in kept} if isinstance(given, dict) else {}
    if "latest" not in tags and kept:
        tags["latest"] = max(kept, key=lambda each: ("-" not in each, precedence(each)))
    return tags


def _wanted(manifest: Mapping[str, Any], members: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names and ranges; one that stands for another package is that one."""
    for member in members:
        listed = manifest.get(member)
        for name, wanted in listed.items() if isinstance(listed, dict) else ():
            if isinstance(wanted, str) and wanted.startswith("npm:"):
                name, _, wanted = wanted.removeprefix("npm:").rpartition("@")  # noqa: PLW2901
            if is_name(name) and isinstance(wanted, str) and ":" not in wanted:
                yield name, wanted


def _definition(
    opened: BuildDefinition,
    rounds: _Rounds,
    directory: str,
    *,
    manager: Manager,
    program: Input,
    source: str,
) -> BuildDefinition:
    place = posixpath.join(source, directory).rstrip("/")
    npm = (manager.command, "install", "--package-lock-only", "--package-lock", "--ignore-scripts", "--no-audit")
    return opened.replace(
        build_type=BUILD_TYPE,
        purl="pkg:generic/rebuilder-npm-resolution",
        targets=(LOCK,),
        inputs=(*opened.inputs, *(rounds.inputs[each] for each in sorted(rounds.inputs))),
        commands=(
            *opened.commands,
            (
                *("/usr/bin/python3", "-I", "-S", program.path, "install", "--documents", _DOCUMENTS),
                *("--tarballs", TARBALLS, "--directory", place, "--missing", f"/out/{_MISSING}", "--"),
                *(*npm, "--no-fund", *(("--legacy-peer-deps",) if rounds.conflicts else ())),
            ),
            ("/bin/cp", "--", f"{place}/{LOCK}", f"/out/{LOCK}"),
        ),
        limits=_LIMITS,
    )


def _missing(context: PlanningContext, run: Run) -> list[str]:
    written = next((each.sha256 for each in run.outputs if each.filename == _MISSING), None)
    try:
        found = read_json(context.blobs.read(written)) if written is not None else []
    except UnreadableJson:
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _unresolved(context: PlanningContext, run: Run, gone: set[str]) -> NotRebuildable:
    if gone:
        named = ", ".join(sorted(gone)[:3])
        return inputs_missing(f"The registry does not have {named}, which npm needs.", Cause.SOURCE_UNAVAILABLE)
    if run.outcome is not Outcome.BUILD_FAILED:
        return NotRebuildable(Verdict.TIMED_OUT, "npm did not come to an end choosing versions.")
    lines = context.blobs.read(Sha256(run.log_sha256)).decode("utf-8", "replace").splitlines()
    said = [
        each.removeprefix("| ")
        for each in lines
        if each.removeprefix("| ").lower().startswith(("npm err", "npm error"))
    ]
    reason = next((each for each in said if "code" not in each.lower()), said[0] if said else "it gave no reason")
    return unsupported(f"npm cannot choose versions of the dependencies: {quoted(reason)}.")
