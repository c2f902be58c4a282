"""How the fields of archives are spoken of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rebuilder.programs.archive.reading import shown
from rebuilder.programs.archive.tar import utc
from rebuilder.programs.archive.zip import METHODS, dos_time


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
    "owner": ("owner", lambda value: shown(f"{value[0]}:{value[1]} {value[2].decode('utf-8', 'backslashreplace')}")),
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
