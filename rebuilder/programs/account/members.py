"""The members of a wheel, and the files of a source archive, as accounting looks at them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.zip import dos_seconds

HEAD_BYTES = 64
"""Of every member: enough to tell what it is."""
METADATA_BYTES = 16 << 20
"""Longest file of a ``.dist-info`` directory, or of a source, that is read as text."""
LOOK_BYTES = 4 << 20
"""Longest member that a rule looks into."""
LOOK_TOTAL = 48 << 20
"""Bytes of members that rules look into altogether."""

PYTHON, STARTUP, SCRIPT, COMPILED, METADATA, DATA = "python", "startup", "script", "compiled", "metadata", "data"
RUNS = {PYTHON, STARTUP, SCRIPT, COMPILED}

QUOTED = re.compile(r"[\"']([^\"'\n]{1,200})[\"']")
"""What stands in texts of a file that says how a source is built."""

_COMPILED_NAME = re.compile(r"\.(?:so|pyd|dylib|dll|exe|a|lib|o|obj|node|wasm)(?:\.\d+)*$", re.IGNORECASE)
_MACH = (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")
_FAT = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf", b"\xbe\xba\xfe\xca", b"\xbf\xba\xfe\xca")
_PYTHON_NAME = (".py", ".pyw", ".pyc", ".pyo")
_STARTUP_NAME = (".pth", "._pth", ".start")
_SHELL_NAME = (".sh", ".bat", ".cmd", ".ps1")
_STARTUP_MODULES = {"sitecustomize", "usercustomize"}
_PACKAGES = re.compile(r"(?:local/)?lib(?:64)?/(?:(?:python|pypy)[0-9.]+t?/)?(?:site|dist)-packages/", re.IGNORECASE)
_COMMANDS = re.compile(r"(?:local/)?(?:bin|scripts)/", re.IGNORECASE)
"""Below the directory of an installation of Python, where the scheme ``data`` goes."""
_OTHER_NAME = re.compile(r"[\0-\x1f\\]|::|(?:^|/)\.{0,2}(?:/|$)|[. ](?:/|$)")
"""In a name that some file system takes for another one, or that is not written in its one plain way."""
_DATA_DIRECTORY = re.compile(r"[^/]+\.data/(?P<scheme>purelib|platlib|scripts|data|headers)/(?P<rest>.+)", re.DOTALL)
_BUILD_FILES = re.compile(
    r"^[^/]+/[^/]+\.py$|(?:^|/)(?:setup\.py|setup\.cfg|pyproject\.toml|meson\.build|CMakeLists\.txt|Cargo\.toml|MANIFEST\.in|PKG-INFO"
    r"|(?:setup|build)[A-Za-z0-9_]*\.py|[^/]+\.cmake|[^/]+\.egg-info/[^/]+\.txt|setup\.cfg)$"
)
_TEMPLATE = re.compile(r"\.(?:py|pth|sh)\.(?:in|tmpl|template|tpl)$|\.in\.py$")


@dataclass
class WheelMember:
    """One member that is no directory, and what accounts for it once that is found."""

    index: int
    name: str
    sha256: str
    size: int
    head: bytes
    seconds: int = 0
    """Its time in the archive, as if that were in UTC."""
    link: bool = False
    """Whether it is a symbolic link or anything else that is no file: no installer makes a wheel's link."""
    how: str = ""
    source: str = ""
    rule: str = ""
    detail: str = ""
    accuses: bool = False
    beside: str = ""
    """The file of the source that has its place, and is another."""
    content: bytes | None = None

    def __post_init__(self) -> None:
        """See where it is installed to, and what it is."""
        found = _DATA_DIRECTORY.fullmatch(self.name)
        self.scheme = found["scheme"] if found else "platlib"
        self.path = found["rest"] if found else self.name
        """Where it goes below the directory of packages, or of its scheme."""
        for pattern, scheme in ((_PACKAGES, "platlib"), (_COMMANDS, "scripts")):
            if self.scheme == "data" and (begin := pattern.match(self.path)):
                self.scheme, self.path = scheme, self.path[begin.end() :]
        self.astray = self.link or _OTHER_NAME.search(self.name) is not None
        """Whether it is no file, or lands under another name somewhere, as what ends with a dot does on Windows."""
        self.kind = _kind(self)

    def settle(self, how: str, *, source: str = "", rule: str = "", detail: str = "") -> None:
        """Account for it."""
        self.how, self.source, self.rule, self.detail, self.accuses = how, source, rule, detail, False

    def accuse(self, detail: str) -> None:
        """Nothing accounts for it, and it is executed or changes what is installed."""
        self.how, self.source, self.rule, self.detail, self.accuses = "unexplained", "", "", detail, True

    def document(self) -> dict[str, Any]:
        """In the shape of ``rebuilder.model.accounting.MemberAccount``."""
        document: dict[str, Any] = {"path": self.name, "sha256": self.sha256, "size": self.size, "kind": self.kind}
        document["how"] = self.how or "unexplained"
        for name in ("source", "rule", "detail"):
            if getattr(self, name):
                document[name] = getattr(self, name)
        if self.accuses:
            document["accuses"] = True
        return document


def _kind(member: WheelMember) -> str:
    name, top = posixpath.basename(member.path).lower(), member.path.partition("/")[0].lower()
    if top.endswith((".dist-info", ".egg-info", ".egg-link", ".egg")):
        return METADATA
    if (
        name.endswith(_STARTUP_NAME)
        or top.partition(".")[0] in _STARTUP_MODULES
        or (member.scheme, member.path) == ("data", "pyvenv.cfg")
    ):
        return STARTUP
    if is_compiled(name, member.head):
        return COMPILED
    if member.scheme == "scripts":
        return SCRIPT
    if name.endswith(_PYTHON_NAME):
        return PYTHON
    return SCRIPT if member.head.startswith(b"#!") or name.endswith(_SHELL_NAME) else DATA


def is_compiled(name: str, head: bytes) -> bool:
    """Whether a file is an executable, a library or code of a virtual machine, by its first bytes or its name."""
    if head.startswith(b"#!"):
        return False
    if head.startswith((b"\x7fELF", b"!<arch>\n", b"!<thin>\n", b"\0asm", *_MACH)) or _COMPILED_NAME.search(name):
        return True
    if head.startswith(b"MZ") and b"\0" in head:
        return True
    # What begins like a Mach-O for several processors is a Java class if the number of those were too large.
    return head.startswith(_FAT) and max(head[4:8] or b"\xff") < 45


@dataclass
class SourceFiles:
    """The files of a source archive, by path below its top directory and by content."""

    archive: str = ""
    """Path of the archive."""
    by_path: dict[str, str] = field(default_factory=dict)
    """Path to SHA-256."""
    by_sha256: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    """Contents of files that say how it is built, and of templates."""

    def add(self, path: str, sha256: str) -> None:
        """Take one file; of two of one path the last is the one that is unpacked."""
        self.by_path[path] = sha256
        self.by_sha256.setdefault(sha256, []).append(path)

    def egg_info(self, name: str) -> list[tuple[str, bytes]]:
        """A file that setuptools wrote about this release, with its path; not those of tests."""
        pattern = re.compile(rf"(?!tests?/|testing/|examples?/|docs?/)(?:[^/]+/)?[^/]+\.egg-info/{re.escape(name)}")
        return [(path, content) for path, content in self.texts.items() if pattern.fullmatch(path)]


def read_wheel(path: str) -> tuple[list[WheelMember], str | None]:
    """Read a wheel.

    Returns:
        Its members in archive order, and what is wrong with it if it cannot be read to its end.
    """

    def keep(_index: int, name: str) -> int:
        return METADATA_BYTES if ".dist-info/" in name else HEAD_BYTES

    reading = read_archive(path, keep, raw=False)
    members = [
        WheelMember(
            index=index,
            name=each.name,
            sha256=each.sha256,
            size=each.size,
            head=reading.contents.get(index, b"")[:HEAD_BYTES],
            seconds=dos_seconds(each.time),
            link=each.kind != "file",
            content=reading.contents.get(index, b"") if ".dist-info/" in each.name else None,
        )
        for index, each in enumerate(reading.archive.members if reading.archive else ())
        if each.kind != "directory"
    ]
    return members, None if reading.readable else reading.problems[0]


def read_source(path: str) -> tuple[SourceFiles, str | None]:
    """Read a source archive; gives its files, and what is wrong with it if it cannot be read to its end."""
    budget = LOOK_TOTAL

    def keep(_index: int, name: str) -> int:
        nonlocal budget
        if budget <= 0 or not (_BUILD_FILES.search(name) or _TEMPLATE.search(name)):
            return 0
        budget -= 1 << 14
        return LOOK_BYTES

    reading = read_archive(path, keep, raw=False)
    members = reading.archive.members if reading.archive else ()
    top = _top(each.name for each in members)
    files, links = SourceFiles(path), []
    for index, each in enumerate(members):
        name = _below(each.name, top)
        if each.kind == "file":
            files.add(name, each.sha256)
            if index in reading.contents:
                files.texts[name] = reading.contents[index]
        elif each.kind in {"symlink", "hardlink"}:
            goal = each.link or ""
            if each.kind == "symlink":
                goal = posixpath.join(posixpath.dirname(each.name), goal)
            links.append((name, _below(posixpath.normpath(goal), top)))
    for name, goal in links:
        if goal in files.by_path:
            files.add(name, files.by_path[goal])
    return files, None if reading.readable else reading.problems[0]


def read_texts(path: str, names: Iterable[str]) -> dict[str, bytes]:
    """Files of a source archive, by their path below its top directory; not the large ones."""
    names, budget = set(names), LOOK_TOTAL

    def keep(_index: int, name: str) -> int:
        nonlocal budget
        if budget <= 0 or not any(name == each or name.endswith(f"/{each}") for each in names):
            return 0
        budget -= LOOK_BYTES
        return LOOK_BYTES

    reading = read_archive(path, keep, raw=False)
    members = reading.archive.members if reading.archive else ()
    top = _top(each.name for each in members)
    found = ((_below(members[index].name, top), content) for index, content in reading.contents.items())
    return {name: content for name, content in found if name in names}


def look_into(path: str, members: Iterable[WheelMember]) -> None:
    """Read members from the wheel once more, for rules that look at their content; not the large ones."""
    wanted, total = {}, 0
    for each in sorted(members, key=lambda each: each.size):
        total += each.size
        if each.content is None and each.size <= LOOK_BYTES and total <= LOOK_TOTAL:
            wanted[each.index] = each
    if wanted:
        reading = read_archive(path, lambda index, _name: LOOK_BYTES if index in wanted else 0, raw=False)
        for index, content in reading.contents.items():
            wanted[index].content = content


def scan(path: str, wanted: set[str], receive: Callable[[str, bytes], None]) -> None:
    """Hand over the content of members in pieces: ``receive`` gets the name of each, and the next piece of it."""

    class Piece:
        def __init__(self, name: str) -> None:
            self.name = name

        def write(self, data: bytes) -> int:
            receive(self.name, data)
            return len(data)

        def close(self) -> None:
            pass

    read_archive(path, raw=False, receive=lambda entry: Piece(entry.name) if entry.name in wanted else None)  # type: ignore[arg-type,return-value]


def _top(names: Iterable[str]) -> str:
    """The one directory everything lies in; empty when there is none."""
    tops = {posixpath.normpath(name).partition("/")[0] for name in names} - {".", "pax_global_header"}
    return tops.pop() if len(tops) == 1 else ""


def _below(name: str, top: str) -> str:
    path = posixpath.normpath(name)
    return path[len(top) + 1 :] if top and path.startswith(f"{top}/") else path
