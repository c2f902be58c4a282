"""What is known of the causes of differences between wheels, and between source archives of Python projects.

What a build lacked is read in the words of Python and its tools, or in what the build left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.diagnose import failure_rules
from rebuilder.diagnose.case import FILE_NAME, Claim, DiagnosisInput, EcosystemRules, claim, listed, named, quoted
from rebuilder.ecosystems.pypi import packing_rules, wheel_rules
from rebuilder.ecosystems.pypi.wheel_traces import INFO, metadata_file
from rebuilder.model.comparison import MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine
from rebuilder.model.replayed import is_told

_LEFT = re.compile(
    r"(?:^|/)(?:__pycache__|\.(?:pytest|mypy|ruff)_cache|\.(?:tox|nox|eggs)|build/(?:lib|bdist)[^/]*)/"
    r"|(?:^|/)[^/]+\.egg-info(?:/|$)|(?:^|/)\.coverage$|\.(?:pyc|pyo)$"
)


def _source_name(member: str) -> str:
    """Licence files are copied into ``.dist-info``, those of today into a directory there."""
    inside = INFO.sub("", member)
    return inside.removeprefix("licenses/") if inside != member else member


_REMOVED = {
    **dict.fromkeys(("distutils", "imp", "asynchat", "asyncore", "smtpd"), "3.12"),
    **dict.fromkeys(("binhex", "formatter", "parser", "symbol"), "3.10"),
    **dict.fromkeys(("cgi", "cgitb", "crypt", "imghdr", "pipes", "telnetlib", "uu", "lib2to3"), "3.13"),
}
"""Modules of the standard library, and the Python that has them no more (What's New in Python, Removed)."""
_MODULE = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)'?")
_TOO_NEW = re.compile(
    r"Missing parentheses in call to 'print'|use_2to3 is invalid|cannot import name '\w+' from 'collections'"
    r"|module 'collections' has no attribute|has no attribute 'ImpImporter'|has no attribute 'SafeConfigParser'"
    r"|has no attribute '(?:getargspec|find_module|readfp|coroutine|SourceFileLoader\.load_module)'"
    r"|[Rr]equires Python '?[<>=!~]|invalid mode: 'rU'|requires a different Python"
    r"|module 'importlib\._bootstrap' has no attribute"
)
_PYTHON_2 = re.compile(r"print [\w.\"'%]+(?: %.*|[(\[].*)?|except [\w., ()]+, \w+:|raise \w+, .+")
"""Whole lines of code, which a traceback shows."""
_ABSENT_FILE = re.compile(
    r"FileNotFoundError: \[Errno 2\] No such file or directory: '(?:/build/src/)?([^'/]+(?:/[^']+)*)'"
)
_COMPILER_ABSENT = re.compile(
    r"command '[^']*(?:gcc|cc|clang|g\+\+|cl\.exe|rustc|cargo)[^']*' failed|Unable to find vcvarsall"
    r"|No such file or directory: '(?:(?:[\w.]+-)*(?:gcc|g\+\+|cc|c\+\+|clang)|cargo|cmake|make|ninja|git|npm|node|swig"
    r"|pkg-config|[\w-]+[_-]config)'"
)
"""How distutils and the standard library say that there is no compiler."""
_UNMET = re.compile(r"DistributionNotFound|No matching distribution found|Could not find a version that satisfies")
_ENDINGS = {
    69: "the build backend could not be loaded",
    70: "the build backend failed",
    73: "the build backend left no file",
}
"""Exit codes of :mod:`rebuilder.programs.pypi.frontend`."""


def _hints(line: str) -> Iterator[tuple[Cause, str]]:
    """What a line points to; see :attr:`rebuilder.diagnose.case.EcosystemRules.hints`."""
    module = _MODULE.search(line)
    if module is not None:
        top = module[1].partition(".")[0]
        if top in _REMOVED:
            wanted = f"The build tools want the module {top}, which Python {_REMOVED[top]} and later have not got"
            yield Cause.MISSING_INTERPRETER, f"{wanted}: the build needs an older Python."
        else:
            yield Cause.MISSING_REQUIREMENT, f"The build wants the module {top}, which is not installed."
    absent = _ABSENT_FILE.search(line)
    if absent is not None and not _COMPILER_ABSENT.search(line):
        yield Cause.INCOMPLETE_SOURCE, f"The build reads {absent[1][:200]}, which the source archive has not got."
    if _PYTHON_2.fullmatch(line):
        yield Cause.MISSING_INTERPRETER, "The build is written for Python 2, and was tried with Python 3."
    if _TOO_NEW.search(line):
        yield Cause.MISSING_INTERPRETER, "The build does not work with the Python it was tried with."
    if _COMPILER_ABSENT.search(line):
        yield Cause.MISSING_COMPILER, Cause.MISSING_COMPILER.spoken
    if _UNMET.search(line):
        yield Cause.MISSING_REQUIREMENT, Cause.MISSING_REQUIREMENT.spoken


_WANTED = re.compile(f"{failure_rules.COMPILER.pattern}|{_COMPILER_ABSENT.pattern}")
_COMPILED = re.compile(r"\.(?:so(?:\.\d+)*|pyd|dll|dylib|a|lib)$")
_EXTENSION = re.compile(r"building extension ['\"]?([\w.]+)['\"]? failed|building '([\w.]+)' extension")


def _extension(case: DiagnosisInput) -> Iterator[Claim]:
    """An optional extension was not compiled, or a wheel became one for a platform because of it."""
    attempt = case.attempt
    if not case.different or attempt is None or attempt.rebuilt is None:
        return
    wanted = [line.strip() for line in case.log.splitlines() if _WANTED.search(line)]
    compiled = [each for each in case.having(MemberChange.MISSING) if _COMPILED.search(each.member)]
    target, made = attempt.hypothesis.target, attempt.rebuilt.filename
    pure = target.endswith("-any.whl") and made.endswith(".whl") and not made.endswith("-any.whl")
    if not wanted or not (compiled or pure):
        return
    lines = [
        line
        for line in case.lines(lambda member: metadata_file(member, "WHEEL"))
        if line[2].startswith(("Tag:", "Root-Is-Purelib:"))
    ]
    name = next((match[1] or match[2] for each in wanted if (match := _EXTENSION.search(each))), None)
    name = name or next((match[1] or match[2] for match in _EXTENSION.finditer(case.log)), None)
    what = f"the compiled extension {name[:100]}" if name else "a compiled extension"
    sentence = f"The project has {what}, and the build environment here has no compiler for it."
    if pure:
        sentence += (
            " The rebuild left it out, but made a wheel for one platform all the same; the published wheel is for any:"
            f" it was built with the extension turned off, {_ways(case)}."
        )
    if compiled:
        sentence += f" The published file has it ({listed([each.member for each in compiled])})."
    yield claim(
        Cause.MISSING_COMPILER,
        sentence,
        [EvidenceLine(note=wanted[-1][:300]), *named(compiled), *quoted(lines)],
        members=[each.member for each in compiled],
        lines=[*lines, FILE_NAME],
        certainty=Certainty.LIKELY,
        first=True,
    )


def _ways(case: DiagnosisInput) -> str:
    """What of the source's own was tried to leave extensions out."""
    told = {each.value: None for attempt in case.attempts for each in attempt.hypothesis.replayed if is_told(each)}
    if not told:
        return "and its build scripts read no variable or option that was found to do that"
    return f"and what its build scripts read for that did not give it ({', '.join(map(str, told))})"


RULES = EcosystemRules(
    rules={
        "extension": _extension,
        "version": packing_rules.other_version,
        "generator": wheel_rules.generator,
        "record": wheel_rules.record,
        "tags": wheel_rules.tags,
        "compiled": packing_rules.compiled,
        "other-case": packing_rules.other_case,
        "namespace-files": packing_rules.namespace_files,
        "licences": packing_rules.licences,
        "configured": packing_rules.configured,
        "several-pythons": wheel_rules.several_pythons,
        "interpreter": wheel_rules.interpreter,
        "major-version": wheel_rules.major_version,
        "top-level": wheel_rules.top_level,
        "key-order": wheel_rules.key_order,
        "converted-description": packing_rules.converted_description,
        "metadata-form": wheel_rules.metadata_form,
        "declared": wheel_rules.declared,
    },
    advice={
        Cause.TOOL_VERSION: "Pin the build backend to an exact version in build-system.requires of pyproject.toml.",
        Cause.NAME_OR_TAG: (
            "Put such options into the project's configuration (setup.cfg or pyproject.toml), not on the command line."
        ),
        Cause.OTHER_VERSION: (
            "Put the version into a file of the source archive, or declare the tool that sets it in "
            "build-system.requires, so that every build of the archive has it."
        ),
        Cause.STALE_FILES: (
            "Build releases in a fresh checkout without build directories (build/, *.egg-info, __pycache__), best from "
            "the source archive, as python -m build does."
        ),
        Cause.MISSING_INTERPRETER: "A build environment with an older Python, see interpreters in the settings.",
        Cause.MISSING_REQUIREMENT: (
            "List it in build-system.requires of pyproject.toml; if it is a file of the project itself, name it in "
            "MANIFEST.in."
        ),
        Cause.INCOMPLETE_SOURCE: (
            "Put what is missing into the source archive, such as by naming it in MANIFEST.in, and build the published "
            "file from that archive, as python -m build does."
        ),
    },
    consequences=wheel_rules.consequences,
    hints=_hints,
    endings=_ENDINGS,
    description=INFO,
    is_inventory=lambda member: metadata_file(member, "RECORD"),
    source_name=_source_name,
    leftovers=_LEFT,
    generated=("_version.py", "/version.py", "_pb2.py", ".pyd"),
    keeping=frozenset({"setuptools", "distribute"}),
)
