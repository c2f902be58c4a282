"""Small real git repositories with fixed dates, made in temporary directories."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

TIME = 1_700_000_000
"""When everything was committed, in seconds since 1970: 2023-11-14T22:13:20Z."""


@dataclass(frozen=True)
class Repository:
    """A repository with a work tree; git there sees no settings of this machine."""

    path: Path

    def git(self, *arguments: str, stdin: bytes = b"", moment: int = TIME) -> str:
        """Run git; gives what it printed, without the line end."""
        done = subprocess.run(
            [git_program(), "-c", "protocol.file.allow=always", *arguments],
            cwd=self.path,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=300,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.path.parent),
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_AUTHOR_DATE": f"{moment} +0100",
                "GIT_COMMITTER_DATE": f"{moment} +0100",
                **{f"GIT_{who}_NAME": "A. Person" for who in ("AUTHOR", "COMMITTER")},
                **{f"GIT_{who}_EMAIL": "person@example.org" for who in ("AUTHOR", "COMMITTER")},
            },
        )
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done.stdout.decode("utf-8", "replace").rstrip("\n")

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files into the work tree; a name that ends in ``*`` is executable."""
        for name, content in files.items():
            place = self.path / name.removesuffix("*")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
            place.chmod(0o755 if name.endswith("*") else 0o644)

    def commit(self, files: Mapping[str, str | bytes], message: str = "Change", *, moment: int = TIME) -> str:
        """Commit files on top of what is there; gives the commit's name."""
        self.write(files)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", message, moment=moment)
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, *, annotated: bool = False, commit: str = "HEAD") -> str:
        """Tag a commit, moving the tag if there is one; gives the name of what the tag names directly."""
        options = ("-a", "-m", f"Release {name}") if annotated else ()
        self.git("tag", "--force", *options, name, commit)
        return self.git("rev-parse", f"refs/tags/{name}")

    def object(self, kind: str, data: bytes) -> str:
        """Write an object git itself would refuse to make; gives its name."""
        whole = f"{kind} {len(data)}\0".encode() + data
        name = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        place = self.path / ".git" / "objects" / name[:2] / name[2:]
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            place.write_bytes(zlib.compress(whole))
        return name

    def odd_commit(self, *entries: tuple[str, bytes, str], tag: str | None = "odd") -> str:
        """A commit with exactly these entries (mode, name, object) in its tree; gives the commit's name."""
        tree = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(each) for mode, name, each in entries)
        who = f"A. Person <person@example.org> {TIME} +0000"
        text = f"tree {self.object('tree', tree)}\nauthor {who}\ncommitter {who}\n\nOdd\n"
        name = self.object("commit", text.encode())
        if tag:
            place = self.path / ".git" / "refs" / "tags" / tag
            place.write_text(f"{name}\n")
        return name


def make_repository(directory: Path, files: Mapping[str, str | bytes] | None = None) -> Repository:
    """A repository at ``directory`` with one commit on the branch ``main``."""
    directory.mkdir(parents=True)
    repository = Repository(directory)
    repository.git("init", "--quiet", "--template=", "--initial-branch=main", ".")
    repository.commit({"README": "Hello\n", "run.sh*": "#!/bin/sh\n"} if files is None else files, "First")
    return repository


def git_program() -> str:
    """Path of git; fails the test when it is missing."""
    found = shutil.which("git")
    if found is None:
        pytest.fail("git is missing: apt-get install git", pytrace=False)
    return found
