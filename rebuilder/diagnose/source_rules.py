"""Causes in what was built: files the source archive lacks, has in addition, or has in another version."""

from __future__ import annotations

from collections.abc import Iterator

from rebuilder.diagnose.case import Case, Claim, claim, files, listed, metadata_file, named, quoted
from rebuilder.model.comparison import Difference, MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine

_GENERATED = (".mo", ".pyc", "_version.py", "/version.py", "_pb2.py", ".so", ".pyd", ".min.js", ".css.map")
"""Ends of names that builds write rather than people."""


def only_published(case: Case) -> Iterator[Claim]:
    """Members the rebuild has not got: not in the source archive, or not packed from it."""
    found = case.having(MemberChange.MISSING)
    generated = [each for each in found if each.member.endswith(_GENERATED) and not case.in_source(each.member)]
    found = [each for each in found if each not in generated]
    absent = [each for each in found if not case.from_archive or not case.in_source(each.member)]
    packed = [each for each in found if each not in absent]
    if absent:
        where = "the source archive" if case.from_archive else "the source it was rebuilt from"
        names = listed(_members(absent))
        yield claim(
            Cause.EXTRA_SOURCE_FILES,
            f"The published file has {files(len(absent))} that {where} lacks ({names}): "
            "it was built from something else, such as the repository.",
            named(absent),
            members=_members(absent),
            certainty=Certainty.SHOWN if case.from_archive else Certainty.LIKELY,
            advice=f"Publish a source archive that contains {names}, and build the published file from that archive.",
        )
    if packed:
        yield claim(
            Cause.FILE_SELECTION,
            f"{files(len(packed)).capitalize()} of the source archive {'is' if len(packed) == 1 else 'are'} in the "
            "published file, but a build from the archive does not pack them: the choice hangs on version control "
            "or on what lay in the build directory.",
            named(packed),
            members=_members(packed),
            certainty=Certainty.LIKELY,
        )
    if generated:
        yield claim(
            Cause.GENERATED_FILES,
            f"The published file has {files(len(generated))} that builds generate and that this rebuild did not.",
            named(generated),
            members=_members(generated),
            certainty=Certainty.LIKELY,
        )


def only_rebuilt(case: Case) -> Iterator[Claim]:
    """Members that only the rebuild has."""
    found = case.having(MemberChange.ADDED)
    known = [each for each in found if case.in_source(each.member)]
    made = [each for each in found if each not in known]
    if known:
        yield claim(
            Cause.MISSING_SOURCE_FILES,
            f"The published file lacks {files(len(known))} that a build from the source archive has.",
            named(known),
            members=_members(known),
        )
    if made:
        yield claim(
            Cause.GENERATED_FILES,
            f"The rebuild wrote {files(len(made))} that neither the published file nor the source archive has.",
            named(made),
            members=_members(made),
            certainty=Certainty.LIKELY,
        )


def changed(case: Case) -> Iterator[Claim]:
    """Contents that differ: another version of a file of the source, or one that the build writes."""
    found = [each for each in case.having(MemberChange.CONTENT) if not metadata_file(each.member)]
    inspection = case.evidence.artifact_inspection
    published = {each.name: each.sha256 for each in (inspection.members if inspection is not None else ())}
    copied = [each for each in found if case.from_archive and case.in_source(each.member)]
    other = [
        each
        for each in copied
        if published.get(each.member) not in {case.source_files[path] for path in case.in_source(each.member)}
    ]
    if other:
        yield claim(
            Cause.CHANGED_SOURCE_FILES,
            f"{files(len(other)).capitalize()} in the published file {'has' if len(other) == 1 else 'have'} other "
            "content than in the source archive of the same release.",
            _contents(other),
            members=_members(other),
        )
    written = [each for each in found if each not in other]
    if written:
        yield claim(
            Cause.GENERATED_FILES,
            f"{files(len(written)).capitalize()} that the build writes or changes came out differently.",
            _contents(written),
            members=_members(written),
            certainty=Certainty.LIKELY,
        )


def description(case: Case) -> Iterator[Claim]:
    """What is left in the metadata comes from the project: its description, its configuration."""
    lines = case.lines(metadata_file)
    if lines:
        yield claim(
            Cause.CHANGED_SOURCE_FILES,
            "The metadata has other text than the source archive gives: the description or the configuration was "
            "another one when the published file was built.",
            quoted(lines),
            lines=lines,
            certainty=Certainty.LIKELY,
        )


def _members(found: list[Difference]) -> list[str]:
    return [each.member for each in found]


def _contents(found: list[Difference]) -> list[EvidenceLine]:
    lines = []
    for each in found:
        content = each.content
        both = content is not None and content.published and content.rebuilt
        lines.append(
            EvidenceLine(member=each.member, published=content.published[0], rebuilt=content.rebuilt[0])
            if content is not None and both
            else EvidenceLine(member=each.member, note=each.detail)
        )
    return lines
