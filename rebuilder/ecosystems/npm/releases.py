"""The tarballs of all releases of an npm package, by version."""

from __future__ import annotations

from rebuilder.ecosystems.npm.packument import Packument
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, precedence, release_purl, tarball_name
from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import ListedFile, Listing


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


def _is_prerelease(version: str) -> bool:
    return "-" in version.partition("+")[0]
