"""What each file in a published archive is accounted for with, where it was not rebuilt as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.model.accounting import Accounting, CompiledHere, How, MemberAccount
from rebuilder.site.counts import percent
from rebuilder.site.display import LONG, count, visible

MOST_LISTED = 1000
"""Rows of one group; the report has all."""
DEFINITION, LOG = "definition-compiled.json", "log-compiled.txt"
"""Files beside the page, of the build whose compiled code was compared."""
_NAME = 200


@dataclass(frozen=True, slots=True)
class AccountGroup:
    """Members that are accounted for alike."""

    name: str
    """For ids and classes."""
    title: str
    tone: str
    meaning: str
    total: str
    share: str
    rows: Sequence[MemberAccount]
    opened: bool
    """Whether its members are to be seen at once: those that somebody has to decide about."""
    hidden: str | None


@dataclass(frozen=True, slots=True)
class AccountingSection:
    """All members, in groups; what nothing accounts for first."""

    summary: str
    source: str | None
    groups: tuple[AccountGroup, ...]
    remarks: tuple[str, ...]
    compiled: CompiledHere | None
    """The build whose compiled code was compared."""


_ACCUSING = (
    "Executed, and not from the source",
    "bad",
    "Nothing in the source archive accounts for these. Somebody has to look at each before the file is installed.",
)
_GROUPS = {
    How.COMPILED_DIFFERENT: (
        "Compiled code that came out otherwise here",
        "warn",
        "It was compiled here too, and has other bytes; each line says how far it is the same.",
    ),
    How.NOT_COMPILED: (
        "Compiled code that was not compiled here",
        "warn",
        "Expected by name: the source or another file needs it. Its content was not compared with anything.",
    ),
    How.UNEXPLAINED: (
        "Not explained",
        "mute",
        "Nothing executes these as a program by themselves, and the source archive does not have them.",
    ),
    How.LISTED: ("Listed", "mute", "There was no source archive to compare these with."),
    How.DERIVED: ("Follows by a rule", "near", "A named rule says how each follows from the source."),
    How.BUILT: ("Built here", "good", "Building the source archive without a compiler gave the same bytes."),
    How.COMPILED_EQUAL: ("Compiled here, the same bytes", "good", "Compiling it here gave the same bytes."),
    How.LINE_ENDS: (
        "The source’s, with other line ends",
        "good",
        "Files of the source archive with CRLF in the place of every LF, or LF in the place of every CRLF.",
    ),
    How.SOURCE: ("The source’s, byte for byte", "good", "Files of the source archive."),
}
_OPENED = {How.COMPILED_DIFFERENT, How.NOT_COMPILED, How.UNEXPLAINED, How.DERIVED}
_RULES = {
    "wheel-record": "RECORD",
    "wheel-file": "WHEEL",
    "metadata-fields": "METADATA by its fields",
}


def accounting_section(accounting: Accounting | None) -> AccountingSection | None:
    """The section; None where nobody looked."""
    if accounting is None:
        return None
    members, accusing = accounting.members, accounting.accusing
    groups = [_group("accusing", _ACCUSING, accusing, len(members), opened=True)] if accusing else []
    for how, words in _GROUPS.items():
        found = [each for each in members if each.how is how and not each.accuses]
        if found:
            groups.append(_group(how.value, words, found, len(members), opened=how in _OPENED and len(found) <= 60))
    return AccountingSection(
        summary=_summary(accounting),
        source=accounting.source_sha256,
        groups=tuple(groups),
        remarks=tuple(visible(each) for each in accounting.remarks),
        compiled=accounting.compiled,
    )


def _group(
    name: str, words: tuple[str, str, str], found: Sequence[MemberAccount], whole: int, *, opened: bool
) -> AccountGroup:
    title, tone, meaning = words
    hidden = f"The first {MOST_LISTED:,} are listed; report.json has all." if len(found) > MOST_LISTED else None
    return AccountGroup(
        name=name,
        title=title,
        tone=tone,
        meaning=meaning,
        total=f"{len(found):,}",
        share=percent(len(found), whole),
        rows=found[:MOST_LISTED],
        opened=opened,
        hidden=hidden,
    )


def accounted_with(member: MemberAccount) -> str:
    """Why a member is as it is, as far as that is known."""
    said = []
    if member.rule is not None:
        said.append(f"{_RULES.get(member.rule, member.rule.replace('-', ' '))}:")
    if member.source is not None:
        said.append(
            f"{visible(member.source, _NAME)} of the source archive."
            if not member.detail
            else f"from {visible(member.source, _NAME)}."
        )
    if member.detail is not None:
        said.append(visible(member.detail, LONG))
    return " ".join(said)


def _summary(accounting: Accounting) -> str:
    total = count(len(accounting.members), "file", "files")
    if not accounting.compared:
        return (
            f"The archive holds {total}. They are listed by their digests; there was no source archive to compare with."
        )
    settled = sum(each.how.explains for each in accounting.members)
    return (
        f"The archive holds {total}. {settled:,} ({percent(settled, len(accounting.members))}) are settled: they are "
        "the source’s, or follow from it. Nothing of the archive was run to find that out."
    )
