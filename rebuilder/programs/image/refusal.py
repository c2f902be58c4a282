"""Why an image is not taken."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - reads as what happened
    """Something that no image may have; the text goes on from “it cannot be used: ”."""
