"""Build environments that the settings describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rebuilder.environments.catalog import find
from rebuilder.environments.from_settings import environment_store, manifests
from rebuilder.errors import UsageError
from rebuilder.model.settings import EnvironmentSettings, InterpreterSettings
from tests.fakes.clock import FixedClock
from tests.fakes.environments import TinyMaker

PYTHON = InterpreterSettings(version="3.12", path="/srv/python")


def settings(**described: dict[str, Any]) -> EnvironmentSettings:
    """What ``[environments.NAME]`` tables say."""
    return EnvironmentSettings.model_validate(described)


def test_packages_of_the_base_and_more() -> None:
    """A described environment has all that its base has; a configured one the essential packages too."""
    base = find("trixie")
    plain = {"packages": ["make"], "prune": ["usr/share/doc/*"]}
    found = manifests(settings(plain=plain, whole={"packages": ["make=4.4.1-2"], "configured": True}), {})
    assert {*base.packages, "make"} == set(found["plain"].packages)
    assert {*base.packages, "make=4.4.1-2", "?essential"} == set(found["whole"].packages)
    for name, configured in (("plain", False), ("whole", True)):
        made = found[name]
        assert (name, configured, base.suite) == (made.name, made.configured, made.suite)
        assert (base.provides, base.links) == (made.provides, made.links)
    assert (*base.prune, "usr/share/doc/*") == found["plain"].prune


def test_one_is_made_by_its_name(tmp_path: Path) -> None:
    """The store gives it like any other; what it was made from says how it was made."""
    described = settings(whole={"packages": ["make"], "configured": True})
    maker = TinyMaker()
    store = environment_store(tmp_path, FixedClock(), settings=described, maker=maker)
    made = store.get("whole")
    assert made.specification is not None
    assert ("configured", ["whole"]) == (made.specification.method, maker.made)
    assert store.get("trixie").specification != made.specification


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (settings(trixie={"packages": ["make"]}), "'environments.trixie' is wrong: a build environment has"),
        (settings(a={"packages": ["make"], "base": "sid"}), "'environments.a.base' is wrong: 'sid' is none of"),
        (
            settings(mine={"packages": ["make"]}),
            "'interpreters.mine' is wrong: a build environment has",
        ),
    ],
)
def test_names_and_bases(described: EnvironmentSettings, words: str) -> None:
    """A name stands for one environment, and there is something to begin with."""
    with pytest.raises(UsageError, match=words):
        manifests(described, {"mine": PYTHON})
