"""Whether an index answers, and with what: one look at its root, for ``rebuilder doctor``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rebuilder.ecosystems.pypi.simple_index import MEDIA_TYPE
from rebuilder.errors import UnavailableError
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.store.blobs import DiskBlobs

_SECONDS = 15.0
"""For the answer, a second try included."""
_LONGEST_TYPE = 100
_LISTS_IN_HTML = {"text/html", "application/vnd.pypi.simple.v1+html"}
"""Mirrors may answer with JSON for each project and with HTML for their list (PEP 691 lets an index choose)."""


def ask_index(url: str, ca_bundle: Path | None) -> str:
    """Ask an index for its root, the one address that every index has, whatever projects are in it.

    Nothing is kept, and the list that is there is not read.

    Args:
        url: Of the index.
        ca_bundle: Certificates to trust instead of the machine's own.

    Returns:
        What it answered, in a sentence.

    Raises:
        UnavailableError: it does not answer, or with something else.
    """
    with (
        tempfile.TemporaryDirectory() as place,
        HttpFetcher(
            DiskBlobs(Path(place) / "blobs"),
            HttpCache(Path(place) / "cache"),
            ca_bundle=ca_bundle,
            read_seconds=_SECONDS,
            total_seconds=_SECONDS,
            attempts=2,
            reach=Reach((), os.environ),
        ) as fetcher,
    ):
        fetcher.admit(url)
        found = fetcher.media_type(f"{url.rstrip('/')}/", accept=MEDIA_TYPE)
    if found is None:
        return "It answers, and gives no list of its projects, as some indexes do; whether it has any was not tried."
    if found in _LISTS_IN_HTML:
        return (
            "It answers; its list of projects is HTML, so schedules cannot watch projects by pattern. Whether it has "
            "JSON (PEP 691) for each project is seen when one is asked for."
        )
    if found != MEDIA_TYPE:
        kind = found if found.isprintable() and len(found) < _LONGEST_TYPE else "something else"
        raise UnavailableError(
            f"It answers with {kind or 'no type'}, not with the JSON of an index (PEP 691).",
            hint="Name an index that speaks JSON, or correct the address: it mostly ends in /simple",
        )
    return "It answers."
