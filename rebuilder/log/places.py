"""Where the log and the statements lie below the root of a site."""

from __future__ import annotations

from rebuilder.model.value import Sha256, Sha512, algorithm

LOG = "log"
CHECKPOINT = f"{LOG}/checkpoint"
KEY = f"{LOG}/key"
"""The key of the log as one word, for who has none yet."""


def digest_path(digest: Sha256 | Sha512) -> str:
    """Directory of what is known by the digest of a file: by SHA-256 all statements; by SHA-512 where they are."""
    return f"{algorithm(digest)}/{digest[:2]}/{digest}"
