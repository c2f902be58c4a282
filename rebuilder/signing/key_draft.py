"""The next key list, before the root keys have signed it: what an operator changes (docs/operate/keys.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.exceptions import FormatError
from securesystemslib.signer import Signature, SSlibKey  # type: ignore[attr-defined]
from tuf.api.dsse import Role, Root, SimpleEnvelope  # type: ignore[attr-defined]

from rebuilder.errors import UsageError
from rebuilder.model.text import visible
from rebuilder.model.value import canonical_json
from rebuilder.signing.key_list import (
    KEY_MEMBER,
    PAYLOAD_TYPE,
    ROOT,
    KeyList,
    KeyListError,
    KeyPeriod,
    Use,
    encode,
    listed_keys,
    read_envelope,
    read_root,
)
from rebuilder.signing.keys import key_id
from rebuilder.signing.protocol import SigningKey


class KeyDraft:
    """Root metadata that is being changed; :meth:`document` gives what the root keys are to sign."""

    def __init__(self, root: Root) -> None:
        self.root = root
        """What was changed so far."""

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

    @classmethod
    def again(cls, document: bytes) -> Self:
        """A draft that was kept, to change more in it.

        Raises:
            KeyListError: it is none.
        """
        return cls(read_root(read_envelope(document)))

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
        self.root.roles[ROOT] = Role(names, threshold)
        self.root.keys.update({each.keyid: each for each in keys})

    def set_key(self, pem: bytes, period: KeyPeriod) -> str:
        """List a public key, or say something else about one that is listed; give its identifier."""
        key = _key(pem)
        key.unrecognized_fields[KEY_MEMBER] = period.document()
        self.root.keys[key.keyid] = key
        return str(key.keyid)

    def keys(self) -> dict[str, tuple[bytes, KeyPeriod]]:
        """What it says of every key that is not a root key: PEM and period, by identifier.

        Raises:
            KeyListError: something in it cannot be so.
        """
        return {each.key_id: (each.pem, each.period) for each in listed_keys(self.root).values()}

    def succeed(self, use: Use, pem: bytes, now: datetime, overlap: timedelta) -> str:
        """List the next key (PEM) for a use; the one before it is good for a while longer. Gives its identifier."""
        for before, period in self.keys().values():
            if period.use is use and period.valid_until is None and period.revoked_from is None and before != pem:
                self.set_key(before, period.replace(valid_until=now + overlap))
        return self.set_key(pem, KeyPeriod(use=use, valid_from=now))

    def revoke(self, named: str, since: datetime, reason: str) -> str:
        """Say that somebody else may have had a key from a moment on; give its identifier.

        Args:
            named: How its identifier begins.
            since: The moment.
            reason: For whoever reads the list.

        Raises:
            UsageError: no key or more than one is named so, or it was revoked from an earlier moment on.
        """
        found = {name: each for name, each in self.keys().items() if name.startswith(named)}
        if len(found) != 1:
            many = f"{len(found)} keys begin" if found else "No key in the list begins"
            raise UsageError(
                f"{many} with {visible(named[:64])!r}.",
                hint="`rebuilder keys list` shows them. A root key is replaced: rebuilder keys rotate roots",
            )
        ((pem, period),) = found.values()
        if period.revoked_from is not None and period.revoked_from < since:
            raise UsageError(
                f"The key was revoked from {period.revoked_from:%Y-%m-%d %H:%M} UTC on, and stays so.",
                hint="Only an earlier moment can be said.",
            )
        return self.set_key(pem, period.replace(revoked_from=since, reason=reason))

    def refuse_others(self, keys: Iterable[SigningKey]) -> None:
        """Make sure that only root keys sign, those of this list or of one before.

        Raises:
            UsageError: one is none.
        """
        for each in keys:
            if each.key_id not in self.root.keys or each.key_id in self.keys():
                raise UsageError(f"The key {each.key_id[:16]}… is no root key of this list.")

    def document(self) -> bytes:
        """The envelope without a signature."""
        return encode(SimpleEnvelope(canonical_json(self.root.to_dict()), PAYLOAD_TYPE, {}))


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
