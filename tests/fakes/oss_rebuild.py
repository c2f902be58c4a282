"""Bundles in the form of OSS Rebuild, signed with a key of the tests."""

from __future__ import annotations

import base64
from typing import Any

from rebuilder.model.value import Sha256, canonical_json
from rebuilder.signing.envelope import seal
from rebuilder.signing.vocabulary import PAYLOAD_TYPE, PROVENANCE_TYPE, STATEMENT_TYPE
from tests.fakes.signer import MemorySigner

BUILDS = "https://builds.example.org"


def equivalence(filename: str, sha256: Sha256, rebuilt: Sha256, **changes: Any) -> dict[str, Any]:
    """Published and rebuilt file are equal once stabilised."""
    target, candidate = f"https://registry.example.org/{filename}", f"rebuild/{filename}"
    given: dict[str, Any] = {
        "candidate": candidate,
        "target": target,
        "dependencies": [_file(candidate, rebuilt), _file(target, sha256)],
        **changes,
    }
    return _statement(
        filename,
        sha256,
        {
            "buildType": f"{BUILDS}/ArtifactEquivalence@v0.1",
            "externalParameters": {"candidate": given["candidate"], "target": given["target"]},
            "resolvedDependencies": given["dependencies"],
        },
        [_file(f"stabilized/{filename}", sha256)],
    )


def rebuild(filename: str, rebuilt: Sha256, artifact: str | None = None) -> dict[str, Any]:
    """How the file was rebuilt."""
    return _statement(
        f"rebuild/{filename}",
        rebuilt,
        {
            "buildType": f"{BUILDS}/Rebuild@v0.1",
            "externalParameters": {
                "artifact": artifact or filename,
                "ecosystem": "pypi",
                "package": "idna",
                "version": "3.20",
            },
            "resolvedDependencies": [{"name": "git+https://forge.example.org/idna", "digest": {"sha1": "0" * 40}}],
        },
        [
            {"name": name, "content": base64.b64encode(b"{}").decode()}
            for name in ("build.json", "Dockerfile", "steps.json")
        ],
    )


def bundle(*statements: dict[str, Any], seed: int = 1) -> bytes:
    """Envelopes one after another."""
    signer = MemorySigner(seed)
    return "".join(seal(PAYLOAD_TYPE, canonical_json(each), signer) for each in statements).encode()


def genuine(filename: str, sha256: Sha256, rebuilt: Sha256, seed: int = 1) -> bytes:
    """A whole bundle."""
    return bundle(rebuild(filename, rebuilt), equivalence(filename, sha256, rebuilt), seed=seed)


def _file(name: str, sha256: Sha256) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _statement(
    name: str, sha256: Sha256, definition: dict[str, Any], byproducts: list[dict[str, Any]]
) -> dict[str, Any]:
    metadata = {"invocationId": "one", "finishedOn": "2026-11-01T12:00:00Z"}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [_file(name, sha256)],
        "predicateType": PROVENANCE_TYPE,
        "predicate": {
            "buildDefinition": definition,
            "runDetails": {"builder": {"id": f"{BUILDS}/host"}, "metadata": metadata, "byproducts": byproducts},
        },
    }
