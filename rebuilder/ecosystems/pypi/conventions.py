"""What is so of every release on a Python package index, known without asking it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name, canonicalize_version

from rebuilder.ecosystems.conventions import Context, Conventions, NamedPackages, RegistryCheck, Settings
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.ecosystems.pypi.diagnosis import BUILD_FILES, RULES, mended, places, tells_time
from rebuilder.ecosystems.pypi.subject import version_of
from rebuilder.errors import RebuilderError
from rebuilder.model.provenance import Provenance
from rebuilder.provenance.checker import AttestationInput

_NAME = re.compile(r"[A-Za-z0-9*?](?:[A-Za-z0-9._*?-]*[A-Za-z0-9*?])?", re.ASCII)

_IS_BUILT = re.compile(r"^\s*\[\s*(?:build-system|project|tool\.(?:poetry|flit|pdm|hatch))\b", re.MULTILINE)


class PyPIConventions(Conventions):
    """Names by PEP 503, versions by PEP 440, attestations by PEP 740."""

    name = "pypi"
    title = "PyPI"
    attested = True
    lock_suffixes = frozenset({".toml", ".lock"})
    local_files = {".whl": "wheel"}
    project_files = ("pyproject.toml", "setup.py", "setup.cfg")
    released_files = (".tar.gz", ".whl")
    build_files = BUILD_FILES
    rules = RULES
    canonical_name = staticmethod(canonicalize_name)
    tells_time = staticmethod(tells_time)
    places = staticmethod(places)
    mended = staticmethod(mended)

    def open(self, context: Context) -> Ecosystem:
        """See :meth:`rebuilder.ecosystems.conventions.Conventions.open`."""
        from uv import find_uv_bin

        from rebuilder.ecosystems.pypi.context import PlanningContext
        from rebuilder.ecosystems.pypi.ecosystem import PyPI
        from rebuilder.ecosystems.pypi.interpreter_choice import with_configured
        from rebuilder.ecosystems.pypi.settings import index_settings
        from rebuilder.environments.from_settings import compilers
        from rebuilder.environments.uv_tool import uv_input
        from rebuilder.network.http.address import Credentials
        from rebuilder.network.resolver import UvResolver, UvSettings

        settings = context.settings
        index, credentials = index_settings(settings.index_url), Credentials()
        fetcher = context.fetcher(index.ca_bundle, credentials)
        for each in (fetcher, context.reach):
            each.admit(index.index_url)
        resolver = UvResolver(
            UvSettings(
                index_url=index.index_url,
                binary=Path(find_uv_bin()),
                cache_directory=settings.store / "cache" / "uv",
                ca_bundle=index.ca_bundle,
                reach=context.reach,
                credentials=credentials,
            ),
            context.memo("resolution"),
        )
        planning = PlanningContext(
            fetcher=fetcher,
            blobs=context.blobs,
            programs=context.programs,
            run=context.run,
            resolver=resolver,
            environments=context.environments,
            uv_input=partial(uv_input, context.blobs, settings.store / "cache"),
            memo=context.memo(self.name),
            max_file_bytes=settings.download_bytes,
            sandboxes=context.sandboxes,
            sandbox=settings.sandbox,
            clock=settings.clock,
            interpreters=with_configured(settings.interpreters),
            compilers=compilers(settings.environments),
            images=settings.environments.images,
        )
        return PyPI(index.index_url, planning)

    def is_project(self, directory: Path) -> bool:
        """Not where ``pyproject.toml`` is only there for the settings of tools."""
        if any((directory / name).is_file() for name in ("setup.py", "setup.cfg")):
            return True
        try:
            text = (directory / "pyproject.toml").read_text("utf-8", "replace")
        except OSError:
            return False
        return _IS_BUILT.search(text) is not None

    def is_name(self, text: str) -> bool:
        """See :meth:`rebuilder.ecosystems.conventions.Conventions.is_name`."""
        return len(text) <= 214 and _NAME.fullmatch(text) is not None

    def canonical_version(self, version: str) -> str:
        """One text for ``2.0``, ``2.00`` and ``2``, which PEP 440 calls the same."""
        found = version_of(version)
        return version if found is None else canonicalize_version(found)

    def version_key(self, version: str) -> Any:
        """The order of PEP 440; what is no such version comes before all that are."""
        found = version_of(version)
        return (0, super().version_key(version)) if found is None else (1, found)

    def is_version(self, text: str) -> bool:
        """Whether PEP 440 knows it."""
        return version_of(text) is not None

    def collect(self, path: Path, text: str, named: NamedPackages) -> None:
        """See :func:`rebuilder.ecosystems.pypi.package_lists.collect`."""
        from rebuilder.ecosystems.pypi.package_lists import collect

        collect(path, text, named)

    def local_problem(self, head: bytes) -> str | None:
        """A wheel is a ZIP archive."""
        return None if head.startswith(b"PK") else "no ZIP archive"

    def ca_bundle(self, settings: Settings) -> Path | None:
        """What pip or uv is told to trust."""
        from rebuilder.ecosystems.pypi.settings import index_settings

        return index_settings(settings.index_url).ca_bundle

    def check_registry(self, settings: Settings) -> Sequence[RegistryCheck]:
        """Say which index it is, and whether it answers."""
        from rebuilder.ecosystems.pypi.settings import index_settings
        from rebuilder.ecosystems.pypi.simple_index import ask_index
        from rebuilder.environments.sources import without_password

        told = ""
        try:
            index = index_settings(settings.index_url)
            origins = [index.origin, *([index.ca_origin] if index.ca_origin else [])]
            told = f"{' '.join([f'Releases are read from {without_password(index.index_url)}.', *origins])} "
            return [RegistryCheck(name="index", message=told + ask_index(index.index_url, index.ca_bundle))]
        except RebuilderError as error:
            return [RegistryCheck(name="index", message=f"{told}{error}", ok=False, fix=error.hint)]

    def file_words(self, filename: str) -> str:
        """A wheel, or a source archive."""
        if filename.endswith(".whl"):
            return "wheel"
        return "source archive" if filename.endswith((".zip", ".tar.gz", ".tar.bz2", ".tar.xz")) else "published file"

    def file_kind(self, filename: str) -> str:
        """Wheels for any machine are made in another way than those for one."""
        kind = super().file_kind(filename)
        return f"any.{kind}" if filename.endswith("-any.whl") else kind

    def architecture(self, filename: str) -> str:
        """The tags of a wheel, with its build number; ``source`` and the ending for a source archive."""
        if filename.endswith(".whl"):
            return "-".join(filename.removesuffix(".whl").split("-")[2:])
        return f"source.{super().file_kind(filename).removeprefix('.')}"

    def check_attestations(self, given: AttestationInput) -> Provenance | None:
        """See :func:`rebuilder.provenance.pypi.pypi.verify_pypi`."""
        from rebuilder.provenance.pypi.pypi import verify_pypi

        if given.document is None:
            return None
        artifact = given.artifact
        return verify_pypi(given.document, artifact.filename, artifact.sha256, given.trust(), now=given.now)
