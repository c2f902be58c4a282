"""The rebuild has another version than the published file: everything that names the version follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion

from rebuilder.diagnose.case import FILE_NAME, Claim, DiagnosisInput, about, alike, claim, pairs_shown
from rebuilder.ecosystems.pypi.file_times import metadata_file
from rebuilder.model.comparison import Difference, MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine

_FOLLOWS = {"METADATA", "PKG-INFO", "RECORD"}
"""Files that name the version, or the files whose names have it."""
_HEADER = "Version:"


def other_version(case: DiagnosisInput) -> Iterator[Claim]:
    """File names, directories of metadata, and lines that are the same but for the version."""
    published, rebuilt, renamed = _versions(case)
    if published is None or rebuilt is None or published == rebuilt:
        return
    names: dict[str, dict[MemberChange, Difference]] = {}
    for each in case.having(MemberChange.MISSING, MemberChange.ADDED):
        version = published if each.change is MemberChange.MISSING else rebuilt
        form = re.sub(rf"(?<=-){re.escape(version)}(?=[-.])", "\0", each.member)
        if form != each.member:
            names.setdefault(form, {})[each.change] = each
    pairs = [(both[MemberChange.MISSING], both[MemberChange.ADDED]) for both in names.values() if len(both) == 2]
    follow = [pair for pair in pairs if _same(*pair) or pair[0].member.rpartition("/")[2] in _FOLLOWS]
    lines = alike(case.lines(), lambda line: _without(line, published, rebuilt))
    evidence = [EvidenceLine(published=published, rebuilt=rebuilt, note="version")]
    evidence += [EvidenceLine(published=a.member, rebuilt=b.member, note="name inside") for a, b in follow]
    yield claim(
        Cause.OTHER_VERSION,
        f"The rebuild has version {rebuilt[:80]}, the published file version {published[:80]}.",
        [*evidence, *pairs_shown(lines)],
        members=[each.member for pair in follow for each in pair],
        lines=[*(line for pair in lines for line in pair), *([FILE_NAME] if renamed else [])],
        first=True,
    )
    other = [each for pair in pairs if pair not in follow for each in pair]
    if other:
        yield about(
            Cause.GENERATED_FILES,
            "Beside the version in their names, files that the build writes have other content.",
            other,
            Certainty.LIKELY,
        )


def _versions(case: DiagnosisInput) -> tuple[str | None, str | None, bool]:
    """Of the published and the rebuilt file, and whether their names say so."""
    attempt = case.attempt
    if not case.different or attempt is None or attempt.rebuilt is None:
        return None, None, False
    target, made = attempt.hypothesis.target, attempt.rebuilt.filename
    both = _in_name(target), _in_name(made)
    if None not in both and both[0] != both[1]:
        return *both, True
    told: dict[str, str] = {}
    for _member, side, text in case.lines(lambda member: metadata_file(member, "METADATA") or member == "PKG-INFO"):
        if text.startswith(_HEADER):
            told[side] = text.removeprefix(_HEADER).strip()
    return told.get("published"), told.get("rebuilt"), False


def _in_name(filename: str) -> str | None:
    """The version as a file name spells it."""
    try:
        if filename.endswith(".whl"):
            parse_wheel_filename(filename)
            return filename.split("-")[1]
        parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return filename.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")[2]


def _without(line: str, *versions: str) -> str | None:
    """The line without the versions, if it is about one."""
    if "version" not in line.lower() and "-" not in line:
        return None
    found = line
    for each in sorted(versions, key=len, reverse=True):
        found = re.sub(rf"(?<![\w.]){re.escape(each)}(?![\w]|\.\d)", "\0", found)
    return found if found != line else None


def _same(published: Difference, rebuilt: Difference) -> bool:
    return published.detail.partition(":")[2] == rebuilt.detail.partition(":")[2]
