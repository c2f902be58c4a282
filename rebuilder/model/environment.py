"""Build environments as values: what is asked for, and what a tree was made from, to the digest of each package."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from rebuilder.model.settings import InterpreterSettings
from rebuilder.model.value import Sha256, Sha256Field, Value, canonical_json, sha256_hex

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}", re.ASCII)
"""Of a build environment."""


def with_provides(document: Any) -> Any:
    """What was written while ``python`` was a field of its own, as it is written now."""
    if isinstance(document, dict) and "python" in document:
        document = dict(document)
        document["provides"] = {"python": document.pop("python")}
    return document


class Manifest(Value):
    """What a build environment is asked to be; the archive decides which versions that gives."""

    name: str
    suite: str
    """Release of Debian, such as ``trixie``."""
    also: tuple[str, ...] = ()
    """Other releases of Debian that have packages the first one lacks; of two versions of one the newer is taken."""
    packages: tuple[str, ...]
    """Names, ``name=version`` where no other will do, or a pattern of apt such as ``?essential``."""
    configured: bool = False
    """Whether the maintainer scripts of the packages are run, as on an installed system."""
    provides: dict[str, str] = {}
    """What an ecosystem looks for, such as ``{"python": "3.13"}``."""
    links: dict[str, str] = {}
    """Symbolic links to add: path in the tree to target."""
    prune: tuple[str, ...] = ()
    """What to remove again, as patterns of paths: content of packages that are only there because apt wants them."""
    interpreter: InterpreterSettings | None = None
    """A Python of the user's own, which takes the place of Debian's."""
    package_times: Literal[True] | None = None
    """Whether files and links keep the times that they have in the packages; of a configured one alone. Else all have
    one time."""

    _written_before = model_validator(mode="before")(with_provides)

    @field_validator("name")
    @classmethod
    def _file_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a build environment")
        return name

    @model_validator(mode="after")
    def _installed(self) -> Manifest:
        if self.package_times and not self.configured:
            raise ValueError("only installed packages have times to keep")
        return self


Origin = Literal["index", "kept-index", "pool", "buildinfo", "snapshot"]
"""Who promised the bytes of a package: a signed list of the archive (``index``), a former one (``kept-index``),
nobody, it lay in the archive under its name (``pool``), a builder (``buildinfo``), an archive of former states."""


class Package(Value):
    """One Debian package, with the digest its signed archive promises."""

    name: str
    version: str
    architecture: str
    sha256: Sha256Field
    """Of the ``.deb`` file."""
    origin: Origin = "index"

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An origin that nearly all have is not written down."""
        written: dict[str, Any] = handler(self)
        if self.origin == "index":
            written.pop("origin", None)
        return written


class Release(Value):
    """One signed state of an archive's suite."""

    suite: str
    """Directory below ``dists/``, such as ``trixie-security``."""
    date: str
    """The ``Date`` field, as it is written there."""
    valid_until: str | None = None
    """The ``Valid-Until`` field; None when the archive sets no end."""
    sha256: Sha256Field
    """Of the file ``InRelease``, whose signature apt checked."""


class Image(Value):
    """Files that were given, instead of packages or on top of them."""

    sha256: Sha256Field
    """Of the archive, of the listing of the directory, or of the manifest of a container image."""
    base: Sha256Field | None = None
    """Digest of the tree they were laid over; None: they are a root file system of their own."""
    variables: dict[str, str] | None = None
    """Those that an image gives what runs in it."""


class Specification(Value):
    """What one tree was made from. It is to an environment what a build definition is to a build."""

    method: Literal["extracted", "configured", "image"]
    """``extracted``: packages were unpacked, and none of their scripts run. ``configured``: they were installed, their
    scripts run. ``image``: files were given."""
    suite: str
    releases: tuple[Release, ...] = ()
    """The signed indexes that promised the packages."""
    packages: tuple[Package, ...] = ()
    image: Image | None = None
    base: Specification | None = None
    """Of the tree that the packages were installed over; None: they are all there is."""
    provides: dict[str, str] = {}
    links: dict[str, str] = {}
    prune: tuple[str, ...] = ()
    package_times: Literal[True] | None = None
    """As in the manifest."""
    recipe: int
    """Which way of bringing a tree into its form; see :data:`rebuilder.environments.settle.RECIPE`."""

    @cached_property
    def digest(self) -> Sha256:
        """SHA-256 of the canonical form of all of it."""
        return sha256_hex(canonical_json(self.document()))

    @property
    def unauthenticated(self) -> tuple[Package, ...]:
        """Packages of it that no list binds that the archive signed, now or before."""
        below = self.base.unauthenticated if self.base is not None else ()
        return (*below, *(each for each in self.packages if each.origin not in {"index", "kept-index"}))

    @property
    def also(self) -> tuple[str, ...]:
        """Other releases of Debian whose packages it has, or may have; sorted."""
        suites = {each.suite.partition("-")[0].removesuffix("/updates") for each in self.releases}
        return tuple(sorted(suites - {self.suite}))

    def same_content(self, other: Specification) -> bool:
        """Whether both give the same tree, whichever signed index promised the packages."""
        return self.content == other.content

    @property
    def content(self) -> Specification:
        """The same without the signed indexes."""
        return self.replace(releases=(), base=self.base and self.base.content)


class Base(Value):
    """The tree that others were installed over."""

    sha256: Sha256Field
    specification: Specification


class Made(Value):
    """What is known about a freshly made tree."""

    packages: tuple[Package, ...]
    releases: tuple[Release, ...] = ()
    image: Image | None = None
    base: Base | None = None
    sources: tuple[str, ...] = ()
    tool: str = "none"
    """Program that made it, with its version."""
    notes: tuple[str, ...] = ()
    """What a report must say about how it was made, one sentence each."""
