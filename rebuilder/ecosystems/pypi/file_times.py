"""Which time each source file had when the published file was packed (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from rebuilder.model.inspection import Inspection, Member, MemberKind

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"


def source_times(published: Inspection, source: Inspection, *, dist_info: str | None = None) -> dict[str, str]:
    """Time by path in the source, for every source file that went into the published file unchanged.

    A member belongs to the source file with the same bytes whose path ends most like its own:
    ``pkg/a.py`` to ``x-1.0/src/pkg/a.py``; at least the last parts must be equal. Members outside ``.dist-info``
    have the last word, since what a backend copies into ``.dist-info`` may get a time of its own. Fractions of
    seconds, which only tar archives have, are kept.
    """
    times: dict[str, str] = {}
    for member, path in counterparts(published, source, last=lambda name: not name.startswith(f"{dist_info}/")):
        if parse_time(member.mtime) is not None:
            times[path] = f"{member.mtime}.{member.fraction}" if member.fraction else member.mtime
    return dict(sorted(times.items()))


def counterparts(
    published: Inspection, source: Inspection, *, last: Callable[[str], bool] = lambda _: False
) -> Iterator[tuple[Member, str]]:
    """Each published file with the path in the source that it came from; see :func:`source_times` for how.

    Args:
        published: What was packed.
        source: What it was packed from.
        last: Whether a published name comes after those of which this is not true.
    """
    by_content: dict[str, list[Member]] = {}
    for member in source.members:
        if member.kind is MemberKind.FILE and member.sha256:
            by_content.setdefault(member.sha256, []).append(member)
    for member in sorted(published.members, key=lambda member: last(member.name)):
        if member.kind is not MemberKind.FILE:
            continue
        same_bytes = by_content.get(member.sha256 or "", [])
        candidates = [each for each in same_bytes if _shared_suffix(each.name, member.name)]
        if candidates:
            origin = max(candidates, key=lambda each: (_shared_suffix(each.name, member.name), -len(each.name)))
            yield member, normal_path(origin.name)


def epoch(moment: str) -> int | None:
    """Seconds since 1970 of a ZIP time read as UTC; None when it is no time at all."""
    parsed = parse_time(moment)
    return int(parsed.timestamp()) if parsed else None


def parse_time(moment: str) -> datetime | None:
    """A ZIP time; None when the archive holds something impossible, such as month 0."""
    try:
        return datetime.strptime(moment, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def normal_path(name: str) -> str:
    """A member name without ``./`` and double slashes."""
    return "/".join(part for part in name.split("/") if part not in {"", "."})


def _shared_suffix(one: str, other: str) -> int:
    count = 0
    for ours, theirs in zip(reversed(one.split("/")), reversed(other.split("/")), strict=False):
        if ours != theirs:
            break
        count += 1
    return count
