"""Clear-signed documents (RFC 9580, 7), checked by gpgv as apt does it: what was signed, and by whom."""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rebuilder.environments.command import CommandError, run
from rebuilder.environments.sources import KEYRING
from rebuilder.errors import UnavailableError, UsageError

_BEGIN, _SIGNATURE = b"-----BEGIN PGP SIGNED MESSAGE-----\n", b"-----BEGIN PGP SIGNATURE-----\n"
_END = b"-----END PGP SIGNATURE-----\n"
_OUTSIDE = "something stands outside of what is signed"
_KEY = re.compile(r"-----BEGIN PGP PUBLIC KEY BLOCK-----\s(?P<body>.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_STATUS = re.compile(r"^\[GNUPG:\] (?P<what>[A-Z_]+) ?(?P<rest>.*)$", re.MULTILINE)
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_TROUBLE = {
    "EXPKEYSIG": "the key has expired",
    "REVKEYSIG": "the key was revoked",
    "EXPSIG": "the signature has expired",
    "BADSIG": "the signature is over something else",
}
_SECONDS = 60


class Checked(NamedTuple):
    """What checking a document said."""

    text: bytes
    """What was signed, exactly; of a document without a signature, all of it."""
    signers: tuple[str, ...] = ()
    """Fingerprints of the primary keys of good signatures."""
    problem: str | None = None
    """Why there is no good signature, as the end of a sentence."""


def check(data: bytes, keyrings: Sequence[Path], *, only: Sequence[str] = ()) -> Checked:
    """Check a document against keys; nothing else on this machine is asked.

    Args:
        data: As it was fetched. Signed text is all of it: nothing stands before, between or behind.
        keyrings: Files with keys.
        only: Fingerprints that count; empty: every key does.

    Raises:
        UsageError: gpgv is not installed.
    """
    data = data.replace(b"\r\n", b"\n")
    if _BEGIN not in data and _SIGNATURE not in data:
        return Checked(data, problem="it is not signed")
    if not _is_whole(data):
        return Checked(b"", problem=_OUTSIDE)
    if not keyrings:
        return Checked(b"", problem="there are no keys to check it with")
    with tempfile.TemporaryDirectory(prefix="rebuilder-gpgv-") as place:
        signed, text, log = (Path(place) / name for name in ("signed", "text", "log"))
        signed.write_bytes(data)
        apart = ["--log-file", f"{place}/messages"]  # a document has no say in what stands among the status lines
        command = [
            "gpgv",
            *apart,
            "--status-fd",
            "1",
            *(f"--keyring={each}" for each in keyrings),
            "--output",
            str(text),
        ]
        environment = {"PATH": os.environ.get("PATH", "/usr/bin"), "LC_ALL": "C", "GNUPGHOME": place}
        try:
            run([*command, str(signed)], environment=environment, log=log, seconds=_SECONDS)
        except CommandError as error:
            # One unknown key among several makes it fail, too: what it says of each signature decides.
            if not log.exists() or error.code is None:
                raise UsageError(f"Signatures cannot be checked: {error}.", hint="apt-get install gpgv") from None
        signers, problem = _read(log.read_text(encoding="utf-8", errors="replace"), only)
        return Checked(text.read_bytes() if text.exists() and signers else b"", signers, problem)


def signed_text(data: bytes) -> bytes:
    """The text of a clear-signed document, whoever signed it; of one without a signature, all of it.

    Raises:
        ValueError: something stands outside of what is signed; ``str()`` is the end of a sentence.
    """
    data = data.replace(b"\r\n", b"\n")
    if _BEGIN not in data and _SIGNATURE not in data:
        return data
    if not _is_whole(data):
        raise ValueError(_OUTSIDE)
    text = data.partition(b"\n\n")[2].partition(b"\n" + _SIGNATURE)[0] + b"\n"
    return re.sub(rb"^- ", b"", text, flags=re.MULTILINE)


def _is_whole(data: bytes) -> bool:
    whole = data.startswith(_BEGIN) and data.endswith(_END)
    return whole and all(data.count(each) == 1 for each in (_BEGIN, _SIGNATURE, _END))


def _read(said: str, only: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Who signed well, by the status lines of gpgv (doc/DETAILS of GnuPG); otherwise why nobody did."""
    signers, problem, state = [], "no signature in it can be read", ""
    for line in _STATUS.finditer(said):
        what, rest = line["what"], line["rest"].split()
        if what in {"NEWSIG", "GOODSIG", *_TROUBLE}:
            state = what
            problem = _TROUBLE.get(what, problem)
        elif what == "ERRSIG" and rest:
            problem = f"it is signed by the key {rest[0][:40]}, which is not among the keys that are asked for"
        elif what == "VALIDSIG" and state == "GOODSIG" and rest:
            primary = rest[-1] if _FINGERPRINT.fullmatch(rest[-1]) else rest[0]
            if not only or primary in only or rest[0] in only:
                signers.append(primary)
            else:
                problem = f"it is signed by the key {primary}, which the settings do not name"
    if any(line["what"] == "BADSIG" for line in _STATUS.finditer(said)):
        return (), _TROUBLE["BADSIG"]
    return tuple(dict.fromkeys(signers)), None if signers else problem


@contextmanager
def keys(signed_by: str) -> Iterator[tuple[list[Path], list[str]]]:
    """The keys that ``Signed-By`` of apt's settings means: files for gpgv, and the fingerprints that count.

    Args:
        signed_by: Files, and fingerprints where not every key in them counts; empty for the keys of the Debian archive.

    Raises:
        UnavailableError: a file of keys is not there, or is none.
    """
    with tempfile.TemporaryDirectory(prefix="rebuilder-keys-") as place:
        words = signed_by.replace(",", " ").split()
        files = [Path(each) for each in words if each.startswith("/")] or [KEYRING]
        yield (
            [_readable(each, Path(place)) for each in files],
            [each.rstrip("!").upper() for each in words if not each.startswith("/")],
        )


def _readable(file: Path, place: Path) -> Path:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UnavailableError(
            f"The keys of the Debian archive cannot be read from {file}: {error.strerror}.",
            hint="apt-get install debian-archive-keyring, or correct Signed-By in apt's settings.",
        ) from None
    return _binary(data, place, str(file)) if data.lstrip().startswith(b"-----BEGIN PGP") else file


def _binary(armoured: bytes, place: Path, name: str) -> Path:
    """Keys in ASCII armour as gpgv reads them (RFC 9580, 6.2); checksums are gpgv's business."""
    found = _KEY.search(armoured.decode("utf-8", "replace"))
    body = found["body"].partition("\n\n")[2] if found and "\n\n" in found["body"] else found["body"] if found else ""
    lines = [each.strip() for each in body.splitlines() if each.strip() and not each.startswith("=")]
    try:
        data = base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise UnavailableError(f"{name} holds no key of the Debian archive.", hint="Correct apt's settings.")
    with tempfile.NamedTemporaryFile(dir=place, suffix=".gpg", delete=False) as file:
        file.write(data)
    return Path(file.name)
