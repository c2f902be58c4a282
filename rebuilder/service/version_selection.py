"""Which files of a project a watch wants to have verified."""

from __future__ import annotations

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.artifact import ListedFile, Listing
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.service.schedules.watch import VersionRule, Watch


def chosen(watch: Watch, listing: Listing) -> list[ListedFile]:
    """The files of the versions that the rule of a watch means.

    Versions that were taken back are not among the newest few. Without upload times nothing is "since" a day.
    """
    files = [each for each in listing.files if watch.prereleases or not each.prerelease]
    match watch.versions.rule:
        case VersionRule.ALL:
            return files
        case VersionRule.SINCE:
            since = watch.versions.since
            return [each for each in files if each.uploaded and since and each.uploaded.date() >= since]
        case VersionRule.NEWEST:
            kept = [each for each in files if not each.yanked]
            newest = list(dict.fromkeys(each.version for each in kept))[: watch.versions.newest]
            return [each for each in kept if each.version in newest]
        case VersionRule.LISTED if listing.name in watch.pins:
            return [each for pin in watch.pins[listing.name] for each in of_version(listing, pin)]
        case _:
            return _latest(watch, listing)


def _latest(watch: Watch, listing: Listing) -> list[ListedFile]:
    version = listing.newest
    if watch.prereleases:  # an installer that is told to take them
        version = next((each.version for each in listing.files if not each.yanked), version)
    return [each for each in listing.files if each.version == version]


def of_version(listing: Listing, version: str) -> list[ListedFile]:
    """The files of one version, however it is written."""
    spelling = conventions(listing.ecosystem).canonical_version
    wanted = spelling(version)
    return [each for each in listing.files if spelling(each.version) == wanted]


def rule_mark(watch: Watch, name: str) -> str:
    """Changes when another choice among the same files may come out: an edited watch looks at everything again."""
    wanted = [watch.versions.model_dump(mode="json"), watch.prereleases, list(watch.pins.get(name, ()))]
    return sha256_hex(canonical_json(wanted))[:16]
