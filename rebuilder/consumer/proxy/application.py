"""The proxy as a WSGI application (PEP 3333): an index at ``/simple/``, its files at ``/files/``, a report at ``/``.

WSGI, because installers show a refusal by the reason phrase of the answer, which other interfaces have no place for.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Lock
from typing import Any

from rebuilder.consumer.answer import Answer
from rebuilder.consumer.proxy.gate import Gate, one_file
from rebuilder.consumer.proxy.simple_page import (
    Listed,
    as_html,
    as_json,
    file_project,
    gated,
    project_name,
    read_page,
    sentence,
)
from rebuilder.errors import RebuilderError, UnavailableError
from rebuilder.model.text import visible
from rebuilder.network.index_reader import MEDIA_TYPE, IndexReader

StartResponse = Callable[[str, list[tuple[str, str]]], object]
_FRESH_SECONDS = 60.0
"""How long a page is handed out again before the index is asked whether it changed."""
_MOST_PAGES = 1000
_FILE = re.compile(r"/files/(?P<sha256>[0-9a-f]{64}|-)/(?P<name>[\w.+!~-]{1,255}?)(?P<metadata>\.metadata)?", re.ASCII)
_PROJECT = re.compile(r"/simple/(?P<name>[^/]{1,214})(?P<slash>/?)")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: str
    """Code and reason phrase."""
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


@dataclass
class _Project:
    """A page that was handed out."""

    etag: str | None
    since: float
    page: Any
    base: str
    files: dict[tuple[str | None, str | None], Listed]
    answers: dict[tuple[str | None, str | None], Answer]
    replies: dict[str, Reply] = field(default_factory=dict)


@dataclass
class Application:
    """Answers installers.

    Args:
        index: The real index.
        gate: Says what passes.
        audit: Let everything through, and only report what would not pass.
    """

    index: IndexReader
    gate: Gate
    audit: bool = False
    clock: Callable[[], float] = time.monotonic
    _projects: OrderedDict[str, _Project] = field(default_factory=OrderedDict)
    _asked: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    """Files that were asked for, by name, with what was answered."""
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """See PEP 3333."""
        reply = self.answer(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), environ.get("HTTP_ACCEPT", ""))
        start_response(reply.status, [*reply.headers, ("Content-Length", str(len(reply.body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [reply.body]

    def answer(self, method: str, path: str, accept: str) -> Reply:
        """What a request is answered."""
        if method not in {"GET", "HEAD"}:
            return _text("405 Method Not Allowed", "An index is only read.")
        try:
            return self._found(path, accept)
        except RebuilderError as error:
            return _text(_phrase(502 if isinstance(error, UnavailableError) else 500, str(error)), str(error))

    def _found(self, path: str, accept: str) -> Reply:
        if path == "/":
            return Reply("200 OK", (("Content-Type", "application/json"),), self.report())
        if path == "/simple/":
            return self._root()
        if (file := _FILE.fullmatch(path)) is not None:
            return self._file(file["sha256"], file["name"], file["metadata"] or "")
        if (project := _PROJECT.fullmatch(path)) is not None:
            return self._page(project["name"], project["slash"], accept)
        return _text("404 Not Found", "There is nothing at this address; the index is at /simple/.")

    def report(self) -> bytes:
        """What was asked for, and what of it does not pass: JSON."""
        with self._lock:
            asked = list(self._asked.values())
        return json.dumps(
            {
                "mode": "audit" if self.audit else "enforce",
                "total": len(asked),
                "passed": sum(each["passes"] for each in asked),
                "refused": self.gate.refused,
                "unread": self.gate.unread,
                "files": asked,
            },
            indent=1,
        ).encode()

    def _root(self) -> Reply:
        page = self.index.get("", MEDIA_TYPE)
        if page.status != HTTPStatus.OK or page.media_type != MEDIA_TYPE:
            return _text("404 Not Found", "The index gives no list of its projects as JSON.")
        return Reply("200 OK", (("Content-Type", MEDIA_TYPE),), page.content)

    def _page(self, name: str, slash: str, accept: str) -> Reply:
        canonical = project_name(name)
        if canonical is None:
            return _text("404 Not Found", "This is no name of a project.")
        if canonical != name or not slash:
            return Reply("301 Moved Permanently", (("Location", f"/simple/{canonical}/"),))
        project = self._project(canonical)
        if project is None:
            return _text("404 Not Found", f"The index has no project {canonical}.")
        kind = "json" if MEDIA_TYPE in accept or accept in {"", "*/*"} else "html"
        reply = project.replies.get(kind)
        if reply is None:
            page = gated(
                project.page, project.base, list(project.files.values()), lambda each: self._against(project, each)
            )
            media_type, body = as_json(page) if kind == "json" else as_html(page)
            reply = Reply(
                "200 OK", (("Content-Type", media_type), ("Cache-Control", "no-cache"), ("Vary", "Accept")), body
            )
            project.replies[kind] = reply
        return reply

    def _project(self, name: str) -> _Project | None:
        """The page of a project as the index has it now, and what is said of its files."""
        with self._lock:
            known = self._projects.get(name)
        if known is not None and self.clock() - known.since < _FRESH_SECONDS:
            return known
        answer = self.index.get(f"{name}/", MEDIA_TYPE, known.etag if known is not None else None)
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        if answer.status == HTTPStatus.NOT_MODIFIED and known is not None:
            page, base, files, etag = known.page, known.base, list(known.files.values()), known.etag
        elif answer.status == HTTPStatus.OK and answer.media_type == MEDIA_TYPE:
            page, files = read_page(answer.content, answer.url, name)
            base, etag = answer.url, answer.etag
        else:
            raise UnavailableError(f"The index answers {answer.status} for {name}, and not with JSON (PEP 691).")
        answers = self.gate.answers([one_file("pypi", name, each.version, each.file) for each in files])
        found = _Project(etag, self.clock(), page, base, {_key(each): each for each in files}, {})
        found.answers = {_key(each): answer for each, answer in zip(files, answers, strict=True)}
        with self._lock:
            self._projects[name] = found
            self._projects.move_to_end(name)
            while len(self._projects) > _MOST_PAGES:
                self._projects.popitem(last=False)
        return found

    def _against(self, project: _Project, listed: Listed) -> str | None:
        """Why a file is not handed out; None: it is."""
        answer = project.answers[_key(listed)]
        if self.audit or (answer.standing.passes and not self.gate.refused):
            return None
        return sentence(answer) if not answer.standing.passes else f"rebuilder: {self.gate.refused[0]}"

    def _file(self, sha256: str, filename: str, metadata: str) -> Reply:
        project = self._project(file_project(filename)[0])
        listed = project.files.get((filename, None if sha256 == "-" else sha256)) if project is not None else None
        if listed is None or project is None:
            return _text("404 Not Found", "The index does not list this file with this digest.")
        against = self._against(project, listed)
        if not metadata:
            self._note(project.answers[_key(listed)])
        if against is not None:
            return _text(_phrase(403, against), against)
        return Reply("302 Found", (("Location", listed.url + metadata), ("Cache-Control", "no-store")))

    def _note(self, answer: Answer) -> None:
        """Remember what was asked for, and say once what does not pass."""
        key = f"{answer.filename} {answer.file.sha256 if answer.file is not None else ''}"
        with self._lock:
            new = key not in self._asked
            self._asked[key] = answer.document() | {"passes": answer.standing.passes}
            while len(self._asked) > _MOST_PAGES * 10:
                self._asked.popitem(last=False)
        if new and not answer.standing.passes:
            print(f"{'audit' if self.audit else 'refused'}: {visible(sentence(answer))}", file=sys.stderr, flush=True)  # noqa: T201


def _key(listed: Listed) -> tuple[str | None, str | None]:
    return listed.file.filename, listed.file.sha256


def _phrase(code: int, text: str) -> str:
    """Code and reason phrase: one line of ASCII."""
    return f"{code} {visible(text, 900).encode('ascii', 'replace').decode()}"


def _text(status: str, body: str) -> Reply:
    return Reply(status, (("Content-Type", "text/plain; charset=utf-8"),), f"{visible(body)}\n".encode())
