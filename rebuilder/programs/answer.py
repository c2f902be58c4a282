"""How a program says what it found: as JSON, in the file that ``--result`` names."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any


def answered(parser: ArgumentParser, argv: list[str], look: Callable[[Namespace], Any]) -> int:
    """Read the arguments and write what ``look`` finds with them; 0 whatever that is."""
    parser.add_argument("--result", required=True, metavar="PATH")
    arguments = parser.parse_args(argv)
    found = look(arguments)
    with open(arguments.result, "w", encoding="utf-8") as file:
        json.dump(found, file)
    return 0
