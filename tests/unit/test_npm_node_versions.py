"""Ranges of versions, and which Node and package manager a release was built with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rebuilder.ecosystems.npm.node_versions import choose, choose_manager, fitting_version, satisfies, series_at

NODES = [f"{major}.{minor}.1" for major in (10, 12, 14, 16, 18, 20, 21, 22, 24) for minor in (2, 10)]
MOMENT = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("1.2.3", "", True),
        ("1.2.3", "*", True),
        ("1.2.3", "1.x", True),
        ("1.2.3", "^1.2.4", False),
        ("0.2.9", "^0.2.3", True),
        ("0.3.0", "^0.2.3", False),
        ("0.0.4", "^0.0.3", False),
        ("1.2.9", "~1.2.3", True),
        ("1.3.0", "~1.2.3", False),
        ("1.9.0", "~1", True),
        ("20.1.0", "^18.17 || >=20", True),
        ("19.0.0", "^18.17 || >=20", False),
        ("14.21.0", ">=16 || 14 >=14.17", True),
        ("14.16.0", ">=16 || 14 >=14.17", False),
        ("1.5.0", "1.2.3 - 1.5", True),
        ("1.6.0", "1.2.3 - 1.5", False),
        ("2.0.0", ">1", True),
        ("1.9.9", ">1", False),
        ("1.0.0", "<= 1", True),
        ("1.0.0-rc.1", "*", False),
        ("1.0.0", "github:a/b", None),
        ("1.0.0", "x" * 501, None),
    ],
)
def test_ranges(version: str, wanted: str, fits: bool | None) -> None:
    """As npm's own library reads them."""
    assert fits is satisfies(version, wanted)


@pytest.mark.parametrize(
    ("manifest", "texts", "recorded", "expected"),
    [
        ({}, {}, None, "22.10.1"),
        ({"engines": {"node": ">=18"}}, {}, None, "22.10.1"),
        ({"engines": {"node": "^16 || 18"}}, {}, None, "18.10.1"),
        ({"engines": ["no"]}, {".nvmrc": "lts/iron\n"}, None, "20.10.1"),
        ({}, {".nvmrc": "v18.2\n"}, None, "18.2.1"),
        ({}, {".nvmrc": "node"}, None, "22.10.1"),
        ({"volta": {"node": "14.2.1"}}, {}, None, "14.2.1"),
        ({}, {".github/workflows/ci.yml": "node-version: 18\n"}, None, "22.10.1"),
        ({}, {".github/workflows/r.yml": "node-version: '20'\nrun: npm publish\n"}, None, "20.10.1"),
        ({}, {}, "21.2.1", "21.2.1"),
        ({}, {}, "99.0.0", "22.10.1"),
    ],
)
def test_node(manifest: dict[str, Any], texts: dict[str, str], recorded: str | None, expected: str) -> None:
    """What is recorded, a workflow that publishes, a file that names it, what was usual and is allowed."""
    assert expected == choose(NODES, manifest, texts, MOMENT, recorded)[0].version


def test_series_have_support_after_half_a_year() -> None:
    """A series that is some days old is not what people release with."""
    assert (20, 22) == (series_at(datetime(2024, 5, 1, tzinfo=UTC)), series_at(datetime(2024, 11, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("named", "locks", "node", "tool", "version"),
    [
        (None, {}, "22.1.0", "npm", "10.9.0"),
        (None, {"package-lock.json": b"{}"}, "14.1.0", "npm", "6.14.18"),
        ("pnpm@8.10.2+sha256.00", {}, "22.1.0", "pnpm", "8.10.2"),
        ("pnpm@8.10.3", {}, "22.1.0", "pnpm", None),
        ("evil@1.0.0", {}, "22.1.0", "npm", "10.9.0"),
        (5, {}, "24.1.0", "npm", "11.2.0"),
    ],
)
def test_manager(named: object, locks: dict[str, bytes], node: str, tool: str, version: str | None) -> None:
    """The one that is named, else the one of the lock file; npm of the series that Node comes with."""
    versions = {"npm": ["6.14.18", "10.8.0", "10.9.0", "11.2.0"], "pnpm": ["8.10.2", "9.1.0"]}
    choice = choose_manager([{"packageManager": named}, None], locks, "")
    assert (tool, version) == (choice.tool, fitting_version(choice, node, versions[choice.tool]))
