"""``python -m rebuilder.toolchains.prepare --root DIR NAME…``: make toolchains ahead of their first use."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.errors import ExitCode, RebuilderError
from rebuilder.toolchains.store import DebianToolchains


class _Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


def main(arguments: Sequence[str]) -> int:
    """Make each toolchain that is named and not there yet; one line for each on standard output."""
    parser = argparse.ArgumentParser(prog="python -m rebuilder.toolchains.prepare", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory to keep them in")
    parser.add_argument("--remake", action="store_true", help="make them again from what the archive has now")
    parser.add_argument("names", nargs="+", metavar="NAME")
    options = parser.parse_args(arguments)
    store = DebianToolchains(options.root, _Now(), report=lambda what: print(what, file=sys.stderr))  # noqa: T201
    for name in options.names:
        begun = time.monotonic()
        try:
            toolchain = store.remake(name) if options.remake else store.get(name)
        except RebuilderError as error:
            print(error, f"{error.hint}" if error.hint else "", sep="\n", file=sys.stderr)  # noqa: T201
            return error.exit_code
        seconds = time.monotonic() - begun
        print(  # noqa: T201
            f"{name}: sha256 {toolchain.sha256}, Python {toolchain.python_version}, "
            f"{len(toolchain.summary.packages)} packages, {seconds:.2f} s"
        )
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
