"""CPUs are taken machine-wide: two processes that know nothing of each other do not meet on one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rebuilder.sandbox.bubblewrap.run_sandbox import claimed

_OTHER = """\
import sys
from pathlib import Path
from rebuilder.sandbox.bubblewrap.run_sandbox import claimed
claim = claimed(0, Path(sys.argv[1]))
print(claim is not None, flush=True)
sys.stdin.read()
"""


def test_a_cpu_is_had_by_one_process_until_it_ends(tmp_path: Path) -> None:
    """Another process is refused while the first lives, and gets it afterwards, though the first was killed."""
    (tmp_path / "cpu0").mkdir()
    (tmp_path / "cpu0" / "uevent").touch()
    command = [sys.executable, "-c", _OTHER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert "True\n" == other.stdout.readline()
        assert claimed(0, tmp_path) is None
        other.kill()
    claim = claimed(0, tmp_path)
    assert claim is not None
    claim.close()


def test_this_machine_shows_its_cpus() -> None:
    """Each CPU that this process may use is there to be locked, or somebody has locked it just now."""
    shown = {cpu: os.access(f"/sys/devices/system/cpu/cpu{cpu}/uevent", os.R_OK) for cpu in os.sched_getaffinity(0)}
    assert {True} == {*shown.values()}


def test_a_cpu_that_is_not_shown_is_not_had(tmp_path: Path) -> None:
    """Builds then share in turns, as they must when all are taken."""
    assert claimed(0, tmp_path) is None
