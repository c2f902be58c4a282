"""What is known of the causes of differences between wheels, and between source archives of Python projects.

What a build lacked is read in the words of Python and its tools, or in what the build left.

Only code that a build runs is looked at: at the top of the project, and in directories for tools. A line is likely
where it asks for what the cause is about; that is a hint for a reader: what is shown is what the experiment shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from rebuilder.diagnose import failure_rules
from rebuilder.diagnose.case import FILE_NAME, Claim, DiagnosisInput, EcosystemRules, claim, listed, named, quoted
from rebuilder.ecosystems.places import lines_of
from rebuilder.ecosystems.pypi import packing_rules, wheel_rules
from rebuilder.ecosystems.pypi.wheel_traces import INFO, metadata_file
from rebuilder.model.comparison import MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine
from rebuilder.model.project import Place
from rebuilder.model.replayed import is_told

BUILD_FILES = re.compile(
    r"(?:(?:tools|scripts|build_tools|_build|buildutils|build_backend)/)?[^/]+\.py|pyproject\.toml|setup\.cfg|MANIFEST\.in"
    r"|\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml|tox\.ini|Makefile"
)
"""Paths of files that say how a project is built and released, or are run for it."""
_ASKS = {
    Cause.EMBEDDED_PATH: r"cwd\(|abspath\(|realpath\(|\.resolve\(|\.absolute\(|__file__|sys\.(?:prefix|executable)",
    Cause.EMBEDDED_TIME: r"\btime(?:_ns)?\(|ctime\(|strftime\(|\.(?:now|utcnow|today)\(|asctime\(",
    Cause.HASH_OR_SET_ORDER: r"\{[^{}():]*,[^{}():]*\}|\b(?:frozen)?set\(|(?<![.\w])hash\(",
    Cause.FILE_ORDER: r"listdir\(|scandir\(|\.?r?glob\(|iterdir\(|os\.walk\(",
    Cause.LOCALE: r"\bopen\((?!.*encoding)|read_text\(\)|setlocale\(|getlocale\(|getpreferredencoding\(",
    Cause.TIME_ZONE: r"localtime\(|fromtimestamp\(|tzname|\.mktime\(|astimezone\(|strftime\(",
    Cause.HOST_OR_USER_NAME: r"\.node\(|gethostname\(|\buname\(|getuser\(|getlogin\(|expanduser\(|\bUSER\b|\.home\(",
    Cause.CPU_DEPENDENT: r"cpu_count\(|sched_getaffinity\(",
    Cause.RANDOMNESS: r"\buuid[14]\(|urandom\(|\bsecrets\.|\brandom\.|token_\w+\(|\bid\(|mkdtemp\(|NamedTemporary",
}
_PATTERNS = {cause: re.compile(pattern) for cause, pattern in _ASKS.items()}
_FIRST = ("setup.py", "hatch_build.py")
_BUILDS = re.compile(r"(?:python3? -m build|uv build|hatch build|flit build|poetry build|pdm build|pip wheel)\b")
_EPOCH = "SOURCE_DATE_EPOCH"
_COMMIT_TIME = f"{_EPOCH}=$(git log -1 --pretty=%ct)"
_TOLD = f"float(os.environ.get('{_EPOCH}') or time.time())"
_TOLD_DATE = f"datetime.datetime.fromtimestamp({_TOLD}, datetime.timezone.utc)"


def tells_time(texts: Mapping[str, str]) -> bool:
    """Whether the project's own workflows set the time that builds are told."""
    return any(_EPOCH in text for name, text in texts.items() if not name.endswith(".py"))


def places(cause: Cause, texts: Mapping[str, str]) -> tuple[Place, ...]:
    """Lines that ask for what a cause is about; those of files that backends run by name come first."""
    if cause in {Cause.ARCHIVE_TIMES, Cause.MODES_UMASK}:
        return lines_of(_BUILDS, texts, below=".github/")
    pattern = _PATTERNS.get(cause)
    return lines_of(pattern, texts, first=_FIRST, end=".py") if pattern is not None else ()


def mended(cause: Cause, found: Sequence[Place], texts: Mapping[str, str], lacking: Sequence[str]) -> dict[str, str]:
    """The files with a change that mends the cause, where a rule knows one and only one line can be meant.

    See :meth:`rebuilder.ecosystems.conventions.Conventions.mended`.
    """
    if cause in {Cause.INCOMPLETE_SOURCE, Cause.EXTRA_SOURCE_FILES} and lacking and _heeds_manifest(texts):
        manifest = texts.get("MANIFEST.in", "")
        return {"MANIFEST.in": manifest + "".join(f"include {each}\n" for each in lacking)}
    if len(found) != 1:
        return {}
    [place] = found
    rule, text = _RULES.get(cause), texts[place.file]
    if rule is None:
        return {}
    lines = text.splitlines(keepends=True)
    before = lines[place.line - 1]
    lines[place.line - 1] = rule(before)
    if lines[place.line - 1] == before:
        return {}
    return {
        place.file: _with_imports("".join(lines), lines[place.line - 1])
        if place.file.endswith(".py")
        else "".join(lines)
    }


def _heeds_manifest(texts: Mapping[str, str]) -> bool:
    """Whether setuptools makes the source archive, which alone reads ``MANIFEST.in``."""
    return "setup.py" in texts or "setuptools" in texts.get("pyproject.toml", "setuptools")


def _with_imports(text: str, line: str) -> str:
    """The same, with the modules imported that a changed line needs."""
    for module in ("datetime", "os", "time"):
        if re.search(rf"\b{module}\.", line) and not re.search(rf"^import .*\b{module}\b", text, re.MULTILINE):
            first = re.search(r"^(?:import|from) (?!__future__)", text, re.MULTILINE)
            at = first.start() if first else 0
            text = f"{text[:at]}import {module}\n{text[at:]}"
    return text


def _sorted_call(line: str) -> str:
    """The line with its call that lists a directory inside ``sorted()``."""
    call = re.search(r"[\w.]*(?:\([^()]*\))?\.?\b(?:listdir|glob|rglob|iterdir|scandir)\(", line)
    if call is None or "sorted(" in line[: call.start()]:
        return line
    end = _closing(line, call.end() - 1)
    key = ", key=lambda each: each.name" if "scandir(" in call[0] else ""
    return line if end is None else f"{line[: call.start()]}sorted({line[call.start() : end]}{key}){line[end:]}"


def _sorted_set(line: str) -> str:
    """The line with its set sorted before it is written."""
    for opening in (r"\blist\((?=\{|set\()", r"\btuple\((?=\{|set\()"):
        if re.search(opening, line):
            return re.sub(opening, "sorted(", line, count=1)
    join = re.search(r"\.join\((?=\{|set\()", line)
    if join is None:
        return line
    end = _closing(line, join.end() - 1)
    return line if end is None else f"{line[: join.end()]}sorted({line[join.end() : end - 1]}){line[end - 1 :]}"


def _closing(line: str, at: int) -> int | None:
    """Behind the bracket that closes the one at a position; None when the line ends before it."""
    depth = 0
    for number, character in enumerate(line[at:], start=at):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return number + 1
    return None


def _told_time(line: str) -> str:
    """The line with the time that builds are told; as it is where its quotes would not go together."""
    if re.search(r"\bf'", line):
        return line
    for pattern, replacement in (
        (r"\btime\.time\(\)", _TOLD),
        (r"\btime\.ctime\(\)", f"time.asctime(time.gmtime({_TOLD}))"),
        (r"\bdatetime\.datetime\.(?:now|utcnow|today)\([^()]*\)", _TOLD_DATE),
        (r"\bdatetime\.date\.today\(\)", f"{_TOLD_DATE}.date()"),
    ):
        if _EPOCH not in line and re.search(pattern, line):
            return re.sub(pattern, lambda _, told=replacement: str(told), line, count=1)  # type: ignore[misc]
    return line


_RULES: dict[Cause, Callable[[str], str]] = {
    Cause.ARCHIVE_TIMES: lambda line: _BUILDS.sub(lambda found: f"{_COMMIT_TIME} {found[0]}", line, count=1),
    Cause.EMBEDDED_TIME: _told_time,
    Cause.FILE_ORDER: _sorted_call,
    Cause.HASH_OR_SET_ORDER: _sorted_set,
    Cause.TIME_ZONE: lambda line: re.sub(r"\btime\.localtime\(", "time.gmtime(", line, count=1),
}


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
