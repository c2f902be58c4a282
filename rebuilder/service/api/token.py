"""The secret that lets a client change something."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Self

from rebuilder.atomic_file import replacing
from rebuilder.errors import UsageError
from rebuilder.signing.keys import refuse_open_directory

FILE_NAME = "api-token"
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
