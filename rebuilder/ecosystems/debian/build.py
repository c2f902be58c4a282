"""The build definition of the packages of one source (pure); docs/predicates/debian-build.md describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rebuilder.ecosystems.debian.index import SourceName
from rebuilder.ecosystems.debian.subject import release_purl
from rebuilder.ecosystems.debian.version import parsed, without_epoch
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits
from rebuilder.model.evidence import Source

BUILD_TYPE = "tag:rebuilder,2026:debian-build/v1"
"""Documented in docs/predicates/debian-build.md."""
PLACE = "/build/reproducible-path"
"""Where Debian's builders unpack a source."""
ENTRY = "/inputs/binary-only-changes"
"""Where the changelog entry of a binary-only upload is."""
_BUILD = (
    'cd -- "$2"; dpkg-buildpackage --sanitize-env -us -uc -rfakeroot-tcp "$3"; cd ..; shift 3; '
    'for each in "$@"; do if test -f "$each"; then cp -- "$each" /out/; fi; done'
)
"""In one command, the last: that is what a clock of its own is set for."""
_PREPEND = (
    'cat /inputs/binary-only-changes "$1/debian/changelog" >"$1.changelog" && mv "$1.changelog" "$1/debian/changelog"'
)
_PARTS = {"all": "-A", "any": "-B", "both": "-b"}
_ENVIRONMENT = {
    "HOME": "/sbuild-nonexistent",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "LOGNAME": "sbuild",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games",
    "SHELL": "/bin/sh",
    "TERM": "unknown",
    "USER": "sbuild",
}
"""What a builder has, by that of Debian's builders; ``dpkg-buildpackage`` sets the time of the changelog itself."""


@dataclass(frozen=True)
class DebianBuild:
    """One run of ``dpkg-buildpackage``."""

    targets: tuple[str, ...]
    """File names of the packages that it is to give."""
    source: SourceName
    described: Source
    """The ``.dsc`` as the archive lists it, or the tree of a maintainer."""
    files: tuple[Input, ...]
    """The source's files, the ``.dsc`` first; or the tree."""
    kind: Literal["all", "any", "both"]
    """Packages for any machine, those of one architecture, or all, of which no ``.buildinfo`` is handed over then."""
    version: str
    """Of the changelog: with ``+bN`` where the source is built again."""
    architecture: str
    """In the name of the ``.buildinfo``: ``all``, or that of the machine."""
    environment: EnvironmentRef
    limits: Limits
    sandbox: str
    unpack: tuple[str, ...] | None = None
    """What makes the tree; None: ``dpkg-source`` does."""
    entry: Input | None = None
    """The changelog entry of a binary-only upload; at :data:`ENTRY`."""
    options: tuple[str, ...] = ()
    """Of ``DEB_BUILD_OPTIONS``, besides the usual ones."""
    tests: bool = False
    """Whether the source's tests are run."""
    directory: str | None = None
    """Where it is built, where that is not :data:`PLACE` and what ``dpkg-source`` calls it."""


def definition(build: DebianBuild) -> BuildDefinition:
    """Unpack the source as a builder does, build, hand over the packages and the ``.buildinfo``."""
    usual = unpacked(build.source)
    parent, _, name = (build.directory or f"{PLACE}/{usual}").rpartition("/")
    unpack = build.unpack or ("/usr/bin/dpkg-source", "--no-check", "-x", build.files[0].path)
    rename = [("/bin/mv", usual, name)] if name != usual else []
    prepend = [("/bin/sh", "-c", _PREPEND, "prepend", name)] if build.entry is not None else []
    besides = () if build.kind == "both" else (buildinfo_name(build),)
    words = (*(() if build.tests else ("nocheck",)), "parallel=1", *build.options)
    run = ("/bin/sh", "-ec", _BUILD, "build", "--source", name, _PARTS[build.kind], *build.targets, *besides)
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl=f"{release_purl(*build.source)}?arch=source",
        targets=build.targets,
        source=build.described,
        inputs=(*build.files, *([build.entry] if build.entry is not None else [])),
        toolchain=build.environment,
        commands=(unpack, *rename, *prepend, run),
        environment=_ENVIRONMENT | {"DEB_BUILD_OPTIONS": " ".join(words)},
        directory=parent,
        umask="0022",
        sandbox=build.sandbox,
        limits=build.limits.replace(disk_bytes=max(build.limits.disk_bytes, 4 << 30)),
    )


def unpacked(source: SourceName) -> str:
    """What ``dpkg-source`` calls the directory of a source."""
    return f"{source.name}-{parsed(source.version).upstream}"


def buildinfo_name(build: DebianBuild) -> str:
    """What ``dpkg-genbuildinfo`` calls its file."""
    return f"{build.source.name}_{without_epoch(build.version)}_{build.architecture}.buildinfo"
