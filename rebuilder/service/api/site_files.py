"""Serves the static site: plain files below one directory, and nothing else of this machine."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from rebuilder.compare.diffoscope import FOREIGN_POLICY
from rebuilder.service.api.problems import problem
from rebuilder.site.rendering import TYPING_POLICY

_CHUNK = 256 << 10
_TYPES = {
    ".atom": "application/atom+xml; charset=utf-8",
    "checkpoint": "text/plain; charset=utf-8",
    "key": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".pem": "application/x-pem-file",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tlog-proof": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml; charset=utf-8",
}
_FOREIGN = {"diffoscope.html": f"{FOREIGN_POLICY}; frame-ancestors 'none'"}
"""Pages that bring styles of their own, under the policy they were made with."""
_TYPING = f"{TYPING_POLICY}; frame-ancestors 'none'"
_HEAD = 300
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_PLAIN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class _File:
    descriptor: int
    status: os.stat_result
    name: str


class SiteFiles:
    """An ASGI application over the directory of the site.

    The path is walked one directory at a time, relative to the one before, and no symbolic link is followed: there
    is no way out, whatever the path says and whatever is changed meanwhile. Names that begin with a dot do not exist.
    """

    def __init__(self, root: Path, not_found: bytes) -> None:
        """``not_found`` is the page for addresses that lead nowhere; ``root`` need not exist yet."""
        self._root = root
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in {"GET", "HEAD"}:
            refusal = problem(405, f"Pages do not take {scope['method']} requests.", headers={"Allow": "GET, HEAD"})
            return await refusal(scope, receive, send)
        path = str(scope["path"])
        found = await to_thread.run_sync(self._find, path)
        if isinstance(found, _File):
            try:
                return await _send_file(found, scope, receive, send)
            finally:
                os.close(found.descriptor)
        if found == "elsewhere":
            # Of the parts that were found, never of what was sent: “//example.org” would lead away.
            parts = [quote(part, safe="") for part in path.split("/") if part]
            return await RedirectResponse(f"/{'/'.join(parts)}/", 308)(scope, receive, send)
        page = Response(self._not_found, 404, media_type="text/html")
        return await page(scope, receive, send)

    def _find(self, path: str) -> _File | str | None:
        """The file for a path; ``elsewhere`` for a directory that was asked for without its slash; or None."""
        *parents, last = path.removeprefix("/").split("/")
        if any(part in {"", ".", ".."} or part.startswith(".") for part in (*parents, last or "index.html")):
            return None
        try:
            directory = os.open(self._root, _DIRECTORY)
            try:
                for part in parents:
                    directory = _step(directory, part)
                return _open(directory, last)
            finally:
                os.close(directory)
        except (OSError, ValueError):  # the latter: NUL, or no text that a file name can be
            return None


def _step(directory: int, part: str) -> int:
    below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    os.close(directory)
    return below


def _open(directory: int, last: str) -> _File | str | None:
    name = last or "index.html"
    descriptor = os.open(name, _PLAIN, dir_fd=directory)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return _File(descriptor, status, name)
    try:
        index = os.stat("index.html", dir_fd=descriptor, follow_symlinks=False) if last else None
    finally:
        os.close(descriptor)
    return "elsewhere" if index is not None and stat.S_ISREG(index.st_mode) else None


def _policy(file: _File) -> str | None:
    """The policy of a page that has one of its own; it stands in the first lines, before anything published."""
    typing = file.name.endswith(".html") and b"script-src" in os.pread(file.descriptor, _HEAD, 0)
    return _TYPING if typing else _FOREIGN.get(file.name)


async def _send_file(file: _File, scope: Scope, receive: Receive, send: Send) -> None:
    status = file.status
    headers = {
        "ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"',
        "Last-Modified": formatdate(status.st_mtime, usegmt=True),
        "Cache-Control": "no-cache",
    }
    if policy := _policy(file):
        headers["Content-Security-Policy"] = policy
    if _unchanged(Headers(scope=scope), headers["ETag"], status.st_mtime):
        return await Response(status_code=304, headers=headers)(scope, receive, send)
    headers["Content-Type"] = _TYPES.get(Path(file.name).suffix or file.name, "application/octet-stream")
    headers["Content-Length"] = str(status.st_size)
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    if scope["method"] == "GET":
        while chunk := await to_thread.run_sync(partial(os.read, file.descriptor, _CHUNK)):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    return await send({"type": "http.response.body", "body": b"", "more_body": False})


def _unchanged(asked: Headers, etag: str, modified: float) -> bool:
    """Whether the client has these bytes already (RFC 9110, section 13.2.2)."""
    if (known := asked.get("if-none-match")) is not None:
        return any(each.strip().removeprefix("W/") in {etag, "*"} for each in known.split(","))
    try:
        since = parsedate_to_datetime(asked.get("if-modified-since", ""))
    except (ValueError, TypeError, OverflowError):
        return False
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    return datetime.fromtimestamp(int(modified), UTC) <= since
