"""Repositories that only exist in memory."""

from __future__ import annotations

import copy
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rebuilder.model.git import (
    BlobSearch,
    Commit,
    CommitFiles,
    Holder,
    SourceProblem,
    SourceTree,
    Tag,
    Trouble,
)
from rebuilder.programs.source.git_store import object_name
from rebuilder.store.protocol import Blobs

_WHO = "A. Person <person@example.org>"


@dataclass
class _Repository:
    trees: dict[str, SourceTree] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    annotated: dict[str, str] = field(default_factory=dict)
    contents: dict[str, Mapping[str, bytes]] = field(default_factory=dict)


class FakeSources:
    """Implements :class:`rebuilder.network.protocol.Sources`; commits have genuine names, trees are made up."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._repositories: dict[str, _Repository] = {}
        self.down = False
        """True: as if there were no network."""
        self.unreached: list[SourceProblem] = []

    def noting(self, unreached: list[SourceProblem]) -> FakeSources:
        """See :meth:`rebuilder.network.protocol.Sources.noting`."""
        same = copy.copy(self)
        same.unreached = unreached
        return same

    def add(self, repository_url: str, files: Mapping[str, bytes], *, moment: int) -> str:
        """Know one more commit; gives its name."""
        archive = _tar(files, moment)
        tree = object_name("tree", archive)
        raw = f"tree {tree}\nauthor {_WHO} {moment} +0000\ncommitter {_WHO} {moment} +0000\n\nFake\n".encode()
        commit = Commit(
            repository=repository_url,
            sha=object_name("commit", raw),
            tree=tree,
            committed_at=datetime.fromtimestamp(moment, UTC),
            object_sha256=self._blobs.put(raw),
        )
        repository = self._repositories.setdefault(repository_url, _Repository())
        repository.contents[commit.sha] = dict(files)
        repository.trees[commit.sha] = SourceTree(
            commit=commit,
            archive_sha256=self._blobs.put(archive),
            files=len(files),
            size=sum(map(len, files.values())),
        )
        return commit.sha

    def tag(self, repository_url: str, name: str, sha: str, *, annotated: bool = False) -> None:
        """Let a tag point at a commit, from now on."""
        repository = self._repositories[repository_url]
        repository.tags[name] = sha
        repository.annotated.pop(name, None)
        if annotated:
            raw = f"object {sha}\ntype commit\ntag {name}\ntagger {_WHO} 0 +0000\n\nFake\n".encode()
            repository.annotated[name] = self._blobs.put(raw)

    def remove(self, repository_url: str, sha: str) -> None:
        """Forget a commit, as after a forced push."""
        del self._repositories[repository_url].trees[sha]

    def forget(self, repository_url: str) -> None:
        """Take a whole repository away."""
        del self._repositories[repository_url]

    def commit(self, repository_url: str, sha: str, tag_hint: str | None = None) -> SourceTree | SourceProblem:
        """See :meth:`rebuilder.network.protocol.Sources.commit`."""
        if not re.fullmatch(r"[0-9a-f]{40}", sha):
            return SourceProblem(trouble=Trouble.REFUSED, sentence="That is not the full name of a commit.")
        repository = self._find(repository_url)
        if isinstance(repository, SourceProblem):
            return repository
        if sha not in repository.trees:
            return SourceProblem(trouble=Trouble.NO_COMMIT, sentence=f"There is no commit {sha}.")
        found = repository.trees[sha]
        names = sorted(name for name, target in repository.tags.items() if target == sha)
        tags = tuple(
            Tag.model_validate({"name": each, "object_sha256": repository.annotated.get(each)}) for each in names
        )
        hint = tag_hint.removeprefix("refs/tags/") if tag_hint else None
        wrong = hint is not None and repository.tags.get(hint) != sha
        findings = (f"The tag {hint} does not point at {sha}.",) if wrong else ()
        return found.replace(commit=found.commit.replace(tags=tags), findings=findings)

    def with_history(self, tree: SourceTree) -> SourceTree:
        """See :meth:`rebuilder.network.protocol.Sources.with_history`; none is kept here."""
        return tree

    def tags(self, repository_url: str) -> Mapping[str, str] | SourceProblem:
        """See :meth:`rebuilder.network.protocol.Sources.tags`."""
        repository = self._find(repository_url)
        return repository if isinstance(repository, SourceProblem) else dict(sorted(repository.tags.items()))

    def files(self, repository_url: str, sha: str, *, texts: str | None = None) -> CommitFiles | SourceProblem:
        """See :meth:`rebuilder.network.protocol.Sources.files`."""
        tree = self.commit(repository_url, sha)
        repository = self._find(repository_url)
        if isinstance(tree, SourceProblem) or isinstance(repository, SourceProblem):
            return tree if isinstance(tree, SourceProblem) else SourceProblem(trouble=Trouble.NO_COMMIT, sentence="No.")
        contents = repository.contents[sha]
        return CommitFiles(
            blobs={path: object_name("blob", content) for path, content in contents.items()},
            texts={path: content.decode() for path, content in contents.items() if path.rpartition("/")[2] == texts},
        )

    def holders(
        self, repository_url: str, members: Mapping[str, str], also: Sequence[str] = (), *, text: str | None = None
    ) -> BlobSearch | SourceProblem:
        """See :meth:`rebuilder.network.protocol.Sources.holders`; all commits count as reached."""
        repository = self._find(repository_url)
        if isinstance(repository, SourceProblem):
            return repository
        found, seen = [], set[str]()
        for sha, contents in repository.contents.items():
            there = [(f"/{path}", object_name("blob", content)) for path, content in contents.items()]
            held = (
                path for path, blob in members.items() if any(b == blob and p.endswith(f"/{path}") for p, b in there)
            )
            told = contents[text].decode() if text is not None and text in contents else None
            moment = repository.trees[sha].commit.committed_at
            found.append(Holder(commit=sha, committed_at=moment, files=tuple(sorted(held)), text=told))
            seen |= {blob for _, blob in there} & set(members.values())
        most = max(len(each.files) for each in found)
        levels = [level for level in (most, most - 1) if level > 0]
        return BlobSearch(
            commits=len(found),
            searched=len(members),
            holders=tuple(each for level in levels for each in found if len(each.files) == level),
            named={each.commit: each for each in found if each.commit in also},
            seen=tuple(sorted(seen)),
        )

    def _find(self, url: str) -> _Repository | SourceProblem:
        if not url.startswith("https://"):
            return SourceProblem(trouble=Trouble.REFUSED, sentence="Only https is used.")
        if self.down:
            away = SourceProblem(trouble=Trouble.UNREACHABLE, sentence="Nobody answers.")
            self.unreached.append(away)
            return away
        bare = "https://" + url.removeprefix("https://").rpartition("@")[2].rstrip("/").removesuffix(".git")
        return self._repositories.get(bare) or SourceProblem(
            trouble=Trouble.NO_REPOSITORY, sentence="There is no such repository."
        )


def _tar(files: Mapping[str, bytes], moment: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), moment
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
