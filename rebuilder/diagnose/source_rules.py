"""Causes in what was built: files the source archive lacks, has in addition, or has in another version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.diagnose.case import Claim, DiagnosisInput, about, claim, files, listed, named, quoted
from rebuilder.model.comparison import Difference, MemberChange
from rebuilder.model.diagnosis import Basis, Cause, Certainty, EvidenceLine

_GENERATED = (".mo", ".so", ".min.js", ".css.map")
"""Ends of names that builds write rather than people."""

_COMPRESSED = re.compile(r"\.(?:gz|bz2|xz|zst|br)$")
_SIGNATURE = re.compile(r"\.(?:jws|p7s|asc|sig|minisig|sigstore|sigstore\.json|intoto\.jsonl|attestation)$")
_LEFT = re.compile(
    r"(?:^|/)\.(?:git|hg|svn|idea|vscode)/|(?:^|/)(?:\.DS_Store|Thumbs\.db|desktop\.ini)$"
    r"|(?:\.(?:orig|rej|bak|swp|swo|tmp)|~)$"
)
"""What editors, version control and systems leave in a directory."""


def signatures(case: DiagnosisInput) -> Iterator[Claim]:
    """Signatures inside the published file: they are made of it, so no build of the source has them."""
    found = [
        each
        for each in case.having(MemberChange.MISSING)
        if _SIGNATURE.search(each.member) and not case.in_source(each.member)
    ]
    sure = [each for each in found if case.describes(each.member)]
    for some, certainty in ((sure, Certainty.SHOWN), ([each for each in found if each not in sure], Certainty.LIKELY)):
        if some:
            yield claim(
                Cause.ADDED_SIGNATURE,
                f"The published file has {files(len(some))} with a signature ({listed(_members(some))}), which was "
                "added after the build: no source can hold it.",
                named(some),
                members=_members(some),
                certainty=certainty,
                basis=Basis.KIND,
            )


def compressed(case: DiagnosisInput) -> Iterator[Claim]:
    """Files that the published file has compressed, and the rebuild as they are in the source."""
    plain = {each.member: each for each in case.having(MemberChange.ADDED) if case.in_source(each.member)}
    pairs = [
        (each, plain[name])
        for each in case.having(MemberChange.MISSING)
        if (name := _COMPRESSED.sub("", each.member)) in plain and not case.in_source(each.member)
    ]
    if pairs:
        yield claim(
            Cause.GENERATED_FILES,
            f"{files(len(pairs)).capitalize()} of the source {'is' if len(pairs) == 1 else 'are'} compressed in the "
            f"published file ({listed([each.member for each, _ in pairs])}): a step that the build of the source "
            "archive does not have did that.",
            [EvidenceLine(published=a.member, rebuilt=b.member, note="member name") for a, b in pairs],
            members=[each.member for pair in pairs for each in pair],
            certainty=Certainty.LIKELY,
            advice="Let the build itself compress them, or put them into the source archive as they are to be packed.",
        )


def leftovers(case: DiagnosisInput) -> Iterator[Claim]:
    """Files of the kinds that earlier builds, runs and editors leave in a directory."""
    patterns = [_LEFT, *([case.ecosystem.leftovers] if case.ecosystem.leftovers else [])]
    found = [
        each
        for each in case.having(MemberChange.MISSING)
        if any(pattern.search(each.member) for pattern in patterns) and not case.in_source(each.member)
    ]
    if found:
        yield about(
            Cause.STALE_FILES,
            f"The published file has {files(len(found))} of a kind that earlier builds, runs or editors leave behind "
            f"({listed(_members(found))}), and the source has not got them.",
            found,
            Certainty.LIKELY,
        )


def _absent(case: DiagnosisInput, found: list[Difference]) -> Iterator[Claim]:
    """Files of the published file that the source lacks: left over, or of another tree; a build of the commit tells."""
    commit = case.at_commit
    lacking = {each.member for each in commit.differences if each.change is MemberChange.MISSING} if commit else set()
    whole = commit is not None and commit.differences_total == len(commit.differences)
    for_sure = [each for each in found if whole and each.member not in lacking]
    stale = [each for each in found if each not in for_sure and (each.member in lacking or _may_be_stale(case, each))]
    other = [each for each in found if each not in for_sure and each not in stale]
    where = "the source archive" if case.from_archive else "the source it was rebuilt from"
    both = "two explanations fit"
    left = "files of an earlier version that lay about in the directory of the build"
    for cause, some, words, certainty in (
        (
            Cause.EXTRA_SOURCE_FILES,
            for_sure,
            "a build from the commit has them, so it was built from the repository.",
            Certainty.SHOWN,
        ),
        (
            Cause.STALE_FILES,
            [each for each in stale if each.member in lacking],
            f"the commit has not got them either. These may be {left}, or come from another tree.",
            Certainty.LIKELY,
        ),
        (
            Cause.STALE_FILES,
            [each for each in stale if each.member not in lacking],
            f"{both}: {left}; or a build from something else, such as the repository.",
            Certainty.LIKELY,
        ),
        (
            Cause.EXTRA_SOURCE_FILES,
            other,
            f"{both}: a build from something else, such as the repository; or files that lay about where it was made.",
            Certainty.LIKELY,
        ),
    ):
        if some:
            names = listed(_members(some))
            archive = f"Publish a source archive that contains {names}, and build the published file from that archive"
            yield claim(
                cause,
                f"The published file has {files(len(some))} that {where} lacks ({names}): {words}",
                named(some),
                members=_members(some),
                certainty=certainty,
                basis=Basis.EXPERIMENT if some is for_sure else Basis.COMPARISON,
                advice=f"{archive}, in a clean directory." if cause is Cause.EXTRA_SOURCE_FILES else None,
            )


def _may_be_stale(case: DiagnosisInput, missing: Difference) -> bool:
    """Whether it is a file beside others of its directory that the source has, packed by a tool that keeps files."""
    directory = missing.member.rpartition("/")[0]
    if not case.from_archive or not case.tools.keys() & case.ecosystem.keeping:
        return False
    if not directory:  # a module that lies in a package now
        return any(path.endswith(f"/{missing.member}") for path in case.source_files)
    return any(f"/{path}".rpartition("/")[0].endswith(f"/{directory}") for path in case.source_files)


def _same_in_source(case: DiagnosisInput, difference: Difference) -> bool:
    """Whether the source archive has a file that may have become a published member, with that content."""
    inspection = case.evidence.artifact_inspection
    published = {each.name: each.sha256 for each in (inspection.members if inspection is not None else ())}
    contents = {case.source_files[path] for path in case.in_source(difference.member)}
    return published.get(difference.member) in contents


def only_published(case: DiagnosisInput) -> Iterator[Claim]:
    """Members the rebuild has not got: not in the source archive, or not packed from it."""
    found = case.having(MemberChange.MISSING)
    ends = _GENERATED + case.ecosystem.generated
    generated = [each for each in found if each.member.endswith(ends) and not case.in_source(each.member)]
    found = [each for each in found if each not in generated]
    absent = [each for each in found if not case.from_archive or not _same_in_source(case, each)]
    packed = [each for each in found if each not in absent]
    yield from _absent(case, absent)
    if packed:
        yield about(
            Cause.FILE_SELECTION,
            f"{files(len(packed)).capitalize()} of the source archive {'is' if len(packed) == 1 else 'are'} in the "
            "published file, but a build from the archive does not pack them: the choice hangs on version control "
            "or on what lay in the build directory.",
            packed,
            Certainty.LIKELY,
        )
    if generated:
        yield about(
            Cause.GENERATED_FILES,
            f"The published file has {files(len(generated))} that builds generate and that this rebuild did not.",
            generated,
            Certainty.LIKELY,
        )


def only_rebuilt(case: DiagnosisInput) -> Iterator[Claim]:
    """Members that only the rebuild has."""
    found = case.having(MemberChange.ADDED)
    known = [each for each in found if case.in_source(each.member)]
    made = [each for each in found if each not in known]
    if known:
        yield about(
            Cause.MISSING_SOURCE_FILES,
            f"The published file lacks {files(len(known))} that a build from the source archive has.",
            known,
        )
    if made:
        yield about(
            Cause.GENERATED_FILES,
            f"The rebuild wrote {files(len(made))} that neither the published file nor the source archive has.",
            made,
            Certainty.LIKELY,
        )


def changed(case: DiagnosisInput) -> Iterator[Claim]:
    """Contents that differ: another version of a file of the source, or one that the build writes."""
    found = [each for each in case.having(MemberChange.CONTENT) if not case.describes(each.member)]
    copied = [each for each in found if case.from_archive and case.in_source(each.member)]
    other = [each for each in copied if not _same_in_source(case, each)]
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


def description(case: DiagnosisInput) -> Iterator[Claim]:
    """What is left in the metadata comes from the project: its description, its configuration."""
    lines = case.lines(case.describes)
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
