"""A release that records what it was built with is rebuilt with that."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.cli.preflight import read_texts
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.model.project import OwnFile, Preflight
from rebuilder.model.sbom import project_sbom
from rebuilder.network.git.work_tree import read_work_tree
from rebuilder.preflight.examination import examine
from rebuilder.verification.parts import Parts
from tests.fakes.command import Installation
from tests.fakes.projects import Distribution, make_wheel
from tests.fakes.registry import Registry

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BACKEND = """import yarn
from pathlib import Path
from minibackend import *
from minibackend import build_wheel as _build_wheel

def build_wheel(directory, settings=None, metadata=None):
    Path("loom/made.py").write_text(f"thread = {yarn.THREAD!r}\\n")
    return _build_wheel(directory, settings, metadata)
"""
TOML = """[build-system]
requires = ["minibackend", "yarn"]
build-backend = "_backend"
backend-path = ["."]
[project]
name = "loom"
version = "1.0"
"""


def yarn(version: str) -> Distribution:
    """A build dependency each of whose releases gives another file."""
    return make_wheel("yarn", version, {"yarn.py": f"THREAD = {version!r}\n"})


def built(parts: Parts, place: Path) -> Preflight:
    """The project as it is built now."""
    tree = read_work_tree(place, parts.blobs)
    own: tuple[OwnFile, ...] = ()
    return examine(parts, parts.ecosystems["pypi"], tree, read_texts(place, tree, ECOSYSTEMS["pypi"]), own)


@pytest.mark.parametrize("recorded", [True, False])
def test_the_recorded_releases_are_used(
    tmp_path: Path, registry: Registry, parts: Parts, environments_root: Path, *, recorded: bool
) -> None:
    """The release was built with the older of two dependencies: only its record says so."""
    place = tmp_path / "loom"
    (place / "loom").mkdir(parents=True)
    (place / "loom" / "__init__.py").write_text("x = 1\n")
    (place / "_backend.py").write_text(BACKEND)
    (place / "pyproject.toml").write_text(TOML)
    registry.add(yarn("1.0"), uploaded=LONG_AGO)
    if recorded:
        definition = built(parts, place).definition
        assert definition is not None
        (place / "build.cdx.json").write_bytes(project_sbom(definition))
        (place / "pyproject.toml").write_text(f'{TOML}[tool.minibackend]\nsboms = ["build.cdx.json"]\n')
    found = built(parts, place)
    registry.add(yarn("2.0"), uploaded=LONG_AGO)
    registry.publish(*(Distribution("loom", each.filename, parts.blobs.read(each.sha256)) for each in found.built))
    stranger = Installation.make(tmp_path / "stranger", environments_root, registry.url)
    line = stranger.verify("--tier", "source", "pypi:loom==1.0").line
    assert ("reproduced" if recorded else "differs") == line["verdict"], line
