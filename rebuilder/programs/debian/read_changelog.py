"""``read_changelog PACKAGE --architecture NAME --result PATH``: write what a binNMU says of itself as JSON.

The result is ``{"text": "…"}`` with the content of ``usr/share/doc/*/changelog.Debian.ARCHITECTURE.gz``, where
``dh_installchangelogs`` puts the entry of a binary-only upload, or ``{"text": null}``.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import zlib

from rebuilder.programs.archive.opening import read_archive

_COMPRESSED, _LONGEST = 1 << 16, 1 << 16


def main(argv: list[str]) -> int:
    """Read the package; 0 whatever was found in it."""
    parser = argparse.ArgumentParser(prog="read_changelog", allow_abbrev=False)
    parser.add_argument("package", metavar="PACKAGE")
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--result", required=True, metavar="PATH")
    arguments = parser.parse_args(argv)
    with open(arguments.result, "w", encoding="utf-8") as file:
        json.dump({"text": changelog(arguments.package, arguments.architecture)}, file)
    return 0


def changelog(path: str, architecture: str) -> str | None:
    """The text; None where there is none, or one of another form than the tool writes."""
    pattern = f"data.tar/usr/share/doc/*/changelog.Debian.{architecture}.gz"
    reading = read_archive(
        path, lambda _index, name: _COMPRESSED if fnmatch.fnmatchcase(name, pattern) else 0, raw=False
    )
    if not reading.readable or len(reading.contents) != 1:
        return None
    [content] = reading.contents.values()
    try:
        stream = zlib.decompressobj(31)
        text = stream.decompress(content, _LONGEST)
        return text.decode("utf-8") if stream.eof and not stream.unused_data else None
    except (zlib.error, UnicodeDecodeError):
        return None
