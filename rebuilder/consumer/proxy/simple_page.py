"""A project's page of a package index (PEP 503, 691, 700, 714, 740), with files that do not pass made unusable.

A file that passes stays as the index lists it, attestations and metadata included; only its address leads through the
proxy, which sends on to the index's own. One that does not pass is listed as yanked, with the reason: installers pass
it over, and name the reason where there is no other. Who pins its version all the same is refused at its address.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urljoin

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from rebuilder.consumer.lock_files import Dependency, LockedFile
from rebuilder.consumer.proxy.pages import Listed, Read
from rebuilder.errors import UnavailableError
from rebuilder.model.value import Sha256
from rebuilder.network.index_reader import MEDIA_TYPE

HTML = "text/html; charset=utf-8"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,212}[A-Za-z0-9])?", re.ASCII)


def project_name(text: str) -> str | None:
    """The one spelling of a project's name; None: it is no name."""
    return canonicalize_name(text) if _NAME.fullmatch(text) else None


def read_page(content: bytes, url: str, name: str) -> Read:
    """The page of a project, and its files; what is not listed as it must be is left out.

    Raises:
        UnavailableError: it is no such page, or that of another project.
    """
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
    known = Sha256(sha256) if _SHA256.fullmatch(sha256) else None
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


def gated(page: Mapping[str, Any], base: str, files: Sequence[tuple[Listed, str | None]]) -> Any:
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
