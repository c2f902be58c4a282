"""The toolchains there are, as data."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from rebuilder.errors import ToolchainError
from rebuilder.model.toolchain_settings import InterpreterSettings
from rebuilder.model.value import Value

_DATA = Path(__file__).with_name("catalog.toml")


class Spec(Value):
    """What a toolchain is made from."""

    name: str
    suite: str
    """Release of Debian, such as ``trixie``."""
    python: str
    """Version of its interpreter, such as ``3.13``."""
    packages: tuple[str, ...]
    links: dict[str, str] = {}
    """Symbolic links to add: path in the tree to target."""
    prune: tuple[str, ...] = ()
    """What to remove again, as patterns of paths: content of packages that are only there because apt wants them."""
    interpreter: InterpreterSettings | None = None
    """A Python of the user's own, which takes the place of Debian's."""


@cache
def catalog() -> dict[str, Spec]:
    """All specifications by name."""
    document = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    return {name: Spec(name=name, **fields) for name, fields in document["toolchains"].items()}


def find(name: str) -> Spec:
    """The specification of that name.

    Raises:
        ToolchainError: there is none.
    """
    try:
        return catalog()[name]
    except KeyError:
        known = ", ".join(sorted(catalog()))
        raise ToolchainError(f"There is no toolchain named {name!r}.", hint=f"Use one of: {known}.") from None
