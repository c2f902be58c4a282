"""Run a build, then give the wheel it leaves what the same build leaves on Windows.

There, Python marks every member of a ZIP as made on MS-DOS (zipfile, ``create_system``), an open file has no
executable bit (``os.fstat``), and text files are written with CR LF. On a disk of Windows that Linux has mounted, every
file may be executed by everybody instead. No other byte is touched.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Collection

NO_WHEEL = 73
WRITTEN = ("METADATA", "WHEEL", "entry_points.txt", "top_level.txt")
"""Texts in .dist-info that the tools write, some of them as text files with the line ends of the system."""


def main(argv: list[str]) -> int:
    """Run the program: the exit code of the build, or 73 when it left no wheel."""
    parser = argparse.ArgumentParser(prog="as_windows", allow_abbrev=False)
    parser.add_argument("--out", required=True, help="directory the build leaves the wheel in")
    parser.add_argument(
        "--crlf", action="append", default=[], choices=WRITTEN, help="file in .dist-info whose lines end with CR LF"
    )
    parser.add_argument(
        "--mounted",
        choices=("all", "but-record"),
        help="Linux packed it, from a disk of Windows; RECORD was on it or not",
    )
    parser.add_argument("command", nargs="+", help="the build, after --")
    options = parser.parse_args(argv)
    code = subprocess.run(options.command, check=False).returncode
    if code:
        return code if code > 0 else 128 - code
    wheels = [name for name in os.listdir(options.out) if name.endswith(".whl")]
    if len(wheels) != 1:
        print(f"as_windows: the build left {len(wheels)} wheels", file=sys.stderr)
        return NO_WHEEL
    path = os.path.join(options.out, wheels[0])
    content = converted(path, options.crlf, options.mounted)
    with open(path, "wb") as file:
        file.write(content)
    return 0


def converted(path: str, crlf: Collection[str], mounted: str | None = None) -> bytes:
    """The wheel, as it would be if it had been packed on Windows.

    Args:
        path: Of the wheel.
        crlf: Names in ``.dist-info`` of text files that were written there.
        mounted: See ``--mounted``.
    """
    permissions, host = (0o666, 0) if mounted is None else (0o777, 3)
    result = io.BytesIO()
    changed: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as wheel, zipfile.ZipFile(result, "w") as packed:
        for info in wheel.infolist():
            data = wheel.read(info)
            directory, _, name = info.filename.rpartition("/")
            mode = info.external_attr >> 16
            if directory.endswith(".dist-info") and name in crlf:
                data = changed[info.filename] = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            is_record = directory.endswith(".dist-info") and name == "RECORD"
            if is_record:
                data = _record(data, changed)
            if stat.S_ISREG(mode) and (mounted == "all" or not is_record):
                mode = stat.S_IFREG | permissions
            new = zipfile.ZipInfo(info.filename, info.date_time)
            new.compress_type = info.compress_type
            new.create_system = host
            new.external_attr = mode << 16
            packed.writestr(new, data)
    return result.getvalue()


def _record(record: bytes, changed: dict[str, bytes]) -> bytes:
    """RECORD with the digests and sizes of what was changed."""
    rows = list(csv.reader(io.StringIO(record.decode("utf-8"), newline="")))
    for row in rows:
        data = changed.get(row[0])
        if data is not None:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode("ascii")
            row[1:] = [f"sha256={digest}", str(len(data))]
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n" if b"\r\n" in record else "\n").writerows(rows)
    return text.getvalue().encode("utf-8")
