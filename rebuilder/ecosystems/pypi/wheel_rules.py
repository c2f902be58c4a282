"""Causes that show in the metadata of a wheel: RECORD, WHEEL, METADATA and the lists beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from rebuilder.diagnose.case import (
    FILE_NAME,
    MOVED,
    Claim,
    DiagnosisInput,
    Line,
    about,
    alike,
    claim,
    fields,
    listed,
    named,
    pairs_shown,
    quoted,
)
from rebuilder.ecosystems.pypi.wheel_traces import metadata_file
from rebuilder.model.comparison import Difference, MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine

_BY_TOOL = {"dynamic", "license-file", "metadata-version", "platform", "import-name", "description-content-type"}
"""Headers a build tool adds or leaves out by itself, whatever the project says."""
_TOOL_FILES = {
    *("DESCRIPTION.rst", "metadata.json", "pydist.json", "zip-safe", "dependency_links.txt", "not-zip-safe"),
    *(
        "namespace_packages.txt",
        "pbr.json",
        "requires.txt",
        "setup_requires.txt",
        "SOURCES.txt",
        "top_level.txt",
        "sboms",
    ),
}
_SAME_SIZE = re.compile(r"Published ([\d,]+) bytes, rebuilt \1 bytes\.")
_HEADER = re.compile(r"^([A-Za-z][A-Za-z-]*):\s*(.*)$")
_BUILD_DIRECTORIES = {"build", "dist"}
_NUMBERED = re.compile(r"(?<![\d.])[23]\.\d{1,2}(?![\d.])")
_IN_NAME = re.compile(r"(?<=py)[23]\.\d{1,2}|(?<=py)3\d{1,2}(?!\d)|(?<=cpython-)\d{2,3}|(?<=cp)\d{2,3}")
_REPEATED = {"classifier", "dynamic", "license-file", "project-url", "provides-extra", "requires-dist"}
"""Headers that METADATA has once for each entry of a list."""
_DECLARED = {"requires-dist", "requires-python", "provides-extra", "requires-external"}


def consequences(case: DiagnosisInput) -> frozenset[Line]:
    """Lines of RECORD and top_level.txt that differ only because the members they are about do: they are no causes."""
    members = {each.member for each in case.differences}
    sides = {MemberChange.MISSING: "published", MemberChange.ADDED: "rebuilt"}
    tops = {
        (sides[each.change], each.member.partition("/")[0].removesuffix(".py"))
        for each in case.differences
        if each.change in sides
    }
    return frozenset(
        line
        for line in case.lines(lambda member: metadata_file(member, "RECORD"))
        if _recorded(line[2]) in members or _recorded(line[2]).endswith(("/RECORD", "…"))
    ) | frozenset(
        line
        for line in case.lines(lambda member: metadata_file(member, "top_level.txt"))
        if (line[1], line[2].strip()) in tops
    )


def _recorded(line: str) -> str:
    return line[1:].partition('"')[0] if line.startswith('"') else line.partition(",")[0]


def record(case: DiagnosisInput) -> Iterator[Claim]:
    """RECORD says something else of members that are the same."""
    lines = case.lines(lambda member: metadata_file(member, "RECORD"))
    if lines:
        yield claim(
            Cause.TOOL_VERSION,
            "RECORD, the list of files, is written in another form although the files in it are the same.",
            quoted(lines),
            lines=lines,
            certainty=Certainty.LIKELY,
        )


def generator(case: DiagnosisInput) -> Iterator[Claim]:
    """WHEEL names the tool that wrote it, with its version."""
    lines = [
        line
        for line in case.lines(lambda each: metadata_file(each, "WHEEL"))
        if line[2].startswith(("Generator:", "Wheel-Version:"))
    ]
    if not lines:
        return
    sides = {side: text.partition(":")[2].strip() for _member, side, text in lines if text.startswith("Generator:")}
    published, rebuilt = sides.get("published", "another version"), sides.get("rebuilt", "another version")
    project = re.sub(r"[-_.]+", "-", case.evidence.artifact.name).lower()
    itself = project in re.sub(r"[-_.]+", "-", published).lower()
    wheel = re.fullmatch(r"bdist_wheel \(([^)]*)\)", published)
    sentence = f"The published file was written by {published}, the rebuild by {rebuilt}."
    if itself or (wheel and project == "wheel"):
        sentence += " The project is a build tool and was built with a version of itself."
    yield claim(
        Cause.TOOL_VERSION,
        sentence,
        [EvidenceLine(member=lines[0][0], published=published, rebuilt=rebuilt), *_tools(case)],
        lines=lines,
    )


def tags(case: DiagnosisInput) -> Iterator[Claim]:
    """WHEEL and the file name say what the wheel is for."""
    lines = [
        line
        for line in case.lines(lambda each: metadata_file(each, "WHEEL"))
        if line[2].startswith(("Tag:", "Root-Is-Purelib:", "Build:"))
    ]
    attempt = case.attempt
    rebuilt_name = attempt.rebuilt.filename if attempt is not None and attempt.rebuilt is not None else None
    target = attempt.hypothesis.target if attempt is not None else ""
    renamed = rebuilt_name is not None and rebuilt_name != target and FILE_NAME not in case.taken_lines
    if not lines and not renamed:
        return
    evidence = [EvidenceLine(published=target, rebuilt=rebuilt_name, note="file name")] if renamed else []
    wide = {
        line[2].partition(":")[2].strip() for line in lines if line[2].startswith("Tag:") and line[1] == "published"
    }
    narrow = {
        line[2].partition(":")[2].strip() for line in lines if line[2].startswith("Tag:") and line[1] == "rebuilt"
    }
    if target.endswith("-py2.py3-none-any.whl") and any(tag.startswith("py2-") for tag in wide):
        sentence = "The published wheel is for Python 2 and 3, which its source does not ask for: --universal."
        advice = "Put “[bdist_wheel] universal = 1” into setup.cfg instead of giving --universal on the command line."
    elif wide and narrow and wide != narrow:
        sentence = (
            f"The published wheel is for {_listed_tags(wide)}, the rebuild for {_listed_tags(narrow)}"
            f"{_why_other_tags(case, wide, narrow)}."
        )
        advice = Cause.NAME_OR_TAG.advice
    else:
        sentence, advice = Cause.NAME_OR_TAG.spoken, Cause.NAME_OR_TAG.advice
    yield claim(Cause.NAME_OR_TAG, sentence, [*evidence, *quoted(lines)], lines=lines, advice=advice)


def _listed_tags(tags: set[str]) -> str:
    return ", ".join(sorted(tags))[:200]


def _why_other_tags(case: DiagnosisInput, published: set[str], rebuilt: set[str]) -> str:
    """What can have made the tags, as far as it was not tried already."""
    definition = case.definition
    words = [word for command in definition.commands for word in command] if definition is not None else []
    asked = any("--python-tag" in word for word in words)
    if {tag.rpartition("-")[2] for tag in published} != {tag.rpartition("-")[2] for tag in rebuilt}:
        return ": one is for a platform, the other for another or for any"
    if not asked and {tag.partition("-")[0] for tag in published} != {tag.partition("-")[0] for tag in rebuilt}:
        return ": it was built with another interpreter, or with --python-tag"
    return ", although it was told the published tag" if asked else ""


def several_pythons(case: DiagnosisInput) -> Iterator[Claim]:
    """Files of the published wheel that are there for several Pythons, although no source has them."""
    inspection = case.evidence.artifact_inspection
    forms: dict[str, set[str]] = {}
    for each in inspection.members if inspection is not None else ():
        for version in _IN_NAME.findall(each.name):
            forms.setdefault(_IN_NAME.sub("X", each.name), set()).add(version)
    found = [
        each
        for each in case.having(MemberChange.MISSING)
        if len(forms.get(_IN_NAME.sub("X", each.member), ())) > 1 and not case.in_source(each.member)
    ]
    if found:
        names = [each.member for each in found]
        yield claim(
            Cause.STALE_FILES,
            "The published file has files for several versions of Python, which the source has not got "
            f"({listed(names)}): it was built with one after the other in the same directory, where the files of "
            "earlier builds stayed.",
            named(found),
            members=names,
            certainty=Certainty.LIKELY,
        )


def interpreter(case: DiagnosisInput) -> Iterator[Claim]:
    """Names and lines that are the same but for the version of Python in them."""
    names: dict[str, dict[MemberChange, Difference]] = {}
    for each in case.having(MemberChange.MISSING, MemberChange.ADDED):
        if _IN_NAME.search(each.member):
            names.setdefault(_IN_NAME.sub("X", each.member), {})[each.change] = each
    renamed = [(both[MemberChange.MISSING], both[MemberChange.ADDED]) for both in names.values() if len(both) == 2]
    pairs = [
        pair
        for pair in alike(case.lines(), lambda line: _NUMBERED.sub("X", line) if _NUMBERED.search(line) else None)
        if (metadata_file(pair[0][0], "entry_points.txt") or "python" in pair[0][2].lower()) and _other_number(pair)
    ]
    if not renamed and not pairs:
        return
    versions = [[_dotted(_IN_NAME.findall(each.member)[0]) for each in pair] for pair in renamed]
    versions += [list(number) for pair in pairs if (number := _other_number(pair))]
    evidence = [EvidenceLine(published=a.member, rebuilt=b.member, note="member name") for a, b in renamed]
    yield claim(
        Cause.INTERPRETER_VERSION,
        f"Built with Python {versions[0][0]}, rebuilt with {versions[0][1]}; the version is part of the result.",
        [*evidence, *pairs_shown(pairs)],
        members=[each.member for pair in renamed for each in pair],
        lines=[line for pair in pairs for line in pair],
    )
    other = [
        (a, b)
        for a, b in renamed
        if a.detail.partition(":")[2] != b.detail.partition(":")[2] and not case.in_source(a.member)
    ]
    if other:
        yield claim(
            Cause.TOOL_VERSION,
            "Beside the version in its name such a file has other content, as another version of the tools writes it.",
            [EvidenceLine(published=f"{a.member}: {a.detail}", rebuilt=f"{b.member}: {b.detail}") for a, b in other],
            members=[each.member for pair in other for each in pair],
            certainty=Certainty.LIKELY,
        )


def _other_number(pair: tuple[Line, Line]) -> tuple[str, str] | None:
    """The one number that is another in two lines; None where several are, as where they only changed places."""
    published, rebuilt = (_NUMBERED.findall(line[2]) for line in pair)
    changed = {both for both in zip(published, rebuilt, strict=True) if both[0] != both[1]}
    return changed.pop() if len(changed) == 1 else None


def _dotted(version: str) -> str:
    """``3.11`` for ``311``, as names of files have it."""
    return version if "." in version else f"{version[0]}.{version[1:]}"


def major_version(case: DiagnosisInput) -> Iterator[Claim]:
    """A wheel for Python 2 alone, rebuilt with Python 3: the project packs other files for each."""
    filename = case.evidence.artifact.filename
    words = [word for command in (case.definition.commands if case.definition else ()) for word in command]
    if re.search(r"-py2\d?-none-any\.whl$", filename) is None or any(word.endswith("/python2.7") for word in words):
        return
    found = [each for each in case.having(MemberChange.ADDED, MemberChange.MISSING) if case.in_source(each.member)]
    if found:
        yield about(
            Cause.INTERPRETER_VERSION,
            "The wheel is for Python 2 and was rebuilt with Python 3, for which the project packs other files.",
            found,
            Certainty.LIKELY,
        )


def key_order(case: DiagnosisInput) -> Iterator[Claim]:
    """JSON files of the same length that begin otherwise: their keys stand in another order."""
    found = [
        each
        for each in case.having(MemberChange.CONTENT)
        if metadata_file(each.member, "metadata.json", "pbr.json", "pydist.json") and _SAME_SIZE.match(each.detail)
    ]
    if found:
        names = [each.member for each in found]
        yield claim(
            Cause.HASH_OR_SET_ORDER,
            f"{listed(names)} {'has' if len(names) == 1 else 'have'} the same length in both and other keys first: "
            "before 3.6, Python gave the keys of a dictionary another order in each run, and the tools of that time "
            "wrote them so.",
            [EvidenceLine(member=each.member, note=each.detail) for each in found],
            members=names,
            certainty=Certainty.LIKELY,
            advice="Build with wheel 0.30 or newer, which writes no such file, on a Python that is maintained.",
        )


def metadata_form(case: DiagnosisInput) -> Iterator[Claim]:
    """METADATA says the same in the form of another version of the build tool."""
    inside = case.lines(metadata_file)
    pairs = alike([line for line in inside if line[2].strip()], _canonical)
    known = {line for pair in pairs for line in pair}
    known |= {line for line in inside if not line[2].strip()}
    known |= {line for line in inside if (match := _HEADER.match(line[2])) and match[1].lower() in _BY_TOOL}
    moved = {
        (each.member, *MOVED)
        for each in case.having(MemberChange.CONTENT)
        if metadata_file(each.member, "METADATA", "PKG-INFO")
        and each.content is not None
        and each.content.moved
        and not each.content.published
        and not each.content.rebuilt
        and not _entries_moved(case, each)
    }
    layout = [
        each
        for each in case.having(MemberChange.MISSING, MemberChange.ADDED)
        if metadata_file(each.member) and _laid_out(case, each.member)
    ]
    if not known and not moved and not layout:
        return
    tools = ", ".join(f"{name} {version}" for name, version in case.tools.items() if name in {"setuptools", "wheel"})
    sentence = "The metadata says the same in another form, as another version of the build tools writes it."
    if tools:
        sentence += f" The rebuild used {tools}."
    single = known - {line for pair in pairs for line in pair}
    evidence = [*pairs_shown(pairs), *quoted(single), *named(layout)]
    evidence += [EvidenceLine(member=each[0], note="the same lines in another order") for each in sorted(moved)]
    certainty = Certainty.SHOWN if pairs and not layout else Certainty.LIKELY
    yield claim(
        Cause.TOOL_VERSION,
        sentence,
        evidence,
        members=[each.member for each in layout],
        lines=known | moved,
        certainty=certainty,
    )


def top_level(case: DiagnosisInput) -> Iterator[Claim]:
    """top_level.txt lists packages: names the source archive has no directory for come from elsewhere."""
    lines = case.lines(lambda each: metadata_file(each, "top_level.txt"))
    directories = {path.partition("/")[0] for path in case.source_files if "/" in path}
    strange = [line for line in lines if line[1] == "published" and line[2].strip() not in directories]
    if strange and case.from_archive:
        names = listed([line[2].strip() for line in strange])
        left = any(line[2].strip() in _BUILD_DIRECTORIES for line in strange)
        yield claim(
            Cause.STALE_FILES if left else Cause.EXTRA_SOURCE_FILES,
            f"The published file names packages that the source archive has not got ({names}): "
            "it was built where these directories lay, such as in the repository, or had been left over.",
            quoted(strange),
            lines=strange,
            certainty=Certainty.LIKELY,
        )


def declared(case: DiagnosisInput) -> Iterator[Claim]:
    """METADATA declares something else: another configuration, or one that is worked out while building."""
    headers = [
        line
        for line in case.lines(lambda each: metadata_file(each, "METADATA", "PKG-INFO"))
        if (match := _HEADER.match(line[2])) and match[1].lower() in _DECLARED
    ]
    if headers:
        yield claim(
            Cause.INTERPRETER_VERSION,
            "The two builds declare other requirements: the project works them out while it is built, from the "
            "interpreter or the machine, or its configuration was another one.",
            quoted(headers),
            lines=headers,
            certainty=Certainty.LIKELY,
            advice="Declare all requirements in pyproject.toml, with environment markers for those that depend on "
            "the interpreter or the system.",
        )


def _entries_moved(case: DiagnosisInput, moved: Difference) -> bool:
    """Whether entries of one list stand in an order that is no sorted one: the project gave it, and no build tool."""
    sides = next((sides for label, sides in fields(moved).items() if label.startswith("Line ")), ("", ""))
    matches = [_HEADER.match(side.strip("“”")) for side in sides]
    names = {match[1] if match is not None else "" for match in matches}
    name = names.pop()
    if names or name.lower() not in _REPEATED:
        return False
    inspection = case.evidence.artifact_inspection
    text = inspection.texts.get(moved.member, "") if inspection is not None else ""
    entries = [line.lower() for line in text.splitlines() if line.startswith(f"{name}:")]
    return not entries or entries != sorted(entries)


def _canonical(line: str) -> str | None:
    """A line of metadata without what only its form can change."""
    match = _HEADER.match(line)
    if match is None:
        return " ".join(line.split())
    name, value = match[1].lower(), match[2]
    if "=?" in value:
        try:
            value = str(make_header(decode_header(value)))
        except (HeaderParseError, LookupError, ValueError):
            return None
    if name in _DECLARED:
        requirement, _, marker = value.partition(";")
        words = re.sub(r"[()\s]", "", requirement).split(",")
        first = re.match(r"[A-Za-z0-9._-]*(?:\[[^\]]*\])?", words[0])
        head = first[0] if first and name == "requires-dist" else ""
        specifiers = sorted([words[0][len(head) :], *words[1:]])
        marker = re.sub(r"[()\s]", "", marker).replace('"', "'")
        value = f"{re.sub(r'[-_.]+', '-', head).lower()}{specifiers}{marker}"
    return f"{name}:{' '.join(value.split())}"


def _laid_out(case: DiagnosisInput, member: str) -> bool:
    """Whether a file of ``.dist-info`` is one that some tool versions write or place elsewhere."""
    base = member.rpartition("/")[2]
    twins = [each for each in case.differences if each.member != member and each.member.rpartition("/")[2] == base]
    if any({each.change} & {MemberChange.ADDED, MemberChange.MISSING} and metadata_file(each.member) for each in twins):
        return True
    return base in _TOOL_FILES or (case.from_archive and bool(case.in_source(member)))


def _tools(case: DiagnosisInput) -> list[EvidenceLine]:
    if not case.tools:
        return []
    shown = ", ".join(f"{name} {version}" for name, version in list(case.tools.items())[:8])
    return [EvidenceLine(note=f"build dependencies of the rebuild: {shown}")]
