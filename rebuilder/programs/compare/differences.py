"""Names how two archives differ, member by member, in sentences with both sides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from rebuilder.programs.archive.deb import DebArchive
from rebuilder.programs.archive.reading import shown
from rebuilder.programs.archive.tar import utc
from rebuilder.programs.archive.zip import METHODS, dos_time

WHOLE = "(the archive as a whole)"
"""Stands for a member where a difference belongs to none."""


class Found(NamedTuple):
    """One difference, in the shape of ``model.comparison.Difference``."""

    member: str
    change: str
    detail: str
    key: tuple[bytes, int] | None = None
    """Which member it is; None for the whole archive."""
    content: dict[str, Any] | None = None
    """A closer look at a content that differs, in the shape of ``model.comparison.ContentChange``."""

    def document(self) -> dict[str, Any]:
        """The fields of ``Difference``."""
        fields: dict[str, Any] = {"member": self.member, "change": self.change, "detail": self.detail}
        return fields if self.content is None else {**fields, "content": self.content}


def by_key(archive: Any) -> dict[tuple[bytes, int], tuple[int, Any]]:
    """Members with their positions; those of one name are told apart by their order."""
    seen: dict[bytes, int] = defaultdict(int)
    result = {}
    for index, each in enumerate(archive.members):
        result[each.raw_name, seen[each.raw_name]] = (index, each)
        seen[each.raw_name] += 1
    return result


def content_differences(published: Any, rebuilt: Any, originals: tuple[Any, Any]) -> list[Found]:
    """What differs between two archives once their metadata is set aside.

    Args:
        published: A ``ZipArchive`` or ``TarArchive`` after all normalisations.
        rebuilt: The same for the other side.
        originals: Both before normalisation; sentences speak of these.
    """
    theirs, ours = by_key(published), by_key(rebuilt)
    theirs_before, ours_before = map(by_key, originals)
    found = []
    for key in sorted(theirs.keys() | ours.keys()):
        if key not in ours:
            each = theirs_before[key][1]
            found.append(Found(each.name, "missing", f"Only in the published file: {described(each)}.", key))
        elif key not in theirs:
            each = ours_before[key][1]
            found.append(Found(each.name, "added", f"Only in the rebuilt file: {described(each)}.", key))
        elif theirs[key][1] != ours[key][1]:
            left, right = theirs[key][1], ours[key][1]
            found.extend(_changes(key, left, right, (theirs_before[key][1], ours_before[key][1])))
    found.extend(_whole(published, rebuilt))
    if not found:
        found.append(Found(WHOLE, "metadata", "The members stand in another order, and here the order matters."))
    return found


def metadata_differences(published: Any, rebuilt: Any) -> list[Found]:
    """Everything in which two archives of equal content differ."""
    theirs, ours = by_key(published), by_key(rebuilt)
    found = []
    for key in sorted(theirs.keys() | ours.keys()):
        if key in theirs and key in ours:
            left, right = theirs[key][1], ours[key][1]
            detail = _metadata(left, right)
            if left.sha256 != right.sha256:
                detail = f"The same lines in another order. {detail}"
            if detail:
                found.append(Found(left.name, "metadata", detail.strip(), key))
        else:
            side, only = ("published", theirs) if key in theirs else ("rebuilt", ours)
            each = only[key][1]
            found.append(Found(each.name, "metadata", f"Only in the {side} file: {described(each)}.", key))
    found.extend(_whole(published, rebuilt))
    common = theirs.keys() & ours.keys()
    if [key for key in theirs if key in common] != [key for key in ours if key in common]:
        found.append(Found(WHOLE, "metadata", "The members stand in another order."))
    return found


def _changes(key: tuple[bytes, int], left: Any, right: Any, before: tuple[Any, Any]) -> list[Found]:
    name = left.name
    if left.kind != right.kind:
        return [Found(name, "kind", f"Published {described(before[0])}, rebuilt {described(before[1])}.", key)]
    found = []
    if left.link != right.link:
        detail = f"Published links to “{shown(left.link or '')}”, rebuilt to “{shown(right.link or '')}”."
        found.append(Found(name, "link", detail, key))
    elif (left.size, left.sha256) != (right.size, right.sha256):
        detail = f"Published {left.size:,} bytes, rebuilt {right.size:,} bytes."
        found.append(Found(name, "content", detail, key))
    if left.mode != right.mode:
        found.append(Found(name, "mode", field_sentence("mode", before[0].mode, before[1].mode), key))
    detail = _metadata(left, right, before)
    if detail and not found:
        found.append(Found(name, "metadata", detail, key))
    return found


def _metadata(left: Any, right: Any, before: tuple[Any, Any] | None = None) -> str:
    """Sentences on the fields that differ, with the values that the files have rather than what was left of them."""
    names = [name for name in left._fields if name in FIELDS and getattr(left, name) != getattr(right, name)]
    theirs, ours = before or (left, right)
    return " ".join(field_sentence(name, getattr(theirs, name), getattr(ours, name)) for name in names)


def _whole(published: Any, rebuilt: Any) -> list[Found]:
    """What differs between two archives outside of their members."""
    if isinstance(published, DebArchive):
        inner = zip(published.parts, rebuilt.parts)  # noqa: B905 - Python 3.9
        within = [found for (name, left), (_, right) in inner for found in _fields(name, left, right, "members")]
        return [*_ar_headers(published, rebuilt), *within]
    return _fields(WHOLE, published, rebuilt, "members")


def _fields(place: str, left: Any, right: Any, apart: str) -> list[Found]:
    return [
        Found(place, "metadata", field_sentence(name, getattr(left, name), getattr(right, name)))
        for name in left._fields
        if name != apart and getattr(left, name) != getattr(right, name)
    ]


def _ar_headers(published: DebArchive, rebuilt: DebArchive) -> list[Found]:
    """What differs in the headers of the archives within two packages; those of other parts are members."""
    names = [[each.name for each in side.ar] for side in (published, rebuilt)]
    if names[0] != names[1]:
        left, right = (", ".join(map(shown, each)) for each in names)
        return [Found(WHOLE, "metadata", f"Parts: published {left}, rebuilt {right}.")]
    loose = {each.name for each in published.loose}
    pairs = [both for both in zip(published.ar, rebuilt.ar) if both[0].name not in loose]  # noqa: B905 - Python 3.9
    return [found for left, right in pairs for found in _fields(left.name, left, right, "name")]


def _stretch(value: Any) -> str:
    return "none" if value is None else f"{value.size:,} bytes (sha256 {value.sha256[:12]}…)"


def _form(value: Any) -> str:
    if value is None:
        return "none"
    header, extensions = value
    dialect = {b"ustar\x0000": "ustar", b"ustar  \0": "GNU"}.get(header.magic, "v7")
    kinds = {b"x": "pax", b"L": "GNU long name", b"K": "GNU long link"}
    return ", ".join([dialect, *(kinds.get(each.header.type, repr(each.header.type)) for each in extensions)])


def _compression(value: Any) -> str:
    if value is None:
        return "none"
    parts = []
    for each in value.streams[:2]:
        raw = f"{each.raw.size:,} bytes" if each.raw else "data"
        header = each.header
        named = f", file name {header.name!r}" if header and header.name is not None else ""
        parts.append(
            f"{raw}, time {header.mtime}, level {header.level}, system {header.system}{named}" if header else raw
        )
    return f"{value.kind} of " + " and ".join(parts)


def _owner(user: int, group: int, *names: bytes) -> str:
    return f"{user}:{group} {b''.join(names[:1]).decode('utf-8', 'backslashreplace')}"


def _mode(mode: int | None) -> str:
    return "none" if mode is None else f"{mode:06o}"


FIELDS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "raw_name": ("bytes of the name", repr),
    "time": ("time", dos_time),
    "mtime": ("time", utc),
    "host": ("host system", str),
    "made": ("version made by", str),
    "needed": ("version needed", str),
    "flags": ("flags", hex),
    "method": ("compression", lambda value: METHODS.get(value, str(value))),
    "internal": ("internal attributes", hex),
    "external": ("mode", lambda value: f"{_mode(value >> 16 or None)} (attributes 0x{value & 0xFFFF:02x})"),
    "mode": ("mode", _mode),
    "extra": ("extra fields", lambda value: ", ".join(f"0x{kind & 0xFFFF:04x}" for kind, _data in value) or "none"),
    "local_extra": ("local extra fields", lambda value: ", ".join(f"0x{k & 0xFFFF:04x}" for k, _d in value) or "none"),
    "comment": ("comment", lambda value: f"“{shown(value.decode('utf-8', 'backslashreplace'), 60)}”"),
    "odd": (
        "fields that contradict each other",
        lambda value: shown(", ".join(f"{n} {v}" for n, v in value)) or "none",
    ),
    "descriptor": ("data descriptor", lambda value: "none" if value is None else "present"),
    "raw": ("compressed size", lambda value: "nothing" if value is None else f"{value.size:,} bytes"),
    "slack": ("bytes after the data", _stretch),
    "gap": ("bytes in front", _stretch),
    "owner": (
        "owner",
        lambda value: shown(f"{value[0]}:{value[1]} {b' '.join(value[2:3]).decode('utf-8', 'replace')}"),
    ),
    "device": ("device", str),
    "records": ("pax records", lambda value: shown(", ".join(repr(key) for key, _value in value)) or "none"),
    "written": ("form of the headers", lambda value: shown(_form(value))),
    "padding": ("padding", _stretch),
    "raw_link": ("bytes of the link", repr),
    "prefix": ("bytes in front of the archive", _stretch),
    "trailing": ("bytes after the end", _stretch),
    "before_directory": ("bytes in front of the directory", _stretch),
    "end_zeros": ("zero bytes at the end", lambda value: "to a full record" if value < 0 else f"{value:,}"),
    "zip64_end": ("ZIP64 end record", lambda value: "none" if value is None else "present"),
    "shift": ("offset of the archive", str),
    "compression": ("compression", lambda value: shown(_compression(value), 200)),
}


def field_sentence(name: str, left: Any, right: Any) -> str:
    """Both sides of a field in one sentence."""
    label, text = FIELDS.get(name, (name.replace("_", " "), lambda value: shown(repr(value), 80)))
    published, rebuilt = text(left), text(right)
    label = label[0].upper() + label[1:]
    if published == rebuilt:
        return f"{label}: both {published}, in another form."
    return f"{label}: published {published}, rebuilt {rebuilt}."


def described(member: Any) -> str:
    """What a member is, such as "a file of 12 bytes"."""
    if member.kind == "file":
        return f"a file of {member.size:,} bytes"
    if member.link is not None:
        return f"a {member.kind} to “{shown(member.link)}”"
    return f"a {member.kind}"


_LINE = 100
_EXCERPT = 200
"""Most characters of a line that is handed back."""
_AROUND = 16
"""Bytes handed back around the first difference of what is no text."""


def first_difference(published: bytes, rebuilt: bytes, *, whole: bool) -> str:
    """One sentence: the first line (of text) or the first byte (of anything else) that differs.

    ``whole``: Whether these are the whole contents and not their beginnings.
    """
    at = _first_byte(published, rebuilt)
    if at is None:
        return "" if whole else f"The first {min(len(published), len(rebuilt)):,} bytes are the same."
    left, right = _text(published), _text(rebuilt)
    if left is None or right is None:
        return f"First difference at byte {at:,}."
    if whole:
        if left.replace("\r\n", "\n") == right.replace("\r\n", "\n"):
            return f"Only line ends differ: published {_ends(left)}, rebuilt {_ends(right)}."
        if sorted(left.splitlines()) == sorted(right.splitlines()):
            return f"The same lines in another order. {_first_line('Line', published, at, left, right)}"
    return _first_line("First difference in line", published, at, left, right)


def content_change(published: bytes, rebuilt: bytes, *, whole: bool, most: int) -> dict[str, Any] | None:
    """The lines only one side has, in the shape of ``model.comparison.ContentChange``.

    Lines are counted, not aligned: that costs as much as reading them, whatever an archive holds.

    Args:
        published: The content, or its beginning.
        rebuilt: The same for the other side.
        whole: Whether these are the whole contents; of beginnings nothing is said.
        most: Lines handed back of each side.
    """
    at = _first_byte(published, rebuilt)
    if at is None or not whole:
        return None
    left, right = _text(published), _text(rebuilt)
    if left is None or right is None:
        start = max(0, at - _AROUND // 2)
        return {"text": False, "published": _hex(published, start), "rebuilt": _hex(rebuilt, start)}
    line_ends = ("\r\n" in left) != ("\r\n" in right)
    theirs, ours = ((side.replace("\r\n", "\n") if line_ends else side).split("\n") for side in (left, right))
    published_only, rebuilt_only = _beyond(theirs, ours), _beyond(ours, theirs)
    return {
        "text": True,
        "line_ends": line_ends,
        "moved": _common(theirs, ours) != _common(ours, theirs),
        "published": [shown(line, _EXCERPT) for line in published_only[:most]],
        "rebuilt": [shown(line, _EXCERPT) for line in rebuilt_only[:most]],
        "published_total": len(published_only),
        "rebuilt_total": len(rebuilt_only),
    }


def _hex(data: bytes, start: int) -> list[str]:
    part = data[start : start + _AROUND]
    return [part.hex(" ")] if part else []


def _beyond(lines: list[str], others: list[str]) -> list[str]:
    """Lines that occur more often than among the others, in order; of equal ones the last."""
    left = Counter(lines) - Counter(others)
    found = []
    for line in reversed(lines):
        if left[line] > 0:
            left[line] -= 1
            found.append(line)
    return found[::-1]


def _common(lines: list[str], others: list[str]) -> list[str]:
    """Lines that both have, in the order of the first."""
    left = Counter(lines) & Counter(others)
    found = []
    for line in lines:
        if left[line] > 0:
            left[line] -= 1
            found.append(line)
    return found


def _first_byte(left: bytes, right: bytes) -> int | None:
    if left == right:
        return None
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A beginning may be cut inside a character.
        return data[: error.start].decode("utf-8") if error.start >= len(data) - 3 else None


def _first_line(label: str, published: bytes, at: int, left: str, right: str) -> str:
    line = published.count(b"\n", 0, at)
    return f"{label} {line + 1:,}: published {_line(left, line)}, rebuilt {_line(right, line)}."


def _line(text: str, index: int) -> str:
    lines = text.split("\n")
    if index >= len(lines) or (index == len(lines) - 1 and not lines[index]):
        return "ends before it"
    return f"“{shown(lines[index], _LINE)}”"


def _ends(text: str) -> str:
    crlf = text.count("\r\n")
    return f"{crlf:,} CRLF and {text.count(chr(10)) - crlf:,} LF"
