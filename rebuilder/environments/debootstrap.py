"""Making a tree with mmdebstrap from Debian's archive."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from rebuilder import deb822
from rebuilder.environments import expiry, sources
from rebuilder.environments.command import CommandError, run
from rebuilder.environments.maintainer_scripts import AsRoot, configure
from rebuilder.environments.settle import finish
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Made, Manifest, Package, Release
from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256

_SECONDS = 1800

# /bin and its like are links into /usr on every Debian since bookworm, but bookworm's packages do not carry them.
_MERGED_USR = 'for each in bin sbin lib lib64; do mkdir -p "$1/usr/$each" && ln -s "usr/$each" "$1/$each"; done'

# What apt says about a suite that is no longer on a mirror.
_GONE = re.compile(r"repository '\S+ (?P<suite>[\w/.-]{1,60}) Release' (?:does not have|no longer has) a Release file")

# What apt says about a package that is not on a mirror, or not with that version.
_NO_PACKAGE = re.compile(
    r"^E: (?:Version '(?P<version>[^'\s]{1,100})' for|Unable to locate package|Package)"
    r" '?(?P<name>[a-z0-9][a-z0-9.+-]{1,100})'?(?: was not found| has no installation candidate|$)",
    re.MULTILINE,
)
_MOST_NAMED = 5

_NEVER_UNSIGNED = (
    'APT::Get::AllowUnauthenticated "false";',
    'Acquire::AllowInsecureRepositories "false";',
    'Acquire::AllowWeakRepositories "false";',
    'Acquire::AllowDowngradeToInsecureRepositories "false";',
)

# First match wins: a refused signature also ends in "failed to fetch", and a full disk in almost anything.
_REASONS = (
    (
        ("No space left on device", "not enough free space", "don't have enough free space"),
        "the disk is full",
        "Free some space (a build environment needs up to 1 GB while it is made), then run the command again.",
    ),
    (
        ("NO_PUBKEY", "GPG error", "is not signed", "signatures couldn't be verified", "BADSIG", "EXPKEYSIG"),
        "the archive's signature cannot be verified",
        "Update the package debian-archive-keyring; if that does not help, the mirror is not to be trusted.",
    ),
    (
        ("Hash Sum mismatch", "unexpected size"),
        "the mirror sent something else than the archive signed",
        "Wait for the mirror to finish its own update, then run the command again.",
    ),
    (
        ("is not valid yet", "is expired"),
        "the mirror's signed state is too old, or this machine's clock is wrong",
        (
            "Compare `date` to the real time. An old state is allowed by the setting [environments] "
            'accept_expired = ["{suite}"] '
            "(for `rebuilder environments make`: --accept-expired {suite})."
        ),
    ),
    (
        ("404  Not Found", "404 Not Found", "410  Gone", "File not found"),
        "the mirror no longer has a file that its own index names",
        "It is being updated, or is no longer kept up: run the command again later, or name another mirror for apt.",
    ),
    (
        ("Unable to locate package", "has no installation candidate", "E: Version '"),
        "the mirror lacks a package{packages}",
        "Check that the mirror carries all of Debian main; packages of another day are on an archive of snapshots.",
    ),
    (
        ("Could not resolve", "Temporary failure", "Unable to connect", "Could not connect", "Failed to fetch"),
        "the mirror cannot be reached",
        "Check the network and apt's settings (`apt-get update` uses the same mirror), then run the command again.",
    ),
)


class Mmdebstrap:
    """Makes trees, as root or as any user; see docs/adr/0002-toolchains.md for why this mode."""

    def __init__(
        self,
        *,
        etc_apt: Path | None = None,
        keyring: Path = sources.KEYRING,
        accept_expired: Sequence[str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        as_root: AsRoot | None = None,
        source: str | None = None,
    ) -> None:
        """Make trees from the mirrors of this machine.

        Args:
            etc_apt: Where apt's settings are; None: where apt says.
            keyring: The keys the archive must be signed with.
            accept_expired: Suites of which an expired state is used; None: as apt's settings say.
            now: For telling what had expired.
            as_root: Where maintainer scripts run; None: configured trees are not made.
            source: One for apt (sources.list(5)) that is asked, and no mirror; whoever gives it looks at the digests.
        """
        self._etc_apt = etc_apt
        self._source = source
        self._keyring = keyring
        self._accept_expired = accept_expired
        self._now = now
        self._as_root = as_root

    def __call__(self, spec: Manifest, root: Path) -> Made:
        """Make the tree at ``root``, which must not exist; its parent directory takes logs.

        Raises:
            BuildEnvironmentError: it cannot be made; the sentence says why.
        """
        if shutil.which("mmdebstrap") is None:
            raise BuildEnvironmentError(
                f"The build environment {spec.name} cannot be made, because mmdebstrap is not installed.",
                hint="apt-get install mmdebstrap debian-archive-keyring",
            )
        if spec.configured and self._as_root is None:
            raise BuildEnvironmentError(
                f"The build environment {spec.name} cannot be made here, because it is a configured one.",
                hint=f"rebuilder environments make {spec.name}",
            )
        if not self._keyring.is_file():
            raise BuildEnvironmentError(
                f"The build environment {spec.name} cannot be made: the keys of the Debian archive are not installed.",
                hint="apt-get install debian-archive-keyring",
            )
        began = int(root.parent.stat().st_mtime)
        settings = sources.apt_settings()
        etc_apt, suites = self._etc_apt or sources.etc_apt(settings), (spec.suite, *spec.also)
        lines = [line for suite in suites for line in sources.sources(suite, etc_apt=etc_apt, keyring=self._keyring)]
        lines = lines if self._source is None else [self._source]
        permitted = expiry.permission(suites, settings, self._accept_expired)
        options = [*sources.network_options(settings), *permitted.options]
        log = root.parent / "mmdebstrap.log"
        environment = {"PATH": _path(), "LC_ALL": "C.UTF-8", "TMPDIR": str(root.parent)}
        try:
            run(["mmdebstrap", "--version"], environment=environment, log=log, seconds=60)
            tool = log.read_text(encoding="utf-8", errors="replace").strip()
            run(
                [*_command(spec, options, self._keyring), str(root), *lines],
                environment=environment | _proxies(),
                log=log,
                seconds=_SECONDS,
            )
        except CommandError as error:
            raise _explained(spec, error) from error
        kept = tuple(" ".join(map(sources.without_password, line.split())) for line in lines)
        signed = releases(root)
        said = expiry.notes(signed, permitted, self._now())
        made = Made(packages=packages(root), releases=signed, sources=kept, tool=tool, notes=said)
        if self._as_root is not None and spec.configured:
            configure(spec, root, self._as_root, began)
        else:
            finish(root, spec.links, spec.prune, python=spec.provides.get("python"))
        return made


def _command(spec: Manifest, options: list[str], keyring: Path) -> list[str]:
    return [
        "mmdebstrap",
        "--variant=extract",
        "--mode=chrootless",
        "--format=directory",
        *(f"--include={each}" for each in spec.packages),
        f"--setup-hook={_MERGED_USR}",
        f"--keyring={keyring}",
        "--skip=cleanup/apt,output/dev",
        *(f"--aptopt={option}" for option in (*options, *_NEVER_UNSIGNED)),
        spec.suite,
    ]


def _path() -> str:
    return f"{os.environ.get('PATH', '/usr/bin')}:/usr/sbin:/sbin"


def _proxies() -> dict[str, str]:
    """The proxies apt itself takes from the environment."""
    names = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
    return {name: os.environ[name] for name in names if name in os.environ}


def _lacking(output: str) -> str:
    """The packages that apt could not find, as the end of a sentence; empty where it names none."""
    found = list(dict.fromkeys(" ".join(filter(None, each.groups()[::-1])) for each in _NO_PACKAGE.finditer(output)))
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f": {', '.join(found[:_MOST_NAMED])}{more}" if found else ""


def _explained(spec: Manifest, error: CommandError) -> BuildEnvironmentError:
    if gone := _GONE.search(error.output):
        return BuildEnvironmentError(
            f"The build environment {spec.name} cannot be made: the mirror no longer has {gone['suite']}.",
            hint="Old releases of Debian move to an archive; name a mirror that has it in apt's settings.",
        )
    for signs, reason, hint in _REASONS:
        if any(sign in error.output for sign in signs):
            mend, said = hint.replace("{suite}", spec.suite), reason.replace("{packages}", _lacking(error.output))
            return BuildEnvironmentError(f"The build environment {spec.name} cannot be made: {said}.", hint=mend)
    lines = [line for line in error.output.splitlines() if line.startswith("E: ")] or error.output.splitlines()
    words = clipped(lines[0], 300) if lines else ""
    said = f" It said: {words}" if words else ""
    return BuildEnvironmentError(f"The build environment {spec.name} cannot be made: {error}.{said}")


_FIELD = re.compile(r"^(Package|Version|Architecture|SHA256): *(\S+)$", re.MULTILINE)
_RELEASE_FIELD = re.compile(r"^(Date|Valid-Until): *(.+?)$", re.MULTILINE)


def packages(root: Path) -> tuple[Package, ...]:
    """The packages apt downloaded for a tree, sorted by name.

    Each file is looked up in the package lists and its digest compared, so that a package nobody signed for cannot be
    among them. The tree still has apt's lists and downloaded archives in it.

    Raises:
        BuildEnvironmentError: there is none, one is in no list, or its bytes are not those of the list.
    """
    known = {
        (each.name, each.version, each.architecture): each
        for file in (root / "var/lib/apt/lists").glob("*_Packages")
        for each in _listed(file)
    }
    found = []
    for deb in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        name, _, rest = unquote(deb.stem).partition("_")
        version, _, architecture = rest.rpartition("_")
        package = known.get((name, version, architecture))
        with deb.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if package is None or package.sha256 != sha256:
            raise BuildEnvironmentError(
                f"The package {name} {version} is not the one that the archive's signed list names."
            )
        found.append(package)
    if not found:
        raise BuildEnvironmentError(
            "Apt downloaded no packages, so it is not known what the build environment is made from."
        )
    return tuple(found)


def _listed(file: Path) -> Iterator[Package]:
    for stanza in deb822.stanzas(file.read_bytes()):
        fields = dict(_FIELD.findall(stanza.decode("utf-8", "replace")))
        if len(fields) == 4:
            yield Package(
                name=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                sha256=Sha256(fields["SHA256"]),
            )


def releases(root: Path) -> tuple[Release, ...]:
    """The signed releases those packages come from."""
    found = []
    for file in sorted((root / "var/lib/apt/lists").glob("*_InRelease")):
        data = file.read_bytes()
        fields = dict(_RELEASE_FIELD.findall(data.decode("utf-8", "replace")))
        suite = file.name.removesuffix("_InRelease").rsplit("_dists_", 1)[-1]
        sha256 = Sha256(hashlib.sha256(data).hexdigest())
        date, valid_until = fields.get("Date", "unknown"), fields.get("Valid-Until")
        found.append(Release(suite=suite, date=date, valid_until=valid_until, sha256=sha256))
    return tuple(found)
