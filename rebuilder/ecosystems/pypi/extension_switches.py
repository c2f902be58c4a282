"""Variables with which build scripts of a source leave its compiled extensions out (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces

_EXTENSIONS = re.compile(r"\bExtension\(|\bcythonize\b|\bmypycify\b|\bext_modules\b|\bcffi_modules\b|\bRustExtension\(")
_VARIABLE = re.compile(r"['\"]([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|CYTHONIZE)['\"]")
_ABOUT = re.compile(r"EXT(?:ENSIONS?|S)?$|EXTENSIONS?_|_EXT_|CEXTS?\b|SPEEDUPS?|CYTHON|MYPYC|PURE|NATIVE|ACCELERAT")
_OTHERWISE = re.compile(r"TRAC(?:E|ING)|DEBUG|COVERAGE|LINE|ANNOTATE|(?:^|_)(?:FORCE|REQUIRE)_(?!PURE)")
"""Of those, variables about something else; and those that ask for extensions, which are not built unless asked for."""
_NEGATED = re.compile(r"(?:^|_)(?:NO|NOT|WITHOUT|DISABLE|SKIP|PURE|PUREPYTHON|IGNORE)(?:_|$)|PURE_?PYTHON")
_READ = re.compile(r"\benviron\b|\bgetenv\b")
_OFF = ("no", "false", "off", "0")
_MOST = 4


def extension_switches(traces: WheelTraces, scripts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Variables and values that leave extensions out, where a wheel without any is to be made; none otherwise.

    Build scripts commonly have one: projects publish wheels for the platforms they compile for, and one for any. The
    published wheel says only that it has no compiled code; names and values are those of the source.

    Args:
        traces: What the wheel says.
        scripts: Texts of the source's own build scripts.
    """
    if not traces.root_is_purelib or not all(tag.endswith("-none-any") for tag in traces.tags):
        return ()
    texts = list(scripts)
    if not any(_EXTENSIONS.search(text) for text in texts):
        return ()
    found: dict[str, str] = {}
    for text in texts:
        if not _READ.search(text):
            continue
        for variable in _VARIABLE.findall(text):
            if not _ABOUT.search(variable) or _OTHERWISE.search(variable):
                continue
            if _NEGATED.search(variable):
                found[variable] = "1"
            elif not _asks(text, variable):
                found[variable] = _off(text)
    return tuple(sorted(found.items())[:_MOST])


def switched_off(switches: tuple[tuple[str, str], ...]) -> str:
    """The evidence, as a sentence."""
    shown = " and ".join(f"{name}={value}" for name, value in switches)
    return f"The source has compiled extensions and the wheel is for any machine: {shown} leaves them out."


def _asks(text: str, variable: str) -> bool:
    """Whether any value of a variable asks for extensions, so that only a build without it leaves them out.

    Not where the value is compared with a word, at once or under the name it is given.
    """
    name = rf"['\"]{variable}['\"]"
    read = rf"(?:\benviron\.get|\bgetenv)\(\s*{name}\s*(?:,\s*(?:None|False|0|''|\"\")\s*)?\)"
    compared = r"(?!\s*(?:[=!<>]=|\.|in\b|not\s+in\b|is\b))"
    for given in re.findall(rf"^[ \t]*(\w{{1,64}})[ \t]*=[ \t]*(?:os\.)?{read}", text, re.MULTILINE):
        if re.search(rf"\b{given}(?:\.(?:lower|upper|strip)\(\))*[ \t]*(?:[=!]=|in\b|not[ \t]+in\b)", text):
            return False
    return bool(re.search(rf"{read}{compared}|{name}\s+in\s+(?:os\.)?environ", text))


def _off(text: str) -> str:
    """The word for it that a script compares with."""
    return next((word for word in _OFF if re.search(rf"['\"]{word}['\"]", text)), "0")
