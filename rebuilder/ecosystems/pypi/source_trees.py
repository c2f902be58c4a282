"""How the source tree of a build comes about: unpacked from an archive, or checked out (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rebuilder.model.definition import Input

SOURCE_TREE = "/build/src"
COMMIT_ARCHIVE = "/inputs/commit.tar"
COMMIT_OBJECT = "/inputs/commit"
TAG_OBJECTS = "/inputs/tags"

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")


@dataclass(frozen=True)
class Unpacked:
    """A source tree out of a published source archive."""

    archive: Input
    top: str
    """Directory in the archive that holds the project; empty when files lie at the top."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the command reads."""
        return (self.archive,)

    def command(self, umask: int) -> tuple[str, ...]:
        """Program and arguments, all but the times."""
        return ("unpack", "--source", self.archive.path, "--into", SOURCE_TREE, "--umask", f"{umask:04o}")


@dataclass(frozen=True)
class CheckedOut:
    """A source tree out of a commit, as a runner's shallow checkout of a tag leaves it."""

    archive: Input
    commit: Input
    sha: str
    origin: str
    tags: tuple[tuple[str, Input | None], ...]
    """Name, with the raw object of an annotated tag."""
    top: str
    """Directory in the repository that holds the project; empty when it is the repository."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the command reads."""
        return (self.archive, self.commit, *(each for _, each in self.tags if each is not None))

    def command(self, umask: int) -> tuple[str, ...]:
        """Program and arguments, all but the times."""
        tags: list[str] = []
        for name, annotation in self.tags:
            # One argument each: a tag may be named like an option.
            tags.append(f"--tag-object={name}={annotation.path}" if annotation else f"--tag={name}")
        return (
            *("checkout", "--archive", self.archive.path, "--commit", self.sha, "--commit-object", self.commit.path),
            *("--into", SOURCE_TREE, "--shallow", f"--origin={self.origin}", *tags, "--umask", f"{umask:04o}"),
        )


SourceOrigin = Unpacked | CheckedOut


def source_path(filename: str) -> str:
    """Where the source archive lies in the sandbox; its name says nothing but its format there if it is odd."""
    if _PLAIN.fullmatch(filename):
        return f"/inputs/{filename}"
    return "/inputs/source.zip" if filename.endswith(".zip") else "/inputs/source.tar.gz"
