"""Where the log and the statements lie below the root of a site."""

from __future__ import annotations

from rebuilder.model.value import Sha256

LOG = "log"
CHECKPOINT = f"{LOG}/checkpoint"
KEY = f"{LOG}/key"
"""The key of the log as one word, for who has none yet."""


def digest_path(sha256: Sha256) -> str:
    """Directory of all statements about a file, by its digest."""
    return f"sha256/{sha256[:2]}/{sha256}"
