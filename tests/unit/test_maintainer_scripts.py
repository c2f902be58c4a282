"""Whose trouble it is when packages cannot be installed: what their scripts say of the machine counts nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.environments import maintainer_scripts
from rebuilder.environments.maintainer_scripts import configure_over
from rebuilder.errors import BuildEnvironmentError, PackageInstallationError
from rebuilder.model.environment import Manifest
from rebuilder.shortage import Shortage

SPEC = Manifest(name="tiny", suite="trixie", configured=True, packages=("a",))
SAYS = "echo 'error: fork: Resource temporarily unavailable, No space left on device'; exit 3"


def stopped(place: Path) -> BuildEnvironmentError:
    """Why nothing was installed, by scripts that say so."""
    (place / "root").mkdir(exist_ok=True)

    def as_root(*_: object, **__: object) -> list[str]:
        return ["/bin/sh", "-c", SAYS]

    with pytest.raises(BuildEnvironmentError, match="cannot be configured") as caught:
        configure_over(SPEC, place / "root", place, place, as_root)
    return caught.value


class _Refusing(Shortage):
    @property
    def refused(self) -> bool:
        """As the kernel counts it."""
        return True


def _full(free: int, files: int) -> Callable[[Path], os.statvfs_result]:
    def statvfs(_: Path) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1 << 30, free // 4096, free // 4096, 1 << 20, files, files, 0, 255))

    return statvfs


def test_scripts_that_complain(tmp_path: Path) -> None:
    """They failed by themselves."""
    assert isinstance(stopped(tmp_path), PackageInstallationError)


def test_machine_without_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says so: that is no fault of the packages."""
    monkeypatch.setattr(maintainer_scripts, "Shortage", _Refusing)
    found = stopped(tmp_path)
    assert (False, True) == (isinstance(found, PackageInstallationError), "too few processes" in str(found))


@pytest.mark.parametrize(
    ("free", "files", "theirs"), [(1 << 20, 5000, False), (1 << 30, 9, False), (1 << 30, 5000, True)]
)
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, files: int, theirs: bool) -> None:
    """Ours, as the file system says: of bytes, or of files."""
    monkeypatch.setattr(os, "statvfs", _full(free, files))
    assert theirs is isinstance(stopped(tmp_path), PackageInstallationError)
