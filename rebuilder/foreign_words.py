"""Requirements and TOML that others wrote: reading them ends with a value, or with one kind of error.

The parsers behind this give up in more ways than they say: at numbers of thousands of digits, and at deep nesting.
"""

from __future__ import annotations

import tomllib
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

_LONGEST = 1000
"""Characters of a requirement; real ones have dozens, and numbers of more than 4,300 digits cannot be compared."""


def read_requirement(text: str) -> Requirement:
    """One requirement (PEP 508).

    Raises:
        InvalidRequirement: it is none, or one that nobody means.
    """
    if len(text) > _LONGEST:
        raise InvalidRequirement(f"It has more than {_LONGEST:,} characters.")
    try:
        return Requirement(text)
    except RecursionError:
        raise InvalidRequirement("Its marker is nested too deep.") from None


def read_toml(text: str) -> dict[str, Any]:
    """A document in TOML.

    Raises:
        tomllib.TOMLDecodeError: it is none, or is not to be read.
    """
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("it is nested too deep") from None
    except ValueError:
        raise tomllib.TOMLDecodeError("it has a number of too many digits") from None
