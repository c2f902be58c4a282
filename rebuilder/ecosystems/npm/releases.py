"""The tarballs of all releases of an npm package, by version."""

from __future__ import annotations

from typing import Any

from rebuilder.ecosystems.npm.packument import Packument
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, release_purl, tarball_name
from rebuilder.errors import UnavailableError
from rebuilder.model.listing import ListedFile, Listing


def listing(packument: Packument) -> Listing:
    """What a package has published; a tarball that is not bound by a digest cannot be verified, and is left out."""
    versions = sorted(packument.versions, key=precedence, reverse=True)
    return Listing(
        ecosystem=ECOSYSTEM,
        name=packument.name,
        files=tuple(listed for each in versions if (listed := _listed(packument, each)) is not None),
        newest=packument.latest,
        mark=packument.document_sha256,
    )


def _listed(packument: Packument, version: str) -> ListedFile | None:
    try:
        release = packument.release(version)
    except UnavailableError:
        return None
    if release is None:
        return None
    return ListedFile(
        purl=release_purl(release.name, version),
        version=version,
        filename=tarball_name(release.name, version),
        uploaded=release.published,
        prerelease=_is_prerelease(version),
    )


def precedence(version: str) -> tuple[Any, ...]:
    """What versions are ordered by (Semantic Versioning 2.0.0, section 11), with the text itself to break ties."""
    core, _, before = version.partition("+")[0].partition("-")
    numbers = tuple(int(each) for each in core.split("."))
    identifiers = tuple((0, int(each), "") if each.isdigit() else (1, 0, each) for each in before.split("."))
    return numbers, not before, identifiers, version


def _is_prerelease(version: str) -> bool:
    return "-" in version.partition("+")[0]
