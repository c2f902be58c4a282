"""Fetching what a registry serves of upstream's attestations (PEP 740); nothing is checked here."""

from __future__ import annotations

from rebuilder.ecosystems.pypi.workshop import Workshop
from rebuilder.model.artifact import PublishedFile
from rebuilder.model.value import Sha256

MEDIA_TYPE = "application/vnd.pypi.integrity.v1+json"
MAX_BYTES = 4 << 20
"""Genuine documents have some ten thousand bytes; the check refuses large ones long before this."""


def provenance_document(workshop: Workshop, file: PublishedFile) -> tuple[Sha256 | None, tuple[str, ...]]:
    """Fetch the provenance document of a file from where the index says it is.

    Returns:
        Its blob and nothing to tell; or None, with a sentence if the index named one.

    Raises:
        UnavailableError: no proper answer, or more than :data:`MAX_BYTES`. This must not become None: a release
            would look as if its attestation had vanished, when in truth nobody could look.
    """
    if file.provenance_url is None:
        return None, ()
    document = workshop.fetcher.document(file.provenance_url, accept=MEDIA_TYPE, max_bytes=MAX_BYTES)
    if document is None:
        return None, (f"The index names attestations for {file.filename}, but there are none at the address it gives.",)
    return document.sha256, ()
