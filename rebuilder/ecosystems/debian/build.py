"""The build definition of the packages of one source (pure); docs/predicates/debian-build.md describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rebuilder.ecosystems.debian.index import SourceName
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

    purl: str
    targets: tuple[str, ...]
    """File names of the packages that it is to give."""
    source: SourceName
    described: Source
    """The ``.dsc``, as the archive lists it."""
    files: tuple[Input, ...]
    """The source's files, the ``.dsc`` first."""
    kind: Literal["all", "any"]
    """Packages for any machine (``-A``), or those of one architecture (``-B``)."""
    version: str
    """Of the changelog: with ``+bN`` where the source is built again."""
    architecture: str
    """In the name of the ``.buildinfo``: ``all``, or that of the machine."""
    environment: EnvironmentRef
    limits: Limits
    sandbox: str
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
    prepend = [("/bin/sh", "-c", _PREPEND, "prepend", name)] if build.entry is not None else []
    rename = [("/bin/mv", usual, name)] if name != usual else []
    return packages_build(
        purl=build.purl,
        targets=build.targets,
        source=build.described,
        inputs=(*build.files, *([build.entry] if build.entry is not None else [])),
        toolchain=build.environment,
        unpack=(("/usr/bin/dpkg-source", "--no-check", "-x", build.files[0].path), *rename, *prepend),
        tree=name,
        part="-A" if build.kind == "all" else "-B",
        besides=(buildinfo_name(build),),
        directory=parent,
        options=build.options,
        tests=build.tests,
        sandbox=build.sandbox,
        limits=build.limits,
    )


def packages_build(
    *,
    purl: str,
    targets: tuple[str, ...],
    source: Source,
    inputs: tuple[Input, ...],
    toolchain: EnvironmentRef,
    unpack: tuple[tuple[str, ...], ...],
    tree: str,
    part: Literal["-A", "-B", "-b"],
    sandbox: str,
    limits: Limits,
    besides: tuple[str, ...] = (),
    directory: str = PLACE,
    options: tuple[str, ...] = (),
    tests: bool = False,
) -> BuildDefinition:
    """One run of ``dpkg-buildpackage``.

    Args:
        purl: Of the source package.
        targets: File names of the packages that it is to give.
        source: What is built, for the statement.
        inputs: What :attr:`unpack` unpacks, and all else that the build sees.
        toolchain: The environment, with the build dependencies.
        unpack: Commands that make the tree.
        tree: Its directory, below that of the build.
        part: Which packages ``dpkg-buildpackage`` builds.
        sandbox: In which it runs.
        limits: What it may use.
        besides: Files that are handed over if they are there.
        directory: Of the build.
        options: Of ``DEB_BUILD_OPTIONS``, besides the usual ones.
        tests: Whether the source's tests are run.
    """
    words = (*(() if tests else ("nocheck",)), "parallel=1", *options)
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl=purl,
        targets=targets,
        source=source,
        inputs=inputs,
        toolchain=toolchain,
        commands=(*unpack, ("/bin/sh", "-ec", _BUILD, "build", "--source", tree, part, *targets, *besides)),
        environment=_ENVIRONMENT | {"DEB_BUILD_OPTIONS": " ".join(words)},
        directory=directory,
        umask="0022",
        sandbox=sandbox,
        limits=limits,
    )


def unpacked(source: SourceName) -> str:
    """What ``dpkg-source`` calls the directory of a source."""
    return f"{source.name}-{parsed(source.version).upstream}"


def buildinfo_name(build: DebianBuild) -> str:
    """What ``dpkg-genbuildinfo`` calls its file."""
    return f"{build.source.name}_{without_epoch(build.version)}_{build.architecture}.buildinfo"
