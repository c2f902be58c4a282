"""Run a package manager with a registry that has the tarballs among the inputs, and nothing else.

``install [options] -- COMMAND…``: a lock file may be put in place for that time; afterwards the one of the source is
there again, or none, as it was. What was asked for and is not among the inputs is printed, in order of names.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator

from rebuilder.programs.npm.loopback import ADDRESS, TARBALLS
from rebuilder.programs.npm.registry import LoopbackRegistry, Releases

_CACHE = "/build/package-cache"
"""On the file system of the source, so that what is installed may be links to it."""
_MOST_NAMED = 20

ENVIRONMENT = {
    "npm_config_registry": f"{ADDRESS}/",
    "npm_config_cache": f"{_CACHE}/npm",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_fetch_retries": "0",
    "npm_config_ignore_scripts": "true",
    "npm_config_offline": "false",
    "npm_config_package_lock": "true",
    "npm_config_progress": "false",
    "npm_config_store_dir": f"{_CACHE}/pnpm",
    "npm_config_update_notifier": "false",
    "npm_config_manage_package_manager_versions": "false",
    "YARN_CACHE_FOLDER": "/build/yarn-cache",  # stays: what yarn installs without node_modules is read from there
    "YARN_ENABLE_GLOBAL_CACHE": "false",
    "YARN_ENABLE_SCRIPTS": "false",
    "YARN_ENABLE_TELEMETRY": "false",
    "YARN_IGNORE_PATH": "1",
    "YARN_NPM_REGISTRY_SERVER": ADDRESS,
    "YARN_UNSAFE_HTTP_WHITELIST": "127.0.0.1",
}
"""What npm, pnpm and yarn are told. No script runs: those that are needed are steps of their own."""


_CLASSIC = {"YARN_REGISTRY": ADDRESS}


def told(command: str) -> dict[str, str]:
    """What a package manager is told: Yarn 2 and later refuse to run with a setting that only Yarn 1 has."""
    return ENVIRONMENT if "/cli-dist-" in command else ENVIRONMENT | _CLASSIC


def main(argv: list[str]) -> int:
    """Run the program: what the package manager said, or 64."""
    parser = argparse.ArgumentParser(prog="install", allow_abbrev=False)
    parser.add_argument("--tarballs", default=TARBALLS, help="directory of tarballs, NAME@VERSION.tgz")
    parser.add_argument("--documents", help="directory of documents of packages, NAME.json")
    parser.add_argument("--lock", help="lock file to be put in place")
    parser.add_argument("--at", help="where it belongs")
    parser.add_argument("--directory", required=True, help="to install in")
    parser.add_argument("--missing", help="JSON file to write with what is not among the inputs")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)
    if (options.lock is None) != (options.at is None):
        parser.error("--lock and --at belong together")
    releases = Releases(options.tarballs, options.documents)
    with _serving(releases), _in_place(options.lock, options.at):
        code = subprocess.run(
            options.command, cwd=options.directory, env={**os.environ, **told(options.command[0])}, check=False
        ).returncode
    shutil.rmtree(_CACHE, ignore_errors=True)
    missing = sorted(releases.missing)
    for each in missing[:_MOST_NAMED]:
        print(f"install: {each!a} was asked for and is not among the inputs", file=sys.stderr)
    if len(missing) > _MOST_NAMED:
        print(f"install: and {len(missing) - _MOST_NAMED} more", file=sys.stderr)
    if options.missing:
        with open(options.missing, "w", encoding="utf-8") as file:
            json.dump(missing, file)
    return code


@contextlib.contextmanager
def _serving(releases: Releases) -> Iterator[None]:
    server = LoopbackRegistry(releases)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _in_place(lock: str | None, at: str | None) -> Iterator[None]:
    """Have another lock file there for a while; the source's own is moved aside, with its times."""
    if lock is None or at is None:
        yield
        return
    aside = f"{at}.aside"
    had = os.path.lexists(at)
    if had:
        os.rename(at, aside)
    shutil.copyfile(lock, at)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(at)
        if had:
            os.rename(aside, at)
