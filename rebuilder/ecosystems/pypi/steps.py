"""The steps that may lead to a wheel or a source archive, as documents call them."""

from __future__ import annotations

from enum import StrEnum


class PyPIStep(StrEnum):
    """One step from something upstream has to something upstream published."""

    COMMIT_TO_SDIST = "commit-to-sdist"
    SDIST_TO_WHEEL = "sdist-to-wheel"
    COMMIT_TO_WHEEL = "commit-to-wheel"
