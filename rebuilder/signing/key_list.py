"""The list of a rebuilder's public keys: who may sign what, from when until when, and what was revoked.

``keys.json`` is root metadata of The Update Framework (https://theupdateframework.github.io/specification/latest/) in a
DSSE envelope, as ``tuf.api.dsse`` reads and writes it: root keys that are kept offline sign it, as many as the
threshold says; its version only grows; it expires; and the next root keys come with signatures of those before.

No role but ``root`` has a key, so that no other metadata can ever be signed. The keys that sign statements, checkpoints
and links stand among ``keys``, each with a member :data:`KEY_MEMBER` that says what for and when (docs/keys-json.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self, cast

import rfc8785
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from pydantic import AwareDatetime, ValidationError, model_validator

from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json
from rebuilder.model.value import Value, canonical_json
from rebuilder.signing.keys import Algorithm, PublicKey, key_id, raw_public

if TYPE_CHECKING:
    # They take as long to load as all the rest, and most who verify have no list of keys.
    from securesystemslib.signer import Key  # type: ignore[attr-defined]
    from tuf.api.dsse import Root, SimpleEnvelope  # type: ignore[attr-defined]

KEY_LIST: Final = "keys.json"
"""The newest list, below the root of a site."""
PAYLOAD_TYPE: Final = "application/vnd.tuf+json"
KEY_MEMBER: Final = "tag:rebuilder,2026:key/v1"
ROOT: Final = "root"
_LARGEST = 1 << 20
_LIMITS = JsonLimits(values=20_000, depth=16)
_MOST_VERSIONS = 1000
_SKEW = timedelta(days=1)


def version_path(version: int) -> str:
    """Where a version of the list stays for good, below the root of a site; the name is TUF's."""
    return f"keys/{version}.root.json"


class KeyListError(ValueError):
    """A list that is refused, or a key that was not good for what it signed: one sentence."""


class TooFewSignaturesError(KeyListError):
    """Fewer root keys signed it than must."""


class RootChangedError(TooFewSignaturesError):
    """The root keys that are trusted did not sign it; a version in between may lead to those that did."""


class Use(StrEnum):
    """What a key may sign."""

    STATEMENTS = "statements"
    """Statements in DSSE envelopes: ECDSA P-256."""
    CHECKPOINTS = "checkpoints"
    """Checkpoints of the log: Ed25519."""
    LINKS = "links"
    """in-toto links for clients of rebuilderd: Ed25519."""


_ALGORITHMS = {
    Use.STATEMENTS: ("ecdsa", "ecdsa-sha2-nistp256"),
    Use.CHECKPOINTS: ("ed25519", "ed25519"),
    Use.LINKS: ("ed25519", "ed25519"),
}


class KeyPeriod(Value):
    """What the root keys say about a key: the member :data:`KEY_MEMBER`."""

    use: Use
    valid_from: AwareDatetime | None = None
    """The first moment; None: from the beginning."""
    valid_until: AwareDatetime | None = None
    """The first moment when it is not good any more; None: until it is said."""
    revoked_from: AwareDatetime | None = None
    """From then on, somebody else may have had it."""
    reason: str | None = None
    """Why it was revoked."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.revoked_from is None) != (self.reason is None):
            raise ValueError("a revoked key has a time and a reason")
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("a key is good until after it begins")
        return self


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One public key of the list."""

    key_id: str
    """SHA-256 of the DER SubjectPublicKeyInfo, in hexadecimal."""
    pem: bytes
    """PEM SubjectPublicKeyInfo."""
    period: KeyPeriod

    @property
    def use(self) -> Use:
        """What it may sign."""
        return self.period.use

    def refuse(self, logged: datetime, use: Use) -> None:
        """Make sure that the key was good for what it signed.

        A statement is judged by when the log says that it was logged. What the log does not date, a checkpoint or a
        link, cannot be told from what a thief made: once revoked, such a key is good for nothing, whatever time is
        said. A checkpoint is at least as new as the entry it is shown for, so only the end of the period counts.

        Raises:
            KeyListError: it was not.
        """
        period, name = self.period, f"The key {self.key_id[:16]}…"
        if period.use is not use:
            raise KeyListError(f"{name} is for {period.use}, and signed what only a key for {use} may sign.")
        if period.revoked_from is not None and (logged >= period.revoked_from or use is not Use.STATEMENTS):
            when = f", and what it signed was logged on {_spoken(logged)}" if use is Use.STATEMENTS else ""
            raise KeyListError(f"{name} was revoked from {_spoken(period.revoked_from)} on ({period.reason}){when}.")
        if period.valid_until is not None and logged >= period.valid_until:
            raise KeyListError(
                f"{name} was good until {_spoken(period.valid_until)}, and signed something of {_spoken(logged)}."
            )
        if period.valid_from is not None and logged < period.valid_from and use is not Use.CHECKPOINTS:
            raise KeyListError(
                f"{name} is good from {_spoken(period.valid_from)} on, and signed something of {_spoken(logged)}."
            )


class KeyList:
    """A list that was checked. Immutable; :meth:`read` makes one."""

    def __init__(self, document: bytes, root: Root, keys: Mapping[str, ListedKey]) -> None:
        self.document: Final = document
        """As it was read."""
        self.keys: Final[Mapping[str, ListedKey]] = MappingProxyType(dict(keys))
        """By their identifier, those that were replaced or revoked too."""
        self.root: Final = root
        """The metadata itself, not to be changed: what the next list is made from."""

    @classmethod
    def read(cls, document: bytes, roots: KeyList | None) -> KeyList:
        """Check a list against one that is trusted already.

        Flow: the envelope must be written in the one way it can be, its payload must be root metadata whose own root
        keys signed it; every signature must fit, those of former root keys too; then the root keys of the trusted list
        must have signed it as well, and the version must not be lower. Whether it expired is asked apart
        (:meth:`refuse_expired`), since a list in between may have.

        Args:
            document: ``keys.json`` as published.
            roots: The list that is trusted: the newest one that was seen, or one that came by another way. None:
                nothing is known yet, and this document's own root keys are believed the first time.

        Raises:
            RootChangedError: the trusted root keys did not sign it.
            KeyListError: it is malformed, a signature does not fit, there are too few, or it is an older one.
        """
        envelope = read_envelope(document)
        root = read_root(envelope)
        if roots is not None and root.version < roots.version:
            raise KeyListError(
                f"The key list has version {root.version}, and version {roots.version} was seen before: "
                "an old one was put back."
            )
        keys, listed = dict(root.keys), listed_keys(root)
        for name in root.roles[ROOT].keyids:
            if name not in keys:
                raise KeyListError(f"The root key {name[:16]}… is not among the keys of the list.")
            if name in listed:
                raise KeyListError(f"The key {name[:16]}… signs the list itself, and can be for nothing else.")
        signers = _signers(envelope, keys | (dict(roots.root.keys) if roots is not None else {}))
        _threshold(root, signers, TooFewSignaturesError, "its own root keys")
        if roots is not None:
            _threshold(roots.root, signers, RootChangedError, "the root keys that are trusted")
            if root.version == roots.version and envelope.payload != read_envelope(roots.document).payload:
                raise KeyListError(f"There are two key lists of version {root.version}: the site shows another one.")
        return cls(document, root, listed)

    @property
    def version(self) -> int:
        """Grows by one with each list."""
        return int(self.root.version)

    @property
    def expires(self) -> datetime:
        """When it is not to be believed any more."""
        return self.root.expires

    @property
    def threshold(self) -> int:
        """How many root keys must sign the next list."""
        return int(self.root.roles[ROOT].threshold)

    @property
    def root_keys(self) -> tuple[str, ...]:
        """Identifiers of the root keys."""
        return tuple(self.root.roles[ROOT].keyids)

    @property
    def signers(self) -> tuple[str, ...]:
        """Identifiers of the root keys that signed it, in the order of the envelope."""
        return tuple(read_envelope(self.document).signatures)

    @property
    def revoked(self) -> tuple[ListedKey, ...]:
        """Those that were revoked."""
        return tuple(each for each in self.keys.values() if each.period.revoked_from is not None)

    def judge(self, identifier: str, logged: datetime, use: Use = Use.STATEMENTS) -> ListedKey:
        """The key, if it was good for what it signed; see :meth:`ListedKey.refuse`.

        Args:
            identifier: SHA-256 of the public key, in hexadecimal.
            logged: When the log says that it was logged; for a checkpoint: its newest entry, or that it is shown for.
            use: What it signed.

        Raises:
            KeyListError: it is not in the list, is for something else, was revoked, or was not good at that time.
        """
        key = self.keys.get(identifier)
        if key is None:
            raise KeyListError(
                f"The key {identifier[:16]}… is not in the key list of the site (version {self.version})."
            )
        key.refuse(logged, use)
        return key

    def judge_checkpoint(self, public: bytes, logged: datetime) -> ListedKey:
        """The key, if it was good for a checkpoint that is shown for an entry; see :meth:`judge`.

        Args:
            public: Its 32 bytes, as a signed note has them.
            logged: When the entry was logged.

        Raises:
            KeyListError: see :meth:`judge`.
        """
        for key in self.keys.values():
            if key.use is Use.CHECKPOINTS and raw_public(key.pem) == public:
                key.refuse(logged, Use.CHECKPOINTS)
                return key
        raise KeyListError("The key that signed the checkpoint is not in the key list of the site.")

    def refuse_expired(self, now: datetime, newest: datetime | None = None) -> None:
        """Make sure that the list is to be believed still.

        Args:
            now: By this machine's clock.
            newest: The latest time that the log of the site says; a clock far behind it is wrong.

        Raises:
            KeyListError: it expired, or the clock cannot be right.
        """
        if newest is not None and now + _SKEW < newest:
            raise KeyListError(
                f"This machine's clock says {_spoken(now)}, and the log of the site has something of "
                f"{_spoken(newest)}: one of the two clocks is wrong, and nobody can say what expired."
            )
        if now >= self.expires:
            raise KeyListError(
                f"The key list expired on {_spoken(self.expires)}, and this machine's clock says {_spoken(now)}: "
                "nobody looks after the site any more, this is an old copy of it, or the clock is wrong."
            )


def newest_list(read: Callable[[str], bytes], trusted: KeyList | None) -> KeyList | None:
    """The list that a site shows, led to from the one that is trusted, version by version where root keys changed.

    Args:
        read: The bytes of a file of the site; FileNotFoundError where there is none.
        trusted: See :meth:`KeyList.read`.

    Returns:
        None where the site has no list, and none was seen before.

    Raises:
        KeyListError: it is refused, or is gone.
    """
    try:
        document = read(KEY_LIST)
    except FileNotFoundError:
        if trusted is not None:
            raise KeyListError("The site had a key list, and shows none any more.") from None
        return None
    for _ in range(_MOST_VERSIONS):
        try:
            return KeyList.read(document, trusted)
        except RootChangedError:
            if trusted is None:
                raise
            trusted = _next(read, trusted)
    raise KeyListError("The key list is more versions away from the one that is trusted than anybody makes.")


def _next(read: Callable[[str], bytes], trusted: KeyList) -> KeyList:
    path = version_path(trusted.version + 1)
    try:
        found = KeyList.read(read(path), trusted)
    except FileNotFoundError:
        raise RootChangedError(
            f"The root keys of version {trusted.version} of the key list, which are trusted, did not sign the one that "
            f"the site shows, and {path}, which would lead there, is missing."
        ) from None
    if found.version != trusted.version + 1:
        raise KeyListError(f"{path} is version {found.version} of the key list.")
    return found


def encode(envelope: SimpleEnvelope[Root]) -> bytes:
    """The one way in which a list is written: RFC 8785, and a newline."""
    return canonical_json(envelope.to_dict()) + b"\n"


def read_envelope(document: bytes) -> SimpleEnvelope[Root]:
    """The envelope of a list, whose signatures were not looked at.

    Raises:
        KeyListError: it is none, or is not written as :func:`encode` writes it.
    """
    from tuf.api.dsse import SimpleEnvelope
    from tuf.api.serialization import DeserializationError

    if len(document) > _LARGEST:
        raise KeyListError("The key list is larger than any.")
    try:
        read_json(document, _LIMITS)
        envelope: SimpleEnvelope[Root] = SimpleEnvelope.from_bytes(document)
        whole = encode(envelope) == document
    except (UnreadableJson, DeserializationError, rfc8785.CanonicalizationError, TypeError, ValueError):
        whole = False
    if not whole:
        raise KeyListError("The key list is no DSSE envelope as it must be written.")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise KeyListError("The envelope carries something else than a key list.")
    return envelope


def read_root(envelope: SimpleEnvelope[Root]) -> Root:
    """The metadata in an envelope, whose signatures were not looked at.

    Raises:
        KeyListError: it is none.
    """
    from securesystemslib.exceptions import FormatError
    from tuf.api.dsse import Root  # type: ignore[attr-defined]

    try:
        signed = read_json(envelope.payload, _LIMITS)
        whole = signed["_type"] == ROOT and type(signed["version"]) is int
        root = Root.from_dict(signed)
        names = [name for role in root.roles.values() for name in role.keyids]
        whole = whole and all(isinstance(each, str) for each in names)
        whole = whole and canonical_json(root.to_dict()) == envelope.payload
    except (AttributeError, KeyError, TypeError, ValueError, FormatError):
        whole = False
    if not whole:
        raise KeyListError("The key list is no root metadata of The Update Framework in its canonical form.")
    if set(names) != set(root.roles[ROOT].keyids):
        raise KeyListError("The key list gives a key another role than to sign the list.")
    return root


def listed_keys(root: Root) -> dict[str, ListedKey]:
    """The keys of which the metadata says what they are for.

    Raises:
        KeyListError: a key cannot be read, is another one than it is called, or what is said about it cannot be so.
    """
    listed = {}
    for name, key in root.keys.items():
        pem = _pem(name, key)
        if (period := _period(key)) is not None:
            listed[name] = ListedKey(name, pem, period)
    return listed


def _pem(named: str, key: Key) -> bytes:
    """The public key in PEM; its name must be that of the key, so that none can count twice."""
    if (key.keytype, key.scheme) not in _ALGORITHMS.values():
        raise KeyListError(f"The key {named[:16]}… is of a kind that is not used here.")
    try:
        public = (
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))
            if key.keytype == "ed25519"
            else load_pem_public_key(key.keyval["public"].encode())
        )
    except (ValueError, KeyError, TypeError, AttributeError, UnsupportedAlgorithm):
        raise KeyListError(f"The key {named[:16]}… cannot be read.") from None
    if Algorithm.of(public) is None or key_id(cast("PublicKey", public)) != named:
        raise KeyListError(f"The key {named[:16]}… is another one than it is called.")
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _period(key: Key) -> KeyPeriod | None:
    if KEY_MEMBER not in key.unrecognized_fields:
        return None  # a root key, or one that was
    try:
        period = KeyPeriod.model_validate(key.unrecognized_fields[KEY_MEMBER])
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise KeyListError(f"What the key list says about {key.keyid[:16]}… cannot be so: {reason}.") from None
    if _ALGORITHMS[period.use] != (key.keytype, key.scheme):
        raise KeyListError(f"The key {key.keyid[:16]}… is for {period.use}, and of another kind than those are.")
    return period


def _signers(envelope: SimpleEnvelope[Root], keys: Mapping[str, Key]) -> set[str]:
    """Who signed; a signature that does not fit, or of which nobody knows whose it is, spoils the list."""
    from securesystemslib.exceptions import UnverifiedSignatureError

    for named, signature in envelope.signatures.items():
        key = keys.get(named)
        if key is None:
            raise KeyListError(f"The key list has a signature of {named[:16]}…, a key that is not known.")
        try:
            key.verify_signature(signature, envelope.pae())
        except UnverifiedSignatureError:
            raise KeyListError(
                f"The signature of {named[:16]}… does not fit the key list: it was changed, or is not theirs."
            ) from None
    return set(envelope.signatures)


def _threshold(root: Root, signers: set[str], error: type[TooFewSignaturesError], whose: str) -> None:
    role = root.roles[ROOT]
    count = len(signers & set(role.keyids))
    if count < role.threshold:
        raise error(f"The key list is signed by {count} of {whose}, and {role.threshold} must sign it.")


def _spoken(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
