"""All ecosystems by name, and how a subject names one.

A new ecosystem is a folder beside this file and a line in :data:`ECOSYSTEMS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from rebuilder.ecosystems.conventions import Conventions
from rebuilder.ecosystems.debian.conventions import DebianConventions
from rebuilder.ecosystems.generic.conventions import GenericConventions
from rebuilder.ecosystems.npm.conventions import NpmConventions
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.ecosystems.pypi.conventions import PyPIConventions
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Subject

ECOSYSTEMS: dict[str, Conventions] = {
    "deb": DebianConventions(),
    "generic": GenericConventions(),
    "npm": NpmConventions(),
    "pypi": PyPIConventions(),
}
DEFAULT = "pypi"
"""What schedules mean that name no ecosystem."""


def conventions(ecosystem: str) -> Conventions:
    """Those of one ecosystem; plain ones where stored reports name one that is not here."""
    known = ECOSYSTEMS.get(ecosystem)
    if known is None:
        known = Conventions()
        known.name = ecosystem
    return known


def distribution(ecosystem: str) -> str:
    """What programs that read packages of distributions call an ecosystem."""
    return conventions(ecosystem).distribution or ecosystem


def of_distribution(name: str) -> str:
    """The ecosystem that such programs call by a name."""
    return next((each for each in ECOSYSTEMS if distribution(each) == name), name)


def parse_subject(text: str, ecosystems: Mapping[str, Ecosystem]) -> Subject:
    """Read ``ecosystem:rest`` or a package URL and leave the rest to the ecosystem it names.

    Raises:
        UsageError: no such ecosystem, or the ecosystem cannot read the rest.
    """
    known = ", ".join(sorted(ecosystems))
    name, colon, rest = text.partition(":")
    if name == "pkg" and colon:
        kind = rest.lstrip("/").partition("/")[0].lower()
        if kind not in ecosystems:
            raise UsageError(f"The package type {kind!r} is not known.", hint=f"Known types: {known}.")
        return _as_asked(ecosystems[kind].parse(text), text)
    if not colon:
        raise UsageError(f"{text!r} does not say which ecosystem it belongs to.", hint="Write it like pypi:idna==3.10")
    if name.lower() not in ecosystems:
        raise UsageError(f"The ecosystem {name!r} is not known.", hint=f"Known ecosystems: {known}.")
    return _as_asked(ecosystems[name.lower()].parse(rest), text)


def _as_asked(subject: Subject, text: str) -> Subject:
    return subject.replace(asked=text)
