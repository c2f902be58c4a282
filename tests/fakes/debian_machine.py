"""A machine whose apt settings name an archive of a test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.ecosystems.debian.archive import AptSettings, DebianArchive
from rebuilder.ecosystems.debian.kept_lists import KeptLists
from rebuilder.ecosystems.debian.snapshot import Snapshot
from rebuilder.environments.sources import debian_sources
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.store.protocol import Blobs
from tests.fakes.debian_archive import Archive
from tests.fakes.memo import MemoryMemo

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def opened(
    archive: Archive,
    blobs: Blobs,
    place: Path,
    *,
    options: Mapping[str, str] | None = None,
    accept_expired: tuple[str, ...] | None = (),
    snapshot: str | None = None,
    now: Callable[[], datetime] = lambda: NOW,
) -> DebianArchive:
    """What a process of the machine makes of it; blobs and what is kept below ``place`` stay."""
    settings = AptSettings(
        archives=tuple(debian_sources(archive.etc_apt)), architecture=archive.architecture, options=options or {}
    )
    cache = HttpCache(Path(tempfile.mkdtemp(dir=place)))  # times of files are too coarse for one
    fetcher = HttpFetcher(blobs, cache, wait=lambda _: None, reach=Reach(each.uri for each in settings.archives))
    if snapshot is not None and snapshot.startswith("http"):
        fetcher.admit(snapshot)
    return DebianArchive(
        settings,
        fetcher,
        blobs,
        KeptLists(place / "kept"),
        memo=MemoryMemo(),
        snapshot=Snapshot(snapshot, fetcher, blobs) if snapshot is not None else None,
        accept_expired=accept_expired,
        now=now,
    )
