"""Signed notes, checkpoints, and cosignatures of witnesses (C2SP signed-note, tlog-checkpoint, tlog-cosignature).

Whose word a checkpoint needs before it is believed says a policy: logs, witnesses, groups of them (C2SP tlog-policy).

Only Ed25519: a log that strangers and witnesses read must have such a signature, and one kind is enough.
Keys of other kinds than Ed25519 are refused rather than passed over: a policy means what all of it says.
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


_LARGEST = 1 << 20
_MOST_LINES = 2000
_POLICY_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_BLANKS = re.compile(r"[ \t]+")
_NOBODY = "none"
_WORDS = {"all", "any"}


@dataclass(frozen=True, slots=True)
class _Group:
    """Enough of its members must have cosigned."""

    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """Which logs are believed, and who must have cosigned their checkpoints; :meth:`read` makes one."""

    logs: tuple[NoteKey, ...]
    """Empty: the log is known from elsewhere."""
    witnesses: dict[str, NoteKey]
    """By the names that the policy gives them."""
    groups: dict[str, _Group]
    quorum: str | None
    """Name of a witness or a group; None: nobody has to cosign."""

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read a policy file.

        Raises:
            ValueError: it has a mistake; the sentence names the line.
        """
        if len(data) > _LARGEST or data.count(b"\n") > _MOST_LINES:
            raise ValueError("The policy for logs is longer than any.")
        if _POLICY_CONTROL.search(data):
            raise ValueError("The policy for logs has control characters.")
        draft = _Draft()
        # Names are bytes to the specification; any reading that keeps them apart will do.
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
            words = [each for each in _BLANKS.split(line) if each]
            if words and not words[0].startswith("#"):
                try:
                    draft.add(words)
                except ValueError as error:
                    raise ValueError(f"Line {number} of the policy for logs: {error}") from None
        if len(draft.quorums) != 1:
            raise ValueError(f"A policy for logs has one line “quorum”, and this has {len(draft.quorums)}.")
        return cls(tuple(draft.logs), draft.witnesses, draft.groups, draft.quorums[0])

    def refuse(self, note: Note) -> None:
        """Make sure that enough witnesses cosigned a checkpoint.

        Raises:
            ValueError: they did not, or a cosignature is not theirs.
        """
        if self.quorum is None:
            return
        signed = set(note.signed_by(self.witnesses.values()))
        names = [name for name, key in self.witnesses.items() if key in signed]
        if not self._agrees(self.quorum, set(names), {}):
            by = f"cosigned by {', '.join(sorted(names))} only" if names else "cosigned by none of the witnesses"
            raise ValueError(f"The checkpoint is {by}: the policy asks for the quorum “{self.quorum}”.")

    def _agrees(self, name: str, signed: set[str], known: dict[str, bool]) -> bool:
        """Whether a witness cosigned, or enough of a group; a group can only have members from lines above it."""
        group = self.groups.get(name)
        if group is None:
            return name in signed
        if name not in known:
            known[name] = sum(self._agrees(each, signed, known) for each in group.members) >= group.least
        return known[name]


class _Draft:
    """What the lines so far say."""

    def __init__(self) -> None:
        self.logs: list[NoteKey] = []
        self.witnesses: dict[str, NoteKey] = {}
        self.groups: dict[str, _Group] = {}
        self.quorums: list[str | None] = []

    def add(self, words: list[str]) -> None:
        """Read one line."""
        match words:
            case ["log", key] | ["log", key, _]:
                self.logs.append(_new(key, LOG_SIGNATURE, self.logs))
            case ["witness", name, key] | ["witness", name, key, _]:
                self.witnesses[self._unused(name)] = _new(key, COSIGNATURE, self.witnesses.values())
            case ["group", name, least, *members] if members:
                self.groups[self._unused(name)] = self._group(least, members)
            case ["quorum", name]:
                self.quorums.append(None if name == _NOBODY else self._known(name))
            case _:
                raise ValueError(f"{' '.join(words)[:80]!r} is no line of a policy.")

    def _group(self, least: str, members: list[str]) -> _Group:
        for each in members:
            self._known(each)
            if members.count(each) > 1 or any(each in group.members for group in self.groups.values()):
                raise ValueError(f"{each!r} is a member of a group already, and would count twice.")
        if least in _WORDS:
            return _Group(len(members) if least == "all" else 1, tuple(members))
        if not re.fullmatch("[1-9][0-9]{0,5}", least, re.ASCII) or int(least) > len(members):
            raise ValueError(f"A group of {len(members)} has 1 to {len(members)}, “any” or “all”, not {least!r}.")
        return _Group(int(least), tuple(members))

    def _known(self, name: str) -> str:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError(f"No line above it is about a witness or a group {name!r}.")
        return name

    def _unused(self, name: str) -> str:
        if name == _NOBODY or name in self.witnesses or name in self.groups:
            raise ValueError(f"The name {name!r} is taken.")
        return name


def _new(vkey: str, kind: int, known: Iterable[NoteKey]) -> NoteKey:
    key = NoteKey.read(vkey)
    if key.kind != kind:
        raise ValueError(f"The key of {key.name} is not one for {'cosignatures' if kind == COSIGNATURE else 'logs'}.")
    if any(each.public == key.public for each in known):
        raise ValueError(f"The key of {key.name} stands there twice.")
    return key
