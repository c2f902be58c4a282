"""A small document from the network."""

from __future__ import annotations

from rebuilder.model.value import Sha256, Value


class Document(Value):
    """A small document from the network, kept as a blob."""

    url: str
    """After redirects."""
    sha256: Sha256
    content: bytes
    media_type: str
