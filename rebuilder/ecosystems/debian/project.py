"""How the packages of a work tree with ``debian/`` are built: by ``dpkg-buildpackage``, as the archive builds.

The tree itself is built, not a source package made of it: an upstream archive, which most source packages consist of,
is in no work tree. Patches are applied by ``dpkg-source --before-build``, which ``dpkg-buildpackage`` calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rebuilder import deb822
from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.build import DebianBuild, definition, unpacked
from rebuilder.ecosystems.debian.build_dependencies import resolve
from rebuilder.ecosystems.debian.build_inputs import environment
from rebuilder.ecosystems.debian.index import SourceName, SourcePackage
from rebuilder.ecosystems.debian.planning import Planner, base_name
from rebuilder.ecosystems.debian.relations import is_for
from rebuilder.ecosystems.debian.subject import file_name, is_name, release_purl
from rebuilder.ecosystems.debian.version import is_version
from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.obstacles import unsupported
from rebuilder.model.attempt import Hypothesis
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Source, SourceKind
from rebuilder.model.project import Project, ProjectTree

_TREE = "/inputs/project.tar"
_CONTROL, _CHANGELOG = "debian/control", "debian/changelog"
_ENTRY = re.compile(r"(?P<source>[^\s(]+) \((?P<version>[^\s()]+)\) (?P<suites>[A-Za-z0-9 ~.+-]+);")
_UNPACK = 'mkdir -- "$1" && tar -xf /inputs/project.tar -C "$1" --no-same-owner --no-same-permissions "${@:2}"'


class _Packaging(NamedTuple):
    """What ``debian/`` says."""

    source: SourcePackage
    suites: tuple[str, ...]
    """What the newest entry of the changelog is for."""
    packages: tuple[tuple[str, str], ...]
    """Name of each package that is built here, and ``all`` or the architecture of this machine."""


def project_builds(planner: Planner, tree: ProjectTree) -> Project:
    """How the packages of a work tree are built today.

    Raises:
        NotRebuildable: ``debian/`` does not say how, or what it asks for cannot be had.
        UnavailableError, SandboxFaultError, …: see the ports.
    """
    context = planner.context
    archive = Input(role=Role.SOURCE, name=f"{tree.name}.tar", sha256=tree.archive_sha256, path=_TREE)
    below = f"{tree.top}/" if tree.top else ""
    [listing] = inspect(context, [archive], texts=(f"{below}{_CONTROL}", f"{below}{_CHANGELOG}"))
    packaging = _packaging({name.removeprefix(below): text for name, text in listing.texts.items()}, tree, planner)
    suite, note = _suite(planner, packaging)
    base = context.environments.get(base_name(suite))
    source = packaging.source
    resolution = resolve(
        context,
        source,
        base,
        context.archive.releases(suite),
        architecture=planner.architecture,
        part="any",
    )
    name = SourceName(source.name, source.version)
    targets = tuple(file_name(package, source.version, architecture) for package, architecture in packaging.packages)
    top = (f"--strip-components={tree.top.count('/') + 1}", tree.top) if tree.top else ()
    build = DebianBuild(
        targets=targets,
        source=name,
        described=Source(kind=SourceKind.ARCHIVE, uri=f"file:{tree.name}", digest={"sha256": tree.archive_sha256}),
        files=(archive,),
        kind="both",
        version=source.version,
        architecture=planner.architecture,
        environment=environment(context, base, resolution).ref,
        limits=planner.limits,
        sandbox=planner.context.sandbox,
        unpack=("/bin/bash", "-ec", _UNPACK, "unpack", unpacked(name), *top),
    )
    made = definition(build)
    about = f"Built by dpkg-buildpackage in {base.name} with {len(resolution.packages)} packages of build dependencies."
    return Project(
        name=source.name,
        purl=release_purl(*name),
        hypotheses=tuple(
            Hypothesis(name="packages", sentence=about, definition=made, filename=each) for each in targets
        ),
        notes=(about, *note, *resolution.notes, "Packages of debugging symbols are not looked at."),
    )


def _packaging(texts: dict[str, str], tree: ProjectTree, planner: Planner) -> _Packaging:
    try:
        stanzas = list(map(deb822.fields, deb822.stanzas(texts.get(_CONTROL, "").encode())))
        packages = tuple(_built(stanzas[1:], planner.architecture))
    except MalformedStanzaError as error:
        raise unsupported(f"{_CONTROL} of {tree.name} cannot be used: {error}.") from None
    entry, fields = _ENTRY.match(texts.get(_CHANGELOG, "").lstrip("\ufeff\n")), next(iter(stanzas), {})
    named = fields.get("source", "")
    if entry is None or entry["source"] != named or not is_name(named) or not is_version(entry["version"]):
        sentence = f"{_CHANGELOG} of {tree.name} does not begin with a version of what {_CONTROL} calls its source."
        raise unsupported(sentence)
    if not packages:
        raise unsupported(f"{_CONTROL} of {tree.name} has no package that is built on {planner.architecture}.")
    # What either part of a build wants is wanted when both are built in one.
    both = {
        kind: ", ".join(filter(None, (fields.get(f"{kind}{end}", "").strip(", \n") for end in ("", "-indep", "-arch"))))
        for kind in ("build-depends", "build-conflicts")
    }
    kept = {name: value for name, value in fields.items() if name.rpartition("-")[0] not in both}
    source = SourcePackage(named, entry["version"], (), kept | both)
    return _Packaging(source, tuple(entry["suites"].split()), packages)


def _built(stanzas: list[dict[str, str]], architecture: str) -> Iterator[tuple[str, str]]:
    """Packages that a build without profiles gives, for any machine or for this one."""
    for each in stanzas:
        name, wanted = each.get("package", ""), each.get("architecture", "")
        profiles = " ".join(each.get("build-profiles", "").split())
        if not is_name(name) or each.get("package-type", "deb") != "deb" or not is_for(profiles, architecture):
            continue
        if wanted == "all":
            yield name, wanted
        elif any(is_for(f"[{one}]", architecture) for one in wanted.split()):
            yield name, architecture


def _suite(planner: Planner, packaging: _Packaging) -> tuple[str, tuple[str, ...]]:
    """The release that it is built in: that of the changelog, else the newest that there is."""
    there = list(planner.suites(""))
    if not there:
        known = ", ".join(planner.context.releases)
        raise unsupported(f"No mirror in apt's settings has a release that there is a build environment of ({known}).")
    named = [each.partition("-")[0] for each in packaging.suites]
    wanted = next((each for each in named if each in there), None)
    if wanted is not None:
        return wanted, ()
    said = " ".join(packaging.suites)
    return there[-1], (f"The changelog says {said}, of which there is no build environment: {there[-1]} is taken.",)
