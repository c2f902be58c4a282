"""Python's package index (PEP 503, 691) at ``/simple/``, its files at ``/files/``.

A page (PEP 691, 700, 714, 740) is handed out with files that do not pass made unusable. A file that passes stays as the
index lists it, attestations and metadata included; only its address leads through the proxy, which sends on to the
index's own. One that does not pass is listed as yanked, with the reason: installers pass it over, and name the reason
where there is no other. Who pins its version all the same is refused at its address.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urljoin

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from rebuilder.consumer.enforcement import Reply, text
from rebuilder.consumer.lock_files import Dependency, LockedFile
from rebuilder.consumer.proxy.pages import Listed, Page, Pages, Read, phrase, sent_on
from rebuilder.errors import UnavailableError
from rebuilder.model.value import Sha256, is_sha256
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
        document = _gated(page.read.document, page.base, rows)
        media_type, body = as_json(document) if kind == "json" else as_html(document)
        return Reply("200 OK", (("Content-Type", media_type), ("Cache-Control", "no-cache"), ("Vary", "Accept")), body)

    def _project(self, name: str) -> Page | None:
        return self._pages.get(self._index, f"{name}/", MEDIA_TYPE, lambda content, url: _read_page(content, url, name))

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


HTML = "text/html; charset=utf-8"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,212}[A-Za-z0-9])?", re.ASCII)


def project_name(text: str) -> str | None:
    """The one spelling of a project's name; None: it is no name."""
    return canonicalize_name(text) if _NAME.fullmatch(text) else None


def _read_page(content: bytes, url: str, name: str) -> Read:
    """The page of a project, and its files; what is not listed as it must be is left out."""
    try:
        page = json.loads(content)
        rows = page["files"]
        fits = canonicalize_name(page["name"]) == name and page["meta"]["api-version"].split(".")[0] == "1"
        files = [each for row in rows if (each := _listed(row, url, name)) is not None]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise UnavailableError(f"What the index answers for {name} is no page of that project.")
    return Read(page, files)


def _listed(row: dict[str, Any], base: str, name: str) -> Listed | None:
    filename, sha256 = row["filename"], str(row["hashes"].get("sha256", "")).lower()
    # A name that could lead elsewhere, or a file that installers would not take for one of this project.
    if not isinstance(filename, str) or not re.fullmatch(r"[\w.+!~-]{1,255}", filename, re.ASCII):
        return None
    address = urljoin(base, row["url"]) if row["url"].isprintable() else ""
    if not address.startswith(("https://", "http://")) or " " in address:
        return None
    known = Sha256(sha256) if is_sha256(sha256) else None
    project, version = file_project(filename)
    file = LockedFile(filename, known)
    release = Dependency("pypi", name, version if project == name else None, f"{name} {filename}", (file,))
    return Listed(row, release, address.partition("#")[0])


def file_project(filename: str) -> tuple[str, str | None]:
    """The project that a file belongs to by its name, and its version where that can be read."""
    try:
        parsed = parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return canonicalize_name(re.split(r"-\d", filename, maxsplit=1)[0]), None
    return parsed[0], str(parsed[1])


def _gated(page: Mapping[str, Any], base: str, files: Sequence[tuple[Listed, str | None]]) -> Any:
    """The page as it is handed out.

    Args:
        page: As the index has it.
        base: Its address there.
        files: Those that are listed, and why each does not pass, as a sentence; None: it passes.
    """
    return {**page, "files": [_row(each, base, refusal) for each, refusal in files]}


def _row(listed: Listed, base: str, refusal: str | None) -> dict[str, Any]:
    row = dict(listed.document)
    (file,) = listed.file.files
    row["url"] = f"../../files/{file.sha256 or '-'}/{quote(str(file.filename))}"
    if isinstance(row.get("provenance"), str):
        row["provenance"] = urljoin(base, row["provenance"])
    if refusal is not None:
        row["yanked"] = refusal
        for each in ("core-metadata", "data-dist-info-metadata", "dist-info-metadata"):
            if each in row:
                row[each] = False
    return row


def as_json(page: Any) -> tuple[str, bytes]:
    """Media type and bytes."""
    return MEDIA_TYPE, json.dumps(page).encode()


def as_html(page: Any) -> tuple[str, bytes]:
    """The same as older installers read it (PEP 503)."""
    rows = "\n".join(f"<a {_attributes(each)}>{html.escape(each['filename'])}</a><br>" for each in page["files"])
    title = html.escape(page["name"])
    head = '<meta name="pypi:repository-version" content="1.1">'
    return (
        HTML,
        f"<!DOCTYPE html>\n<html><head>{head}<title>{title}</title></head><body>\n{rows}\n</body></html>".encode(),
    )


def _attributes(row: Mapping[str, Any]) -> str:
    sha256 = row["hashes"].get("sha256")
    found = {"href": row["url"] + (f"#sha256={sha256}" if sha256 else "")}
    if row.get("requires-python"):
        found["data-requires-python"] = row["requires-python"]
    if row.get("provenance"):
        found["data-provenance"] = row["provenance"]
    if row.get("yanked"):
        found["data-yanked"] = row["yanked"] if isinstance(row["yanked"], str) else ""
    metadata = row.get("core-metadata", row.get("data-dist-info-metadata"))
    if metadata:
        digest = metadata.get("sha256") if isinstance(metadata, dict) else None
        found["data-core-metadata"] = f"sha256={digest}" if digest else "true"
    if "gpg-sig" in row:
        found["data-gpg-sig"] = "true" if row["gpg-sig"] else "false"
    return " ".join(f'{name}="{html.escape(str(value))}"' for name, value in found.items())
