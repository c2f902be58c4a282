"""Writes the published description of the API: ``python -m rebuilder.service.api.openapi``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from rebuilder.service.api.app import make_api
from rebuilder.service.api.context import ApiContext


class _Nobody:
    """Stands for every part behind the API: to describe it none is used."""

    verifier = "rebuilder.example.org"
    site = Path()

    def __getattr__(self, name: str) -> Any:
        return None


def description() -> bytes:
    """The OpenAPI document, as ``docs/openapi.json`` has it."""
    document = make_api(cast("ApiContext", _Nobody())).openapi()
    return (json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


if __name__ == "__main__":
    (Path(__file__).parents[3] / "docs" / "openapi.json").write_bytes(description())
