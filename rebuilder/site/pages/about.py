"""The page that says what the verdicts mean and how to check them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.model.verdict import Kind, Verdict
from rebuilder.site.marks import SHOWN, UNTESTED, Mark, mark
from rebuilder.site.pages.artifact import signature_commands


@dataclass(frozen=True, slots=True)
class Meaning:
    """A verdict and what it means."""

    mark: Mark
    meaning: str


@dataclass(frozen=True, slots=True)
class AboutPage:
    """Words about the verdicts, the claims, the key."""

    root: str
    verdicts: tuple[Meaning, ...]
    key_id: str
    signature: str
    schemas: tuple[str, ...]


_MORE = {
    Verdict.REPRODUCED: (
        "“By the build alone”: the build gave these bytes, the strongest thing a rebuild can show. “With recorded "
        "values written into the archive”: the build gave the same content, and what only the archive around it "
        "records (such as the time of day) was copied from the published file afterwards, where no code of the "
        "build runs. The page lists each such value, and both are counted apart."
    ),
    Verdict.EQUIVALENT: (
        "Every installer puts the same files on disk. What was set aside is named on the page, one by one. Names, "
        "contents, link targets and what is executable are never set aside."
    ),
    Verdict.DIFFERS: f"“{Kind.STABLE.value}”: {Kind.STABLE.spoken} “{Kind.UNSTABLE.value}”: {Kind.UNSTABLE.spoken}",
    Verdict.UNAUTHENTICATED: (
        "A package that the build had is bound by no list that Debian's archive signed: it lay on a mirror, or in a "
        "snapshot. The page names each with its digest. Whoever published the file and served that package can bring "
        "this about, so it is never counted as confirmed."
    ),
    Verdict.ACCOUNTED: (
        "It holds compiled code whose compiler is not to be had here. The page lists every file in it with its digest: "
        "which are the source's byte for byte, which follow from it by a named rule, which are compiled code, and "
        "which nothing explains. This says nothing about what is in the compiled code, and is never counted as "
        "confirmed; were anything executed in it that the source does not have, it would differ."
    ),
    Verdict.BUILD_FAILED: "The log on the page says where. This says nothing about the published file.",
    Verdict.INPUTS_MISSING: "For instance, no source was published, or a dependency was withdrawn.",
    Verdict.UNSUPPORTED: "The page says what is missing in this rebuilder.",
    Verdict.TIMED_OUT: "The page names the limit: time, memory, disk, processes, or the size of what it wrote.",
}


def about_page(key_id: str, schemas: Sequence[str]) -> AboutPage:
    """The page; ``schemas`` are the file names of the published JSON Schemas."""
    verdicts = [Meaning(mark(each), f"{each.spoken} {_MORE[each]}") for each in SHOWN]
    return AboutPage(
        root="",
        verdicts=(*verdicts, Meaning(UNTESTED, f"{UNTESTED.spoken} It counts in every percentage all the same.")),
        key_id=key_id,
        signature=signature_commands(f"{key_id}.pem"),
        schemas=tuple(schemas),
    )
