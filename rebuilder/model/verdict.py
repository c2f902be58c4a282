"""What is said about an artifact after all attempts."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """One word for a whole verification; spoken form and icon belong to it and are used everywhere."""

    REPRODUCED = "reproduced"
    EQUIVALENT = "equivalent"
    DIFFERS = "differs"
    UNAUTHENTICATED = "unauthenticated"
    ACCOUNTED = "accounted"
    BUILD_FAILED = "build-failed"
    INPUTS_MISSING = "inputs-missing"
    UNSUPPORTED = "unsupported"
    TIMED_OUT = "timed-out"
    INFRA_ERROR = "infra-error"

    @property
    def spoken(self) -> str:
        """The verdict as a sentence that needs no documentation."""
        return _SPOKEN[self]

    @property
    def icon(self) -> str:
        """One character, always shown beside the word and never instead of it."""
        return _ICONS[self]

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


class Kind(StrEnum):
    """Sub-kind of ``differs``."""

    UNSTABLE = "unstable"
    """Two rebuilds of one definition also differ from each other."""
    STABLE = "stable"
    """Two rebuilds have the same content, and the published file has another."""

    @property
    def word(self) -> str:
        """The verdict with the sub-kind, in a few words."""
        return _KIND_WORDS[self]

    @property
    def spoken(self) -> str:
        """The sub-kind as a sentence."""
        return _KIND_SPOKEN[self]


_SPOKEN = {
    Verdict.REPRODUCED: "Our rebuild is identical to the published file, byte for byte.",
    Verdict.EQUIVALENT: "Our rebuild has the same content; only archive metadata differs.",
    Verdict.DIFFERS: "Our rebuild differs from the published file.",
    Verdict.UNAUTHENTICATED: "Our rebuild is identical, byte for byte, but nobody signed all that it was built with.",
    Verdict.ACCOUNTED: "It was not rebuilt as a whole; every file in it is accounted for, or listed by its digest.",
    Verdict.BUILD_FAILED: "Our rebuild did not complete.",
    Verdict.INPUTS_MISSING: "Something the rebuild needs cannot be had.",
    Verdict.UNSUPPORTED: "This kind of file cannot be rebuilt yet.",
    Verdict.TIMED_OUT: "Our rebuild was stopped at a limit.",
    Verdict.INFRA_ERROR: "We could not try: something on our side failed.",
}

_ICONS = {
    Verdict.REPRODUCED: "✓",
    Verdict.EQUIVALENT: "≈",
    Verdict.DIFFERS: "≠",
    Verdict.UNAUTHENTICATED: "≟",
    Verdict.ACCOUNTED: "☰",
    Verdict.BUILD_FAILED: "✗",
    Verdict.INPUTS_MISSING: "∅",
    Verdict.UNSUPPORTED: "–",
    Verdict.TIMED_OUT: "◷",
    Verdict.INFRA_ERROR: "!",
}

_KIND_WORDS = {
    Kind.UNSTABLE: "Differs, and the build is not deterministic",
    Kind.STABLE: "Differs, every time the same way",
}

_KIND_SPOKEN = {
    Kind.UNSTABLE: "Two rebuilds of the same definition also differ from each other: the build is not deterministic.",
    Kind.STABLE: "Two rebuilds had the same content, which is not that of the published file.",
}
