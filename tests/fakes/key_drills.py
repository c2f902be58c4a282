"""A rebuilder with a ledger, a site and real keys in files, whose clock a test sets, and somebody who checks it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.testing import CliRunner, Result

from rebuilder.cli.main import app
from rebuilder.config import Config
from rebuilder.consumer.answer import Vote
from rebuilder.consumer.rebuilder import Rebuilder, Trusted
from rebuilder.model.report import Report, SignedReport
from rebuilder.network.site_reader import SiteReader
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.key_list import KeyList
from rebuilder.signing.keys import ROOT_PASSPHRASE
from rebuilder.store.ledger import Ledger
from rebuilder.wiring import publishing
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import lay_down

DAY = timedelta(days=1)
WORDS = "a rope, a lantern, a map"


class Operator:
    """Runs a rebuilder below a directory; what it did before today is written with a clock of that day."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = Config(store=directory / "store", keys=directory / "keys", site=directory / "site")
        self.config.store.mkdir()
        lay_down(self.config.store / "ledger.sqlite")
        self.roots = [directory / "safe" / f"root-{number}.pem" for number in (1, 2, 3)]
        self.today = datetime.now(UTC)

    @property
    def site(self) -> Path:
        """Of what is published."""
        return self.config.site_directory

    @property
    def key_list(self) -> KeyList:
        """The one that counts."""
        listed = KeyDirectory(self.config.keys).newest()
        assert listed is not None
        return listed

    def run(self, *words: str, passphrase: str = WORDS) -> Result:
        """``rebuilder keys`` with these words, as it ended."""
        places = {"REBUILDER_STORE": self.config.store, "REBUILDER_KEYS": self.config.keys, "REBUILDER_SITE": self.site}
        environment = {name: str(place) for name, place in places.items()} | {ROOT_PASSPHRASE: passphrase}
        return CliRunner().invoke(app, ["keys", *words], env=environment)

    def keys(self, *words: str, roots: tuple[int, ...] = (0, 1)) -> str:
        """``rebuilder keys`` with root keys at hand; gives what it printed.

        Raises:
            Exception: it ended with that.
        """
        done = self.run(*words, *[part for number in roots for part in ("--root", str(self.roots[number]))])
        if done.exception is not None:
            raise done.exception
        return done.stdout

    def publish(self, report: Report, ago: timedelta) -> SignedReport:
        """Sign, log and publish a report on the day so long ago."""
        clock = FixedClock(self.today - ago)
        with Ledger.open(self.config.ledger_place) as ledger:
            number = ledger.begin(report.artifact, report.started)
            ledger.examined(number, report)
        with publishing(self.config, clock) as signer:
            signed = signer.finish(number, report)
            signer.publish(number, signed)
            signer.write_index()
        return signed

    def statement_keys(self) -> list[str]:
        """The private keys for statements that lie in the directory of the keys."""
        return sorted(each.name for each in self.config.keys.glob("signing*.pem") if "public" not in each.name)


def vote(site: Path, report: Report, memory: Path, trusted: bytes | None = None, now: datetime | None = None) -> Vote:
    """What somebody reads of a site about the file of a report, who remembers what was seen.

    Raises:
        ValueError: it is refused.
    """
    with SiteReader(str(site)) as files:
        found = Rebuilder.open(Trusted(str(site), key_list=trusted), files, memory, now or datetime.now(UTC))
        answer = found.vote(report.artifact.sha256)
        found.remember(memory)
    assert answer is not None
    return answer
