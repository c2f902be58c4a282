"""Witnesses of the log over HTTP: one that follows the protocol, and several that do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder.config import load_config
from rebuilder.consumer.rebuilder import Rebuilder, Trusted
from rebuilder.errors import UnavailableError, UsageError
from rebuilder.log.audit import LogError
from rebuilder.log.note import COSIGNATURE, Checkpoint, LogPolicy, Note, NoteKey, decoded
from rebuilder.log.proof import LogProof
from rebuilder.log.tiles import is_consistent
from rebuilder.network.site_reader import SiteReader
from rebuilder.network.witness import Witness
from tests.fakes.clock import FixedClock
from tests.fakes.cosigning import cosign_note
from tests.fakes.ledgers import open_ledger
from tests.fakes.logs import log_writer
from tests.fakes.web_server import Quiet, WebServer

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
KEY = NoteKey("witness.example/w", PRIVATE.public_key().public_bytes_raw(), COSIGNATURE)


@dataclass
class HonestWitness:
    """Keeps the last checkpoint, and cosigns what goes on from it (https://c2sp.org/tlog-witness)."""

    last: Checkpoint | None = None
    asked: list[int] = field(default_factory=list)

    def answer(self, body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        head, _, rest = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        note = Note.read(rest)
        new = Checkpoint.read(note.text)
        old = int(first.removeprefix("old "))
        self.asked.append(old)
        seen = self.last.size if self.last else 0
        if old != seen:
            return 409, "text/x.tlog.size", b"%d\n" % seen
        if self.last is not None and not is_consistent(
            seen, self.last.root, new.size, new.root, [decoded(each) for each in lines]
        ):
            return 422, "text/plain", b""
        self.last = new
        return 200, "text/plain", cosign_note(note, KEY, PRIVATE.sign, 1_790_000_000).line.encode()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer on loopback; gives the submission prefix."""
        witness = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/w/add-checkpoint"
                status, kind, data = witness.answer(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        with WebServer(Handler) as server:
            yield f"{server.address}/w"


def test_cosignatures_travel_with_proofs(tmp_path: Path) -> None:
    """Checkpoint and proofs have the witness's word; a process that knows nothing of it asks what it has seen."""
    site, witness = tmp_path / "site", HonestWitness()
    with open_ledger(tmp_path / "ledger.sqlite") as ledger, witness.serving() as url:
        for size in (3, 300, 301):
            ledger.log_book.take_back(ledger.log_book.size(), [b"entry"] * (size - ledger.log_book.size()))
            log_writer(ledger, site, witnesses=(Witness(KEY, url),)).write()
            note = Note.read((site / "log/checkpoint").read_bytes())
            assert KEY in note.signed_by([KEY])
            assert (tmp_path / "log.checkpoint").read_bytes() == note.encode()
    assert witness.asked == [0, 0, 3, 0, 300]
    assert LogProof.read(LogProof(0, (), note).encode()).note.signatures[1].time == 1_790_000_000


def test_who_asks_for_a_witness_believes_nothing_without_it(tmp_path: Path) -> None:
    """A policy for logs takes what the witness cosigned, and no other checkpoint of the same log: nobody is alone."""
    site, witness, memory = tmp_path / "site", HonestWitness(), tmp_path / "seen"
    with open_ledger(tmp_path / "ledger.sqlite") as ledger, witness.serving() as url:
        ledger.log_book.take_back(0, [b"entry"] * 3)
        log_writer(ledger, site, witnesses=(Witness(KEY, url),)).write()
        log_key = (site / "log/key").read_text().strip()
        policy = LogPolicy.read(f"log {log_key}\nwitness w {KEY.vkey}\nquorum w\n".encode())
        trusted = Trusted(str(site), log_policy=policy)
        with SiteReader(str(site)) as files:
            found = Rebuilder.open(trusted, files, memory, FixedClock().now())
            assert (found.published.checkpoint.size, found.remarks) == (3, [])
            found.remember(memory)
        ledger.log_book.take_back(3, [b"entry"])
        log_writer(ledger, site).write()
    with SiteReader(str(site)) as files:
        assert Rebuilder.open(Trusted(str(site)), files, memory, FixedClock().now()).published.checkpoint.size == 4
        with pytest.raises(LogError, match="cosigned by none of the witnesses"):
            Rebuilder.open(trusted, files, memory, FixedClock().now())


def test_one_that_is_away_is_passed_over(tmp_path: Path) -> None:
    """The log goes on without it."""
    site, witness = tmp_path / "site", HonestWitness()
    with open_ledger(tmp_path / "ledger.sqlite") as ledger, witness.serving() as url:
        ledger.log_book.take_back(0, [b"entry"])
        log_writer(ledger, site, witnesses=(Witness(KEY, "http://127.0.0.1:9/"), Witness(KEY, url))).write()
    assert Note.read((site / "log/checkpoint").read_bytes()).signed_by([KEY]) == [KEY]


class Lying(HonestWitness):
    """Answers what it was told to."""

    said: tuple[int, str, bytes] = (500, "text/plain", b"")

    def answer(self, body: bytes) -> tuple[int, str, bytes]:
        """That."""
        assert body
        return self.said

    @classmethod
    def saying(cls, *said: Any) -> Self:
        """One that says this."""
        made = cls()
        made.said = said
        return made


@pytest.mark.parametrize(
    "said",
    [
        (500, "text/plain", b""),
        (302, "text/plain", b""),
        (200, "text/plain", b""),
        (200, "text/plain", b"\xe2\x80\x94 witness.example/w AAAA\n"),
        (200, "text/plain", b"\xe2\x80\x94 witness.example/w " + b"A" * 104 + b"\n"),
        (200, "text/plain", b"x" * (1 << 20)),
        (409, "text/x.tlog.size", b"9\n"),
        (409, "text/x.tlog.size", b"-1\n"),
        (409, "text/x.tlog.size", b"9" * 5000),
        (409, "text/x.tlog.size", b"1\n"),
        (409, "text/plain", b"1\n"),
    ],
    ids=str,
)
def test_what_is_no_cosignature(said: tuple[int, str, bytes], tmp_path: Path) -> None:
    """One sentence with the name of the witness, and the checkpoint without it."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger, Lying.saying(*said).serving() as url:
        ledger.log_book.take_back(0, [b"entry"] * 4)
        log_writer(ledger, tmp_path / "site", witnesses=(Witness(KEY, url),)).write()
        note = Note.read((tmp_path / "site/log/checkpoint").read_bytes())
        assert len(note.signatures) == 1
        with pytest.raises(UnavailableError, match=r"witness\.example/w"):
            Witness(KEY, url).cosigned(note, lambda _: [])


def test_settings(tmp_path: Path) -> None:
    """A key that was miscopied, or is no witness's, is refused with its name."""
    file = tmp_path / "rebuilder.toml"
    log_key = NoteKey("log.example/one", KEY.public).vkey
    for key, fine in ((KEY.vkey, True), (KEY.vkey[:-8], False), (log_key, False)):
        file.write_text(f"[[log.witnesses]]\nkey = {json.dumps(key)}\nurl = 'https://witness.example/w'\n")
        if fine:
            assert load_config(file, {}).log.witnesses[0].key == key
        else:
            with pytest.raises(UsageError, match="log"):
                load_config(file, {})
