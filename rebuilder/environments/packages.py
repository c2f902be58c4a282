"""Which packages of which archive a tree was made from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from rebuilder import deb822
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Package, Release
from rebuilder.model.value import Sha256

_FIELD = re.compile(r"^(Package|Version|Architecture|SHA256): *(\S+)$", re.MULTILINE)
_RELEASE_FIELD = re.compile(r"^(Date|Valid-Until): *(.+?)$", re.MULTILINE)


def packages(root: Path) -> tuple[Package, ...]:
    """The packages apt downloaded for a tree, sorted by name.

    Each file is looked up in the package lists and its digest compared, so that a package nobody signed for cannot be
    among them.

    Args:
        root: The tree, with apt's lists and downloaded archives still in it.

    Raises:
        BuildEnvironmentError: there is none, one is in no list, or its bytes are not those of the list.
    """
    known = {
        (each.name, each.version, each.architecture): each
        for file in (root / "var/lib/apt/lists").glob("*_Packages")
        for each in _listed(file)
    }
    found = []
    for deb in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        name, _, rest = unquote(deb.stem).partition("_")
        version, _, architecture = rest.rpartition("_")
        package = known.get((name, version, architecture))
        with deb.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if package is None or package.sha256 != sha256:
            raise BuildEnvironmentError(
                f"The package {name} {version} is not the one that the archive's signed list names."
            )
        found.append(package)
    if not found:
        raise BuildEnvironmentError(
            "Apt downloaded no packages, so it is not known what the build environment is made from."
        )
    return tuple(found)


def _listed(file: Path) -> Iterator[Package]:
    for stanza in deb822.stanzas(file.read_bytes()):
        fields = dict(_FIELD.findall(stanza.decode("utf-8", "replace")))
        if len(fields) == 4:
            yield Package(
                name=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                sha256=Sha256(fields["SHA256"]),
            )


def releases(root: Path) -> tuple[Release, ...]:
    """The signed releases those packages come from."""
    found = []
    for file in sorted((root / "var/lib/apt/lists").glob("*_InRelease")):
        data = file.read_bytes()
        fields = dict(_RELEASE_FIELD.findall(data.decode("utf-8", "replace")))
        suite = file.name.removesuffix("_InRelease").rsplit("_dists_", 1)[-1]
        sha256 = Sha256(hashlib.sha256(data).hexdigest())
        date, valid_until = fields.get("Date", "unknown"), fields.get("Valid-Until")
        found.append(Release(suite=suite, date=date, valid_until=valid_until, sha256=sha256))
    return tuple(found)
