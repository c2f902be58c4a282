"""Policies for logs: who must have cosigned, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder.log.note import COSIGNATURE, LOG_SIGNATURE, LogPolicy, Note, NoteKey, sign_note
from tests.fakes.cosigning import cosign_note

TEXT = f"log.example/one\n3\n{'A' * 43}=\n"


class Signer:
    """A key of a log or a witness, the same for a number."""

    def __init__(self, name: str, number: int, kind: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))
        self.key = NoteKey(name, self.private.public_key().public_bytes_raw(), kind)


LOG = Signer("log.example/one", 1, LOG_SIGNATURE)
WITNESSES = {
    f"{group}{number}": Signer(f"witness.example/{group}{number}", 10 * ord(group) % 97 + number, COSIGNATURE)
    for group in "XY"
    for number in (1, 2, 3)
}
LINES = "".join(f"witness {name} {each.key.vkey}\n" for name, each in WITNESSES.items())
TWO_LEVELS = (
    f"# two organisations\nlog {LOG.key.vkey} https://log.example/\n\n{LINES}"
    "group X-witnesses 2 X1 X2 X3\n \tgroup Y-witnesses  any Y1 Y2\tY3 \n"
    "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
)


def cosigned(*names: str) -> Note:
    """The checkpoint of the log, with these cosignatures."""
    note = sign_note(TEXT, LOG.key, LOG.private.sign)
    more = (cosign_note(note, WITNESSES[each].key, WITNESSES[each].private.sign, 1_700_000_000) for each in names)
    return Note(note.text, (*note.signatures, *more))


@pytest.mark.parametrize(
    ("names", "enough"),
    [
        (("X1", "X3", "Y2"), True),
        (("X1", "X2", "X3", "Y1", "Y2", "Y3"), True),
        (("X1", "X2", "X3"), False),
        (("X1", "Y1", "Y2", "Y3"), False),
        (("X1", "X1", "Y1"), False),
        ((), False),
    ],
    ids=str,
)
def test_groups_of_groups(names: tuple[str, ...], enough: bool) -> None:
    """Two of one organisation and one of another; a cosignature that stands there twice counts once."""
    policy = LogPolicy.read(TWO_LEVELS.encode())
    assert policy.logs == (LOG.key,)
    if enough:
        policy.refuse(cosigned(*names))
    else:
        with pytest.raises(ValueError, match="X-and-Y"):
            policy.refuse(cosigned(*names))


def test_one_witness_or_none() -> None:
    """A quorum is a witness, too; with none the log is believed alone, and no log needs to be named."""
    alone = LogPolicy.read(f"{LINES}quorum Y3\n".encode())
    alone.refuse(cosigned("Y3"))
    with pytest.raises(ValueError, match="cosigned by Y1, Y2 only"):
        alone.refuse(cosigned("Y2", "Y1"))
    policy = LogPolicy.read(b"quorum none")
    policy.refuse(cosigned())
    assert policy.logs == ()


def test_a_cosignature_over_another_checkpoint() -> None:
    """It does not fit, and spoils the note."""
    note, other = cosigned("Y3"), sign_note(TEXT.replace("3", "4"), LOG.key, LOG.private.sign)
    with pytest.raises(ValueError, match="does not fit"):
        LogPolicy.read(f"{LINES}quorum Y3".encode()).refuse(Note(other.text, note.signatures))


KEY, OTHER = WITNESSES["X1"].key.vkey, WITNESSES["X2"].key.vkey


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has 0"),
        ("quorum none\nquorum none", "has 2"),
        ("quorum X1", "Line 1 .* 'X1'"),
        (f"witness a {KEY}\ngroup none any a\nquorum a", "Line 2 .* taken"),
        (f"witness a {KEY}\nwitness a {OTHER}\nquorum a", "Line 2 .* taken"),
        (f"witness a {KEY}\nwitness b {KEY}\nquorum a", "twice"),
        (f"witness a {LOG.key.vkey}\nquorum a", "not one for cosignatures"),
        (f"log {KEY}\nquorum none", "not one for logs"),
        (f"log {LOG.key.vkey}\nlog {LOG.key.vkey}\nquorum none", "twice"),
        (f"witness a {KEY[:-4]}\nquorum a", "Line 1"),
        (f"witness a {KEY}\ngroup g 2 a\nquorum g", "1 to 1"),
        (f"witness a {KEY}\ngroup g 01 a\nquorum g", "1 to 1"),
        (f"witness a {KEY}\ngroup g any a a\nquorum g", "count twice"),
        (f"witness a {KEY}\ngroup g any a\ngroup h any a\nquorum h", "count twice"),
        (f"witness a {KEY}\ngroup g any\nquorum a", "no line"),
        (f"group g any a\nwitness a {KEY}\nquorum g", "Line 1"),
        (f"witness a {KEY}\r\nquorum a", "control"),
        (f"witness\u00a0a {KEY}\nquorum none", "no line"),
        (f"witness \u212a {KEY}\nquorum K", "'K'"),
        ("Quorum none", "no line"),
    ],
)
def test_mistakes(text: str, words: str) -> None:
    """Each is refused with its line; names are compared byte by byte."""
    with pytest.raises(ValueError, match=words):
        LogPolicy.read(text.encode())
