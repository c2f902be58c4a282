"""A resolver that knows a handful of releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import Pin, Resolution
from rebuilder.model.value import Sha256
from tests.fakes.projects import Distribution


@dataclass(frozen=True)
class _Release:
    pin: Pin
    uploaded: datetime
    requires: tuple[str, ...]


class FakeResolver:
    """A :class:`network.protocol.Resolver`: takes the newest that fits, project by project, no backtracking."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, ...]] = []
        self.down = False
        """True: as if the index did not answer."""
        self._releases: dict[str, list[_Release]] = {}

    def add(
        self, distribution: Distribution, *, uploaded: datetime, url: str | None = None, requires: Sequence[str] = ()
    ) -> None:
        """Know a wheel; ``requires`` are its own requirements."""
        pin = Pin(
            name=canonicalize_name(distribution.project),
            version=distribution.filename.split("-")[1],
            filename=distribution.filename,
            url=url or f"https://example.org/{distribution.filename}",
            sha256=Sha256(distribution.sha256),
        )
        self._releases.setdefault(pin.name, []).append(_Release(pin, uploaded, tuple(requires)))

    def resolve(
        self,
        requirements: Sequence[str],
        *,
        python_version: str,
        not_after: datetime,
    ) -> Resolution:
        """See :meth:`rebuilder.network.protocol.Resolver.resolve`."""
        self.questions.append(tuple(requirements))
        if self.down and requirements:
            raise UnavailableError("The index does not answer.")
        environment = {"python_version": python_version, "python_full_version": f"{python_version}.0"}
        chosen: dict[str, Pin] = {}
        try:
            waiting = [Requirement(each) for each in requirements]
        except InvalidRequirement as error:
            return Resolution(problem=f"A requirement is malformed: {error}.")
        asked = list(waiting)
        while waiting:
            requirement = waiting.pop(0)
            if requirement.url is not None:
                return Resolution(problem=f"{requirement} names an address.")
            if requirement.marker is not None and not requirement.marker.evaluate({**environment, "extra": ""}):
                continue
            release = self._newest(requirement, asked, not_after)
            if release is None:
                return Resolution(
                    problem=f"No release of {requirement.name} before {not_after} satisfies {requirement}."
                )
            if release.pin.name not in chosen:
                chosen[release.pin.name] = release.pin
                waiting += [Requirement(each) for each in release.requires]
        return Resolution(pins=tuple(chosen[name] for name in sorted(chosen)))

    def _newest(self, wanted: Requirement, bounds: list[Requirement], not_after: datetime) -> _Release | None:
        name = canonicalize_name(wanted.name)
        specifiers = [each.specifier for each in (wanted, *bounds) if canonicalize_name(each.name) == name]
        fitting = [
            each
            for each in self._releases.get(name, [])
            if each.uploaded < not_after and all(each.pin.version in specifier for specifier in specifiers)
        ]
        return max(fitting, key=lambda each: Version(each.pin.version), default=None)
