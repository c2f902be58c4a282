"""The build environments of the catalog together with those that the settings describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rebuilder.clock import Clock
from rebuilder.environments.catalog import bases, catalog, find, variants
from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.environments.interpreter import Base, make
from rebuilder.environments.store import EnvironmentStore, Maker, Report
from rebuilder.errors import UsageError
from rebuilder.model.environment import Made, Manifest
from rebuilder.model.settings import EnvironmentSettings, InterpreterSettings


def configured_environments(
    root: Path,
    clock: Clock,
    *,
    settings: EnvironmentSettings | None = None,
    interpreters: Mapping[str, InterpreterSettings] | None = None,
    report: Report | None = None,
    maker: Maker | None = None,
) -> EnvironmentStore:
    """The build environments of one machine; an interpreter ``x`` gives the build environments ``x`` and ``x-git``.

    Args:
        root: Directory to keep them in.
        clock: See :class:`rebuilder.environments.store.EnvironmentStore`.
        settings: How they are made.
        interpreters: Pythons of the user's own, by name.
        report: Told what takes long.
        maker: Makes those of the catalog; mmdebstrap when None.

    Raises:
        UsageError: an interpreter has the name of a build environment, or a base that cannot be one.
    """
    _check(interpreters or {})
    own = {each.name: each for each in _manifests(interpreters or {})}
    debian = maker or Mmdebstrap(accept_expired=(settings or EnvironmentSettings()).accept_expired, now=clock.now)

    def specs(name: str) -> Manifest:
        return own[name] if name in own else find(name)

    def base(name: str) -> Base:
        environment = store.get(name)
        return Base(environment, store.record(environment.sha256).made)

    def make_one(spec: Manifest, place: Path) -> Made:
        return debian(spec, place) if spec.interpreter is None else make(spec.name, spec.interpreter, base, place)

    store = EnvironmentStore(root, clock, report=report, maker=make_one, specs=specs)
    return store


def _manifests(given: Mapping[str, InterpreterSettings]) -> Iterator[Manifest]:
    for name, each in given.items():
        for suffix in ("", *(f"-{kind}" for kind in variants())):
            base = find(f"{each.base}{suffix}")
            python = each.replace(base=base.name)
            yield base.replace(name=f"{name}{suffix}", provides={"python": each.version}, interpreter=python)


def _check(given: Mapping[str, InterpreterSettings]) -> None:
    for name, each in given.items():
        if name in catalog():
            raise UsageError(f"The setting 'interpreters.{name}' is wrong: a build environment has that name already.")
        if each.base not in bases():
            raise UsageError(
                f"The setting 'interpreters.{name}.base' is wrong: {each.base[:60]!r} is none of {', '.join(bases())}."
            )
