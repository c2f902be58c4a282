"""What a DSSE signature is made over (https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md)."""

from __future__ import annotations


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What is really signed: payload and type, each behind its length in bytes ("PAE" in the protocol)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
