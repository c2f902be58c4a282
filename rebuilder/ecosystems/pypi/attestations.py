"""Fetching what a registry serves of upstream's attestations (PEP 740); nothing is checked here."""

from __future__ import annotations

from typing import NamedTuple

from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.errors import ForbiddenAddressError
from rebuilder.model.artifact import PublishedFile
from rebuilder.model.value import Sha256

MEDIA_TYPE = "application/vnd.pypi.integrity.v1+json"
MAX_BYTES = 4 << 20
"""Genuine documents have some ten thousand bytes; the check refuses large ones long before this."""


class Served(NamedTuple):
    """What the index serves as the provenance of a file."""

    document: Sha256 | None = None
    """Its blob."""
    notes: tuple[str, ...] = ()
    """A sentence, if the index names a document that it does not have."""
    refused: str | None = None
    """Why nobody asked for it; a sentence."""


def provenance_document(context: PlanningContext, file: PublishedFile) -> Served:
    """Fetch the provenance document of a file from where the index says it is.

    Raises:
        UnavailableError: no proper answer, or more than :data:`MAX_BYTES`. This must not become None: a release
            would look as if its attestation had vanished, when in truth nobody could look.
    """
    if file.provenance_url is None:
        return Served()
    try:
        document = context.fetcher.document(file.provenance_url, accept=MEDIA_TYPE, max_bytes=MAX_BYTES)
    except ForbiddenAddressError as error:
        return Served(refused=f"The index names attestations for {file.filename}, but {error}")
    if document is None:
        note = f"The index names attestations for {file.filename}, but there are none at the address it gives."
        return Served(notes=(note,))
    return Served(document.sha256)
