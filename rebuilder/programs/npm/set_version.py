"""Write the version of a release into package.json, as tools do that publish what a tag names; nothing else changes."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys

MALFORMED = 65
_MOST_PLACES = 50
_VERSION = re.compile(r'("version"\s*:\s*)"(?:[^"\\]|\\.)*"')
_END = re.compile(r"(?P<before>.*\S)(?P<end>\s*\}\s*)", re.DOTALL)


def main(argv: list[str]) -> int:
    """Run the program: 0, or 65 with a sentence where package.json is none that can have a version."""
    parser = argparse.ArgumentParser(prog="set_version", allow_abbrev=False)
    parser.add_argument("--directory", required=True, help="of the package")
    parser.add_argument("version")
    options = parser.parse_args(argv)
    path = os.path.join(options.directory, "package.json")
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8", newline="") as file:
            text = file.read()
        text = _with_version(text, options.version)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except (OSError, ValueError, RecursionError) as trouble:
        print(f"set_version: package.json cannot be given a version: {trouble}", file=sys.stderr)
        return MALFORMED
    print(f"set_version: {options.version}")
    return 0


def _with_version(text: str, version: str) -> str:
    """The same text with another version of the package."""
    before = json.loads(text.removeprefix("\ufeff"))
    if not isinstance(before, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - as what is no JSON at all
    wanted = before | {"version": version}
    for number, match in enumerate(_VERSION.finditer(text)):
        found = f"{text[: match.end(1)]}{json.dumps(version)}{text[match.end() :]}"
        if json.loads(found.removeprefix("\ufeff")) == wanted:
            return found
        if number > _MOST_PLACES:
            break
    ends = _END.fullmatch(text)
    if "version" in before or not before or ends is None:
        raise ValueError("there is no place for it")
    return f'{ends["before"]},\n  "version": {json.dumps(version)}{ends["end"]}'
