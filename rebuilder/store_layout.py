"""Where the store, the keys and the site may lie: apart, and never among somebody's other files."""

from __future__ import annotations

import platform
import secrets
from pathlib import Path

from rebuilder.atomic_file import write_whole
from rebuilder.errors import StoreError, UsageError

MARKER = ".rebuilder-site"
"""File that says that a directory is a site of ours, to be written again at will."""
PREPARED = "cache/prepared"
"""What :mod:`rebuilder.sandbox.prepared` keeps, below the store."""
_APART = "Name a directory of its own for each."


def check_places(*, store: Path, keys: Path, site: Path) -> None:
    """Make sure that nothing that is published, copied or served takes the private key or the store along.

    Raises:
        UsageError: two of them overlap in a way that would expose one; or the site is no directory.
    """
    store, keys, site = store.resolve(), keys.resolve(), site.resolve()
    if keys.is_relative_to(site) or site.is_relative_to(keys):
        raise UsageError(f"The site {site} and the private key in {keys} would share a directory.", hint=_APART)
    if store.is_relative_to(site):
        raise UsageError(f"The site {site} would hold the store {store}.", hint=_APART)
    if site.exists() and not site.is_dir():
        raise UsageError(f"The site {site} is not a directory.", hint="Name a directory for the site.")


def store_name(store: Path) -> str:
    """What tells this store from any other: the machine it was made on, and a number.

    Raises:
        StoreError: it cannot be read or written.
    """
    file = store / "name"
    try:
        store.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            made = f"{platform.node()[:40] or 'machine'}-{secrets.token_hex(4)}\n"
            write_whole(file, made.encode(errors="replace"))
        return file.read_text(errors="replace").strip()[:50]
    except OSError as error:
        raise StoreError(f"The store {store} cannot be used: {error.strerror}.") from None


def claim_site(site: Path) -> None:
    """Make the directory of the site ours before anything is written into it.

    Raises:
        UsageError: it holds files and is no site of ours.
        StoreError: it cannot be made.
    """
    marker = site / MARKER
    try:
        if marker.exists():
            return
        if site.is_dir() and any(site.iterdir()):
            raise UsageError(
                f"The directory {site} holds other files; a site is not written among them.",
                hint="Name an empty or a new directory.",
            )
        site.mkdir(parents=True, exist_ok=True)
        marker.write_text("A static site written by rebuilder; everything here can be written again.\n")
    except OSError as error:
        raise StoreError(
            f"The site {site} cannot be written: {error.strerror}.", hint="Name another directory for the site."
        ) from None
