"""Imported at each start of the interpreter of a build: names one temporary directory. It needs nothing but Python."""

from __future__ import annotations

import os
import tempfile
from typing import Any


def use(beginning: str, name: str) -> None:
    """Let the directory that is asked for with a prefix, in the usual place, end with a name while that is free."""
    usual: Any = tempfile.mkdtemp

    def mkdtemp(suffix: Any = None, prefix: Any = None, dir: Any = None) -> Any:  # noqa: A002 - as it is called there
        if prefix == beginning and not suffix and dir is None:
            path = os.path.join(tempfile.gettempdir(), f"{beginning}{name}")
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                pass
            else:
                return path
        return usual(suffix, prefix, dir)

    tempfile.mkdtemp = mkdtemp
