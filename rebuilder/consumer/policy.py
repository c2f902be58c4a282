"""What somebody asks of a file before it is installed, in a TOML file."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from packaging.utils import canonicalize_name
from pydantic import Field, StringConstraints, ValidationError, field_validator

from rebuilder.consumer.answer import Level, Vote, independent
from rebuilder.consumer.lock_files import Dependency, LockedFile
from rebuilder.consumer.rebuilder import Trusted
from rebuilder.errors import UsageError
from rebuilder.log.note import LogPolicy, NoteKey
from rebuilder.model.value import Sha256Field, Sha512Field, Value
from rebuilder.toml_files import mistake, parse_toml, read_text
from rebuilder.vulnerabilities import SEVERITIES, Export, Vulnerability, newest

IMAGES = "oci"
"""What the ecosystem of container images is called."""
_Words = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class TrustedSetting(Value):
    """A rebuilder that is asked."""

    place: _Words
    """Directory, address or bundle of its site."""
    name: _Words | None = None
    log_key: _Words | None = None
    """The key of its log as one word (``rebuilder log key``); without it, the first one seen counts."""
    key_list: Path | None = None
    """A ``keys.json`` of it that came by another way."""
    log_policy: Path | None = None
    """Which logs count, and which witnesses must have cosigned (C2SP tlog-policy)."""

    @field_validator("log_key")
    @classmethod
    def _readable(cls, key: str | None) -> str | None:
        if key is not None:
            NoteKey.read(key)
        return key


class OtherSetting(Value):
    """A rebuilder that signs in another format; what it signed lies in a directory."""

    kind: Literal["oss-rebuild", "rebuilderd"]
    place: Path
    """Directory of its bundles or links."""
    key: Path
    """The key that they must be signed with."""
    name: _Words
    """Who it is: all votes of one name are one vote."""


class PublisherRule(Value):
    """Who must have published some packages, by the attestation that the publisher made."""

    packages: tuple[_Words, ...]
    """Names, or patterns with ``*`` and ``?``."""
    publisher: _Words
    """Address of the repository, or the identity in the certificate."""


class Waiver(Value):
    """A file that may be installed although it does not pass, for a reason and until a day."""

    package: _Words
    """Its name, or a pattern for names; or for package URLs, such as ``pkg:npm/*@1.0.*``, ``pkg:oci/example.org/*``."""
    version: str | None = None
    """None: any."""
    sha256: Sha256Field | None = None
    sha512: Sha512Field | None = None
    """Digests of the one file that it is for, as the lock file has them; None: any file of it."""
    until: date
    """The last day, in UTC."""
    reason: _Words

    def is_for(self, asked: Dependency, file: LockedFile | None) -> bool:
        """Whether it is for a file of a package; where no digest is named, for any file, and for what is not known."""
        if self.package.startswith("pkg:"):
            purl = f"pkg:{asked.ecosystem}/{asked.name}"
            fits = any(fnmatch.fnmatchcase(each, self.package) for each in (purl, f"{purl}@{asked.version or ''}"))
        else:  # whoever names an image could give it the name of any package
            fits = asked.ecosystem != IMAGES and _fits(self.package, asked.name)
        same = all(getattr(self, each) in {None, getattr(file, each, None)} for each in ("sha256", "sha512"))
        return fits and same and self.version in {None, asked.version}


class ImageSetting(Value):
    """How it is known what is inside container images that a cluster is to run."""

    sboms: Path | None = None
    """Directory of what is known of images, in files that are called by their digests; None: nothing is."""
    keys: tuple[Path, ...] = ()
    """Public keys, one of which must have signed what counts; none: whoever fills the directory is trusted."""
    ecosystems: tuple[_Words, ...] = ("deb", "npm", "pypi")
    """Types of packages (as in package URLs) that rebuilders are asked about; others count for nothing."""


class Policy(Value):
    """The rules; without a file: one rebuilder, whatever the level."""

    need: int = Field(default=1, ge=1, le=100)
    """How many independent rebuilders must confirm a file."""
    lineages: int = Field(default=1, ge=1, le=100)
    """How many programs that find out how to build must be among them."""
    level: Level = Level.EQUIVALENT
    """The weakest level that counts."""
    max_age_days: int | None = Field(default=None, ge=1)
    """How old a statement may be, by the log; None: any age."""
    undecided: Literal["refuse", "warn"] = "refuse"
    """What becomes of a file that nothing speaks against, and too little for."""
    rebuilders: tuple[TrustedSetting, ...] = ()
    others: tuple[OtherSetting, ...] = ()
    publishers: tuple[PublisherRule, ...] = ()
    exceptions: tuple[Waiver, ...] = ()
    images: ImageSetting = ImageSetting()
    vulnerabilities: VulnerabilityRule | None = None
    """What becomes of releases that are known to be vulnerable; None: nobody looks."""

    def trusted(self, base: Path) -> list[Trusted]:
        """The rebuilders that are asked; relative paths are below a directory.

        Raises:
            UsageError: a list of keys cannot be read.
        """
        return [_trusted(each, base) for each in self.rebuilders]

    def publisher(self, name: str) -> str | None:
        """Who must have published a package; None: anybody."""
        rules = (each for each in self.publishers if any(_fits(pattern, name) for pattern in each.packages))
        return next((each.publisher for each in rules), None)

    def counted(self, votes: list[Vote], name: str, now: datetime) -> tuple[list[Vote], list[str]]:
        """The votes that count for a package, one for each operator, and why others do not, as sentences."""
        publisher = self.publisher(name)
        found, reasons = [], []
        for vote in votes:
            reason = self._against(vote, publisher, now)
            if reason is None:
                found.append(vote)
            elif vote.level is not None:
                reasons.append(f"{vote.voter.name}: {reason}")
        return independent(found), reasons

    def enough(self, counted: list[Vote]) -> str | None:
        """What is missing, as a sentence; None: nothing."""
        if len(counted) < self.need:
            confirm = "rebuilder confirms" if len(counted) == 1 else "rebuilders confirm"
            return f"{len(counted) or 'No'} {confirm} it; {self.need} {'has' if self.need == 1 else 'have'} to."
        lineages = len({each.voter.lineage for each in counted})
        if lineages < self.lineages:
            return f"What confirms it is the work of {lineages} program, and {self.lineages} are asked for."
        return None

    def waiver(
        self, dependency: Dependency, file: LockedFile | None, now: datetime
    ) -> tuple[Waiver | None, str | None]:
        """The exception for a file, and a sentence about one that is over."""
        over = None
        for each in self.exceptions:
            if not each.is_for(dependency, file):
                continue
            if now.astimezone(UTC).date() <= each.until:
                return each, None
            over = f"An exception for it ended on {each.until} ({each.reason})."
        return None, over

    def _against(self, vote: Vote, publisher: str | None, now: datetime) -> str | None:
        if vote.level is None:
            return "it does not confirm the file"
        if not vote.level.reaches(self.level):
            return f"{vote.level} is less than {self.level}"
        moment = vote.logged or vote.verified
        if self.max_age_days is not None and (moment is None or now - moment > timedelta(days=self.max_age_days)):
            return f"the statement is older than {self.max_age_days} days"
        if publisher is not None and vote.publisher != publisher:
            return f"published by {vote.publisher or 'nobody who is attested'}, not by {publisher}"
        return None


def read_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        UsageError: the file cannot be read, or has a mistake.
    """
    try:
        policy = Policy.model_validate(parse_toml(path, read_text(path)))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        known = sorted(
            {
                name
                for kind in (
                    Policy,
                    TrustedSetting,
                    OtherSetting,
                    PublisherRule,
                    Waiver,
                    ImageSetting,
                    VulnerabilityRule,
                )
                for name in kind.model_fields
            }
        )
        raise UsageError(
            f"{path}: “{key}” {mistake(first, known)}.", hint="docs/check.md lists what there is."
        ) from None
    if (rule := policy.vulnerabilities) is None:
        return policy
    return policy.replace(vulnerabilities=rule.replace(osv=path.parent / rule.osv))


def _trusted(setting: TrustedSetting, base: Path) -> Trusted:
    place = setting.place if "://" in setting.place else str(base / setting.place)
    key_list = None
    if setting.key_list is not None:
        try:
            key_list = (base / setting.key_list).read_bytes()
        except OSError as error:
            raise UsageError(f"The list of keys {setting.key_list} cannot be read: {error.strerror}.") from None
    log_key = NoteKey.read(setting.log_key) if setting.log_key is not None else None
    log_policy = read_log_policy(base / setting.log_policy) if setting.log_policy is not None else None
    if log_key is not None and log_policy is not None and log_policy.logs:
        raise UsageError(f"{setting.place}: the key of the log is in {setting.log_policy}; leave “log_key” out.")
    return Trusted(place, setting.name, log_key, key_list, log_policy)


def read_log_policy(file: Path) -> LogPolicy:
    """Read a policy for logs.

    Raises:
        UsageError: the file cannot be read, or has a mistake.
    """
    try:
        return LogPolicy.read(file.read_bytes())
    except OSError as error:
        raise UsageError(f"The policy for logs {file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{file}: {error}", hint="Its format is https://c2sp.org/tlog-policy.") from None


def _fits(pattern: str, name: str) -> bool:
    if pattern.startswith("@") or name.startswith("@"):
        return fnmatch.fnmatchcase(name, pattern)
    wanted = pattern if set(pattern) & set("*?[") else canonicalize_name(pattern)
    return fnmatch.fnmatchcase(name, wanted) or pattern == name


_NAMED = 3


class VulnerabilityRule(Value):
    """What becomes of a release that is known to be vulnerable; an exception of the policy goes over it."""

    osv: Path
    """Export of OSV: a directory, or a zip archive."""
    refuse: Literal["any", "low", "moderate", "high", "critical", "malicious"] = "any"
    """From which severity on; what is not rated counts as critical."""
    accept: tuple[str, ...] = ()
    """Identifiers, or aliases such as ``CVE-2026-1234``, that are known and accepted."""

    def objecting(self, dependencies: Iterable[Dependency]) -> list[Dependency]:
        """The same, with an objection to each that is vulnerable and has none yet.

        Raises:
            UsageError: the export cannot be read.
        """
        export = newest(self.osv)
        return [replace(each, objection=each.objection or self._objection(each, export)) for each in dependencies]

    def _objection(self, each: Dependency, export: Export) -> str | None:
        known = export.affecting(each.ecosystem, each.name, each.version or "")
        bad = [one.id + (f" ({one.severity})" if one.severity else "") for one in known if self._refuses(one)]
        if not bad:
            return None
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        return f"{each.name} {each.version} is known to be vulnerable: {', '.join(bad[:_NAMED])}{more}."

    def _refuses(self, one: Vulnerability) -> bool:
        if {one.id, *one.aliases} & set(self.accept):
            return False
        least = SEVERITIES.index(self.refuse) if self.refuse != "any" else 0
        return SEVERITIES.index(one.severity or "critical") >= least
