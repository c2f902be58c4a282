"""Files that are changed behind the program's back."""

from __future__ import annotations

import os
from pathlib import Path


def change_unseen(file: Path, content: bytes) -> None:
    """Write other bytes and put mode and time back, so that only the change time tells.

    Most kernels let that one go on in steps of some milliseconds: it is done again until there was a step.
    """
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:
        file.chmod(0o644)
        file.write_bytes(content)
        file.chmod(before.st_mode & 0o7777)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
