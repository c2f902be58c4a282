"""What this machine lacks for rebuilding, and the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rebuilder.config import Config
from rebuilder.errors import RebuilderError, SandboxUnavailableError
from rebuilder.model.value import Value
from rebuilder.toolchains import sources
from rebuilder.toolchains.catalog import catalog

_SPACE = 3 << 30
"""Bytes: three toolchains, what apt downloads while they are made, and the blobs of some hundred releases."""

_PROGRAMS = {
    "mmdebstrap": ("mmdebstrap", "makes toolchains"),
    "apt": ("apt-get", "fetches the packages of a toolchain"),
    "dpkg": ("dpkg-deb", "unpacks the packages of a toolchain"),
    "tar": ("tar", "unpacks the packages of a toolchain"),
    "git": ("git", "fetches the commits that releases are built from"),
}
"""Debian package to the program that shows it is there, and what it is for."""


class Check(Value):
    """One thing that was looked at."""

    name: str
    ok: bool
    sentence: str
    mend: str | None = None
    """The command that mends it; the same for everything a package mends, so that it is run once."""


def _bubblewrap() -> str:
    from rebuilder.sandbox.isolation import bubblewrap

    return bubblewrap()[1]


def _seccomp() -> object:
    from rebuilder.sandbox.seccomp import program

    return program()


def _isolation() -> list[str]:
    from rebuilder.sandbox.bubblewrap import check_isolation

    return check_isolation()


def _index(override: str | None) -> tuple[str, list[str]]:
    from rebuilder.ecosystems.pypi.settings import index_settings

    settings = index_settings(override)
    return settings.index_url, [settings.origin, *([settings.ca_origin] if settings.ca_origin else [])]


@dataclass(frozen=True)
class Machine:
    """The part of the machine that is looked at; tests give another one."""

    system: str = field(default_factory=platform.system)
    python: tuple[int, int] = (sys.version_info[0], sys.version_info[1])
    root: bool = field(default_factory=lambda: os.geteuid() == 0)
    find: Callable[[str], str | None] = shutil.which
    free: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free
    keyring: Path = sources.KEYRING
    etc_apt: Path | None = None
    """None: where apt says."""
    bubblewrap: Callable[[], str] = _bubblewrap
    seccomp: Callable[[], object] = _seccomp
    isolation: Callable[[], list[str]] = _isolation
    index: Callable[[str | None], tuple[str, list[str]]] = _index


@dataclass(frozen=True)
class _Finding:
    check: Check
    package: str | None = None


def checks(config: Config, machine: Machine | None = None) -> list[Check]:
    """Look at everything, without the network and without changing anything."""
    here = machine or Machine()
    findings = [
        *_platform(here),
        *_sandbox(here),
        *_toolchains(config, here),
        *_store(config, here),
        *_keys(config),
        *_trust(config),
        *_settings(config, here),
    ]
    packages = sorted({each.package for each in findings if each.package and not each.check.ok})
    command = f"{'' if here.root else 'sudo '}apt-get install {' '.join(packages)}"
    return [
        each.check if each.check.ok or each.package is None else each.check.model_copy(update={"mend": command})
        for each in findings
    ]


def _said(
    name: str, sentence: str, *, ok: bool = True, mend: str | None = None, package: str | None = None
) -> _Finding:
    return _Finding(Check(name=name, ok=ok, sentence=sentence, mend=mend), package)


def _platform(here: Machine) -> Iterator[_Finding]:
    yield _said("system", f"This is {here.system}; builds need Linux.", ok=here.system == "Linux")
    version = ".".join(map(str, here.python))
    yield _said("Python", f"Python {version} runs this; 3.11 or newer is needed.", ok=here.python >= (3, 11))


def _sandbox(here: Machine) -> Iterator[_Finding]:
    try:
        yield _said("bubblewrap", f"bubblewrap {here.bubblewrap()} starts sandboxes.")
    except SandboxUnavailableError as error:
        yield _said("bubblewrap", str(error), ok=False, mend=error.hint, package="bubblewrap")
        return  # Without it nothing else about sandboxes can be tried.
    try:
        here.seccomp()
        yield _said("system call filter", "libseccomp can build the filter for this processor.")
    except SandboxUnavailableError as error:
        lacks = "libseccomp" in (error.hint or "")
        yield _said(
            "system call filter", str(error), ok=False, mend=error.hint, package="libseccomp2" if lacks else None
        )
        return
    try:
        problems = here.isolation()
    except RebuilderError as error:
        problems = [str(error), *([error.hint] if error.hint else [])]
    told = " ".join(problems) or "A sandbox was started; the machine gives it all the isolation that builds need."
    yield _said("isolation", told, ok=not problems)


def _toolchains(config: Config, here: Machine) -> Iterator[_Finding]:
    for package, (program, purpose) in _PROGRAMS.items():
        place = here.find(program)
        told = f"{place} {purpose}." if place else f"{program}, which {purpose}, is not installed."
        yield _said(package, told, ok=place is not None, package=package)
    told = "The keys of the Debian archive are installed."
    if not here.keyring.is_file():
        told = "The keys of the Debian archive are not installed, so nothing from it can be trusted."
    yield _said("archive keys", told, ok=here.keyring.is_file(), package="debian-archive-keyring")
    made = [name for name in catalog() if (config.store / "toolchains" / "current" / name).is_file()]
    later = [name for name in catalog() if name not in made]
    words = [f"{'Made' if made else 'None is made'} so far{': ' + ', '.join(made) if made else ''}"]
    words += [f"{', '.join(later)} will be on first use"] if later else []
    yield _said("toolchains", f"{'; '.join(words)}.")


def _store(config: Config, here: Machine) -> Iterator[_Finding]:
    place = _nearest(config.store)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
        yield _said("store", f"{config.store} can be written.")
    except OSError as error:
        mend = f"Name another with --store, or let this user write to {place}"
        yield _said("store", f"{config.store} cannot be written: {error.strerror}.", ok=False, mend=mend)
    free = here.free(place)
    told = f"{free / (1 << 30):.1f} GB are free for the store; {_SPACE >> 30} GB are needed to begin with."
    yield _said("disk space", told, ok=free >= _SPACE)


def _nearest(place: Path) -> Path:
    """The directory itself, or the one above it that exists already."""
    return next(each for each in (place, *place.parents) if each.is_dir())


def _keys(config: Config) -> Iterator[_Finding]:
    try:
        inside = _real(config.keys).is_relative_to(_real(config.store))
        files = sorted(config.keys.iterdir()) if config.keys.is_dir() else []
        private = [file for file in files if file.is_file() and b"PRIVATE KEY" in file.read_bytes()[:1000]]
        loose = [file for file in private if file.stat().st_mode & 0o077]
    except OSError as error:
        yield _said(
            "signing key",
            f"{error.filename or config.keys} cannot be read: {error.strerror}.",
            ok=False,
            mend=f"Run as the user that owns {config.keys}, or name another directory with --keys",
        )
        return
    if inside:
        told, mend = f"{config.keys} lies inside the store, which is copied and served.", "Name another with --keys"
        yield _said("signing key", told, ok=False, mend=mend)
    elif loose:
        told = f"Others than its owner can read or change the signing key {loose[0]}."
        yield _said("signing key", told, ok=False, mend=f"chmod 600 {' '.join(map(str, loose))}")
    elif private:
        yield _said("signing key", f"{private[0]} can be read by its owner alone.")
    else:
        yield _said("signing key", f"There is none in {config.keys} yet; the first verification makes it.")


def _trust(config: Config) -> Iterator[_Finding]:
    from rebuilder.provenance.trust import load, shipped
    from rebuilder.provenance.trust_content import describe

    place = config.trust_in_use
    try:
        root = load(place) if place is not None else shipped()
        for data in (root.trusted_root, root.npm_keys):
            describe(data, "The trust root")
        loose = [each for each in (place, *place.iterdir()) if each.stat().st_mode & 0o022] if place is not None else []
    except (RebuilderError, OSError) as error:
        mend = (
            f"rm -r {place}; rebuilder trust update FILE (see docs/trust.md)" if place else "Install the program again"
        )
        yield _said("trust root", str(error), ok=False, mend=mend)
        return
    if loose:
        told = f"Others than its owner can change {loose[0]}, and with it whom attestations are judged by."
        yield _said("trust root", told, ok=False, mend=f"chmod go-w {' '.join(map(str, loose))}")
        return
    origin = f"the trust root in {place}, not the shipped one" if place is not None else "the shipped trust root"
    yield _said("trust root", f"Attestations are judged by {origin} (SHA-256 {root.sha256[:16]}…).")


def _settings(config: Config, here: Machine) -> Iterator[_Finding]:
    try:
        url, origins = here.index(config.index_url)
        yield _said("index", " ".join([f"Releases are read from {sources.without_password(url)}.", *origins]))
    except RebuilderError as error:
        yield _said("index", str(error), ok=False, mend=error.hint)
    settings = sources.apt_settings()
    lines = sources.sources("stable", etc_apt=here.etc_apt or sources.etc_apt(settings))
    mirrors = list(dict.fromkeys(sources.without_password(line.split()[2]) for line in lines))
    told = f"Toolchains are made from {' and '.join(mirrors)}, as apt's settings say."
    if not mirrors:
        told = "Apt has no source for Debian here; toolchains are made from the mirror mmdebstrap chooses."
    yield _said("mirror", told)


def _real(place: Path) -> Path:
    """The place with links followed, as far as they lead somewhere."""
    return Path(os.path.realpath(place))
