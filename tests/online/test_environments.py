"""Making the real build environments from the archive this machine uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.environments.store import EnvironmentStore
from tests.fakes.clock import FixedClock


@pytest.mark.parametrize("name", ["bookworm", "trixie", "diffoscope"])
def test_making_twice_gives_the_same(tmp_path: Path, name: str) -> None:
    """Two stores at two places make the same tree from the same state of the archive."""
    one = EnvironmentStore(tmp_path / "one", FixedClock())
    other = EnvironmentStore(tmp_path / "a" / "longer" / "place", FixedClock())
    assert one.get(name).sha256 == other.get(name).sha256
    record = one.record(one.get(name).sha256)
    assert {record.spec.suite, f"{record.spec.suite}-security"} <= {each.suite for each in record.made.releases}
    assert set(record.spec.packages) <= {each.name for each in record.made.packages}
