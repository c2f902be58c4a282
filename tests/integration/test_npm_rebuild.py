"""npm packages made here, published on a registry of this machine, and rebuilt from a repository of this machine.

What is published is packed outside of any sandbox, with the real Node and npm of ``npm-tools.lock``.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from rebuilder.ecosystems.npm.context import ENVIRONMENT
from rebuilder.ecosystems.npm.node_versions import NODE as NODE_PACKAGE
from rebuilder.ecosystems.npm.packer import LIMITS
from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.definition import Input, Role
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.program_runner import SandboxPrograms
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.command import Installation
from tests.fakes.loopback_npm import integrity, tarball
from tests.fakes.npm_publisher import (
    NODE,
    SOURCE,
    TSCONFIG,
    TYPESCRIPT,
    Outside,
    Tarballs,
    lock,
    manifest,
    typed,
)
from tests.fakes.projects import TRUSTED


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


def test_packing_runs_no_script(outside: Outside) -> None:
    """This npm runs ``prepare`` although it is told to run none; here it would fail."""
    files = {"package.json": manifest(scripts={"prepare": 'test "$npm_config_offline" != true'}), "a.js": "1\n"}
    outside.commit(files, "v1.0.0")
    outside.publish("own", outside.pack())
    assert "reproduced" == outside.verify("npm:own==1.0.0").line["verdict"]


def test_the_example_of_the_demo(tmp_path: Path, environments_root: Path) -> None:
    """It is published and verified by one command, and what would push is named on its page."""
    made = Installation.make(tmp_path, environments_root, "http://127.0.0.1:9")
    program = Path(__file__).parent.parent.parent / "tools" / "npm-example"
    done = subprocess.run(
        [sys.executable, program, "--json"], env=made.environment, capture_output=True, check=False, text=True
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    line = json.loads(done.stdout)
    assert ("reproduced", {"commit-to-tarball": "reproduced"}) == (line["verdict"], line["trail"]["steps"])
    assert "Not run: git push --tags." in Path(line["report"]).read_text()


def test_what_a_compiler_makes(outside: Outside, tarballs: Tarballs) -> None:
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


LIST = """
const fs = require("fs"), path = require("path"), found = [];
const crypto = require("crypto");
function look(at) {
  for (const name of fs.readdirSync(at).sort()) {
    if (name == ".package-lock.json") continue; // has the address of the registry
    const place = path.join(at, name), status = fs.lstatSync(place);
    const content = status.isSymbolicLink() ? fs.readlinkSync(place)
      : status.isFile() ? crypto.createHash("sha256").update(fs.readFileSync(place)).digest("hex") : "";
    found.push(`${place} ${status.mode.toString(8)} ${content}`);
    if (status.isDirectory()) look(place);
  }
}
look("node_modules");
fs.writeFileSync("list.txt", found.join("\\n"));
"""
"""Writes all that is installed into a file."""


@pytest.mark.parametrize(("own", "taken"), [({}, True), ({"case/node_modules/x.js": "1\n"}, False)])
def test_packages_are_installed_once(outside: Outside, tarballs: Tarballs, own: dict[str, str], *, taken: bool) -> None:
    """Later builds of a commit find what npm left, to the mode and link; not where the commit has such directories."""
    files = typed(tarballs) | {
        "package.json": manifest(
            files=["list.txt"], scripts={"build": "node list.js"}, devDependencies={"typescript": TYPESCRIPT}
        ),
        "list.js": LIST,
        ".gitignore": "list.txt\n",
        **own,
    }
    outside.commit(files, "v1.0.0")
    install = ("ci", "--ignore-scripts", "--replace-registry-host=always", f"--registry={outside.registry.url}")
    outside.run("npm/package/bin/npm-cli.js", *install)
    outside.run(str(outside.clone / "list.js"))
    outside.publish("own", outside.pack())
    said = []
    for more in ("", "[environments]\nprepared_bytes = 0\n"):
        settings = outside.installation.settings
        settings.write_text(settings.read_text() + more)
        answer = outside.verify("npm:own==1.0.0")
        assert ("reproduced", []) == (answer.line["verdict"], answer.line.get("alarms", [])), outside.log(answer)
        said.append("/inputs/installed.tar" in outside.log(answer))
    assert [taken, False] == said


def test_a_package_of_many_in_one_repository(outside: Outside, tarballs: Tarballs) -> None:
    """Its directory is found by its name; it is built where it is, behind the neighbour that it imports."""
    one, two = "packages/one", "packages/two"
    workspaces = {
        "node_modules/@our/one": {"resolved": one, "link": True},
        "node_modules/@our/two": {"resolved": two, "link": True},
        one: {"name": "@our/one", "version": "1.0.0", "dependencies": {"@our/two": "^1.0.0"}},
        two: {"name": "@our/two", "version": "1.0.0"},
    }
    compiled: dict[str, Any] = {
        "files": ["dist"],
        "scripts": {"build": "tsc"},
        "type": "module",
        "exports": "./dist/index.js",
    }
    outside.commit(
        {
            "package.json": manifest(
                "all", private=True, workspaces=["packages/*"], devDependencies={"typescript": TYPESCRIPT}
            ),
            "package-lock.json": lock(tarballs, root={"name": "all", "workspaces": ["packages/*"]}, **workspaces),
            f"{one}/package.json": manifest("@our/one", dependencies={"@our/two": "^1.0.0"}, **compiled),
            f"{one}/tsconfig.json": TSCONFIG,
            f"{one}/index.ts": 'import { twice } from "@our/two";\nexport const four = twice(2);\n',
            f"{two}/package.json": manifest("@our/two", **compiled),
            f"{two}/tsconfig.json": TSCONFIG,
            f"{two}/index.ts": SOURCE,
            ".gitignore": "dist\nnode_modules\n",
        },
        "@our/one@1.0.0",
    )
    modules = outside.clone / "node_modules" / "@our"
    modules.mkdir(parents=True)
    (modules / "two").symlink_to(f"../../{two}")
    for place in (two, one):
        outside.run("typescript/package/bin/tsc", directory=place)
    outside.publish("@our/one", outside.pack(one))
    answer = outside.verify("npm:@our/one==1.0.0")
    assert "reproduced" == answer.line["verdict"], answer.words + outside.log(answer)
    assert 1 == answer.line["attempts"]
    assert f"build (in {two}): tsc" in Path(answer.line["report"]).read_text()


def test_a_file_that_nothing_makes(outside: Outside) -> None:
    """It is in the tarball, and in no commit: the release is another one than its source."""
    outside.commit({"package.json": manifest(), "index.js": "module.exports = 1\n"}, "v1.0.0")
    outside.publish("own", with_member(outside.pack(), "package/install.js", b"steal()\n"))
    answer = outside.verify("npm:own==1.0.0")
    line = answer.line
    assert "differs" == line["verdict"], answer.words
    assert "package/install.js" in line["sentence"]


def test_scripts_have_no_network_and_an_empty_home(outside: Outside, tarballs: Tarballs) -> None:
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


def test_a_dependency_that_hands_in_the_release(outside: Outside, tarballs: Tarballs) -> None:
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


def test_the_zlib_that_compressed_a_tarball(
    tmp_path: Path, environments_root: Path, tarballs: Tarballs, unpacked: Path
) -> None:
    """A real Node in the sandbox makes its own bytes again, and not those that zlib as it is published makes."""
    blobs = MemoryBlobs()
    programs = SandboxPrograms(
        BubblewrapSandbox(blobs, FixedClock(), scratch=tmp_path),
        EnvironmentStore(environments_root, FixedClock()),
        blobs,
        ENVIRONMENT,
    )
    (tmp_path / "tar").write_bytes(_some_members(tarballs["npm"]["9.9.4"]))
    node = unpacked / NODE_PACKAGE / "package" / "bin" / "node"
    script = "fs=require('fs');fs.writeFileSync('by-node',require('zlib').gzipSync(fs.readFileSync('tar'),{level:9}))"
    subprocess.run([node, "-e", script], cwd=tmp_path, check=True)
    by_node = (tmp_path / "by-node").read_bytes()
    by_zlib = gzip.compress((tmp_path / "tar").read_bytes(), 9, mtime=0)
    probe = blobs.put(tarballs[NODE_PACKAGE][NODE])
    tool = Input(role=Role.BUILD_TOOL, name="node", sha256=probe, path=f"/inputs/tools/{NODE_PACKAGE}-{NODE}.tgz")
    found = []
    for content in (by_node, by_zlib):
        file = Input(role=Role.PARAMETERS, name="x.tgz", sha256=blobs.put(content), path="/inputs/published.tgz")
        facts = programs.run("npm", "read_packer", [file.path], inputs=[file], limits=LIMITS)
        tried = programs.run("npm", "read_packer", [file.path, "--node", tool.path], inputs=[file, tool], limits=LIMITS)
        found.append((facts.document["classic"], tried.document["made"]))
    assert [(False, True), (True, False)] == found


def _some_members(content: bytes) -> bytes:
    """A tar of the first members of a tarball, enough for compressors to differ."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive, tarfile.open(fileobj=buffer, mode="w") as copy:
        for member in archive.getmembers()[:400]:
            copy.addfile(member, archive.extractfile(member))
    return buffer.getvalue()


def test_a_dependency_that_hands_in_every_file(outside: Outside, tarballs: dict[str, dict[str, bytes]]) -> None:
    """It holds the files of the release that no commit has, not the release itself: the alarm is the same."""
    noise = os.urandom(30_000)
    packed = manifest(
        files=["dist"],
        scripts={"build": "mkdir dist && cp node_modules/carrier/noise dist/noise"},
        devDependencies={"carrier": "1.0.0"},
    )
    carrier = tarball("carrier", "1.0.0", {"noise": noise})
    outside.registry.packages["carrier"] = {"1.0.0": carrier}
    entry = {"version": "1.0.0", "integrity": integrity(carrier), "dev": True}
    root = {"devDependencies": {"carrier": "1.0.0"}}
    locked = lock(tarballs, root=root, **{"node_modules/carrier": entry})
    outside.commit({".gitignore": "dist\n", "package.json": packed, "package-lock.json": locked}, "v1.0.0")
    (outside.clone / "dist").mkdir()
    (outside.clone / "dist" / "noise").write_bytes(noise)
    outside.publish("own", outside.pack())
    answer = outside.verify("npm:own==1.0.0")
    assert "reproduced" == answer.line["verdict"], answer.words + outside.log(answer)
    [alarm] = answer.line["alarms"]
    assert "copy-in-source" == alarm["kind"]
    assert "100% are files of the build dependency carrier" in alarm["sentence"]


def test_what_a_commit_only_refers_to(outside: Outside) -> None:
    """The content of a large file is not in git: its difference accuses nobody."""
    content = os.urandom(3000)
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\nsize 3000\n"
    )
    outside.commit({"package.json": manifest(), "index.js": "1\n", "data.bin": pointer}, "v1.0.0")
    (outside.clone / "data.bin").write_bytes(content)
    outside.publish("own", outside.pack())
    line = outside.verify("npm:own==1.0.0").line
    assert ("inputs-missing", True) == (line["verdict"], "only a Git LFS pointer to data.bin" in line["sentence"])


def test_packages_that_a_release_brings_along(outside: Outside, tarballs: Tarballs) -> None:
    """They are installed as the lock file names them, and packed; no script is needed."""
    carried = tarball("carried", "1.0.0")
    outside.registry.packages["carried"] = {"1.0.0": carried}
    needs: dict[str, Any] = {"dependencies": {"carried": "1.0.0"}, "bundleDependencies": ["carried"]}
    entry = {"version": "1.0.0", "integrity": integrity(carried), "inBundle": True}
    locked = lock(tarballs, root=needs, **{"node_modules/carried": entry})
    outside.commit({"package.json": manifest(**needs), "package-lock.json": locked, "index.js": "1\n"}, "v1.0.0")
    modules = outside.clone / "node_modules"
    with tarfile.open(fileobj=io.BytesIO(carried)) as archive:
        archive.extractall(modules, **TRUSTED)
    (modules / "package").rename(modules / "carried")
    outside.publish("own", outside.pack())
    line = outside.verify("npm:own==1.0.0").line
    assert "reproduced" == line["verdict"], line["sentence"]
    assert [] == line["alarms"]


def test_the_obstacle_is_that_of_the_commit(outside: Outside, tarballs: Tarballs) -> None:
    """A commit that was found counts, not that nothing lies beside a tarball; what is not built is nobody's fault."""
    entry = {"version": "1.0.0", "resolved": "git+ssh://git@host.example.org/a/b.git#abc", "dev": True}
    needs: dict[str, Any] = {"devDependencies": {"b": "github:a/b"}, "scripts": {"build": "b"}, "files": ["dist"]}
    locked = lock(tarballs, root={"devDependencies": needs["devDependencies"]}, **{"node_modules/b": entry})
    outside.commit({"package.json": manifest(**needs), "package-lock.json": locked}, "v1.0.0")
    outside.publish("own", with_member(outside.pack(), "package/dist/b.js", b"1\n"))
    line = outside.verify("npm:own==1.0.0").line
    assert "unsupported" == line["verdict"]
    assert line["sentence"].startswith("package-lock.json takes b from a repository")


def test_scripts_of_installation_that_a_build_needs(outside: Outside, tarballs: Tarballs) -> None:
    """They run where package.json allows them by name and nothing was built without; the others never do."""
    code = b"require('fs').writeFileSync('made.js', 'module.exports = 42')\n"
    needs: dict[str, Any] = {"devDependencies": {"allowed": "1.0.0", "other": "1.0.0"}}
    entries = {}
    for name in ("allowed", "other"):
        made = tarball(name, "1.0.0", {"make.js": code}, scripts={"postinstall": "node make.js"})
        outside.registry.packages[name] = {"1.0.0": made}
        entry = {"version": "1.0.0", "integrity": integrity(made), "dev": True, "hasInstallScript": True}
        entries[f"node_modules/{name}"] = entry
    build = "mkdir -p dist && cp node_modules/allowed/made.js dist/ && ls node_modules/other > dist/other.txt"
    own = manifest(files=["dist"], trustedDependencies=["allowed"], scripts={"build": build}, **needs)
    files = {"package.json": own, "package-lock.json": lock(tarballs, root=needs, **entries), ".gitignore": "dist\n"}
    outside.commit(files, "v1.0.0")
    (outside.clone / "dist").mkdir()
    (outside.clone / "dist" / "made.js").write_text("module.exports = 42")
    (outside.clone / "dist" / "other.txt").write_text("index.js\nmake.js\npackage.json\n")
    outside.publish("own", outside.pack())
    answer = outside.verify("npm:own==1.0.0")
    assert "reproduced" == answer.line["verdict"], answer.words + outside.log(answer)
    assert "allowed install scripts: npm rebuild allowed" in Path(answer.line["report"]).read_text()
