"""Page models to HTML. Everything is escaped, a misspelt name is an error, and templates are compiled once.

Templates take values of :mod:`rebuilder.model` as they are, by the filters below. Whoever wrote a text, what a page
shows of it is made visible here. Where there is only so much room, the template says so (``| visible(120)``).
"""

from __future__ import annotations

import contextlib
import os
import stat
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rebuilder.model.text import visible
from rebuilder.resources import resource
from rebuilder.site import charts, display, marks
from rebuilder.site.pages import operate
from rebuilder.site.sections import accounting, attempt, binaries, build, provenance

if TYPE_CHECKING:
    from jinja2 import BytecodeCache, Environment
    from jinja2.bccache import Bucket

POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of every page: one style sheet and pictures of our own, and nothing that runs."""
TYPING_POLICY = f"{POLICY}; script-src 'self'"
"""That of pages where a project is looked up: one script of our own narrows what they list."""


_FILTERS = {
    function.__name__: function
    for function in (
        display.visible,
        display.moment,
        display.span,
        display.duration,
        display.memory,
        display.size,
        display.digest,
        display.link,
        marks.mark,
        provenance.status_mark,
        marks.meaning,
        marks.digest_rows,
        marks.ecosystem_words,
        marks.step_words,
        marks.times,
        attempt.outcome_words,
        attempt.detail_parts,
        attempt.replayed_meaning,
        build.derived_file,
        build.variable_note,
        accounting.accounted_with,
        binaries.image_facts,
        charts.outcomes,
        operate.runner_mark,
        operate.why_queued,
        operate.worker_name,
    )
}
"""How values are shown: templates have these functions as filters, by their names."""


def _seen(value: object) -> object:
    """What a template shows; text that is markup by now, of ours or escaped, stays as it is."""
    return visible(value) if type(value) is str else value


class Renderer:
    """Makes pages for one verifier."""

    def __init__(self, verifier: str, cache: Path | None = None) -> None:
        """``cache`` is a private directory for compiled templates; without it each process compiles them."""
        self._verifier = verifier
        self._cache = cache

    def html(self, template: str, page: object, *, operated: bool = False) -> bytes:
        """The HTML of ``page``; equal arguments give equal bytes.

        ``operated``: the site has a page about the service, and the navigation leads to it.
        """
        about = {"policy": POLICY, "typing_policy": TYPING_POLICY, "verifier": self._verifier, "operated": operated}
        text = self._environment.get_template(template).render(page=page, **about)
        return text.encode("utf-8", "backslashreplace")

    @cached_property
    def _environment(self) -> Environment:
        # Imported at the first page: commands that write none should not wait for it.
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        environment = Environment(
            loader=FileSystemLoader(resource("reports") / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            bytecode_cache=_bytecode_cache(self._cache) if self._cache else None,
            finalize=_seen,
        )
        environment.filters |= _FILTERS
        environment.globals |= {"count": display.count, "page_href": display.page_href}
        return environment


def _bytecode_cache(directory: Path) -> BytecodeCache | None:
    """A cache in ``directory``, or None when somebody else could put code there or nothing can be kept there."""
    from jinja2 import FileSystemBytecodeCache

    class Cache(FileSystemBytecodeCache):
        def dump_bytecode(self, bucket: Bucket) -> None:
            # A full disk makes the next start slower, nothing else.
            with contextlib.suppress(OSError):
                super().dump_bytecode(bucket)

    return Cache(str(directory)) if private_directory(directory) else None


def private_directory(directory: Path) -> bool:
    """Whether there is such a directory by now, and nobody else can put anything there."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
