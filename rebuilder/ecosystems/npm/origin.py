"""Which commit a tarball comes from, and who says so: an attestation; or the registry and tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rebuilder.model.artifact import Artifact
from rebuilder.model.git import SourceProblem
from rebuilder.model.graph import Origin
from rebuilder.model.provenance import Provenance
from rebuilder.network.git.address import submodule_address
from rebuilder.network.protocol import Sources

_TAGS = "refs/tags/"
_SHORT = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org"}
"""What package.json may write in place of an address (https://docs.npmjs.com/cli/configuring-npm/package-json)."""
_SHORTHAND = re.compile(r"(?:(?P<forge>github|gitlab|bitbucket):)?(?P<path>[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def find_origin(
    entry: Mapping[str, Any],
    artifact: Artifact,
    provenance: Provenance | None,
    sources: Sources,
    *,
    expected: str | None = None,
) -> Origin | None:
    """Find the commit; see :meth:`rebuilder.ecosystems.protocol.Ecosystem.origin`.

    Args:
        entry: What the registry's document says of the version; hostile.
        artifact: The tarball.
        provenance: What checking its attestations said.
        sources: Where tags are looked up.
        expected: The repository that the settings expect it to come from.

    Raises:
        UnavailableError, StoreError: see :meth:`Sources.tags`.
    """
    publisher = provenance.publisher if provenance is not None else None
    if provenance is not None and publisher is not None and provenance.repository and provenance.commit:
        ref = publisher.ref or ""
        return Origin(
            repository=provenance.repository,
            commit=provenance.commit,
            tag=ref.removeprefix(_TAGS) if ref.startswith(_TAGS) else None,
            attested=True,
            sentence="A verified attestation names this commit.",
        )
    repository, who = expected, "the settings expect it to come from this repository"
    if repository is None:
        repository, who = claimed_repository(entry.get("repository")), "its package.json names this repository"
    if repository is None:
        return None
    head = entry.get("gitHead")
    if isinstance(head, str) and _COMMIT.fullmatch(head):
        sentence = f"Claimed, not attested: {who}, and the registry has this commit as the one it was published from."
        return Origin(repository=repository, commit=head, attested=False, sentence=sentence)
    tags = sources.tags(repository)
    if isinstance(tags, SourceProblem):
        sentence = f"Claimed, not attested: {who}. Its tags could not be read: {tags.sentence}"
        return Origin(repository=repository, attested=False, sentence=sentence)
    name = next((each for each in _spelt(artifact) if each in tags), None)
    if name is None:
        sentence = f"Claimed, not attested: {who}; none of its {len(tags)} tags is that of {artifact.version}."
        return Origin(repository=repository, attested=False, sentence=sentence)
    sentence = f"Claimed, not attested: {who}, and its tag {name} points at this commit."
    return Origin(repository=repository, commit=tags[name], tag=name, attested=False, sentence=sentence)


def claimed_repository(value: Any) -> str | None:
    """The https address of the repository that a package.json names; None where it names none that can be asked."""
    text = value.get("url") if isinstance(value, dict) else value
    if not isinstance(text, str) or len(text) > 500 or not text.isascii() or not text.isprintable():
        return None
    text = text.strip().removeprefix("git+").partition("#")[0]
    short = _SHORTHAND.fullmatch(text)
    if short is not None:
        return f"https://{_SHORT[short['forge'] or 'github']}/{short['path']}"
    address = submodule_address(text, "")
    return address.removesuffix(".git") if address.startswith("https://") else None


def _spelt(artifact: Artifact) -> list[str]:
    name, version = artifact.name, artifact.version
    plain = name.rpartition("/")[2]
    return [
        f"v{version}",
        version,
        f"{name}@{version}",
        f"{plain}@{version}",
        f"{plain}-v{version}",
        f"{name}-v{version}",
    ]
