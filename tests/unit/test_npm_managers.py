"""Which package manager a source is made for, and in which version."""

from __future__ import annotations

from typing import Any

import pytest

from rebuilder.ecosystems.npm.dependencies import LockFile, Tool
from rebuilder.ecosystems.npm.node_versions import ManagerChoice, allowed_scripts, choose_manager, fitting_version

VERSIONS = ["1.22.19", "1.22.22", "2.4.3", "3.8.7", "4.9.1", "8.15.9", "9.15.0", "10.9.0", "10.10.0-beta.1"]


def _named(manager: str) -> dict[str, object]:
    return {"packageManager": manager}


@pytest.mark.parametrize(
    ("manifests", "locks", "expected"),
    [
        ([_named("pnpm@8.10.2+sha256.0")], {}, ("pnpm", "8.10.2", None)),
        (
            [{"packageManager": "evil@1.0.0"}, {"packageManager": "yarn@4.9.1"}],
            {"yarn.lock": b""},
            ("yarn", "4.9.1", "yarn.lock"),
        ),
        ([{"packageManager": ["npm"]}, None], {}, ("npm", None, None)),
        ([{}], {"yarn.lock": b"", "packages/a/pnpm-lock.yaml": b""}, ("pnpm", None, "packages/a/pnpm-lock.yaml")),
        ([{}], {"elsewhere/yarn.lock": b""}, ("npm", None, None)),
    ],
)
def test_choice(manifests: list[dict[str, object]], locks: dict[str, bytes], expected: tuple[str | None, ...]) -> None:
    """The one that package.json names, else that of the nearest lock file, else npm."""
    found = choose_manager(manifests, locks, "packages/a")
    assert (found.tool, found.version, found.lock.path if found.lock is not None else None) == expected


@pytest.mark.parametrize(
    ("tool", "version", "lock", "expected"),
    [
        ("npm", None, b"", "10.9.0"),
        ("npm", "9.15.0", b"", "9.15.0"),
        ("npm", "7.0.0", b"", None),
        ("yarn", None, b"# yarn lockfile v1\n", "1.22.22"),
        ("yarn", None, b"__metadata:\n  version: 6\n", "3.8.7"),
        ("yarn", None, b"# made\n\n__metadata:\r\n  version: 8\n", "4.9.1"),
        ("pnpm", None, b"lockfileVersion: '9.0'\n", "9.15.0"),
        ("pnpm", None, b"lockfileVersion: '6.0'\n", "8.15.9"),
    ],
)
def test_version(tool: Tool, version: str | None, lock: bytes, expected: str | None) -> None:
    """The one that is named, else the newest that runs on the Node and reads the lock file."""
    assert fitting_version(ManagerChoice(tool, version, LockFile("lock", lock)), "22.12.0", VERSIONS) == expected


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"pnpm": {"onlyBuiltDependencies": ["esbuild", "@a/b"]}}, ["@a/b", "esbuild"]),
        ({"trustedDependencies": ["a"], "lavamoat": {"allowScripts": {"b": True, "c": False, "d": "yes"}}}, ["a", "b"]),
        ({"pnpm": [], "trustedDependencies": {"a": 1}, "lavamoat": {"allowScripts": 7}}, []),
        ({"trustedDependencies": ["; rm -rf /", "$(x)", "--all", ["a"], "../b", "ok"]}, ["ok"]),
        (None, []),
    ],
)
def test_scripts_of_installation_that_a_source_allows(manifest: dict[str, Any] | None, expected: list[str]) -> None:
    """Names of packages, and nothing that a shell would make something else of."""
    assert expected == allowed_scripts([manifest, {}])
