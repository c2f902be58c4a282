"""What a look at a project's page gives: which files, in which order, and whether anything has changed."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from rebuilder.ecosystems.npm.packument import Packument
from rebuilder.ecosystems.npm.packument import listing as npm_listing
from rebuilder.ecosystems.npm.subject import precedence
from rebuilder.errors import UnavailableError, UsageError
from rebuilder.model.artifact import Document
from rebuilder.model.value import sha256_hex
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.discovery import pypi_of
from tests.fakes.fetcher import FakeFetcher

INDEX = "https://example.org/simple"
SRI = "sha512-" + base64.b64encode(hashlib.sha512(b"tarball").digest()).decode()


def page(*names: str, serial: object = None, **fields: Any) -> bytes:
    """A page of the project ``one``."""
    files = [{"filename": each, "url": each, "hashes": {"sha256": sha256_hex(each.encode())}} for each in names]
    meta = {"api-version": "1.1"} | ({} if serial is None else {"_last-serial": serial})
    return json.dumps({"meta": meta, "name": "one", "files": files} | fields).encode()


def test_files_that_are_verified_without_a_name() -> None:
    """Pure wheels, or one file that stands for a release; newest version first; what has no digest is left out."""
    fetcher = FakeFetcher(MemoryBlobs())
    names = ("one-1.0.tar.gz", "one-1.1-py3-none-any.whl", "one-1.1.tar.gz", "one-1.10-cp311-cp311-linux_x86_64.whl")
    unbound = {"filename": "one-3.0-py3-none-any.whl", "url": "x", "hashes": {"md5": "0"}}
    content = json.loads(page(*names, "one-2.0rc1-py3-none-any.whl"))
    content["files"].append(unbound)
    fetcher.serve(f"{INDEX}/one/", json.dumps(content).encode())
    found = pypi_of(INDEX, fetcher, MemoryBlobs()).listing("One")
    assert found is not None
    assert ["one-2.0rc1-py3-none-any.whl", names[3], names[1], names[0]] == [each.filename for each in found.files]
    assert [True, False, False, False] == [each.prerelease for each in found.files]
    assert ("one", "pypi") == (found.name, found.ecosystem)
    assert [f"{INDEX}/one/"] == fetcher.asked


def test_unchanged_page_is_none() -> None:
    """The same bytes, or other bytes with the same serial; a serial that is none does not count."""
    fetcher = FakeFetcher(MemoryBlobs())
    pypi = pypi_of(INDEX, fetcher, MemoryBlobs())

    def look(content: bytes, seen: str | None) -> str | None:
        fetcher.serve(f"{INDEX}/one/", content)
        found = pypi.listing("one", seen)
        return None if found is None else found.mark

    first = look(page(serial=7), None)
    assert look(page(serial=7), first) is None
    assert look(page(serial=7, views=1), first) is None
    second = look(page(serial=8), first)
    assert second not in {None, first}
    plain = look(page(), second)
    assert look(page(), plain) is None
    assert look(page(views=1), plain) is not None
    assert look(page("one-1.0.tar.gz", serial=8), plain) is not None


def test_unchanged_page_is_not_read() -> None:
    """A page that did not change is not even parsed."""
    fetcher = FakeFetcher(MemoryBlobs())
    fetcher.serve(f"{INDEX}/one/", b"{")
    pypi = pypi_of(INDEX, fetcher, MemoryBlobs())
    assert pypi.listing("one", sha256_hex(b"{")) is None
    with pytest.raises(UnavailableError, match="not a page of the simple"):
        pypi.listing("one")


def test_project_that_is_not_there() -> None:
    """It is the caller's mistake, and the name is in the sentence."""
    with pytest.raises(UsageError, match="The project nope is not on the index"):
        pypi_of(INDEX, FakeFetcher(MemoryBlobs()), MemoryBlobs()).listing("nope")


def test_project_names() -> None:
    """Normalised, in order; what is no name is left out."""
    fetcher = FakeFetcher(MemoryBlobs())
    projects = [{"_last-serial": 1, "name": "Zope.Interface"}, {"name": "a"}, {"name": "../etc"}]
    fetcher.serve(f"{INDEX}/", json.dumps({"meta": {"api-version": "1.1"}, "projects": projects}).encode())
    assert ["zope-interface", "a"] == list(pypi_of(INDEX, fetcher, MemoryBlobs()).project_names())


def test_npm_releases() -> None:
    """By precedence; a version that is malformed or not bound by a digest is left out, and does not hide others."""
    versions = {
        each: {"name": "own", "version": each, "dist": {"tarball": f"https://example.org/{each}.tgz", "integrity": SRI}}
        for each in ("1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0-rc.2")
    }
    versions["3.0.0"] = {"name": "own", "version": "3.0.0", "dist": {"tarball": "https://example.org/3.tgz"}}
    versions["not-a-version"] = {}
    content = {
        "name": "own",
        "versions": versions,
        "dist-tags": {"latest": "1.10.0"},
        "time": {"1.9.0": "2024-03-02T00:00:00Z"},
    }
    data = json.dumps(content).encode()
    document = Document(
        url="https://example.org/own", sha256=sha256_hex(data), content=data, media_type="application/json"
    )
    found = npm_listing(Packument(document, "own"))
    assert ["2.0.0-rc.2", "2.0.0-rc.1", "1.10.0", "1.9.0"] == [each.version for each in found.files]
    assert ("1.10.0", document.sha256) == (found.newest, found.mark)
    assert {None} == {each.sha256 for each in found.files}
    assert ("own-1.9.0.tgz", "pkg:npm/own@1.9.0", 2024) == (
        found.files[3].filename,
        found.files[3].purl,
        found.files[3].uploaded and found.files[3].uploaded.year,
    )


def test_npm_precedence() -> None:
    """The example of Semantic Versioning 2.0.0, section 11."""
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    ordered += ["1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1"]
    assert ordered == sorted(ordered[1::2] + ordered[::2], key=precedence)
