"""Causes that show in lines of text: line ends, encodings, paths, times, names, order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.diagnose.case import LINE_ENDS, MOVED, Case, Claim, alike, claim, listed, metadata_file, pairs_shown
from rebuilder.model.comparison import MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine

_DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_TIME = re.compile(
    r"\d{4}[-/]\d{2}[-/]\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?"
    rf"|(?:(?:{_DAYS})[a-z]*,? )?(?:\d{{1,2}} (?:{_MONTHS})[a-z]*|(?:{_MONTHS})[a-z]* +\d{{1,2}})\b(?:,? \d{{4}}\b)?"
    r"|\b\d{2}:\d{2}:\d{2}\b"
    r"|\b1[0-9]{9}(?:\.\d+)?\b"
    r"|\b20\d{6}(?:T?\d{6}Z?)?\b"
)
_PATH = re.compile(
    r"(?:(?<![\w./-])/(?:home|Users|tmp|build|root|var|private|workspace|opt|mnt|__w)/|[A-Za-z]:\\)[^\s'\",;:)]*"
)
_VERSION = re.compile(r"(?<![\w.])\d+(?:\.\d+)+(?![\w.]*\d)")
_TOKEN = re.compile(r"[\w.+-]+")
_RANDOM = re.compile(r"\b[0-9a-fA-F]{8,}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|b'(?:[^'\\]|\\.)*'")
_LEAST_TOKENS = 3


def line_ends(case: Case) -> Iterator[Claim]:
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


def encoding(case: Case) -> Iterator[Claim]:
    """UTF-8 that one side read as another encoding."""
    pairs = [pair for pair in alike(case.lines(), _decoded) if pair[0][2] != pair[1][2]]
    if pairs:
        yield claim(
            Cause.LOCALE,
            "One build read UTF-8 text in the encoding of its locale, such as that of Windows.",
            pairs_shown(pairs),
            lines=[line for pair in pairs for line in pair],
        )


def paths(case: Case) -> Iterator[Claim]:
    """Lines that are the same but for an absolute path."""
    yield from _alike(
        case, _PATH, Cause.EMBEDDED_PATH, Certainty.SHOWN, "Files contain the directory they were built in."
    )


def times(case: Case) -> Iterator[Claim]:
    """Lines that are the same but for a date or a time."""
    yield from _alike(
        case, _TIME, Cause.EMBEDDED_TIME, Certainty.LIKELY, "Files contain a date or a time, and it is another one."
    )


def dependencies(case: Case) -> Iterator[Claim]:
    """Lines that are the same but for a version, and ours is that of a build dependency."""
    used = {version: name for name, version in case.tools.items()}
    pairs = [
        pair
        for pair in alike(
            case.lines(lambda member: not metadata_file(member)),
            lambda line: _VERSION.sub("\0", line) if _VERSION.search(line) else None,
        )
        if any(version in used for version in _VERSION.findall(pair[1][2]))
    ]
    if pairs:
        tools = sorted({used[version] for _, line in pairs for version in _VERSION.findall(line[2]) if version in used})
        yield claim(
            Cause.DEPENDENCY_DRIFT,
            f"Files name the version of a build dependency, and it was another one: {listed(tools)}.",
            pairs_shown(pairs),
            lines=[line for pair in pairs for line in pair],
        )


def names(case: Case) -> Iterator[Claim]:
    """Lines that are the same but for the name of the sandbox, which stands where a machine's name stood."""
    host = case.definition.hostname if case.definition is not None else ""
    if not host:
        return
    ours = re.compile(rf"\b{re.escape(host)}\b")
    found = []
    for line in case.lines():
        if line[1] == "rebuilt" and ours.search(line[2]):
            form = re.compile(r"[\w.-]+".join(re.escape(part) for part in ours.split(line[2])))
            found += [
                (other, line)
                for other in case.lines()
                if other[:2] == (line[0], "published") and form.fullmatch(other[2])
            ][:1]
    if found:
        yield claim(
            Cause.HOST_OR_USER_NAME,
            f"Files contain the name of the machine they were built on ({host} in the rebuild).",
            pairs_shown(found),
            lines=[line for pair in found for line in pair],
        )


def order(case: Case) -> Iterator[Claim]:
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


def random_values(case: Case) -> Iterator[Claim]:
    """Lines that are the same but for what looks random; only where two rebuilds differ too."""
    if case.disagreement is not None:
        yield from _alike(
            case, _RANDOM, Cause.RANDOMNESS, Certainty.LIKELY, "Files contain values that are others in each build."
        )


def _alike(case: Case, pattern: re.Pattern[str], cause: Cause, certainty: Certainty, sentence: str) -> Iterator[Claim]:
    def template(line: str) -> str | None:
        return pattern.sub("\0", line) if pattern.search(line) else None

    pairs = alike(case.lines(lambda member: not metadata_file(member, "RECORD")), template)
    if pairs:
        yield claim(
            cause, sentence, pairs_shown(pairs), lines=[line for pair in pairs for line in pair], certainty=certainty
        )


def _decoded(line: str) -> str | None:
    """The line as it was before its UTF-8 was read as a Western encoding; as it is when it was not."""
    for name in ("cp1252", "latin-1"):
        try:
            return line.encode(name).decode("utf-8")
        except UnicodeError:
            continue
    return line
