"""What holds for every release of one ecosystem and needs no registry: names, order of versions, files, words.

An ecosystem has two sides. Its conventions are pure and cheap; there is one value of them for the whole program, in
:data:`rebuilder.ecosystems.registry.ECOSYSTEMS`. The other side, :class:`rebuilder.ecosystems.protocol.Ecosystem`,
talks to registries and plans builds; :meth:`Conventions.open` makes it from what :class:`Context` offers.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from rebuilder.diagnose.case import EcosystemRules
from rebuilder.ecosystems.places import lines_of
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.environments.protocol import Environments
from rebuilder.model.diagnosis import Cause
from rebuilder.model.project import Place
from rebuilder.model.provenance import Provenance, ProvenanceStatus
from rebuilder.model.settings import DebianSettings, EnvironmentSettings, InterpreterSettings
from rebuilder.model.value import Value, sha256_hex
from rebuilder.network.http.address import Credentials
from rebuilder.network.http.fetcher import HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.provenance.checker import AttestationInput
from rebuilder.sandbox.protocol import Programs, Runner
from rebuilder.store.protocol import Blobs, Memo
from rebuilder.toml_files import FileError, Remark, logical_lines, read_text

_LONGEST_NAME = 214
_NAME = re.compile(r"[A-Za-z0-9*?](?:[A-Za-z0-9._+*?/-]*[A-Za-z0-9*?])?", re.ASCII)


class Settings(Protocol):
    """The settings that ecosystems look at; :class:`rebuilder.config.Config` has them."""

    @property
    def store(self) -> Path: ...  # noqa: D102
    @property
    def index_url(self) -> str | None: ...  # noqa: D102
    @property
    def download_bytes(self) -> int: ...  # noqa: D102
    @property
    def sandbox(self) -> Literal["bubblewrap", "uml"]: ...  # noqa: D102
    @property
    def clock(self) -> Literal["archive", "kernel"]: ...  # noqa: D102
    @property
    def interpreters(self) -> Mapping[str, InterpreterSettings]: ...  # noqa: D102
    @property
    def environments(self) -> EnvironmentSettings: ...  # noqa: D102
    @property
    def debian(self) -> DebianSettings: ...  # noqa: D102


class OpenFetcher(Protocol):
    """Opens a way to the network."""

    def __call__(
        self, ca_bundle: Path | None, credentials: Credentials, environment: Mapping[str, str] | None = None
    ) -> HttpFetcher:
        """Nothing is asked yet.

        Args:
            ca_bundle: Certificates to trust instead of the machine's own.
            credentials: User names and passwords.
            environment: Where proxies are looked for; None: this process's own variables.
        """
        ...


@dataclass(frozen=True)
class Context:
    """What an ecosystem may use; made once for all of them, see ``rebuilder.wiring``."""

    settings: Settings
    blobs: Blobs
    programs: Programs
    run: Runner
    here: Runner
    """Runs on this machine, whoever builds: for what decides what is built, where another one could lie."""
    environments: Environments
    sandboxes: frozenset[str]
    """Kinds that ``run`` has."""
    memo: Callable[[str], Memo]
    """What was worked out before, by kind: the name of the ecosystem, and what else it keeps."""
    fetcher: OpenFetcher
    """Opens a way to the network."""
    reach: Reach
    ca_bundle: Path | None
    """Certificates that an ecosystem trusts where its own settings name none."""
    closing: ExitStack
    """Closed when the program ends."""


class RegistryCheck(Value):
    """What a look at an ecosystem's settings, and at its registry, said."""

    name: str
    message: str
    ok: bool = True
    fix: str | None = None
    """What to do about it, as a sentence."""


class Conventions:
    """The defaults are those of an ecosystem with plain names, plain versions and nothing attested."""

    name: str
    """Before the colon in a subject, and the purl type: ``pypi``."""
    title: str | None = None
    """What readers call it, where that is not :attr:`name`: ``PyPI``."""
    distribution: str | None = None
    """What programs that read packages of distributions call it, where that is not :attr:`name`."""
    source_words = "source archive"
    """What files are built from that is published beside them."""
    told_time: str | None = None
    """Which time its builds are told where no definition says one, as a sentence; None: that of the machine."""
    attested = False
    """Whether its releases can be attested, so that something can be expected of their publishers."""
    lock_suffixes: frozenset[str] = frozenset()
    """What the names of its lock files end in; other files that name packages are lists."""
    local_files: Mapping[str, str] = {}
    """Ending of published files that may be named by their path on disk, to what such a file is called."""
    local_documents: Mapping[str, str] = {}
    """The same for files that name published ones; see :meth:`rebuilder.ecosystems.protocol.Ecosystem.named_in`."""
    project_files: tuple[str, ...] = ()
    """Files at the top of a tree that say that it is a project of this ecosystem."""
    released_files: tuple[str, ...] = ()
    """Endings of the files that a project of it publishes."""
    build_files: re.Pattern[str] = re.compile(r"(?!)")
    """Paths of files of a project that say how it is built and released, or are run for it."""
    rules = EcosystemRules()
    """What is known of the causes of differences, beyond the general rules."""

    def open(self, context: Context) -> Ecosystem:
        """Make the side that talks to registries; nothing is asked of them yet.

        Raises:
            UsageError: the settings of the ecosystem's own clients cannot be understood.
        """
        raise NotImplementedError

    def is_project(self, directory: Path) -> bool:
        """Whether what is in a directory is to be published here."""
        return any((directory / file).is_file() for file in self.project_files)

    def tells_time(self, texts: Mapping[str, str]) -> bool:
        """Whether a project's own files have its releases built with ``SOURCE_DATE_EPOCH``."""
        return False

    def places(self, cause: Cause, texts: Mapping[str, str]) -> tuple[Place, ...]:
        """Lines of a project, of its :attr:`build_files` by path, that a cause may come from, likeliest first."""
        pattern = self.rules.asks.get(cause)
        return lines_of(pattern, texts, first=self.rules.asked_first) if pattern is not None else ()

    def mended(
        self, cause: Cause, found: Sequence[Place], texts: Mapping[str, str], lacking: Sequence[str]
    ) -> dict[str, str]:
        """Files of a project as they should be, where a rule knows; ``lacking``: what a build wants and did not get.

        ``found`` is what :meth:`places` gave for the cause and the same texts.
        """
        return {}

    def canonical_name(self, name: str) -> str:
        """The one spelling of a project's name."""
        return name

    def is_name(self, text: str) -> bool:
        """Whether a text can be the name of a project, or a pattern for names (``*``, ``?``)."""
        return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None

    def canonical_version(self, version: str) -> str:
        """The one spelling of a version; a text that is none stays as it is."""
        return version

    def version_key(self, version: str) -> Any:
        """What versions are ordered by; any text has one.

        The default takes numbers as numbers and words as words, and a word (``1.0-rc``) for less than nothing.
        """
        parts = re.findall(r"\d+|[^\W\d_]+", version)
        return (*((1, _number(each), "") if each.isdecimal() else (-1, 0, each) for each in parts), (0, 0, ""))

    def is_version(self, text: str) -> bool:
        """Whether a text is a version by the rules of the ecosystem; by default there are no rules."""
        return False

    def older(self, version: str, than: str) -> bool | None:
        """Whether a version comes before another; None where one of them is no version."""
        if not self.is_version(version) or not self.is_version(than):
            return None
        return bool(self.version_key(version) < self.version_key(than))

    def collect(self, path: Path, text: str, named: NamedPackages) -> None:
        """Take the projects that a list names, and the versions it pins.

        The default reads lists of names, one a line.

        Raises:
            FileError: it is of no kind that is known, or has a mistake.
        """
        if path.suffix in {".toml", ".lock"}:
            raise FileError(path, f"Lock files are not read for {self.name}; write a list of names instead.")
        names_in(path, text, named)

    def local_problem(self, head: bytes) -> str | None:
        """Why a file whose name ends as :attr:`local_files` says is none all the same, by its first bytes."""
        return None

    def ca_bundle(self, settings: Settings) -> Path | None:
        """Certificates the ecosystem's own client is told to trust, where the others may use them too.

        Raises:
            UsageError: see :meth:`open`.
        """
        return None

    def check_registry(self, settings: Settings) -> Sequence[RegistryCheck]:
        """Look at the settings of the ecosystem's clients; one that is of no use without a registry asks it something.

        Raises nothing: what is wrong is in what it gives.
        """
        return ()

    def file_words(self, filename: str) -> str:
        """What a published file of this name is called: ``wheel``, ``tarball``."""
        return "published file"

    def file_kind(self, filename: str) -> str:
        """Files of one kind are made the same way; by default those with the same ending are."""
        return _ending(filename)

    def architecture(self, filename: str) -> str:
        """What tells the files of one release apart where a name, a version and an architecture name a file.

        The default reads ``NAME_VERSION_ARCHITECTURE.deb``, and takes all else for files of any machine.
        """
        return filename.removesuffix(".deb").rpartition("_")[2] if filename.endswith(".deb") else "all"

    def check_attestations(self, given: AttestationInput) -> Provenance | None:
        """Check what is signed about an artifact; None when there is nothing to check.

        Raises:
            StoreError: the blobs or the trust root cannot be used.
        """
        if given.document is None:
            return None
        return Provenance(
            status=ProvenanceStatus.NOT_CHECKABLE,
            sentence=f"Attestations of {self.name} files cannot be checked yet.",
            document_sha256=sha256_hex(given.document),
        )


def _ending(filename: str) -> str:
    two = re.search(r"\.tar\.[a-z0-9]{2,4}$", filename)
    return two[0] if two else filename.rpartition(".")[2]


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= 18 else 10**18


MAX_PACKAGES = 100_000


@dataclass
class NamedPackages:
    """What files named: projects, patterns, and the versions of those that are pinned."""

    rules: Conventions
    """Of the ecosystem that the names belong to."""
    packages: set[str] = field(default_factory=set)
    patterns: set[str] = field(default_factory=set)
    pins: dict[str, set[str]] = field(default_factory=dict)
    notes: list[Remark] = field(default_factory=list)
    """What was skipped."""
    read: list[Path] = field(default_factory=list)
    """Every file that was looked at, those that are missing too."""

    def add(self, text: str, version: str | None = None) -> None:
        """Take one name or pattern.

        Raises:
            ValueError: it is neither, or the version is none.
        """
        if not self.rules.is_name(text):
            shown = text if len(text) <= 80 else text[:80] + "…"
            raise ValueError(f"{shown!r} is no name of a package and no pattern")
        name = self.rules.canonical_name(text)
        if "*" in name or "?" in name:
            self.patterns.add(name)
            return
        if version is not None and not self.rules.is_version(version):
            raise ValueError(f"{version[:80]!r} is no version of {name!r}")
        self.packages.add(name)
        if len(self.packages) > MAX_PACKAGES:
            raise ValueError(f"there are more than {MAX_PACKAGES} packages")
        if version is not None:
            self.pins.setdefault(name, set()).add(version)

    def collect(self, path: Path) -> None:
        """Read one file, whatever its kind.

        Raises:
            FileError: it cannot be used; :attr:`read` tells what was looked at all the same.
        """
        self.read.append(path)
        self.rules.collect(path, read_text(path), self)

    def note(self, file: Path, line: int | None, message: str) -> None:
        """Remember something that was skipped."""
        self.notes.append(Remark(file=str(file), line=line, message=message))


def matches(pattern: str, name: str) -> bool:
    """Whether a normalised name fits a pattern; only ``*`` and ``?`` are special."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def names_in(path: Path, text: str, named: NamedPackages) -> None:
    """Take the names in a list, one a line.

    Raises:
        FileError: a line is no name and no pattern.
    """
    for number, line in logical_lines(text):
        try:
            named.add(line)
        except ValueError as error:
            raise FileError(path, f"This line cannot be used: {error}.", number) from None
