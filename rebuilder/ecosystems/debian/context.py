"""What Debian packages are looked at and rebuilt with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rebuilder.ecosystems.debian.archive import DebianArchive
from rebuilder.environments.protocol import Environments
from rebuilder.sandbox.protocol import Programs, Runner
from rebuilder.store.protocol import Blobs, Memo


@dataclass(frozen=True)
class PlanningContext:
    """The parts that all of it is done with; one for the whole program."""

    open_archive: Callable[[], DebianArchive]
    """Reads apt's settings; called when the first package is asked for."""
    blobs: Blobs
    programs: Programs
    here: Runner
    """Runs what is planned with on this machine, whoever builds: another one could choose other packages."""
    environments: Environments
    memo: Memo
    """Where what was worked out is kept between runs."""
    max_file_bytes: int
    """Largest package, or file of a source package, that is downloaded."""
    releases: tuple[str, ...] = ()
    """Releases of Debian that there are build environments of; versions that apt's own lack are looked for there."""
    sandbox: str = "bubblewrap"
    maintainers: Path = Path("/usr/share/keyrings")
    """Directory of the keys of those who upload source packages."""

    @cached_property
    def archive(self) -> DebianArchive:
        """The archive that apt's settings name.

        Raises:
            UsageError: they cannot be understood.
        """
        return self.open_archive()

    @property
    def opened(self) -> DebianArchive | None:
        """The same, where it was asked for before."""
        return vars(self).get("archive")
