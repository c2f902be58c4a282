"""What the ``.dist-info`` directory of a wheel says, held against the source archive and the wheel itself.

Formats: https://packaging.python.org/en/latest/specifications/core-metadata/,
https://packaging.python.org/en/latest/specifications/binary-distribution-format/ (``WHEEL``),
https://packaging.python.org/en/latest/specifications/recording-installed-packages/ (``RECORD``),
https://packaging.python.org/en/latest/specifications/entry-points/.

What the build files at the top of a source say is required counts wherever that is put together. A requirement that
depends on the platform is in no ``PKG-INFO``, so it may stand here. Any other text of a build file is none: the code of
a warning, or a directory, is the name of somebody's distribution, too.
"""

from __future__ import annotations

import ast
import base64
import configparser
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from email.errors import MissingHeaderBodySeparatorDefect
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from itertools import product
from typing import Any

from rebuilder.programs.account.members import METADATA, METADATA_BYTES, RUNS, SourceFiles, WheelMember
from rebuilder.programs.archive.reading import examples, shown

_SETTLED = {"source", "line-ends", "built", "derived"}
_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_READ = ("METADATA", "WHEEL", "entry_points.txt")
_WHEEL_FIELDS = {"wheel-version", "generator", "root-is-purelib", "tag", "build"}
_INSTALLED = (
    "requires-dist",
    "provides-extra",
    "requires-python",
    "requires-external",
    "provides-dist",
    "obsoletes-dist",
)
"""Fields of METADATA that say what else is installed, and where it may be."""
_FIELD = re.compile(rb"(?im)^(%s)[ \t]*:(.*)$" % b"|".join(each.encode() for each in _INSTALLED))
_DESCRIPTIVE = {"metadata-version", "dynamic", "license-file", "platform", "generator"}
"""Fields that backends write otherwise in a source archive, or in another release of theirs."""


def check_record(members: list[WheelMember]) -> None:
    """Account for RECORD, which must list every member with its digest.

    A member that it lists otherwise, or not at all, was put in or changed after the wheel was packed.
    """
    record = _named(members, "RECORD")
    if record is None or record.content is None:
        return
    try:
        rows = list(csv.reader(io.StringIO(record.content.decode("utf-8"), newline="")))
    except (UnicodeDecodeError, csv.Error):
        record.accuse("It is no list of files that can be read.")
        return
    listed = {row[0]: row[1] for row in rows if len(row) > 1}
    names = {each.name for each in members}
    lacking = [name for name in listed if name not in names and not name.endswith("/")]
    said = [f"files that are not there, such as {examples(lacking, 1)}"] if lacking else []
    wrong = [(each, what) for each in members if (what := _listed_otherwise(each, listed))]
    said += [
        f"{what} {examples([each.name for each, found in wrong if found == what])}"
        for what in sorted({what for _, what in wrong})
    ]
    for each, what in wrong:
        if each.kind in RUNS and each.how not in _SETTLED:
            each.accuse(f"RECORD has {what} it: it was put in or changed after the wheel was packed.")
    if said:
        record.how, record.detail = "unexplained", f"It has {'; '.join(said)}."
    else:
        record.settle("derived", rule="wheel-record", detail="It lists every member with its digest.")


def _listed_otherwise(member: WheelMember, listed: dict[str, str]) -> str:
    """What is wrong with the line about a member, as the beginning of words; empty when nothing is."""
    if member.kind == METADATA and posix_name(member) in _UNLISTED:
        return ""
    if member.name not in listed:
        return "nothing about"
    algorithm, _, digest = listed[member.name].partition("=")
    other = algorithm == "sha256" and digest.rstrip("=") != _encoded(member.sha256)
    return "another digest for" if other or not digest else ""


def check_directory(members: list[WheelMember], filename: str) -> None:
    """Accuse what would be found as the metadata of another distribution, or as other files on some file systems.

    Whatever reads metadata takes every such directory for an installed distribution, entry points included.
    """
    own = _plain("-".join(filename.split("-")[:2]))
    names = {each.casefold() for each in (*_UNLISTED, *_READ)}
    found: set[str] = set()
    for each in members:
        if each.kind != METADATA:
            continue
        directory, _, name = each.name.partition("/")
        if not directory.endswith(".dist-info") or _plain(directory[: -len(".dist-info")]) != own:
            each.accuse("It would be found as the metadata of a distribution that this wheel is not of.")
            continue
        found.add(directory)
        if name in _READ and each.size > METADATA_BYTES:
            each.accuse("It is too long to be read to its end.")
        if name.casefold() == "direct_url.json":
            each.accuse(
                "It says that the distribution was installed from elsewhere, which tools install it from again."
            )
        if len(found) > 1 or (name.casefold() in names and name not in (*_UNLISTED, *_READ)):
            each.accuse("Some file systems take it for another file of the metadata.")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def check_wheel_file(members: list[WheelMember], filename: str) -> None:
    """Account for WHEEL: it may name the tool that packed it, and says the tags of the file name."""
    found = _named(members, "WHEEL")
    if found is None or found.content is None:
        return
    message = _message(found.content)
    parts = filename[: -len(".whl")].split("-")[-3:]
    expected = {"-".join(each) for each in product(*(part.split(".") for part in parts))} if len(parts) == 3 else set()
    fields = {name.lower() for name, _ in message.items()}
    tags = set(message.get_all("Tag", []))
    body = message.get_payload()
    if fields <= _WHEEL_FIELDS and tags == expected and not (isinstance(body, str) and body.strip()):
        found.settle("derived", rule="wheel-file", detail="It says the tags of the file name, and what packed it.")
    elif tags != expected:
        found.detail = f"Its tags are not those of the file name: {examples(sorted(tags ^ expected))}."


def check_metadata(members: list[WheelMember], source: SourceFiles) -> str | None:
    """Account for METADATA by its fields: what it has installed must be what the source archive says.

    Returns:
        What could not be checked, as a sentence.
    """
    found, told = _named(members, "METADATA"), source.texts.get("PKG-INFO")
    if found is None or found.content is None or found.how in _SETTLED:
        return None
    if told is None:
        return "The source archive has no PKG-INFO at its top, so METADATA was not held against anything."
    theirs, ours = _fields(found.content), _fields(told)
    said = set(ours["requires-dist"]) | set(_requires_txt(source))
    written = {_needed(_requirement(each)) for each in required_texts(source)}
    problems = [
        f"{name.title()}: {', '.join(theirs.get(name, [])) or 'none'}"
        for name in ("name", "version")
        if theirs.get(name) != ours.get(name)
    ]
    added = [each for each in theirs["requires-dist"] if each not in said and _needed(each) not in written]
    problems += [f"Requires-Dist: {each}" for each in added]
    dropped = [each for each in ours["requires-dist"] if each not in theirs["requires-dist"]]
    if theirs["requires-python"] != ours["requires-python"] and ours["requires-python"]:
        problems.append(f"Requires-Python: {', '.join(theirs['requires-python']) or 'none'}")
    for name in ("requires-external", "provides-dist", "obsoletes-dist"):
        problems += [f"{name.title()}: {each}" for each in theirs[name] if each not in ours[name]]
    if problems:
        found.accuse(f"The source archive does not say this: {'; '.join(shown(each) for each in problems[:5])}.")
        return None
    others = sorted(
        name
        for name in theirs.keys() | ours.keys()
        if name not in _DESCRIPTIVE and name not in _INSTALLED and theirs.get(name) != ours.get(name)
    )
    detail = "What it says is installed with it is what PKG-INFO of the source archive or its build files say."
    if dropped:
        detail += f" PKG-INFO also has {examples(dropped)}."
    if others:
        detail += f" Other fields differ: {', '.join(shown(each, 40) for each in others[:8])}."
    found.settle("derived", rule="metadata-fields", detail=detail)
    return None


def check_entry_points(members: list[WheelMember], source: SourceFiles) -> None:
    """Account for entry_points.txt: each must be one that the source declares."""
    found = _named(members, "entry_points.txt")
    if found is None or found.content is None or found.how in _SETTLED:
        return
    try:
        entries = set(_entries(found.content))
    except ValueError:
        found.accuse("Its entry points cannot be read.")
        return
    declared = {_without_python(each) for each in _declared(source)}
    undeclared = sorted(each for each in entries if _without_python(each) not in declared)
    quoted = {_squeezed(each) for each in _quoted(source)}
    groups = {each.strip("[]").rstrip("=") for each in quoted}
    undeclared = [
        each for each in undeclared if each[0] not in groups or _squeezed(f"{each[1]}={each[2]}") not in quoted
    ]
    if undeclared:
        said = examples([f"{name} = {value} ({group})" for group, name, value in undeclared])
        found.accuse(f"The source does not declare the entry point {said}.")
    else:
        found.settle("derived", rule="entry-points", detail="The source declares each of these entry points.")


def check_others(members: list[WheelMember]) -> None:
    """Account for the small files beside METADATA."""
    for each in members:
        if each.kind != METADATA or each.how or each.content is None:
            continue
        name = posix_name(each)
        if name == "top_level.txt":
            tops = {member.path.partition("/")[0].partition(".")[0] for member in members}
            if set(each.content.decode("utf-8", "replace").split()) <= tops | {""}:
                each.settle("derived", rule="top-level-names", detail="It names what lies at the top of the wheel.")
        elif name in {"zip-safe", "not-zip-safe", "REQUESTED"} and not each.content.strip():
            each.settle("derived", rule="empty-marker", detail="It is empty, and its name is all it says.")
        elif name == "DELVEWHEEL" and each.content.startswith(b"Version: "):
            each.settle("derived", rule="delvewheel-file", detail="delvewheel notes its version and how it was called.")
        elif each.name.endswith(".dist-info/sboms/auditwheel.cdx.json"):
            each.settle("derived", rule="auditwheel-sbom", detail="auditwheel lists the libraries that it copied in.")


def posix_name(member: WheelMember) -> str:
    """The name of a member below ``.dist-info``."""
    return member.name.partition("/")[2]


def _named(members: Iterable[WheelMember], name: str) -> WheelMember | None:
    found = (each for each in members if each.kind == METADATA and posix_name(each) == name)
    return next((each for each in found if not each.accuses), None)


def _encoded(sha256: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")


def _message(content: bytes) -> Message:
    return BytesParser(policy=compat32).parsebytes(content.replace(b"\r\n", b"\n"))


def _fields(content: bytes) -> dict[str, list[str]]:
    """Fields by name in small letters, each value in one way of writing; those that say what is installed are there."""
    message = _message(content)
    found: dict[str, list[str]] = {name: [] for name in _INSTALLED}
    fields = [(name, str(value)) for name, value in message.items()]
    # Behind a line that is no field some readers see the text begin, and some do not.
    fields += [(line[1].decode(), line[2].decode("utf-8", "replace")) for line in _late_fields(message)]
    for name, value in fields:
        text = value
        key = name.lower()
        plain = _requirement(text) if key == "requires-dist" else " ".join(text.split())
        if key == "name":
            plain = re.sub(r"[-_.]+", "-", plain).lower()
        elif key == "requires-python":
            plain = ",".join(sorted(re.sub(r"\s", "", plain).split(",")))
        found.setdefault(key, []).append(plain)
    return {name: sorted(values) for name, values in found.items()}


def _late_fields(message: Message) -> Iterator[re.Match[bytes]]:
    """Fields that say what is installed, between a line that is none and the first empty one."""
    body = message.get_payload()
    if any(isinstance(each, MissingHeaderBodySeparatorDefect) for each in message.defects) and isinstance(body, str):
        head = re.split(rb"(?:\r\n?|\n){2}", body.encode("utf-8", "surrogateescape"))[0]
        yield from re.finditer(_FIELD, head)


def _requirement(text: str) -> str:
    """A requirement in one way of writing: spaces, brackets, quotes and the order of bounds do not count."""
    need, _, marker = text.partition(";")
    match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?\s*(.*)", need, re.DOTALL)
    if match is None:
        return _squeezed(text)
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    extras = ",".join(sorted(_squeezed(match[2] or "").strip("[]").split(",")))
    bounds = ",".join(sorted(filter(None, _squeezed(match[3]).strip("()").split(","))))
    return f"{name}[{extras}]{bounds};{_squeezed(marker)}"


def _squeezed(text: str) -> str:
    return re.sub(r"[\s()]", "", text).replace("'", '"')


def _needed(requirement: str) -> str:
    """What a requirement asks for, without the marker, which a build file may have elsewhere."""
    return requirement.partition(";")[0].replace("[]", "")


def _build_texts(source: SourceFiles) -> Iterator[tuple[str, str]]:
    for name in ("setup.py", "setup.cfg", "pyproject.toml"):
        if name in source.texts:
            yield name, source.texts[name].decode("utf-8", "replace")


def _quoted(source: SourceFiles) -> Iterator[str]:
    """Texts in the build files at the top of the source: what they may declare."""
    for name, text in _build_texts(source):
        if name == "setup.py":
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield from node.value.splitlines()
        elif name == "setup.cfg":
            yield from text.splitlines()
        else:
            yield from (one or two for one, two in re.findall(r"\"([^\"\n]*)\"|'([^'\n]*)'", text))


def _requires_txt(source: SourceFiles) -> Iterator[str]:
    """What setuptools wrote about requirements beside PKG-INFO: sections for extras and markers."""
    for _path, content in source.egg_info("requires.txt"):
        section = ""
        for line in content.decode("utf-8", "replace").splitlines():
            text = line.strip()
            if text.startswith("["):
                section = text.strip("[]")
            elif text:
                extra, _, marker = section.partition(":")
                conditions = [f"({marker})" if extra and marker else marker, f'extra == "{extra}"' if extra else ""]
                need, _, own = text.partition(";")
                yield _requirement(f"{need};{' and '.join(filter(None, [own, *conditions]))}")


def _entries(content: bytes) -> Iterator[tuple[str, str, str]]:
    """As :mod:`importlib.metadata` reads them: every line counts, and of two of one name both.

    Raises:
        ValueError: a line is none of an entry point, or stands in no group.
    """
    group = ""
    for line in map(str.strip, content.decode("utf-8").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not group or not equals:
                raise ValueError(line)
            yield group, name.strip(), _squeezed(value)


def _without_python(entry: tuple[str, str, str]) -> tuple[str, str, str]:
    """An entry point; where the name of a command ends with a version of Python, that does not count."""
    group, name, value = entry
    return group, re.sub(r"-?3(?:\.\d{1,2})?$", "", name) if group == "console_scripts" else name, value


def _declared(source: SourceFiles) -> set[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    for _path, content in source.egg_info("entry_points.txt"):
        try:
            found |= set(_entries(content))
        except ValueError:
            continue
    return found | set(_declared_in_pyproject(source))


def _declared_in_pyproject(source: SourceFiles) -> Iterator[tuple[str, str, str]]:
    document = read_toml(source.texts.get("pyproject.toml", b""))
    project, poetry = table(document, "project"), table(document, "tool", "poetry")
    for group, entries in (
        ("console_scripts", table(project, "scripts")),
        ("gui_scripts", table(project, "gui-scripts")),
        ("console_scripts", table(poetry, "scripts")),
        *((group, table(project, "entry-points", group)) for group in table(project, "entry-points")),
        *((group, table(poetry, "plugins", group)) for group in table(poetry, "plugins")),
    ):
        for name, value in entries.items():
            target = value.get("reference", value.get("callable")) if isinstance(value, dict) else value
            if isinstance(target, str):
                yield group, name, _squeezed(target)


_KEYS = {"install_requires", "extras_require", "requires", "requires_dist"}


def required_texts(source: SourceFiles) -> Iterator[str]:
    """Texts that a build may make requirements of; of ``setup.py`` all that may get into one."""
    for path in ("setup.py", "setup.cfg"):
        text = source.texts.get(path, b"").decode("utf-8", "replace")
        yield from _of_setup_py(text) if path == "setup.py" else _of_setup_cfg(text)
    document = read_toml(source.texts.get("pyproject.toml", b""))
    project = table(document, "project")
    for each in (project.get("dependencies"), *table(project, "optional-dependencies").values()):
        yield from (text for text in each if isinstance(text, str)) if isinstance(each, list) else ()


def _of_setup_cfg(text: str) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for section in parser.sections():
        for key, value in parser.items(section):
            if section == "options.extras_require" or key in _KEYS | {"install-requires", "requires-dist"}:
                yield from filter(None, map(str.strip, value.replace(";\n", "\n").splitlines()))


def _of_setup_py(text: str) -> Iterator[str]:
    """Texts given to setuptools as requirements, directly or by names that are assigned, extended or returned."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    parts = [part for node in nodes for part in _parts(node)]
    names, used, grows = set(_KEYS), set[int](), True
    while grows:
        grows = False
        for number, (name, values) in enumerate(parts):
            if name in names and number not in used:
                used.add(number)
                grows = True
                inside = [each for value in values for each in ast.walk(value)]
                names |= {each.id for each in inside if isinstance(each, ast.Name)}
                yield from (
                    line.strip()
                    for each in inside
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                    for line in each.value.splitlines()
                )


def _parts(node: Any) -> Iterator[tuple[str, Sequence[ast.AST]]]:
    """Names that a statement or an expression gives a value, or a piece of one, and that."""
    if isinstance(node, ast.keyword) and node.arg is not None:
        yield node.arg, [node.value]
    elif isinstance(node, ast.Assign):
        yield from ((name, [node.value]) for target in node.targets for name in _names(target))
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and node.value is not None:
        yield from ((name, [node.value]) for name in _names(node.target))
    elif isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values)  # noqa: B905 - Python 3.9
        yield from ((str(key.value), [value]) for key, value in pairs if isinstance(key, ast.Constant))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in {"append", "extend", "insert", "add", "update", "setdefault"}:
            yield from ((name, list(node.args)) for name in _names(node.func.value))
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node.name, [each for each in ast.walk(node) if isinstance(each, (ast.Return, ast.Yield))]


def _names(target: ast.AST) -> Iterator[str]:
    """Names and keys that are written to."""
    for each in ast.walk(target):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def read_toml(content: bytes) -> dict[str, Any]:
    """A TOML file; empty where it, or what reads it, is not there."""
    try:
        import tomllib

        return tomllib.loads(content.decode("utf-8"))
    except (ImportError, ValueError, RecursionError):
        return {}


def table(document: Any, *names: str) -> dict[str, Any]:
    """A table by its path; empty where there is none."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}
