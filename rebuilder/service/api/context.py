"""What the HTTP API is given to work with, its token, and who is trusted."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from fastapi import Request

from rebuilder.atomic_file import replacing
from rebuilder.clock import Clock
from rebuilder.errors import UsageError
from rebuilder.model.report import SignedReport, Summary
from rebuilder.model.work import Order, Tier
from rebuilder.signing.keys import refuse_open_directory
from rebuilder.store.ledger import Ledger
from rebuilder.store.protocol import Blobs

TOKEN_FILE = "api-token"  # noqa: S105 - its name
"""In the directory of the keys, unless the settings name another file."""
_FORM = re.compile(r"[!-~]{20,512}")
"""Any printable word that is long enough not to be guessed."""
_LARGEST = 4096


class Token:
    """A token that can be compared and not be read back: nothing can log it by accident."""

    def __init__(self, secret: str) -> None:
        self._digest = _digest(secret)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the token, making it when there is none; two processes that come first at once end up with one.

        Args:
            path: A file of mode 0600 or narrower that holds nothing else.

        Raises:
            UsageError: it cannot be read or made, others can read it, or it is no token.
            SigningError: others may write in its directory.
        """
        try:
            if not path.exists():
                _make(path)
            refuse_open_directory(path.parent)
            return cls(_load(path))
        except OSError as error:
            raise UsageError(
                f"The token file {path} cannot be used: {error.strerror or error}.",
                hint="Make it readable for this user, or name another file: token_file in [service].",
            ) from error

    def matches(self, offered: str) -> bool:
        """Whether this is the token; takes as long for a near miss as for any other word."""
        return hmac.compare_digest(self._digest, _digest(offered))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _make(path: Path) -> None:
    path.parent.mkdir(exist_ok=True, mode=0o700)  # a path that is mistyped higher up is told, not made
    with replacing(path, mode=0o600, durable=True, replace=False) as draft:
        draft.write(f"{secrets.token_urlsafe(32)}\n".encode())


def _load(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"The token file {path} is not a regular file.", hint="Put the token there as a file.")
        if status.st_mode & 0o077:
            raise UsageError(
                f"The token file {path} can be read or written by other users"
                f" (its mode is {status.st_mode & 0o777:04o}).",
                hint=f"If nobody has used it: chmod 600 {path}. Otherwise delete it to have a new token made.",
            )
        text = os.read(descriptor, _LARGEST).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    if not _FORM.fullmatch(text):
        raise UsageError(
            f"The file {path} does not hold a token: one word of 20 to 512 printable characters.",
            hint="Delete it to have a new token made.",
        )
    return text


class Ask(Protocol):
    """Queues what a subject stands for."""

    def __call__(self, subject: str, tier: Tier, by: str, priority: int = 0) -> list[Order]:
        """Look a subject up in its registry and queue its files; what is queued becomes as urgent as asked.

        Args:
            subject: Such as ``pypi:idna==3.10`` or a package URL; never a file on this machine.
            tier: How thoroughly.
            by: Who asked, for the log.
            priority: Among what was asked for, from -9 (sooner) to 9 (later).

        Raises:
            UsageError: the subject is malformed, or nothing like it is published.
            UnavailableError: the registry does not answer.
            StoreError: the ledger cannot be written.
        """
        ...


@dataclass(frozen=True)
class ApiContext:
    """Everything behind the counter; all of it may block, and none of it is called on the event loop."""

    ledger: Ledger
    ask: Ask
    blobs: Blobs
    """Logs, and what diffoscope said."""
    site: Path
    """Directory of the static site; it need not exist yet."""
    verifier: str
    """Who verifies, as the pages name it."""
    metrics: Callable[[], bytes]
    """What Prometheus reads, in its text format."""
    live: Callable[[], list[str]]
    """What makes this process useless until it is started again; empty: nothing."""
    ready: Callable[[], list[str]]
    """What keeps it from doing its work now; empty: nothing."""
    agreeing: Callable[[Iterable[Summary]], list[Summary]]
    """Those rows of the ledger that say what was signed; one that nobody should believe says why."""
    check: Callable[[SignedReport], None]
    """Raises :class:`CorruptError` for a report that is not the one that was signed."""
    doubted: Callable[[], Sequence[int]]
    """Numbers of verifications that stand and that nobody should believe."""
    clock: Clock
    token: Token
    public: bool = False
    """Strangers ask too: they see nothing of this machine."""
    ready_in_public: Callable[[], list[str]] = list
    """As ``ready``, in words for strangers."""
    requests_per_minute: int = 600
    """From one address."""


def trusted(context: ApiContext, request: Request) -> bool:
    """Whether a request may see what is about this machine: everybody may, unless the site is public."""
    if not context.public:
        return True
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and context.token.matches(word.strip())
