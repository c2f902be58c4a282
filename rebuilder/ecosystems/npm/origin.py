"""Which commit a tarball comes from, and who says so.

The first of these that names one, as long as nothing in the tarball speaks against it:

1. a verified attestation;
2. ``gitHead``, where the registry has it: the commit that the publisher's npm was run at;
3. a tag of the version;
4. the commit that set the version in package.json;
5. the commit that has the most files of the tarball.

A commit that nobody signed for is held against the tarball: git names a file by its content, so what the commit has of
the tarball is known without building anything. Where files differ, the whole history that branches and tags of the
repository reach is searched (:meth:`rebuilder.network.protocol.Sources.holders`), and a commit that has more of the
tarball goes before one that only a name speaks for; that a tag leads elsewhere is then a finding.

Repositories are named in the forms of https://docs.npmjs.com/cli/configuring-npm/package-json#repository; the short
names of hosts are part of them. Whatever is named is asked for over https.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from rebuilder.ecosystems.npm.tarball import MANIFEST, Tarball, read_manifest
from rebuilder.ecosystems.origins import attested_origin, claimed_origin, repository_url, without_tags
from rebuilder.ecosystems.protocol import Signed
from rebuilder.model.git import BlobSearch, CommitFiles, Holder, SourceProblem
from rebuilder.model.graph import Origin
from rebuilder.model.text import visible
from rebuilder.network.git.address import over_https
from rebuilder.network.protocol import Sources

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TEXTS = re.compile(
    r"(?:.*/)?(?:readme|changelog|changes|history|licen[cs]e|copying|notice|authors|contributors|security)[^/]*"
    r"|.*\.(?:md|markdown|txt|rst)",
    re.IGNORECASE,
)
"""Files that say nothing about what a package does; projects share their licences."""
_CLOCKS = timedelta(days=1)
"""How far the clocks of a committer and of a registry may be apart."""


@dataclass(frozen=True)
class Release:
    """What is known of a tarball before anything is built."""

    name: str
    version: str
    published: datetime | None
    """An upper bound: a mirror may say when it first had the tarball."""
    entry: Mapping[str, Any]
    """What the registry says of the version; hostile."""
    versions: Sequence[str]
    """All that the registry has of the package."""
    tarball: Tarball | None
    """None where it cannot be read."""

    @cached_property
    def blobs(self) -> dict[str, str]:
        """Path to git's name of each file, as a repository would have it: with LF, if most of them have CRLF."""
        files = self.tarball.installed.values() if self.tarball else ()
        windows = 2 * sum(each.unix_blob is not None for each in files) > len(files)
        return {each.path: each.unix_blob if windows and each.unix_blob else each.blob for each in files}


@dataclass(frozen=True)
class Placed:
    """A package in a commit."""

    directory: str
    """Empty when it is the repository."""
    equal: frozenset[str]
    """Files of the tarball that lie there with the same content."""
    other: frozenset[str]
    """Files of the tarball that lie there with another content."""


def find_origin(release: Release, signed: Signed, sources: Sources) -> Origin | None:
    """Find the commit; see :meth:`rebuilder.ecosystems.protocol.Ecosystem.origin`.

    Raises:
        UnavailableError, StoreError: see :meth:`Sources.tags`.
    """
    provenance = signed.artifact
    package = release.tarball.package if release.tarball else {}
    claim = claimed_repository(package.get("repository")) or claimed_repository(release.entry.get("repository"))
    directory = claim.directory if claim is not None else None
    if provenance.repository:
        attested = attested_origin([provenance], whose=None)
        if attested is not None and attested.commit is not None:
            files = sources.files(attested.repository, attested.commit, texts=MANIFEST)
            placed = place(release, files, directory) if isinstance(files, CommitFiles) else None
            return attested.replace(directory=placed.directory if placed else directory)
    if provenance.repository:
        repository, who = provenance.repository, "a verified attestation names the repository, but no commit"
    elif signed.expected is not None:
        repository, who = signed.expected, "the settings expect it to come from this repository"
    elif claim is not None:
        repository, who = claim.repository, "its package.json names this repository"
    else:
        return None
    tags = sources.tags(repository)
    if isinstance(tags, SourceProblem):
        return without_tags(repository, who, tags)
    return _Search(release, repository, who, directory, sources, tags).origin()


@dataclass(frozen=True)
class _Named:
    """A commit that something names."""

    commit: str
    words: str
    """What names it, for the middle of a sentence."""
    tag: ReleaseTag | None = None


@dataclass(frozen=True)
class _Search:
    """The search of one repository."""

    _release: Release
    _repository: str
    _who: str
    """Who names the repository, for the beginning of a sentence."""
    _directory: str | None
    _sources: Sources
    _tags: Mapping[str, str]

    @cached_property
    def _named(self) -> list[_Named]:
        """Commits that gitHead and tags name, the clearest first."""
        release, head, named = self._release, self._release.entry.get("gitHead"), []
        if isinstance(head, str) and _COMMIT.fullmatch(head):
            named.append(_Named(head, "the registry has it as the commit that npm was run at (gitHead)"))
        tags = release_tags(self._tags, release.name, release.version, release.versions)
        return named + [_Named(each.commit, f"its tag {visible(each.name, 80)} points at it", each) for each in tags]

    def origin(self) -> Origin:
        """The commit with the most for it."""
        if not self._release.blobs:
            return self._by_name("")
        if self._named and (quick := self._agreeing(self._named[0])) is not None:
            return quick
        found = self._searched()
        if isinstance(found, SourceProblem):
            return self._by_name(f" Its history was not searched for the files of the tarball: {found.sentence}")
        return self._chosen(found)

    def _by_name(self, more: str) -> Origin:
        """What a tag names, where files say nothing. A gitHead does not count: it may be a commit of anybody's fork."""
        tagged = next((each for each in self._named if each.tag is not None), None)
        if tagged is None or tagged.tag is None:
            sentence = f"{self._who}; none of its {len(self._tags):,} tags is that of {self._release.version}.{more}"
            return claimed_origin(self._repository, sentence)
        sentence = f"{self._who}, and {tagged.words}.{more}"
        found = claimed_origin(self._repository, sentence, commit=tagged.commit, tag=tagged.tag.name)
        return found.replace(directory=self._directory)

    def _agreeing(self, named: _Named) -> Origin | None:
        """The first commit that is named, if package.json is there, and no file has another content there."""
        if named.commit not in self._tags.values():
            return None  # whether a branch reaches it is known once the history is here
        files = self._sources.files(self._repository, named.commit, texts=MANIFEST)
        placed = place(self._release, files, self._directory) if isinstance(files, CommitFiles) else None
        if placed is None or placed.other or MANIFEST not in placed.equal:
            return None
        return self._found(named.commit, named.words, placed, tag=named.tag)

    def _searched(self) -> BlobSearch | SourceProblem:
        """The history, with the package.json of each commit that counts."""
        also = [each.commit for each in self._named]
        directory = self._directory
        for _ in range(2):
            text = f"{directory}/{MANIFEST}" if directory else MANIFEST
            found = self._sources.holders(self._repository, self._release.blobs, also, text=text)
            if isinstance(found, SourceProblem) or not found.holders:
                return found
            files = self._sources.files(self._repository, found.holders[0].commit, texts=MANIFEST)
            placed = place(self._release, files, self._directory) if isinstance(files, CommitFiles) else None
            if placed is None or placed.directory == (directory or ""):
                break
            directory = placed.directory
        return found

    def _chosen(self, found: BlobSearch) -> Origin:
        """The commit that has the most files; among equals one that is named, then the one that set the version."""
        unreached = [each for each in self._named if each.tag is None and each.commit not in found.named]
        away = "; none of its branches and tags reaches the registry's gitHead" if unreached else ""
        named = [each for each in self._named if each.commit in found.named]
        holders = {each.commit: each for each in (*found.holders, *found.named.values())}
        if not holders or not any(self._tells(each) for each in holders.values()):
            if named:
                return self._by_name(" No commit of it has any file of the tarball that would tell more.")
            sentence = (
                f"{self._who}{away}; none of its {len(self._tags):,} tags is that of {self._release.version}, and none "
                f"of its {found.commits:,} commits has files of the tarball that would tell it."
            )
            return claimed_origin(self._repository, sentence)
        scores = {sha: self._score(each) for sha, each in holders.items()}
        most = max(scores.values())
        best = [holders[sha] for sha in scores if scores[sha] == most]
        for each in named:
            if scores[each.commit] == most or self._only_texts(holders[each.commit], best[0]):
                return self._told(
                    each.commit, f"{each.words}{away}", found, tag=each.tag, passed=self._wrong(named, each)
                )
        chosen = self._first(best)
        if (other := self._other_release(chosen)) is not None:
            # What another release has more of the tarball is a coincidence where a tag names a commit of this one.
            for each in named:
                if each.tag is not None and self._other_release(holders[each.commit]) is None:
                    return self._told(each.commit, f"{each.words}{away}", found, tag=each.tag, passed=())
            sentence = (
                f"{self._who}{away}; of its {found.commits:,} commits none with files of the tarball says version "
                f"{self._release.version}, and the one with most of them, {chosen.commit}, says {other}, which is "
                "another release."
            )
            return claimed_origin(self._repository, sentence)
        words = f"of its {found.commits:,} commits this one has the most files of the tarball"
        if self._sets_version(chosen):
            words = f"of its {found.commits:,} commits this one is the first of the version with the most of its files"
        return self._told(chosen.commit, f"{words}{away}", found, passed=named)

    def _score(self, holder: Holder) -> int:
        """Files that the commit has; a package.json of the name and version counts as one, however it was packed."""
        return len(holder.files) + (MANIFEST not in holder.files and self._sets_version(holder))

    def _sets_version(self, holder: Holder) -> bool:
        said = read_manifest(holder.text) if holder.text is not None else None
        wanted = (self._release.name, self._release.version)
        return MANIFEST in holder.files or (said is not None and (said.get("name"), said.get("version")) == wanted)

    def _other_release(self, holder: Holder) -> str | None:
        """The version that the commit says, where that is another release; a placeholder is none."""
        said = read_manifest(holder.text) if holder.text is not None else None
        version = said.get("version") if said is not None else None
        another = isinstance(version, str) and version != self._release.version and version in self._release.versions
        return version if another and not self._sets_version(holder) else None

    def _tells(self, holder: Holder) -> bool:
        """Whether the commit has anything of the tarball but texts that many projects share."""
        return self._sets_version(holder) or any(not _TEXTS.fullmatch(each) for each in holder.files)

    def _only_texts(self, holder: Holder, best: Holder) -> bool:
        """Whether a commit of the version lacks nothing but texts of the best one, which has not the whole tarball."""
        lacking = set(best.files) - set(holder.files)
        whole = len(best.files) == len(self._release.blobs)
        return self._sets_version(holder) and not whole and all(map(_TEXTS.fullmatch, lacking))

    def _first(self, best: Sequence[Holder]) -> Holder:
        """The first that has the version; else the last from before the tarball was published."""
        published = self._release.published
        early = [each for each in best if published is None or each.committed_at <= published + _CLOCKS] or list(best)
        return next((each for each in early if self._sets_version(each)), early[-1])

    def _wrong(self, named: Sequence[_Named], right: _Named) -> list[_Named]:
        """Commits that names speak for as clearly, and that were passed over."""
        return [each for each in named[: named.index(right)] if each.commit != right.commit]

    def _told(
        self,
        commit: str,
        words: str,
        found: BlobSearch,
        *,
        tag: ReleaseTag | None = None,
        passed: Sequence[_Named] = (),
    ) -> Origin:
        files = self._sources.files(self._repository, commit, texts=MANIFEST)
        placed = place(self._release, files, self._directory) if isinstance(files, CommitFiles) else None
        origin = self._found(commit, words, placed, tag=tag)
        holders = {each.commit: each for each in found.holders} | dict(found.named)
        clear = [each.tag for each in passed if each.tag and (each.tag.own or not origin.directory)]
        return origin.replace(findings=tuple(self._finding(each, holders, commit) for each in clear[:1]))

    def _finding(self, tag: ReleaseTag, holders: Mapping[str, Holder], commit: str) -> str:
        """That the tag leads to another commit than the one with the files."""
        theirs, ours = holders[tag.commit], holders[commit]
        said = read_manifest(theirs.text) if theirs.text is not None else None
        version = said.get("version") if said is not None else None
        words = f"has {len(theirs.files):,} of the {len(self._release.blobs):,} files of this tarball"
        if isinstance(version, str) and version != self._release.version:
            words += f" and says version {visible(version, 40)}"
        return (
            f"The tag {visible(tag.name, 80)} points at commit {tag.commit}, which {words}; commit {commit} has "
            f"{len(ours.files):,}{' and sets the version' if self._sets_version(ours) else ''}."
        )

    def _found(self, commit: str, words: str, placed: Placed | None, *, tag: ReleaseTag | None) -> Origin:
        sentence = f"{self._who}, and {words}."
        if placed is not None:
            sentence += f" {counted(len(placed.equal), len(self._release.blobs))} of that commit."
        found = claimed_origin(self._repository, sentence, commit=commit, tag=tag.name if tag else None)
        return found.replace(directory=placed.directory if placed else self._directory)


def counted(equal: int, whole: int) -> str:
    """How many files of a tarball are files of something, at the beginning of a sentence."""
    if equal == whole:
        return f"All {whole:,} files of the tarball are files" if whole > 1 else "The one file of the tarball is a file"
    return f"{equal:,} of the {whole:,} files of the tarball {'is a file' if equal == 1 else 'are files'}"


def place(release: Release, files: CommitFiles, claimed: str | None) -> Placed | None:
    """Find the package in a commit: its directory, and which files of the tarball lie there.

    It is where a package.json has its name; of several where package.json says that it is, then where the most files of
    the tarball are, then the one nearest to the top. Without any, it is where package.json says, or the repository.
    ``files`` come with the texts of every package.json.
    """
    named = [path for path, text in files.texts.items() if (read_manifest(text) or {}).get("name") == release.name]
    directories = [path.rpartition("/")[0] for path in named]
    if not directories:
        directories = [each for each in (claimed or "", "") if f"{each}/{MANIFEST}".lstrip("/") in files.blobs][:1]
    if not directories:
        return None
    found = [_placed(release, files, each) for each in directories]
    return min(
        found, key=lambda each: (each.directory != claimed, -len(each.equal), each.directory.count("/"), each.directory)
    )


def _placed(release: Release, files: CommitFiles, directory: str) -> Placed:
    there = {path: files.blobs.get(f"{directory}/{path}" if directory else path) for path in release.blobs}
    installed = release.tarball.installed if release.tarball else {}
    equal = {path for path, blob in there.items() if blob in {installed[path].blob, installed[path].unix_blob} - {None}}
    return Placed(directory, frozenset(equal), frozenset(path for path, blob in there.items() if blob) - equal)


_HOSTS = {
    "github": "github.com",
    "gitlab": "gitlab.com",
    "bitbucket": "bitbucket.org",
}
_SHORT = re.compile(
    r"(?:(?P<host>github|gitlab|bitbucket):)?(?P<path>[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+)"
)
_TREE = re.compile(r"/(?:-/)?(?:tree|blob|src)/[^/]+/(?P<directory>.+)")
_LONGEST = 500


@dataclass(frozen=True)
class ClaimedRepository:
    """What package.json says the package is developed in."""

    repository: str
    """An https address."""
    directory: str | None
    """Of the package in it, as far as it says so; relative, without ``..``."""


def claimed_repository(value: Any) -> ClaimedRepository | None:
    """Read the field ``repository``, a text or an object; None where it names none that can be asked. It is hostile."""
    fields = value if isinstance(value, dict) else {"url": value}
    text = fields.get("url")
    if not isinstance(text, str) or len(text) > _LONGEST or not text.isascii() or not text.isprintable():
        return None
    text = text.strip().partition("#")[0]
    address = _address(text)
    repository = repository_url(address) if address is not None else None
    if repository is None:
        return None
    directory = plain_directory(fields.get("directory"))
    if directory is None and (found := _TREE.search(text)):
        directory = plain_directory(found["directory"])
    return ClaimedRepository(repository, directory)


def _address(text: str) -> str | None:
    if short := _SHORT.fullmatch(text):
        if short["host"] != "gitlab" and short["path"].count("/") > 1:  # only there are groups in groups
            return None
        return f"https://{_HOSTS[short['host'] or 'github']}/{short['path']}"
    return over_https(text.removeprefix("git+"))


def plain_directory(value: Any) -> str | None:
    """A directory in a repository; None where it is none, or leads out."""
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable() or "\\" in value:
        return None
    path = posixpath.normpath(value.strip().strip("/") or ".")
    return None if path.split("/")[0] in {"..", "."} and path != "." else "" if path == "." else path


_LONGEST_TAG = 200
_MOST = 500
"""Tags that end with a version, and are looked at."""
_SEPARATORS = "-_/@. "
_WORDS = re.compile(r"(?:(?:^|(?<=[-_/@. ]))(?:releases?|rel|versions?|ver|v|r)[-_/@. ]*)+$")
"""What tags have in front of a version, whatever the package."""


@dataclass(frozen=True)
class ReleaseTag:
    """A tag that ends with the version."""

    name: str
    commit: str
    own: bool
    """Whether it names the package, as in a repository with several."""


def release_tags(tags: Mapping[str, str], package: str, version: str, versions: Sequence[str]) -> list[ReleaseTag]:
    """Tags of a version, the clearest first.

    First those that name the package (``@scope/name@1.2.3``, ``name-v1.2.3``, ``packages/name/1.2.3``), then those with
    nothing but the version (``v1.2.3``, ``1.2.3``, ``release-1.2.3``), then those with any other beginning that other
    versions of the package have, too.
    """
    found: list[tuple[int, int, str]] = []
    known = set(versions) - {version}
    ending = (name for name in tags if name.endswith(version) and len(name) <= _LONGEST_TAG)
    for name in sorted(ending, key=lambda name: (len(name), name))[:_MOST]:
        beginning = name[: -len(version)]
        if beginning and (beginning[-1].isdigit() or beginning[-1] in ".+"):
            continue
        rank = _rank(beginning, package)
        if rank < 2 or _is_habit(beginning, tags, known):
            found.append((rank, len(name), name))
    return [ReleaseTag(name, tags[name], own=rank == 0) for rank, _, name in sorted(found)]


def _rank(beginning: str, package: str) -> int:
    """0: it names the package; 1: nothing but words for "version"; 2: anything else."""
    scope, _, plain = package.lstrip("@").lower().rpartition("/")
    stem = _WORDS.sub("", beginning.lower()).rstrip(_SEPARATORS)
    if not stem:
        return 1
    names = {package.lower(), plain, f"{scope}/{plain}", f"{scope}-{plain}"}
    return 0 if stem in names or stem.rpartition("/")[2] == plain else 2


def _is_habit(beginning: str, tags: Mapping[str, str], versions: set[str]) -> bool:
    """Whether two other versions of the package have a tag with this beginning."""
    return sum(f"{beginning}{each}" in tags for each in versions) >= 2
