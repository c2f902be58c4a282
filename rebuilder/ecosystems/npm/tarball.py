"""The files of a published tarball, as a program inside the sandbox lists them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import Field, ValidationError

from rebuilder.ecosystems.inspection import InspectionContext
from rebuilder.ecosystems.obstacles import NotRebuildable, unsupported
from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json
from rebuilder.model.artifact import PublishedFile
from rebuilder.model.attempt import Outcome
from rebuilder.model.definition import Input, Role
from rebuilder.model.git import ObjectId
from rebuilder.model.value import Sha256Field, Value, canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict

MANIFEST = "package.json"
_MOST_FILES = 200_000
_LIMITS = JsonLimits(values=100_000)


class TarballFile(Value):
    """One file that an installer writes."""

    path: str
    """Below the directory of the package."""
    sha256: Sha256Field
    size: int = Field(ge=0)
    blob: ObjectId
    """What git names this content by."""
    unix_blob: ObjectId | None = None
    """The same with LF for every CRLF, where every line ends so; as a checkout on Windows makes it."""
    compiled: bool = False
    """Whether it is compiled code, by its first bytes or its name."""
    script: bool = False
    """Whether it begins with ``#!``."""


class Tarball(Value):
    """The files of one tarball, in its order."""

    files: tuple[TarballFile, ...] = Field(max_length=_MOST_FILES)
    manifest: str | None = None
    """Text of its package.json."""
    problem: str | None = None
    """Why it cannot be read, as a sentence."""

    @cached_property
    def installed(self) -> dict[str, TarballFile]:
        """Path to the file that is there in the end: of several with one path the last."""
        return {each.path: each for each in self.files}

    @cached_property
    def package(self) -> dict[str, Any]:
        """What package.json says; hostile. Empty where there is none."""
        return read_manifest(self.manifest or "") or {}


def read_manifest(text: str) -> dict[str, Any] | None:
    """A package.json; None where it is none."""
    try:
        content = read_json(text.removeprefix("\ufeff").encode("utf-8", "surrogatepass"), _LIMITS)
    except UnreadableJson:
        return None
    return content if isinstance(content, dict) else None


def scripts_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The scripts of a package.json, as far as they are texts."""
    found = manifest.get("scripts")
    return {name: text for name, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def list_tarball(context: InspectionContext, file: PublishedFile) -> Tarball:
    """List a tarball among the blobs; what an earlier run found out is not asked again.

    Raises:
        NotRebuildable: it cannot be read, or reading it did not come to its end.
        SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see :class:`Programs`.
    """
    tarball = Input(role=Role.PARAMETERS, name=file.filename, sha256=file.sha256, path="/inputs/published.tgz")
    question = {"list_tarball": file.sha256, "program": context.programs.program_input("account").sha256}
    key = sha256_hex(canonical_json(question))
    document = context.memo.get(key)
    if document is None:
        result = context.programs.run("account", "list_tarball", [tarball.path], inputs=[tarball])
        if result.run.outcome is not Outcome.COMPLETED:
            verdict = Verdict.TIMED_OUT if result.run.limit else Verdict.UNSUPPORTED
            raise NotRebuildable(verdict, f"Listing {file.filename} did not come to an end.")
        document = result.document
    try:
        found = Tarball.model_validate(document)
    except ValidationError:
        raise unsupported(f"What {file.filename} holds cannot be told.") from None
    context.memo.put(key, found.document())
    if found.problem is not None:
        raise unsupported(f"{file.filename} cannot be read to its end: {found.problem}")
    return found
