"""Recipes that are shipped can be read; a folder of recipes is watched like projects of a registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rebuilder.ecosystems.generic.ecosystem import Generic
from rebuilder.ecosystems.generic.recipe import read_recipe
from rebuilder.environments.catalog import catalog
from rebuilder.environments.from_settings import manifests
from rebuilder.errors import UsageError
from rebuilder.model.settings import EnvironmentSettings
from rebuilder.service.discovery import Discovery
from rebuilder.service.schedules.reading import read_file
from rebuilder.service.schedules.watch import Watch
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.memo import MemoryMemo

EXAMPLES = Path(__file__).parent.parent.parent / "schedules" / "examples"
RECIPE = """
name = "hello"
version = "{version}"
environment = "trixie"
commands = ["true"]
[source]
repository = "https://forge.example.org/hello"
commit = "{commit}"
[[targets]]
url = "https://example.org/hello.1"
sha256 = "{sha256}"
"""


def written(path: Path, version: str = "1.0", letter: str = "a") -> None:
    """A recipe in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RECIPE.format(version=version, commit="c" * 40, sha256=letter * 64))


def generic(memo: MemoryMemo) -> Generic:
    """The ecosystem with nothing but a memory; whoever asks it for more has made a mistake."""
    context = SimpleNamespace(
        fetcher=lambda *_: None,
        ca_bundle=None,
        memo=lambda _: memo,
        settings=SimpleNamespace(interpreters={}, environments=EnvironmentSettings()),
    )
    return Generic(cast("Any", context))


def test_a_folder_is_watched(tmp_path: Path) -> None:
    """Every recipe is looked at; a new version and new bytes are queued, and what has not changed is not."""
    schedule = tmp_path / "ours.toml"
    schedule.write_text('[[watch]]\necosystem = "generic"\nfiles = ["recipes/*.toml"]\nevery = "1d"\n')
    written(tmp_path / "recipes" / "hello.toml")
    (entry,) = read_file(schedule).entries
    watch = entry.item
    assert isinstance(watch, Watch)
    assert (str((tmp_path / "recipes" / "hello.toml").resolve()),) == watch.packages
    memo = MemoryMemo()
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        discovery = Discovery({"generic": generic(memo)}, ledger, FixedClock())
        queued = [discovery.look(watch).queued]
        queued.append(discovery.look(watch).queued)
        written(tmp_path / "recipes" / "hello.toml", version="1.1", letter="b")
        queued.append(discovery.look(watch).queued)
    assert [1, 0, 1] == queued
    # Another process, which was given no path, knows the recipe by the release it is about.
    assert "1.0" == generic(memo)._recalled("hello", "1.0")[0].version


def test_a_bad_recipe_in_a_folder(tmp_path: Path) -> None:
    """It is one failure among the projects of the watch, told with its place."""
    path = tmp_path / "bad.toml"
    path.write_text('name = "hello"\nversion = 1\n')
    with pytest.raises(UsageError, match=r"bad\.toml, line 2, version: must be a text in quotes"):
        generic(MemoryMemo()).listing(str(path))
    with pytest.raises(UsageError, match="No recipe of hello 9 was read here yet"):
        generic(MemoryMemo())._recalled("hello", "9")


def test_shipped_recipes() -> None:
    """Each is a recipe for an environment that there is."""
    recipes = sorted(EXAMPLES.glob("*.toml"))
    assert recipes
    for each in recipes:
        settings = re.findall(r"^# ((?:\[environments\.|\w+ = ).*)", each.read_text(), re.MULTILINE)
        own = EnvironmentSettings.model_validate(tomllib.loads("\n".join(settings)).get("environments", {}))
        recipe, _ = read_recipe(each, frozenset({*catalog(), *manifests(own, {})}))
        assert recipe.targets[0].url.startswith("https://")
