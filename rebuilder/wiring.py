"""Makes the real parts from the settings; the only place that knows every implementation."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from rebuilder.clock import Clock, SystemClock
from rebuilder.compare.carried import find_carried
from rebuilder.compare.comparer import Comparer
from rebuilder.compare.diffoscope import DiffoscopeRunner
from rebuilder.compare.finisher import Finisher
from rebuilder.config import Config
from rebuilder.ecosystems.conventions import Context
from rebuilder.ecosystems.registry import ECOSYSTEMS, conventions
from rebuilder.ecosystems.unavailable_inputs import UnavailableInputs
from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.record import Record
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BuildEnvironmentError
from rebuilder.interop.rebuilderd.writer import RebuilderdWriter
from rebuilder.log.note import NoteKey
from rebuilder.model.value import Sha256, canonical_json
from rebuilder.network.git.sources import GitLimits, GitSources
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.network.witness import Witness
from rebuilder.provenance.checker import ProvenanceChecker
from rebuilder.provenance.trust.files import check_in_use, load, shipped
from rebuilder.sandbox.bubblewrap.as_root import as_root
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.prepared import Prepared
from rebuilder.sandbox.program_runner import SandboxPrograms
from rebuilder.sandbox.protocol import Runner
from rebuilder.sandbox.uml.sandbox import ENVIRONMENT, UmlSandbox
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.external_key import open_key
from rebuilder.signing.key_directory import JudgedKey, KeyDirectory
from rebuilder.signing.key_list import Use
from rebuilder.signing.keys import Algorithm, public_keys, raw_public
from rebuilder.signing.statements import Builder
from rebuilder.site.log_files import LogFiles
from rebuilder.site.publisher import Site
from rebuilder.site.writing import Written
from rebuilder.stopwatch import CacheCounter, Progress, Stopwatch, WatchedEnvironments
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.kept_files import KeptFiles
from rebuilder.store.ledger import Ledger
from rebuilder.store.protocol import Blobs
from rebuilder.store_layout import PREPARED, check_places, claim_site
from rebuilder.verification.log_writer import LogWriter
from rebuilder.verification.parts import Parts
from rebuilder.verification.signer import Signer
from rebuilder.verification.steps import StepVerifier

PROGRAM_ENVIRONMENT = "trixie"
"""Sandbox programs that read archives run on this build environment."""


class LedgerMemo:
    """Facts kept in the ledger: JSON by key, as resolvers and ecosystems want it."""

    def __init__(self, ledger: Ledger, kind: str, clock: Clock, cache_counter: CacheCounter) -> None:
        self._ledger = ledger
        self._cache_counter = cache_counter
        self._kind = kind
        self._clock = clock

    def get(self, key: str) -> Any | None:
        """See :class:`rebuilder.store.protocol.Memo`."""
        found = self._ledger.cache_get(self._kind, key)
        self._cache_counter.count(self._kind, hit=found is not None)
        return found

    def put(self, key: str, document: Any) -> None:
        """See :class:`rebuilder.store.protocol.Memo`."""
        self._ledger.cache_put(self._kind, key, document, self._clock.now())


@dataclass(frozen=True)
class Wired(Parts):
    """The parts of a coordinator, and the ledger that is its journal."""

    ledger: Ledger


@contextmanager
def wire(config: Config, progress: Progress) -> Iterator[Wired]:
    """Everything an examination needs, closed again at the end; no key is touched.

    Raises:
        StoreError: the store cannot be used.
        UsageError: the settings of pip or uv cannot be understood, or keys, store and site overlap.
        NoGuestError: every build is to run in a guest, and none runs here.
    """
    _collect_garbage()
    clock = SystemClock()
    stopwatch = Stopwatch(progress)
    cache_counter = CacheCounter()
    check_places(store=config.store, keys=config.keys, site=config.site_directory)
    check_in_use(config.trust_in_use)
    with ExitStack() as stack:
        blobs = DiskBlobs(config.store / "blobs")
        ledger = Ledger.open(config.ledger_place)
        stack.callback(ledger.close)
        made = environment_store(
            config.store / "toolchains",
            clock,
            settings=config.environments,
            interpreters=config.interpreters,
            report=stopwatch.show,
            as_root=as_root,
        )
        environments = WatchedEnvironments(made, stopwatch)
        sandbox = BubblewrapSandbox(blobs, clock, scratch=config.store / "scratch")
        stack.callback(sandbox.close)
        sandbox.warm()
        uml = UmlSandbox(
            blobs,
            clock,
            scratch=config.store / "scratch",
            kernel=partial(environments.get, ENVIRONMENT),
            memory=config.store / "cache" / "guest.json",
        )
        stack.callback(uml.close)
        if config.sandbox == uml.kind and (problem := uml.problem()) is not None:
            raise problem
        sandboxes: dict[str, BubblewrapSandbox | UmlSandbox] = {sandbox.kind: sandbox, uml.kind: uml}
        kept = KeptFiles(config.store / PREPARED, most_bytes=config.environments.prepared_bytes)
        prepared = Prepared(sandbox.storing(kept.blobs), kept)
        # What our own programs do to make a verdict is done here, whoever builds: a runner could lie about it.
        here = LocalRunner(sandboxes, environments, blobs, prepared)
        programs = SandboxPrograms(sandbox, environments, blobs, PROGRAM_ENVIRONMENT, prepared)
        comparer = Comparer(blobs, programs)
        run: Runner = here
        if config.fleet.broker is not None:
            from rebuilder.fleet.from_settings import fleet

            run = stack.enter_context(
                fleet(
                    config.fleet,
                    ledger=ledger,
                    blobs=blobs,
                    environments=made,
                    here=here,
                    comparer=comparer,
                    clock=clock,
                    store=config.store,
                    most_bytes=config.download_bytes,
                )
            )
        context = Context(
            settings=config,
            blobs=blobs,
            programs=programs,
            run=run,
            here=here,
            environments=environments,
            sandboxes=frozenset(sandboxes),
            memo=lambda kind: LedgerMemo(ledger, kind, clock, cache_counter),
            fetcher=lambda ca_bundle, credentials, environment=None: stack.enter_context(
                HttpFetcher(
                    blobs,
                    HttpCache(config.store / "cache" / "http"),
                    ca_bundle=ca_bundle,
                    total_seconds=config.network.seconds,
                    credentials=credentials,
                    reach=Reach(config.network.reachable, os.environ if environment is None else environment),
                )
            ),
            reach=Reach(config.network.reachable, os.environ),
            ca_bundle=next(filter(None, (each.ca_bundle(config) for each in ECOSYSTEMS.values())), None),
            closing=stack,
        )
        ecosystems = {name: each.open(context) for name, each in ECOSYSTEMS.items()}
        checker = ProvenanceChecker(
            blobs,
            lambda: load(config.trust_in_use) if config.trust_in_use else shipped(),
            ledger,
            config.expect,
            clock,
            conventions=conventions,
        )
        sources = GitSources(
            blobs,
            config.store / "cache" / "git",
            config.sources.mirrors,
            limits=GitLimits(fetched_bytes=config.sources.git_bytes, seconds=config.sources.git_seconds),
            reachable=config.network.reachable,
        )
        yield Wired(
            ecosystems=ecosystems,
            blobs=blobs,
            journal=ledger,
            unavailable_inputs=UnavailableInputs(LedgerMemo(ledger, "unavailable", clock, CacheCounter()), clock),
            ledger=ledger,
            run=run,
            steps=StepVerifier(checker, sources, stopwatch),
            environments=environments,
            comparer=comparer,
            finisher=Finisher(here, programs, comparer, environments, blobs, environment_name=PROGRAM_ENVIRONMENT),
            find_carried=partial(find_carried, programs, LedgerMemo(ledger, "carried", clock, cache_counter)),
            diffoscope=DiffoscopeRunner(here, environments, blobs),
            clock=clock,
            stopwatch=stopwatch,
            limits=config.limits,
            cache_counter=cache_counter,
            abandon=partial(_close, sandboxes),
        )


def _close(sandboxes: Mapping[str, BubblewrapSandbox | UmlSandbox]) -> None:
    for each in sandboxes.values():
        each.close()


def wire_signer(config: Config, parts: Wired) -> Signer:
    """What signs and publishes what was examined with ``parts``.

    Raises:
        UsageError: the directory of the site is somebody else's.
        SigningError: the key cannot be read or made.
        StoreError: the site cannot be written.
    """
    return _signer(config, parts.ledger, parts.blobs, parts.clock)


@contextmanager
def publishing(config: Config, clock: Clock | None = None) -> Iterator[Signer]:
    """What signs and publishes what is stored; it needs no sandbox, no index and no settings of other programs.

    Raises:
        UsageError: keys, store and site overlap, or the directory of the site is somebody else's.
        SigningError: the key cannot be read or made.
        StoreError: the store or the site cannot be used.
    """
    _collect_garbage()
    check_places(store=config.store, keys=config.keys, site=config.site_directory)
    with closing(Ledger.open(config.ledger_place)) as ledger:
        yield _signer(config, ledger, DiskBlobs(config.store / "blobs"), clock or SystemClock())


def _collect_garbage() -> None:
    gc.freeze()  # what is loaded by now stays; see cli.main, which loads it without collecting
    gc.enable()


def _record(environments: EnvironmentStore, tree: Sha256) -> Record | None:
    """What a build environment was made from, as strangers may read it; None when it is not here any more."""
    try:
        return environments.record(tree).public
    except BuildEnvironmentError:
        return None


def _signer(config: Config, ledger: Ledger, blobs: Blobs, clock: Clock) -> Signer:
    claim_site(config.site_directory)
    directory = KeyDirectory(config.keys)
    directory.settle()
    key = open_key(config.signing.statements, config.keys / "signing.pem", Algorithm.P256, store=config.store)
    signer = JudgedKey(key, Use.STATEMENTS, directory, clock)
    links = open_key(None, config.keys / "links.pem", Algorithm.ED25519, store=config.store)
    listed = directory.newest()
    ours = {each.key_id: each.pem for each in listed.keys.values() if each.use is Use.STATEMENTS} if listed else {}
    agreement = Agreement(public_keys(config.keys) | ours | {signer.key_id: signer.public_pem}, directory)
    record = partial(_record, EnvironmentStore(config.store / "toolchains", clock))
    site = Site(
        config.site_directory,
        blobs,
        public_key=signer.public_pem,
        key_id=signer.key_id,
        verifier=config.builder_id,
        cache=config.store / "cache" / "templates",
        public=config.public_site,
        address=config.site_url,
        environment=lambda tree: canonical_json(found.document()) if (found := record(tree)) is not None else None,
        osv=config.osv,
    )
    return Signer(
        ledger=ledger,
        blobs=blobs,
        signer=signer,
        builder=Builder(id=config.builder_id),
        site=site,
        clock=clock,
        agreement=agreement,
        log=_log_writer(config, ledger, clock, agreement, directory, written=site.written),
        directory=directory,
        rebuilderd=RebuilderdWriter(
            book=ledger.package_book,
            blobs=blobs,
            key=JudgedKey(links, Use.LINKS, directory, clock),
            agreement=agreement,
            root=config.site_directory,
        ),
        specification=lambda tree: found.specification if (found := record(tree)) is not None else None,
    )


def _log_writer(
    config: Config,
    ledger: Ledger,
    clock: Clock,
    agreement: Agreement,
    directory: KeyDirectory,
    *,
    written: Written,
) -> LogWriter:
    opened = open_key(config.signing.checkpoints, config.keys / "log.pem", Algorithm.ED25519, store=config.store)
    key = JudgedKey(opened, Use.CHECKPOINTS, directory, clock)
    # A name of its own for each log, also where nobody said who operates it.
    place = (config.site_url or "").partition("://")[2].rstrip("/")
    name = f"{place}/log" if place else f"{config.builder_id}/{raw_public(key.public_pem).hex()[:8]}"
    return LogWriter(
        book=ledger.log_book,
        key=key,
        agreement=agreement,
        name=quote(name, safe=":/@,;=~!$&'()*[]?#%"),
        state=config.keys / "log.checkpoint",
        files=LogFiles(config.site_directory, written),
        clock=clock,
        witnesses=tuple(Witness(NoteKey.read(each.key), each.url) for each in config.log.witnesses),
    )
