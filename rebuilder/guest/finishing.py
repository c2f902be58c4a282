"""Run a build, then replace the one wheel it leaves by what a rule makes of it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Callable, List

NO_WHEEL = 73


def finished(program: str, command: List[str], out: str, rule: Callable[[str], bytes]) -> int:
    """Run the build and apply the rule; the exit code of the build, or 73 when it left no wheel.

    Args:
        program: Who says so.
        command: The build.
        out: Directory it leaves the wheel in.
        rule: Gives the bytes for the wheel at a path.
    """
    code = subprocess.run(command, check=False).returncode
    if code:
        return code if code > 0 else 128 - code
    wheels = [name for name in os.listdir(out) if name.endswith(".whl")]
    if len(wheels) != 1:
        print(f"{program}: the build left {len(wheels)} wheels", file=sys.stderr)
        return NO_WHEEL
    path = os.path.join(out, wheels[0])
    content = rule(path)
    with open(path, "wb") as file:
        file.write(content)
    return 0
