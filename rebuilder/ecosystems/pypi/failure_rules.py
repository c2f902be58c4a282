"""What the log of a failed build says, in the words of Python and its packaging tools."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.model.diagnosis import Cause

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
)
COMPILER = re.compile(
    r"command '[^']*(?:gcc|cc|clang|g\+\+|cl\.exe|rustc|cargo)[^']*' failed|Unable to find vcvarsall"
    r"|No such file or directory: '(?:gcc|cc|cargo|cmake|make|ninja|git|npm|node|swig|pkg-config)'"
)
"""How distutils and the standard library say that there is no compiler."""
_UNMET = re.compile(r"DistributionNotFound|No matching distribution found|Could not find a version that satisfies")
ENDINGS = {
    69: "the build backend could not be loaded",
    70: "the build backend failed",
    73: "the build backend left no file",
}
"""Exit codes of :mod:`rebuilder.programs.pypi.frontend`."""


def hints(line: str) -> Iterator[tuple[Cause, str]]:
    """What a line points to; see :attr:`rebuilder.diagnose.case.EcosystemRules.hints`."""
    module = _MODULE.search(line)
    if module is not None:
        top = module[1].partition(".")[0]
        if top in _REMOVED:
            wanted = f"The build tools want the module {top}, which Python {_REMOVED[top]} and later have not got"
            yield Cause.MISSING_INTERPRETER, f"{wanted}: the build needs an older Python."
        else:
            yield Cause.MISSING_REQUIREMENT, f"The build wants the module {top}, which is not installed."
    if _TOO_NEW.search(line):
        yield Cause.MISSING_INTERPRETER, "The build does not work with the Python it was tried with."
    if COMPILER.search(line):
        yield Cause.MISSING_COMPILER, Cause.MISSING_COMPILER.spoken
    if _UNMET.search(line):
        yield Cause.MISSING_REQUIREMENT, Cause.MISSING_REQUIREMENT.spoken
