"""Where the inputs of somebody else's build come from: by their digest, from wherever they can be had.

In this order: the blobs that are here; the capsules that were named; directories that were named; this program itself,
for its own sandbox programs and for uv; the site of the report; and the address that the definition gives. Whatever
comes must have the digest that was signed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from rebuilder.environments.uv_tool import uv_input
from rebuilder.errors import FetchMismatchError, RebuilderError, StoreError, UnavailableError, UsageError
from rebuilder.model.definition import Input, Role
from rebuilder.model.git import SourceProblem
from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256, Value, sha256_hex
from rebuilder.network.http.address import bare
from rebuilder.network.protocol import Fetcher, Sources
from rebuilder.programs.families import PROGRAMS
from rebuilder.replay.capsule import INDEX, Capsule, read_index, read_manifest
from rebuilder.replay.page import PublishedPage
from rebuilder.sandbox.program_runner import program_archive
from rebuilder.store.protocol import Blobs

CAPSULE = "capsule"
"""Directory of the site's own capsule below its root."""
_MOST_FILES = 200_000
_CHUNK = 1 << 20
_COMMIT = re.compile(r"git\+(?P<repository>https://[^\s]+)@(?P<commit>[0-9a-f]{40})")


class Missing(Value):
    """What could not be had."""

    what: str
    """Name of an input with its version, or of a build environment."""
    sha256: str
    reason: str
    """Where it was looked for and what was there, as a sentence."""


class Place(Protocol):
    """Somewhere bytes may be."""

    def bring(self, each: Input, blobs: Blobs) -> str | None:
        """Put the bytes of an input into the blobs, if they are here.

        Returns:
            What was found in their stead, as a sentence; None where there is nothing to say.

        Raises:
            StoreError: the blobs cannot be written.
        """
        ...


@dataclass(frozen=True)
class Inputs:
    """Brings inputs into the blobs of this machine."""

    blobs: Blobs
    places: Sequence[Place]

    def bring(self, wanted: Sequence[Input]) -> list[Missing]:
        """Bring all; give those that cannot be had.

        Raises:
            StoreError: the blobs cannot be written.
        """
        return [missing for each in wanted if (missing := self._bring(each)) is not None]

    def _bring(self, each: Input) -> Missing | None:
        said: list[str] = []
        if self.blobs.has(each.sha256):
            return None
        for place in self.places:
            found = place.bring(each, self.blobs)
            if self.blobs.has(each.sha256):
                return None
            said += [found] if found else []
        version = f" {each.version}" if each.version else ""
        reason = " ".join(said) or "It is in none of the places that were asked."
        return Missing(what=clipped(f"{each.name}{version}"), sha256=each.sha256, reason=reason)


@dataclass(frozen=True)
class FromCapsule:
    """A capsule."""

    capsule: Capsule

    def bring(self, each: Input, blobs: Blobs) -> str | None:
        """See :class:`Place`; a capsule that was changed is an error."""
        if self.capsule.has(each.sha256):
            blobs.put_stream(self.capsule.chunks(each.sha256), max_bytes=self.capsule.size(each.sha256))
        return None


@dataclass
class FromDirectory:
    """A directory of a mirror: files by their digest, or by their own name, at whatever depth."""

    root: Path
    most_bytes: int

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        count = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                found.setdefault(name, []).append(Path(folder) / name)
                count += 1
            if count > _MOST_FILES:
                raise UsageError(f"{self.root} has more than {_MOST_FILES:,} files; name a part of it.")
        return found

    def named(self, *names: str) -> list[Path]:
        """All files of these names.

        Raises:
            UsageError: the directory has more files than are looked through.
        """
        return [path for name in names for path in self._files.get(name, ()) if path.is_file()]

    def bring(self, each: Input, blobs: Blobs) -> str | None:
        """See :class:`Place`."""
        address = unquote(urlsplit(each.uri).path.rpartition("/")[2]) if each.uri else each.name
        other = None
        for path in self.named(*dict.fromkeys((each.sha256, each.name, address))):
            try:
                blobs.put_stream(_verified(chunks_of(path), each.sha256), max_bytes=self.most_bytes)
            except FetchMismatchError as error:
                other = f"{clipped(str(path))} {error}"
            except OSError as error:
                other = f"{clipped(str(path))} cannot be read ({error.strerror})."
            else:
                return None
        return other


@dataclass(frozen=True)
class FromProgram:
    """What comes with this program: its sandbox programs, and uv."""

    cache: Path

    def bring(self, each: Input, blobs: Blobs) -> str | None:
        """See :class:`Place`."""
        if each.role is Role.PROGRAM and re.fullmatch(r"[a-z]{1,40}\.pyz", each.name):
            if (family := each.name.removesuffix(".pyz")) not in PROGRAMS:
                return "This version of rebuilder has no such program."
            blobs.put(program_archive(family))
            return "That of this version of rebuilder is another one; a capsule has the one of the report."
        if each.role is Role.BUILD_TOOL and each.name == "uv":
            try:
                uv_input(blobs, self.cache)
            except RebuilderError:
                return None
            version = f"`pip install uv=={each.version}` gives it" if each.version else "a capsule has it"
            return f"The uv that is installed here is another one; {version}."
        return None


@dataclass
class FromSite:
    """The site of the report: documents beside the page, and the capsule of the site, if it has one."""

    page: PublishedPage
    fetcher: Fetcher
    most_bytes: int

    @cached_property
    def _capsule(self) -> str | None:
        """Where blobs by digest are on the site."""
        return f"{self.page.site}/{CAPSULE}" if self.page.read_site(f"{CAPSULE}/{INDEX}") is not None else None

    def bring(self, each: Input, blobs: Blobs) -> str | None:
        """See :class:`Place`."""
        if each.role is Role.PARAMETERS:
            for name in (f"input-{each.sha256[:16]}.txt", *(f"record-{number}.json" for number in range(1, 33))):
                data = self.page.read(name) if each.name == "record.json" or name.startswith("input-") else None
                if data is not None:
                    blobs.put(data)
                if blobs.has(each.sha256):
                    return None
        if self._capsule is None:
            return None
        return self.fetch(each.sha256, blobs)

    def environment(self, tree: str) -> Sha256 | None:
        """Digest of the export of a build environment in the capsule of the site, if it has one."""
        data, name = self.page.read_site(f"{CAPSULE}/{INDEX}"), self.page.read("provenance.dsse.json")
        if data is None or name is None:
            return None
        place, wanted = f"{self.page.site}/{CAPSULE}", sha256_hex(name)
        for manifest in (each for each, (about, _) in read_index(data, place).items() if about == wanted):
            found = self.page.read_site(f"{CAPSULE}/blobs/sha256/{manifest}")
            if found is not None and sha256_hex(found) == manifest:
                layer = read_manifest(found, place).environments.get(tree)
                return layer.sha256 if layer is not None else None
        return None

    def fetch(self, sha256: str, blobs: Blobs) -> str | None:
        """Put something of the site's capsule into the blobs; why that cannot be, as a sentence."""
        place = f"{self._capsule}/blobs/sha256/{sha256}"
        try:
            if "://" in place:
                self.fetcher.file(place, sha256=sha256, max_bytes=self.most_bytes)
            elif Path(place).is_file():
                blobs.put_stream(_verified(chunks_of(Path(place)), sha256), max_bytes=self.most_bytes)
        except StoreError:
            raise
        except (RebuilderError, OSError) as error:
            return f"The capsule of the site does not have it: {error}"
        return None


@dataclass
class FromOrigin:
    """The address that the definition gives: a file of a registry, or a commit of a repository."""

    fetcher: Fetcher
    sources: Sources
    most_bytes: int
    note: Callable[[str], None]
    _commits: dict[tuple[str, str], str | None] = field(default_factory=dict)
    _last: tuple[str, str] | None = None

    def bring(self, each: Input, blobs: Blobs) -> str | None:  # noqa: ARG002 - both parts put it into the same blobs
        """See :class:`Place`."""
        commit = _COMMIT.fullmatch(each.uri or "")
        if commit is not None:
            self._last = commit["repository"], commit["commit"]
        if commit is not None or (each.role is Role.SOURCE and each.uri is None and self._last is not None):
            return self._commit(*(self._last or ("", "")), history="history" in each.name)
        if each.uri is None or not each.uri.startswith(("https://", "http://")):
            return None
        self.note(each.name)
        try:
            # A login in the address is a stranger's, and a fetcher would go on using it.
            self.fetcher.file(bare(each.uri), sha256=each.sha256, max_bytes=self.most_bytes)
        except UnavailableError as error:
            return str(error)
        return None

    def _commit(self, repository: str, commit: str, *, history: bool) -> str | None:
        """Fetch a commit with its submodules, once; archives and objects of it are the same on every machine."""
        key = repository, f"{commit} {history}"
        if key not in self._commits:
            self.note(f"{repository} {commit[:12]}")
            found = self.sources.commit(repository, commit)
            if not isinstance(found, SourceProblem) and history:
                found = self.sources.with_history(found)
            self._commits[key] = found.sentence if isinstance(found, SourceProblem) else None
        return self._commits[key] or "Its repository gives other bytes for this commit now."


def chunks_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, in pieces."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _verified(chunks: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise FetchMismatchError(f"has other bytes: SHA-256 {digest.hexdigest()}.")
