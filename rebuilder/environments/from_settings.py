"""The build environments of the catalog together with those that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rebuilder.clock import Clock
from rebuilder.environments.catalog import bases, catalog, find, with_compilers
from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.environments.interpreter import Base, make
from rebuilder.environments.maintainer_scripts import AsRoot
from rebuilder.environments.store import EnvironmentStore, Maker, Report
from rebuilder.errors import UsageError
from rebuilder.model.environment import Made, Manifest
from rebuilder.model.settings import DescribedEnvironment, EnvironmentSettings, InterpreterSettings

READ_WHOLE: dict[str, str] = {}
"""Fingerprint by place, of the trees that this process has read from end to end."""


def environment_store(
    root: Path,
    clock: Clock,
    *,
    settings: EnvironmentSettings | None = None,
    interpreters: Mapping[str, InterpreterSettings] | None = None,
    report: Report | None = None,
    maker: Maker | None = None,
    as_root: AsRoot | None = None,
) -> EnvironmentStore:
    """The build environments of one machine.

    An interpreter ``x`` gives the build environments ``x`` and ``x-git``; without ``as_root`` nothing configured is
    made.

    Raises:
        UsageError: the settings give a name twice, or a base that cannot be one.
    """
    settings = settings or EnvironmentSettings()
    own = manifests(settings, interpreters or {})
    debian = maker or Mmdebstrap(accept_expired=settings.accept_expired, now=clock.now, as_root=as_root)

    def specs(name: str) -> Manifest:
        return own[name] if name in own else find(name)

    def base(name: str) -> Base:
        environment = store.get(name)
        return Base(environment, store.record(environment.sha256).made)

    def make_one(spec: Manifest, place: Path) -> Made:
        return debian(spec, place) if spec.interpreter is None else make(spec.name, spec.interpreter, base, place)

    store = EnvironmentStore(
        root, clock, report=report, maker=make_one, specs=specs, read_whole=READ_WHOLE, as_root=as_root
    )
    return store


def compilers(settings: EnvironmentSettings) -> tuple[Manifest, ...]:
    """Those that have GCC: the user's own first, then those of the catalog unless the settings say that none is made.

    Raises:
        UsageError: see :func:`environment_store`.
    """
    shipped = catalog().values() if settings.compilers else ()
    return with_compilers((*manifests(settings, {}).values(), *shipped))


def manifests(settings: EnvironmentSettings, interpreters: Mapping[str, InterpreterSettings]) -> dict[str, Manifest]:
    """What the settings describe, by name.

    Raises:
        UsageError: see :func:`environment_store`.
    """
    own: dict[str, Manifest] = {}
    for table, given in (("environments", settings.described), ("interpreters", interpreters)):
        for name, each in given.items():
            if name in catalog() or name in own:
                raise UsageError(f"The setting '{table}.{name}' is wrong: a build environment has that name already.")
            if each.base not in bases():
                raise UsageError(
                    f"The setting '{table}.{name}.base' is wrong: {each.base[:60]!r} is none of {', '.join(bases())}."
                )
            own |= _described(name, each) if isinstance(each, DescribedEnvironment) else _with_python(name, each)
    return own


def _described(name: str, given: DescribedEnvironment) -> dict[str, Manifest]:
    base = find(given.base)
    essential = {"?essential"} if given.configured else set()
    packages = tuple(sorted({*base.packages, *given.packages, *essential}))
    prune = (*base.prune, *given.prune)
    return {name: base.replace(name=name, packages=packages, configured=given.configured, prune=prune)}


def _with_python(name: str, given: InterpreterSettings) -> dict[str, Manifest]:
    found = {}
    for suffix in ("", "-git"):
        base = find(f"{given.base}{suffix}")
        python = given.replace(base=base.name)
        found[f"{name}{suffix}"] = base.replace(
            name=f"{name}{suffix}", provides={"python": given.version}, interpreter=python
        )
    return found
