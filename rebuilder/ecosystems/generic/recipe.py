"""A recipe: what a release file that no registry carries is built from, and how, as a person wrote it in TOML.

docs/recipes.md describes it for readers. A recipe comes from whoever runs the program; it names the published files by
address and digest, and nothing of these files gets into the build.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from packageurl import PackageURL
from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from rebuilder.model.git import ObjectId
from rebuilder.model.value import Sha256Field, Value
from rebuilder.toml_files import FileError, line_of, mistake, parse_toml, read_text, span

ECOSYSTEM = "generic"
MAX_BYTES = 1 << 20
_MOST_TARGETS = 20
_MOST_COMMANDS = 100
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,199}", re.ASCII)
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_OURS = {"HOME", "PATH"}


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or not re.fullmatch(r"[!-~]+", url):
        raise ValueError("must be an http or https address")
    return url


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or ".." in parts or not path.isprintable():
        raise ValueError("must be a path below the source tree, without “..”")
    return path


def _command(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("must be a command for the shell")
    return text


_Text = Annotated[str, Field(strict=True)]
_Name = Annotated[_Text, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")]
_Url = Annotated[_Text, StringConstraints(max_length=2000), AfterValidator(_address)]
_Path = Annotated[_Text, StringConstraints(max_length=500), AfterValidator(_inside)]
_Variable = Annotated[_Text, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class RecipeSource(Value):
    """What it is built from: an archive by address and digest, or a commit by repository and name."""

    url: _Url | None = None
    sha256: Sha256Field | None = None
    repository: _Url | None = None
    commit: ObjectId | None = None
    tag: _Name | None = None
    """A tag that is said to point at the commit."""

    @model_validator(mode="after")
    def _one_of_both(self) -> RecipeSource:
        archive, commit = (self.url, self.sha256), (self.repository, self.commit)
        wanted = "“url” and “sha256”, or “repository” and “commit”"
        if any(archive) == any(commit) or not (all(archive) or all(commit)):
            raise ValueError(f"must have {wanted}, and only these two")
        if self.url is not None and not self.filename.endswith(_ARCHIVES):
            raise ValueError(f"must be an archive; its “url” must end in one of {', '.join(_ARCHIVES)}")
        return self

    @property
    def filename(self) -> str:
        """Of the archive."""
        return file_name(self.url or "")


class RecipeTarget(Value):
    """One published file that the build is to give."""

    url: _Url
    sha256: Sha256Field
    file: _Path | None = None
    """Where the commands leave it, below the directory they run in; None: there, by the name it was published with."""

    @model_validator(mode="after")
    def _named(self) -> RecipeTarget:
        if not _FILENAME.fullmatch(self.filename):
            raise ValueError("must have a “url” that ends in the name of a file")
        return self

    @property
    def filename(self) -> str:
        """The name it was published with."""
        return file_name(self.url)


class Recipe(Value):
    """Everything a recipe says."""

    name: _Name
    version: _Name
    environment: _Name
    """Name of a build environment."""
    source: RecipeSource
    directory: _Path = "."
    """Where the commands run, below the source tree."""
    variables: dict[_Variable, Annotated[_Text, StringConstraints(max_length=4000)]] = {}
    """Environment variables of the build, beside those that every build has."""
    commands: Annotated[tuple[Annotated[_Text, AfterValidator(_command)], ...], Field(max_length=_MOST_COMMANDS)]
    """Each is one script of the shell; the first that fails ends the build."""
    targets: Annotated[tuple[RecipeTarget, ...], Field(min_length=1, max_length=_MOST_TARGETS)]

    @model_validator(mode="after")
    def _told_apart(self) -> Recipe:
        names = [each.filename for each in self.targets]
        if len(set(names)) < len(names):
            raise ValueError("has two targets with the same file name")
        if _OURS & set(self.variables):
            raise ValueError(f"cannot set {' or '.join(sorted(_OURS & set(self.variables)))} among its “variables”")
        return self

    @property
    def purl(self) -> str:
        """Package URL of the release."""
        return PackageURL(type=ECOSYSTEM, name=self.name, version=self.version).to_string()


def file_name(url: str) -> str:
    """What the last part of an address calls a file."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def read_recipe(path: Path, environments: frozenset[str]) -> tuple[Recipe, str]:
    """Read a recipe; give it, and its text.

    Raises:
        FileError: it cannot be read, or has a mistake; the remark names the file, the line and the key.
    """
    text = read_text(path, MAX_BYTES)
    return parse_recipe(path, text, environments), text


def parse_recipe(path: Path, text: str, environments: frozenset[str] | None = None) -> Recipe:
    """The recipe that a text says; ``path`` is for messages, and None for ``environments`` takes any.

    Raises:
        FileError: see :func:`read_recipe`.
    """
    document = parse_toml(path, text)
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        raise _mistake(path, text, error) from None
    if environments is not None and recipe.environment not in environments:
        known = ", ".join(sorted(environments))
        raise _wrong(path, text, ("environment",), f"{recipe.environment!r} is no build environment; there is {known}")
    return recipe


def _mistake(path: Path, text: str, error: ValidationError) -> FileError:
    every = error.errors()
    # A key that nobody knows says more than that the one it was meant for is missing.
    first = next((each for each in every if each["type"] == "extra_forbidden"), every[0])
    place = tuple(each for each in first["loc"] if each != "[key]")
    models: dict[Any, type[Value]] = {"source": RecipeSource, "targets": RecipeTarget}
    known = models.get(place[0] if len(place) > 1 else None, Recipe)
    return _wrong(path, text, place, mistake(first, list(known.model_fields)))


def _wrong(path: Path, text: str, place: tuple[int | str, ...], sentence: str) -> FileError:
    """A mistake at a key, with the line it stands on."""
    lines = text.splitlines()
    start: int | None = 1
    end = None
    kind: Literal["source", "targets"] | None = None
    if place and place[0] == "targets" and len(place) > 1 and isinstance(place[1], int):
        kind = "targets"
        start, end = span(lines, kind, place[1])
    elif place and place[0] == "source":
        start = line_of(lines, "source")
    names = [each for each in place if isinstance(each, str)]
    line = (line_of(lines, names[-1], start, end) if names else None) or start
    key = ".".join(names) or None
    return FileError(path, f"{sentence}." if not sentence.endswith("?") else sentence, line if place else None, key)
