"""Which versions of the tool that ``Generator`` does not name write files of the shape a wheel has (pure).

``Generator`` names the ``wheel`` package and leaves setuptools open, or it names setuptools, which may have run modules
of a ``wheel`` package that was installed beside it. What both write has changed from release to release: each rule is
one such change, with the release notes or the code that it is from, or how it was measured.
"""

from __future__ import annotations

import configparser
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from functools import cached_property
from itertools import groupby

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from rebuilder.ecosystems.pypi.subject import version_of
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces
from rebuilder.model.evidence import Inspection


@dataclass(frozen=True)
class Shape:
    """The generated texts of a wheel, and the ``setup.cfg`` it was built with."""

    metadata: str
    entry_points: str | None
    licences: bool
    """Whether there are licence files in ``.dist-info``."""
    nspkg: str | None
    """Text of a ``-nspkg.pth`` file."""
    setup_cfg: str | None
    record_is_typed: bool | None = None
    """Whether the mode of RECORD says that it is a regular file; None when it has no mode."""

    @cached_property
    def requirements(self) -> list[str]:
        """Values of ``Requires-Dist``."""
        return [str(value).strip() for value in self.headers.get_all("requires-dist", [])]

    @cached_property
    def empty_ends(self) -> int:
        """How many line ends the description ends with; 0 without a description."""
        text = self.description
        return len(text) - len(text.rstrip("\n")) if text.strip() else 0

    @cached_property
    def headers(self) -> Message:
        """Headers and description of METADATA."""
        return HeaderParser().parsestr(self.metadata.replace("\r\n", "\n"))

    @cached_property
    def names(self) -> list[str]:
        """Names of the headers in order."""
        return [name.lower() for name, _ in self.headers.items()]

    @cached_property
    def description(self) -> str:
        """What stands after the headers."""
        return str(self.headers.get_payload())

    def is_unknown(self, *names: str) -> bool:
        """Whether one of these headers says nothing but UNKNOWN."""
        return any(str(value).strip() == "UNKNOWN" for name in names for value in self.headers.get_all(name, []))


@dataclass(frozen=True)
class ToolRule:
    """One change in what a tool writes."""

    versions: str
    """Versions that write it so, as a specifier."""
    evidence: str
    """What was seen, as a clause for a sentence."""
    seen: Callable[[Shape], bool]
    source: str


@dataclass(frozen=True)
class Bracket:
    """Versions of a tool that fit, with the rules that say so."""

    rules: tuple[ToolRule, ...] = ()
    tool: str = "setuptools"

    @property
    def specifier(self) -> str:
        """For a requirement, such as ``<62.2,>=57``; empty without rules."""
        return ",".join(sorted({each for rule in self.rules for each in rule.versions.split(",")}))

    @property
    def sentence(self) -> str:
        """The evidence."""
        clauses = "; ".join(f"{rule.evidence} ({self.tool} {rule.versions})" for rule in self.rules)
        return f"The shape of the metadata says which {self.tool} wrote it: {clauses}." if clauses else ""

    def contains(self, version: str) -> bool:
        """Whether a version fits."""
        return SpecifierSet(self.specifier).contains(version, prereleases=True)

    @property
    def newest(self) -> str | None:
        """A version near the newest that fits; None when the newest of all may."""
        bounds = [_release(each) for rule in self.rules for each in rule.versions.split(",") if each.startswith("<")]
        if not bounds:
            return None
        major, minor = (*min(bounds), 0)[:2]
        return f"{major}.{minor - 1}" if minor else f"{major - 1}.0"

    @property
    def is_possible(self) -> bool:
        """Whether any version could fit; rules that contradict each other say nothing."""
        bounds = [(each[:1], _release(each)) for rule in self.rules for each in rule.versions.split(",")]
        lowest = max((release for sign, release in bounds if sign == ">"), default=(0,))
        return all(release > lowest for sign, release in bounds if sign == "<")


def shadowing_wheel(shape: Shape, setuptools: str, *, required: bool) -> Bracket:
    """The ``wheel`` package beside a setuptools that packed the wheel, whose modules it took instead of its own copy.

    From 71 setuptools keeps that copy at the end of the import path, where anything that is installed goes first; from
    75.6 it writes requirements without it.

    Args:
        shape: Of the wheel.
        setuptools: Its version.
        required: Whether the source asks for ``wheel``; if not, a shape that its copy gives too says nothing.
    """
    if (version := version_of(setuptools)) is None:
        return Bracket()
    rules: tuple[ToolRule, ...] = RECORD_RULES if _PACKS.contains(version, prereleases=True) else ()
    rules += REQUIREMENT_RULES if _WRITES_REQUIREMENTS.contains(version, prereleases=True) else ()
    found = Bracket((_IMPORTED, *(rule for rule in rules if rule.seen(shape))), "wheel")
    says_nothing = found.contains(_BUNDLED) and not required
    return Bracket() if len(found.rules) == 1 or says_nothing or not found.is_possible else found


def bracket(shape: Shape) -> Bracket:
    """What the shape says; nothing when it contradicts itself, as that of a changed setuptools may.

    Before Metadata-Version 2.1 the ``wheel`` package wrote much of METADATA anew: what is lacking says nothing of
    setuptools then, and only what a later one would not have written does.
    """
    old = str(shape.headers.get("metadata-version", "")) < "2.1"
    found = Bracket(tuple(rule for rule in RULES if rule.seen(shape) and (not old or rule.versions.startswith("<"))))
    return found if found.is_possible else Bracket()


_ERAS: tuple[tuple[str, Callable[[int], int]], ...] = (
    ("<57", lambda ends: max(3, ends + 2)),
    ("<62.2,>=57", lambda ends: max(2, ends + 2)),
    (">=62.2", lambda ends: max(1, ends)),
)
"""With how many line ends setuptools ends a description that has some of its own, measured with wheel 0.29 to 0.45."""


def by_line_ends(published: int, rebuilt: int, used: str) -> Bracket:
    """What the line ends after one description say about setuptools, given those that a known version made."""
    own = {
        ends
        for versions, write in _ERAS
        if SpecifierSet(versions).contains(used)
        for ends in range(20)
        if write(ends) == rebuilt
    }
    fitting = [versions for versions, write in _ERAS if any(write(ends) == published for ends in own)]
    if not fitting or any(SpecifierSet(versions).contains(used) for versions in fitting):
        return Bracket()
    versions = fitting[0] if len(fitting) == 1 else "<62.2" if ">=62.2" not in fitting else ">=57"
    clause = f"the description ends with {published} line ends, and with {rebuilt} where setuptools {used} wrote it"
    return Bracket((ToolRule(versions, clause, lambda _: True, "setuptools 57.0.0 and 62.2.0, measured"),))


def read_by_python_2(published: Shape, rebuilt: Shape) -> bool:
    """Whether the description is that of the rebuilt wheel without an empty line before it.

    ``email`` of Python 2 drops it when ``wheel`` reads PKG-INFO.
    """
    begun, again = (len(each.description) - len(each.description.lstrip("\n")) for each in (published, rebuilt))
    return begun == again - 1 and published.description.strip() == rebuilt.description.strip() != ""


def are_sorted(published: Shape, rebuilt: Shape) -> bool:
    """Whether requirements are those of the rebuilt wheel, but sorted within each extra and marker.

    Setuptools of Debian and Ubuntu writes the lines of ``requires.txt`` so, in capitals first, each without spaces.
    """
    runs = groupby(rebuilt.requirements, key=lambda each: each.partition(";")[2].strip())
    expected = [each for _, run in runs for each in sorted(run, key=_requires_line)]
    return published.requirements == expected != rebuilt.requirements


def reordered(published: Shape, rebuilt: Shape) -> list[tuple[list[str], list[str]]]:
    """Extras, and requirements with one marker, that come in another order in the rebuilt wheel; both orders of each.

    Nothing when they are not the same ones.
    """
    orders, others = _orders(published), _orders(rebuilt)
    if {key: sorted(order) for key, order in orders.items()} != {key: sorted(order) for key, order in others.items()}:
        return []
    return [(order, others[key]) for key, order in orders.items() if order != others[key]]


def _extras(shape: Shape) -> list[str]:
    return [str(each) for each in shape.headers.get_all("provides-extra", [])]


def _orders(shape: Shape) -> dict[str, list[str]]:
    found = {"extras": list(dict.fromkeys(_extras(shape)))}
    for each in shape.requirements:
        found.setdefault(f";{each.partition(';')[2].strip()}", []).append(_requires_line(each))
    return found


def _requires_line(requirement: str) -> str:
    return re.sub(r"[\s()]", "", requirement.partition(";")[0])


_FIRST_WITH = {
    "description-content-type": "36.4",
    "license-file": "57",
    "maintainer": "38.7",
    "project-url": "38.3",
    "requires-python": "24.2",
}
"""Headers, and the first setuptools that writes them; measured with wheel 0.29 and 0.34."""


def by_headers(published: Shape, rebuilt: Shape) -> Bracket:
    """What headers that only the rebuilt wheel has say about setuptools: it did not know them yet."""
    bounds = {name: _FIRST_WITH[name] for name in _FIRST_WITH if name in {*rebuilt.names} - {*published.names}}
    if [len(set(each)) < len(each) for each in (_extras(published), _extras(rebuilt))] == [False, True]:
        bounds["provides-extra"] = "38.6"  # the wheel package adds each once more
    source = "setuptools 24.2.0, 36.4.0, 38.3.0, 38.6.0, 38.7.0 and 57.0.0, measured"
    return Bracket(
        tuple(
            ToolRule(f"<{bound}", f"only the rebuild has {name.title()} so", lambda _: True, source)
            for name, bound in bounds.items()
        )
    )


def read_shape(wheel: Inspection, traces: WheelTraces, setup_cfg: str | None) -> Shape:
    """Collect what the rules look at."""
    prefix = f"{traces.dist_info}/"
    names = [member.name.removeprefix(prefix) for member in wheel.members if member.name.startswith(prefix)]
    return Shape(
        metadata=wheel.texts.get(f"{prefix}METADATA", ""),
        entry_points=wheel.texts.get(f"{prefix}entry_points.txt"),
        licences=any(re.match(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)", name) for name in names),
        nspkg=next((text for name, text in wheel.texts.items() if name.endswith("-nspkg.pth")), None),
        setup_cfg=setup_cfg,
        record_is_typed=next(
            (stat.S_IFMT(each.mode) != 0 for each in wheel.members if each.name == f"{prefix}RECORD" and each.mode),
            None,
        ),
    )


def _parentheses(shape: Shape) -> bool:
    return any("(" in each.partition(";")[0] for each in shape.requirements)


def _spaced(shape: Shape) -> bool:
    return any(re.match(r"[\w.-]+(\[[^]]*])? +[<>=!~;]", each) for each in shape.requirements)


def _bare(shape: Shape) -> bool:
    return any(re.match(r"[\w.-]+(\[[^]]*])?[<>=!~;]", each) for each in shape.requirements)


def _follows(shape: Shape, name: str, other: str) -> bool:
    names = shape.names
    return name in names and other in names and names.index(name) > names.index(other)


def _requires_python(shape: Shape) -> tuple[str, str] | None:
    """What ``setup.cfg`` says, and what METADATA says of it; None unless normalising would change it."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(shape.setup_cfg or "")
        text = parser.get("options", "python_requires", fallback="").strip()
        if not text or text == str(SpecifierSet(text)):
            return None
    except (configparser.Error, InvalidSpecifier):
        return None
    return text, str(shape.headers.get("requires-python", ""))


def _repeats(text: str | None) -> bool:
    lines = (text or "").splitlines()
    return len(lines) != len(set(lines))


_NEEDS_1_2 = {"description-content-type", "project-url", "provides-extra", "requires-python"}
"""Headers for which setuptools writes metadata of version 1.2 or later."""

RULES = (
    ToolRule(
        "<41.4",
        "Requires-Python stands as in setup.cfg, not sorted",
        lambda shape: (said := _requires_python(shape)) is not None and said[0] == said[1],
        "setuptools 41.4.0 reads python_requires of setup.cfg as a SpecifierSet (#1847)",
    ),
    ToolRule(
        ">=41.4",
        "Requires-Python of setup.cfg was sorted",
        lambda shape: (said := _requires_python(shape)) is not None and said[0] != said[1] != "",
        "setuptools 41.4.0 reads python_requires of setup.cfg as a SpecifierSet (#1847)",
    ),
    ToolRule(
        ">=57",
        "METADATA has License-File",
        lambda shape: "license-file" in shape.names,
        "setuptools 57.0.0: Added License-File (multiple) to the output package metadata (#2645)",
    ),
    ToolRule(
        "<57",
        "there are licence files, but METADATA has no License-File",
        lambda shape: shape.licences and "license-file" not in shape.names,
        "setuptools 57.0.0: Added License-File (multiple) to the output package metadata (#2645)",
    ),
    ToolRule(
        "<60.6",
        "Home-page is UNKNOWN or Download-URL stands after License",
        lambda shape: shape.is_unknown("home-page") or _follows(shape, "download-url", "license"),
        "setuptools 60.6.0: Don't include optional Home-page in metadata if no url is specified (#3057)",
    ),
    ToolRule(
        ">=60.6",
        "METADATA has no Home-page, or Download-URL stands before it could with an older one",
        lambda shape: (
            "home-page" not in shape.names
            or _follows(shape, "author", "download-url")
            or _follows(shape, "author-email", "download-url")
        ),
        "setuptools 60.6.0: Don't include optional Home-page in metadata if no url is specified (#3057)",
    ),
    ToolRule(
        "<60.9",
        "entry_points.txt ends with an empty line",
        lambda shape: (shape.entry_points or "").replace("\r\n", "\n").endswith("\n\n"),
        "setuptools 60.9.0 writes entry_points.txt with importlib.metadata, groups joined and not ended by empty lines",
    ),
    ToolRule(
        ">=60.9",
        "entry_points.txt ends without an empty line",
        lambda shape: bool(shape.entry_points) and not (shape.entry_points or "").replace("\r", "").endswith("\n\n"),
        "setuptools 60.9.0 writes entry_points.txt with importlib.metadata, groups joined and not ended by empty lines",
    ),
    ToolRule(
        "<62.2",
        "the description ends with two empty lines or more",
        # From 62.2 on this takes a text that ends so itself; without Platform there is nothing older to be had.
        lambda shape: shape.empty_ends > 2 and "platform" in shape.names,
        "setuptools 62.2.0 writes the description as it is; from 57 on it added two line ends, before at least three",
    ),
    ToolRule(
        ">=57",
        "the description ends with one empty line or none",
        lambda shape: 0 < shape.empty_ends < 3,
        "setuptools 57.0.0 writes the description below the headers; before, at least three line ends came out",
    ),
    ToolRule(
        "<62.2",
        "METADATA says UNKNOWN where nothing is known",
        lambda shape: shape.is_unknown("platform", "summary", "license"),
        "setuptools 62.2.0 leaves out Platform, Summary and License that are not given",
    ),
    ToolRule(
        ">=62.2",
        "METADATA has no Platform, not even UNKNOWN, or ends without an empty line",
        lambda shape: (
            "platform" not in shape.names or (bool(shape.description) and not shape.description.endswith("\n\n"))
        ),
        "setuptools 62.2.0 leaves out Platform that is not given, and adds no line to the description",
    ),
    ToolRule(
        "<68.2",
        "the -nspkg.pth file has a line twice",
        lambda shape: _repeats(shape.nspkg),
        "setuptools 68.2.0 names each namespace once in -nspkg.pth files",
    ),
    ToolRule(
        "<56",
        "Author or Author-email is UNKNOWN",
        lambda shape: shape.is_unknown("author", "author-email"),
        "setuptools 56.0.0 writes metadata of version 2.1 always, where an author that is not given is left out",
    ),
    ToolRule(
        "<38.7",
        "Author or Author-email is UNKNOWN in metadata of version 1.2 or later",
        lambda shape: (
            shape.is_unknown("author", "author-email")
            and not _NEEDS_1_2.isdisjoint(shape.names)
            and "maintainer" not in shape.names
        ),
        "setuptools 38.7.0 leaves out an author that is not given from version 1.2 on, measured",
    ),
    ToolRule(
        "<38.6,>=36.4",
        "Description-Content-Type is UNKNOWN or stands before Platform",
        lambda shape: (
            shape.is_unknown("description-content-type") or _follows(shape, "platform", "description-content-type")
        ),
        "setuptools 36.4.0 to 38.5.2 write it so, 38.6.0 below Platform and only where it is given, measured",
    ),
)
"""Every rule that is known about setuptools; several may be seen in one wheel."""

REQUIREMENT_RULES = (
    ToolRule(
        "<0.41.1",
        "Requires-Dist has versions in parentheses",
        _parentheses,
        "wheel 0.41.0 and 0.41.1 beside setuptools 71.0 to 75.5, measured",
    ),
    ToolRule(
        ">=0.41.1,<0.44",
        "Requires-Dist has a space before versions and markers, and no parentheses",
        lambda shape: _spaced(shape) and not _parentheses(shape) and not _bare(shape),
        "wheel 0.41.0, 0.41.1, 0.43.0 and 0.44.0 beside setuptools 71.0 to 75.5, measured",
    ),
    ToolRule(
        ">=0.44",
        "Requires-Dist has no space before versions and markers",
        lambda shape: _bare(shape) and not _spaced(shape),
        "wheel 0.43.0 and 0.44.0 beside setuptools 71.0 to 75.5, measured",
    ),
)
"""How ``wheel`` writes requirements that setuptools 71 to 75.5 hands over."""

RECORD_RULES = (
    ToolRule(
        "<0.40",
        "the mode of RECORD does not say that it is a file",
        lambda shape: shape.record_is_typed is False,
        "wheel 0.38.4 and 0.40.0 beside setuptools 71.0 to 82.0, measured",
    ),
    ToolRule(
        ">=0.40",
        "the mode of RECORD says that it is a file",
        lambda shape: shape.record_is_typed is True,
        "wheel 0.38.4 and 0.40.0 beside setuptools 71.0 to 82.0, measured",
    ),
)
"""How ``wheel`` packs what setuptools from 71 on hands over."""

BEFORE_PYTHON_3 = Bracket(
    (ToolRule("<45", "Python 2 read it", lambda _: True, "setuptools 45.0.0: Require Python 3.5 or later (#1458)"),)
)
_IMPORTED = ToolRule(
    ">=0.34",
    "setuptools used modules of a wheel package beside it",
    lambda _: True,
    "wheel 0.33.6 and 0.34.2 beside setuptools 75.1.0, measured: it cannot use older ones",
)
_WRITES_REQUIREMENTS = SpecifierSet(">=71,<75.6")
_PACKS = SpecifierSet(">=71")
_BUNDLED = "0.43.0"
"""The copy that setuptools 70.1 to 75.5 has; later ones pack alike."""


def _release(bound: str) -> tuple[int, ...]:
    return tuple(int(each) for each in bound.lstrip("<>=").split("."))
