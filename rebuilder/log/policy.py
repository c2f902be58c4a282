"""Whose word a checkpoint needs before it is believed: logs, witnesses, groups of them (C2SP tlog-policy).

Keys of other kinds than Ed25519 are refused rather than passed over: a policy means what all of it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from rebuilder.log.note import COSIGNATURE, LOG_SIGNATURE, Note, NoteKey

_LARGEST = 1 << 20
_MOST_LINES = 2000
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
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
        if _CONTROL.search(data):
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
