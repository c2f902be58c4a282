"""Rounds of forty projects, each on a store of its own, while something bad happens to the service now and then."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import urllib.error
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.errors import RebuilderError
from rebuilder.service.housekeeping import Housekeeping
from rebuilder.site.writing import Writer
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import SessionLiveness
from tests.fakes.clock import FixedClock
from tests.fakes.command import Installation
from tests.fakes.projects import EPOCH, UPLOADED, build, make_sdist
from tests.fakes.registry import Registry
from tests.soak.checks import leftovers, verdicts, violations
from tests.soak.figures import Part
from tests.soak.processes import Service, descendants, kill, orphans
from tests.soak.world import install, publish

PROJECTS = 40
_SETTLED = "settled-1.0-py3-none-any.whl"
_MOST_WAIT = 10
"""Seconds until there is a worker again that can be killed."""
_MOST_SECONDS = 420
"""Of one round after the last bad event; then what is missing counts as lost."""


@dataclass
class Round:
    """One store, from the first start to the last check."""

    part: Part
    registry: Registry
    root: Path
    place: str | Path
    installation: Installation
    expected: dict[str, str]
    chance: random.Random
    known: set[int]
    """Processes of ours that are no orphans."""
    service: Service = field(init=False)
    events: Counter[str] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)
    """Files that were asked for by hand, perhaps just when they were done."""

    def __post_init__(self) -> None:
        self.service = Service(self.installation)

    def restart(self) -> None:
        """Kill the whole service, and start it again at once."""
        self.service.kill()
        self.service = Service(self.installation)

    def kill_something(self) -> None:
        """A worker mostly, often the service, sometimes whatever process of it there is."""
        what = self.chance.choices(("worker", "service", "any"), (65, 20, 15))[0]
        deadline = time.monotonic() + _MOST_WAIT
        while what != "service" and not self.service.workers() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(self.chance.uniform(0, 3))
        below = list(descendants(self.service.process.pid))
        found = self.service.workers() if what == "worker" else below
        if what == "service" or not found:
            self.events["service"] += 1
            self.restart()
            return
        kill(self.chance.choice(found))
        self.events[what] += 1

    def missing(self) -> set[str]:
        """Files without a verdict."""
        try:
            return self.expected.keys() - verdicts(self.place).keys()
        except RebuilderError:  # the database is just being started
            return set(self.expected)

    def settle(self) -> None:
        """Let everything end in peace; what waits for hours is asked for by hand, as an operator would."""
        sdist = make_sdist("settled", "1.0")
        self.registry.add(sdist, uploaded=UPLOADED)
        self.registry.add(build(sdist, epoch=EPOCH), uploaded=UPLOADED)
        self.expected[_SETTLED] = "reproduced"
        deadline = time.monotonic() + _MOST_SECONDS
        while (missing := self.missing()) and time.monotonic() < deadline:
            if self.service.process.poll() is not None:
                self.part.violations.append(f"The service ended by itself: {self.service.said()[-800:]}")
                self.service = Service(self.installation)
            for filename in sorted(missing - self.asked):
                name = filename.split("-")[0]
                try:
                    self.service.ask("/api/v1/verifications", {"subject": f"pypi:{name}==1.0"})
                    self.asked.add(filename)
                except (OSError, urllib.error.URLError) as error:
                    self.part.say(f"asked in vain: {error}")
                    break
            time.sleep(1)
        time.sleep(2)

    def end(self) -> None:
        """Stop the service and look at what there is."""
        try:
            if (code := self.service.stop()) != 0:
                self.part.violations.append(f"The service ended with code {code}: {self.service.said()[-800:]}")
        except Exception as error:  # noqa: BLE001
            self.part.violations.append(f"The service did not stop: {error}")
            self.service.kill()
        left = orphans(self.known, within=15)
        self.part.violations += [f"This process was left: {each[:200]}" for each in left]
        later = FixedClock(datetime.now(UTC) + timedelta(days=2))
        before = sum(1 for _ in leftovers(self.installation))
        with Ledger.open(self.place) as ledger:
            liveness = ledger._database.liveness
            if isinstance(liveness, SessionLiveness):
                liveness.grace_seconds = 0  # nobody is on the way back any more
            Housekeeping(self.installation.store, ledger, timedelta(days=365), later).step()
        Writer(self.installation.site).sweep(later.time)
        self.events["temporary files before housekeeping"] += before
        self.part.violations += violations(self.installation, self.place, self.expected, asked=self.asked)
        if any(word in self.service.log.read_text(errors="replace") for word in ("Traceback", "a defect")):
            keep = Path(tempfile.mkstemp(prefix="soak-", suffix=".log")[1])
            shutil.copy(self.service.log, keep)
            self.part.violations.append(f"The log tells of a defect; it is kept as {keep}.")


def run(
    part: Part,
    seconds: float,
    events: int,
    disturb: Callable[[Round], None],
    *,
    seed: int,
    known: set[int],
    place: Callable[[Path], str | None] = lambda _: None,
    home: Path | None = None,
) -> None:
    """Rounds until something bad has happened so often, or so much time has passed."""
    chance, total, happened, rounds = random.Random(seed), Counter[str](), 0, 0  # noqa: S311
    began = time.monotonic()
    while happened < events and time.monotonic() - began < seconds:
        rounds += 1
        root = Path(tempfile.mkdtemp(prefix="rebuilder-soak-", dir=home))
        with Registry() as registry:
            expected = publish(registry, PROJECTS)
            url = place(root)
            installation = install(root, registry, PROJECTS, ledger=url)
            where: str | Path = url or installation.store / "ledger.sqlite"
            one = Round(part, registry, root, where, installation, expected, chance, known)
            try:
                one.service.address()
                while happened < events and one.missing() and time.monotonic() - began < seconds:
                    time.sleep(chance.uniform(0, 1))
                    disturb(one)
                    happened += 1
                part.say(f"{happened} of {events}; round {rounds} has {len(one.missing())} files to go")
                one.settle()
                one.end()
            finally:
                one.service.kill()
            total += one.events
        shutil.rmtree(root, ignore_errors=True)
        if part.violations:
            break
    part.figures |= {name: str(number) for name, number in sorted(total.items())}
    part.figures["rounds of 40 projects"] = str(rounds)
    part.figures["bad events"] = str(happened)
    part.figures["seconds"] = f"{time.monotonic() - began:.0f}"
    if happened < events:
        part.figures["bad events"] += f" of {events}: the time was up"
