"""The npm registry of this machine's own settings: a release whose digest and attestations are known."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.fakes.published import PublishedRebuilder, identical
from tests.integration.test_proxy_npm import Npm

PROGRAM = Path(sys.executable).parent / "rebuilder"
COMMIT = "26d16513386ffaa790b1c32f927544f1322e4194"
TARBALL = "f0c641fce0310cb43208f4272dc1423153630e44ba8cdc0b5ce8466f724e0eed"
"""sha256 of sigstore-2.1.0.tgz."""


def test_attested_release(tmp_path: Path) -> None:
    """The tarball is the known one, and its attestations verify.

    Many mirrors leave attestations and signatures out of what they pass on. Then the answer is "absent", which is
    true of that registry; anything between the two is wrong. What comes out depends on whether its forge answers.
    """
    (tmp_path / "store").mkdir()
    command = [PROGRAM, "verify", "--json", "--store", tmp_path / "store", "--keys", tmp_path / "keys"]
    done = subprocess.run(
        [*map(str, command), "--site", str(tmp_path / "site"), "npm:sigstore==2.1.0"],
        stdout=subprocess.PIPE,
        check=False,
        timeout=300,
    )
    line = json.loads(done.stdout)
    assert (True, TARBALL) == (done.returncode in {0, 1, 3}, line["subject"]["sha256"]), line
    found = line["provenance"]
    report = json.loads((Path(line["report"]).parent / "report.json").read_text())
    if "provenance_sha256" not in report["evidence"]:
        assert "absent" == found["status"], found
        return
    assert ("verified", COMMIT) == (found["status"], found["commit"]), found
    assert "https://github.com/sigstore/sigstore-js" == found["repository"]


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_an_installation_through_the_proxy(mode: str, tmp_path: Path) -> None:
    """What a real registry lists is installed in audit mode, by way of the proxy, and refused otherwise."""
    rebuilder = PublishedRebuilder(tmp_path / "one")
    rebuilder.publish(identical("alpha"))
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[[rebuilders]]\nplace = "{rebuilder.site}"\n')
    words = ["proxy", "--policy", policy, "--listen", "127.0.0.1:0", "--seen", tmp_path / "seen"]
    command = [str(each) for each in (PROGRAM, *words, *(["--audit"] if mode == "audit" else []))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"(http://\S+)/npm/", process.stderr.readline())
            assert found is not None
            code, said, installed = Npm(tmp_path)(found[1], "install", "sigstore@2.1.0")
            report = httpx.get(f"{found[1]}/").json()
        finally:
            process.terminate()
    assert (report["mode"], report["passed"]) == (mode, 0)
    if mode == "audit":
        assert (code, installed.get("sigstore"), report["total"] > 10) == (0, "2.1.0", True), said
    else:
        assert (code != 0, installed, report["total"], "(undecided)" in said) == (True, {}, 0, True), said
