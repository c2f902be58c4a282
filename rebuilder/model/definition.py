"""A build definition: every input of one build, in one content-addressed document.

The document has the shape of ``buildDefinition`` in SLSA Provenance v1
(https://slsa.dev/spec/v1.0/provenance#builddefinition), so that it is published in a statement as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from rebuilder.model.environment import Package
from rebuilder.model.evidence import Source
from rebuilder.model.value import Sha256, Sha256Field, Value, canonical_json, sha256_hex


class Role(StrEnum):
    """What an input of a build is for."""

    SOURCE = "source"
    BUILD_DEPENDENCY = "build-dependency"
    BUILD_TOOL = "build-tool"
    PROGRAM = "guest-program"
    """Our own programs that run inside the sandbox. The word in documents is that of the first version."""
    PARAMETERS = "parameters"
    """A document we derived from the evidence, such as a requirements file."""


class Input(Value):
    """One file the sandbox may read."""

    role: Role
    name: str
    sha256: Sha256Field
    path: str
    """Absolute path inside the sandbox, below ``/inputs`` or ``/tools``."""
    uri: str | None = None
    """Where it was published; None for what we made ourselves."""
    version: str | None = None
    executable: bool = False


class EnvironmentRef(Value):
    """The read-only root file system of a build."""

    name: str
    """Such as ``trixie``."""
    sha256: Sha256Field
    """Digest over the tree (see ``rebuilder.environments.tree``)."""
    unauthenticated: tuple[Package, ...] = ()
    """Packages of it that nobody signed: whoever served one can have made it for this very build."""

    @property
    def findings(self) -> dict[str, Any]:
        """What is out of the ordinary about it, as statements have it; nothing of most."""
        named = [each.document() for each in self.unauthenticated]
        return {"unauthenticated": named} if named else {}


class Limits(Value):
    """What one run may use; reaching any of them ends the run with the outcome ``timed-out``."""

    wall_seconds: float = 600
    cpu_seconds: float = 600
    memory_bytes: int = 2 << 30
    """Resident memory of all processes of the run together."""
    processes: int = 256
    """Processes and threads at once."""
    file_bytes: int = 512 << 20
    """Largest single file."""
    disk_bytes: int = 1 << 30
    """All of ``/build`` and ``/tmp`` together."""
    output_bytes: int = 256 << 20
    """All files in ``/out`` together."""
    log_bytes: int = 16 << 20


class BuildDefinition(Value):
    """One complete build. Two equal definitions are the same build."""

    build_type: str
    """A URI that names how ``commands`` came about, documented under ``docs/predicates/``."""
    purl: str
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    """File names of the artifacts this is to rebuild; for other runs, of what they look at."""
    source: Source | None = None
    inputs: tuple[Input, ...] = ()
    toolchain: EnvironmentRef
    commands: tuple[tuple[str, ...], ...]
    """Run in order, in one sandbox, each from ``directory``; the first that fails ends the run."""
    environment: dict[str, str]
    """The whole environment: nothing is inherited."""
    directory: str = "/build"
    umask: str = "0022"
    hostname: str = "rebuilder"
    cpu_count: int = 1
    """CPUs the run may be scheduled on."""
    clock: datetime | None = None
    """What the clock of the sandbox shows when the last command begins, UTC; None: the time of the machine.

    Only a sandbox with a kernel of its own has a clock that can be set."""
    clock_stands: bool = False
    """Whether :attr:`clock` then goes only while no process runs, so that work takes no time, however slow the machine.

    It is set back again and again: it may be tenths of a second ahead for a moment."""
    sandbox: str = "bubblewrap"
    limits: Limits = Limits()

    @model_validator(mode="before")
    @classmethod
    def _of_one_file(cls, document: Any) -> Any:
        """Documents from before there could be several targets have a ``filename``."""
        if isinstance(document, dict) and "filename" in document and "targets" not in document:
            kept = {name: content for name, content in document.items() if name != "filename"}
            return kept | {"targets": [document["filename"]]}
        return document

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if len(set(self.targets)) < len(self.targets):
            raise ValueError("it names a target twice")
        return self

    @property
    def ecosystem(self) -> str:
        """The type of :attr:`purl`."""
        return self.purl.removeprefix("pkg:").partition("/")[0]

    @cached_property
    def slsa(self) -> dict[str, Any]:
        """The ``buildDefinition`` object of SLSA Provenance v1."""
        return {
            "buildType": self.build_type,
            "externalParameters": {
                "purl": self.purl,
                **({"filename": self.targets[0]} if len(self.targets) == 1 else {"filenames": list(self.targets)}),
                **({"source": self.source.document()} if self.source else {}),
            },
            "internalParameters": {
                "commands": [list(command) for command in self.commands],
                "environment": self.environment,
                "directory": self.directory,
                "umask": self.umask,
                "hostname": self.hostname,
                "cpuCount": self.cpu_count,
                **({"clock": self.clock.astimezone(UTC).isoformat()} if self.clock is not None else {}),
                **({"clockStands": True} if self.clock_stands else {}),
                "sandbox": self.sandbox,
                "limits": self.limits.document(),
            },
            "resolvedDependencies": [
                {
                    "name": self.toolchain.name,
                    "digest": {"dirTree": self.toolchain.sha256},
                    "annotations": {"role": "toolchain", **self.toolchain.findings},
                },
                *({**_descriptor(each)} for each in self.inputs),
            ],
        }

    @cached_property
    def canonical(self) -> bytes:
        """RFC 8785 form of :attr:`slsa`."""
        return canonical_json(self.slsa)

    @cached_property
    def digest(self) -> Sha256:
        """SHA-256 of :attr:`canonical`: the name of this definition everywhere."""
        return sha256_hex(self.canonical)

    @classmethod
    def from_slsa(cls, document: dict[str, Any]) -> BuildDefinition:
        """Read back what :attr:`slsa` wrote.

        Raises:
            ValueError, KeyError, TypeError: when the document has another shape.
        """
        outer, inner = document["externalParameters"], document["internalParameters"]
        if "filenames" in outer and ("filename" in outer or len(outer["filenames"]) < 2):
            raise ValueError("A definition has one “filename”, or several “filenames”.")
        environment, *inputs = document["resolvedDependencies"]
        return cls.model_validate(
            {
                "build_type": document["buildType"],
                "purl": outer["purl"],
                "targets": outer["filenames"] if "filenames" in outer else [outer["filename"]],
                "source": outer.get("source"),
                "toolchain": {
                    "name": environment["name"],
                    "sha256": environment["digest"]["dirTree"],
                    "unauthenticated": environment.get("annotations", {}).get("unauthenticated", ()),
                },
                "inputs": [_input(each) for each in inputs],
                "commands": inner["commands"],
                "environment": inner["environment"],
                "directory": inner["directory"],
                "umask": inner["umask"],
                "hostname": inner["hostname"],
                "cpu_count": inner["cpuCount"],
                "clock": inner.get("clock"),
                "clock_stands": inner.get("clockStands", False),
                "sandbox": inner["sandbox"],
                "limits": inner["limits"],
            }
        )


def _descriptor(each: Input) -> dict[str, Any]:
    annotations: dict[str, Any] = {"role": each.role.value, "path": each.path}
    if each.version is not None:
        annotations["version"] = each.version
    if each.executable:
        annotations["executable"] = True
    descriptor: dict[str, Any] = {
        "name": each.name,
        "digest": {"sha256": each.sha256},
        "annotations": annotations,
    }
    if each.uri is not None:
        descriptor["uri"] = each.uri
    return descriptor


def _input(descriptor: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": descriptor["name"],
        "sha256": descriptor["digest"]["sha256"],
        "uri": descriptor.get("uri"),
        **descriptor["annotations"],
    }
