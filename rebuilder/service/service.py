"""The service: schedules, workers, signing, alarms, pages and the HTTP server, run together until it is stopped."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.alarms.delivery import Delivery
from rebuilder.alarms.rules import SelfMonitor
from rebuilder.config import Config
from rebuilder.ecosystems.registry import parse_subject
from rebuilder.environments.catalog import usual
from rebuilder.errors import RebuilderError, StoreError, UsageError
from rebuilder.model.figures import ProcessFigures
from rebuilder.model.text import visible
from rebuilder.model.work import Order, Tier
from rebuilder.network.notifications import Notifier
from rebuilder.service.api.app import make_app
from rebuilder.service.api.context import TOKEN_FILE, ApiContext, Token
from rebuilder.service.api.server import HttpServer
from rebuilder.service.discovery import Discovery
from rebuilder.service.health import Health, Pulse
from rebuilder.service.housekeeping import Housekeeping
from rebuilder.service.logs import LoggingProgress
from rebuilder.service.metrics import scrape
from rebuilder.service.scheduler import Scheduler
from rebuilder.service.signing_loop import SigningLoop
from rebuilder.service.worker_pool import WorkerPool
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store_layout import store_name
from rebuilder.verification.signer import Signer
from rebuilder.wiring import Wired, wire, wire_signer

_ESSENTIAL = ("trixie", "diffoscope", "bookworm")
"""Environments that many verifications need; the others are made while the first are under way. Where the one with the
guest's kernel cannot be made, verdicts stand without a clock."""
_LONGEST_WAIT = 30.0
"""Seconds before a loop whose rounds fail is tried again."""
_LEDGER_SECONDS, _LEDGER_TRIES = 5, 180
_LEDGER_MINUTES = _LEDGER_SECONDS * _LEDGER_TRIES // 60

log = logging.getLogger("rebuilder.service")


def serve(config: Config, stopping: threading.Event, *, json_logs: bool = False) -> None:
    """Run the service until ``stopping`` is set, then stop it in good order.

    Raises:
        UsageError: a service with another store works on the ledger: reports of one would name files of the other.
        RebuilderError: it cannot begin; what goes wrong later is told in the log, by alarms and by ``/readyz``.
    """
    with wire(config, LoggingProgress()) as parts:
        other = parts.ledger.occupy(store_name(config.store), parts.clock.now())
        if other is not None:
            raise UsageError(
                f"Another service works on this ledger with a store of its own ({visible(other)}).",
                hint="A ledger has one store: share its directory, or stop the other service. Other machines build as "
                "runners.",
            )
        Service(config, parts, wire_signer(config, parts), json_logs=json_logs).run(stopping)


class Service:
    """Every part of the service, each in a loop that cannot stop another."""

    def __init__(self, config: Config, parts: Wired, signer: Signer, *, json_logs: bool) -> None:
        self._config = config
        self._parts = parts
        self._signer = signer
        self._loops = BackgroundLoops()
        self._making: str | None = None
        """What is to be done before the first worker starts."""
        self._pulse = Pulse()
        self._workers = WorkerPool(config, worker_count(config), parts.ledger, parts.clock, json_logs=json_logs)
        self._signing = SigningLoop(signer)
        self._discovery = Discovery(parts.ecosystems, parts.ledger, parts.clock)
        self._scheduler = Scheduler(
            config.schedules_directory,
            self._discovery,
            parts.ledger,
            parts.clock,
            config.limits,
            replays=config.service.replays,
        )

    def run(self, stopping: threading.Event) -> None:
        """See :func:`serve`."""
        with ExitStack() as stack:
            server = HttpServer(make_app(self._api_context()), self._config.service.listen)
            address = server.start()
            stack.callback(server.stop, 5)
            log.info("The site is at http://%s/, the API below /api/v1, the metrics at /metrics.", address)
            stack.callback(self._loops.stop, 10)
            stack.callback(self._scheduler.stop)
            for loop in self._all_loops():
                self._loops.start(loop)
            self._scheduler.start()
            self._prepare(stopping)
            if not stopping.is_set():
                stack.callback(self._stop_workers)
                self._start_workers(stopping)
                self._loops.start(Loop("toolchains", 3600, self._make_others))
            while not stopping.wait(1):
                self._tend()
            log.info("Stopping: running builds are finished or given back.")
        log.info("Stopped.")

    def _prepare(self, stopping: threading.Event) -> None:
        """Make the most needed environments before the first worker starts: it takes rights that workers do not have.

        An archive that does not answer is asked again.
        """
        for number, name in enumerate(_ESSENTIAL, 1):
            self._making = (
                f"Build environments are being made, {number} of {len(_ESSENTIAL)} ({name}); no build begins before."
            )
            while not stopping.is_set() and not self._made(name):
                self._making = (
                    f"Build environments are being made; {name} cannot be now, and is tried again every minute."
                )
                stopping.wait(60)
        self._making = None

    def _start_workers(self, stopping: threading.Event) -> None:
        """Start the workers; a ledger that went away meanwhile is waited for.

        Raises:
            StoreError: it did not come back.
        """
        told = None
        for _ in range(_LEDGER_TRIES):
            try:
                self._workers.start()
            except StoreError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("The workers wait for the ledger, up to %d minutes: %s", _LEDGER_MINUTES, error)
                if stopping.wait(_LEDGER_SECONDS):
                    return
            else:
                log.info("Workers started: %d.", self._workers.size)
                return
        self._workers.start()

    def _make_others(self) -> None:
        for name in sorted(usual()):
            if not self._loops.stopping:
                self._made(name)

    def _made(self, name: str) -> bool:
        made = self._config.store / "toolchains" / "current" / name
        if not made.exists():
            log.info(
                "The build environment %s is made from the Debian archive, once; that takes some ten seconds.", name
            )
        try:
            self._parts.environments.get(name)
        except RebuilderError as error:
            log.warning("The build environment %s cannot be made: %s", name, error)
            return False
        return True

    def _tend(self) -> None:
        try:
            self._workers.look_after()
        except RebuilderError as error:
            log.warning("The workers cannot be looked after: %s", error)

    def _stop_workers(self) -> None:
        try:
            self._workers.stop(self._config.service.stop_seconds + 10)
            self._signer.finish_all()
            self._write_operations()
            self._signer.write_index()
        except RebuilderError as error:
            log.warning("Not everything was signed: %s It is done at the next start.", error)

    def _all_loops(self) -> tuple[Loop, ...]:
        service, ledger, clock = self._config.service, self._parts.ledger, self._parts.clock
        monitor = SelfMonitor(
            ledger,
            service,
            clock,
            free_bytes=lambda: shutil.disk_usage(self._config.store).free,
            needed_bytes=service.disk_reserve_bytes + self._config.limits.disk_bytes,
            key_made=self._key_made,
            key_list=self._signer.key_condition,
            watches=self._scheduler.judge,
        )
        housekeeping = Housekeeping(self._config.store, ledger, timedelta(days=service.keep_days), clock)
        delivery = Delivery(ledger, self._config.alarms, Notifier(), clock, site=self._config.site_url)
        return (
            *self._fleet_loops(),
            Loop("signing", 0.5, self._sign),
            Loop("schedules", 5, self._follow_schedules),
            Loop("operations page", 10, self._write_operations),
            Loop("alarm rules", 30, monitor.step),
            Loop("notifications", 10, delivery.step),
            Loop("housekeeping", 3600, housekeeping.step),
        )

    def _fleet_loops(self) -> Iterator[Loop]:
        if self._config.fleet.broker is not None:
            from rebuilder.fleet.from_settings import tidying

            ledger, clock = self._parts.ledger, self._parts.clock
            tidy = tidying(
                self._config.fleet,
                ledger=ledger,
                blobs=DiskBlobs(self._config.store / "blobs"),
                clock=clock,
                most_bytes=self._config.download_bytes,
            )
            yield Loop("S3 store", 3600, tidy.step)

    def _sign(self) -> None:
        self._pulse.beat("signing")
        while self._signing.step():
            self._pulse.beat("signing")

    def _follow_schedules(self) -> None:
        self._pulse.beat("scheduler")
        self._scheduler.follow()

    def _write_operations(self) -> None:
        ledger = self._parts.ledger
        operations = self._signer.keys.discounted(ledger.statistics.operations(self._parts.clock.now()))
        self._signer.site.write_operations(operations, ledger.alarm_book.open())

    def _key_made(self) -> datetime | None:
        try:
            return datetime.fromtimestamp((self._config.keys / "signing.pem").stat().st_mtime, UTC)
        except OSError:
            return None

    def _api_context(self) -> ApiContext:
        ledger, service = self._parts.ledger, self._config.service
        token = service.token_file
        health = Health(
            ledger,
            self._config.store,
            service.disk_reserve_bytes,
            workers=lambda: self._workers.alive,
            making=lambda: self._making,
            pulse=self._pulse,
            loops=("scheduler", "signing"),
        )
        return ApiContext(
            ledger=ledger,
            ask=self._ask,
            blobs=self._parts.blobs,
            site=self._config.site_directory,
            verifier=self._config.builder_id,
            metrics=lambda: scrape(lambda: ledger.statistics.figures(self._parts.clock.now()), self._place),
            live=health.live,
            ready=health.ready,
            public=self._config.public_site,
            ready_in_public=health.ready_in_public,
            agreeing=self._signer.told,
            doubted=self._signer.keys.doubted_standing,
            check=self._signer.agreement.check_report,
            clock=self._parts.clock,
            token=Token.open(Path(token).expanduser() if token else self._config.keys / TOKEN_FILE),
            requests_per_minute=service.requests_per_minute,
        )

    def _ask(self, subject: str, tier: Tier, by: str, priority: int = 0) -> list[Order]:
        """See :class:`rebuilder.service.api.context.Ask`."""
        named = parse_subject(subject, self._parts.ecosystems)
        orders = [each.replace(nudge=priority) for each in self._discovery.ask(named, tier=tier)]
        self._parts.ledger.queue.add(orders, self._parts.clock.now())
        log.info("%s was asked for by %s.", named.asked, by)
        return orders

    def _place(self) -> ProcessFigures:
        disk = shutil.disk_usage(self._config.store)
        made = self._key_made()
        return ProcessFigures(
            workers=self._workers.alive,
            workers_wanted=self._workers.size,
            store_free_bytes=disk.free,
            store_size_bytes=disk.total,
            key_due=made + timedelta(days=self._config.service.key_days) if made else None,
        )


def worker_count(config: Config) -> int:
    """How many workers the CPUs and the memory allow, unless the settings say a number.

    Three for two CPUs: of what is not in the caches yet, a worker waits for the network a third of the time. Where a
    fleet builds, a worker mostly waits, and what the settings say is not bounded by the memory of this machine.
    """
    service, cpus = config.service, len(os.sched_getaffinity(0))
    if service.workers is not None and config.fleet.broker is not None:
        return service.workers
    memory = service.memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    fitting = max(1, memory // config.limits.memory_bytes)
    return min(service.workers or (3 * cpus + 1) // 2, fitting)


@dataclass(frozen=True)
class Loop:
    """Something that is done again and again, in a thread of its own; it cannot stop another."""

    name: str
    every: float
    """Seconds from the end of one round to the beginning of the next."""
    step: Callable[[], object]


class BackgroundLoops:
    """Runs loops until they are stopped; what fails is told, and tried again later and later."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, loop: Loop) -> None:
        """Begin with its first round at once."""
        thread = threading.Thread(target=self._run, args=(loop,), name=loop.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    @property
    def stopping(self) -> bool:
        """Whether the rounds that run should come to their end."""
        return self._stopping.is_set()

    def stop(self, seconds: float) -> None:
        """Begin no further rounds and wait for those that run, so long altogether at most."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=seconds / max(1, len(self._threads)))

    def _run(self, loop: Loop) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                loop.step()
                failures = 0
            except RebuilderError as error:
                failures += 1
                log.warning("%s: %s", loop.name, error)
            except Exception:
                failures += 1
                log.exception("%s: a defect of the rebuilder", loop.name)
            self._stopping.wait(loop.every if not failures else min(_LONGEST_WAIT, loop.every * 2 ** min(failures, 10)))
