"""Let a build wait before it touches certain files, until the clock shows the time that they are to carry.

How long a build takes until it writes a file depends on the machine. A build that waits writes each file at its time
on any machine. Nothing but the moment changes: what is written is the build's own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Callable, Dict, Tuple

_NAP = 0.5
_WRITES = os.O_WRONLY | os.O_RDWR


def install(path: str) -> None:
    """Heed a plan from now on: ``{"write": {NAME: SECONDS}, "read": {NAME: SECONDS}}``.

    Names are those of files in any directory when they are written, and in ``.dist-info`` directories when they are
    read; seconds are since 1970.
    """
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    sys.addaudithook(_hook(plan.get("write", {}), plan.get("read", {}), time.time, time.sleep))


def _hook(
    write: Dict[str, float], read: Dict[str, float], now: Callable[[], float], sleep: Callable[[float], None]
) -> Callable[[str, Tuple[object, ...]], None]:
    # What it needs is bound here: the modules of a program are taken away before the backend is called.
    split, writes, nap = os.path.split, _WRITES, _NAP

    def hook(event: str, arguments: Tuple[object, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str) or not isinstance(arguments[2], int):
            return
        directory, name = split(arguments[0])
        if arguments[2] & writes:
            moment = write.get(name)
        else:
            moment = read.get(name) if directory.endswith(".dist-info") else None
        while moment is not None and (left := moment - now()) > 0:
            sleep(min(left, nap))

    return hook
