"""Where two files that are compared lie inside the sandbox."""

from __future__ import annotations

import re

from rebuilder.model.definition import Input, Role
from rebuilder.model.value import Sha256

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,200}")


def sides(published: Sha256, rebuilt: Sha256, filename: str) -> tuple[Input, Input]:
    """Both files under one name, so that what a program says of them does not depend on where they came from.

    File names come from a registry; one that is odd is replaced by ``file``.
    """
    name = filename if _PLAIN.fullmatch(filename) else "file"
    return (
        Input(role=Role.PARAMETERS, name="published", sha256=published, path=f"/inputs/published/{name}"),
        Input(role=Role.PARAMETERS, name="rebuilt", sha256=rebuilt, path=f"/inputs/rebuilt/{name}"),
    )
