"""The simple repository API as JSON (PEP 691, PEP 700, PEP 740): what a project has published, and what is verified."""

from __future__ import annotations

import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rebuilder.ecosystems.pypi.platform_tags import LAST, Rank, rank
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM, file_version, release_purl, version_of
from rebuilder.errors import UnavailableError
from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json
from rebuilder.model.artifact import Document, ListedFile, Listing, PublishedFile
from rebuilder.model.value import Sha256, is_sha256
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.protocol import Fetcher
from rebuilder.network.reach import Reach
from rebuilder.store.blobs import DiskBlobs

MEDIA_TYPE = "application/vnd.pypi.simple.v1+json"
MAX_BYTES = 64 << 20
"""The largest project pages of today have some ten megabytes."""

MAX_ROOT_BYTES = 256 << 20
"""The largest lists of projects have some tens of megabytes."""

MAX_FILES = 50_000
"""The largest projects of today have some ten thousand files."""
_LIMITS = JsonLimits(values=1_000_000)
_LARGEST = 1 << 62
"""Of a serial."""
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_NAME_ENTRY = re.compile(rb'"name"\s{0,9}:\s{0,9}"([A-Za-z0-9][A-Za-z0-9._-]{0,299})"')


class IndexedFile(BaseModel):
    """One entry of ``files``; what is not known here is ignored, as PEP 691 asks."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    filename: Annotated[str, Field(max_length=512)]
    url: Annotated[str, Field(max_length=4096)]
    hashes: dict[str, str] = {}
    requires_python: Annotated[str | None, Field(alias="requires-python", max_length=512)] = None
    size: Annotated[int | None, Field(ge=0, le=1 << 50)] = None
    upload_time: Annotated[str | None, Field(alias="upload-time", max_length=64)] = None
    yanked: bool | str = False
    provenance: Annotated[str | None, Field(max_length=4096)] = None


def _serial_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST else None


class _Meta(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    api_version: Annotated[str, Field(alias="api-version", max_length=32)]
    last_serial: Annotated[int | None, BeforeValidator(_serial_number), Field(alias="_last-serial")] = None
    """None too when it is none: no standard asks for it."""
    """Number of the last event of the project, where the index counts them."""


def _listed(entries: Any) -> list[IndexedFile]:
    """The entries that can be understood; one malformed entry does not hide the others."""
    if not isinstance(entries, list):
        raise ValueError("files is not a list")  # noqa: TRY004 - pydantic reports it
    if len(entries) > MAX_FILES:
        raise ValueError(f"it lists more than {MAX_FILES:,} files")
    understood = []
    for entry in entries:
        if not isinstance(entry, dict) or "filename" not in entry:
            continue
        try:
            understood.append(IndexedFile.model_validate(entry))
        except ValidationError:
            continue
    return understood


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    meta: _Meta
    name: Annotated[str, Field(max_length=512)]
    files: Annotated[list[IndexedFile], BeforeValidator(_listed)]


@dataclass(frozen=True)
class ReleaseFile:
    """One wheel or source archive with the version its name gives."""

    version: Version
    listed: IndexedFile
    base: str
    """Address of the page."""

    @property
    def filename(self) -> str:
        """As the index has it."""
        return self.listed.filename

    @cached_property
    def published(self) -> PublishedFile | None:
        """What is to be fetched; None when the index gives no usable SHA-256 or address for it.

        Pages list thousands of files, of which few are looked at.
        """
        return _published(self.listed, base=self.base)

    @property
    def is_yanked(self) -> bool:
        """Whether installers leave it out unless it is asked for by its version."""
        return self.listed.yanked is not False and self.published is not None

    @property
    def is_wheel(self) -> bool:
        """True for a wheel, False for a source archive."""
        return self.filename.endswith(".whl")


@dataclass(frozen=True)
class IndexProject:
    """A project's page: its files that have a name one can understand."""

    name: str
    files: tuple[ReleaseFile, ...]
    document_sha256: Sha256
    serial: int | None = None
    """Number of the last event of the project; None where the index does not count them."""

    @property
    def mark(self) -> str:
        """Tells whether the page has changed since; see :meth:`SimpleIndex.changed`."""
        return self.document_sha256 if self.serial is None else f"{self.document_sha256} {self.serial}"

    def of(self, version: Version) -> list[ReleaseFile]:
        """The files of one release, in the order of the index."""
        return [each for each in self.files if each.version == version]

    @property
    def versions(self) -> list[Version]:
        """All versions that have a file, oldest first."""
        return sorted({each.version for each in self.files})

    @property
    def newest(self) -> Version | None:
        """The newest version an installer would take: final and not yanked if there is one."""
        fine = {each.version for each in self.files if not each.is_yanked}
        for choice in ([each for each in fine if not each.is_prerelease], fine, self.versions):
            if choice:
                return max(choice)
        return None


class SimpleIndex:
    """Reads project pages from one index."""

    def __init__(self, url: str, fetcher: Fetcher) -> None:
        """Use the index at ``url``, the address package installers are given (``…/simple``)."""
        self._url = url.rstrip("/") + "/"
        self._fetcher = fetcher
        self._last: tuple[tuple[str, ...], IndexProject] | None = None
        """The page that was read last: the files of a project are often asked for one after the other."""

    def project(self, name: str) -> IndexProject | None:
        """The page of a project; None when the index does not have it.

        Raises:
            UnavailableError: the index does not answer, or its answer is no page of the simple JSON API.
        """
        document, last = self._document(name), self._last
        if document is None:
            return None
        page = (name, document.url, document.sha256)
        if last is None or last[0] != page:
            self._last = last = page, _project(name, document, _json(document.content, name))
        return last[1]

    def changed(self, name: str, mark: str | None) -> IndexProject | Unchanged | None:
        """As :meth:`project`, but files are not read when a page has the mark it had before.

        The same serial counts as unchanged too: some indexes sign or count views within the page.

        Raises:
            UnavailableError: see :meth:`project`.
        """
        document = self._document(name)
        if document is None:
            return None
        digest, _, serial = (mark or "").partition(" ")
        if document.sha256 == digest:
            return Unchanged()
        content = _json(document.content, name)
        if serial and serial == _serial(content):
            return Unchanged()
        return _project(name, document, content)

    def names(self) -> Iterator[str]:
        """The normalised names of all projects (PEP 691, "Project List"), in the order of the index.

        Raises:
            UnavailableError: the index does not answer, or does not give the list as JSON.
        """
        document = self._fetcher.document(self._url, accept=MEDIA_TYPE, max_bytes=MAX_ROOT_BYTES)
        if document is None:
            raise UnavailableError("The index has no list of its projects.", hint="Name the projects one by one.")
        _refuse_html(document, "its list of projects")
        # Hundreds of thousands of entries as objects would take ten times the memory of the text they come in.
        return (canonicalize_name(found[1].decode()) for found in _NAME_ENTRY.finditer(document.content))

    def _document(self, name: str) -> Document | None:
        url = f"{self._url}{canonicalize_name(name)}/"
        document = self._fetcher.document(url, accept=MEDIA_TYPE, max_bytes=MAX_BYTES)
        if document is not None:
            _refuse_html(document, name)
        return document


class Unchanged:
    """Says that a page has the mark it had before."""


def _refuse_html(document: Document, what: str) -> None:
    media_type = document.media_type.partition(";")[0].strip().lower()
    if media_type in {"text/html", "application/vnd.pypi.simple.v1+html"}:
        raise UnavailableError(
            f"The index answers for {what} with an HTML page; only indexes that speak JSON (PEP 691) can be used.",
            hint="Name an index with a JSON simple API in the settings of pip or uv.",
        )


def _project(name: str, document: Document, content: Any) -> IndexProject:
    page = _read(content, name)
    return IndexProject(
        name=name,
        files=tuple(_files(page, base=document.url)),
        document_sha256=document.sha256,
        serial=page.meta.last_serial,
    )


def _json(content: bytes, name: str) -> Any:
    try:
        return read_json(content, _LIMITS)
    except UnreadableJson as reason:
        raise _no_page(name, f": it {reason}") from None


def _serial(content: Any) -> str | None:
    meta = content.get("meta") if isinstance(content, dict) else None
    serial = meta.get("_last-serial") if isinstance(meta, dict) else None
    number = _serial_number(serial)
    return None if number is None else str(number)


def _no_page(name: str, where: str) -> UnavailableError:
    return UnavailableError(
        f"The index's page for {name} is not a page of the simple JSON API{where}.",
        hint="Check that the settings of pip or uv name a package index.",
    )


def _read(content: Any, name: str) -> _Page:
    try:
        page = _Page.model_validate(content)
    except (ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = f" at {'.'.join(map(str, first['loc']))}: {first['msg']}" if first else ""
        raise _no_page(name, where) from None
    if page.meta.api_version.split(".")[0] != "1":
        raise UnavailableError(
            f"The index's page for {name} has version {page.meta.api_version!r} of the simple API; "
            "only versions 1.x are understood."
        )
    if canonicalize_name(page.name) != canonicalize_name(name):
        raise UnavailableError(f"The index answers for {name} with the page of {page.name!r}.")
    return page


def _files(page: _Page, *, base: str) -> list[ReleaseFile]:
    files, name = [], canonicalize_name(page.name)
    for listed in page.files:
        parsed = file_version(listed.filename)
        if parsed is None or parsed[0] != name:
            continue
        files.append(ReleaseFile(parsed[1], listed, base))
    return files


def _published(listed: IndexedFile, *, base: str) -> PublishedFile | None:
    sha256 = listed.hashes.get("sha256", "").lower()
    url = _address(listed.url, base=base)
    if not is_sha256(sha256) or url is None:
        return None
    yanked = listed.yanked if isinstance(listed.yanked, str) else "" if listed.yanked else None
    return PublishedFile(
        filename=listed.filename,
        url=url,
        sha256=Sha256(sha256),
        size=listed.size,
        uploaded=_moment(listed.upload_time),
        requires_python=listed.requires_python,
        yanked=yanked,
        provenance_url=_address(listed.provenance, base=base) if listed.provenance else None,
    )


def _address(reference: str, *, base: str) -> str | None:
    """The address a reference on a page leads to, without user name and password, since it is shown on pages.

    None when it leads nowhere files are fetched from.
    """
    try:
        parts = urlsplit(urljoin(base, reference))
        parts.port  # noqa: B018 - raises when it is none
    except ValueError:
        return None
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    usable = parts.scheme in {"https", "http", "file"} and url.isprintable() and " " not in url
    return url if usable else None


def _moment(text: str | None) -> datetime | None:
    """A time as PEP 700 writes it (ISO 8601, UTC); None when it is something else, or no time of any upload."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def near_versions(project: IndexProject, wanted: str) -> list[str]:
    """Up to three versions that look like ``wanted``, for a message."""
    if (named := version_of(wanted)) is None:
        return []
    release = named.release

    def shared(version: Version) -> int:
        same = 0
        for ours, theirs in zip(release, version.release, strict=False):
            if ours != theirs:
                break
            same += 1
        return same

    ranked = sorted(project.versions, key=lambda version: (shared(version), version), reverse=True)
    return [str(version) for version in ranked[:3] if shared(version)]


def to_verify(release: Sequence[ReleaseFile]) -> list[ReleaseFile]:
    """The files that stand for a release: the wheel that is installed here, and all pure ones.

    Where there is neither, the first by its name, so that the release is not passed over.
    """
    wheels = sorted((each for each in release if each.is_wheel), key=_preference)
    pure = [each for each in release if each.filename.endswith("-none-any.whl")]
    first = [each for each in wheels[:1] if each not in pure and (rank(each.filename) or not pure)]
    return [*first, *pure] or list(release[:1])


def _preference(file: ReleaseFile) -> tuple[Rank, str]:
    return rank(file.filename) or LAST, file.filename


def listing(project: IndexProject, mark: str) -> Listing:
    """What a project has published; a file whose digest the index does not give cannot be verified, and is left out."""
    releases: defaultdict[Version, list[ReleaseFile]] = defaultdict(list)
    for each in project.files:
        releases[each.version].append(each)
    newest = project.newest
    return Listing(
        ecosystem=ECOSYSTEM,
        name=project.name,
        files=tuple(
            listed
            for version in sorted(releases, reverse=True)
            for each in to_verify(releases[version])
            if (listed := _listed_file(project.name, each)) is not None
        ),
        newest=None if newest is None else str(newest),
        mark=mark,
    )


def _listed_file(name: str, file: ReleaseFile) -> ListedFile | None:
    if file.published is None:
        return None
    version = str(file.version)
    return ListedFile(
        purl=release_purl(name, version),
        version=version,
        filename=file.filename,
        sha256=file.published.sha256,
        uploaded=file.published.uploaded,
        prerelease=file.version.is_prerelease,
        yanked=file.published.yanked is not None,
    )


_SECONDS = 15.0
"""For the answer, a second try included."""
_LONGEST_TYPE = 100
_LISTS_IN_HTML = {"text/html", "application/vnd.pypi.simple.v1+html"}
"""Mirrors may answer with JSON for each project and with HTML for their list (PEP 691 lets an index choose)."""


def ask_index(url: str, ca_bundle: Path | None) -> str:
    """Ask an index for its root, the one address that every index has, whatever projects are in it.

    Nothing is kept, and the list that is there is not read.

    Returns:
        What it answered, in a sentence.

    Raises:
        UnavailableError: it does not answer, or with something else.
    """
    with (
        tempfile.TemporaryDirectory() as place,
        HttpFetcher(
            DiskBlobs(Path(place) / "blobs"),
            HttpCache(Path(place) / "cache"),
            ca_bundle=ca_bundle,
            read_seconds=_SECONDS,
            total_seconds=_SECONDS,
            attempts=2,
            reach=Reach((), os.environ),
        ) as fetcher,
    ):
        fetcher.admit(url)
        found = fetcher.media_type(f"{url.rstrip('/')}/", accept=MEDIA_TYPE)
    if found is None:
        return "It answers, and gives no list of its projects, as some indexes do; whether it has any was not tried."
    if found in _LISTS_IN_HTML:
        return (
            "It answers; its list of projects is HTML, so schedules cannot watch projects by pattern. Whether it has "
            "JSON (PEP 691) for each project is seen when one is asked for."
        )
    if found != MEDIA_TYPE:
        kind = found if found.isprintable() and len(found) < _LONGEST_TYPE else "something else"
        raise UnavailableError(
            f"It answers with {kind or 'no type'}, not with the JSON of an index (PEP 691).",
            hint="Name an index that speaks JSON, or correct the address: it mostly ends in /simple",
        )
    return "It answers."
