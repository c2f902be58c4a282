"""Python's package index (PEP 503, 691) at ``/simple/``, its files at ``/files/``."""

from __future__ import annotations

import re
from http import HTTPStatus

from rebuilder.consumer.enforcement import Reply, text
from rebuilder.consumer.proxy.pages import Page, Pages, phrase, sent_on
from rebuilder.consumer.proxy.simple_page import as_html, as_json, file_project, gated, project_name, read_page
from rebuilder.network.index_reader import MEDIA_TYPE, IndexReader

_FILE = re.compile(r"/files/(?P<sha256>[0-9a-f]{64}|-)/(?P<name>[\w.+!~-]{1,255}?)(?P<metadata>\.metadata)?", re.ASCII)
_PROJECT = re.compile(r"/simple/(?P<name>[^/]{1,214})(?P<slash>/?)")


class SimpleIndex:
    """Answers pip and uv.

    Args:
        index: The real index.
        pages: What it answered, and what passes of it.
    """

    def __init__(self, index: IndexReader, pages: Pages) -> None:
        self._index, self._pages = index, pages

    def answer(self, path: str, accept: str) -> Reply | None:
        """What is at an address; None: nothing.

        Raises:
            UnavailableError: the index does not answer as it must.
        """
        if path == "/simple/":
            return self._root()
        if (file := _FILE.fullmatch(path)) is not None:
            return self._file(file["sha256"], file["name"], file["metadata"] or "")
        if (project := _PROJECT.fullmatch(path)) is not None:
            return self._page(project["name"], project["slash"], accept)
        return None

    def _root(self) -> Reply:
        page = self._index.get("", MEDIA_TYPE)
        if page.status != HTTPStatus.OK or page.media_type != MEDIA_TYPE:
            return text("404 Not Found", "The index gives no list of its projects as JSON.")
        return Reply("200 OK", (("Content-Type", MEDIA_TYPE),), page.content)

    def _page(self, name: str, slash: str, accept: str) -> Reply:
        canonical = project_name(name)
        if canonical is None:
            return text("404 Not Found", "This is no name of a project.")
        if canonical != name or not slash:
            return Reply("301 Moved Permanently", (("Location", f"/simple/{canonical}/"),))
        page = self._project(canonical)
        if page is None:
            return text("404 Not Found", f"The index has no project {canonical}.")
        kind = "json" if MEDIA_TYPE in accept or accept in {"", "*/*"} else "html"
        return page.reply(kind, lambda: self._made(page, kind))

    def _made(self, page: Page, kind: str) -> Reply:
        rows = [(listed, self._pages.enforcement.against(answer)) for listed, answer in page.answered]
        document = gated(page.read.document, page.base, rows)
        media_type, body = as_json(document) if kind == "json" else as_html(document)
        return Reply("200 OK", (("Content-Type", media_type), ("Cache-Control", "no-cache"), ("Vary", "Accept")), body)

    def _project(self, name: str) -> Page | None:
        return self._pages.get(self._index, f"{name}/", MEDIA_TYPE, lambda content, url: read_page(content, url, name))

    def _file(self, sha256: str, filename: str, metadata: str) -> Reply:
        page = self._project(file_project(filename)[0])
        wanted = filename, None if sha256 == "-" else sha256
        for listed, answer in page.answered if page is not None else ():
            (file,) = listed.file.files
            if (file.filename, file.sha256) != wanted:
                continue
            if not metadata:
                self._pages.enforcement.note(answer)
            against = self._pages.enforcement.against(answer)
            return text(phrase(403, against), against) if against is not None else sent_on(listed.url + metadata)
        return text("404 Not Found", "The index does not list this file with this digest.")
