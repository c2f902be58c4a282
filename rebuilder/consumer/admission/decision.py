"""Whether images and packages may be deployed, by the policy, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rebuilder.consumer.admission.contents import Image
from rebuilder.consumer.admission.sboms import Sboms
from rebuilder.consumer.answer import Answer, Standing
from rebuilder.consumer.enforcement import Enforcement, sentence
from rebuilder.consumer.lock_files import Dependency
from rebuilder.consumer.policy import IMAGES
from rebuilder.model.text import clipped

_OPEN = {Standing.UNDECIDED, Standing.TOLERATED, Standing.UNANSWERED}
_MOST_SHOWN = 5
_LONGEST_REFERENCE = 200


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered to somebody who wants to deploy something."""

    images: int
    packages: int
    """How many answers it follows from; an image that was decided as a whole is one."""
    reasons: tuple[str, ...] = ()
    """Why it may not, as sentences; empty: it may."""
    warnings: tuple[str, ...] = ()
    """What is let through although no rebuilder confirms it, as sentences."""

    @property
    def allowed(self) -> bool:
        """Whether it may be deployed."""
        return not self.reasons

    @property
    def message(self) -> str:
        """The answer in words, however many reasons there are."""
        if self.allowed:
            numbers = ((self.images, "image"), (self.packages, "package"), (len(self.warnings), "warning"))
            of = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in numbers if number)
            return f"{'It is let through' if self.warnings else 'All of it passes'}{of and f' ({of})'}."
        more = len(self.reasons) - _MOST_SHOWN
        left = [f"… and {more} more, which the report at / lists."] if more > 0 else []
        return "\n".join([*self.reasons[:_MOST_SHOWN], *left])


def decide(
    enforcement: Enforcement, sboms: Sboms, images: Iterable[Image], packages: Sequence[Dependency] = ()
) -> Decision:
    """Ask about images and packages, and note what was asked.

    Raises:
        StoreError: what was seen cannot be remembered.
    """
    different = {each.reference: each for each in images}
    found = [("", each) for each in enforcement.gate.answers(packages)]
    for reference, image in different.items():
        whole, inside = f"{image.place}: ", f"{image.place} {_shortened(reference)}: "
        # The name of an image that is decided as a whole is in what is said of it.
        found += [
            (whole if each.dependency.ecosystem == IMAGES else inside, each)
            for each in _about(enforcement, sboms, image)
        ]
    reasons, warnings = [], []
    for where, answer in found:
        enforcement.note(answer)
        if (against := enforcement.against(answer)) is not None:
            reasons.append(against if against == enforcement.broken else where + against)
        elif answer.standing is not Standing.PASSED:
            warnings.append(where + sentence(answer))
    if enforcement.broken is not None:  # images without any package of ours are not let through either
        reasons = [enforcement.broken]
    return Decision(len(different), len(found), tuple(dict.fromkeys(reasons)), tuple(dict.fromkeys(warnings)))


def _shortened(reference: str) -> str:
    """A reference with the first digits of its digest, as people know them."""
    name, _, digest = reference.partition("@sha256:")
    return clipped(f"{name}@sha256:{digest[:12]}…" if digest else reference, _LONGEST_REFERENCE)


def _about(enforcement: Enforcement, sboms: Sboms, image: Image) -> Sequence[Answer]:
    """The answer about an image as a whole, if there is one; otherwise those about what is inside."""
    asked = image.asked
    (whole,) = enforcement.gate.answers([asked])
    digest = asked.files[0].digest if asked.files else None
    if digest is None or whole.standing not in _OPEN:
        return [whole]
    inside = sboms.inside(digest)
    if not isinstance(inside, str):
        return enforcement.gate.answers(inside.packages)
    if whole.standing is Standing.UNANSWERED:
        return [replace(whole, sentence=f"{whole.sentence} {inside}")]
    return enforcement.gate.answers([replace(asked, problem=f"No rebuilder confirms the image as a whole. {inside}")])
