"""Causes that show which tree a wheel was packed in: files that its source archive lacks, or has under another name.

Before them comes another version: everything that names the version follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rebuilder.diagnose.case import (
    FILE_NAME,
    Claim,
    DiagnosisInput,
    Line,
    about,
    alike,
    claim,
    files,
    listed,
    named,
    pairs_shown,
    quoted,
)
from rebuilder.ecosystems.pypi.subject import file_version
from rebuilder.ecosystems.pypi.wheel_traces import metadata_file
from rebuilder.model.comparison import Difference, MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine

_LICENCE = re.compile(r"[^/]+\.dist-info/(?:licenses/)?((?:licen[cs]e|copying|notice|authors)[^/]*)", re.IGNORECASE)
"""What setuptools and wheel copy from the top of the project when nothing else is configured."""
_CONFIGURATION = ("setup.py", "setup.cfg", "pyproject.toml")
_LONGEST_BLOCK = 40
"""Lines."""
_IMPORTED = re.compile(r"(?:import|from)\s+(\w+)")
_LINE_OF_HEADER = re.compile(r"[A-Z][A-Za-z-]*: ")
_WITHOUT_PYTHON = re.compile(r"-py\d\.\d{1,2}(?=-nspkg\.pth$)")
_COMPILED = re.compile(r"\.(?:so(?:\.\w+)*|pyd|dll|dylib)$")


def other_case(case: DiagnosisInput) -> Iterator[Claim]:
    """A file that has another name in the rebuild, but only by upper and lower case."""
    pairs = _renamed(case, str.casefold)
    if not pairs:
        return
    lines = _licence_lines(case, [each for pair in pairs for each in pair])
    yield claim(
        Cause.FILE_SELECTION,
        f"{listed([published.member for published, _ in pairs])} is {listed([rebuilt.member for _, rebuilt in pairs])} "
        "in the rebuild. On a file system where case does not matter, such as that of Windows, the source archive gets "
        "the name that the configuration has, and the wheel that of the directory.",
        [EvidenceLine(published=a.member, rebuilt=b.member, note="member name") for a, b in pairs],
        members=[each.member for pair in pairs for each in pair],
        lines=lines,
        certainty=Certainty.LIKELY,
        advice="Write the name in MANIFEST.in as the file has it in the repository.",
    )


def namespace_files(case: DiagnosisInput) -> Iterator[Claim]:
    """A ``-nspkg.pth`` file with the version of Python in its name on one side only."""
    pairs = [pair for pair in _renamed(case, lambda name: _WITHOUT_PYTHON.sub("", name)) if _differ_in_python(*pair)]
    if pairs:
        yield claim(
            Cause.TOOL_VERSION,
            "The name of the namespace file has no version of Python in it, as the setuptools leaves it that Debian "
            "and systems made from it bring along.",
            [EvidenceLine(published=a.member, rebuilt=b.member, note="member name") for a, b in pairs],
            members=[each.member for pair in pairs for each in pair],
            certainty=Certainty.LIKELY,
            advice="Build releases in a virtual environment with setuptools from the index, not the one of the system.",
        )


def licences(case: DiagnosisInput) -> Iterator[Claim]:
    """Licence files that the build tools found in the tree, and that the source archive has not got."""
    moved = {each.member.rpartition("/")[2] for each in case.having(MemberChange.ADDED)}
    found = [each for each in _absent(case) if _LICENCE.fullmatch(each.member)]
    found = [each for each in found if each.member.rpartition("/")[2] not in moved]
    if not found:
        return
    names = [each.member.rpartition("/")[2] for each in found]
    yield claim(
        Cause.EXTRA_SOURCE_FILES,
        f"The build tools pack {listed(names)} from the top of the project, and the source archive lacks "
        f"{'it' if len(names) == 1 else 'them'}: the published file was built where "
        f"{'it' if len(names) == 1 else 'they'} lay, such as in the repository.",
        named(found),
        members=[each.member for each in found],
        lines=_licence_lines(case, found),
        certainty=Certainty.LIKELY,
        advice=f"Add “include {' '.join(names[:3])}” to MANIFEST.in, and build the published file from that archive.",
    )


def configured(case: DiagnosisInput) -> Iterator[Claim]:
    """Files that the project's configuration names, and that the source archive has not got."""
    inspection = case.evidence.source_inspection
    texts = [
        text
        for name, text in (inspection.texts.items() if inspection is not None else ())
        if name.rpartition("/")[2] in _CONFIGURATION
    ]
    found = [
        each
        for each in _absent(case)
        if not metadata_file(each.member) and any(_names(text, each.member.rpartition("/")[2]) for text in texts)
    ]
    if found:
        shown = listed([each.member for each in found])
        yield claim(
            Cause.EXTRA_SOURCE_FILES,
            f"The project's configuration names {shown}, the published file has "
            f"{'it' if len(found) == 1 else 'them'}, and the source archive does not: it was built where "
            f"{files(len(found))} more lay, such as in the repository.",
            named(found),
            members=[each.member for each in found],
            certainty=Certainty.LIKELY,
            advice=f"Name {shown} in MANIFEST.in, and build the published file from the source archive.",
        )


def converted_description(case: DiagnosisInput) -> Iterator[Claim]:
    """A description that setup.py converts with a module, if that is there."""
    inspection = case.evidence.source_inspection
    texts = inspection.texts if inspection is not None else {}
    scripts = [text for name, text in texts.items() if name.rpartition("/")[2] == "setup.py"]
    modules = [module for text in scripts for module, block in _tried(text) if "descri" in block.lower()]
    lines = [
        line
        for line in case.lines(lambda member: metadata_file(member, "METADATA", "DESCRIPTION.rst"))
        if metadata_file(line[0], "DESCRIPTION.rst") or not _LINE_OF_HEADER.match(line[2])
    ]
    if modules and lines:
        yield claim(
            Cause.MISSING_REQUIREMENT,
            f"setup.py makes the description with {modules[0]} where that is installed, and otherwise without: it was "
            "when the published file was built, and nothing declares it.",
            quoted(lines),
            lines=lines,
            certainty=Certainty.LIKELY,
            advice=f"List {modules[0]} in build-system.requires of pyproject.toml, or let the description stay as it "
            "is written and name its format (long_description_content_type).",
        )


def _tried(script: str) -> Iterator[tuple[str, str]]:
    """Modules that a script does something with unless they are not there, and what it does, by indentation alone."""
    lines = [line for line in script.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    depths = [len(line) - len(line.lstrip()) for line in lines]
    for index, line in enumerate(lines[:-1]):
        found = _IMPORTED.match(lines[index + 1].strip())
        if line.strip() == "try:" and found is not None:
            after = range(index + 1, min(index + _LONGEST_BLOCK, len(lines)))
            end = next((each for each in after if depths[each] <= depths[index]), after.stop)
            yield found[1], "\n".join(lines[index + 1 : end])


def compiled(case: DiagnosisInput) -> Iterator[Claim]:
    """Compiled files in a wheel that says it is for any machine."""
    found = [each for each in _absent(case) if _COMPILED.search(each.member)]
    if found and case.evidence.artifact.filename.endswith("-any.whl"):
        yield claim(
            Cause.GENERATED_FILES,
            f"The published wheel says it is for any machine, and holds {files(len(found))} compiled for some "
            f"({listed([each.member for each in found])}): made elsewhere and put in.",
            named(found),
            members=[each.member for each in found],
            certainty=Certainty.LIKELY,
            advice="Publish a wheel for each platform, with what was compiled for it, and one without for any.",
            first=True,
        )


def _absent(case: DiagnosisInput) -> list[Difference]:
    """Members that the rebuild has not got and nothing in the source archive can have become."""
    if not case.from_archive or case.at_commit is not None:  # a build of the commit shows more
        return []
    return [each for each in case.having(MemberChange.MISSING) if not case.in_source(each.member)]


def _names(text: str, name: str) -> bool:
    """Whether a configuration has this file name; a mere ``__init__.py`` would say nothing."""
    return (
        len(name) > 3
        and not name.startswith("__")
        and bool(re.search(rf"(?<![\w.*-]){re.escape(name)}(?![\w.-])", text))
    )


def _renamed(case: DiagnosisInput, form: Callable[[str], str]) -> list[tuple[Difference, Difference]]:
    """Pairs of a published and a rebuilt member with the same size and names of the same form."""
    rebuilt = {(form(each.member), _size(each)): each for each in case.having(MemberChange.ADDED)}
    pairs = [(each, rebuilt.get((form(each.member), _size(each)))) for each in case.having(MemberChange.MISSING)]
    return [(each, other) for each, other in pairs if other is not None]


def _differ_in_python(published: Difference, rebuilt: Difference) -> bool:
    return bool(_WITHOUT_PYTHON.search(published.member)) != bool(_WITHOUT_PYTHON.search(rebuilt.member))


def _size(difference: Difference) -> str:
    return difference.detail.partition(":")[2]


def _licence_lines(case: DiagnosisInput, found: list[Difference]) -> list[Line]:
    """Lines of METADATA that name these files."""
    told = {f"License-File: {each.member.rpartition('/')[2]}" for each in found}
    lines = case.lines(lambda member: metadata_file(member, "METADATA"))
    return [line for line in lines if line[2].removesuffix("\\r") in told]


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
    if file_version(filename) is None:
        return None
    if filename.endswith(".whl"):
        return filename.split("-")[1]
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
