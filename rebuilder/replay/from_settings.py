"""Makes what replays a report out of the settings: a store without a ledger, and no index of packages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.ecosystems.debian.conventions import apt_archive
from rebuilder.ecosystems.debian.layer_packages import layer_packages
from rebuilder.environments.catalog import why_not_made
from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.protocol import BuildEnvironment, LayerPackage
from rebuilder.environments.record import PUBLISHED, Record
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import (
    BaseMissingError,
    BuildEnvironmentError,
    CorruptEnvironmentError,
    RebuilderError,
    UsageError,
)
from rebuilder.model.environment import Base, Specification
from rebuilder.model.value import Sha256
from rebuilder.network.git.sources import GitLimits, GitSources
from rebuilder.network.http.address import Credentials
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.replay.capsule import Capsule
from rebuilder.replay.inputs import (
    FromCapsule,
    FromDirectory,
    FromOrigin,
    FromProgram,
    FromSite,
    Inputs,
    Missing,
    Place,
)
from rebuilder.replay.page import PublishedPage
from rebuilder.replay.published import PublishedReport
from rebuilder.replay.replayer import Replayer
from rebuilder.sandbox.bubblewrap.as_root import as_root
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.protocol import Runner
from rebuilder.sandbox.uml.sandbox import UmlSandbox
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.protocol import Blobs


@dataclass(frozen=True)
class BroughtEnvironments:
    """Brings build environments to this machine; where one comes from does not matter, since its tree has the digest.

    In this order: those that are here; the capsules; exports in the directories, ``TREE``, ``TREE.tar``; the capsule of
    the site; made again from the very packages, by the specification that the site has. What one lies over is brought
    before it. ``site`` is that of the report, if it is read from one.
    """

    store: EnvironmentStore
    blobs: Blobs
    capsules: Sequence[Capsule] = ()
    directories: Sequence[FromDirectory] = ()
    site: FromSite | None = None
    note: Callable[[str], None] = lambda _: None
    packages: Callable[[Specification], Sequence[LayerPackage]] | None = None
    """Fetches what a specification has over its base; None: nothing is asked over the network."""
    _begun: set[str] = field(default_factory=set)

    def bring(self, tree: Sha256, name: str) -> Missing | None:
        """Make sure that a tree is here; say why it cannot be.

        Raises:
            CorruptEnvironmentError: the one that is here was modified.
            UsageError: a capsule was changed.
        """
        said = ""
        try:
            self.store.by_digest(tree)
        except CorruptEnvironmentError:
            raise
        except BuildEnvironmentError:
            said = self._brought(tree) or ""
        else:
            return None
        with suppress(BuildEnvironmentError):
            self.store.by_digest(tree)
            return None
        words = said or "No export of it is in the places that were asked, and the site has no specification of it."
        return Missing(what=f"the build environment {name}", sha256=tree, reason=words)

    def _brought(self, tree: Sha256) -> str | None:
        try:
            return self._found(tree)
        except BaseMissingError as missing:
            lacking = self._below(missing.sha256)
        return self._found(tree) if lacking is None else lacking

    def _below(self, base: str) -> str | None:
        """Bring what another one lies over, and which lies over nothing itself; give why it cannot be had."""
        if self._begun:
            return "What it lies over lies over another one."
        self.note(f"it lies over {base[:16]}, which comes first")
        self._begun.add(base)
        try:
            missing = self.bring(Sha256(base), "that it lies over")
        finally:
            self._begun.clear()
        return None if missing is None else f"It lies over {base}, which cannot be had: {missing.reason}"

    def _found(self, tree: Sha256) -> str | None:
        for capsule in self.capsules:
            if (layer := capsule.environments.get(tree)) is not None:
                self.note(f"importing {tree[:16]} from the capsule")
                with capsule.file(layer.sha256) as file:
                    self.store.import_from(file, capsule.place)
                return None
        for directory in self.directories:
            for path in directory.named(tree, f"{tree}.tar"):
                self.note(f"importing {path.name}")
                with suppress(UsageError):
                    self.store.import_(path)
                    return None
        return self._of_site(tree) if self.site is not None else None

    def _of_site(self, tree: Sha256) -> str | None:
        assert self.site is not None  # noqa: S101 - asked before
        said = []
        if (export := self.site.environment(tree)) is not None:
            self.note(f"fetching {tree[:16]} from the capsule of the site")
            said += [problem] if (problem := self.site.fetch(export, self.blobs)) is not None else []
            if self.blobs.has(export):
                self.store.import_(self.blobs.path(export))
                return None
        document = self.site.page.read_site(f"{PUBLISHED}/{tree}.json")
        if document is None:
            return " ".join(said) or None
        return " ".join([*said, problem]) if (problem := self._made(tree, document)) is not None else None

    def _made(self, tree: Sha256, document: bytes) -> str | None:
        """Make it from what a stranger says that it was made from; give why it cannot be."""
        try:
            record = Record.model_validate_json(document)
            wanted = record.specification
        except ValidationError:
            return "What the site says it was made from is not written as this version reads it."
        if (why := why_not_made(wanted)) is not None:
            return f"It is not made from its specification: {why}."
        self.note("making it from the packages that it had")
        try:
            made = self.store.get(wanted) if record.made.base is None else self._layered(record.made.base, wanted)
        except RebuilderError as error:
            return f"It cannot be made from its specification: {error}"
        return None if made.sha256 == tree else f"Made again from the same packages it is another tree, {made.sha256}."

    def _layered(self, base: Base, wanted: Specification) -> BuildEnvironment:
        if self.packages is None:
            raise BuildEnvironmentError("Its packages are asked for nowhere.")
        if (lacking := self._below(base.sha256)) is not None:
            raise BuildEnvironmentError(lacking)
        self.note(f"fetching {len(wanted.packages)} packages that lie over it")
        return self.store.layered(self.store.by_digest(base.sha256), self.packages(wanted), wanted.releases)


@contextmanager
def replaying(
    config: Config,
    *,
    page: PublishedPage | None,
    capsules: Sequence[Capsule],
    directories: Sequence[Path],
    note: Callable[[str], None],
) -> Iterator[tuple[Replayer, EnvironmentStore]]:
    """What replays reports, and the build environments of this machine; closed again at the end.

    Args:
        config: The settings; of the store, blobs, build environments and scratch are used.
        page: Where the report is; None: it is in a capsule, and nothing is asked over the network.
        capsules: Where inputs and environments may be.
        directories: Where they may be, too, as files.
        note: Told what takes long.

    Raises:
        UsageError: the settings contradict themselves.
    """
    clock, store = SystemClock(), config.store
    blobs = DiskBlobs(store / "blobs")
    with ExitStack() as stack:
        made = environment_store(
            store / "toolchains",
            clock,
            settings=config.environments,
            interpreters=config.interpreters,
            report=note,
            as_root=as_root,
        )
        mirrors = [FromDirectory(each, config.download_bytes) for each in directories]
        places: list[Place] = [*map(FromCapsule, capsules), *mirrors, FromProgram(store / "cache")]
        site = packages = None

        def opened(
            ca_bundle: Path | None, credentials: Credentials | None, environment: Mapping[str, str] | None = None
        ) -> HttpFetcher:
            return stack.enter_context(
                HttpFetcher(
                    blobs,
                    HttpCache(store / "cache" / "http"),
                    ca_bundle=ca_bundle,
                    total_seconds=config.network.seconds,
                    credentials=credentials,
                    reach=Reach(config.network.reachable, os.environ if environment is None else environment),
                )
            )

        if page is not None:
            fetcher = opened(None, None)
            if page.site is not None:
                if "://" in page.site:
                    fetcher.admit(page.site)
                site = FromSite(page, fetcher, config.download_bytes)
                places.append(site)
            sources = GitSources(
                blobs,
                store / "cache" / "git",
                config.sources.mirrors,
                limits=GitLimits(fetched_bytes=config.sources.git_bytes, seconds=config.sources.git_seconds),
                reachable=config.network.reachable,
            )
            places.append(FromOrigin(fetcher, sources, config.download_bytes, note))

            def packages(wanted: Specification) -> Sequence[LayerPackage]:
                archive = apt_archive(config, blobs, opened)
                return layer_packages(archive, blobs, wanted, config.download_bytes)

        sandbox = BubblewrapSandbox(blobs, clock, scratch=store / "scratch")
        stack.callback(sandbox.close)

        def runner(report: PublishedReport) -> Runner:
            def kernel() -> BuildEnvironment:
                if report.kernel is None:
                    raise BuildEnvironmentError("The report names no build environment with a kernel.")
                return made.by_digest(report.kernel)

            uml = UmlSandbox(blobs, clock, scratch=store / "scratch", kernel=kernel)
            stack.callback(uml.close)
            return LocalRunner({sandbox.kind: sandbox, uml.kind: uml}, made, blobs)

        brought = BroughtEnvironments(made, blobs, capsules, mirrors, site, note, packages)
        yield Replayer(Inputs(blobs, places), brought.bring, runner, note), made
