"""A toy ecosystem, made by the first step of CONTRIBUTING.md: ``toy:NAME`` is one file, its name shouted."""

from __future__ import annotations

import re

from rebuilder.ecosystems.conventions import Context, Conventions
from rebuilder.ecosystems.protocol import Ecosystem, StepTask
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Artifact, ListedFile, Listing, PublishedFile, Subject
from rebuilder.model.attempt import History, Hypothesis, plan
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.model.evidence import Evidence, Obstacle, Source, SourceKind
from rebuilder.model.graph import Node, NodeKind, Origin, SourceTrail, Step, file_node, source_id
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs

ENVIRONMENT = "trixie"
WHEEL_WORDS = re.compile(r"wheel|\.whl|sdist|\bpip\b|PyPI|dist-info|pyproject|setup\.py", re.IGNORECASE)
"""What no page and no signed document of a file that is no Python package has in it."""


class ToyConventions(Conventions):
    """Everything else is as the defaults say."""

    name = "toy"

    def open(self, context: Context) -> Ecosystem:
        """See :class:`Conventions`."""
        return Toy(context.blobs, context.environments.get(ENVIRONMENT).sha256)

    def file_words(self, filename: str) -> str:
        """See :class:`Conventions`."""
        return "shout"


class Toy(Ecosystem):
    """Files are among the blobs."""

    name = "toy"

    def __init__(self, blobs: Blobs, toolchain: str) -> None:
        self._blobs, self._environment = blobs, toolchain

    @property
    def fetcher(self) -> Fetcher:
        """Nobody asks."""
        raise UsageError("Toys are on no registry.")

    def parse(self, text: str) -> Subject:
        """A name."""
        return Subject(ecosystem="toy", name=text, version="1", asked=text)

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """One file."""
        file = ListedFile(purl=f"pkg:toy/{name}@1", version="1", filename=f"{name}.shout")
        return Listing(ecosystem="toy", name=name, files=(file,), newest="1", mark="1")

    def evidence(self, subject: Subject) -> list[Evidence]:
        """The shout, and what it was made from."""
        published = self._blobs.put(f"{subject.name}!\n".upper().encode())
        source = self._blobs.put(f"{subject.name}!\n".encode())
        file = PublishedFile(
            filename=f"{subject.name}.shout", url=f"https://example.org/{subject.name}", sha256=published
        )
        return [
            Evidence(
                artifact=Artifact(
                    ecosystem="toy", purl=f"pkg:toy/{subject.name}@1", name=subject.name, version="1", file=file
                ),
                source=Source(kind=SourceKind.ARCHIVE, uri="https://example.org/whisper", digest={"sha256": source}),
                index_sha256=source,
            )
        ]

    def steps(self, evidence: Evidence, origin: Origin | None = None) -> SourceTrail:
        """One."""
        start = Node(kind=NodeKind.SOURCE_ARCHIVE, id=source_id(evidence.source), name="whisper")
        end = file_node(NodeKind.ARTIFACT, evidence.artifact.file)
        return SourceTrail(nodes=(start, end), steps=(Step(name="whisper-to-shout", start=start.id, end=end.id),))

    def next(self, task: StepTask, history: History) -> Hypothesis | Obstacle | None:
        """Shout."""
        evidence = task.evidence
        sha256 = evidence.index_sha256
        hypothesis = Hypothesis(
            name="shout",
            sentence="A shout is a whisper in capitals.",
            definition=BuildDefinition(
                build_type="urn:example:toy",
                purl=evidence.artifact.purl,
                targets=(evidence.artifact.filename,),
                source=evidence.source,
                inputs=(Input(role=Role.SOURCE, name="whisper", sha256=sha256, path="/inputs/whisper"),),
                toolchain=EnvironmentRef.model_validate({"name": ENVIRONMENT, "sha256": self._environment}),
                commands=(("/bin/sh", "-c", f"tr a-z A-Z < /inputs/whisper > /out/{evidence.artifact.filename}"),),
                environment={"PATH": "/usr/bin:/bin"},
                limits=task.limits,
            ),
        )

        def planned(history: History) -> Obstacle | None:
            history.of(hypothesis)
            return None

        return plan(planned, history)
