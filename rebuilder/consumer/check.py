"""Asks several rebuilders at once about every file that is to be installed, and holds their votes against a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self, TypeVar

from packaging.utils import canonicalize_name

from rebuilder.consumer.answer import Answer, Outcome, Standing, Vote, dissent, newest
from rebuilder.consumer.lock_files import Dependency, LockedFile
from rebuilder.consumer.platform_files import Target, is_of, same_file, same_version
from rebuilder.consumer.policy import IMAGES, Policy
from rebuilder.consumer.rebuilder import Rebuilder, Trusted
from rebuilder.errors import UnavailableError, UsageError
from rebuilder.model.value import Sha256, Sha512
from rebuilder.network.site_reader import SiteReader

_AT_ONCE = 8
Digest = Sha256 | Sha512
Asked = TypeVar("Asked")
Found = TypeVar("Found")
Names = Callable[[str], dict[str, str]]
"""The file names of a project by their SHA-256, as its index lists them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a rebuilder gave no vote that can be used."""

    sentence: str
    changed: bool
    """What it shows is not what it must be; otherwise it could not be read."""


class Speaker(Protocol):
    """Anybody else who says something about a file; :class:`rebuilder.consumer.rebuilder.Rebuilder` does, too."""

    @property
    def name(self) -> str:
        """What people call them."""
        ...

    def vote(self, digest: Sha256 | Sha512) -> Vote | None:
        """What they say about a file by one of its digests, checked; None: nothing.

        Raises:
            UnavailableError: they do not answer.
            ValueError: what they show is not what it must be.
        """
        ...


class Panel:
    """The rebuilders that are asked. A context: their sites are closed at its end.

    Args:
        trusted: Whom to ask.
        memory: Directory where what was seen is remembered.
        now: By this machine's clock.
        others: Whom to ask besides, from this machine.

    Raises:
        UsageError: a place is none, or there are two of one name.
    """

    def __init__(self, trusted: Sequence[Trusted], memory: Path, now: datetime, others: Sequence[Speaker] = ()) -> None:
        self._closing = ExitStack()
        self._memory = memory
        self.now = now
        self.rebuilders: list[Rebuilder] = []
        self.unread: list[str] = []
        """What could not be read, as sentences."""
        self.refused: list[str] = []
        """What is not what it must be, as sentences."""
        self.names = [*(each.name or each.place for each in trusted), *(each.name for each in others)]
        self._others = others
        opened = _at_once(self._opened, trusted, remote=any("://" in each.place for each in trusted))
        for place, found in zip(self.names, opened, strict=False):
            if isinstance(found, Rebuilder):
                self.rebuilders.append(found)
            else:
                (self.refused if found.changed else self.unread).append(f"{place}: {found.sentence}")
        self._hold_together()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _opened(self, trusted: Trusted) -> Rebuilder | Fault:
        site = self._closing.enter_context(SiteReader(trusted.place))
        try:
            return Rebuilder.open(trusted, site, self._memory, self.now)
        except UnavailableError as error:
            return Fault(str(error), changed=False)
        except ValueError as error:
            return Fault(str(error), changed=True)

    def _hold_together(self) -> None:
        """Copies of one log must be one history, and are one operator."""
        for number, one in enumerate(self.rebuilders):
            for other in self.rebuilders[:number]:
                if one.same_operator(other):
                    one.operator = other.operator
                try:
                    one.same_log(other)
                except UnavailableError as error:
                    self.unread.append(f"{one.trusted.place}: {error}")
                except ValueError as error:
                    self.refused.append(f"{one.trusted.place} and {other.trusted.place}: {error}")

    def ask(self, digests: Iterable[Digest]) -> dict[Digest, list[Vote | Fault]]:
        """What all say about some files, by digest; one that says nothing is left out."""
        wanted = list(dict.fromkeys(digests))
        found: dict[Digest, list[Vote | Fault]] = {each: [] for each in wanted}
        near = [*(each for each in self.rebuilders if not each.site.is_remote), *self._others]
        for rebuilder in near:
            for digest in wanted:
                _add(found, digest, _said(rebuilder, digest))
        questions = [(each, digest) for digest in wanted for each in self.rebuilders if each.site.is_remote]
        answers = _at_once(lambda both: _said(*both), questions, remote=True)
        for (_, digest), said in zip(questions, answers, strict=True):
            _add(found, digest, said)
        return {digest: _newest(said) for digest, said in found.items()}

    def remember(self) -> None:
        """Remember what was seen of those that are what they must be.

        Raises:
            StoreError: it cannot be written.
        """
        if not self.refused:
            for each in self.rebuilders:
                each.remember(self._memory)


def check(
    dependencies: Sequence[Dependency], panel: Panel, policy: Policy, target: Target, names: Names | None
) -> Outcome:
    """Answer for every dependency.

    Args:
        dependencies: What is to be installed.
        panel: Whom to ask.
        policy: What is asked for.
        target: The platform whose files count.
        names: Asked where a lock file has digests without names; None: nobody is asked.

    Raises:
        UsageError: the policy asks for more rebuilders than there are, or names an export that cannot be read.
    """
    if policy.need > len(panel.names):
        raise UsageError(f"{policy.need} rebuilders must confirm each file, and {len(panel.names)} are asked.")
    if policy.vulnerabilities is not None:
        dependencies = policy.vulnerabilities.objecting(dependencies)
    said = panel.ask(
        file.digest for each in dependencies for file in _possible(each, target) if file.digest is not None
    )
    judge = _Judge(said, panel, policy, names)
    answers = tuple(answer for each in dependencies for answer in judge.answers(each, target))
    remarks = [each for one in panel.rebuilders for each in one.remarks] + panel.unread
    return Outcome(answers, tuple(panel.names), panel.now, tuple(remarks), tuple(panel.refused))


def _possible(dependency: Dependency, target: Target) -> list[LockedFile]:
    installed = target.installed(dependency.files, any_file=dependency.any_file)
    return list(dependency.files) if installed.unnamed else list(installed.files)


@dataclass(frozen=True)
class _Judge:
    said: dict[Digest, list[Vote | Fault]]
    panel: Panel
    policy: Policy
    names: Names | None

    def answers(self, dependency: Dependency, target: Target) -> Iterator[Answer]:
        if dependency.problem is not None or not dependency.files:
            only = dependency.files[0] if len(dependency.files) == 1 else None
            yield self._undecided(dependency, only, dependency.problem or "No file of it is known.")
            return
        installed = target.installed(dependency.files, any_file=dependency.any_file)
        if installed.unnamed:
            every = [self._about(dependency, each) for each in dependency.files]
            if all(each.standing.passes for each in every):
                yield min(every, key=lambda each: each.level is not None)
                return
            dependency, problem = self._named(dependency)
            installed = target.installed(dependency.files)
            if installed.unnamed:
                bad = next((each for each in every if each.standing in _AGAINST), None)
                yield bad or self._undecided(dependency, None, problem)
                return
        if not installed.files:
            yield self._undecided(dependency, None, f"None of its {len(dependency.files)} files fits this platform.")
        for file in installed.files:
            yield self._about(dependency, file)

    def _named(self, dependency: Dependency) -> tuple[Dependency, str]:
        """The files with the names that an index gives them."""
        count = f"Which of its {len(dependency.files)} files is installed"
        if self.names is None:
            return dependency, f"{count} is not said by the lock file; without asking an index nobody knows."
        try:
            names = self.names(dependency.name)
        except UnavailableError as error:
            return dependency, f"{count} is not said by the lock file, and the index cannot be asked: {error}"
        files = [replace(each, filename=each.filename or names.get(each.sha256 or "")) for each in dependency.files]
        return replace(dependency, files=tuple(files)), f"{count} is said by neither the lock file nor the index."

    def _about(self, dependency: Dependency, file: LockedFile) -> Answer:
        if file.digest is None:
            sentence = "Nothing says its SHA-256 or its SHA-512, and rebuilders answer by these."
            return self._undecided(dependency, file, sentence)
        said = self.said.get(file.digest, [])
        votes = [each for each in said if isinstance(each, Vote)]
        faults = [each for each in said if isinstance(each, Fault)]
        strange = [each for each in votes if not _is_about(each, dependency, file)]
        known = [each for each in votes if each not in strange]
        counted, reasons = self.policy.counted(known, dependency.name, self.panel.now)
        reasons += [f"{each.voter.name} knows these bytes as {each.filename}" for each in strange]
        standing, sentence = self._standing(votes, faults, counted, reasons, dependency.objection)
        found = Answer(dependency, file, standing, sentence, tuple(counted), tuple(votes))
        return self._lenient(found, tolerable=not strange)

    def _standing(
        self, votes: list[Vote], faults: list[Fault], counted: list[Vote], reasons: list[str], objection: str | None
    ) -> tuple[Standing, str]:
        if changed := [each.sentence for each in faults if each.changed]:
            return Standing.REFUSED, changed[0]
        if against := dissent(votes):
            return Standing.DIFFERS, f"{against[0].voter.name}: {against[0].sentence}"
        lack = self.policy.enough(counted) or objection
        if lack is None:
            asked = len(self.panel.names)
            return Standing.PASSED, f"Confirmed by {len(counted)} of {asked} rebuilder{'' if asked == 1 else 's'}."
        others = [f"{each.voter.name}: {each.verdict.spoken}" for each in votes if each.level is None]
        unread = [each.sentence for each in faults] + self.panel.unread
        if not votes and not unread:
            others = ["Nobody who was asked knows these bytes."]
        standing = Standing.UNANSWERED if unread else Standing.UNDECIDED
        return standing, " ".join([lack, *(f"{each}." for each in reasons), *others, *unread[:1]])

    def _undecided(self, dependency: Dependency, file: LockedFile | None, sentence: str) -> Answer:
        return self._lenient(Answer(dependency, file, Standing.UNDECIDED, sentence))

    def _lenient(self, answer: Answer, *, tolerable: bool = True) -> Answer:
        """The answer with what the policy lets through all the same; never what was changed."""
        if answer.standing in {Standing.PASSED, Standing.REFUSED}:
            return answer
        waiver, over = self.policy.waiver(answer.dependency, answer.file, self.panel.now)
        if waiver is not None:
            said = f"An exception until {waiver.until}: {waiver.reason} ({answer.sentence})"
            return replace(answer, standing=Standing.EXCEPTED, sentence=said)
        tolerable = tolerable and answer.dependency.objection is None
        if tolerable and answer.standing is Standing.UNDECIDED and self.policy.undecided == "warn":
            answer = replace(answer, standing=Standing.TOLERATED)
        return replace(answer, sentence=f"{answer.sentence} {over}") if over is not None else answer


_BY_NAME = {"deb", "npm"}
"""Ecosystems in which a package has one spelling, and the name of a file says no more than that."""


def _is_about(vote: Vote, dependency: Dependency, file: LockedFile) -> bool:
    """Whether a vote is about the file that is asked for, and not only about its bytes.

    A lock file may give the digest of one release to another, and a file may be renamed: what was confirmed then is not
    what somebody thinks is installed.
    """
    if dependency.ecosystem in {"", IMAGES}:
        return file.filename is None or same_file(file.filename, vote.filename) is not False
    if dependency.ecosystem in _BY_NAME:
        return vote.package in {None, dependency.name} and (
            None in {vote.version, dependency.version} or vote.version == dependency.version
        )
    found = is_of(vote.filename, dependency.name, dependency.version)
    if found is None:  # the name does not say the release, so it must be that very name, of that release
        named = vote.package is None or canonicalize_name(vote.package) == dependency.name
        said = None in {vote.version, dependency.version} or same_version(vote.version or "", dependency.version or "")
        return named and said and file.filename in {None, vote.filename}
    return found is not False and (file.filename is None or same_file(file.filename, vote.filename) is not False)


_AGAINST = {Standing.DIFFERS, Standing.REFUSED}


def _at_once(ask: Callable[[Asked], Found], of: Sequence[Asked], *, remote: bool) -> list[Found]:
    """What is answered to each, in their order; several at once where each is a request."""
    if not remote or not of:
        return [ask(each) for each in of]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, of))


def _said(rebuilder: Speaker, digest: Digest) -> Vote | Fault | None:
    try:
        return rebuilder.vote(digest)
    except UnavailableError as error:
        return Fault(f"{rebuilder.name}: {error}", changed=False)
    except ValueError as error:
        return Fault(f"{rebuilder.name}: {error}", changed=True)


def _newest(said: list[Vote | Fault]) -> list[Vote | Fault]:
    return [
        *newest(each for each in said if isinstance(each, Vote)),
        *(each for each in said if isinstance(each, Fault)),
    ]


def _add(found: dict[Digest, list[Vote | Fault]], digest: Digest, said: Vote | Fault | None) -> None:
    if said is not None:
        found[digest].append(said)
