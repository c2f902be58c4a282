"""What this machine lacks for rebuilding, and the command that fixes it."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.ecosystems.conventions import RegistryCheck
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.environments import sources
from rebuilder.environments.catalog import catalog
from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import NoGuestError, RebuilderError, SandboxUnavailableError, UsageError
from rebuilder.model.value import Value
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap
from rebuilder.sandbox.local_runner import check_isolation
from rebuilder.sandbox.uml.probe import ENVIRONMENT, GuestProbe
from rebuilder.store_layout import MARKER, check_places

_SPACE = 3 << 30
"""Bytes: three build environments, what apt downloads while they are made, and the blobs of some hundred releases."""
_SQLITE = b"SQLite format 3\0"
"""How every database begins (https://www.sqlite.org/fileformat.html#magic_header_string)."""

_SQLITE_URL = "sqlite:///"
_SERVERS = {"postgresql", "postgresql+psycopg", "postgres"}

_PROGRAMS = {
    "mmdebstrap": ("mmdebstrap", "makes build environments"),
    "apt": ("apt-get", "fetches the packages of a build environment"),
    "dpkg": ("dpkg-deb", "unpacks the packages of a build environment"),
    "tar": ("tar", "unpacks the packages of a build environment"),
    "git": ("git", "fetches the commits that releases are built from"),
}
"""Debian package to the program that shows it is there, and what it is for."""


class DoctorCheck(Value):
    """One thing that was looked at."""

    name: str
    ok: bool
    message: str
    fix: str | None = None
    """What fixes it; the same for everything a package fixes, so that it is done once."""
    command: bool = False
    """``fix`` is a command to type; otherwise it is a sentence."""


def _bubblewrap() -> str:
    from rebuilder.sandbox.bubblewrap.host_support import bubblewrap

    return bubblewrap()[1]


def _seccomp() -> object:
    from rebuilder.sandbox.bubblewrap.seccomp import program

    return program()


def _registries(config: Config) -> list[RegistryCheck]:
    return [each for _, ecosystem in sorted(ECOSYSTEMS.items()) for each in ecosystem.check_registry(config)]


def _make_command(config: Config) -> str:
    return shlex.join(["rebuilder", "environments", "make", "--store", str(config.store), ENVIRONMENT])


def _check_guest(config: Config) -> NoGuestError | None:
    """Start a guest and set its clock; why that does not work, None when it does.

    Raises:
        BuildEnvironmentError: the build environment was modified or cannot be read.
    """
    environments = environment_store(
        config.store / "toolchains", SystemClock(), settings=config.environments, interpreters=config.interpreters
    )

    def kernel() -> BuildEnvironment:
        made = environments.kept(ENVIRONMENT)
        if made is None:
            raise NoGuestError("its build environment is to be made again", hint=_make_command(config))
        return made

    bubblewrap = Bubblewrap()
    try:
        return GuestProbe(kernel, bubblewrap, config.store / "cache" / "guest.json").problem(anew=True)
    finally:
        bubblewrap.close()


@dataclass(frozen=True)
class Host:
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
    isolation: Callable[[], list[str]] = check_isolation
    guest: Callable[[Config], NoGuestError | None] = _check_guest
    registries: Callable[[Config], list[RegistryCheck]] = _registries
    """Looks at the settings of each ecosystem's clients, and asks the registries that nothing goes without."""


@dataclass(frozen=True)
class _Finding:
    check: DoctorCheck
    package: str | None = None


def checks(config: Config, machine: Host | None = None) -> list[DoctorCheck]:
    """Look at everything; nothing changes but what is remembered of the guest; the index is asked one question."""
    here = machine or Host()
    findings = [
        *_platform(here),
        *_sandbox(config, here),
        *_environments(config, here),
        *_store(config, here),
        *_keys(config),
        *_trust(config),
        *_settings(config, here),
    ]
    packages = sorted({each.package for each in findings if each.package and not each.check.ok})
    command = f"{'' if here.root else 'sudo '}apt-get install {' '.join(packages)}"
    return [
        each.check if each.check.ok or each.package is None else each.check.replace(fix=command, command=True)
        for each in findings
    ]


def _said(
    name: str,
    message: str,
    *,
    ok: bool = True,
    fix: str | None = None,
    command: bool = False,
    package: str | None = None,
) -> _Finding:
    return _Finding(DoctorCheck(name=name, ok=ok, message=message, fix=fix, command=command), package)


def _platform(here: Host) -> Iterator[_Finding]:
    yield _said("system", f"This is {here.system}; builds need Linux.", ok=here.system == "Linux")
    version = ".".join(map(str, here.python))
    yield _said("Python", f"Python {version} runs this; 3.11 or newer is needed.", ok=here.python >= (3, 11))


def _sandbox(config: Config, here: Host) -> Iterator[_Finding]:
    try:
        yield _said("bubblewrap", f"bubblewrap {here.bubblewrap()} starts sandboxes.")
    except SandboxUnavailableError as error:
        yield _said("bubblewrap", str(error), ok=False, fix=error.hint, package="bubblewrap")
        return  # Without it nothing else about sandboxes can be tried.
    try:
        here.seccomp()
        yield _said("system call filter", "libseccomp can build the filter for this processor.")
    except SandboxUnavailableError as error:
        lacks = "libseccomp" in (error.hint or "")
        yield _said(
            "system call filter", str(error), ok=False, fix=error.hint, package="libseccomp2" if lacks else None
        )
        return
    try:
        problems = here.isolation()
    except RebuilderError as error:
        problems = [str(error), *([error.hint] if error.hint else [])]
    told = " ".join(problems) or "A sandbox was started; the machine gives it all the isolation that builds need."
    yield _said("isolation", told, ok=not problems)
    if not problems:
        yield _guest(config, here)


def _guest(config: Config, here: Host) -> _Finding:
    """Whether a guest runs, tried once the build environment with the kernel was made; none is made for it."""
    if not (config.store / "toolchains" / "current" / ENVIRONMENT).is_file():
        told = f"its build environment is made on first use; `{_make_command(config)}` makes it now."
        return _said("guest", f"Not known yet, since {told}")
    try:
        problem: RebuilderError | None = here.guest(config)
    except RebuilderError as error:
        problem = error
    if problem is None:
        return _said("guest", "A User Mode Linux guest was started, and its clock was set.")
    rest = "" if config.sandbox == "uml" else " What does not depend on the clock is rebuilt without one."
    typed = (problem.hint or "").startswith("rebuilder ")
    return _said("guest", f"{problem}{rest}", ok=False, fix=problem.hint, command=typed)


def _environments(config: Config, here: Host) -> Iterator[_Finding]:
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
    yield _said("environments", f"{'; '.join(words)}.")


def _store(config: Config, here: Host) -> Iterator[_Finding]:
    if problem := _problem(config.store):
        yield _said("store", problem, ok=False, fix="Name another with --store, or let this user write there")
    else:
        yield _said("store", f"{config.store} can be written.")
    free = here.free(_nearest(config.store))
    told = f"{free / (1 << 30):.1f} GB are free for the store; {_SPACE >> 30} GB are needed to begin with."
    yield _said("disk space", told, ok=free >= _SPACE)
    yield from _ledger(config)
    if config.site is not None or not problem:  # below a store that cannot be, it would be said twice
        yield _site(config)


def _site(config: Config) -> _Finding:
    site = config.site_directory
    if problem := _problem(site):
        return _said("site", problem, ok=False, fix="Name another with --site, or let this user write there")
    try:
        check_places(store=config.store, keys=config.keys, site=site)
        if not (site / MARKER).exists() and site.is_dir() and any(site.iterdir()):
            told = f"{site} holds other files; a site is not written among them."
            return _said("site", told, ok=False, fix="Name an empty or a new directory with --site")
    except UsageError as error:
        return _said("site", str(error), ok=False, fix=error.hint)
    except (OSError, RuntimeError) as error:  # the latter: a link that leads to itself
        return _said("site", f"{site} cannot be looked at: {error}.", ok=False, fix="Name another with --site")
    return _said("site", f"{site} can be written.")


def _ledger(config: Config) -> Iterator[_Finding]:
    place = str(config.ledger_place)
    if "://" not in place:
        place = f"{_SQLITE_URL}{place}"
    if place.startswith(_SQLITE_URL):
        file = Path(place.removeprefix(_SQLITE_URL))
        if os.path.lexists(file):
            yield _ledger_file(file)
    elif place.partition("://")[0] in _SERVERS:
        yield _said("ledger", f"It is in {sources.without_password(place)}; the server was not asked.")
    else:
        told = f"{sources.without_password(place)} is no database that can hold a ledger."
        fix = "Write `ledger` as sqlite:////path/to/ledger or postgresql://user@host/database"
        yield _said("ledger", told, ok=False, fix=fix)


def _ledger_file(ledger: Path) -> _Finding:
    fix = "Put a backup of the ledger there, or name another store with --store"
    try:
        head = _head(ledger, len(_SQLITE))
    except OSError as error:
        return _said("ledger", f"{ledger} cannot be read: {error.strerror}.", ok=False, fix=fix)
    if head not in {b"", _SQLITE}:  # an empty file is an empty database
        return _said("ledger", f"{ledger} is not a SQLite database, so it is no ledger.", ok=False, fix=fix)
    return _said("ledger", f"{ledger} is a database.")


def _head(file: Path, size: int) -> bytes:
    """The beginning of a file; one that is no regular file is an error and is not waited for."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(file))
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def _problem(place: Path) -> str | None:
    """Why nothing can be written below a directory that may not exist yet; None when it can."""
    first = next((each for each in (place, *place.parents) if os.path.lexists(each)), Path("/"))
    # isdir of os.path, since the one of Path raises where a directory above may not be entered.
    if not os.path.isdir(first):  # noqa: PTH112
        return f"{place} cannot be written: {first} is not a directory."
    try:
        with tempfile.TemporaryFile(dir=first):
            return None
    except OSError as error:
        where = "" if first == place else f" (in {first})"
        return f"{place} cannot be written: {error.strerror}{where}."


def _nearest(place: Path) -> Path:
    """The directory itself, or the one above it that exists already."""
    return next(each for each in (place, *place.parents) if os.path.isdir(each))  # noqa: PTH112


def _keys(config: Config) -> Iterator[_Finding]:
    key = config.keys / "signing.pem"
    try:
        inside = _real(config.keys).is_relative_to(_real(config.store))
        there = os.path.lexists(key)
        content = _head(key, 1 << 16) if there else b""
        files = sorted(config.keys.iterdir()) if config.keys.is_dir() else []
        private = [each for each in files if each == key or (each.is_file() and b"PRIVATE KEY" in _head(each, 1000))]
        loose = [each for each in private if each.stat().st_mode & 0o077]
    except OSError as error:
        yield _said(
            "signing key",
            f"{error.filename or config.keys} cannot be read: {error.strerror}.",
            ok=False,
            fix=f"Run as the user that owns {config.keys}, or name another directory with --keys",
        )
        return
    if inside:
        told, fix = f"{config.keys} lies inside the store, which is copied and served.", "Name another with --keys"
        yield _said("signing key", told, ok=False, fix=fix)
    elif loose:
        told = f"Others than its owner can read or change the signing key {loose[0]}."
        yield _said("signing key", told, ok=False, fix=_command("chmod", "600", *loose), command=True)
    elif there and not _signs(content):
        told = f"{key} is not a key to sign with: a private ECDSA key on the curve P-256, in PEM, not encrypted."
        fix = "Put the right file there, move it away to have a new key made, or name another directory with --keys"
        yield _said("signing key", told, ok=False, fix=fix)
    elif there:
        yield _said("signing key", f"{key} can be read by its owner alone.")
    elif problem := _problem(config.keys):
        fix = "Name another directory with --keys, or let this user write there"
        yield _said("signing key", f"There is none yet, and {problem}", ok=False, fix=fix)
    else:
        yield _said("signing key", f"There is none in {config.keys} yet; the first verification makes it.")


def _signs(pem: bytes) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):  # the first: it is encrypted
        return False
    return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)


def _command(*words: object) -> str:
    return shlex.join(map(str, words))


def _trust(config: Config) -> Iterator[_Finding]:
    from rebuilder.provenance.trust.authorities import describe
    from rebuilder.provenance.trust.files import load, shipped

    place = config.trust_in_use
    try:
        root = load(place) if place is not None else shipped()
        for data in (root.trusted_root, root.npm_keys):
            describe(data, "The trust root")
        loose = [each for each in (place, *place.iterdir()) if each.stat().st_mode & 0o022] if place is not None else []
    except (RebuilderError, OSError) as error:
        yield _said("trust root", str(error), ok=False, fix=_fix_trust(place))
        return
    if loose:
        told = f"Others than its owner can change {loose[0]}, and with it whom attestations are judged by."
        yield _said("trust root", told, ok=False, fix=_command("chmod", "go-w", *loose), command=True)
        return
    origin = f"the trust root in {place}, not the shipped one" if place is not None else "the shipped trust root"
    yield _said("trust root", f"Attestations are judged by {origin} (SHA-256 {root.sha256[:16]}…).")


def _fix_trust(place: Path | None) -> str:
    """What is in the directory may be anything of the user's: nothing here proposes to remove it."""
    if place is None:
        return "Install the program again"
    if os.path.lexists(place / "pins.toml"):
        return (
            f"Put an undamaged copy into {place}, or name another directory with the setting trust "
            "and run `rebuilder trust update FILE` (see docs/trust.md)"
        )
    return "Name another directory with the setting trust, or run `rebuilder trust update FILE` (see docs/trust.md)"


def _settings(config: Config, here: Host) -> Iterator[_Finding]:
    for each in here.registries(config):
        yield _said(each.name, each.message, ok=each.ok, fix=each.fix)
    settings = sources.apt_settings()
    lines = sources.sources("stable", etc_apt=here.etc_apt or sources.etc_apt(settings))
    mirrors = list(dict.fromkeys(sources.without_password(line.split()[2]) for line in lines))
    told = f"Build environments are made from {' and '.join(mirrors)}, as apt's settings say."
    if not mirrors:
        told = "Apt has no source for Debian here; build environments are made from the mirror mmdebstrap chooses."
    yield _said("mirror", told)


def _real(place: Path) -> Path:
    """The place with links followed, as far as they lead somewhere."""
    return Path(os.path.realpath(place))
