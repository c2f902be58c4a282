"""Lines of an npm package that a cause may come from: its build code asks for what the cause is about (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rebuilder.ecosystems.places import lines_of
from rebuilder.model.diagnosis import Cause
from rebuilder.model.project import Place

BUILD_FILES = re.compile(
    r"(?:(?:build|config|scripts|tools|tasks)/)?[^/]+\.[cm]?[jt]s|package\.json|Makefile|\.npmrc"
    r"|\.github/workflows/[^/]+\.ya?ml"
)
"""Paths of files that say how a package is built and released, or are run for it."""
_ASKS = {
    Cause.EMBEDDED_PATH: r"process\.cwd\(|__(?:dir|file)name|import\.meta\.(?:url|\w+name)|\bresolve\(|\bpwd\b",
    Cause.EMBEDDED_TIME: r"\bDate\.now\(|\bDate\(\s*\)|moment\(\)|\bhrtime|\bdate\b.*\+%|(?:`|\$\()date\b",
    Cause.FILE_ORDER: r"readdir(?:Sync)?\(|\bglob(?:\.sync|Sync)?\(|opendir(?:Sync)?\(|\bfind \S",
    Cause.LOCALE: r"toLocale\w*\(|localeCompare\(|\bIntl\.",
    Cause.TIME_ZONE: r"getTimezoneOffset\(|\.get(?:Hours|Date|Day|Month|FullYear)\(|to(?:Locale|Date|Time)\w*\(",
    Cause.HOST_OR_USER_NAME: r"\bhostname\(|userInfo\(|homedir\(|env\.(?:USER|HOME|LOGNAME|HOSTNAME)\b|\bwhoami\b",
    Cause.CPU_DEPENDENT: r"\bcpus\(|availableParallelism\(|\bnproc\b",
    Cause.RANDOMNESS: r"Math\.random\(|random(?:Bytes|UUID|Int|FillSync)\(|getRandomValues\(|\bnanoid\(|\buuid|mkdtemp",
}
_PATTERNS = {cause: re.compile(pattern) for cause, pattern in _ASKS.items()}
_FIRST = ("package.json", "build.js", "build.mjs", "build.cjs")


def places(cause: Cause, texts: Mapping[str, str]) -> tuple[Place, ...]:
    """Lines that ask for what a cause is about."""
    pattern = _PATTERNS.get(cause)
    return lines_of(pattern, texts, first=_FIRST) if pattern is not None else ()
