"""Build environments of somebody else's builds: by the digest of their tree, imported, or made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import ValidationError

from rebuilder.environments.catalog import why_not_made
from rebuilder.environments.protocol import BuildEnvironment, LayerPackage
from rebuilder.environments.record import PUBLISHED, Record
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import (
    BaseMissingError,
    BuildEnvironmentError,
    CorruptEnvironmentError,
    RebuilderError,
    UsageError,
)
from rebuilder.model.environment import Base, Specification
from rebuilder.model.value import Sha256
from rebuilder.replay.capsule import Capsule
from rebuilder.replay.inputs import FromDirectory, FromSite, Missing
from rebuilder.store.protocol import Blobs


@dataclass(frozen=True)
class BroughtEnvironments:
    """Brings build environments to this machine; where one comes from does not matter, since its tree has the digest.

    In this order: those that are here; the capsules; exports in the directories, ``TREE``, ``TREE.tar``; the capsule
    of the site; made again from the very packages, by the specification that the site has. What one lies over is
    brought before it.

    Args:
        store: Those of this machine.
        blobs: For exports that are fetched.
        capsules: That were named.
        directories: That were named.
        site: Of the report, if it is read from one.
        note: Told what takes long.
    """

    store: EnvironmentStore
    blobs: Blobs
    capsules: Sequence[Capsule] = ()
    directories: Sequence[FromDirectory] = ()
    site: FromSite | None = None
    note: Callable[[str], None] = lambda _: None
    packages: Callable[[Specification], Sequence[LayerPackage]] | None = None
    """Fetches what a specification has over its base; None: nothing is asked over the network."""
    _begun: set[str] = field(default_factory=set)

    def bring(self, tree: Sha256, name: str) -> Missing | None:
        """Make sure that a tree is here; say why it cannot be.

        Raises:
            CorruptEnvironmentError: the one that is here was modified.
            UsageError: a capsule was changed.
        """
        said = ""
        try:
            self.store.by_digest(tree)
        except CorruptEnvironmentError:
            raise
        except BuildEnvironmentError:
            said = self._brought(tree) or ""
        else:
            return None
        with suppress(BuildEnvironmentError):
            self.store.by_digest(tree)
            return None
        words = said or "No export of it is in the places that were asked, and the site has no specification of it."
        return Missing(what=f"the build environment {name}", sha256=tree, reason=words)

    def _brought(self, tree: Sha256) -> str | None:
        try:
            return self._found(tree)
        except BaseMissingError as missing:
            lacking = self._below(missing.sha256)
        return self._found(tree) if lacking is None else lacking

    def _below(self, base: str) -> str | None:
        """Bring what another one lies over, and which lies over nothing itself; give why it cannot be had."""
        if self._begun:
            return "What it lies over lies over another one."
        self.note(f"it lies over {base[:16]}, which comes first")
        self._begun.add(base)
        try:
            missing = self.bring(Sha256(base), "that it lies over")
        finally:
            self._begun.clear()
        return None if missing is None else f"It lies over {base}, which cannot be had: {missing.reason}"

    def _found(self, tree: Sha256) -> str | None:
        for capsule in self.capsules:
            if (layer := capsule.environments.get(tree)) is not None:
                self.note(f"importing {tree[:16]} from the capsule")
                with capsule.file(layer.sha256) as file:
                    self.store.import_from(file, capsule.place)
                return None
        for directory in self.directories:
            for path in directory.named(tree, f"{tree}.tar"):
                self.note(f"importing {path.name}")
                with suppress(UsageError):
                    self.store.import_(path)
                    return None
        return self._of_site(tree) if self.site is not None else None

    def _of_site(self, tree: Sha256) -> str | None:
        assert self.site is not None  # noqa: S101 - asked before
        said = []
        if (export := self.site.environment(tree)) is not None:
            self.note(f"fetching {tree[:16]} from the capsule of the site")
            said += [problem] if (problem := self.site.fetch(export, self.blobs)) is not None else []
            if self.blobs.has(export):
                self.store.import_(self.blobs.path(export))
                return None
        document = self.site.page.read_site(f"{PUBLISHED}/{tree}.json")
        if document is None:
            return " ".join(said) or None
        return " ".join([*said, problem]) if (problem := self._made(tree, document)) is not None else None

    def _made(self, tree: Sha256, document: bytes) -> str | None:
        """Make it from what a stranger says that it was made from; give why it cannot be."""
        try:
            record = Record.model_validate_json(document)
            wanted = record.specification
        except ValidationError:
            return "What the site says it was made from is not written as this version reads it."
        if (why := why_not_made(wanted)) is not None:
            return f"It is not made from its specification: {why}."
        self.note("making it from the packages that it had")
        try:
            made = self.store.get(wanted) if record.made.base is None else self._layered(record.made.base, wanted)
        except RebuilderError as error:
            return f"It cannot be made from its specification: {error}"
        return None if made.sha256 == tree else f"Made again from the same packages it is another tree, {made.sha256}."

    def _layered(self, base: Base, wanted: Specification) -> BuildEnvironment:
        if self.packages is None:
            raise BuildEnvironmentError("Its packages are asked for nowhere.")
        if (lacking := self._below(base.sha256)) is not None:
            raise BuildEnvironmentError(lacking)
        self.note(f"fetching {len(wanted.packages)} packages that lie over it")
        return self.store.layered(self.store.by_digest(base.sha256), self.packages(wanted), wanted.releases)
