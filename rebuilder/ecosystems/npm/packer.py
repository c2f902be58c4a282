"""Which package manager, on which Node, packed a published tarball: by the marks it left, and ``packers.toml``.

Workflow: a program of ours reads the marks inside the sandbox (:func:`_read_facts`); the tar in the tarball is
compressed again by the zlib of one Node after the other until the published bytes come out (:func:`_compression`); what
fits of the table is ordered by what there was when the tarball was published (:func:`packers`). Nothing of it is
trusted: the answer only says what a build packs with, and whether that was right is seen by the bytes that come out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rebuilder.ecosystems.npm.context import ENVIRONMENT, PlanningContext
from rebuilder.ecosystems.npm.node_versions import NODE
from rebuilder.ecosystems.npm.subject import is_version, precedence
from rebuilder.ecosystems.obstacles import NotRebuildable, unsupported
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Evidence
from rebuilder.model.replayed import Replayed, told_before
from rebuilder.model.value import Value, canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.sandbox.protocol import PROGRAM_LIMITS

Tool = Literal["npm", "pnpm", "yarn"]

MOST = 4
"""Most packers that are named for one tarball."""
_SOON = timedelta(days=7)
_BITS = 6
"""Of a package manager's version: the table has fewer than 64."""
_NODE_BITS = 5
"""Of a Node: the table has fewer than 32."""
LIMITS = PROGRAM_LIMITS.replace(memory_bytes=2 << 30, disk_bytes=1 << 30, processes=64)
"""Of a run that compresses: the tar, its bytes and a Node, which has a dozen threads."""
_CLASSIC = "classic"
_UNKNOWN = "unknown"


class PackerFacts(Value):
    """The marks in one tarball; values of closed sets, whatever the tarball says."""

    readable: bool
    """Whether it is one gzip stream of a tar archive and nothing else; without that there are no other facts."""
    gzip_level: Literal[1, 6, 9] | None = None
    """Level of zlib that its header tells."""
    gzip_system: int = Field(default=255, ge=0, le=255)
    """Of its header (RFC 1952): 3 is Unix, 19 macOS as zlib has it, 255 what npm has written since its version 7."""
    gzip_time: int = Field(default=0, ge=0, lt=1 << 32)
    writer: Literal["fstream", "node-tar", "tar-stream", "other"] = "other"
    """The library that wrote the tar headers, by how numbers are filled into them."""
    owners: Literal["none", "recorded", "named"] = "none"
    """Of the members: none but zero, numbers, or names beside them."""
    times: int | None = None
    """The one time of all members; None where they have several."""
    newest: int = Field(default=0, ge=0, lt=1 << 33)
    """The newest time of a member."""
    orders: tuple[Literal["extension", "path", "manifest-first", "manifest-last"], ...] = ()
    """Rules by which its files may be sorted."""
    dotted: bool = False
    """Whether a name has ``/./`` in it, as package.json writes it."""
    directories: bool = False
    """Whether it has members for directories."""
    modes: tuple[int, ...] = ()
    """Of its files, each once."""
    executables: Literal["all", "some", "none"] | None = None
    """Which of the programs that its package.json names may be run; None where it names none."""
    unlisted: tuple[str, ...] = ()
    """Files that some versions add (CHANGELOG and such), present although package.json lists others."""
    classic: bool = False
    """Whether zlib as it is published makes its compressed bytes."""


class Packer(Value):
    """One way in which the tarball may have been packed."""

    tool: Tool
    version: str
    node: str
    """Version of the Node that it runs on."""
    sentence: str
    """What tells it, for a maintainer."""
    replayed: tuple[Replayed, ...]
    """What a build is told of the tarball by this."""


@dataclass(frozen=True)
class Compression:
    """Some versions of Node that compress alike; see ``packers.toml``."""

    name: str
    said: str
    releases: tuple[tuple[str, datetime], ...]
    probe: str | None = None
    """The Node that stands for all; None for what needs none."""


@dataclass(frozen=True)
class Form:
    """What some versions of a package manager write; see ``packers.toml``. None: not a mark of these."""

    tool: Tool
    said: str
    writer: str
    level: int
    releases: tuple[tuple[str, datetime, int, int], ...]
    """Version, when it was there, and the first and the last major version of Node that it runs on."""
    times: int | None = None
    """None: those of the files."""
    order: str | None = None
    directories: bool | None = None
    group: bool | None = None
    unlisted: bool | None = None
    dotted: bool | None = None
    bins: str | None = None
    portable: bool = False
    """Whether the gzip header names no system."""

    def could_write(self, facts: PackerFacts) -> bool:
        """Whether a tarball has the marks that every tarball of these versions has."""
        return (
            facts.writer == self.writer
            and facts.owners != "named"
            and facts.gzip_level == self.level
            and (facts.gzip_system == 255) == self.portable
            and (facts.times == self.times or (self.times is None and facts.times not in _CONSTANT_TIMES))
            and self.directories in (None, facts.directories)
        )

    def contrary(self, facts: PackerFacts) -> int:
        """How many marks speak against these versions that a file or a setting may have brought about, too."""
        return sum(
            (
                self.order is not None and self.order not in facts.orders,
                self.group is False and any(mode & 0o022 for mode in facts.modes),
                self.unlisted is False and bool(facts.unlisted),
                self.dotted is False and facts.dotted,
                self.bins is not None and facts.executables not in (None, self.bins),
            )
        )


def _month(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)


def _form(row: dict[str, Any]) -> Form:
    releases = tuple((version, _month(month), first, last) for version, month, first, last in row["releases"])
    return Form(**row | {"releases": releases})


_TABLE = tomllib.loads(Path(__file__).with_name("packers.toml").read_text(encoding="utf-8"))
COMPRESSIONS = tuple(
    Compression(**row | {"releases": tuple((version, _month(month)) for version, month in row["releases"])})
    for row in _TABLE["compressions"]
)
FORMS = tuple(_form(row) for row in _TABLE["forms"])
_CONSTANT_TIMES = {form.times for form in FORMS if form.times is not None}


def find_packers(context: PlanningContext, evidence: Evidence, before: datetime) -> tuple[Packer, ...]:
    """Read the published tarball and say what packed it, likeliest first. Nothing that is newer than ``before`` did.

    Raises:
        NotRebuildable: no package manager that we know writes such a tarball, or it cannot be read to its end.
        UnavailableError, …: a Node to compress with cannot be had; see :meth:`NpmRegistry.tool`.
    """
    facts = _read_facts(context, evidence)
    found = packers(facts, _compression(context, evidence, facts, before), before)
    if not found:
        raise unsupported(_strange(facts))
    return found


def packers(facts: PackerFacts, compressed: str | None, before: datetime) -> tuple[Packer, ...]:
    """What may have packed a tarball, likeliest first: exact versions that there were (pure).

    ``compressed`` names the compression that gives its bytes; None when none does.
    """
    families = [each for each in COMPRESSIONS if each.name == compressed] or _likely(facts, before)
    if facts.times is None:  # those of files: a version is made, and packed, soon after the last of them is written
        before = min(before, datetime.fromtimestamp(facts.newest, UTC) + _SOON)
    found: list[Packer] = []
    for form in _forms(facts, before):
        for version, first, last in _spread(_versions(form, before)):
            nodes = ((family, _node(family, before, first, last)) for family in families)
            family, node = next((each for each in nodes if each[1] is not None), (None, None))
            if family is not None and node is not None:
                found.append(_packer(form, version, family, node, known=compressed is not None))
    return tuple(found[:MOST])


def _compression(context: PlanningContext, evidence: Evidence, facts: PackerFacts, before: datetime) -> str | None:
    """Name of the first compression, likeliest first, that makes the published bytes of the published tar."""
    likely = _likely(facts, before)
    key = _key(context, evidence, compressions=[[each.name, each.probe] for each in likely])
    known = context.memo.get(key)
    if known is None:
        known = next((each.name for each in likely if _makes(context, evidence, facts, each)), _UNKNOWN)
        context.memo.put(key, known)
    return None if known == _UNKNOWN else str(known)


def _read_facts(context: PlanningContext, evidence: Evidence) -> PackerFacts:
    """The marks in the published tarball, read inside the sandbox once for ever."""
    key = _key(context, evidence)
    known = context.memo.get(key)
    if known is None:
        published = _published(evidence)
        known = _document(context, evidence, (published,), (published.path,))
        context.memo.put(key, known)
    return PackerFacts.model_validate(known)


def _makes(context: PlanningContext, evidence: Evidence, facts: PackerFacts, tried: Compression) -> bool:
    if tried.probe is None:
        return facts.classic
    published, node = _published(evidence), context.registry.tool(NODE, tried.probe)
    answer = _document(context, evidence, (published, node), (published.path, "--node", node.path))
    return answer.get("made") is True


def _document(
    context: PlanningContext, evidence: Evidence, inputs: tuple[Input, ...], arguments: tuple[str, ...]
) -> dict[str, Any]:
    result = context.programs.run(
        "npm", "read_packer", arguments, inputs=inputs, limits=LIMITS, environment=ENVIRONMENT
    )
    if isinstance(result.document, dict):
        return result.document
    limit = result.run.limit
    verdict = Verdict.TIMED_OUT if limit else Verdict.UNSUPPORTED
    why = f" (limit on {limit})" if limit else ""
    raise NotRebuildable(verdict, f"Reading how {evidence.artifact.filename} was packed did not come to an end{why}.")


def _key(context: PlanningContext, evidence: Evidence, **more: Any) -> str:
    program = context.programs.program_input("npm")
    return sha256_hex(canonical_json({"packer": evidence.artifact.sha256, "program": program.sha256, **more}))


def _published(evidence: Evidence) -> Input:
    file = evidence.artifact.file
    return Input(role=Role.PARAMETERS, name=file.filename, sha256=file.sha256, path="/inputs/published.tgz")


def _forms(facts: PackerFacts, before: datetime) -> list[Form]:
    """What may have written it; what fewest marks speak against first, and of those what was the newest."""
    found = [each for each in FORMS if each.could_write(facts)]
    found.sort(key=lambda form: _newest(form, before), reverse=True)
    return sorted(found, key=lambda form: form.contrary(facts))


def _likely(facts: PackerFacts, before: datetime) -> list[Compression]:
    """What may have compressed it: what is known to, else whatever its packer runs on, newest first."""
    if facts.classic:
        return [each for each in COMPRESSIONS if each.name == _CLASSIC]
    versions = [release for form in _forms(facts, before) for release in _versions(form, before)]
    return [each for each in COMPRESSIONS if any(_node(each, before, *bounds) for _, *bounds in versions)]


def _newest(form: Form, before: datetime) -> datetime:
    return max((month for _, month, _, _ in form.releases if month <= before), default=datetime.min.replace(tzinfo=UTC))


def _versions(form: Form, before: datetime) -> list[tuple[str, int, int]]:
    """Versions there were, newest first, then the first of those there were not: a registry's time may be too early."""
    there = [each for each in form.releases if each[1] <= before] or [min(form.releases, key=lambda each: each[1])]
    return [
        (each[0], *each[2:]) for each in sorted(there, key=lambda each: (each[1], precedence(each[0])), reverse=True)
    ]


def _node(family: Compression, before: datetime, first: int, last: int) -> str | None:
    """The newest of the Nodes there were that a version runs on."""
    fitting = [each for each in family.releases if first <= int(each[0].partition(".")[0]) <= last]
    there = [each for each in fitting if each[1] <= before] or sorted(fitting, key=lambda each: each[1])[:1]
    return max((each[0] for each in there), key=precedence, default=None)


def _spread(versions: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The newest of each series first, as those differ most."""
    first: dict[str, tuple[str, int, int]] = {}
    for each in versions:
        first.setdefault(each[0].partition(".")[0], each)
    return [*first.values(), *(each for each in versions if each not in first.values())]


def _packer(form: Form, version: str, family: Compression, node: str, *, known: bool) -> Packer:
    compressed = (
        f"its compressed bytes those of {family.said}" if known else "its compressed bytes are of none that we know"
    )
    return Packer(
        tool=form.tool,
        version=version,
        node=node,
        sentence=f"Its headers are those that {form.said} writes, and {compressed}.",
        replayed=(
            told_before("packer", f"{form.tool} {version}", _BITS),
            told_before("pack-node", node, _NODE_BITS),
        ),
    )


def _strange(facts: PackerFacts) -> str:
    if not facts.readable:
        return "It is not one plain tar.gz file, as every package manager packs it."
    return (
        "Neither npm nor pnpm nor yarn packed it: no version of these writes such headers "
        f"(library {facts.writer}, owners {facts.owners}, level {facts.gzip_level})."
    )


_MOST_BEFORE = 100
"""Releases before one that are asked for, the nearest first."""
_SYSTEMS = {0: "Windows", 3: "Unix", 19: "macOS", 255: "none"}


def packer_change(context: PlanningContext, evidence: Evidence, versions: Iterable[str]) -> str | None:
    """Compare the marks of whoever packed it with those of the nearest release before it that was looked at here.

    Returns:
        A sentence; None where nothing differs, nothing is known of a release before it, or it cannot be read.

    Raises:
        SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see :class:`Programs`.
    """
    name, version = evidence.artifact.name, evidence.artifact.version
    try:
        facts = _read_facts(context, evidence)
    except NotRebuildable:
        return None
    if not facts.readable:
        return None
    marks = {  # what stays the same as long as the same program packs on the same system
        "tar headers as written by": facts.writer,
        "owners in them": facts.owners,
        "times in them": "of the files" if facts.times is None else "one for all",
        "system in the gzip header": _SYSTEMS.get(facts.gzip_system, str(facts.gzip_system)),
        "level of compression": "unknown" if facts.gzip_level is None else str(facts.gzip_level),
    }
    context.memo.put(_memo_key(name, version), marks)
    own = precedence(version)
    before = sorted((each for each in versions if is_version(each) and precedence(each) < own), key=precedence)
    for each in before[: -_MOST_BEFORE - 1 : -1]:
        known = context.memo.get(_memo_key(name, each))
        if isinstance(known, dict):
            differing = [
                f"{mark} {said}, not {known.get(mark)}" for mark, said in marks.items() if said != known.get(mark)
            ]
            told = f"It was packed by other means than {each}, the nearest release before it that was looked at here: "
            return f"{told}{'; '.join(differing)}." if differing else None
    return None


def _memo_key(name: str, version: str) -> str:
    return sha256_hex(canonical_json({"packer of": [name, version]}))
