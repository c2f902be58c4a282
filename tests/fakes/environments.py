"""Build environments without Debian: one in plain directories, and a maker of tiny trees for the real store."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from rebuilder.environments.protocol import BuildEnvironment, Environments, Wanted
from rebuilder.environments.settle import level
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Made, Manifest, Package
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256, sha256_hex

PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
PACKAGE = Package(name="python3", version="3.13.5-1", architecture="amd64", sha256=Sha256("ab" * 32))


class FakeEnvironments(Environments):
    """A :class:`environments.protocol.Environments`: ``ROOT/NAME`` is the tree, a small one if a test made none.

    One that was made anew is ``ROOT/NAME-2``, then ``ROOT/NAME-3``.
    """

    def __init__(self, root: Path, pythons: Mapping[str, str] = PYTHON) -> None:
        self.root = root
        self.pythons = pythons
        self._digests: dict[Path, Sha256] = {}
        self._current: dict[str, Path] = {}

    def get(self, wanted: Wanted) -> BuildEnvironment:
        """The directory, as long as it holds what it held the first time."""
        assert isinstance(wanted, str)
        name = wanted
        if name not in self.pythons:
            raise BuildEnvironmentError(f"There is no build environment named {name!r}.")
        return self._checked(name, self._current.setdefault(name, self.root / name))

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """One of the directories that were used."""
        for tree, digest in self._digests.items():
            if digest == sha256:
                return self._checked(tree.name.partition("-")[0], tree)
        raise BuildEnvironmentError(f"This machine has no build environment with the digest {sha256}.")

    def remake(self, name: str) -> BuildEnvironment:
        """The next directory."""
        made = sum(1 for each in self._digests if each.name.partition("-")[0] == name)
        self._current[name] = self.root / (f"{name}-{made + 1}" if made else name)
        return self.get(name)

    def _checked(self, name: str, tree: Path) -> BuildEnvironment:
        if not tree.exists():
            plant(tree)
        found = sha256_hex(repr([(str(each), _content(each)) for each in sorted(tree.rglob("*"))]).encode())
        if self._digests.setdefault(tree, found) != found:
            raise BuildEnvironmentError(f"The build environment {name} was modified since it was made.")
        return BuildEnvironment(
            name=name,
            sha256=found,
            root=tree,
            provides={"python": self.pythons.get(name, "3.13")},
            summary=EnvironmentSummary(
                name=name,
                sha256=found,
                provides={"python": self.pythons.get(name, "3.13")},
                packages=(f"{PACKAGE.name} {PACKAGE.version}",),
            ),
        )


def _content(place: Path) -> tuple[int, str]:
    if place.is_symlink():
        return 0, str(place.readlink())
    return place.stat().st_mode, place.read_text() if place.is_file() else ""


def linked(environments: Path, own: Path) -> Path:
    """A store of its own that has the environments of another one, and keeps what is made over them for itself."""
    shutil.copytree(environments / "current", own / "current")
    (own / "trees").mkdir()
    for each in (own / "current").iterdir():
        tree = Path("trees", each.read_text().strip())
        if not (own / tree).exists():
            (own / tree).symlink_to((environments / tree).absolute())
    return own


def plant(root: Path) -> None:
    """Make a tree with every kind of entry a build environment has."""
    programs = root / "usr" / "bin"
    programs.mkdir(parents=True)
    (programs / "python3.13").write_text("an interpreter\n")
    (programs / "python3.13").chmod(0o755)
    (programs / "python3").symlink_to("python3.13")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")


class TinyMaker:
    """Makes :func:`plant`'s tree for :class:`rebuilder.environments.store.EnvironmentStore`; counts how often."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.text = "the same every time\n"

    def __call__(self, spec: Manifest, root: Path) -> Made:
        """Make the tree, as settled as a real one."""
        self.made.append(spec.name)
        plant(root)
        (root / "etc" / "text").write_text(self.text)
        level(root)
        return Made(packages=(PACKAGE,), tool="a test")
