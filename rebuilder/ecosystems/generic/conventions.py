"""What is so of every release that a recipe describes."""

from __future__ import annotations

from pathlib import Path

from rebuilder.ecosystems.conventions import Context, Conventions, NamedPackages
from rebuilder.ecosystems.generic.recipe import ECOSYSTEM
from rebuilder.ecosystems.protocol import Ecosystem

_LONGEST_PATH = 4000


class GenericConventions(Conventions):
    """A project is a recipe: it is asked for, and watched, by the path of the file."""

    name = ECOSYSTEM
    title = "Other releases"

    def open(self, context: Context) -> Ecosystem:
        """See :meth:`rebuilder.ecosystems.conventions.Conventions.open`."""
        from rebuilder.ecosystems.generic.ecosystem import Generic

        return Generic(context)

    def is_name(self, text: str) -> bool:
        """Whether a text can be the path of a recipe."""
        return text.endswith(".toml") and text.isprintable() and len(text) <= _LONGEST_PATH

    def collect(self, path: Path, text: str, named: NamedPackages) -> None:
        """The file is itself what is watched; what is wrong with it shows when it is looked at."""
        del text
        named.add(str(path.resolve()))

    def file_words(self, filename: str) -> str:
        """By what its name ends in."""
        return "archive" if filename.endswith((".tar.gz", ".tar.xz", ".tar.bz2", ".tgz", ".tar", ".zip")) else "file"

    def architecture(self, filename: str) -> str:
        """The name itself: a recipe makes files of any kind."""
        return filename
