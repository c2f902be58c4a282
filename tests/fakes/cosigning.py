"""What a witness adds to a checkpoint, as c2sp.org/tlog-cosignature has it; the program itself only checks it."""

from __future__ import annotations

from collections.abc import Callable

from rebuilder.log.note import Note, NoteKey, NoteSignature


def cosign_note(note: Note, key: NoteKey, sign: Callable[[bytes], bytes], time: int) -> NoteSignature:
    """The cosignature at a time, in seconds since 1970."""
    signed = f"cosignature/v1\ntime {time}\n{note.text}".encode()
    return NoteSignature(key.name, key.identifier, time.to_bytes(8) + sign(signed))
