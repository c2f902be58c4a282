"""What a rebuild was made from, in words: the build definition as a reader needs it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.attempt import Attempt
from rebuilder.model.definition import BuildDefinition, Input, Role
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.model.report import EnvironmentSummary, Report, Sbom
from rebuilder.site.display import SHORT, duration, link, memory, moment, size, visible


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and its value; ``code`` when the value is to be read character by character."""

    label: str
    value: str
    href: str | None = None
    code: bool = False


@dataclass(frozen=True, slots=True)
class InputGroup:
    """Files with the same purpose."""

    title: str
    meaning: str
    rows: Sequence[Input]


@dataclass(frozen=True, slots=True)
class BuildSection:
    """One build definition, ready to be shown."""

    attempt: int
    """Number of the attempt this definition belongs to, counted from 1."""
    digest: str
    href: str
    toolchain: tuple[Fact, ...]
    packages: tuple[str, ...]
    groups: tuple[InputGroup, ...]
    clock: str
    variables: Sequence[tuple[str, str]]
    commands: tuple[tuple[str, ...], ...]
    """Words of each command, quoted as for a shell."""
    surroundings: tuple[Fact, ...]


_GROUPS = (
    (Role.BUILD_TOOL, "Build tools", "Programs the build was run with."),
    (Role.BUILD_DEPENDENCY, "Build dependencies", "Packages the source asks for in order to be built."),
    (Role.PARAMETERS, "Derived documents", "Made by us: the build requirements, each with its digest."),
    (Role.PROGRAM, "Our own program", "The part of this rebuilder that runs inside the sandbox."),
)

_SOURCE_KINDS = {
    SourceKind.SDIST: "Source archive published with the release",
    SourceKind.GIT: "Commit in a Git repository",
    SourceKind.ARCHIVE: "Source archive",
    SourceKind.DSC: "Debian source package",
}

_NOTES = {
    "HOME": "home directory",
    "LANG": "language and character set",
    "LC_ALL": "language and character set",
    "PATH": "where programs are looked for",
    "PYTHONHASHSEED": "fixes the order in which Python walks through sets",
    "PYTHONDONTWRITEBYTECODE": "Python leaves no compiled files behind",
    "TMPDIR": "where temporary files go",
    "TZ": "time zone",
}


def source_facts(report: Report, attempt: Attempt | None = None) -> tuple[Fact, ...]:
    """Where the rebuild started from: that of ``attempt``, else what is known; empty when no source is."""
    source = (attempt.hypothesis.definition.source if attempt else None) or report.evidence.source
    if source is None:
        return ()
    facts = [Fact("Kind", _SOURCE_KINDS[source.kind]), *_source_file(source)]
    origin = report.trail.origin if report.trail else None
    if source.kind is SourceKind.GIT and origin is not None:
        facts.append(Fact("Who names it", visible(origin.sentence)))
    published = report.evidence.source_file
    if published is not None and source.digest.get("sha256") == published.sha256:
        facts.append(Fact("Size", size(published.size)))
        if published.uploaded is not None:
            facts.append(Fact("Uploaded", moment(published.uploaded).text))
    return tuple(facts)


def _source_file(source: Source) -> list[Fact]:
    facts = [Fact("File", visible(source.filename, SHORT), code=True)] if source.filename else []
    names = {"sha256": "SHA-256", "gitCommit": "Git commit"}
    for algorithm, value in sorted(source.digest.items()):
        facts.append(Fact(names.get(algorithm, visible(algorithm, SHORT)), visible(value, SHORT), code=True))
    facts.append(Fact("Address", visible(source.uri), href=link(source.uri), code=True))
    return facts


def build_section(report: Report, index: int, root: str) -> BuildSection:
    """The definition of attempt ``index`` (counted from 0); ``root`` leads to the root of the site."""
    attempt = report.attempts[index]
    definition = attempt.hypothesis.definition
    summary = next((each for each in report.toolchains if each.sha256 == definition.toolchain.sha256), None)
    return BuildSection(
        attempt=index + 1,
        digest=definition.digest,
        href=f"definition-{index + 1}.json",
        toolchain=_environment(definition, summary, report.sboms, root),
        packages=tuple(visible(each, SHORT) for each in summary.packages) if summary else (),
        groups=_groups(definition),
        clock=_clock(attempt),
        variables=sorted(definition.environment.items()),
        commands=tuple(tuple(visible(shlex.quote(word)) for word in each) for each in definition.commands),
        surroundings=_surroundings(attempt),
    )


def derived_file(each: Input) -> str:
    """Name under which a document that we derived is published; its own name may be anything."""
    return f"input-{each.sha256[:16]}.txt"


def _environment(
    definition: BuildDefinition, summary: EnvironmentSummary | None, sboms: Sequence[Sbom], root: str
) -> tuple[Fact, ...]:
    facts = [Fact("Name", visible(definition.toolchain.name, SHORT))]
    if summary is not None:
        facts += [
            Fact(visible(what.capitalize(), SHORT), visible(version, SHORT))
            for what, version in summary.provides.items()
        ]
        facts += [Fact("Note", visible(note)) for note in summary.notes]
    facts.append(Fact("Digest over its files", definition.toolchain.sha256, code=True))
    listed = (each for each in sboms if each.about == definition.toolchain.sha256 and each.environment is not None)
    return (*facts, *(Fact("SBOM (CycloneDX)", each.sha256, href=f"{root}{each.path}", code=True) for each in listed))


def _groups(definition: BuildDefinition) -> tuple[InputGroup, ...]:
    groups = (
        InputGroup(title, meaning, [each for each in definition.inputs if each.role is role])
        for role, title, meaning in _GROUPS
    )
    return tuple(each for each in groups if each.rows)


def _clock(attempt: Attempt) -> str:
    definition = attempt.hypothesis.definition
    epoch = definition.environment.get("SOURCE_DATE_EPOCH")
    if epoch is None and definition.clock is not None:
        stood = ", and stood still while it worked" if definition.clock_stands else ""
        return (
            "SOURCE_DATE_EPOCH was not set: the clock of the sandbox showed "
            f"{moment(definition.clock).text} when the build began{stood}."
        )
    if epoch is None and (told := conventions(definition.ecosystem).told_time) is not None:
        return told
    if epoch is None:
        return (
            "SOURCE_DATE_EPOCH was not set: where the build asked for the time, it was told the real one, "
            f"{moment(attempt.run.started).text}."
        )
    return f"The build was told to use one fixed time for everything: {_epoch(epoch)}."


def _epoch(value: str) -> str:
    try:
        when = datetime.fromtimestamp(int(value), UTC)
    except (ValueError, OverflowError, OSError):
        return visible(value, SHORT)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def variable_note(value: str, name: str) -> str:
    """What an environment variable does, where that is not plain."""
    return _epoch(value) if name == "SOURCE_DATE_EPOCH" else _NOTES.get(name, "")


def _surroundings(attempt: Attempt) -> tuple[Fact, ...]:
    definition, limits = attempt.hypothesis.definition, attempt.hypothesis.definition.limits
    return (
        Fact("Isolation", f"{visible(attempt.run.sandbox_version, SHORT)}, no network, nothing of the host visible"),
        Fact("Working directory", visible(definition.directory, SHORT), code=True),
        Fact("Host name", visible(definition.hostname, SHORT), code=True),
        Fact("File mode mask", visible(definition.umask, SHORT), code=True),
        Fact("CPUs", str(definition.cpu_count)),
        Fact(
            "Limits",
            f"{duration(limits.wall_seconds)} of wall time, {duration(limits.cpu_seconds)} of CPU time, "
            f"{memory(limits.memory_bytes)} of memory, {limits.processes} processes, "
            f"{memory(limits.disk_bytes)} of disk, {memory(limits.output_bytes)} of output, "
            f"{memory(limits.log_bytes)} of log",
        ),
    )
