"""Names of objects that coordinators and runners share.

Beside the blobs of :mod:`rebuilder.store.remote_blobs` these are::

orders/NONCE                  written by the coordinator, removed when the order is closed
answers/NONCE/RUNNER.begun    written by a runner again and again while it is at it
answers/NONCE/RUNNER.json     what it signed
environments/SHA256           the export of a build environment, by the digest of its tree
"""

from __future__ import annotations

ANSWER, BEGUN = ".json", ".begun"


def order(nonce: str) -> str:
    """There as long as an answer may still count."""
    return f"orders/{nonce}"


def answers(nonce: str) -> str:
    """Prefix of what runners say about an order."""
    return f"answers/{nonce}"


def environment(tree_sha256: str) -> str:
    """The export of a build environment."""
    return f"environments/{tree_sha256}"
