"""Causes that show in lines of text: line ends, encodings, paths, times, names, order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.diagnose.case import (
    LINE_ENDS,
    MOVED,
    Claim,
    DiagnosisInput,
    Line,
    about_pairs,
    alike,
    claim,
    listed,
    pairs_shown,
)
from rebuilder.model.comparison import MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine

_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_TIME = re.compile(
    r"\d{4}[-/]\d{2}[-/]\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?"
    rf"|(?:(?:{_DAYS})[a-z]*,? )?(?:\d{{1,2}} (?:{_MONTHS})[a-z]*|(?:{_MONTHS})[a-z]* +\d{{1,2}})\b(?:,? \d{{4}}\b)?"
    r"|\b\d{2}:\d{2}:\d{2}\b"
    r"|\b1[0-9]{9}(?:[0-9]{3}|[0-9]{6}|[0-9]{9})?(?:\.\d+)?\b"
    r"|\b20\d{6}(?:T?\d{6}Z?)?\b"
)
_PATH = re.compile(
    r"(?:(?<![\w./-])/(?:home|Users|tmp|build|root|var|private|workspace|opt|mnt|__w)/|[A-Za-z]:\\)[^\s'\",;:)]*"
)
_MOST_SLOTS = 4
"""Most names, paths and times in a line that is compared by its form."""
_SLOTS = (f"(?P<path>{_PATH.pattern})", f"(?P<time>{_TIME.pattern})")
_FORMS = {"host": r"[\w.-]+", "path": _PATH.pattern, "time": _TIME.pattern}
_CAUSES = {"host": Cause.HOST_OR_USER_NAME, "path": Cause.EMBEDDED_PATH, "time": Cause.EMBEDDED_TIME}
_PLACES = {
    Cause.HOST_OR_USER_NAME: "Files contain the name of the machine they were built on ({host} in the rebuild).",
    Cause.EMBEDDED_PATH: "Files contain the directory they were built in.",
    Cause.EMBEDDED_TIME: "Files contain a date or a time, and it is another one.",
}
_VERSION = re.compile(r"(?<![\w.])\d+(?:\.\d+)+(?![\w.]*\d)")
_TOKEN = re.compile(r"[\w.+-]+")
_RANDOM = re.compile(r"\b[0-9a-fA-F]{8,}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|b'(?:[^'\\]|\\.)*'")
_LEAST_TOKENS = 3


def line_ends(case: DiagnosisInput) -> Iterator[Claim]:
    """CRLF on one side, LF on the other."""
    found = [each for each in case.having(MemberChange.CONTENT) if each.content is not None and each.content.line_ends]
    if not found:
        return
    windows = sum("published 0 CRLF" not in each.detail for each in found)
    side = "published file, as on Windows" if windows else "rebuild"
    count = f"{len(found):,} {'member' if len(found) == 1 else 'members'}"
    yield claim(
        Cause.LINE_ENDS,
        f"Lines end with CRLF in {count} of the {side}, with LF on the other side.",
        [EvidenceLine(member=each.member, note=each.detail) for each in found],
        lines=[(each.member, *LINE_ENDS) for each in found],
    )


def encoding(case: DiagnosisInput) -> Iterator[Claim]:
    """UTF-8 that one side read as another encoding."""
    pairs = [pair for pair in alike(case.lines(), _decoded) if pair[0][2] != pair[1][2]]
    if pairs:
        yield about_pairs(
            Cause.LOCALE,
            "One build read UTF-8 text in the encoding of its locale, such as that of Windows.",
            pairs,
        )


def dependencies(case: DiagnosisInput) -> Iterator[Claim]:
    """Lines that are the same but for a version, and ours is that of a build dependency."""
    used = {version: name for name, version in case.tools.items()}
    pairs = [
        pair
        for pair in alike(
            case.lines(lambda member: not case.describes(member)),
            lambda line: _VERSION.sub("\0", line) if _VERSION.search(line) else None,
        )
        if any(version in used for version in _VERSION.findall(pair[1][2]))
    ]
    if pairs:
        tools = sorted({used[version] for _, line in pairs for version in _VERSION.findall(line[2]) if version in used})
        yield about_pairs(
            Cause.DEPENDENCY_DRIFT,
            f"Files name the version of a build dependency, and it was another one: {listed(tools)}.",
            pairs,
            Certainty.SHOWN if all(_names_tool(used, line[2]) for _, line in pairs) else Certainty.LIKELY,
        )


def _names_tool(used: dict[str, str], line: str) -> bool:
    """Whether a line has the name of the tool whose version it has."""
    words = re.sub(r"[-_.]+", "-", line).lower()
    return any(
        re.sub(r"[-_.]+", "-", used[version]).lower() in words for version in _VERSION.findall(line) if version in used
    )


def places(case: DiagnosisInput) -> Iterator[Claim]:
    """Lines that are the same but for where and when they were written: machine, directory, time, or several."""
    host = case.definition.hostname if case.definition is not None else ""
    slots = re.compile("|".join([*([rf"(?P<host>\b{re.escape(host)}\b)"] if host else []), *_SLOTS]))
    published: dict[str, list[Line]] = {}
    for line in case.lines():
        if line[1] == "published":
            published.setdefault(line[0], []).append(line)
    found: dict[Cause, list[tuple[Line, Line]]] = {}
    taken: set[Line] = set()
    for line in case.lines(published.__contains__):
        if line[1] != "rebuilt":
            continue
        for other in published[line[0]]:
            causes = _differing(other[2], line[2], slots) if other not in taken else frozenset()
            if causes:
                taken.add(other)
                for cause in causes:
                    found.setdefault(cause, []).append((other, line))
                break
    for cause, sentence in _PLACES.items():
        pairs = found.get(cause, [])
        if pairs:
            ours = cause is Cause.EMBEDDED_PATH and all(_built_in(case, right[2]) for _left, right in pairs)
            yield about_pairs(
                cause,
                sentence.format(host=host),
                pairs,
                Certainty.SHOWN if ours else Certainty.LIKELY,
            )


def _differing(published: str, rebuilt: str, slots: re.Pattern[str]) -> frozenset[Cause]:
    """What differs in two lines that are the same otherwise; nothing where they are not."""
    here = list(slots.finditer(rebuilt))
    if not 0 < len(here) <= _MOST_SLOTS:
        return frozenset()
    form, at = "", 0
    for each in here:
        form += f"{re.escape(rebuilt[at : each.start()])}({_FORMS[each.lastgroup or '']})"
        at = each.end()
    there = re.fullmatch(form + re.escape(rebuilt[at:]), published)
    if there is None:
        return frozenset()
    return frozenset(
        _CAUSES[each.lastgroup or ""]
        for each, other in zip(here, there.groups(), strict=True)
        if each[0] != other and other is not None
    )


def _built_in(case: DiagnosisInput, line: str) -> bool:
    """Whether a path in a line of ours is in the directory of the build."""
    found = _PATH.search(line)
    return found is not None and case.definition is not None and found[0].startswith("/build/")


def order(case: DiagnosisInput) -> Iterator[Claim]:
    """The same words, or the same lines, in another order."""

    def words(line: str) -> str | None:
        tokens = _TOKEN.findall(line)
        return " ".join(sorted(tokens)) if len(tokens) >= _LEAST_TOKENS else None

    pairs = [pair for pair in alike(case.lines(), words) if pair[0][2].strip() != pair[1][2].strip()]
    moved = [
        each
        for each in case.having(MemberChange.CONTENT)
        if each.content is not None and each.content.moved and not (each.content.published or each.content.rebuilt)
    ]
    if pairs or moved:
        yield claim(
            Cause.HASH_OR_SET_ORDER,
            "The same entries stand in another order.",
            [*pairs_shown(pairs), *(EvidenceLine(member=each.member, note=each.detail) for each in moved)],
            lines=[*(line for pair in pairs for line in pair), *((each.member, *MOVED) for each in moved)],
            certainty=Certainty.LIKELY,
        )


def random_values(case: DiagnosisInput) -> Iterator[Claim]:
    """Lines that are the same but for what looks random; only where two rebuilds differ too."""
    if case.disagreement is not None:
        yield from _alike(
            case, _RANDOM, Cause.RANDOMNESS, Certainty.LIKELY, "Files contain values that are others in each build."
        )


def _alike(
    case: DiagnosisInput, pattern: re.Pattern[str], cause: Cause, certainty: Certainty, sentence: str
) -> Iterator[Claim]:
    def template(line: str) -> str | None:
        return pattern.sub("\0", line) if pattern.search(line) else None

    pairs = alike(case.lines(), template)
    if pairs:
        yield about_pairs(cause, sentence, pairs, certainty)


def _decoded(line: str) -> str | None:
    """The line as it was before its UTF-8 was read as a Western encoding; as it is when it was not."""
    for name in ("cp1252", "latin-1"):
        try:
            return line.encode(name).decode("utf-8")
        except UnicodeError:
            continue
    return line
