"""What a process calls itself where others see what it holds."""

from __future__ import annotations

import os
import re
import secrets

_RUN = secrets.token_hex(4)


def this_process() -> str:
    """``machine/process/run``: no two processes have the same, and a person can find the one that is meant.

    Whether it is still there is told by :mod:`rebuilder.store.ledger.liveness`, not by its name.
    """
    host = re.sub(r"[^\w.-]", "_", os.uname().nodename)[:64] or "localhost"
    return f"{host}/{os.getpid()}/{_RUN}"
