"""What upstream signed, on a page: every status in words, signed beside unsigned, hostile values as text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rebuilder.model.provenance import FindingKind, Forge, Provenance, ProvenanceFinding, ProvenanceStatus
from rebuilder.site.display import secure_link
from rebuilder.site.rendering import Renderer
from rebuilder.site.sections.provenance import (
    MOST_FINDINGS,
    MOST_RESULTS,
    IdentityRow,
    ProvenanceSection,
    provenance_section,
)
from tests.fakes import trails
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.sites import cells


def section(value: Provenance | None) -> ProvenanceSection:
    """The section, which has to be there."""
    found = provenance_section(value)
    assert found is not None
    return found


def rows(value: ProvenanceSection) -> dict[str, IdentityRow]:
    """The traits of the publisher by label."""
    return {row.label: row for row in value.identity}


def test_what_was_not_checked_has_no_section() -> None:
    """The template says so in one sentence."""
    assert None is provenance_section(None)


@pytest.mark.parametrize("status", ProvenanceStatus)
def test_every_status_is_a_sentence(status: ProvenanceStatus) -> None:
    """Icon, word, plain sentence; only an invalid one is loud."""
    found = section(Provenance(status=status, sentence="Why."))
    assert found.mark.name == status.value
    assert found.mark.spoken.endswith(".")
    assert found.mark.icon
    assert (status is ProvenanceStatus.INVALID) == found.loud
    assert "Why." == found.sentence


def test_absent_says_no_more_than_the_index_does() -> None:
    """We see one index: what upstream published elsewhere is not known."""
    found = section(Provenance(status=ProvenanceStatus.ABSENT, sentence="Why."))
    assert "No signed statement about this file is named where it is published." == found.mark.spoken


def test_every_finding_has_a_heading_and_grave_ones_come_first() -> None:
    """Written for a reader; what concerns trust is loud."""
    findings = tuple(ProvenanceFinding(kind=kind, sentence="So.") for kind in FindingKind)
    found = section(trails.verified("loom", "1", findings=findings)).findings
    assert len(FindingKind) == len(found) == len({each.kind.heading for each in found})
    loud = [each.kind.loud for each in found]
    assert sorted(loud, reverse=True) == loud
    assert {"Publisher changed", "Attestation vanished", "Not what was expected"} < {
        each.kind.heading for each in found if each.kind.loud
    }


def test_signed_and_unsigned_stand_side_by_side() -> None:
    """The certificate in one column, the word of the index in the other; nothing moves between them."""
    found = section(trails.verified("loom", "2.2.0"))
    shown = rows(found)
    assert "Publisher" == found.heading
    assert ("GitHub", "GitHub") == (shown["Forge"].signed, shown["Forge"].claimed)
    assert ("https://forge.example.org/weavers/loom", "weavers/loom") == (
        shown["Repository"].signed,
        shown["Repository"].claimed,
    )
    assert ("not stated", "release") == (shown["Environment"].signed, shown["Environment"].claimed)
    assert ("refs/tags/v2.2.0", "") == (shown["Ref"].signed, shown["Ref"].claimed)
    assert f"https://forge.example.org/weavers/loom/commit/{trails.COMMIT}" == shown["Commit"].href


def test_only_the_index_speaks_where_nothing_is_proven() -> None:
    """Its claims are listed, and nothing looks signed."""
    found = section(trails.verified("loom", "1", results=(), status=ProvenanceStatus.NOT_CHECKABLE))
    assert found.identity
    assert {"–"} == {row.signed for row in found.identity}
    assert "as the index names it" in found.heading


def test_a_signer_that_is_not_accepted_is_said_to_be() -> None:
    """Somebody signed something else: named, and no link leads there."""
    found = section(trails.invalid(MemoryBlobs()).provenance)
    assert "Who signed, without being accepted" == found.heading
    assert "https://forge.example.org/strangers/treadle" == rows(found)["Repository"].signed
    assert {None} == {row.href for row in found.identity}


def test_each_attestation_has_a_row() -> None:
    """Predicate type, digest, result, signer, log time and index, validity of the certificate."""
    found = section(trails.verified("loom", "2.2.0"))
    html = Renderer("A verifier").html("provenance.html", SimpleNamespace(provenance=found)).decode()
    attestation, result, signer, entry = cells(html, "results")[0]
    assert trails.PUBLISH in attestation
    assert attestation.endswith(f"{found.results[0].sha256[:16]}…")
    assert result.startswith("✓ Verified")
    assert "@refs/tags/v2.2.0" in signer
    assert signer.endswith("Certificate valid from 2026-03-09 08:40 UTC to 2026-03-09 08:50 UTC")
    assert "2026-03-09 08:40 UTCentry 138211907" == entry


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"forge": Forge.GITLAB}, True),
        ({"forge": Forge.GOOGLE}, False),
        ({"commit": "../../evil"}, False),
        ({"commit": "0" * 41}, False),
        ({"repository": "http://forge.example.org/a/b"}, False),
        ({"repository": "https://forge.example.org/a/b?x=/commit"}, False),
        ({"repository": "https://forge.example.org/a/b#"}, False),
        ({"repository": "https://user@forge.example.org/a/b"}, False),
        ({"repository": None}, False),
    ],
)
def test_a_commit_is_a_link_only_where_its_address_is_certain(changes: dict[str, Any], expected: bool) -> None:
    """A known forge, a well-formed https address, a commit id in hexadecimal."""
    by = trails.publisher("loom", "1", **changes)
    found = rows(section(trails.verified("loom", "1", results=(trails.result(by),))))
    assert expected == (found["Commit"].href is not None)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/",
        "javascript:alert(1)",
        "https://a@example.org",
        "https:///x",
        "//example.org",
        " https://x",
    ],
)
def test_addresses_from_certificates_are_links_only_over_https(address: str) -> None:
    """Everything else is text."""
    assert None is secure_link(address)
    assert "HTTPS://example.org/x" == secure_link("HTTPS://example.org/x")


def test_floods_are_cut_and_said_to_be() -> None:
    """Hundreds of attestations, claims and findings make a page of bearable length."""
    findings = tuple(
        ProvenanceFinding(kind=FindingKind.UNKNOWN_FIELD, sentence=f"{each}") for each in range(MOST_FINDINGS * 9)
    )
    hostile = trails.hostile(MemoryBlobs()).provenance
    assert hostile is not None
    found = section(hostile.replace(findings=findings))
    assert (MOST_RESULTS, 82 - MOST_RESULTS) == (len(found.results), found.hidden)
    assert MOST_FINDINGS == len(found.findings)
    assert 20 > len(found.identity)
    assert 2000 > max(len(row.claimed) for row in found.identity)
    assert {None} == {row.href for row in found.identity}
