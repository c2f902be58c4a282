"""What is known of the causes of differences between Debian packages, in the words of Debian.

The source of a package is signed by the archive, so what differs was not in other sources: it comes from the tools and
libraries that were there, from where it was built, or from the build itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from rebuilder.diagnose.case import (
    Claim,
    DiagnosisInput,
    EcosystemRules,
    Line,
    about,
    about_pairs,
    alike,
    claim,
    files,
    listed,
    pairs_shown,
)
from rebuilder.model.comparison import Difference, MemberChange
from rebuilder.model.diagnosis import Cause, Certainty
from rebuilder.model.project import Place
from rebuilder.model.verdict import Kind
from rebuilder.programs.compare.elf_sections import ONLY_BUILD_ID, ONLY_DEBUGGING

BUILD_FILES = re.compile(
    r"debian/(?:rules|[^/]*\.(?:sh|pl|py))|(?:.*/)?(?:(?:GNU)?[Mm]akefile(?:\.(?:am|in))?|CMakeLists\.txt|meson\.build"
    r"|configure\.(?:ac|in)|[^/]+\.(?:mk|cmake|sh|c|cc|cpp|h|hh|py|pl|m4))"
)
"""Paths of files that say how the packages are built, or are run for it."""
_DATE = r"(?P<before>(?:^|[`;&(]|\bshell |\bthen )\s*)date\b"
_ASKS = {
    Cause.EMBEDDED_PATH: r"\$[({]CURDIR|\$[({]?PWD\b|\bpwd\b|__FILE__|CMAKE_\w*(?:SOURCE|BINARY)_DIR|getcwd\(",
    Cause.EMBEDDED_TIME: rf"{_DATE}|__(?:DATE|TIME|TIMESTAMP)__|\btime\.\w*time\(|\blocaltime\b|string\(TIMESTAMP",
    Cause.FILE_ORDER: r"\bfind \S|\$\(wildcard |\bls\b|readdir\(|listdir\(|\bglob\(|file\(GLOB",
    Cause.LOCALE: r"\bsort\b|\blocale\b|setlocale\(|strftime\(",
    Cause.TIME_ZONE: r"\blocaltime|strftime\(|\bdate\b",
    Cause.HOST_OR_USER_NAME: r"hostname\b|\bwhoami\b|\buname -[na]|\$[({]?(?:USER|LOGNAME|HOME)\b|getuser\(",
    Cause.CPU_DEPENDENT: r"\bnproc\b|-march=native|_NPROCESSORS|cpu_count\(|/proc/cpuinfo",
    Cause.RANDOMNESS: r"\$RANDOM|/dev/u?random|\bmktemp\b|\buuid(?:gen|4)?\b|\brand(?:om)?\(",
}
_UNTOLD_DATE = re.compile(rf"{_DATE}(?! [^`);|>]*(?:-d|--date|-r|--reference)\b)(?: -u\b)?")


def mended(cause: Cause, found: Sequence[Place], texts: Mapping[str, str]) -> dict[str, str]:
    """The file with the one line that asks ``date``, asking it for the time that ``dpkg-buildpackage`` tells."""
    if cause is not Cause.EMBEDDED_TIME or len(found) != 1:
        return {}
    [place] = found
    name = place.file.rpartition("/")[2]
    makes = name == "rules" or name.endswith(".mk") or "akefile" in name
    told = "$(SOURCE_DATE_EPOCH)" if makes else "${SOURCE_DATE_EPOCH}"
    lines = texts[place.file].splitlines(keepends=True)
    line = lines[place.line - 1]
    lines[place.line - 1] = _UNTOLD_DATE.sub(rf"\g<before>date -u -d @{told}", line)
    return {place.file: "".join(lines)} if lines[place.line - 1] != line else {}


_SUMS, _CONTROL = "control.tar/md5sums", "control.tar/control"
_SUM = re.compile(r"[0-9a-f]{32}  (?P<path>.+)")
_SIZE = re.compile(r"Installed-Size: [0-9]+")
_VERSION = re.compile(r"(?<![\w.])v?[0-9]+(?:[.:~+-][0-9A-Za-z]+)+(?![\w.]*[0-9])")
_RELATION = re.compile(r"(?P<field>(?:Pre-)?Depends|Recommends|Suggests|Enhances|(?:Static-)?Built-Using): ")
_BOUND = re.compile(r"\((?:<<|<=|=|>=|>>) [^)]+\)")
_NAMES_TOOL = re.compile(
    r"\b(?:generated|added|created|made|produced|written) (?:automatically )?by\b|^Generator: ", re.IGNORECASE
)
_CHANGELOG = re.compile(r"data\.tar/usr/share/doc/[^/]+/changelog(?:\.[A-Za-z0-9_.-]+)?")
_KERNEL = re.compile(r"\b[0-9]+\.[0-9]+\.[0-9]+(?:\+deb[0-9]+(?:\.[0-9]+)?|-[0-9]+)-[a-z0-9][a-z0-9-]*\b")
_MERGED = re.compile(r"(?<![\w.])/usr(?=/(?:bin|sbin|lib|lib32|lib64|libx32)/)")
_SAME_PLACE = "Name programs without their directory, or by the one that debian/rules gives them."


def consequences(case: DiagnosisInput) -> frozenset[Line]:
    """Lines of ``md5sums``, and the installed size, that differ only because other members do."""
    members = {each.member for each in case.differences}
    others = members - {_SUMS, _CONTROL}

    def follows(line: Line) -> bool:
        if line[0] == _SUMS:
            found = _SUM.fullmatch(line[2])
            return found is not None and f"data.tar/{found['path']}" in others
        return line[0] == _CONTROL and bool(others) and _SIZE.fullmatch(line[2]) is not None

    return frozenset(filter(follows, case.lines()))


def _tools(case: DiagnosisInput) -> Iterator[Claim]:
    """Lines in which a tool names itself, and it was another version."""
    template = _masked(_VERSION, _NAMES_TOOL.search)
    if pairs := alike(case.lines(), template):
        yield about_pairs(Cause.TOOL_VERSION, "Tools write their versions, and those were others.", pairs)


def _relations(case: DiagnosisInput) -> Iterator[Claim]:
    """Relations to packages whose versions those of the build decided."""
    found = case.lines(lambda member: member == _CONTROL)
    pairs = [pair for pair in alike(found, _masked(_BOUND, _RELATION.match)) if pair[0][2] != pair[1][2]]
    if pairs:
        names = sorted({field["field"] for _, line in pairs if (field := _RELATION.match(line[2])) is not None})
        yield about_pairs(
            Cause.DEPENDENCY_DRIFT,
            f"{' and '.join(names)} have other versions: they are those of libraries that it was built with.",
            pairs,
        )


def _changelogs(case: DiagnosisInput) -> Iterator[Claim]:
    """Changelogs that one side has cut and the other not."""
    found = [
        each
        for each in case.having(MemberChange.CONTENT)
        if _CHANGELOG.fullmatch(each.member)
        and each.content is not None
        and bool(each.content.published_total) != bool(each.content.rebuilt_total)
    ]
    if found:
        yield about(
            Cause.TOOL_VERSION,
            f"{files(len(found)).capitalize()} of its changelogs ends earlier on one side: dh_installchangelogs leaves "
            "out old entries, and which ones depends on its version and on the options of the build.",
            found,
            Certainty.LIKELY,
        )


def _kernel(case: DiagnosisInput) -> Iterator[Claim]:
    """The version of the kernel that ran on the machine."""
    pairs = alike(case.lines(), _masked(_KERNEL, _KERNEL.search))
    if pairs := [pair for pair in pairs if pair[0][2] != pair[1][2]]:
        sentence = "Files name the kernel of the machine that they were built on."
        yield about_pairs(Cause.HOST_OR_USER_NAME, sentence, pairs)


def _merged(case: DiagnosisInput) -> Iterator[Claim]:
    """Programs that are found in ``/bin`` or in ``/usr/bin``, which are one directory or two."""
    pairs = [pair for pair in alike(case.lines(), lambda line: _MERGED.sub("", line)) if pair[0][2] != pair[1][2]]
    if pairs:
        yield claim(
            Cause.GENERATED_FILES,
            "Files name a program with its directory, and /bin was another one than /usr/bin in one of the builds.",
            pairs_shown(pairs),
            lines=[line for pair in pairs for line in pair],
            advice=_SAME_PLACE,
        )


def _compiled(case: DiagnosisInput) -> Iterator[Claim]:
    """Compiled files: how far they are the same says what was another."""
    if case.disagreement is not None or case.decision.kind is Kind.UNSTABLE:
        return  # what differs by itself tells nothing about what it was built with
    found = case.having(MemberChange.CONTENT)
    near = [each for each in found if each.detail.find(ONLY_BUILD_ID) >= 0 or each.detail.find(ONLY_DEBUGGING) >= 0]
    far = [each for each in found if each not in near and "sections are equal; these differ" in each.detail]
    for some, words in (
        (near, "only debugging information differs, or the build-id that commits to it, while code and data are equal"),
        (far, "code or data differ, and nothing that it was built from does"),
    ):
        if some:
            yield about(
                Cause.DEPENDENCY_DRIFT,
                f"In {files(len(some))} ({listed([each.member for each in some])}) {words}: the compiler, a header or "
                "a library was another version.",
                some,
                Certainty.LIKELY,
            )


def _only_one(change: MemberChange, sentence: str) -> Callable[[DiagnosisInput], Iterator[Claim]]:
    def rule(case: DiagnosisInput) -> Iterator[Claim]:
        found: list[Difference] = case.having(change)
        if found:
            names = listed([each.member for each in found])
            yield about(
                Cause.GENERATED_FILES, sentence.format(count=files(len(found)), names=names), found, Certainty.LIKELY
            )

    return rule


def _hints(line: str) -> Iterator[tuple[Cause, str]]:
    """What a line in the log of a failed build points to."""
    if "Unmet build dependencies" in line:
        yield Cause.MISSING_REQUIREMENT, "Build dependencies are not met by what was installed."
    if (header := re.search(r"fatal error: ([\w/.+-]+): No such file", line)) is not None:
        yield Cause.MISSING_REQUIREMENT, f"The build wants the header {header[1]}, which no build dependency has."
    if (command := re.search(r"(?:^|[ /])([\w.+-]+): (?:command )?not found$", line)) is not None:
        yield Cause.MISSING_REQUIREMENT, f"The build calls {command[1]}, which no build dependency has."
    if (module := re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", line)) is not None:
        yield (
            Cause.MISSING_REQUIREMENT,
            f"The build wants the Python module {module[1]}, which no build dependency has.",
        )
    if re.search(r"dh_auto_test|^(?:FAIL|FAILED):? |\btests? failed\b", line):
        yield Cause.BUILD_ERROR, "Tests of the package failed; builders of the archive may not have run them."


def _masked(pattern: re.Pattern[str], wanted: Callable[[str], object]) -> Callable[[str], str | None]:
    """The form of a line without what a pattern finds in it; None where the line is not of the wanted kind."""
    return lambda line: pattern.sub("\0", line) if wanted(line) and pattern.search(line) else None


_TOOLS_OF_THEN = (
    "Nothing has to change in the package: a build with the versions of then gives it, or a new upload with those of "
    "today. Its .buildinfo names the versions."
)
_EPOCH = "dpkg-buildpackage sets SOURCE_DATE_EPOCH from debian/changelog: have what writes a time take it from there."

RULES = EcosystemRules(
    rules={
        "tools": _tools,
        "relations": _relations,
        "changelogs": _changelogs,
        "kernel": _kernel,
        "merged-usr": _merged,
        "compiled": _compiled,
    },
    instead={
        "only-published": _only_one(
            MemberChange.MISSING,
            "The published package has {count} that a build of its source does not make ({names}): something that the "
            "build looks for was there then, or its tests were run.",
        ),
        "only-rebuilt": _only_one(
            MemberChange.ADDED,
            "The rebuild makes {count} that the published package lacks ({names}): something that the build looks for "
            "was not there then, or tools of today make more.",
        ),
    },
    advice={
        **dict.fromkeys((Cause.TOOL_VERSION, Cause.DEPENDENCY_DRIFT), _TOOLS_OF_THEN),
        **dict.fromkeys((Cause.EMBEDDED_TIME, Cause.ARCHIVE_TIMES), _EPOCH),
        Cause.EMBEDDED_PATH: (
            "Let debian/rules use dpkg-buildflags, whose -ffile-prefix-map takes the directory out, and give tools "
            "paths relative to the source."
        ),
        Cause.GENERATED_FILES: "List what the build may look for in Build-Depends, or switch it off in debian/rules.",
        Cause.MODES_UMASK: "Let dh_fixperms set modes; give install -m where files are placed by hand.",
        Cause.LOCALE: "export LC_ALL=C.UTF-8 in debian/rules.",
        Cause.TIME_ZONE: "export TZ=UTC in debian/rules.",
        Cause.HOST_OR_USER_NAME: "Leave the machine, its kernel and the user out of what debian/rules makes.",
        Cause.CPU_DEPENDENT: "Give the number of jobs and the instruction set in debian/rules; do not ask the machine.",
        Cause.MISSING_REQUIREMENT: "Add it to Build-Depends.",
        Cause.NETWORK_WANTED: "Packages are built without a network (Debian Policy, 4.9): ship it, or do without.",
        Cause.BUILD_ERROR: (
            "Build it with sbuild in a clean chroot of the release. If that works, this rebuild lacked something."
        ),
        Cause.SOURCE_UNAVAILABLE: (
            "Nothing has to change in the package: the archive no longer has what it was built with, and a snapshot of "
            "the archive may."
        ),
    },
    consequences=consequences,
    hints=_hints,
    is_inventory=lambda member: member == _SUMS,
    asks={cause: re.compile(pattern) for cause, pattern in _ASKS.items()},
    asked_first=("debian/rules", "Makefile"),
)
