"""Known vulnerabilities out of a local export: which releases are affected, and what malformed documents do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import UsageError
from rebuilder.vulnerabilities import Export
from tests.fakes import reports


def advisory(identifier: str = "GHSA-1", name: str = "idna", ecosystem: str = "PyPI", **fields: Any) -> dict[str, Any]:
    """One document; ``events`` are those of its one range."""
    events = fields.pop("events", [{"introduced": "0"}, {"fixed": "3.7"}])
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    affected = {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges} | fields.pop("affected", {})
    return {"id": identifier, "modified": "2026-01-01T00:00:00Z", "affected": [affected]} | fields


def export(place: Path, *documents: Any) -> Export:
    """An export that was read from a directory."""
    place.mkdir(exist_ok=True)
    for number, each in enumerate(documents):
        text = each if isinstance(each, bytes) else json.dumps(each).encode()
        (place / f"{number}.json").write_bytes(text)
    return Export.read(place)


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("3.6", True),
        ("3.7", False),
        ("3.7rc1", True),
        ("0.1", True),
        ("3.10", False),
        ("1!1", False),
        ("nonsense", True),
    ],
)
def test_a_range(tmp_path: Path, version: str, affected: bool) -> None:
    """Up to the version that fixes it, in the order of the ecosystem; what cannot be ordered is not taken for safe."""
    found = export(tmp_path / "osv", advisory())
    assert affected == bool(found.affecting("pypi", "IDNA", version))


@pytest.mark.parametrize(
    ("version", "affected"), [("1.9.9", False), ("2.0.0", True), ("2.4.0", True), ("2.4.1", False)]
)
def test_up_to_the_last_one(tmp_path: Path, version: str, affected: bool) -> None:
    """A range that ends with the last version affected; the project of another ecosystem is another one."""
    events = [{"introduced": "2.0.0"}, {"last_affected": "2.4.0"}]
    found = export(tmp_path / "osv", advisory(name="@scope/x", ecosystem="npm", events=events))
    assert affected == bool(found.about(f"pkg:npm/%40scope/x@{version}"))
    assert () == found.about(f"pkg:pypi/x@{version}")


def test_two_ranges_in_one(tmp_path: Path) -> None:
    """Introduced again after it was fixed."""
    events = [{"introduced": "3.0"}, {"fixed": "2.0"}, {"introduced": "1.0"}, {"fixed": "3.5"}]
    found = export(tmp_path / "osv", advisory(events=events))
    told = {each: bool(found.affecting("pypi", "idna", each)) for each in ("0.9", "1.5", "2.5", "3.2", "3.5")}
    assert {"0.9": False, "1.5": True, "2.5": False, "3.2": True, "3.5": False} == told


def test_listed_versions_and_ratings(tmp_path: Path) -> None:
    """Versions by name, in any spelling; ratings of whoever keeps the database; malicious packages by identifier."""
    listed = {"versions": ["1.0"], "ranges": []}
    found = export(
        tmp_path / "osv",
        advisory("GHSA-b", affected=listed, database_specific={"severity": "HIGH"}, summary=reports.HOSTILE),
        advisory("MAL-a", affected=listed),
        advisory("PYSEC-c", affected=listed, aliases=["CVE-1"], withdrawn="2026-02-01T00:00:00Z"),
        advisory("PYSEC-d", affected=listed, aliases=["CVE-2"]),
    )
    told = found.about("pkg:pypi/idna@1.0.0")
    assert [("GHSA-b", "high"), ("MAL-a", "malicious"), ("PYSEC-d", None)] == [
        (each.id, each.severity) for each in told
    ]
    assert ("CVE-2",) == told[2].aliases
    assert not {"\u202e", "\x1b", "\x00"} & set(told[0].summary)


def test_a_zip_archive(tmp_path: Path) -> None:
    """As registries of vulnerabilities hand them out."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("GHSA-1.json", json.dumps(advisory()))
        archive.writestr("README", "no document")
    found = Export.read(tmp_path / "all.zip")
    assert (1, 0) == (found.documents, found.passed_over)
    assert ["GHSA-1"] == [each.id for each in found.about("pkg:pypi/idna@3.6")]


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"id": 7}',
        b'{"id": "x", "affected": [1]}',
        b'{"id": "x", "affected": [{"package": []}]}',
        b"[" * 5000,
    ],
)
def test_malformed_documents_are_passed_over(tmp_path: Path, bad: bytes) -> None:
    """And counted; the others are read."""
    found = export(tmp_path / "osv", bad, advisory())
    assert (1, 1) == (found.documents, found.passed_over)
    assert found.about("pkg:pypi/idna@3.6")


@pytest.mark.parametrize(
    "affected",
    [
        {"ranges": "x"},
        {"ranges": [7, {"type": "ECOSYSTEM", "events": [None, {"fixed": []}]}]},
        {"versions": {"a": 1}},
        {"ranges": [{}]},
    ],
)
def test_strange_ranges_say_nothing(tmp_path: Path, affected: dict[str, Any]) -> None:
    """What is not understood affects nothing that is not named, and stops nothing."""
    assert () == export(tmp_path / "osv", advisory(affected={"ranges": []} | affected)).about("pkg:pypi/idna@3.6")


@pytest.mark.parametrize("purl", ["", "idna", "pkg:pypi/idna", "pkg:deb/debian/gzip@1", "pkg:pypi/other@1"])
def test_what_nothing_is_known_about(tmp_path: Path, purl: str) -> None:
    """No release of an ecosystem that is read, or none that is affected."""
    assert () == export(tmp_path / "osv", advisory()).about(purl)


def test_no_export(tmp_path: Path) -> None:
    """A sentence that names it."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no archive")
    for name in ("empty", "text", "missing"):
        with pytest.raises(UsageError, match=name):
            Export.read(tmp_path / name)
