"""The next key list, before the root keys have signed it: what an operator changes (docs/operate/keys.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Self

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.exceptions import FormatError
from securesystemslib.signer import Signature, SSlibKey  # type: ignore[attr-defined]
from tuf.api.dsse import Role, Root, SimpleEnvelope  # type: ignore[attr-defined]

from rebuilder.errors import UsageError
from rebuilder.model.value import canonical_json
from rebuilder.signing.key_list import (
    KEY_MEMBER,
    PAYLOAD_TYPE,
    ROOT,
    KeyList,
    KeyListError,
    KeyPeriod,
    encode,
    read_envelope,
)
from rebuilder.signing.keys import key_id
from rebuilder.signing.protocol import SigningKey


class KeyDraft:
    """Root metadata that is being changed; :meth:`document` gives what the root keys are to sign."""

    def __init__(self, root: Root) -> None:
        self._root = root

    @classmethod
    def first(cls, roots: Sequence[bytes], threshold: int, expires: datetime) -> Self:
        """The first list of a rebuilder, without any key but the root keys (PEM).

        Raises:
            UsageError: see :meth:`set_roots`.
        """
        draft = cls(Root(version=1, expires=expires.astimezone(UTC), consistent_snapshot=False))
        draft.set_roots(roots, threshold)
        return draft

    @classmethod
    def after(cls, listed: KeyList, expires: datetime) -> Self:
        """The list that follows another one, with the same keys."""
        root = Root.from_dict(listed.root.to_dict())
        root.version += 1
        root.expires = expires.astimezone(UTC)
        return cls(root)

    def set_roots(self, roots: Sequence[bytes], threshold: int) -> None:
        """Have other root keys (PEM) sign from now on; those before stay listed, so that their signatures can be read.

        Raises:
            UsageError: a key is there twice, or more are to sign than there are.
        """
        keys = [_key(each) for each in roots]
        names = [each.keyid for each in keys]
        if len(set(names)) != len(names):
            raise UsageError("Two of the root keys are the same key.")
        if not 1 <= threshold <= len(names):
            raise UsageError(f"Of {len(names)} root keys, {threshold} cannot sign.", hint="Name a smaller --threshold.")
        self._root.roles[ROOT] = Role(names, threshold)
        self._root.keys.update({each.keyid: each for each in keys})

    def set_key(self, pem: bytes, period: KeyPeriod) -> str:
        """List a public key, or say something else about one that is listed; give its identifier."""
        key = _key(pem)
        key.unrecognized_fields[KEY_MEMBER] = period.document()
        self._root.keys[key.keyid] = key
        return str(key.keyid)

    def document(self) -> bytes:
        """The envelope without a signature."""
        return encode(SimpleEnvelope(canonical_json(self._root.to_dict()), PAYLOAD_TYPE, {}))


def sign_list(document: bytes, keys: Iterable[SigningKey]) -> bytes:
    """Add the signatures of root keys to a list.

    Raises:
        KeyListError: it is no list.
        SigningError: a key cannot be used.
    """
    envelope = read_envelope(document)
    for each in keys:
        envelope.signatures[each.key_id] = Signature(each.key_id, each.sign(envelope.pae()).hex())
    return encode(envelope)


def _key(pem: bytes) -> SSlibKey:
    try:
        public = load_pem_public_key(pem)
        return SSlibKey.from_crypto(public, key_id(public))  # type: ignore[arg-type]
    except (ValueError, FormatError):
        raise KeyListError("A public key is not a PEM SubjectPublicKeyInfo.") from None
