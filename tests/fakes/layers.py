"""An environment with packages over it, made by whoever runs this: ``python -m tests.fakes.layers REQUEST``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.environments.protocol import BuildEnvironment, LayerPackage
from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.environment import Manifest, Package
from rebuilder.model.value import sha256_hex
from rebuilder.sandbox.bubblewrap.as_root import as_root
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.sandbox import Room

BASE = Manifest(name="own", suite="trixie", packages=("?essential",), configured=True, package_times=True)


def store(etc_apt: Path, keyring: Path, root: Path) -> EnvironmentStore:
    """A store that makes its environments from an archive."""
    maker = Mmdebstrap(etc_apt=etc_apt, keyring=keyring, as_root=as_root)
    return EnvironmentStore(root, FixedClock(), maker=maker, as_root=as_root, specs={BASE.name: BASE}.__getitem__)


def package(file: Path) -> LayerPackage:
    """A package as what is to be installed over an environment."""
    name, version, architecture = file.stem.split("_")
    sha256 = sha256_hex(file.read_bytes())
    return LayerPackage(Package(name=name, version=version, architecture=architecture, sha256=sha256), file)


def log(environment: BuildEnvironment, script: str, root: Path) -> str:
    """What a shell script prints in a build in that environment; its exit code is the last word."""
    blobs = DiskBlobs(root / "blobs")
    sandbox = BubblewrapSandbox(blobs, FixedClock(), scratch=root / "scratch")
    try:
        room = Room(sandbox, blobs, environment.root, environment.layers)
        run = room.shell(f"exec >/out/log 2>&1\n{script}")
    finally:
        sandbox.close()
    return f"{blobs.read(run.outputs[0].sha256).decode()}exit {run.exit_code}"


def made(etc_apt: str, keyring: str, root: str, packages: list[str], script: str) -> dict[str, Any]:
    """Make a base, and packages over it; say both digests, and what a build in it prints."""
    environments = store(Path(etc_apt), Path(keyring), Path(root) / "store")
    base = environments.get(BASE)
    layered = environments.layered(base, [package(Path(each)) for each in packages], ())
    environments.by_digest(base.sha256)
    return {"base": base.sha256, "layered": layered.sha256, "log": log(layered, script, Path(root))}


if __name__ == "__main__":
    print(json.dumps(made(**json.loads(sys.argv[1]))))  # noqa: T201
