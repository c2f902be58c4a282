"""``bytecode --application PATH --out PATH``: write the modules of a zip application with their byte code beside them.

It is for this version of Python alone, and says of its modules that they lie in the application. The same modules
give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import py_compile
import tempfile
import zipfile

_TIME = (1980, 1, 1, 0, 0, 0)


def main(argv: list[str]) -> int:
    """Run the program: 0."""
    parser = argparse.ArgumentParser(prog="bytecode", allow_abbrev=False)
    parser.add_argument("--application", required=True, metavar="PATH")
    parser.add_argument("--out", required=True, metavar="PATH")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as place:
        _write(options.application, options.out, place)
    return 0


def _write(application: str, out: str, place: str) -> None:
    with zipfile.ZipFile(application) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as written:
        source.extractall(place)
        for name in sorted(name for name in source.namelist() if name != "__main__.py"):
            written.writestr(zipfile.ZipInfo(name, _TIME), source.read(name))
            compiled = os.path.join(place, f"{name}c")
            py_compile.compile(
                os.path.join(place, name),
                compiled,
                f"{application}/{name}",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            with open(compiled, "rb") as file:
                written.writestr(zipfile.ZipInfo(f"{name}c", _TIME), file.read())
