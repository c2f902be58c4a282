"""A publisher of npm packages on this machine: real Node and npm outside of any sandbox, a registry, a repository."""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rebuilder.ecosystems.npm.node_versions import NODE as NODE_PACKAGE
from tests.fakes.command import Answer, Installation
from tests.fakes.loopback_index import serving
from tests.fakes.loopback_npm import LoopbackNpm, integrity
from tests.fakes.npm import NpmInstallation
from tests.fakes.projects import TRUSTED
from tests.fakes.repositories import Repository, make_repository

TARBALLS = Path(__file__).parent.parent.parent / ".build" / "npm"
NODE, NPM, TYPESCRIPT = "20.18.1", "10.8.2", "5.6.3"
WHEN = int(datetime(2024, 11, 15, tzinfo=UTC).timestamp())
"""When all was committed: what is chosen by date is then among the tarballs."""
REPOSITORY = "https://git.example.org/people/own"
SOURCE = "export const answer: number = 42;\nexport function twice(x: number): number {\n  return 2 * x;\n}\n"
TSCONFIG = '{"compilerOptions": {"outDir": "dist", "declaration": true, "module": "nodenext", "target": "es2022"}}\n'

Tarballs = Mapping[str, Mapping[str, bytes]]
"""By package and version."""


def locked_tarballs() -> dict[str, dict[str, bytes]]:
    """The tarballs of ``npm-tools.lock``."""
    found: dict[str, dict[str, bytes]] = {}
    lines = (TARBALLS.parent.parent / "npm-tools.lock").read_text().splitlines()
    for name, version, expected, *machine in (line.split() for line in lines if not line.startswith("#")):
        if machine and machine != [platform.machine()]:
            continue
        path = TARBALLS / f"{name}-{version}.tgz"
        if not path.is_file() or expected != integrity(content := path.read_bytes()):
            pytest.fail(f"{path.name} is not what npm-tools.lock says; run `make npm-tarballs`.", pytrace=False)
        found.setdefault(name, {})[version] = content
    return found


def unpack_tools(tarballs: Tarballs, root: Path) -> Path:
    """Node, npm and TypeScript on this machine."""
    for name, version in ((NODE_PACKAGE, NODE), ("npm", NPM), ("typescript", TYPESCRIPT)):
        with tarfile.open(fileobj=io.BytesIO(tarballs[name][version])) as archive:
            members = [each for each in archive if name != NODE_PACKAGE or each.name == "package/bin/node"]
            archive.extractall(root / name, members, **TRUSTED)
    return root


@dataclass
class Outside:
    """A publisher's machine, a registry, and who rebuilds."""

    registry: LoopbackNpm
    installation: NpmInstallation
    repository: Repository
    tools: Path

    def commit(self, files: Mapping[str, str | bytes], tag: str) -> str:
        """Commit files and tag them as a release."""
        name = self.repository.commit(files, moment=WHEN)
        self.repository.tag(tag)
        return name

    def run(self, *command: str, directory: str = "") -> None:
        """Run a JavaScript program of the tools in a clone of the repository."""
        node = self.tools / NODE_PACKAGE / "package" / "bin" / "node"
        home = self.installation.root / "publisher"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [node, self.tools / command[0], *command[1:]],
            cwd=self.clone / directory,
            env={"PATH": f"{node.parent}:{os.environ['PATH']}", "HOME": str(home)},
            capture_output=True,
            check=False,
        )
        assert 0 == done.returncode, (done.stdout + done.stderr).decode()

    @property
    def clone(self) -> Path:
        """Another copy of what is tagged."""
        place = self.installation.root / "clone"
        if not place.exists():
            self.repository.git("clone", "--quiet", str(self.repository.path), str(place))
        return place

    def pack(self, directory: str = "") -> bytes:
        """Pack the clone with the real npm."""
        self.run("npm/package/bin/npm-cli.js", "pack", "--ignore-scripts", directory=directory)
        [made] = (self.clone / directory).glob("*.tgz")
        content = made.read_bytes()
        made.unlink()
        return content

    def publish(self, name: str, content: bytes, version: str = "1.0.0", **more: Any) -> None:
        """Have it on the registry, beside the tools."""
        self.registry.packages[name] = {version: content}
        entry = {"repository": {"type": "git", "url": f"git+{REPOSITORY}.git"}, **more}
        self.registry.manifests[self.registry.filename(name, version)] = entry
        self.registry.more[self.registry.filename(name, version)] = {"signatures": []}

    def verify(self, *subjects: str) -> Answer:
        """``rebuilder verify``."""
        return self.installation.verify(*subjects)

    def log(self, answer: Answer) -> str:
        """What the last build printed."""
        report = json.loads((Path(answer.line["report"]).parent / "report.json").read_text())
        digest = report["attempts"][-1]["run"]["log_sha256"]
        return next((self.installation.store / "blobs").rglob(f"{digest}*")).read_text()


@contextmanager
def publishing(root: Path, environments: Path, tarballs: Tarballs, tools: Path) -> Iterator[Outside]:
    """A registry that has the tools, an empty repository, an installation that reaches both."""
    packages = {name: dict(versions) for name, versions in tarballs.items()}
    with serving(LoopbackNpm(packages=packages)) as registry:
        made = Installation.make(root, environments, "http://127.0.0.1:9")
        (root / "home").mkdir()
        repository = make_repository(root / "repository", {})
        settings = root / "rebuilder.toml"
        settings.write_text(f'[sources.mirrors]\n"{REPOSITORY}" = "{repository.path}/.git"\n')
        installation = NpmInstallation(root, made.index_url, registry.url, settings)
        yield Outside(registry, installation, repository, tools)


def manifest(name: str = "own", **more: Any) -> str:
    """A package.json."""
    return json.dumps({"name": name, "version": "1.0.0", "license": "MIT", **more}, indent=2) + "\n"


def lock(tarballs: Tarballs, **more: Any) -> str:
    """A package-lock.json with the compiler."""
    entry: dict[str, Any] = {
        "version": TYPESCRIPT,
        "integrity": integrity(tarballs["typescript"][TYPESCRIPT]),
        "dev": True,
    }
    entry["bin"] = {"tsc": "bin/tsc"}
    entry["resolved"] = f"https://registry.example.org/typescript/-/typescript-{TYPESCRIPT}.tgz"
    root = {"name": "own", "version": "1.0.0", "devDependencies": {"typescript": TYPESCRIPT}}
    packages = {"": root | more.pop("root", {}), "node_modules/typescript": entry, **more}
    return json.dumps({"name": "own", "version": "1.0.0", "lockfileVersion": 3, "packages": packages}, indent=2)


def typed(tarballs: Tarballs, **scripts: str) -> dict[str, str | bytes]:
    """A package that TypeScript compiles."""
    dependencies = {"typescript": TYPESCRIPT}
    return {
        "package.json": manifest(files=["dist"], scripts=scripts, devDependencies=dependencies, type="module"),
        "package-lock.json": lock(tarballs),
        "tsconfig.json": TSCONFIG,
        "index.ts": SOURCE,
        "README.md": "# Own\n",
        ".gitignore": "dist\nnode_modules\n",
    }
