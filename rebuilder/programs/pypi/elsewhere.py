"""Have a build come out as it did elsewhere: on another Python, with other tools, in another directory, on Windows.

Most of these programs change the virtual environment of the build, and end with 66 where there is none. Files of it are
replaced, never written into, in case there are other links to them.
"""

from __future__ import annotations

import argparse
import csv
import glob
import inspect
import io
import os
import re
import stat
import subprocess
import sys
import zipfile

from rebuilder.programs.pypi import older_python, temporary_names

NO_ENVIRONMENT, NOTHING_TO_CHANGE = 66, 73
DEBIAN_CHANGES = {
    "requirements": (
        ("egg_info.py", "_requirestxt.py"),  # the second from 68.2 on
        "map(append_cr, lines)",
        "map(append_cr, sorted(lines))",
    ),
    "namespaces": (
        ("install_egg_info.py",),
        "os.path.join(self.install_dir, basename)",
        "os.path.join(self.install_dir, basename.rpartition('-py')[0] + '.egg-info')",
    ),
}
"""By name: the modules of ``setuptools.command`` it may be in, and what stands there instead of what."""
_PYTHON_2_HEADERS = """\
from email._policybase import Compat32


def header_source_parse(self, sourcelines):
    name, _, value = sourcelines[0].partition(":")
    return name, (value.lstrip() + "".join(sourcelines[1:])).rstrip("\\r\\n")


Compat32.header_source_parse = header_source_parse
"""
_WINDOWS_TEXT = """\
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


def as_debian(argv: list[str]) -> int:
    """Change setuptools as Debian and Ubuntu do: 0, or 73 when there is none that can be changed so.

    Lines of requires.txt are written sorted: their package has had this change for a decade, so that builds do not
    depend on an order. Namespace files have no version of Python in their names, since their packages serve several
    Pythons.
    """
    parser = _parser("as_debian")
    parser.add_argument("change", nargs="+", choices=sorted(DEBIAN_CHANGES), help="what to change")
    options = parser.parse_args(argv)
    for modules, before, after in (DEBIAN_CHANGES[each] for each in options.change):
        places = [_packages(options.environment, "setuptools/command", module) for module in modules]
        texts = {path: _read(path) for place in places for path in glob.glob(place)}
        found = [path for path, text in texts.items() for _ in range(text.count(before))]
        if len(found) != 1:
            print(f"as_debian: the environment has no setuptools whose {modules[0]} can be changed", file=sys.stderr)
            return NOTHING_TO_CHANGE
        _rewrite(found[0], texts[found[0]].replace(before, after))
    return 0


def as_python(argv: list[str]) -> int:
    """Let the Python of the environment present itself as an older one to everything that runs on it later."""
    parser = _parser("as_python")
    parser.add_argument("--version", required=True, help="such as 3.7")
    options = parser.parse_args(argv)
    # The module lies beside this one, in a zip application as a rule.
    source = inspect.getsource(older_python)
    return _install(options.environment, "_older_python", source, f"; _older_python.present({options.version!r})")


def as_python_2(argv: list[str]) -> int:
    """Let the Python of the environment read headers as Python 2 does: an empty first line is dropped.

    ``email`` of Python 2 strips what stands behind the colon before it adds the lines that follow, so that a
    description that begins with an empty line comes out of PKG-INFO without it. Nothing else changes.
    """
    return _install(_parser("as_python_2").parse_args(argv).environment, "_python_2_headers", _PYTHON_2_HEADERS)


def as_temporary(argv: list[str]) -> int:
    """Have a temporary directory of a build get the name that it had for whoever built before.

    Backends that compile in a copy of the source leave its place in debugging information. Its name is random, so that
    no second build would have it.
    """
    parser = _parser("as_temporary")
    parser.add_argument("--prefix", required=True, help="what the backend lets the name begin with")
    parser.add_argument("--name", required=True, help="what is random in it")
    options = parser.parse_args(argv)
    call = f"; _temporary_names.use({options.prefix!r}, {options.name!r})"
    return _install(options.environment, "_temporary_names", inspect.getsource(temporary_names), call)


def as_version(argv: list[str]) -> int:
    """Have a tool call itself by the version of another release of its series: 0, or 73 when there is no such tool.

    Some releases were taken back from the index. What they wrote names them; what they did is, in such a series, what
    the release beside them does. The version is replaced where the tool has it: in its metadata, and where a module
    assigns it.
    """
    parser = _parser("as_version")
    parser.add_argument("--tool", required=True, help="name of the distribution")
    parser.add_argument("--version", required=True, help="what it is to call itself")
    options = parser.parse_args(argv)
    wanted = re.compile(rf"{re.sub('[-_.]+', '[-_.]', options.tool)}-[^-]+\.dist-info", re.IGNORECASE)
    folders = glob.glob(_packages(options.environment, "*.dist-info"))
    found = [path for path in folders if wanted.fullmatch(os.path.basename(path))]
    if len(found) != 1:
        print(f"as_version: the environment has {len(found)} tools called {options.tool}", file=sys.stderr)
        return NOTHING_TO_CHANGE
    _rename(found[0], options.version)
    return 0


def _rename(info: str, version: str) -> None:
    place = os.path.join(info, "METADATA")
    metadata = _read(place)
    before = re.search(r"^Version: (\S+)$", metadata, re.MULTILINE)
    if before is None:
        return
    _rewrite(place, metadata.replace(before[0], f"Version: {version}", 1))
    assigned = re.compile(rf"^(\w*version\w* *(?:: *\w+ *)?= *)(['\"]){re.escape(before[1])}\2", re.MULTILINE | re.I)
    packages = os.path.dirname(info)
    rows = csv.reader(io.StringIO(_read(os.path.join(info, "RECORD")), newline=""))
    for module in [row[0] for row in rows if row and row[0].endswith(".py") and not row[0].startswith("..")]:
        text = _read(os.path.join(packages, module))
        changed = assigned.sub(lambda match: f"{match[1]}{match[2]}{version}{match[2]}", text)
        if changed != text:
            _rewrite(os.path.join(packages, module), changed)


def as_windows(argv: list[str]) -> int:
    """Run a build as on Windows, then give the wheel what packing it there gives its members.

    Python writes the line ends of Windows into text files there, whoever writes them. It marks every member of a ZIP as
    made on MS-DOS (zipfile, ``create_system``), and an open file has no executable bit (``os.fstat``). On a disk of
    Windows that Linux has mounted, every file may be executed by everybody instead, and nothing else is as on Windows.

    Returns:
        The exit code of the build, or 73 when it left no wheel.
    """
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
    code = 0 if options.environment is None else _install(options.environment, "_windows_text", _WINDOWS_TEXT)
    code = code or subprocess.run(options.command, check=False).returncode
    if code:
        return code if code > 0 else 128 - code
    wheels = [name for name in os.listdir(options.out) if name.endswith(".whl")]
    if len(wheels) != 1:
        print(f"as_windows: the build left {len(wheels)} wheels", file=sys.stderr)
        return NOTHING_TO_CHANGE
    path = os.path.join(options.out, wheels[0])
    content = packed_on_windows(path, options.mounted)
    with open(path, "wb") as file:
        file.write(content)
    return 0


def packed_on_windows(path: str, mounted: str | None = None) -> bytes:
    """The wheel, as it would be if it had been packed on Windows."""
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


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, allow_abbrev=False)
    parser.add_argument("--environment", required=True, help="directory of the virtual environment")
    return parser


def _packages(environment: str, *below: str) -> str:
    """The pattern of the directory that the environment's packages are in, or of what is below it."""
    return os.path.join(glob.escape(environment), "lib/python3*/site-packages", *below)


def _install(environment: str, name: str, source: str, call: str = "") -> int:
    """Have each start of the interpreter import a module: 0, or 66 when there is no such environment."""
    found = glob.glob(_packages(environment))
    if len(found) != 1:
        print(f"{environment} has {len(found)} directories for packages", file=sys.stderr)
        return NO_ENVIRONMENT
    # site runs such files in the order of their names: these before those of packages.
    for suffix, text in ((".py", source), (".pth", f"import {name}{call}\n")):
        with open(os.path.join(found[0], f"{name}{suffix}"), "w", encoding="utf-8") as file:
            file.write(text)
    return 0


def _read(path: str) -> str:
    """A text as it is, line ends included."""
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _rewrite(path: str, text: str) -> None:
    os.unlink(path)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
