"""Where in a Python project a cause comes from, and changes that mend it (pure).

Only code that a build runs is looked at: at the top of the project, and in directories for tools. A line is likely
where it asks for what the cause is about; that is a hint for a reader: what is shown is what the experiment shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from rebuilder.ecosystems.places import lines_of
from rebuilder.model.diagnosis import Cause
from rebuilder.model.project import Place

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

    Args:
        cause: What was found.
        found: Its places.
        texts: Files of the project.
        lacking: Files that the source archive lacks.
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
