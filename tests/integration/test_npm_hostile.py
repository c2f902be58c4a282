"""Commits of npm packages that do what no publisher should: each ends in a sentence, and nothing of it comes out."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.loopback_npm import integrity
from tests.fakes.npm_publisher import (
    Outside,
    Tarballs,
    lock,
    manifest,
    typed,
)

BOMB = "const {fork} = require('child_process'); for (;;) fork(__filename).on('error', () => process.exit(9))\n"
PUBLISH = "require('child_process').execSync('npm publish', {stdio: 'inherit'})\n"
SECRETS = (
    "const fs = require('fs'); const at = [process.env.HOME + '/.npmrc', '/root/.npmrc', '/etc/shadow', '/inputs/x'];\n"
    "const found = at.filter((each) => { try { return fs.readFileSync(each) } catch { return false } });\n"
    "console.log('found', found.length); process.exit(8)\n"
)


@pytest.mark.parametrize(
    ("script", "verdict", "told"),
    [(BOMB, "timed-out", ""), (PUBLISH, "build-failed", "npm error"), (SECRETS, "build-failed", "found 0")],
    ids=["fork", "publish", "read"],
)
def test_a_script_that_does_harm(outside: Outside, tarballs: Tarballs, script: str, verdict: str, told: str) -> None:
    """It fails in the sandbox: that says nothing about the release, and the log tells what it tried."""
    outside.commit(typed(tarballs, build="node build.cjs") | {"build.cjs": script}, "v1.0.0")
    outside.run("typescript/package/bin/tsc")
    outside.publish("own", outside.pack())
    answer = outside.verify("npm:own==1.0.0")
    assert (3, verdict) == (answer.code, answer.line["verdict"]), answer.words
    assert ("on processes" in answer.line["sentence"]) == (verdict == "timed-out")
    assert told in outside.log(answer)
    assert set(outside.registry.packages["own"]) == {"1.0.0"}


@pytest.mark.parametrize("name", ["own", "twin"])
def test_a_lock_file_that_installs_the_release(outside: Outside, tarballs: Tarballs, name: str) -> None:
    """Whoever packs reproducibly knows the digest before: the published code would be copied from what is published."""
    needs: dict[str, Any] = {"devDependencies": {name: "1.0.0"}}
    scripts = {"build": f"mkdir dist && cp node_modules/{name}/dist/evil.js dist/"}
    outside.commit({"package.json": manifest(files=["dist"], scripts=scripts, **needs)}, "v0.9.0")
    (outside.clone / "dist").mkdir()
    (outside.clone / "dist" / "evil.js").write_text("steal()\n")
    published = outside.pack()
    entry = {"version": "1.0.0", "integrity": integrity(published), "dev": True}
    locked = lock(tarballs, root=needs, **{f"node_modules/{name}": entry})
    outside.commit({"package-lock.json": locked, ".gitignore": "dist\n"}, "v1.0.0")
    outside.registry.packages["twin"] = {"1.0.0": published}
    outside.publish("own", published)
    answer = outside.verify("npm:own==1.0.0")
    assert (3, "unsupported") == (answer.code, answer.line["verdict"]), answer.words
    assert "the release itself" in answer.line["sentence"]


def test_a_script_of_megabytes(outside: Outside) -> None:
    """Is not read to its end, and that is the one thing that is said."""
    files = {"package.json": manifest(files=["dist"], scripts={"build": "x" * 10_000_000}), "a.js": "1\n"}
    outside.commit(files, "v1.0.0")
    (outside.clone / "dist").mkdir()
    (outside.clone / "dist" / "a.js").write_text("1\n")
    outside.publish("own", outside.pack())
    answer = outside.verify("npm:own==1.0.0")
    assert (3, "unsupported") == (answer.code, answer.line["verdict"]), answer.words
    assert "package.json of 10,0" in answer.line["sentence"]
    assert len(answer.line["sentence"]) < 400


def test_links_that_lead_out(outside: Outside, tmp_path: Path) -> None:
    """They are made as git makes them, and nothing is read through them; what a publisher packed instead differs."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret\n")
    outside.commit({"package.json": manifest(), "index.js": "1\n"}, "v0.9.0")
    clone = outside.repository.path
    (clone / "up").symlink_to("../../../../..")
    (clone / "key").symlink_to(secret / "key")
    (clone / "passwd").symlink_to("/etc/passwd")
    outside.commit({"more.js": "1\n"}, "v1.0.0")
    content = outside.pack()
    outside.publish("own", content)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert {"package/package.json", "package/index.js", "package/more.js"} == set(archive.getnames())
    assert "reproduced" == outside.verify("npm:own==1.0.0").line["verdict"]
    for name in ("up", "key", "passwd"):
        (outside.clone / name).unlink()
    (outside.clone / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    outside.publish("own", outside.pack())
    line = outside.verify("npm:own==1.0.0").line
    assert ("differs", True) == (line["verdict"], "package/passwd" in line["sentence"]), json.dumps(line)
