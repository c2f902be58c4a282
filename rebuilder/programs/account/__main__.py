"""The family ``account``: the members of a wheel, each with what accounts for it; those of a tarball by git's names."""

from __future__ import annotations

import sys

PROGRAMS = {
    "account_for_wheel": "account.account_for_wheel",
    "list_tarball": "account.list_tarball",
    "bytecode": "bytecode",
}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
