"""Dead Simple Signing Envelopes (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md).

The bytes that are signed are kept as they were: checking an envelope never serialises anything again.
``securesystemslib`` has envelopes too, but takes as long to load as all else here together, and checks a signature only
when key identifiers match; the encoding itself is one line. A test holds ours against it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import rfc8785

from rebuilder.errors import SigningError
from rebuilder.model.value import canonical_json, pre_authentication_encoding
from rebuilder.signing.protocol import SigningKey
from rebuilder.signing.vocabulary import PAYLOAD_TYPE, STATEMENT_TYPE

_LARGEST = 64 << 20


def sign_statement(statement: dict[str, Any], signer: SigningKey) -> str:
    """Sign a statement; give the envelope as one line of JSON.

    Raises:
        SigningError: the key cannot be used, or the statement holds something JSON cannot carry.
    """
    try:
        payload = canonical_json(statement)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise SigningError(
            f"A statement cannot be signed because it has no canonical form ({error}).",
            hint="This is a fault of this program worth reporting.",
        ) from error
    return seal(PAYLOAD_TYPE, payload, signer)


def seal(payload_type: str, payload: bytes, signer: SigningKey) -> str:
    """Sign bytes of a type; give the envelope as one line of JSON.

    Raises:
        SigningError: the key cannot be used.
    """
    signature = signer.sign(pre_authentication_encoding(payload_type, payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [{"keyid": signer.key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return canonical_json(envelope).decode() + "\n"


def verify(envelope: str, public_pem: bytes) -> dict[str, Any]:
    """Check an envelope with one public key; give the statement that was signed.

    The key identifier inside the envelope is a hint that anybody can write; only the key counts.

    Args:
        envelope: JSON text, as published.
        public_pem: Key to trust: PEM SubjectPublicKeyInfo, ECDSA P-256.

    Raises:
        SigningError: the public key is not one.
        ValueError: the envelope is malformed, is not of an in-toto statement, or this key did not sign it.
    """
    from rebuilder.signing.keys import load_public, signature_fits

    key = load_public(public_pem)
    return _statement(unseal(envelope, PAYLOAD_TYPE, partial(signature_fits, key), what="an in-toto statement"))


def statement_of(envelope: str) -> dict[str, Any]:
    """The statement in an envelope that :func:`verify` accepted before, byte for byte. Nothing is checked again.

    Raises:
        ValueError: it is not one.
    """
    return _statement(_parts(envelope)[1])


def _statement(payload: bytes) -> dict[str, Any]:
    statement = _object(payload, "The signed payload")
    if statement.get("_type") != STATEMENT_TYPE:
        raise ValueError("The signed payload is not an in-toto Statement v1.")
    return statement


def unseal(envelope: str | bytes, payload_type: str, fits: Callable[[bytes, bytes], bool], *, what: str) -> bytes:
    """The bytes that were signed.

    Args:
        envelope: JSON text.
        payload_type: What it must carry.
        fits: Whether a signature is the trusted key's, over these bytes.
        what: What that type is, for messages.

    Raises:
        ValueError: the envelope is malformed, carries something else, or the key did not sign it.
    """
    found, payload, signatures = _parts(envelope)
    if found != payload_type:
        raise ValueError(f"The envelope carries {found[:80]!r}, which is not {what}.")
    signed = pre_authentication_encoding(payload_type, payload)
    if not any(fits(each, signed) for each in signatures):
        raise ValueError("The signature does not fit: the envelope was changed, or another key signed it.")
    return payload


def _parts(envelope: str | bytes) -> tuple[str, bytes, list[bytes]]:
    document = _object(envelope, "The envelope")
    payload_type, payload, signatures = (document.get(key) for key in ("payloadType", "payload", "signatures"))
    if not isinstance(payload_type, str) or not isinstance(signatures, list) or not signatures:
        raise ValueError("The envelope lacks its payload type or its signatures.")
    found = [each.get("sig") if isinstance(each, dict) else None for each in signatures[:100]]
    return payload_type, _decoded(payload, "payload"), [_decoded(each, "signature") for each in found]


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    if len(text) > _LARGEST:
        raise ValueError(f"{what} is larger than any that is written here.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{what} is not JSON.") from None
    if not isinstance(document, dict):
        raise ValueError(f"{what} is not a JSON object.")  # noqa: TRY004 - wrong content, not wrong use
    return document


def _decoded(text: object, what: str) -> bytes:
    """Standard or URL-safe base64: the protocol allows both."""
    try:
        if isinstance(text, str):
            return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise ValueError(f"The {what} of the envelope is not base64.")
