"""A log writer whose key lives in memory."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder.network.witness import Witness
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.keys import FileKey
from rebuilder.site.log_files import LogFiles
from rebuilder.site.writing import Written
from rebuilder.store.ledger import Ledger
from rebuilder.verification.log_writer import LogWriter
from tests.fakes.clock import FixedClock
from tests.fakes.signer import MemorySigner


def log_writer(
    ledger: Ledger, site: Path, *, keys: tuple[int, ...] = (1,), witnesses: tuple[Witness, ...] = ()
) -> LogWriter:
    """Writes below ``site``, and keeps its checkpoint beside that.

    Args:
        ledger: Whose statements are logged.
        site: Directory of the site.
        keys: Seeds of the keys whose statements are ours.
        witnesses: Who is asked to cosign.
    """
    return LogWriter(
        book=ledger.log_book,
        key=FileKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32)))),
        agreement=Agreement({MemorySigner(number).key_id: MemorySigner(number).public_pem for number in keys}),
        name="log.example/test",
        state=site.parent / "log.checkpoint",
        files=LogFiles(site, Written(site, None)),
        clock=FixedClock(),
        witnesses=witnesses,
    )
