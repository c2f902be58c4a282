"""What the key of a runner, Ed25519 (RFC 8032), signs of a run.

It is another key, of another kind, than the one that signs what is published: what a runner signs can never be taken
for a statement of the rebuilder.
"""

from __future__ import annotations

from functools import partial

from pydantic import ValidationError

from rebuilder.foreign_json import JsonLimits, read_json
from rebuilder.model.fleet import Answer
from rebuilder.model.value import canonical_json
from rebuilder.signing.envelope import seal, unseal
from rebuilder.signing.keys import Algorithm, key_id, load_public, signature_fits
from rebuilder.signing.protocol import SigningKey

PAYLOAD_TYPE = "application/vnd.rebuilder.run+json"
_LIMITS = JsonLimits(values=20_000)


def runner_id(pem: bytes) -> str:
    """The id of a runner by its public key.

    Raises:
        SigningError: it is not an Ed25519 key in PEM.
    """
    return key_id(load_public(pem, Algorithm.ED25519))


def sign_answer(answer: Answer, key: SigningKey) -> str:
    """The envelope of an answer, one line of JSON."""
    return seal(PAYLOAD_TYPE, canonical_json(answer.document()), key)


def signed_answer(envelope: bytes, public_pem: bytes) -> Answer:
    """The answer in an envelope that a runner's key signed.

    Raises:
        SigningError: the public key is not one.
        ValueError: the envelope is malformed, or another key signed it.
        UnreadableAnswerError: the key signed it, and it is no answer.
    """
    fits = partial(signature_fits, load_public(public_pem, Algorithm.ED25519))
    payload = unseal(envelope, PAYLOAD_TYPE, fits, what="a run")
    try:
        return Answer.model_validate(read_json(payload, _LIMITS))
    except (ValidationError, ValueError):
        raise UnreadableAnswerError("What it signed is no answer of a runner.") from None


class UnreadableAnswerError(Exception):
    """A runner signed something that has not the form of an answer."""
