"""The registry inside the sandbox: a package manager gets exactly the tarballs among the inputs, whatever they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.programs.npm.loopback import ADDRESS, file_name
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.program_runner import program_input
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.loopback_npm import integrity, tarball

ASKING = """
import json, sys, urllib.error, urllib.request
from concurrent.futures import ThreadPoolExecutor
def ask(path):
    try:
        with urllib.request.urlopen(%r + path) as answer:
            body = answer.read()
            json_ = answer.headers["Content-Type"] == "application/json"
            return json.loads(body) if json_ else len(body)
    except urllib.error.HTTPError as error:
        return error.code
with ThreadPoolExecutor(8) as pool:
    found = dict(zip(sys.argv[1:], pool.map(ask, sys.argv[1:])))
lock = open("package-lock.json").read() if "--" not in sys.argv else ""
open("/out/answers.json", "w").write(json.dumps({"answers": found, "lock": lock}))
open("package-lock.json", "w").write("changed")
"""


class Installer:
    """A sandbox in which a few lines of Python are the package manager."""

    def __init__(self, environments: EnvironmentStore, scratch: Path) -> None:
        self.blobs = MemoryBlobs()
        sandbox = BubblewrapSandbox(self.blobs, FixedClock(), scratch=scratch)
        self._run = LocalRunner({sandbox.kind: sandbox}, environments, self.blobs)
        used = environments.get("bullseye")
        self._environment = EnvironmentRef(name=used.name, sha256=used.sha256)

    def __call__(self, tarballs: dict[tuple[str, str], bytes], *paths: str) -> tuple[Run, dict[str, str]]:
        """Ask for paths; gives the run and what it left."""
        program = program_input(self.blobs, "npm")
        lock = Input(role=Role.PARAMETERS, name="lock", sha256=self.blobs.put(b"given"), path="/inputs/lock")
        inputs = [
            Input(role=Role.BUILD_DEPENDENCY, name=name, sha256=self.blobs.put(content), path=f"/inputs/npm/{file}")
            for (name, version), content in tarballs.items()
            for file in [file_name(name, version)]
        ]
        install = ("/usr/bin/python3", "-I", "-S", program.path, "install", "--lock", "/inputs/lock")
        places = ("--at", "/build/source/package-lock.json", "--directory", "/build/source")
        asking = ("/usr/bin/python3", "-c", ASKING % ADDRESS, *paths)
        run = self._run(
            BuildDefinition(
                build_type="urn:example:install",
                purl="pkg:npm/own@1.0.0",
                targets=("answers.json",),
                toolchain=self._environment,
                inputs=(program, lock, *inputs),
                commands=(
                    ("/bin/sh", "-c", "mkdir source; echo own > source/package-lock.json; touch -d @9 source/*"),
                    (*install, *places, "--missing", "/out/missing.json", "--", *asking),
                    ("/bin/sh", "-c", "cat source/package-lock.json; stat -c %Y source/package-lock.json; ls source"),
                ),
                environment={"PATH": "/usr/bin:/bin"},
            )
        )
        return run, {each.filename: self.blobs.read(each.sha256).decode() for each in run.outputs}


@pytest.fixture(scope="module")
def installer(environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory) -> Installer:
    """One for all tests."""
    return Installer(environments, tmp_path_factory.mktemp("scratch"))


def test_exactly_the_inputs(installer: Installer) -> None:
    """Documents made of the tarballs, tarballs by name and version, and nothing else; the lock file is put back."""
    beta = tarball("@scope/beta", "2.0.0", dependencies={"alpha": "^1.0.0"}, bin="x.js")
    tarballs = {
        ("alpha", "1.0.0"): tarball("alpha", "1.0.0"),
        ("alpha", "1.1.0-beta.1"): tarball("alpha", "1.1.0-beta.1", {"npm-shrinkwrap.json": b"{}"}),
        ("@scope/beta", "2.0.0"): beta,
    }
    run, found = installer(
        tarballs,
        *("/alpha", "/@scope%2fbeta", "/@scope/beta/-/beta-2.0.0.tgz", "/alpha/-/alpha-1.1.0-beta.1.tgz"),
        *("/gamma", "/alpha/-/alpha-9.0.0.tgz", "/-/ping", "/../../etc/passwd", "/alpha/1.0.0"),
    )
    assert run.outcome is Outcome.COMPLETED
    told = json.loads(found["answers.json"])
    answers = told["answers"]
    assert told["lock"] == "given"
    assert answers["/alpha"]["dist-tags"] == {"latest": "1.0.0"}
    assert set(answers["/alpha"]["versions"]) == {"1.0.0", "1.1.0-beta.1"}
    assert answers["/alpha"]["versions"]["1.1.0-beta.1"]["_hasShrinkwrap"] is True
    entry = answers["/@scope%2fbeta"]["versions"]["2.0.0"]
    assert (entry["dependencies"], entry["bin"]) == ({"alpha": "^1.0.0"}, "x.js")
    assert entry["dist"]["integrity"] == integrity(beta)
    assert entry["dist"]["tarball"] == f"{ADDRESS}/@scope/beta/-/beta-2.0.0.tgz"
    assert answers["/@scope/beta/-/beta-2.0.0.tgz"] == len(beta)
    assert answers["/alpha/-/alpha-1.1.0-beta.1.tgz"] == len(tarballs["alpha", "1.1.0-beta.1"])
    refused = ("/gamma", "/alpha/-/alpha-9.0.0.tgz", "/-/ping", "/../../etc/passwd", "/alpha/1.0.0")
    assert [answers[each] for each in refused] == [404] * 5
    assert {"alpha@9.0.0", "gamma"} <= set(json.loads(found["missing.json"]))
    log = installer.blobs.read(run.log_sha256).decode()
    assert "| own\n| 9\n| package-lock.json\n" in log
    assert "'gamma'" in log


def test_tarballs_that_say_they_are_something_else(installer: Installer) -> None:
    """The name that a lock file binds counts; what is no package has a document all the same."""
    tarballs = {
        ("alpha", "1.0.0"): tarball("evil", "6.6.6"),
        ("list", "1.0.0"): tarball("x", "1.0.0", {"package.json": b"[]"}),
        ("deep", "1.0.0"): tarball("x", "1.0.0", {"package.json": b"[" * 100_000}),
        ("none", "1.0.0"): b"no archive",
        ("a-1.0.0", "2.0.0"): tarball("a-1.0.0", "2.0.0"),
        ("a", "1.0.0-2.0.0"): tarball("a", "1.0.0-2.0.0"),
    }
    paths = ("/alpha", "/list", "/deep", "/none", "/a/-/a-1.0.0-2.0.0.tgz", "/a-1.0.0/-/a-1.0.0-2.0.0.tgz")
    run, found = installer(tarballs, *paths, "/evil")
    assert run.outcome is Outcome.COMPLETED
    answers = json.loads(found["answers.json"])["answers"]
    assert [answers[path]["versions"]["1.0.0"]["name"] for path in paths[:4]] == ["alpha", "list", "deep", "none"]
    assert answers["/alpha"]["versions"]["1.0.0"]["version"] == "1.0.0"
    assert answers["/evil"] == 404
    assert [answers[each] for each in paths[4:]] == [
        len(tarballs["a", "1.0.0-2.0.0"]),
        len(tarballs["a-1.0.0", "2.0.0"]),
    ]
