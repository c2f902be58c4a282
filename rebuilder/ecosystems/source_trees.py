"""How the source tree of a build comes about: unpacked from an archive, or checked out (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.model.definition import Input, Role
from rebuilder.model.git import SourceTree, Submodule, Tag

_COMMIT_ARCHIVE = "/inputs/commit.tar"
_COMMIT_OBJECT = "/inputs/commit"
_TAG_OBJECTS = "/inputs/tags"
_HISTORY = "/inputs/history"
_SUBMODULES = "/inputs/submodules"


@dataclass(frozen=True)
class Unpacked:
    """A source tree out of a source archive."""

    archive: Input
    top: str
    """Directory in the archive that holds the project; empty when files lie at the top."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the command reads."""
        return (self.archive,)

    def command(self, into: str, umask: int) -> tuple[str, ...]:
        """Program and arguments that make the tree in the directory ``into``."""
        return unpack_command(self.archive.path, into, umask)


@dataclass(frozen=True)
class CheckedOut:
    """A source tree out of a commit."""

    archive: Input
    commit: Input
    sha: str
    origin: str
    tags: tuple[tuple[str, Input | None], ...]
    """Name, with the raw object of an annotated tag."""
    top: str
    """Directory in the repository that holds the project; empty when it is the repository."""
    shallow: bool
    """Whether it is as a runner's shallow checkout of a tag leaves it."""
    windows: bool = False
    """Whether text files get CRLF and no file can be executed, as git for Windows checks them out."""
    history: tuple[Input, Input] | None = None
    """Objects of the commits before it, and their tags; it is not shallow then."""
    submodules: tuple[tuple[Submodule, Input, Input], ...] = ()
    """Those that can be had, each with the archive of its files and its raw commit object."""

    @classmethod
    def of(cls, tree: SourceTree, *, tag: str | None = None, top: str = "", shallow: bool = False) -> CheckedOut:
        """The tree of a commit that was fetched, with one of its tags; with all where it has no such tag."""
        commit = tree.commit
        named = [each for each in commit.tags if each.name == tag] or commit.tags
        return cls(
            archive=archive_input(tree),
            commit=Input(role=Role.SOURCE, name=commit.sha, sha256=commit.object_sha256, path=_COMMIT_OBJECT),
            sha=commit.sha,
            origin=commit.repository,
            tags=tuple((each.name, _tag_object(number, each)) for number, each in enumerate(named)),
            top=top,
            shallow=shallow,
            history=_history_inputs(tree),
            submodules=submodule_inputs(tree),
        )

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the command reads."""
        tags = (each for _, each in self.tags if each is not None)
        history = self.history or ()
        return (self.archive, self.commit, *tags, *history, *(each for _, *both in self.submodules for each in both))

    def command(self, into: str, umask: int) -> tuple[str, ...]:
        """Program and arguments that make the tree in the directory ``into``."""
        tags: list[str] = []
        for name, annotation in self.tags:
            # One argument each: a tag may be named like an option.
            tags.append(f"--tag-object={name}={annotation.path}" if annotation else f"--tag={name}")
        submodules = (
            f"--submodule={each.commit}:{archive.path}:{commit.path}:{each.path}"
            for each, archive, commit in self.submodules
        )
        return (
            *("checkout", "--archive", self.archive.path, "--commit", self.sha, "--commit-object", self.commit.path),
            *(
                "--into",
                into,
                *(("--shallow",) if self.shallow else ()),
                *(("--windows",) if self.windows else ()),
                f"--origin={self.origin}",
                *tags,
            ),
            *((f"--history={self.history[0].path}", f"--history-tags={self.history[1].path}") if self.history else ()),
            *submodules,
            *("--umask", f"{umask:04o}"),
        )


SourceOrigin = Unpacked | CheckedOut


def unpack_command(archive: str, into: str, umask: int) -> tuple[str, ...]:
    """Program and arguments that unpack the archive at a path into a directory."""
    return ("unpack", "--source", archive, "--into", into, "--umask", f"{umask:04o}")


def archive_input(tree: SourceTree) -> Input:
    """The archive of a commit's files."""
    commit = tree.commit
    return Input(
        role=Role.SOURCE,
        name=f"{commit.sha}.tar",
        sha256=tree.archive_sha256,
        path=_COMMIT_ARCHIVE,
        uri=f"git+{commit.repository}@{commit.sha}",
    )


def _history_inputs(tree: SourceTree) -> tuple[Input, Input] | None:
    if tree.history is None:
        return None
    parts = {"objects": tree.history.objects_sha256, "tags": tree.history.tags_sha256}
    objects, tags = (
        Input(role=Role.SOURCE, name=f"{tree.commit.sha} history {name}", sha256=digest, path=f"{_HISTORY}/{name}")
        for name, digest in parts.items()
    )
    return objects, tags


def submodule_inputs(tree: SourceTree) -> tuple[tuple[Submodule, Input, Input], ...]:
    """The submodules of a commit that can be had, each with the archive of its files and its raw commit object."""
    return tuple(
        (
            each,
            Input(
                role=Role.SOURCE,
                name=f"{each.commit}.tar",
                sha256=each.archive_sha256,
                path=f"{_SUBMODULES}/{number}.tar",
                uri=f"git+{each.repository}@{each.commit}",
            ),
            Input(role=Role.SOURCE, name=each.commit, sha256=each.object_sha256, path=f"{_SUBMODULES}/{number}"),
        )
        for number, each in enumerate(tree.submodules)
        if each.archive_sha256 is not None and each.object_sha256 is not None
    )


def _tag_object(number: int, tag: Tag) -> Input | None:
    if tag.object_sha256 is None:
        return None
    return Input(role=Role.SOURCE, name=tag.name, sha256=tag.object_sha256, path=f"{_TAG_OBJECTS}/{number}")
