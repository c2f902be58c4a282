"""What a sandbox's processes hold besides their resident memory, counted in a `/proc` made here."""

from __future__ import annotations

import os
from pathlib import Path

from rebuilder.sandbox.meter import MAPPING_BYTES, held_bytes


def held(proc: Path) -> int:
    """What is held by the processes of a directory like ``/proc``."""
    (proc / "terminals").mkdir(exist_ok=True)
    descriptors = [os.open(each, os.O_RDONLY | os.O_DIRECTORY) for each in (proc, proc, proc / "terminals")]
    try:
        return held_bytes(*descriptors)
    finally:
        for each in descriptors:
            os.close(each)


def mappings(proc: Path, process: str, list_bytes: int) -> int:
    """Give a process a list of mappings of so many bytes; how many it has."""
    line = b"7f5a2c000000-7f5a2c021000 rw-s 00000000 00:1c 5 /dev/shm/vm_file-x (deleted)\n"
    (proc / process).mkdir()
    (proc / process / "maps").write_bytes(line * (list_bytes // len(line)))
    return list_bytes // len(line)


def test_the_many_mappings_of_a_guest_are_counted(tmp_path: Path) -> None:
    """A process of a guest has one for each stretch of its memory: megabytes of them are honest."""
    count = mappings(tmp_path, "7", 4 << 20)
    assert MAPPING_BYTES * count == held(tmp_path)
    count += mappings(tmp_path, "8", 5 << 20)
    assert MAPPING_BYTES * count == held(tmp_path)


def test_lists_that_take_long_to_read_are_too_much(tmp_path: Path) -> None:
    """All processes together may have so many that counting them holds nothing up."""
    for process in ("7", "8", "9"):
        mappings(tmp_path, process, 22 << 20)
    assert held(tmp_path) > 1 << 50
