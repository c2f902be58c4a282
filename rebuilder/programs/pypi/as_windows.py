"""Run a build as on Windows, then give the wheel it leaves what packing it there gives its members.

Python writes the line ends of Windows into text files there, whoever writes them. It marks every member of a ZIP as
made on MS-DOS (zipfile, ``create_system``), and an open file has no executable bit (``os.fstat``). On a disk of Windows
that Linux has mounted, every file may be executed by everybody instead, and nothing else is as on Windows.
"""

from __future__ import annotations

import argparse
import io
import os
import stat
import subprocess
import sys
import zipfile

from rebuilder.programs.pypi.as_python import install

NO_WHEEL = 73
_MODULE = """\
import builtins
import io


class _Open:
    # An instance, since a function would become a method where a class has it among its attributes.
    def __call__(self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *others, **more):
        if newline is None and not {*mode} & {*"b+r"}:
            newline = "\\r\\n"
        return self.real(file, mode, buffering, encoding, errors, newline, *others, **more)

    real = staticmethod(io.open)


builtins.open = io.open = _Open()
"""


def main(argv: list[str]) -> int:
    """Run the program: the exit code of the build, or 73 when it left no wheel."""
    parser = argparse.ArgumentParser(prog="as_windows", allow_abbrev=False)
    parser.add_argument("--out", required=True, help="directory the build leaves the wheel in")
    parser.add_argument("--environment", help="virtual environment of the build, which is to write text as there")
    parser.add_argument(
        "--mounted",
        choices=("all", "but-record"),
        help="Linux packed it, from a disk of Windows; RECORD was on it or not",
    )
    parser.add_argument("command", nargs="+", help="the build, after --")
    options = parser.parse_args(argv)
    code = 0 if options.environment is None else install(options.environment, "_windows_text", _MODULE)
    code = code or subprocess.run(options.command, check=False).returncode
    if code:
        return code if code > 0 else 128 - code
    wheels = [name for name in os.listdir(options.out) if name.endswith(".whl")]
    if len(wheels) != 1:
        print(f"as_windows: the build left {len(wheels)} wheels", file=sys.stderr)
        return NO_WHEEL
    path = os.path.join(options.out, wheels[0])
    content = converted(path, options.mounted)
    with open(path, "wb") as file:
        file.write(content)
    return 0


def converted(path: str, mounted: str | None = None) -> bytes:
    """The wheel, as it would be if it had been packed on Windows.

    Args:
        path: Of the wheel.
        mounted: See ``--mounted``.
    """
    permissions, host = (0o666, 0) if mounted is None else (0o777, 3)
    result = io.BytesIO()
    with zipfile.ZipFile(path) as wheel, zipfile.ZipFile(result, "w") as packed:
        for info in wheel.infolist():
            mode = info.external_attr >> 16
            is_record = info.filename.endswith(".dist-info/RECORD")
            if stat.S_ISREG(mode) and (mounted == "all" or not is_record):
                mode = stat.S_IFREG | permissions
            new = zipfile.ZipInfo(info.filename, info.date_time)
            new.compress_type = info.compress_type
            new.create_system = host
            new.external_attr = mode << 16
            packed.writestr(new, wheel.read(info))
    return result.getvalue()
