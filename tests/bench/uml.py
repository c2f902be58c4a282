"""What a kernel of its own costs: ``python -m tests.bench.uml`` prints seconds of small programs in each sandbox."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.environments.store import EnvironmentStore
from tests.fakes.rooms import KINDS, real_room

PROGRAMS = {
    "true": "true",
    "one million rounds of a shell": "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done",
    "100 processes": "i=0; while [ $i -lt 100 ]; do i=$((i+1)); /usr/bin/true; done",
    "50 Python modules": "python3 -c 'import asyncio, email.mime.text, json, subprocess, unittest, xml.dom, zipfile'",
}


def main() -> None:
    """Run each program in each kind of sandbox, in turn; print median seconds, wall and CPU."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.uml", description=__doc__)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--environments", type=Path, default=Path(".build/toolchains"))
    options = arguments.parse_args()
    environments = EnvironmentStore(options.environments, SystemClock())
    for name, program in PROGRAMS.items():
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as scratch, real_room(kind, environments, Path(scratch)) as room:
                room.shell("true")
                runs = [room.shell(program) for _ in range(options.runs)]
            wall = statistics.median(run.wall_seconds for run in runs)
            processor = statistics.median(run.cpu_seconds for run in runs)
            print(f"{name:<32} {kind:<10} {wall:6.2f} s wall {processor:6.2f} s CPU")


if __name__ == "__main__":
    main()
