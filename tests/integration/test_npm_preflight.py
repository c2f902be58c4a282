"""``rebuilder preflight`` on npm packages: scripts and npm as they are, in the real sandbox."""

from __future__ import annotations

from rebuilder.model.diagnosis import Cause
from tests.fakes.npm_publisher import Outside, manifest

BUILD = """const fs = require('fs'); const os = require('os');
fs.mkdirSync('dist', {recursive: true});
fs.writeFileSync('dist/index.js', 'exports.answer = 42;\\n');
"""


def test_a_package_that_everybody_packs_alike(outside: Outside) -> None:
    """Its script is run and npm packs it, here and elsewhere; a tarball of another version is no answer."""
    outside.commit(
        {"package.json": manifest(files=["dist"], scripts={"build": "node build.js"}), "build.js": BUILD}, "v1"
    )
    answer = outside.installation.run("preflight", "--json", outside.repository.path)
    assert (0, "same") == (answer.code, answer.line["outcome"]), answer.words
    assert ["own-1.0.0.tgz"] == [each["filename"] for each in answer.line["built"]]
    assert answer.line["built"][0]["sha256"] == answer.line["built"][0]["elsewhere_sha256"]


def test_a_script_that_writes_where_it_ran(outside: Outside) -> None:
    """The host's name is shown with its line, and with the line of the script that asks for it."""
    script = f"{BUILD}fs.appendFileSync('dist/index.js', `exports.host = '${{os.hostname()}}';\\n`);\n"
    files = {"package.json": manifest(files=["dist"], scripts={"build": "node build.js"}), "build.js": script}
    outside.commit(files, "v1")
    answer = outside.installation.run("preflight", "--json", outside.repository.path)
    assert (1, "differs") == (answer.code, answer.line["outcome"]), answer.words
    [found] = answer.line["findings"]
    assert (Cause.HOST_OR_USER_NAME, "shown") == (found["cause"], found["certainty"])
    assert [("build.js", 4)] == [(each["file"], each["line"]) for each in found["places"]]


def test_a_package_without_a_name(outside: Outside) -> None:
    """Nothing is built of it, and one sentence says why."""
    outside.commit({"package.json": '{"license": "MIT"}\n'}, "v1")
    answer = outside.installation.run("preflight", "--json", outside.repository.path)
    assert (3, "undecided") == (answer.code, answer.line["outcome"]), answer.words
    assert "names no package" in answer.line["sentence"]
