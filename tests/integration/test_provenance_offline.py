"""Verification in a process without network, without a home, and without paying for what is not used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PYPI = ROOT / "tests" / "assets" / "attestations" / "pypi"

VERIFY = """
import hashlib, json, socket, sys
from pathlib import Path
from rebuilder.provenance.pypi.pypi import verify_pypi
from rebuilder.provenance.npm.npm import verify_npm
from rebuilder.provenance.trust.files import shipped
assets = Path(sys.argv[1])
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    network = True
except OSError:
    network = False
status = {}
for path in sorted((assets / "pypi").glob("*.provenance")):
    file = path.with_suffix("")
    arguments = path.read_bytes(), file.name, hashlib.sha256(file.read_bytes()).hexdigest(), shipped()
    status[file.name] = verify_pypi(*arguments).status
for document, name, version in (
    ("provenance-npm-test-cli-v02-prega.tgz", "@laurentsimon/provenance-npm-test", "1.0.3"),
    ("provenance-npm-test-cli-v1-prega.tgz", "sigstore", "2.3.1"),
):
    file = assets / "npm" / document
    data = Path(f"{file}.json").read_bytes()
    arguments = data, name, version, hashlib.sha512(file.read_bytes()).hexdigest(), shipped()
    status[document] = verify_npm(*arguments).status
print(json.dumps({"network": network, "status": status}))
"""


def run(*command: str, **environment: str) -> str:
    """Run a command from the checkout; fail with what it said."""
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_offline(tmp_path: Path) -> None:
    """Every genuine attestation verifies in an empty network namespace, and leaves nothing behind in HOME."""
    assert shutil.which("unshare"), "unshare is missing: apt-get install util-linux"
    places = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    assets = str(ROOT / "tests" / "assets" / "attestations")
    answer: dict[str, Any] = json.loads(
        run("unshare", "-rn", sys.executable, "-W", "error", "-c", VERIFY, assets, PYTHONPATH=str(ROOT), **places)
    )
    assert answer["network"] is False
    assert {"verified"} == set(answer["status"].values())
    assert len(answer["status"]) == 6
    assert [] == list(tmp_path.iterdir())


def test_every_recorded_document_offline() -> None:
    """The tests of all genuine documents, npm's older ones too, pass in an empty network namespace."""
    tests = [f"tests/unit/test_provenance_{each}.py::test_genuine" for each in ("npm", "pypi")]
    said = run("unshare", "-rn", sys.executable, "-m", "pytest", "-q", *tests)
    assert "9 passed" in said, said


def test_lazy() -> None:
    """Without an attestation nothing of sigstore is loaded, and refusing rubbish does not load it either."""
    program = (
        "import sys; from rebuilder.provenance.npm import npm; from rebuilder.provenance.pypi import pypi;"
        "from rebuilder.provenance.trust import files; root = files.shipped();"
        "pypi.verify_pypi(None, 'a-1.0.tar.gz', '0' * 64, root); npm.verify_npm(None, 'a', '1', '0' * 128, root);"
        "pypi.verify_pypi(b'[' * 99999, 'a-1.0.tar.gz', '0' * 64, root);"
        "loaded = {n.partition('.')[0] for n in sys.modules};"
        "print(sorted(loaded & {'sigstore', 'pypi_attestations', 'tuf', 'requests'}))"
    )
    assert run(sys.executable, "-c", program, PYTHONPATH=str(ROOT)).strip() == "[]"
