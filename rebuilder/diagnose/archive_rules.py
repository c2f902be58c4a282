"""Causes in the archive around the content: times, order, modes, compression, the writer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rebuilder.diagnose.case import Claim, DiagnosisInput, about, claim, fields
from rebuilder.model.comparison import Difference, Level, MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine

CAUSES = {
    "ar-owners": Cause.HOST_OR_USER_NAME,
    "ar-times": Cause.ARCHIVE_TIMES,
    "bzip2-compression": Cause.COMPRESSION,
    "gzip-compression": Cause.COMPRESSION,
    "gzip-header": Cause.ARCHIVE_TIMES,
    "tar-directory-entries": Cause.ARCHIVE_FORM,
    "tar-format": Cause.ARCHIVE_FORM,
    "tar-order": Cause.ARCHIVE_ORDER,
    "tar-owners": Cause.HOST_OR_USER_NAME,
    "tar-padding": Cause.ARCHIVE_FORM,
    "tar-times": Cause.ARCHIVE_TIMES,
    "tar-umask-modes": Cause.MODES_UMASK,
    "wheel-record-order": Cause.ARCHIVE_ORDER,
    "xz-compression": Cause.COMPRESSION,
    "zip-comment": Cause.ARCHIVE_FORM,
    "zip-compression": Cause.COMPRESSION,
    "zip-directory-entries": Cause.ARCHIVE_FORM,
    "zip-extra-fields": Cause.ARCHIVE_FORM,
    "zip-flags": Cause.ARCHIVE_FORM,
    "zip-host-system": Cause.ARCHIVE_FORM,
    "zip-order": Cause.ARCHIVE_ORDER,
    "zip-regular-bit": Cause.ARCHIVE_FORM,
    "zip-text-hint": Cause.ARCHIVE_FORM,
    "zip-times": Cause.ARCHIVE_TIMES,
    "zip-umask-modes": Cause.MODES_UMASK,
    "zip-versions": Cause.ARCHIVE_FORM,
    "zip-zip64": Cause.ARCHIVE_FORM,
    "zstd-compression": Cause.COMPRESSION,
}
"""Each normalisation of docs/normalisations.md, and what makes it necessary."""

_LABELS = {
    Cause.ARCHIVE_TIMES: {"Time"},
    Cause.MODES_UMASK: {"Mode"},
    Cause.COMPRESSION: {"Compression", "Compressed size"},
    Cause.HOST_OR_USER_NAME: {"Owner"},
}
_NO_EXECUTE = 0o111


def normalised(case: DiagnosisInput) -> Iterator[Claim]:
    """Each normalisation that made the files equal has a cause."""
    comparison = case.comparison
    if comparison is None or comparison.level is not Level.EQUIVALENT:
        return
    needed: dict[Cause, list[str]] = {}
    times = any("Time" in fields(each) for each in comparison.differences)
    writer = any({"Extra fields", "Local extra fields"} & fields(each).keys() for each in comparison.differences)
    for name in comparison.normalisations:
        cause = CAUSES.get(name, Cause.ARCHIVE_FORM)
        if name == "zip-times" and writer and not times:
            cause = Cause.ARCHIVE_FORM  # it sets fields for times aside too, that one writer has beside the same times
        if name == "gzip-header" and _stamped_alike(comparison.differences):
            cause = Cause.ARCHIVE_FORM  # it sets the system aside too, on which the same bytes were compressed
        needed.setdefault(cause, []).append(name)
    for cause, names in needed.items():
        shown = [each for each in comparison.differences if _LABELS.get(cause, set()) & fields(each).keys()]
        if cause not in _LABELS:
            others = set().union(*_LABELS.values())
            shown = [each for each in comparison.differences if not fields(each).keys() <= others or not fields(each)]
        headers = comparison.differences if "gzip-header" in names else ()
        beside = [each for each in headers if "Compression" in fields(each) and each not in shown]
        sentence = _SENTENCES.get(cause)
        evidence = [EvidenceLine(note=f"Equal once this is set aside: {', '.join(names)}.")]
        spoken = sentence(case, shown) if sentence else cause.spoken
        yield claim(cause, spoken, [*evidence, *_sides(cause, [*shown, *beside])])


def modes(case: DiagnosisInput) -> Iterator[Claim]:
    """Executable bits or other modes that mean something differ while the content is the same."""
    found = case.having(MemberChange.MODE)
    if not found:
        return
    published = [int(fields(each)["Mode"][0], 8) for each in found if _octal(fields(each).get("Mode", ("", ""))[0])]
    windows = published and all(mode & _NO_EXECUTE == 0 and mode & 0o666 == 0o666 for mode in published)
    sentence = f"{_members(len(found))} other permissions than in the rebuild."
    if windows:
        sentence += " Read and write for everybody and execute for nobody is what Windows gives every file."
    yield claim(Cause.MODES_UMASK, sentence, _sides(Cause.MODES_UMASK, found), members=[e.member for e in found])


def container(case: DiagnosisInput) -> Iterator[Claim]:
    """Beside content, something in the container differs that no normalisation covers."""
    found = case.having(MemberChange.METADATA, MemberChange.LINK, MemberChange.KIND)
    if found:
        yield about(
            Cause.ARCHIVE_FORM,
            "The archives differ in how they hold their members: the kind of a member, a link, or a field of its own.",
            found,
            Certainty.LIKELY,
        )


def _stamped_alike(differences: Sequence[Difference]) -> bool:
    """Whether the headers around compressed archives differ, and not in their time."""
    headers = [fields(each)["Compression"] for each in differences if "Compression" in fields(each)]
    return bool(headers) and all(_stamps(published) == _stamps(rebuilt) for published, rebuilt in headers)


def _stamps(described: str) -> list[str]:
    return re.findall(r"\btime (\d+)", described)


def _times(case: DiagnosisInput, shown: list[Difference]) -> str:
    generated = [each for each in shown if case.describes(each.member)]
    published = sorted(fields(each)["Time"][0] for each in shown)
    if not published:
        return Cause.ARCHIVE_TIMES.spoken
    span = published[0] if published[0] == published[-1] else f"{published[0]} to {published[-1]}"
    if len(generated) == len(shown):
        return (
            f"The {_count(len(shown))} written by the build carry the time of the build ({span}): no SOURCE_DATE_EPOCH."
        )
    return f"{_members(len(shown))} other times than in the rebuild: the published ones are {span}."


def _modes(_case: DiagnosisInput, shown: list[Difference]) -> str:
    both = sorted({fields(each)["Mode"] for each in shown})
    if not both:
        return Cause.MODES_UMASK.spoken
    published, rebuilt = both[0]
    return (
        f"{_members(len(shown))} the permissions of another umask, such as {published.split()[0]} "
        f"where the rebuild has {rebuilt.split()[0]}."
    )


_SENTENCES = {Cause.ARCHIVE_TIMES: _times, Cause.MODES_UMASK: _modes}


def _sides(cause: Cause, shown: list[Difference]) -> list[EvidenceLine]:
    lines = []
    for each in shown:
        sides = fields(each)
        label = next((label for label in sides if label in _LABELS.get(cause, set())), None)
        if label is None:
            lines.append(EvidenceLine(member=each.member, note=each.detail))
        else:
            published, rebuilt = sides[label]
            lines.append(EvidenceLine(member=each.member, published=published, rebuilt=rebuilt))
    return lines


def _octal(text: str) -> bool:
    return bool(text) and set(text) <= set("01234567")


def _count(number: int) -> str:
    return f"{number:,} {'file' if number == 1 else 'files'}"


def _members(number: int) -> str:
    return "One member has" if number == 1 else f"{number:,} members have"
