"""Page models to HTML. Everything is escaped, a misspelt name is an error, and templates are compiled once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rebuilder.resources import resource

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of every page: one style sheet and one picture of our own, and nothing that runs."""


def render(template: str, page: object, *, verifier: str) -> bytes:
    """The HTML of ``page``; equal arguments give equal bytes."""
    environment = _environment(resource("reports") / "templates")
    html = environment.get_template(template).render(page=page, policy=POLICY, verifier=verifier)
    return html.encode("utf-8", "backslashreplace")


@cache
def _environment(templates: Path) -> Environment:
    # Imported at the first page: commands that write none should not wait for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
