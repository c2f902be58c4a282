"""How a project in a work tree is built: its source archive, and its wheel out of that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from packaging.utils import canonicalize_name

from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.obstacles import inputs_missing
from rebuilder.ecosystems.pypi.build_environment import resolve_requirements
from rebuilder.ecosystems.pypi.build_inputs import (
    SDIST_TARGET,
    WHEEL_TARGET,
    BuildConditions,
    BuildInputs,
    build_definition,
    project_definition,
)
from rebuilder.ecosystems.pypi.commit_hypotheses import asks_git
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.evidence import texts_below
from rebuilder.ecosystems.pypi.hypotheses import starting_inputs
from rebuilder.ecosystems.pypi.interpreter_choice import PYTHON_2, Interpreter, choose
from rebuilder.ecosystems.pypi.requirements import Requirements, read_build_system
from rebuilder.ecosystems.pypi.sdist_configuration import named_project
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM, release_purl
from rebuilder.ecosystems.source_trees import CheckedOut, SourceOrigin, Unpacked
from rebuilder.errors import UnavailableError
from rebuilder.foreign_words import read_toml
from rebuilder.model.artifact import Artifact, PublishedFile, Resolution
from rebuilder.model.attempt import Hypothesis
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.model.project import Project, ProjectTree
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.network.protocol import Resolver
from rebuilder.store.protocol import Memo

_TREE = "/inputs/project.tar"
_VERSION = "0"
"""Stands where one is needed and none is known yet."""
_FRESH = timedelta(days=1)
_COMPILED = re.compile(r".+\.(?:c|cc|cpp|cxx|pyx)")
_COMPILES = re.compile(r"ext[-_]modules|\bExtension\(|cffi_modules|cythoni[sz]e|scikit[-_]build|\bmeson")


def project_builds(context: PlanningContext, tree: ProjectTree, index: str) -> Project:
    """How the project of a work tree is built today; nothing is built, but its backend is asked what it requires.

    Raises:
        NotRebuildable: nothing says how, or what it asks for cannot be had.
        UnavailableError, SandboxFaultError, …: see the ports.
    """
    archive = Input(role=Role.SOURCE, name=f"{tree.name}.tar", sha256=tree.archive_sha256, path=_TREE)
    [listing] = inspect(context, [archive], texts=texts_below(tree.top))
    texts = {name.removeprefix(f"{tree.top}/"): text for name, text in listing.texts.items()}
    if not texts.keys() & {"pyproject.toml", "setup.py", "setup.cfg"}:
        raise inputs_missing(f"{tree.name} has neither pyproject.toml nor setup.py nor setup.cfg.")
    system = read_build_system(texts.get("pyproject.toml"))
    named = _name(texts)
    name = canonicalize_name(named or tree.name)
    now = datetime.now(UTC)
    requires_python = _project(texts).get("requires-python")
    [interpreter, *_] = choose(
        requires_python if isinstance(requires_python, str) else None,
        now,
        interpreters=[each for each in context.interpreters if each.python != PYTHON_2],
    )
    origin: SourceOrigin = Unpacked(archive, top=tree.top)
    environment = interpreter.environment
    asked = asks_git(text for name, text in texts.items() if name != "PKG-INFO")
    if asked and tree.commit is not None and tree.checkout is not None:
        origin, environment = CheckedOut.of(tree.checkout, top=tree.top), f"{environment}-git"
    elif _COMPILES.search("\n".join(texts.values())) and any(map(_COMPILED.fullmatch, tree.files)):
        having = (each.name for each in context.compilers if each.provides.get("python") == interpreter.python)
        environment = next(having, environment)
    artifact = _artifact(name, tree)
    source = Source(kind=SourceKind.ARCHIVE, uri=f"file:{tree.name}", digest={"sha256": tree.archive_sha256})
    build_inputs = starting_inputs(context, artifact, source, origin, environment=environment)
    build_inputs = replace(build_inputs, system=system)
    resolver = _Remembering(context.resolver, context.memo, index, now)
    context = replace(context, resolver=resolver)
    requirements = Requirements(tuple(map(str, system.requires)), None)
    build_inputs, notes = resolve_requirements(
        context, build_inputs, requirements, python=interpreter.python, not_after=now
    )
    return _project_of(name if named else tree.name, tree, build_inputs, interpreter, (*notes, *resolver.notes))


def _project_of(
    name: str, tree: ProjectTree, build_inputs: BuildInputs, interpreter: Interpreter, notes: tuple[str, ...]
) -> Project:
    conditions = BuildConditions(source_date_epoch=tree.seconds, epoch_is_recorded=False)
    backend = build_inputs.system.backend.partition(":")[0]
    about = f"Built with {backend} on Python {interpreter.python}."
    together = project_definition(build_inputs, conditions)
    return Project(
        name=name,
        purl=build_inputs.purl,
        hypotheses=(
            Hypothesis(name="sdist", sentence=about, definition=together, filename=SDIST_TARGET),
            Hypothesis(name="wheel", sentence=about, definition=together, filename=WHEEL_TARGET),
        ),
        directly=Hypothesis(
            name="wheel-from-tree", sentence=about, definition=build_definition(build_inputs, conditions)
        ),
        notes=tuple(dict.fromkeys(notes)),
    )


def _artifact(name: str, tree: ProjectTree) -> Artifact:
    file = PublishedFile(filename=WHEEL_TARGET, url=f"file:{WHEEL_TARGET}", sha256=tree.archive_sha256)
    return Artifact(ecosystem=ECOSYSTEM, purl=release_purl(name, _VERSION), name=name, version=_VERSION, file=file)


def _project(texts: Mapping[str, str]) -> Mapping[str, Any]:
    """The table ``[project]``; an empty one where there is none. The build system was read before, so it is TOML."""
    table = read_toml(texts["pyproject.toml"]).get("project") if "pyproject.toml" in texts else None
    return table if isinstance(table, dict) else {}


def _name(texts: Mapping[str, str]) -> str | None:
    found = (named_project(file, texts[file]) for file in ("pyproject.toml", "setup.cfg", "setup.py") if file in texts)
    return next(filter(None, found), None)


class _Remembering:
    """A resolver that answers from what it said within a day, or before, where the index does not answer."""

    def __init__(self, resolver: Resolver, memo: Memo, index: str, now: datetime) -> None:
        self._resolver = resolver
        self._memo = memo
        self._index = index
        self._now = now
        self.notes: list[str] = []

    def resolve(self, requirements: Sequence[str], *, python_version: str, not_after: datetime) -> Resolution:
        """See :class:`rebuilder.network.protocol.Resolver`."""
        asked = {"project-requirements": sorted(set(requirements)), "python": python_version, "index": self._index}
        key = sha256_hex(canonical_json(asked))
        known = self._memo.get(key)
        moment = datetime.fromisoformat(known["at"]) if known is not None else None
        if known is not None and moment is not None and self._now - moment < _FRESH:
            return Resolution.model_validate(known["resolution"])
        try:
            found = self._resolver.resolve(requirements, python_version=python_version, not_after=not_after)
        except UnavailableError:
            if known is None or moment is None:
                raise
            self.notes.append(
                f"The index does not answer: build dependencies are those of {moment:%Y-%m-%d %H:%M} UTC."
            )
            return Resolution.model_validate(known["resolution"])
        if found.problem is None:
            self._memo.put(key, {"at": self._now.isoformat(), "resolution": found.document()})
        return found
