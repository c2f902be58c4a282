"""Words of pages: how a verdict or an alarm looks (icon, word and tone together), steps, and normalisations."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.alarm import Alarm, AlarmKind, Severity
from rebuilder.model.attempt import Hypothesis
from rebuilder.model.graph import Node, NodeKind, source_kind
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.site.display import SHORT, visible


@dataclass(frozen=True, slots=True)
class Mark:
    """A verdict or a severity as a reader sees it."""

    name: str
    """Machine name, as in addresses and JSON."""
    icon: str
    word: str
    tone: str
    """One of ``good``, ``near``, ``bad``, ``doubt``, ``apart``, ``warn``, ``mute``: one the style colours."""
    spoken: str


UNTESTED = Mark("untested", "○", "Not yet tested", "mute", "We know of this file and have not tried it yet.")
"""Files without a verdict: they count in every denominator."""

REVOKED = Mark(
    "revoked",
    "⊘",
    "Key revoked",
    "warn",
    "The key that signed the verdict was revoked from an earlier time on: nobody should believe it.",
)
"""Files whose newest verdict nobody should believe: they count in every denominator, and in no verdict."""

SHOWN = tuple(each for each in Verdict if each.publishable)
"""Verdicts in the order in which pages list them."""

STANDINGS = (*(each.value for each in SHOWN), REVOKED.name)
"""What the newest verification of a file comes to, as lists are named, in the order in which pages show them."""


def standing(summary: Summary) -> str:
    """Under which of :data:`STANDINGS` a file is listed and counted."""
    return summary.verdict.value if summary.doubt is None else REVOKED.name


def standing_mark(name: str) -> Mark:
    """Icon, word, tone and sentence of a standing."""
    return REVOKED if name == REVOKED.name else mark(Verdict(name))


_SEVERITIES = {
    Severity.PAGE: Mark("page", "‼", "Urgent", "bad", "Told at any hour."),
    Severity.TICKET: Mark("ticket", "⚑", "Ticket", "warn", "Can wait for working hours."),
}


def mark(verdict: Verdict, kind: Kind | None = None, rebuilds: str | None = None) -> Mark:
    """Icon, word, tone and sentence of a verdict; ``rebuilds`` says how two rebuilds compare, where that is known."""
    word = verdict.value.replace("-", " ").capitalize() if kind is None else kind.word
    more = rebuilds or (kind.spoken if kind is not None else None)
    spoken = f"{verdict.spoken} {more}" if more else verdict.spoken
    return Mark(verdict.value, verdict.icon, word, verdict.tone, spoken)


def severity_mark(severity: Severity) -> Mark:
    """Icon, word, tone and sentence of a severity."""
    return _SEVERITIES[severity]


def digest_rows(alarm: Alarm) -> tuple[tuple[str, str], ...]:
    """The digests that an alarm is about, each with what it is called; none where it is about something else."""
    known, found = ("Published", "On a disk") if alarm.kind is AlarmKind.UNKNOWN_DIGEST else ("Before", "Now")
    rows = ((f"{known}, SHA-256", alarm.known_sha256), (f"{found}, SHA-256", alarm.found_sha256))
    return tuple((label, digest) for label, digest in rows if digest is not None)


def times(number: int) -> str:
    """How often something was raised."""
    return "raised once" if number == 1 else f"raised {number:,} times"


def ecosystem_words(ecosystem: str) -> str:
    """What readers call an ecosystem, fit to be shown."""
    return visible(conventions(ecosystem).title or ecosystem, SHORT)


def node_words(node: Node, ecosystem: str) -> str:
    """What a node of the trail is called: ``commit``, ``wheel``."""
    if node.kind is NodeKind.ARTIFACT:
        return conventions(ecosystem).file_words(node.name or "")
    return _start_words(node.kind, ecosystem)


def _start_words(kind: NodeKind, ecosystem: str) -> str:
    return conventions(ecosystem).source_words if kind is NodeKind.SOURCE_ARCHIVE else kind.replace("-", " ")


def step_words(hypothesis: Hypothesis) -> str:
    """The step one build belongs to, by where it starts and what it is to give."""
    definition = hypothesis.definition
    start = _start_words(source_kind(definition.source), definition.ecosystem) if definition.source else "no source"
    return f"{start.capitalize()} → {conventions(definition.ecosystem).file_words(hypothesis.target)}"


SENTENCES = {
    "ar-owners": "The user, the group and the permissions that the package stores for the archives it is made of.",
    "ar-times": "The times that the package stores for the archives it is made of.",
    "bzip2-compression": "How hard, and with which program, the content was compressed; decompressed it is the same.",
    "gzip-compression": "How hard, and with which program, the content was compressed; decompressed it is the same.",
    "gzip-header": "The time, file name and system that the gzip header remembers of whoever compressed the file.",
    "tar-directory-entries": "Entries for directories that exist anyway because members lie in them.",
    "tar-format": "The dialect in which the tar archive writes down the same facts.",
    "tar-order": "The order in which members stand in the tar archive, where nothing depends on it.",
    "tar-owners": "The user and group that owned the files on the machine where the tar archive was made.",
    "tar-padding": "The number of zero bytes that fill up the end of the tar archive.",
    "tar-times": "The modification times that the tar archive stores for its members.",
    "tar-umask-modes": "Whether group and others may read or write a member; what is executable is not set aside.",
    "wheel-record-order": "The order of the lines in the wheel's RECORD, its list of files.",
    "zstd-compression": "How hard, and with which program, the content was compressed; decompressed it is the same.",
    "xz-compression": "How hard, and with which program, the content was compressed; decompressed it is the same.",
    "zip-comment": "Comments on the ZIP archive or its members, which no installer reads.",
    "zip-compression": "How, and how hard, members were compressed; decompressed they are the same.",
    "zip-directory-entries": "Entries for directories that exist anyway because members lie in them.",
    "zip-extra-fields": "Fields in which ZIP programs note owners, padding or their own mark.",
    "zip-flags": "Flags that say the same about a member in two ways.",
    "zip-host-system": "The kind of system on which the ZIP archive was written.",
    "zip-order": "The order in which members stand in the ZIP archive, where nothing depends on it.",
    "zip-regular-bit": "Whether a plain file is expressly called a plain file.",
    "zip-text-hint": "The writer's guess whether a member is text.",
    "zip-times": "The modification times that the ZIP archive stores for its members.",
    "zip-umask-modes": "Whether group and others may read or write a member; what is executable is not set aside.",
    "zip-versions": "The version of the ZIP format that the writer names.",
    "zip-zip64": "Whether sizes are written in the long or the short form.",
}


def meaning(name: str) -> str:
    """The sentence for ``name``; one that says so when there is none."""
    return SENTENCES.get(name, f"Archive metadata that the normalisation “{visible(name, SHORT)}” sets aside.")
