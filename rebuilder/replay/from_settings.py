"""Makes what replays a report out of the settings: a store without a ledger, and no index of packages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.ecosystems.debian.conventions import apt_archive
from rebuilder.ecosystems.debian.layer_packages import layer_packages
from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.protocol import BuildEnvironment, LayerPackage
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Specification
from rebuilder.network.git.sources import GitLimits, GitSources
from rebuilder.network.http.address import Credentials
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.replay.capsule import Capsule
from rebuilder.replay.environments import BroughtEnvironments
from rebuilder.replay.inputs import FromCapsule, FromDirectory, FromOrigin, FromProgram, FromSite, Inputs, Place
from rebuilder.replay.page import PublishedPage
from rebuilder.replay.published import PublishedReport
from rebuilder.replay.replayer import Replayer
from rebuilder.sandbox.bubblewrap.as_root import as_root
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.protocol import Runner
from rebuilder.sandbox.uml.sandbox import UmlSandbox
from rebuilder.store.blobs import DiskBlobs


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
