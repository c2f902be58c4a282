"""More packages over a configured build environment: what one set of build dependencies needs, made once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from rebuilder.environments.maintainer_scripts import AsRoot, configure
from rebuilder.environments.protocol import BuildEnvironment, LayerPackage
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Base, Made, Manifest, Release
from rebuilder.model.value import canonical_json, sha256_hex

_ARCHIVES = "var/cache/apt/archives"


def manifest(base: BuildEnvironment, packages: Sequence[LayerPackage]) -> Manifest:
    """What is asked for; its name is that of this base with this set of packages, to the byte.

    Raises:
        BuildEnvironmentError: the base cannot be one, or there are no packages, or one twice.
    """
    specification = base.specification
    if specification is None or specification.method != "configured" or base.layers:
        raise BuildEnvironmentError(f"Nothing can be installed over {base.name}: it is not a configured one.")
    wanted = sorted(f"{each.package.name}:{each.package.architecture}" for each in packages)
    if not wanted or len(set(wanted)) != len(wanted):
        raise BuildEnvironmentError(f"The packages to install over {base.name} are none, or one is there twice.")
    key = sha256_hex(canonical_json([base.sha256, sorted(each.package.sha256 for each in packages)]))
    return Manifest(
        name=f"{base.name[:40]}-{key[:16]}",
        suite=specification.suite,
        also=specification.also,
        packages=tuple(sorted(f"{each.package.name}={each.package.version}" for each in packages)),
        configured=True,
        provides=base.provides,
        links=specification.links,
        prune=specification.prune,
    )


def install(
    spec: Manifest,
    root: Path,
    *,
    base: BuildEnvironment,
    packages: Sequence[LayerPackage],
    releases: Sequence[Release],
    as_root: AsRoot,
) -> Made:
    """Make the tree at ``root``, which must not exist; its parent directory takes logs.

    Raises:
        BuildEnvironmentError: a file is not the one that was promised, or a package cannot be installed.
        SandboxUnavailableError: this machine cannot give the isolation.
    """
    assert base.specification is not None  # noqa: S101 - asked before
    shutil.copytree(base.root, root, symlinks=True)
    archives = root / _ARCHIVES
    archives.mkdir(parents=True)
    for number, each in enumerate(packages):
        with each.file.open("rb") as source, (archives / f"{number:05}.deb").open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        with (archives / f"{number:05}.deb").open("rb") as copied:
            if hashlib.file_digest(copied, "sha256").hexdigest() != each.package.sha256:
                words = f"{each.package.name} {each.package.version}"
                raise BuildEnvironmentError(f"The file of the package {words} has not the digest that was promised.")
    configure(spec, root, as_root)
    return Made(
        packages=tuple(sorted((each.package for each in packages), key=lambda each: (each.name, each.architecture))),
        releases=tuple(releases),
        base=Base(sha256=base.sha256, specification=base.specification),
        tool="dpkg",
    )
