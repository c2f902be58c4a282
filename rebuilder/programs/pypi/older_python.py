"""Let the Python of a build present itself as an older one: by the version it tells, and by what it had then.

A copy of this module lies in the build environment, where each start of the interpreter calls :func:`present`. So it
imports next to nothing, and changes other modules only when the build imports them.
"""

from __future__ import annotations

import sys
import sysconfig  # noqa: F401 - before the version is another one, so that it finds its files
from collections import namedtuple
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_VersionInfo = namedtuple("_VersionInfo", "major minor micro releaselevel serial")  # noqa: PYI024


def present(version: str) -> None:
    """Be this older version, such as ``3.7``, for everything that is imported from now on.

    Where the interpreter looks for its own files stays the same: sysconfig, which knows, was imported before.
    """
    real, asked = sys.version_info, tuple(int(part) for part in version.split("."))
    numbers = f"{real[0]}.{real[1]}.{real[2]}"
    sys.version = sys.version.replace(numbers, f"{version}.{real[2]}", 1)
    sys.hexversion = (asked[0] << 24) | (asked[1] << 16) | (sys.hexversion & 0xFFFF)
    told: Any = _VersionInfo._make((*asked, *real[2:]))
    sys.version_info = told
    restored = {name: restore for name, until, restore in _REMOVED if asked < until <= real[:2]}
    for name in restored.keys() & sys.modules.keys():
        restored.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _Restoring(restored))


class _Restoring:
    """Finds modules as usual, and gives them back what they had once they are loaded."""

    def __init__(self, waiting: dict[str, Callable[[Any], None]]) -> None:
        self._waiting = waiting

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See :class:`importlib.abc.MetaPathFinder`."""
        restore = self._waiting.pop(name, None)
        spec = None if restore is None else PathFinder.find_spec(name, path, target)
        if restore is None or spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_restore(module: ModuleType) -> None:
            load(module)
            restore(module)

        spec.loader.exec_module = load_and_restore  # type: ignore[method-assign]
        return spec


def _loaders(module: Any) -> None:
    import importlib._bootstrap_external as external

    for name in ("FileFinder", "PathFinder", "SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader"):
        setattr(module, name, getattr(external, name))


def _clock(module: Any) -> None:
    module.clock = module.perf_counter


def _escape(module: Any) -> None:
    import html

    module.escape = lambda text, quote=False: html.escape(text, quote)


def _unescape(module: Any) -> None:
    module.HTMLParser.unescape = lambda _self, text: module.unescape(text)


def _strings(module: Any) -> None:
    module.encodestring, module.decodestring = module.encodebytes, module.decodebytes


def _greatest_divisor(module: Any) -> None:
    import math

    module.gcd = math.gcd


def _argument_specification(module: Any) -> None:
    module.getargspec = lambda function: module.getfullargspec(function)[:4]


_REMOVED: tuple[tuple[str, tuple[int, int], Callable[[Any], None]], ...] = (
    ("importlib._bootstrap", (3, 5), _loaders),
    ("time", (3, 8), _clock),
    ("cgi", (3, 8), _escape),
    ("html.parser", (3, 9), _unescape),
    ("base64", (3, 9), _strings),
    ("fractions", (3, 9), _greatest_divisor),
    ("inspect", (3, 11), _argument_specification),
)
"""Module, the first Python that lacks something in it, and what gives that back (What's New in Python, Removed)."""
