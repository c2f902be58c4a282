"""Reviews of admission as an API server sends them, around objects of a test; and bills of materials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rebuilder.model.value import Sha256
from rebuilder.signing.envelope import seal
from rebuilder.signing.vocabulary import PAYLOAD_TYPE
from tests.fakes.signer import MemorySigner

ASSETS = Path(__file__).parents[1] / "assets" / "admission"
CYCLONEDX = "https://cyclonedx.org/bom"
GROUPS = {"Pod": "", "CronJob": "batch", "Job": "batch"}


def recorded(name: str) -> dict[str, Any]:
    """A document that somebody published."""
    found: dict[str, Any] = json.loads((ASSETS / f"{name}.json").read_text())
    return found


def pod(*images: str, **more: Any) -> dict[str, Any]:
    """What describes a pod with containers of these images."""
    return {"containers": [{"name": f"c{number}", "image": each} for number, each in enumerate(images)], **more}


def workload(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """An object of a kind around the description of a pod."""
    inner: Mapping[str, Any] = spec
    if kind != "Pod":
        inner = {"template": {"metadata": {"labels": {"app": "web"}}, "spec": spec}}
    if kind == "CronJob":
        inner = {"schedule": "0 * * * *", "jobTemplate": {"spec": inner}}
    elif kind in {"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"}:
        inner = {"selector": {"matchLabels": {"app": "web"}}, **inner}
    group = GROUPS.get(kind, "apps")
    version = f"{group}/v1" if group else "v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, "spec": inner}


def review(
    document: dict[str, Any] | None, *, before: dict[str, Any] | None = None, operation: str = "CREATE"
) -> dict[str, Any]:
    """The recorded review, with another object."""
    found = recorded("pod")
    of = document or before or {}
    group, _, version = str(of.get("apiVersion", "v1")).rpartition("/")
    kind = {"group": group, "version": version, "kind": of.get("kind", "Pod")}
    found["request"] |= {"kind": kind, "object": document, "oldObject": before, "operation": operation}
    return found


def bill(*rows: tuple[str, str | None]) -> dict[str, Any]:
    """CycloneDX with components by package URL and SHA-256."""
    components = [
        {"type": "library", "name": purl, "purl": purl}
        | ({"hashes": [{"alg": "SHA-256", "content": sha256}]} if sha256 is not None else {})
        for purl, sha256 in rows
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}


def attestation(digest: str, predicate: Any, signer: MemorySigner, kind: str = CYCLONEDX) -> str:
    """An in-toto statement about an image, in a signed envelope; one line."""
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": [{"name": "registry.example.org/team/web", "digest": {"sha256": digest}}],
        "predicateType": kind,
        "predicate": predicate,
    }
    return seal(PAYLOAD_TYPE, json.dumps(statement).encode(), signer)


def put(directory: Path, digest: Sha256 | str, lines: Iterable[str], ending: str = "jsonl") -> Path:
    """Write what is known of an image."""
    directory.mkdir(exist_ok=True)
    path = directory / f"sha256-{digest}.{ending}"
    path.write_text("".join(f"{each.strip()}\n" for each in lines))
    return path
