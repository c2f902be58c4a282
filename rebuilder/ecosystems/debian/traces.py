"""What two packages say of the tools that they were built with, and which versions of which packages that means.

Rules are general: they know words that tools write into what they make, and that a version in a published file which
ours has not stands where ours has the version of a package that it was built with. Nothing of it is trusted: the
answer only says what to build with next, and whether that was right is seen by the bytes that come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import Field

from rebuilder.ecosystems.debian.version import order, parsed
from rebuilder.model.value import Value

_PERL = {
    "4.10 3.35": "5.28",
    "4.11 3.35": "5.30",
    "4.14 3.40": "5.32",
    "4.14 3.42": "5.34",
    "4.14 3.43": "5.36",
    "5.01 3.43": "5.38",
    "5.01 3.45": "5.38",
    "5.0102 3.45": "5.40",
}
"""Pod::Man and Pod::Simple of each series of Perl (Module::CoreList)."""
_SERIES = {"gcc": "gcc-{}", "openjdk": "openjdk-{}-jre-headless"}
"""Tools whose packages have the first number of the version in their names."""
_MOST = 8


class Traces(Value):
    """What a program of ours found; see :mod:`rebuilder.programs.debian.compare_traces`. Words are hostile."""

    named: dict[str, tuple[str, ...]] = {}
    theirs: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    notes: tuple[tuple[str, ...], ...] | None = Field(default=None, max_length=2)
    compiled: bool = False
    bounds: tuple[tuple[str, str, str], ...] = ()
    others: tuple[str, ...] = ()
    unpaired: bool = False
    compiling: bool = False
    swapped: dict[str, tuple[tuple[str, str], ...]] = {}
    documents: tuple[str, ...] = ()
    stray: tuple[str, ...] = ()
    added: dict[str, tuple[tuple[str, ...], ...]] = {}
    moment: int | None = Field(default=None, ge=0)

    @property
    def wants_less(self) -> bool:
        """Whether the published package wants no package in a newer version than the rebuilt one does."""
        return all(order(theirs) < order(mine) for _, theirs, mine in self.bounds)

    @property
    def besides(self) -> bool:
        """Whether more than compiled code differs where ``compiled`` says that nothing else counts."""
        return bool(self.bounds or self.others)

    def follows(self, others: Sequence[OtherVersion], installed: Mapping[str, str]) -> bool:
        """Whether what is no compiled code may all be the doing of tools or libraries of other versions.

        Manuals and metadata that name their tool, and what is the same but for versions: theirs those that are wanted,
        ours those of packages that are here. What the others explain by themselves is passed over.
        """
        wanted = {word for each in others for word in (each.wanted, *self._said(each.package))}
        ours = {word for version in installed.values() for word in (version, plain(version))}
        pairs = [pair for pairs in self.swapped.values() for pair in pairs]
        return self.explained(others) and all(_is_of(theirs, wanted) and _is_of(mine, ours) for theirs, mine in pairs)

    def explained(self, others: Sequence[OtherVersion]) -> bool:
        """Whether all that no tool wrote follows from other versions of packages by itself."""
        return {member for each in others for member in each.explains}.issuperset(self.stray)

    def _said(self, package: str) -> Iterator[str]:
        series = next((each for each in _SERIES if package.startswith(f"{each}-")), None)
        for words in self.named.get(series or package, ()):
            yield from words.split()


class OtherVersion(NamedTuple):
    """A package that the published file was built with in another version."""

    package: str
    have: str
    """Debian's version of the one that it was rebuilt with."""
    wanted: str
    """The version of the other one, as its authors call it, or the beginning of that."""
    sure: bool
    """Whether the published file names it in the words of the tool."""
    sentence: str
    explains: tuple[str, ...] = ()
    """Members that differ because of it alone."""

    def fits(self, version: str) -> bool:
        """Whether a version of the package is the one that is wanted."""
        upstream = plain(version)
        if self.package == "perl":
            return upstream.startswith(f"{self.wanted}.")
        return self.wanted in {upstream, version}


def other_versions(traces: Traces, installed: Mapping[str, str]) -> list[OtherVersion]:
    """Which packages had another version, surest first."""
    found = [*_named(traces, installed), *_swapped(traces, installed)]
    known = dict[tuple[str, str], OtherVersion]()
    for each in found:
        known.setdefault((each.have, each.wanted), each)
    return list(known.values())[:_MOST]


def plain(version: str) -> str:
    """What the authors of a package call a version: without epoch, revision, and what Debian puts behind."""
    upstream = parsed(version).upstream
    for mark in ("+dfsg", "+ds", "~dfsg", ".dfsg", "+really", "+repack"):
        upstream = upstream.partition(mark)[0]
    return upstream


def _named(traces: Traces, installed: Mapping[str, str]) -> Iterator[OtherVersion]:
    for tool, versions in sorted(traces.named.items()):
        if len(versions) != 1:
            continue
        [said] = versions
        wanted = _PERL.get(said) if tool == "perl" else said
        package = _SERIES.get(tool, tool).format(said.partition(".")[0])
        have = installed.get(package)
        if wanted is None or (have is None and tool not in _SERIES):
            continue
        told = " and ".join(
            f"{name} {each}" for name, each in zip(("Pod::Man", "Pod::Simple"), said.split(), strict=False)
        )
        told = told if tool == "perl" else f"{package} {said}"
        other = OtherVersion(
            package, have or "", wanted, sure=True, sentence=f"The published file says that it was made with {told}."
        )
        if not have or not other.fits(have):
            yield other


def _swapped(traces: Traces, installed: Mapping[str, str]) -> Iterator[OtherVersion]:
    """Where ours has the version of a package, and theirs another that looks like it."""
    for mine in traces.ours:
        packages = sorted(name for name, version in installed.items() if mine in {version, plain(version)})
        alike = [each for each in traces.theirs if _alike(each, mine)]
        for package in packages[:1]:
            for wanted in alike[:3]:
                here = f"the rebuilt one has {mine}, which is the version of {package}"
                sentence = f"The published file has {wanted} where {here}."
                yield OtherVersion(package, installed[package], wanted, sure=len(alike) == 1, sentence=sentence)


def _is_of(word: str, versions: set[str]) -> bool:
    """Whether a word is a version, or one that its tool writes with the build behind it (``21.0.9+10-Debian-1``)."""
    return word in versions or ("+" in word and word.partition("-")[0] in versions)


def _alike(one: str, other: str) -> bool:
    """Whether two words may be versions of one thing: as many numbers, the first the same, and two dots or more."""
    left, right = one.split("."), other.split(".")
    return len(left) == len(right) >= 3 and left[0] == right[0]
