"""Commits fetched from git repositories, each as an archive of its files."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from rebuilder.errors import FetchMismatchError, ForbiddenAddressError, StoreError
from rebuilder.model.git import (
    BlobSearch,
    Commit,
    CommitFiles,
    CommitHistory,
    SourceProblem,
    SourceTree,
    Submodule,
    Tag,
    Trouble,
)
from rebuilder.model.text import clipped
from rebuilder.model.value import sha256_hex
from rebuilder.network.git.address import Mirrors, RefusedAddress, Remote, key, public, submodule_address
from rebuilder.network.git.blob_search import fetch_history, search
from rebuilder.network.git.history import read_history
from rebuilder.network.git.objects import (
    ArchiveFindings,
    Contents,
    RawCommit,
    TreeEntry,
    Unsound,
    read_commit,
    read_entries,
    read_object,
    read_references,
    read_submodules,
    tag_points_at,
    tar_chunks,
)
from rebuilder.network.git.process import NOT_HANDED_OUT, Done, Git, GitStopped, redirection
from rebuilder.network.reach import Reach
from rebuilder.network.relay import Relay
from rebuilder.store.protocol import Blobs

_SHA = re.compile(r"[0-9a-f]{40}")
_TAG_NAME = re.compile(r"(?![-.])[^\x00-\x20\x7f~^:?*\[\\]{1,200}")
_TAGS = "refs/tags/"
_MOST_TAGS = 20
_GITMODULES_BYTES = 1 << 18
_MOST_SUBMODULES = 50
"""Of a commit and of its submodules together."""
_ADVERTISED_BYTES = 64 << 20
_TEXT_BYTES = 1 << 20
_MOST_TEXTS = 2_000
_TEXTS_BYTES = 64 << 20
"""Of all texts of a commit together; those nearest to the top are read of more."""
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class GitLimits:
    """What one repository may cost."""

    seconds: float = 300
    """For one question, waiting for another process included."""
    fetched_bytes: int = 512 << 20
    """What may be downloaded for one commit."""
    content_bytes: int = 1 << 30
    """All files of a commit together."""
    files: int = 100_000
    slow_seconds: int = 30
    """How long a server may send next to nothing."""


class GitSources:
    """Implements :class:`rebuilder.network.protocol.Sources` with the machine's git.

    Args:
        blobs: Where archives and raw objects go.
        cache_directory: One bare repository for each address; made when it is needed, safe to remove.
        mirrors: See :class:`rebuilder.network.git.address.Mirrors`.
        limits: What one repository may cost.
        environment: The machine's; only its proxies and certificates count.
        reachable: Origins that may be asked although they are not public; those of mirrors are anyway.

    Raises:
        UsageError: the mirrors cannot be understood.
    """

    def __init__(
        self,
        blobs: Blobs,
        cache_directory: Path,
        mirrors: Mapping[str, str] | None = None,
        *,
        limits: GitLimits | None = None,
        environment: Mapping[str, str] | None = None,
        reachable: Sequence[str] = (),
    ) -> None:
        self._blobs = blobs
        self._cache = cache_directory
        self._mirrors = Mirrors(mirrors or {})
        self._limits = limits or GitLimits()
        self._environment = os.environ if environment is None else environment
        self._reach = Reach([*reachable, *self._mirrors.servers], self._environment)
        self.unreached: list[SourceProblem] = []

    def noting(self, unreached: list[SourceProblem]) -> GitSources:
        """See :meth:`rebuilder.network.protocol.Sources.noting`."""
        same = copy.copy(self)
        same.unreached = unreached
        return same

    def commit(self, repository_url: str, sha: str, tag_hint: str | None = None) -> SourceTree | SourceProblem:
        """See :meth:`rebuilder.network.protocol.Sources.commit`."""
        if not _SHA.fullmatch(sha):
            return _no_name(sha)
        hint = tag_hint.removeprefix(_TAGS) if tag_hint else None
        found = self._commit(repository_url, sha, hint)
        return found if isinstance(found, SourceProblem) else self._with_submodules(found)

    def _commit(self, repository_url: str, sha: str, hint: str | None) -> SourceTree | SourceProblem:
        """One commit without the content of its submodules, of which it says where they are."""
        return self._asked(
            repository_url,
            lambda git: _Visit(self._blobs, git, self._limits, sha, hint).source(),
        )

    def _asked(
        self, repository_url: str, ask: Callable[[Git], _Answer | SourceProblem], kind: str = ""
    ) -> _Answer | SourceProblem:
        """What asking the cached repository of an address gives, or what kept it from being asked."""
        try:
            remote = self._mirrors.remote(public(repository_url))
        except RefusedAddress as refusal:
            return SourceProblem(trouble=Trouble.REFUSED, sentence=str(refusal))
        answer = self._answered(remote, ask, kind)
        if isinstance(answer, SourceProblem) and not answer.for_everybody:
            self.unreached.append(answer)
        return answer

    def _answered(
        self, remote: Remote, ask: Callable[[Git], _Answer | SourceProblem], kind: str
    ) -> _Answer | SourceProblem:
        try:
            with self._repository(remote, kind) as git:
                return ask(git)
        except RefusedAddress as refusal:
            return SourceProblem(trouble=Trouble.REFUSED, sentence=str(refusal))
        except Unsound as reason:
            return SourceProblem(trouble=reason.trouble, sentence=str(reason))
        except GitStopped as stop:
            return self._stopped(stop, remote)

    def files(self, repository_url: str, sha: str, *, texts: str | None = None) -> CommitFiles | SourceProblem:
        """See :meth:`rebuilder.network.protocol.Sources.files`."""
        if not _SHA.fullmatch(sha):
            return _no_name(sha)
        return self._asked(
            repository_url,
            lambda git: _Visit(self._blobs, git, self._limits, sha, None).listing(texts),
        )

    def holders(
        self, repository_url: str, members: Mapping[str, str], also: Sequence[str] = (), *, text: str | None = None
    ) -> BlobSearch | SourceProblem:
        """See :meth:`rebuilder.network.protocol.Sources.holders`."""

        def ask(git: Git) -> BlobSearch | SourceProblem:
            problem = fetch_history(git, self._limits.fetched_bytes)
            return problem or search(git, members, also, text=text)

        return self._asked(repository_url, ask, "trees")

    def _with_submodules(self, tree: SourceTree) -> SourceTree:
        """The same with its submodules and theirs, as far as they can be had and their number is not too large."""
        found: list[Submodule] = []
        large, pending, size = list(tree.large_files), list(tree.submodules), tree.size
        while pending:
            submodule, *pending = pending
            answer: SourceTree | SourceProblem | None = None
            if submodule.problem is None and len(found) >= _MOST_SUBMODULES:
                submodule = submodule.replace(problem=f"Up to {_MOST_SUBMODULES} submodules are fetched.")
            elif submodule.problem is None and submodule.repository is not None:
                answer = self._commit(submodule.repository, submodule.commit, None)
            if isinstance(answer, SourceProblem):
                submodule = submodule.replace(problem=answer.sentence)
            elif answer is not None and size + answer.size > self._limits.content_bytes:
                sentence = (
                    f"All files of the commit and its submodules have more than {self._limits.content_bytes:,} bytes."
                )
                submodule = submodule.replace(problem=sentence)
            elif answer is not None:
                size += answer.size
                submodule = submodule.replace(
                    archive_sha256=answer.archive_sha256, object_sha256=answer.commit.object_sha256
                )
                below = [each.replace(path=f"{submodule.path}/{each.path}") for each in answer.submodules]
                pending = [*below, *pending]
                large += [each.replace(path=f"{submodule.path}/{each.path}") for each in answer.large_files]
            found.append(submodule)
        return tree.replace(submodules=tuple(found), large_files=tuple(large))

    def with_history(self, tree: SourceTree) -> SourceTree:
        """See :meth:`rebuilder.network.protocol.Sources.with_history`."""

        def ask(git: Git) -> CommitHistory | SourceProblem:
            named, _ = advertised(git)
            if isinstance(named, SourceProblem):
                return named
            return read_history(git, tree.commit, named, self._blobs, self._limits.fetched_bytes)

        history = self._asked(tree.commit.repository, ask, "history")
        if isinstance(history, SourceProblem):
            return tree.replace(notes=(*tree.notes, f"The history before the commit cannot be had. {history.sentence}"))
        return tree.replace(history=history)

    def tags(self, repository_url: str) -> Mapping[str, str] | SourceProblem:
        """See :meth:`rebuilder.network.protocol.Sources.tags`."""

        def ask(git: Git) -> Mapping[str, str] | SourceProblem:
            found, _ = advertised(git)
            return found if isinstance(found, SourceProblem) else tags_among(found)

        return self._asked(repository_url, ask)

    def _stopped(self, stop: GitStopped, remote: Remote) -> SourceProblem:
        if stop.limit == "size":
            megabytes = self._limits.fetched_bytes >> 20
            sentence = f"{remote.shown} sends more than is taken ({megabytes:,} MB for one commit)."
            return SourceProblem(trouble=Trouble.TOO_LARGE, sentence=sentence)
        sentence = f"{remote.shown} took longer than {self._limits.seconds:g} seconds."
        return SourceProblem(trouble=Trouble.TIMED_OUT, sentence=sentence)

    @contextlib.contextmanager
    def _repository(self, remote: Remote, kind: str = "") -> Iterator[Git]:
        """The cached repository of an address, held by us alone; one without files is of a kind of its own."""
        if remote.origin is not None:
            try:
                self._reach.check(remote.origin)
            except ForbiddenAddressError as error:
                raise RefusedAddress(str(error)) from None
        deadline = time.monotonic() + self._limits.seconds
        name: str = sha256_hex(f"{key(remote.shown)}\n{key(remote.url)}".encode())
        name = f"{name}-{kind}" if kind else name
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            lock = (self._cache / f"{name}.lock").open("wb")
        except OSError as error:
            raise StoreError(
                f"{self._cache} cannot be written: {error.strerror}.", hint="Free space or mend its rights."
            ) from None
        with (
            lock,
            tempfile.TemporaryDirectory(prefix="git-", ignore_cleanup_errors=True) as scratch,
            contextlib.nullcontext() if remote.origin is None else Relay(self._reach) as relay,
        ):
            _wait_for(lock.fileno(), deadline)
            git = Git(
                self._cache / f"{name}.git",
                remote,
                Path(scratch),
                self._environment,
                deadline=deadline,
                slow_seconds=self._limits.slow_seconds,
                relay=relay,
                inherited=lock.fileno(),
            )
            git.make()
            yield git


@dataclass(frozen=True)
class _Visit:
    """One commit asked for."""

    _blobs: Blobs
    _git: Git
    _limits: GitLimits
    _sha: str
    _hint: str | None

    def listing(self, texts: str | None) -> CommitFiles | SourceProblem:
        """The files of the commit by name; it is fetched like any other unless it is here."""
        commit = f"refs/rebuilder/{self._sha}/commit"
        if self._git.run("rev-parse", "--verify", "--quiet", commit).code:
            references, _ = advertised(self._git)
            if isinstance(references, SourceProblem):
                return references
            tags = tags_among(references)
            pointing = [name for name, target in tags.items() if target == self._sha and _TAG_NAME.fullmatch(name)]
            problem = self._fetch(pointing[:1], references, tags)
            if problem is not None:
                return problem
        data = read_object(self._git, self._sha, "commit")
        if data is None:
            return SourceProblem(trouble=Trouble.UNSOUND, sentence=f"{self._sha} is no commit.")
        entries = read_entries(self._git, read_commit(data, self._sha).tree, most=self._limits.files)
        files = [each for each in entries if each.kind in {"file", "program"}]
        wanted = [each for each in files if texts and each.path.rpartition(b"/")[2] == texts.encode()]
        wanted = sorted((each for each in wanted if each.size <= _TEXT_BYTES), key=lambda each: each.path.count(b"/"))
        sizes = accumulate(each.size for each in wanted)
        wanted = [each for each, size in zip(wanted, sizes, strict=True) if size <= _TEXTS_BYTES][:_MOST_TEXTS]
        read: dict[str, str] = {}
        if wanted:
            with self._git.talking("cat-file", "--batch") as (stdin, stdout):
                contents = Contents(self._git, stdin, stdout)
                read = {_path(each): b"".join(contents.chunks(each)).decode("utf-8", "replace") for each in wanted}
        return CommitFiles(blobs={_path(each): each.name for each in files}, texts=read)

    def source(self) -> SourceTree | SourceProblem:
        references, said = advertised(self._git)
        if isinstance(references, SourceProblem):
            return references
        tags = tags_among(references)
        pointing = [name for name, target in tags.items() if target == self._sha and _TAG_NAME.fullmatch(name)]
        pointing.sort(key=lambda name: (name != self._hint, name))
        pointing = sorted(pointing[:_MOST_TAGS])
        problem = self._fetch(pointing, references, tags)
        if problem is not None:
            return problem
        data = read_object(self._git, self._sha, "commit")
        if data is None:
            return SourceProblem(trouble=Trouble.UNSOUND, sentence=f"{self._sha} is no commit.")
        redirected = redirection(said, self._git.remote)
        return self._tree(
            read_commit(data, self._sha),
            tuple(self._tag(name, references) for name in pointing),
            findings=self._findings(tags),
            notes=(redirected,) if redirected else (),
        )

    def _fetch(
        self, pointing: list[str], references: Mapping[str, str], tags: Mapping[str, str]
    ) -> SourceProblem | None:
        """Bring the commit and the objects of its annotated tags here; None when they are."""
        mine = f"refs/rebuilder/{self._sha}"
        specs = {name: f"+{_TAGS}{name}:{mine}/tags/{index}" for index, name in enumerate(pointing)}
        annotated = [specs[name] for name in pointing if references[_TAGS + name] != self._sha]
        if self._git.run("rev-parse", "--verify", "--quiet", f"{mine}/commit").code == 0:
            return self._settled(self._ask(annotated), tags) if annotated else None
        done = self._ask([f"+{self._sha}:{mine}/commit", *annotated])
        if done.code and specs and _is_refusal(done.said):
            done = self._ask(list(specs.values()))  # some servers hand out what a tag names, nothing by its own name
            if done.code == 0:
                self._git.run("update-ref", f"{mine}/commit", self._sha)
        return self._settled(done, tags)

    def _ask(self, wanted: list[str]) -> Done:
        return self._git.fetch(wanted, "--depth=1", most_growth=self._limits.fetched_bytes)

    def _settled(self, done: Done, tags: Mapping[str, str]) -> SourceProblem | None:
        if done.code == 0:
            return None
        if not _is_refusal(done.said):
            return self._git.problem(done)
        sentence = f"{self._git.remote.asked} does not hand out the commit {self._sha}; it may have been removed."
        return SourceProblem(trouble=Trouble.NO_COMMIT, sentence=" ".join((sentence, *self._findings(tags))))

    def _findings(self, tags: Mapping[str, str]) -> tuple[str, ...]:
        """What the tag that was expected does now."""
        if self._hint is None or tags.get(self._hint) == self._sha:
            return ()
        shown = clipped(self._hint)
        if self._hint not in tags:
            return (f"The tag {shown} is not in the repository any more.",)
        return (f"The tag {shown} points at {tags[self._hint]} now, not at {self._sha}.",)

    def _tag(self, name: str, references: Mapping[str, str]) -> Tag:
        target = references[_TAGS + name]
        if target == self._sha:
            return Tag(name=name)
        data = read_object(self._git, target, "tag")
        if data is None or not tag_points_at(data, self._sha):  # a tag of a tag: git describe sees its end only
            return Tag(name=name)
        return Tag(name=name, object_sha256=self._blobs.put(data))

    def _tree(
        self, raw: RawCommit, tags: tuple[Tag, ...], findings: tuple[str, ...], notes: tuple[str, ...]
    ) -> SourceTree | SourceProblem:
        entries = read_entries(self._git, raw.tree, most=self._limits.files)
        size = sum(each.size for each in entries)
        if size > self._limits.content_bytes:
            sentence = f"The files of the commit have {size:,} bytes; up to {self._limits.content_bytes:,} are taken."
            return SourceProblem(trouble=Trouble.TOO_LARGE, sentence=sentence)
        submodules = self._submodules(entries)
        seen = ArchiveFindings()
        with self._git.talking("cat-file", "--batch") as (stdin, stdout):
            chunks = tar_chunks(entries, Contents(self._git, stdin, stdout), int(raw.committed_at.timestamp()), seen)
            try:
                archive, _ = self._blobs.put_stream(chunks, max_bytes=2 * self._limits.content_bytes + (64 << 20))
            except FetchMismatchError:
                raise Unsound("The archive of the commit is larger than is taken.", Trouble.TOO_LARGE) from None
        commit = Commit(
            repository=self._git.remote.shown,
            sha=self._sha,
            tree=raw.tree,
            committed_at=raw.committed_at,
            object_sha256=self._blobs.put(raw.data),
            parents=raw.parents,
            tags=tags,
        )
        return SourceTree(
            commit=commit,
            archive_sha256=archive,
            files=len(entries) - len(submodules),
            size=size,
            submodules=submodules,
            large_files=tuple(seen.large_files),
            findings=findings,
            notes=(*notes, *seen.notes()),
        )

    def _submodules(self, entries: Sequence[TreeEntry]) -> tuple[Submodule, ...]:
        """What the commit locks, with the addresses that its ``.gitmodules`` names."""
        locked = [each for each in entries if each.kind == "submodule"]
        if not locked:
            return ()
        named = next((each for each in entries if (each.path, each.kind) == (b".gitmodules", "file")), None)
        small = named is not None and named.size <= _GITMODULES_BYTES
        text = read_object(self._git, named.name, "blob") if named is not None and small else None
        addresses = read_submodules(self._git, text) if text is not None else {}
        return tuple(_submodule(each, addresses.get(each.path), self._git.remote.shown) for each in locked)


def advertised(git: Git) -> tuple[Mapping[str, str] | SourceProblem, str]:
    """The tags a repository names, peeled ones too; with what git said besides."""
    done = git.run("ls-remote", "--quiet", "--tags", "--end-of-options", "source", most_output=_ADVERTISED_BYTES)
    return (git.problem(done) if done.code else read_references(done.output)), done.said


def tags_among(references: Mapping[str, str]) -> dict[str, str]:
    """Tag to commit: what an annotated tag leads to, not its own object."""
    names = (each[len(_TAGS) :] for each in references if each.startswith(_TAGS) and not each.endswith("^{}"))
    return {name: references.get(f"{_TAGS}{name}^{{}}", references[_TAGS + name]) for name in sorted(names)}


def _submodule(entry: TreeEntry, address: bytes | None, parent: str) -> Submodule:
    locked = Submodule(path=clipped(entry.path.decode("utf-8", "surrogateescape")), commit=entry.name)
    if entry.path != locked.path.encode("utf-8", "replace"):
        return locked.replace(problem="Its path is too long, or has characters that cannot be printed.")
    if address is None:
        return locked.replace(problem="The commit does not say in which repository it is.")
    try:
        return locked.replace(repository=public(submodule_address(address.decode("utf-8", "replace"), parent)))
    except RefusedAddress as refusal:
        return locked.replace(problem=str(refusal))


def _no_name(sha: str) -> SourceProblem:
    sentence = f"{clipped(sha, 80)} is not the full SHA-1 name of a commit."
    return SourceProblem(trouble=Trouble.REFUSED, sentence=sentence)


def _path(entry: TreeEntry) -> str:
    return entry.path.decode("utf-8", "backslashreplace")


def _is_refusal(said: str) -> bool:
    return any(sign in said for sign in NOT_HANDED_OUT)


def _wait_for(lock: int, deadline: float) -> None:
    """Take a lock; raise :class:`GitStopped` when another process keeps it until the deadline."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise GitStopped("time") from None
            time.sleep(0.05)
        else:
            return
