"""What is said about an artifact after all attempts."""

from __future__ import annotations

from rebuilder.model.value import Worded


class Verdict(Worded):
    """One word for a whole verification; spoken form and icon belong to it and are used everywhere."""

    icon: str
    """One character, always shown beside the word and never instead of it."""
    tone: str
    """See :class:`rebuilder.site.marks.Mark`."""
    spoken: str
    """The verdict as a sentence that needs no documentation."""

    REPRODUCED = "reproduced", "✓", "good", "Our rebuild is identical to the published file, byte for byte."
    EQUIVALENT = "equivalent", "≈", "near", "Our rebuild has the same content; only archive metadata differs."
    DIFFERS = "differs", "≠", "bad", "Our rebuild differs from the published file."
    UNAUTHENTICATED = (
        "unauthenticated",
        "≟",
        "doubt",
        "Our rebuild is identical, byte for byte, but nobody signed all that it was built with.",
    )
    ACCOUNTED = (
        "accounted",
        "☰",
        "apart",
        "It was not rebuilt as a whole; every file in it is accounted for, or listed by its digest.",
    )
    BUILD_FAILED = "build-failed", "✗", "warn", "Our rebuild did not complete."
    INPUTS_MISSING = "inputs-missing", "∅", "warn", "Something the rebuild needs cannot be had."
    UNSUPPORTED = "unsupported", "–", "mute", "This kind of file cannot be rebuilt yet."
    TIMED_OUT = "timed-out", "◷", "warn", "Our rebuild was stopped at a limit."
    INFRA_ERROR = "infra-error", "!", "mute", "We could not try: something on our side failed."

    @property
    def confirms(self) -> bool:
        """True when the rebuild confirms what was published."""
        return self in {Verdict.REPRODUCED, Verdict.EQUIVALENT}

    @property
    def identical(self) -> bool:
        """True when the rebuild has the published bytes, whatever that is worth."""
        return self in {Verdict.REPRODUCED, Verdict.UNAUTHENTICATED}

    @property
    def publishable(self) -> bool:
        """False for our own faults, which are retried and never signed."""
        return self is not Verdict.INFRA_ERROR


class Kind(Worded):
    """Sub-kind of ``differs``."""

    word: str
    """The verdict with the sub-kind, in a few words."""
    spoken: str
    """The sub-kind as a sentence."""

    UNSTABLE = (
        "unstable",
        "Differs, and the build is not deterministic",
        "Two rebuilds of the same definition also differ from each other: the build is not deterministic.",
    )
    """Two rebuilds of one definition also differ from each other."""
    STABLE = (
        "stable",
        "Differs, every time the same way",
        "Two rebuilds had the same content, which is not that of the published file.",
    )
    """Two rebuilds have the same content, and the published file has another."""
