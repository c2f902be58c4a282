"""Which files of a project are verified when nobody names one, release by release."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from packaging.version import Version

from rebuilder.ecosystems.pypi.simple_index import IndexProject, ReleaseFile
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM, release_purl
from rebuilder.model.artifact import ListedFile, Listing


def to_verify(release: Sequence[ReleaseFile]) -> list[ReleaseFile]:
    """All pure wheels of a release; without one a single file that stands for it, so that it is not passed over."""
    wheels = [each for each in release if each.is_wheel]
    pure = [each for each in wheels if each.filename.endswith("-none-any.whl")]
    return pure or sorted(wheels, key=lambda each: each.filename)[:1] or list(release[:1])


def listing(project: IndexProject, mark: str) -> Listing:
    """What a project has published; a file whose digest the index does not give cannot be verified, and is left out."""
    releases: defaultdict[Version, list[ReleaseFile]] = defaultdict(list)
    for each in project.files:
        releases[each.version].append(each)
    newest = project.newest
    return Listing(
        ecosystem=ECOSYSTEM,
        name=project.name,
        files=tuple(
            listed
            for version in sorted(releases, reverse=True)
            for each in to_verify(releases[version])
            if (listed := _listed(project.name, each)) is not None
        ),
        newest=None if newest is None else str(newest),
        mark=mark,
    )


def _listed(name: str, file: ReleaseFile) -> ListedFile | None:
    if file.published is None:
        return None
    version = str(file.version)
    return ListedFile(
        purl=release_purl(name, version),
        version=version,
        filename=file.filename,
        sha256=file.published.sha256,
        uploaded=file.published.uploaded,
        prerelease=file.version.is_prerelease,
        yanked=file.published.yanked is not None,
    )
