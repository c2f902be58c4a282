"""The published description of the API is the one the program gives of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rebuilder.service.api.app import description

DOCS = Path(__file__).parents[2] / "docs"


def test_the_published_description_is_in_step() -> None:
    """``python -m rebuilder.service.api.app`` writes it."""
    assert description() == (DOCS / "openapi.json").read_bytes()


def test_every_operation_is_documented() -> None:
    """docs/api.md has a heading for each operation, and none for what does not exist."""
    document = json.loads(description())
    operations = {f"{verb.upper()} {path}" for path, verbs in document["paths"].items() for verb in verbs}
    headings = set(re.findall(r"^### `((?:GET|POST) [^`]+)`", (DOCS / "api.md").read_text(), re.MULTILINE))
    assert operations == headings


def test_the_description_names_no_host() -> None:
    """The server is where the document came from; no foreign host is needed to read it."""
    text = description().decode()
    assert "servers" not in json.loads(text)
    assert [] == re.findall(r"https?://", text)
