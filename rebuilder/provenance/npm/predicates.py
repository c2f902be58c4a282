"""Names of what npm attestations say."""

from __future__ import annotations

PUBLISH = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1"
"""Predicate type of the registry's own publish attestation."""
