"""CPUs are taken machine-wide: two processes that know nothing of each other do not meet on one."""

from __future__ import annotations

import subprocess
import sys

from rebuilder.sandbox.cpus import claimed

_OTHER = """\
import sys
from rebuilder.sandbox.cpus import claimed
claim = claimed(int(sys.argv[1]))
print(claim is not None, flush=True)
sys.stdin.read()
"""
_NO_SUCH = 1 << 20
"""A CPU that no machine has: builds that run meanwhile do not want it."""


def test_a_cpu_is_had_by_one_process_until_it_ends() -> None:
    """Another process is refused while the first lives, killed or not, and gets it afterwards."""
    command = [sys.executable, "-c", _OTHER, str(_NO_SUCH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert "True\n" == other.stdout.readline()
        assert claimed(_NO_SUCH) is None
        other.kill()
    claim = claimed(_NO_SUCH)
    assert claim is not None
    claim.close()
