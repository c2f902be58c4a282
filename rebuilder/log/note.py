"""Signed notes, checkpoints, and cosignatures of witnesses (C2SP signed-note, tlog-checkpoint, tlog-cosignature).

Only Ed25519: a log that strangers and witnesses read must have such a signature, and one kind is enough.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

LOG_SIGNATURE = 0x01
COSIGNATURE = 0x04
_LONGEST = 1 << 20
_MOST_SIGNATURES = 100
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DASH = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class NoteKey:
    """Who signs notes: a name, and a public key of Ed25519 (32 bytes)."""

    name: str
    public: bytes
    kind: int = LOG_SIGNATURE
    """``LOG_SIGNATURE``, or ``COSIGNATURE`` for a witness."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.public) != 32 or self.kind not in {LOG_SIGNATURE, COSIGNATURE}:
            raise ValueError("A key of notes has a name without spaces and plus signs, and 32 bytes of Ed25519.")

    @property
    def identifier(self) -> bytes:
        """The four bytes that stand before its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key as one word, as people hand it on: ``NAME+IDENTIFIER+BASE64``."""
        return f"{self.name}+{self.identifier.hex()}+{encoded(bytes([self.kind]) + self.public)}"

    @classmethod
    def read(cls, vkey: str) -> Self:
        """Read a word that :attr:`vkey` wrote.

        Raises:
            ValueError: it is none, of another kind of key, or its identifier is not that of the key.
        """
        name, _, rest = vkey.partition("+")
        identifier, _, key = rest.partition("+")
        data = decoded(key)
        if len(data) != 33:
            raise ValueError("The key of the log is not one of Ed25519.")
        found = cls(name, data[1:], data[0])
        if found.identifier.hex() != identifier:
            raise ValueError("The key of the log and its identifier do not belong together: it was miscopied.")
        return found

    def fits(self, text: str, signature: bytes) -> bool:
        """Whether it made this signature (without the identifier) over the text of a note."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        signed = text.encode()
        if self.kind == COSIGNATURE:
            signed, signature = f"cosignature/v1\ntime {int.from_bytes(signature[:8])}\n{text}".encode(), signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """A line below a note."""

    name: str
    identifier: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """As it stands in the note."""
        return f"{_DASH}{self.name} {encoded(self.identifier + self.signature)}\n"

    @property
    def time(self) -> int:
        """Of a cosignature: when it was made, in seconds since 1970."""
        return int.from_bytes(self.signature[:8])


@dataclass(frozen=True, slots=True)
class Note:
    """A text, and who signed it."""

    text: str
    """It ends in a newline."""
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Take a note apart; nothing is checked but its form.

        Raises:
            ValueError: it is none, or is longer than any.
        """
        try:
            text = data[: _LONGEST + 1].decode()
        except UnicodeDecodeError:
            raise ValueError("The note is not UTF-8.") from None
        body, gap, below = text.rpartition("\n\n")
        lines = below.split("\n")
        if len(data) > _LONGEST or _CONTROL.search(text) or not gap or lines.pop() or not lines:
            raise ValueError("This is no signed note.")
        if len(lines) > _MOST_SIGNATURES:
            raise ValueError("The note has more signatures than are looked at.")
        return cls(body + "\n", tuple(map(_signature, lines)))

    def encode(self) -> bytes:
        """The note as a file."""
        return (self.text + "\n" + "".join(each.line for each in self.signatures)).encode()

    def signed_by(self, keys: Iterable[NoteKey]) -> list[NoteKey]:
        """Those of the keys that signed it; signatures of others are passed over.

        Raises:
            ValueError: a signature claims to be of one of the keys, and is not.
        """
        found = []
        for key in keys:
            ours = [each for each in self.signatures if (each.name, each.identifier) == (key.name, key.identifier)]
            if not all(key.fits(self.text, each.signature) for each in ours):
                raise ValueError(f"The signature of {key.name} does not fit: the note was changed, or is not theirs.")
            if ours:
                found.append(key)
        return found


def sign_note(text: str, key: NoteKey, sign: Callable[[bytes], bytes]) -> Note:
    """Sign the text of a note with the key of a log."""
    return Note(text, (NoteSignature(key.name, key.identifier, sign(text.encode())),))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: how many entries it has, and the root of their tree."""

    origin: str
    """The name of the log."""
    size: int
    root: bytes

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the text of a note.

        Raises:
            ValueError: it is no checkpoint.
        """
        origin, size, root, *more = [*text.removesuffix("\n").split("\n"), "", ""]
        if not origin or not _SIZE.fullmatch(size) or "" in more[:-2]:
            raise ValueError("The note is no checkpoint of a log.")
        found = cls(origin, int(size), decoded(root))
        if len(found.root) != 32:
            raise ValueError("The root of the checkpoint has not the length of a SHA-256 digest.")
        return found

    @property
    def text(self) -> str:
        """The text of the note."""
        return f"{self.origin}\n{self.size}\n{encoded(self.root)}\n"


def decoded(text: str) -> bytes:
    """Standard base64, strictly: two spellings of the same bytes would be two notes.

    Raises:
        ValueError: it is not.
    """
    try:
        data = base64.b64decode(text.encode("ascii", "replace"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("This is not base64.") from None
    if encoded(data) != text:
        raise ValueError("This is not base64 as it must be written.")
    return data


def encoded(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def _signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not _NAME.fullmatch(name):
        raise ValueError("A line below the note is no signature.")
    data = decoded(encoded)
    if len(data) < 5:
        raise ValueError("A signature below the note is too short for one.")
    return NoteSignature(name, data[:4], data[4:])
