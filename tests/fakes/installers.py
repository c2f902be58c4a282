"""Install wheels with every installer there is, where nothing can be reached: run inside bubblewrap by the oracle test.

``python installers.py JOB``: JOB is a JSON file with ``installers`` (name to how it is started), ``wheels`` (paths) and
``result``, where a JSON list is written: for each wheel, by installer, what is on disk afterwards; null if it refused.
"""

from __future__ import annotations

import base64
import csv
import functools
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

_OWN = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""What installers write into .dist-info by themselves."""
PIP = """
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
from pip._internal.cli.main import main
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = main(json.loads(line))
    print(code, flush=True)
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def tree(top: Path) -> dict[str, Any]:
    """Every file with its content and whether it is executable; RECORD as a set of rows."""
    found: dict[str, Any] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                found[f"{name}/"] = None
            continue
        if path.name == ".lock" and path.parent == top:
            continue
        if path.name in _OWN and path.parent.name.endswith(".dist-info"):
            if path.name == "RECORD":
                rows = csv.reader(io.StringIO(path.read_text("utf-8"), newline=""))
                found[name] = sorted(row for row in rows if row and row[0].rsplit("/", 1)[-1] not in _OWN)
            continue
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()  # noqa: PTH115
        found[name] = [base64.b64encode(content).decode("ascii"), bool(path.lstat().st_mode & 0o111)]
    return found


def main(job: str) -> None:
    """Install everything and write the result."""
    document = json.loads(Path(job).read_text())
    work = Path(job).parent
    wheels = [Path(each) for each in document["wheels"]]
    handler = functools.partial(_Quiet, directory=str(work))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    results: list[dict[str, Any]] = [{} for _ in wheels]
    for name, (kind, path) in document["installers"].items():
        pip = None
        if kind == "pip":
            command = [sys.executable, "-c", PIP, path]
            pip = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for wheel, result in zip(wheels, results, strict=True):
            out = Path(tempfile.mkdtemp(dir=work))
            if pip is not None:
                ok = _pip(pip, wheel, out)
            else:
                source = f"{address}/{wheel.relative_to(work)}" if kind == "uv-http" else str(wheel)
                ok = _uv(path, source, out)
            result[name] = tree(out) if ok else None
            shutil.rmtree(out)
        if pip is not None:
            pip.communicate()
    server.shutdown()
    server.server_close()
    Path(document["result"]).write_text(json.dumps(results))


def _pip(pip: subprocess.Popen[str], wheel: Path, out: Path) -> bool:
    assert pip.stdin is not None
    assert pip.stdout is not None
    options = [
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--ignore-installed",
        "--no-warn-script-location",
        "--no-cache-dir",
    ]
    command = ["install", "--quiet", "--disable-pip-version-check", *options, "--prefix", str(out), str(wheel)]
    pip.stdin.write(json.dumps(command) + "\n")
    pip.stdin.flush()
    return pip.stdout.readline().strip() == "0"


def _uv(path: str, source: str, out: Path) -> bool:
    options = [
        "--no-deps",
        "--no-index",
        "--no-cache",
        "--no-config",
        "--link-mode",
        "copy",
        "--python",
        sys.executable,
    ]
    command = [path, "pip", "install", "--quiet", *options, "--prefix", str(out), source]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    main(sys.argv[1])
