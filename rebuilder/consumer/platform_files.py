"""Which of a release's files an installer takes on a platform, as pip and uv choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.markers import Marker

    from rebuilder.consumer.lock_files.dependency import LockedFile

_SOURCE_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


@dataclass(frozen=True)
class Target:
    """The platform and the Python something is installed for: this one, or every one."""

    every: bool = False
    """All files count, whatever the platform."""
    environment: dict[str, str] = field(default_factory=dict)
    """Values of markers in the place of those of this process."""

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Tags of wheels that can be installed, to their place in the order of preference; the best is 0."""
        from packaging.tags import sys_tags

        found: dict[str, int] = {}
        for rank, tag in enumerate(sys_tags()):
            found.setdefault(str(tag), rank)
        return found

    @cached_property
    def npm(self) -> tuple[str, str]:
        """The platform and the processor by the words of Node.js."""
        import platform
        import sys

        machine = platform.machine().lower()
        cpu = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "i686": "ia32", "x86": "ia32"}.get(machine, machine)
        return sys.platform, cpu

    def fits(self, marker: Marker | None) -> bool:
        """Whether a marker holds here; one that asks for what nobody knows counts as if it does."""
        if marker is None or self.every:
            return True
        from packaging.markers import UndefinedComparison, UndefinedEnvironmentName

        try:
            return marker.evaluate({"extra": "", **self.environment})
        except (UndefinedComparison, UndefinedEnvironmentName):
            return True

    def installed(self, files: Sequence[LockedFile]) -> Installed:
        """What an installer takes of the files of one release.

        A wheel with the best tag, then with the highest build number; without any that fits, the source archive.
        """
        if self.every:
            return Installed(tuple(files))
        unnamed = tuple(each for each in files if each.filename is None)
        ranked = [(rank, each) for each in files if (rank := self._rank(each.filename)) is not None]
        best = min((rank for rank, _ in ranked), default=None)
        chosen = tuple(each for rank, each in ranked if rank == best)
        if unnamed and len(files) == 1:
            return Installed(unnamed)
        return Installed(chosen, unnamed)

    def _rank(self, filename: str | None) -> tuple[int, int, str] | None:
        """The smaller, the sooner it is taken; None where it is never."""
        if filename is None:
            return None
        if not filename.endswith(".whl"):
            return (1 << 30, 0, "") if filename.endswith(_SOURCE_ENDINGS) else None
        name, *rest = filename.removesuffix(".whl").split("-")
        if not name or len(rest) not in {4, 5}:
            return None
        tags = ["-".join(each) for each in product(*(part.split(".") for part in rest[-3:]))]
        found = [self.ranks[each] for each in tags if each in self.ranks]
        if not found:
            return None
        digits = "".join(each for each in rest[1] if each.isdecimal()) if len(rest) == 5 else ""
        return min(found), -int(digits[:18] or "-1"), ""


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed of one release."""

    files: tuple[LockedFile, ...]
    """Those that count; several only where all platforms are asked for."""
    unnamed: tuple[LockedFile, ...] = ()
    """Files whose names the lock file does not say, beside others: one of them may be installed instead."""
