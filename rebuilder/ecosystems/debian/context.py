"""What Debian packages are rebuilt with."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.ecosystems.debian.archive import DebianArchive
from rebuilder.environments.protocol import Environments
from rebuilder.sandbox.protocol import Programs, Runner
from rebuilder.store.protocol import Blobs, Memo


@dataclass(frozen=True)
class PlanningContext:
    """The parts a rebuild of a package is prepared with."""

    archive: DebianArchive
    blobs: Blobs
    programs: Programs
    here: Runner
    """Runs on this machine, whoever builds: another one could choose other packages."""
    environments: Environments
    memo: Memo
    """Where what was worked out is kept between runs."""
    max_file_bytes: int
    """Largest package, or file of a source package, that is downloaded."""
