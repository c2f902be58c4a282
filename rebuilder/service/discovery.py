"""Looks for what is new in the registries and due again in the ledger; which files and versions are wanted."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from itertools import islice

from packageurl import PackageURL

from rebuilder.clock import Clock
from rebuilder.ecosystems.conventions import MAX_PACKAGES, matches
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.ecosystems.registry import conventions
from rebuilder.errors import FetchMismatchError, RebuilderError, UnavailableError, UnknownProjectError, UsageError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import ListedFile, Listing, Subject
from rebuilder.model.operations import WatchState
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.model.work import Check, Order, Reason, Tier
from rebuilder.service.schedules.watch import Recheck, VersionRule, Watch
from rebuilder.store.ledger import Ledger

_THREADS = 4
"""Requests of one look at once."""
_IN_A_ROW = 10
"""Projects that the registry gave no answer for, one after the other, before the look ends."""
_PATIENCE = timedelta(minutes=15)
"""So long a registry may be away before somebody is told."""
_SOONEST = -9

_Answer = Listing | None | UsageError | UnavailableError

log = logging.getLogger("rebuilder.discovery")


class Discovery:
    """Looks at projects with one conditional request each; for any thread."""

    def __init__(self, ecosystems: Mapping[str, Ecosystem], ledger: Ledger, clock: Clock) -> None:
        """Ask these ecosystems, and keep in this ledger what was found."""
        self._ecosystems = ecosystems
        self._ledger = ledger
        self._clock = clock
        self._away: dict[str, datetime] = {}
        """Ecosystem to since when its registry has not answered."""
        self._lock = threading.Lock()

    def look(self, watch: Watch) -> WatchState:
        """Look at every project of a watch and queue what is to be verified; when nothing is new that is one write.

        What cannot be looked at is counted, and looked at the next time. When the registry seems to be away the look
        ends early.

        Raises:
            StoreError: the ledger, or the store behind the cache of documents, cannot be used.
            UsageError: there is no such ecosystem.
        """
        ecosystem = self._ecosystem(watch.ecosystem)
        look = _Look(self._ledger.watches.seen(watch.name))
        names = self._names(ecosystem, watch, look)
        marks = {name: look.mark(watch, name) for name in names}
        with closing(_answers(ecosystem, names, marks)) as answers:
            for name, answer in answers:
                if isinstance(answer, UsageError | UnavailableError):
                    look.failure(name, answer)
                    if isinstance(answer, UnknownProjectError):
                        look.missing.append(name)
                    if look.in_a_row >= _IN_A_ROW:
                        break
                    continue
                look.answered += 1
                look.in_a_row = 0
                look.present.append(name)
                if answer is not None:
                    look.queued += self._ledger.queue.add(self._orders(watch, answer), self._clock.now())
                    look.marks[name] = f"{rule_mark(watch, name)} {answer.mark}"
        now = self._clock.now()
        state = WatchState(
            name=watch.name,
            checked=now,
            projects=len(names),
            queued=look.queued,
            failed=look.failed,
            trouble=look.error or next(iter(ecosystem.remarks()), None),
        )
        kept = names if look.names_known else look.marks
        self._ledger.watches.looked(state, {name: look.marks[name] for name in kept if name in look.marks})
        self._reachable(ecosystem.name, look, now)
        self._existing(watch, look, now)
        return state

    def away(self, ecosystem: str) -> bool:
        """Whether the registry gave no answer the last time it was asked."""
        return ecosystem in self._away

    def ask(self, subject: Subject, reason: Reason = Reason.ASKED, tier: Tier = Tier.FULL) -> list[Order]:
        """Orders for the files of one release, the newest when the subject names no version; nothing is queued yet.

        Raises:
            UsageError: there is no such project, version or file, or nothing of it can be verified.
            UnavailableError: the registry does not answer.
        """
        listing = self._ecosystem(subject.ecosystem).listing(subject.name)
        version = subject.version or (listing.newest if listing is not None else None)
        release = of_version(listing, version) if listing is not None and version is not None else []
        if listing is None or not release:
            newest = f"The newest version is {listing.newest}." if listing is not None and listing.newest else None
            what = f"no version {subject.version} with a file" if subject.version else "no file"
            raise UsageError(f"{subject.name} has {what} that could be verified.", hint=newest)
        files = [each for each in release if subject.filename in {None, each.filename}]
        if not files:
            listed = ", ".join(each.filename for each in release[:5])
            raise UsageError(
                f"{subject.name} {version} has no file {subject.filename} that is verified.", hint=f"It has: {listed}."
            )
        return [_order(listing, each, reason=reason, tier=tier) for each in files]

    def _ecosystem(self, name: str) -> Ecosystem:
        if name not in self._ecosystems:
            raise UsageError(f"There is no ecosystem {name!r}; there is {', '.join(sorted(self._ecosystems))}.")
        return self._ecosystems[name]

    def _names(self, ecosystem: Ecosystem, watch: Watch, look: _Look) -> list[str]:
        """All projects of a watch, each once; patterns mean what they meant the last time when no list can be had."""
        if not watch.patterns:
            return list(watch.packages)
        try:
            matching = (name for name in ecosystem.project_names() if _fits(watch, name))
            found = list(islice(matching, MAX_PACKAGES))
        except (UsageError, UnavailableError) as error:
            look.failure("the list of projects", error)
            found = [name for name in look.marks if _fits(watch, name)]
            look.names_known = False
        return list(dict.fromkeys((*watch.packages, *found)))

    def _orders(self, watch: Watch, listing: Listing) -> list[Order]:
        """What is to be verified: wanted files without a result, and any known file that has other bytes now."""
        known = self._ledger.watches.known(listing.ecosystem, listing.name)
        unfinished = self._ledger.watches.unfinished(listing.ecosystem, listing.name)
        wanted = {each.filename for each in chosen(watch, listing)}
        orders = []
        for each in listing.files:
            digests = known.get(each.filename)
            changed = bool(digests) and each.sha256 is not None and each.sha256 not in (digests or ())
            new = digests is None or each.filename in unfinished
            if changed or (new and each.filename in wanted):
                order = _order(listing, each, reason=Reason.RELEASE, tier=watch.tier)
                nudge = _SOONEST if changed else watch.priority
                told = {"watch": watch.name, "nudge": nudge, "limits": watch.limits}
                orders.append(order.replace(**told, double_runs=watch.double_runs))
        return orders

    def _existing(self, watch: Watch, look: _Look, now: datetime) -> None:
        """Tell somebody of each project that a watch names and its registry does not have, until it has it."""
        book, cause = self._ledger.alarm_book, f"{AlarmKind.PROJECT_MISSING.value}:{watch.ecosystem}"
        named = set(watch.packages)
        for name in look.missing:
            if name in named:
                sentence = f"The project {name} is watched, and the {watch.ecosystem} index does not have it."
                purl = project(watch.ecosystem, name)
                book.raise_alarm(
                    Alarm(kind=AlarmKind.PROJECT_MISSING, purl=purl, sentence=sentence, raised=now, cause=cause)
                )
        told = {each.alarm.purl for each in book.lasting(AlarmKind.PROJECT_MISSING)}
        for name in look.present if told else ():
            if (purl := project(watch.ecosystem, name)) in told:
                book.clear(AlarmKind.PROJECT_MISSING, cause, now, purl=purl)

    def _reachable(self, ecosystem: str, look: _Look, now: datetime) -> None:
        """Tell somebody when a registry has been away for a while, and that it is back."""
        cause = f"index-unreachable:{ecosystem}"
        if look.answered or look.missing:
            with self._lock:
                self._away.pop(ecosystem, None)
            self._ledger.alarm_book.clear(AlarmKind.INDEX_UNREACHABLE, cause, now)
            return
        if not look.silent:
            return
        with self._lock:
            since = self._away.setdefault(ecosystem, now)
        if now - since > _PATIENCE:
            self._ledger.raise_alarm(
                Alarm(
                    kind=AlarmKind.INDEX_UNREACHABLE,
                    sentence=(
                        f"The {ecosystem} registry has not answered since {since:%Y-%m-%d %H:%M} UTC: {look.error}"
                    ),
                    raised=now,
                    cause=cause,
                )
            )


class _Look:
    """What one look has found so far."""

    def __init__(self, marks: dict[str, str]) -> None:
        self.marks = marks
        self.names_known = True
        self.answered = self.failed = self.queued = 0
        self.silent = 0
        """Projects that the registry gave no answer for."""
        self.in_a_row = 0
        self.error: str | None = None
        self.missing: list[str] = []
        """Projects that the registry does not have."""
        self.present: list[str] = []

    def mark(self, watch: Watch, name: str) -> str | None:
        """The mark a listing had, unless other files may be wanted of it now."""
        rule, _, mark = self.marks.get(name, "").partition(" ")
        return mark if rule == rule_mark(watch, name) else None

    def failure(self, what: str, error: RebuilderError) -> None:
        """Count something that could not be looked at."""
        log.warning("%s cannot be looked at: %s", what, error)
        self.failed += 1
        self.error = self.error or str(error)
        if isinstance(error, UnavailableError) and not isinstance(error, FetchMismatchError):
            self.silent += 1
            self.in_a_row += 1
        else:
            self.in_a_row = 0


def project(ecosystem: str, name: str) -> str:
    """The package URL of a project, without a version."""
    namespace, _, rest = name.rpartition("/")
    return PackageURL(type=ecosystem, namespace=namespace or None, name=rest).to_string()


def _answers(
    ecosystem: Ecosystem, names: Sequence[str], marks: Mapping[str, str | None]
) -> Generator[tuple[str, _Answer]]:
    """What the registry says of each project, in order, a few asked at once; nothing more is asked after closing."""
    waiting: deque[tuple[str, Future[_Answer]]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="discovery") as pool:
        try:
            for name in names:
                waiting.append((name, pool.submit(_asked, ecosystem, name, marks[name])))
                if len(waiting) >= _THREADS:  # what has been parsed must not pile up
                    first, answer = waiting.popleft()
                    yield first, answer.result()
            while waiting:
                first, answer = waiting.popleft()
                yield first, answer.result()
        finally:
            for _, answer in waiting:
                answer.cancel()


def _asked(ecosystem: Ecosystem, name: str, mark: str | None) -> _Answer:
    try:
        return ecosystem.listing(name, mark)
    except (UsageError, UnavailableError) as error:
        return error


def _order(listing: Listing, file: ListedFile, *, reason: Reason, tier: Tier) -> Order:
    return Order(
        ecosystem=listing.ecosystem,
        purl=file.purl,
        name=listing.name,
        version=file.version,
        filename=file.filename,
        sha256=file.sha256,
        reason=reason,
        tier=tier,
    )


def _fits(item: Watch | Recheck, name: str) -> bool:
    return any(matches(pattern, name) for pattern in item.patterns)


def chosen(watch: Watch, listing: Listing) -> list[ListedFile]:
    """The files of the versions that the rule of a watch means.

    Versions that were taken back are not among the newest few. Without upload times nothing is "since" a day.
    """
    files = [each for each in listing.files if watch.prereleases or not each.prerelease]
    match watch.versions.rule:
        case VersionRule.ALL:
            return files
        case VersionRule.SINCE:
            since = watch.versions.since
            return [each for each in files if each.uploaded and since and each.uploaded.date() >= since]
        case VersionRule.NEWEST:
            kept = [each for each in files if not each.yanked]
            newest = list(dict.fromkeys(each.version for each in kept))[: watch.versions.newest]
            return [each for each in kept if each.version in newest]
        case VersionRule.LISTED if listing.name in watch.pins:
            return [each for pin in watch.pins[listing.name] for each in of_version(listing, pin)]
        case _:
            return _latest(watch, listing)


def _latest(watch: Watch, listing: Listing) -> list[ListedFile]:
    version = listing.newest
    if watch.prereleases:  # an installer that is told to take them
        version = next((each.version for each in listing.files if not each.yanked), version)
    return [each for each in listing.files if each.version == version]


def of_version(listing: Listing, version: str) -> list[ListedFile]:
    """The files of one version, however it is written."""
    spelling = conventions(listing.ecosystem).canonical_version
    wanted = spelling(version)
    return [each for each in listing.files if spelling(each.version) == wanted]


def rule_mark(watch: Watch, name: str) -> str:
    """Changes when another choice among the same files may come out: an edited watch looks at everything again."""
    wanted = [watch.versions.model_dump(mode="json"), watch.prereleases, list(watch.pins.get(name, ()))]
    return sha256_hex(canonical_json(wanted))[:16]


def plan(recheck: Recheck, ledger: Ledger, now: datetime) -> list[Order]:
    """Orders for the files whose newest result is older than wanted, the oldest first; nothing is queued yet.

    Raises:
        StoreError: the ledger cannot be used.
    """
    named = bool(recheck.packages or recheck.patterns)
    find = ledger.replays.due if recheck.check is Check.REPLAY else ledger.stale
    stale = find(
        now - timedelta(seconds=recheck.older_than),
        ecosystem=recheck.ecosystem,
        limit=None if named else recheck.at_most,
    )
    due = (each for each in stale if not named or each.name in recheck.packages or _fits(recheck, each.name))
    asked = {
        "reason": Reason.RECHECK,
        "check": recheck.check,
        "watch": recheck.name,
        "nudge": recheck.priority,
        "double_runs": recheck.double_runs,
    }
    same = {"ecosystem", "purl", "name", "version", "filename", "sha256"}
    return [Order(**each.model_dump(include=same), **asked) for each in islice(due, recheck.at_most)]
