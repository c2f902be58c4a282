"""What a project has published, as far as a look at its index page tells."""

from __future__ import annotations

from datetime import datetime

from rebuilder.model.value import Sha256Field, Value


class ListedFile(Value):
    """One published file that would be verified when its release is asked for."""

    purl: str
    """Of the release."""
    version: str
    filename: str
    sha256: Sha256Field | None = None
    """None where the registry lists another digest."""
    uploaded: datetime | None = None
    """UTC."""
    prerelease: bool = False
    yanked: bool = False


class Listing(Value):
    """The files of all releases of a project, by version, the newest version first."""

    ecosystem: str
    name: str
    """Normalised."""
    files: tuple[ListedFile, ...]
    newest: str | None = None
    """The version an installer would take; None when there is none."""
    mark: str
    """Tells whether the page has changed: give it back with the next question."""
