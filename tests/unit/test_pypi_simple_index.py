"""Project pages of the simple JSON API, proper and hostile ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from packaging.version import Version

from rebuilder.ecosystems.pypi.simple_index import IndexProject, SimpleIndex, near_versions
from rebuilder.errors import UnavailableError
from rebuilder.model.value import canonical_json
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.fetcher import FakeFetcher

DIGEST = "ab" * 32
WHEEL = "idna-3.10-py3-none-any.whl"


def entry(filename: str = WHEEL, **fields: Any) -> dict[str, Any]:
    """A file as an index lists it."""
    return {"filename": filename, "url": f"https://example.org/{filename}", "hashes": {"sha256": DIGEST}} | fields


def page(*files: Any, **fields: Any) -> bytes:
    """A page of the project ``idna``."""
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "idna", "files": list(files)} | fields).encode()


def read(content: bytes, media_type: str = "application/vnd.pypi.simple.v1+json") -> IndexProject:
    """The project, from a page served at its address."""
    fetcher = FakeFetcher(MemoryBlobs())
    fetcher.serve("https://example.org/simple/idna/", content, media_type)
    project = SimpleIndex("https://example.org/simple", fetcher).project("idna")
    assert project is not None
    return project


def test_reads_what_an_index_says() -> None:
    """Every field that matters is kept; times become UTC, addresses absolute."""
    fields: dict[str, Any] = {
        "url": f"../../files/{WHEEL}#sha256={DIGEST}",
        "size": 5,
        "upload-time": "2024-09-15T18:07:39.745Z",
        "requires-python": ">=3.6",
        "yanked": "broken",
        "provenance": "https://example.org/provenance",
        "a-field-of-the-future": [1],
    }
    project = read(page(entry() | fields))
    [file] = project.files
    assert file.published is not None
    assert f"https://example.org/files/{WHEEL}" == file.published.url
    assert datetime(2024, 9, 15, 18, 7, 39, 745000, tzinfo=UTC) == file.published.uploaded
    assert (DIGEST, 5, ">=3.6", "broken", "https://example.org/provenance") == (
        file.published.sha256,
        file.published.size,
        file.published.requires_python,
        file.published.yanked,
        file.published.provenance_url,
    )
    assert Version("3.10") == file.version


def test_optional_fields_may_be_absent() -> None:
    """An index of PEP 691 alone has neither sizes nor times."""
    [file] = read(page(entry(), meta={"api-version": "1.0"})).files
    assert file.published is not None
    assert (None, None, None) == (file.published.size, file.published.uploaded, file.published.yanked)


@pytest.mark.parametrize(("yanked", "expected"), [(True, ""), (False, None), ("why", "why"), ("", "")])
def test_yanked_is_a_flag_or_a_reason(yanked: bool | str, expected: str | None) -> None:
    """Both forms of PEP 592 are understood."""
    [file] = read(page(entry(yanked=yanked))).files
    assert file.published is not None
    assert expected == file.published.yanked


def test_a_file_without_sha256_cannot_be_used() -> None:
    """It is listed, so that its absence can be explained, but has nothing to be bound by."""
    for hashes in ({}, {"md5": "x"}, {"sha256": "short"}):
        [file] = read(page(entry(hashes=hashes))).files
        assert file.published is None


def test_only_files_one_may_fetch() -> None:
    """Addresses of other kinds are refused."""
    for url in ("javascript:alert(1)", "data:,x", "http://[bad"):
        [file] = read(page(entry(url=url))).files
        assert file.published is None


def test_malformed_entries_hide_no_others() -> None:
    """Entries with odd names or wrong types are passed over."""
    odd: list[Any] = [
        7,
        {},
        entry("idna-3.10.exe"),
        entry("other-1.0.tar.gz"),
        entry("idna-x.tar.gz"),
        entry(size="5"),
        entry(filename="../../idna-3.10.tar.gz"),
        entry(hashes=[]),
    ]
    assert [WHEEL] == [file.filename for file in read(page(*odd, entry())).files]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"meta":{"api-version":"1.1"},"name":"spindle","files":[' + b",".join([b"{}"] * 1_100_000) + b"]}",
        page(*[{}] * 60_000),
        b"[" * 100_000,
        b"{}",
        page(files=None),
        page(files={}),
        page(name=None),
        page(meta={}),
        page(meta={"api-version": 1}),
        page(meta={"api-version": "2.0"}),
        page(name="other"),
    ],
)
def test_rubbish_is_unavailable(content: bytes) -> None:
    """An answer that is no page of the API says something about the index, not about the project."""
    with pytest.raises(UnavailableError) as caught:
        read(content)
    assert str(caught.value).endswith((".", "'."))


def test_html_only_index_is_named() -> None:
    """An index that only speaks HTML is said to be the trouble."""
    with pytest.raises(UnavailableError, match="HTML"):
        read(b"<!DOCTYPE html>", "text/html; charset=utf-8")


def test_unknown_project() -> None:
    """404 is no error: the project does not exist."""
    assert SimpleIndex("https://example.org/simple/", FakeFetcher(MemoryBlobs())).project("nothing") is None


def test_newest_is_what_an_installer_takes() -> None:
    """Final before pre-release, yanked last."""
    files = [entry("idna-1.0.tar.gz"), entry("idna-2.0rc1.tar.gz"), entry("idna-1.5.tar.gz", yanked=True)]
    assert Version("1.0") == read(page(*files)).newest
    assert Version("2.0rc1") == read(page(*files[1:])).newest
    assert Version("1.5") == read(page(files[2])).newest
    assert read(page()).newest is None


def test_near_versions_share_their_beginning() -> None:
    """A mistyped version is answered with those that begin like it."""
    project = read(page(*(entry(f"idna-{version}.tar.gz") for version in ("2.0", "3.1", "3.9", "3.10"))))
    assert ["3.10", "3.9", "3.1"] == near_versions(project, "3.11")
    assert [] == near_versions(project, "9.0")


@pytest.mark.parametrize("serial", ["28", None, -1, True, 1.5, [], 10**30])
def test_a_serial_that_is_none_is_passed_over(serial: Any) -> None:
    """Mirrors write what they like; the page is as good as before."""
    assert read(page(meta={"api-version": "1.1", "_last-serial": serial})).serial is None


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z", "0001-01-01", "1969-12-31"],
)
def test_times_of_no_upload_are_none(time: str) -> None:
    """What cannot be reckoned with is no time."""
    [file] = read(page(entry(**{"upload-time": time}))).files
    assert file.published is not None
    assert file.published.uploaded is None


@pytest.mark.parametrize(
    "url", ["http://example.org:99999/x", "http://[::1", "http://example.org/a b", "http://example.org/\x1b[2J", "x:y"]
)
def test_addresses_that_are_none(url: str) -> None:
    """No file is fetched from there, and none of it is shown."""
    [file] = read(page(entry(url=url))).files
    assert file.published is None


def test_no_password_is_kept_and_no_half_character() -> None:
    """Addresses and reasons are published with the report."""
    [file] = read(page(entry(url="https://user:secret@example.org/x.whl", yanked="\ud800"))).files
    assert file.published is not None
    assert ("https://example.org/x.whl", "?") == (file.published.url, file.published.yanked)
    assert canonical_json(file.published.document())
