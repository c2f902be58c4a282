"""What holds for every release on an npm registry and needs no registry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rebuilder.ecosystems.conventions import Context, Conventions, RegistryCheck, Settings
from rebuilder.ecosystems.npm.diagnosis import BUILD_FILES, RULES
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, is_version, precedence
from rebuilder.ecosystems.npm.tarball import MANIFEST, read_manifest
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.errors import RebuilderError, StoreError
from rebuilder.model.provenance import Provenance
from rebuilder.provenance.checker import AttestationInput

if TYPE_CHECKING:
    from rebuilder.ecosystems.npm.registry import Access

_NAME = re.compile(r"(?:@[A-Za-z0-9~*?-][A-Za-z0-9._~*?-]*/)?[A-Za-z0-9~*?-][A-Za-z0-9._~*?-]*", re.ASCII)


class NpmConventions(Conventions):
    """Names with scopes, Semantic Versioning 2.0.0, attestations and signatures of the registry."""

    name = ECOSYSTEM
    attested = True
    lock_suffixes = frozenset({".json", ".lock", ".yaml"})
    project_files = ("package.json",)
    released_files = (".tgz",)
    build_files = BUILD_FILES
    rules = RULES
    is_version = staticmethod(is_version)

    def open(self, context: Context) -> Ecosystem:
        """See :meth:`rebuilder.ecosystems.conventions.Conventions.open`; npm's own settings are read when asked for."""
        from rebuilder.ecosystems.npm.context import PlanningContext
        from rebuilder.ecosystems.npm.ecosystem import Npm
        from rebuilder.ecosystems.npm.registry import NpmRegistry

        memo = context.memo(self.name)
        registry = NpmRegistry(
            partial(_access, context), blobs=context.blobs, memo=memo, max_file_bytes=context.settings.download_bytes
        )
        return Npm(
            PlanningContext(
                registry=registry,
                blobs=context.blobs,
                programs=context.programs,
                run=context.run,
                environments=context.environments,
                memo=memo,
                sandbox=context.settings.sandbox,
            )
        )

    def is_project(self, directory: Path) -> bool:
        """Not where package.json is only there for tools: npm publishes nothing that is private."""
        try:
            found = read_manifest((directory / MANIFEST).read_text("utf-8", "replace"))
        except OSError:
            return False
        return found is None or not found.get("private")

    def file_words(self, filename: str) -> str:
        """What npm publishes are tarballs."""
        return "tarball"

    def is_name(self, text: str) -> bool:
        """See :meth:`rebuilder.ecosystems.conventions.Conventions.is_name`."""
        return len(text) <= 214 and _NAME.fullmatch(text) is not None

    def version_key(self, version: str) -> Any:
        """The order of Semantic Versioning; what is no such version comes before all that are."""
        return (1, precedence(version)) if is_version(version) else (0, super().version_key(version))

    def check_registry(self, settings: Settings) -> Sequence[RegistryCheck]:
        """Say which registry it is; without npm's settings everything else can be rebuilt."""
        from rebuilder.ecosystems.npm.settings import NpmSettings

        try:
            return [RegistryCheck(name=self.name, message=NpmSettings().registry().origin)]
        except RebuilderError as error:
            return [RegistryCheck(name=self.name, message=f"{error} Only npm packages need one.")]

    def check_attestations(self, given: AttestationInput) -> Provenance | None:
        """See :func:`rebuilder.provenance.npm.npm.verify_npm`."""
        from rebuilder.provenance.npm.npm import verify_npm
        from rebuilder.store.blobs import sha512_of

        if given.document is None and not given.signatures:
            return None
        artifact = given.artifact
        if (sha512 := sha512_of(given.blobs, artifact.sha256)) is None:
            raise StoreError(f"The tarball {artifact.filename} is not in the store.")
        return verify_npm(
            given.document,
            artifact.name,
            artifact.version,
            sha512,
            given.trust(),
            signatures=given.signatures,
            published=artifact.file.uploaded,
            now=given.now,
        )


def _access(context: Context) -> Access:
    """Settings and network for npm registries.

    Raises:
        UsageError: npm's settings cannot be understood.
    """
    from rebuilder.ecosystems.npm.registry import Access
    from rebuilder.ecosystems.npm.settings import NpmSettings, Registry
    from rebuilder.network.http.address import Credentials

    settings, credentials = NpmSettings(), Credentials()
    fetcher = context.fetcher(settings.ca_bundle or context.ca_bundle, credentials)

    def admit(registry: Registry) -> None:
        fetcher.admit(registry.url)
        if registry.grant is not None:
            credentials.grant(registry.grant.prefix, registry.grant.header)

    return Access(settings, fetcher, admit)
