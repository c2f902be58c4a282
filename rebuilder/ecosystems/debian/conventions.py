"""What holds for every Debian package and needs no archive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rebuilder.ecosystems.conventions import (
    Context,
    Conventions,
    NamedPackages,
    OpenFetcher,
    RegistryCheck,
    Settings,
    names_in,
)
from rebuilder.ecosystems.debian.diagnosis import BUILD_FILES, RULES, mended
from rebuilder.ecosystems.debian.installed import is_package_list, packages_in
from rebuilder.ecosystems.debian.subject import DOCUMENTS, ECOSYSTEM, NAMESPACE, is_pattern
from rebuilder.ecosystems.debian.version import is_version, order
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.errors import RebuilderError
from rebuilder.model.diagnosis import Cause
from rebuilder.model.project import Place
from rebuilder.model.provenance import Provenance
from rebuilder.provenance.checker import AttestationInput
from rebuilder.provenance.outcome import absent
from rebuilder.store.protocol import Blobs, Memo
from rebuilder.toml_files import FileError

if TYPE_CHECKING:
    from rebuilder.ecosystems.debian.archive import DebianArchive

_AR = b"!<arch>\n"


class DebianConventions(Conventions):
    """Names and versions by Debian Policy; mirrors, suites and keys by apt's settings."""

    name = ECOSYSTEM
    title = "Debian"
    distribution = NAMESPACE
    source_words = "source package"
    told_time = "dpkg-buildpackage told it the time of the newest entry of debian/changelog (SOURCE_DATE_EPOCH)."
    local_files = {".deb": "package", ".udeb": "package"}
    local_documents = DOCUMENTS
    project_files = ("debian/changelog",)
    released_files = (".deb",)
    build_files = BUILD_FILES
    rules = RULES
    is_name = staticmethod(is_pattern)
    is_version = staticmethod(is_version)
    version_key = staticmethod(order)

    def open(self, context: Context) -> Ecosystem:
        """See :meth:`rebuilder.ecosystems.conventions.Conventions.open`; apt's settings are read when asked for."""
        from rebuilder.ecosystems.debian.context import PlanningContext
        from rebuilder.ecosystems.debian.ecosystem import Debian
        from rebuilder.environments.catalog import catalog

        memo = context.memo(self.name)
        return Debian(
            PlanningContext(
                open_archive=partial(
                    apt_archive, context.settings, context.blobs, context.fetcher, context.ca_bundle, memo
                ),
                blobs=context.blobs,
                programs=context.programs,
                here=context.run,
                environments=context.environments,
                memo=memo,
                max_file_bytes=context.settings.download_bytes,
                sandbox=context.settings.sandbox,
                releases=tuple(each.suite for each in catalog().values() if each.configured),
            )
        )

    def check_attestations(self, given: AttestationInput) -> Provenance | None:
        """Packages have no statements of their own."""
        if given.document is not None:
            return super().check_attestations(given)
        return absent("Debian's archive signs its lists, and a list has this package; see “What was published”.")

    def tells_time(self, texts: Mapping[str, str]) -> bool:
        """``dpkg-buildpackage`` does."""
        return True

    def mended(
        self, cause: Cause, found: Sequence[Place], texts: Mapping[str, str], lacking: Sequence[str]
    ) -> dict[str, str]:
        """See :func:`rebuilder.ecosystems.debian.diagnosis.mended`."""
        return mended(cause, found, texts)

    def file_words(self, filename: str) -> str:
        """All of them are packages."""
        return "package"

    def local_problem(self, head: bytes) -> str | None:
        """See :meth:`rebuilder.ecosystems.conventions.Conventions.local_problem`."""
        return None if head.startswith(_AR) else "no ar archive, as packages are"

    def collect(self, path: Path, text: str, named: NamedPackages) -> None:
        """Take the packages and versions of a list that dpkg or apt wrote, or the names in a list of names."""
        if not is_package_list(text):
            names_in(path, text, named)
            return
        for each in packages_in(path, text):
            try:
                named.add(each.name, each.version)
            except ValueError as error:
                raise FileError(path, f"This line cannot be used: {error}.", each.line) from None

    def check_registry(self, settings: Settings) -> Sequence[RegistryCheck]:
        """Say which archives they are; without them everything else can be rebuilt."""
        from rebuilder.ecosystems.debian.archive import AptSettings
        from rebuilder.environments.sources import without_password

        try:
            found = dict.fromkeys(without_password(each.uri) for each in AptSettings.here().of(None))
        except RebuilderError as error:
            return [RegistryCheck(name=self.name, message=str(error))]
        lacking = (
            "" if shutil.which("gpgv") else " Their signatures cannot be checked without gpgv: apt-get install gpgv."
        )
        return [RegistryCheck(name=self.name, message=f"Debian packages are taken from {', '.join(found)}.{lacking}")]


def apt_archive(
    given: Settings,
    blobs: Blobs,
    open_fetcher: OpenFetcher,
    ca_bundle: Path | None = None,
    memo: Memo | None = None,
) -> DebianArchive:
    """Debian's archive, as the settings of apt and of this program name it.

    Raises:
        UsageError: apt's settings cannot be understood.
    """
    from rebuilder.ecosystems.debian.archive import AptSettings, DebianArchive
    from rebuilder.ecosystems.debian.kept_lists import KeptLists
    from rebuilder.ecosystems.debian.snapshot import Snapshot
    from rebuilder.network.http.address import Credentials

    settings = AptSettings.here()
    environment = {**os.environ, **settings.proxies}
    fetcher = open_fetcher(settings.ca_bundle or ca_bundle, Credentials(), environment)
    for each in settings.archives:
        fetcher.admit(each.uri)
    place = given.debian.snapshot_url
    if place is not None and not place.startswith("/"):
        fetcher.admit(place)
    return DebianArchive(
        settings,
        fetcher,
        blobs,
        KeptLists(given.store / "debian"),
        memo=memo,
        snapshot=Snapshot(place, fetcher, blobs) if place is not None else None,
        accept_expired=given.environments.accept_expired,
    )
