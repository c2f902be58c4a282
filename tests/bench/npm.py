"""What rebuilding an npm package costs: one that is only packed, one that TypeScript compiles, against npm itself."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rebuilder.cli.entry import SWITCH as RESIDENT
from rebuilder.ecosystems.npm.node_versions import NODE as NODE_PACKAGE
from tests.fakes.npm_publisher import Outside, locked_tarballs, manifest, publishing, typed, unpack_tools


def npm_figures(work: Path, environments: Path, runs: int) -> Iterator[tuple[str, float, str, str]]:
    """Label, figure, unit and goal of each; a registry and a repository on this machine, everything warm."""
    tarballs = locked_tarballs()
    tools = unpack_tools(tarballs, work / "tools")
    with publishing(work / "packed", environments.absolute(), tarballs, tools) as outside:
        outside.commit({"package.json": manifest(), "index.js": "module.exports = 1\n"}, "v1.0.0")
        outside.publish("own", outside.pack())
        packed = statistics.median([_verify(outside) for _ in range(runs + 1)][1:])
        yield "rebuilder verify of an npm package that is only packed", packed, "s", "goal <= 2"
    with publishing(work / "compiled", environments.absolute(), tarballs, tools) as outside:
        outside.commit(typed(tarballs, build="tsc"), "v1.0.0")
        _by_npm(outside)
        outside.publish("own", outside.pack())
        pairs = [(_verify(outside), _by_npm(outside)) for _ in range(runs + 1)][1:]
        yield "rebuilder verify of an npm package that tsc compiles", statistics.median(a for a, _ in pairs), "s", ""
        yield "npm ci && npm run build && npm pack", statistics.median(b for _, b in pairs), "s", ""
        yield "  ratio, median of pairs", statistics.median(a / b for a, b in pairs), "x", "goal <= 1.5"


def _verify(outside: Outside) -> float:
    """Seconds that the command takes as users run it: the resident process of the run before does it."""
    here = outside.installation
    environment = {name: value for name, value in here.environment.items() if name != RESIDENT}
    started = time.perf_counter()
    done = subprocess.run(
        here.command("verify", "--json", "npm:own==1.0.0"), env=environment, capture_output=True, check=False
    )
    seconds = time.perf_counter() - started
    if b'"verdict":"reproduced"' not in done.stdout.replace(b" ", b""):
        sys.exit((done.stdout + done.stderr).decode())
    return seconds


def _by_npm(outside: Outside) -> float:
    """Seconds that the same takes outside, with the same Node and npm."""
    node = outside.tools / NODE_PACKAGE / "package" / "bin" / "node"
    npm = f"{node} {outside.tools}/npm/package/bin/npm-cli.js"
    script = f"{npm} ci --ignore-scripts --no-audit --no-fund && {npm} run build && {npm} pack --ignore-scripts"
    environment = {
        "PATH": f"{node.parent}:{os.environ['PATH']}",
        "HOME": str(outside.installation.root / "publisher"),
        "npm_config_registry": outside.registry.url,
        "npm_config_replace_registry_host": "always",
        "npm_config_update_notifier": "false",
    }
    started = time.perf_counter()
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", script], cwd=outside.clone, env=environment, capture_output=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit((done.stdout + done.stderr).decode())
    for made in outside.clone.glob("*.tgz"):
        made.unlink()
    return seconds
