"""Wheels without the compiled code that their source may have: verified from the command line, in the real sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command import Installation
from tests.fakes.projects import EPOCH, Distribution, build, make_sdist
from tests.fakes.registry import Registry

TAG = "cp313-cp313-linux_x86_64"
OWN_BACKEND = """
import os, subprocess, sys, zipfile
from pathlib import Path
from typing import Any
import minibackend

PURE_SETTING = 'pure-python'
PURE_VARIABLE = 'X_NO_EXTENSIONS'

def cythonize(name):
    subprocess.run(['gcc', '-shared', name, '-o', 'fast.so'], check=True)

def _asked(config_settings, setting, variable):
    for mapping, key in ((config_settings or {{}}, setting), (os.environ, variable)):
        if key in mapping:
            return mapping[key].lower() in {{'1', 'true'}}
    return False

def build_wheel(directory, config_settings=None, metadata_directory=None):
    if {guard}:
        return minibackend.build_wheel(directory, config_settings, metadata_directory)
    try:
        cythonize('fast.c')
    except OSError as error:
        if not {optional}:
            raise
        print('left out', error)
    with open('pyproject.toml', 'a') as file:
        file.write('[tool.minibackend]\\ntag = "{tag}"\\n')
    return minibackend.build_wheel(directory, config_settings, metadata_directory)
"""
BOTH = "_asked(config_settings, PURE_SETTING, PURE_VARIABLE)"
SETTING = "(config_settings or {}).get('without-speedups') == 'yes'"


def source(guard: str, *, optional: bool) -> Distribution:
    """A project with a backend of its own, which compiles unless it is told not to; ``optional``: if it can."""
    toml = (
        '[build-system]\nrequires = ["minibackend==1.0"]\nbuild-backend = "own"\nbackend-path = ["tools"]\n\n'
        '[project]\nname = "maybe"\nversion = "1.0"\n'
    )
    backend = OWN_BACKEND.format(guard=guard, optional=optional, tag=TAG)
    files = {"maybe/__init__.py": "VALUE = 1\n", "fast.c": "int x;\n", "tools/own.py": backend, "pyproject.toml": toml}
    return make_sdist("maybe", "1.0", files)


def verified(
    registry: Registry, installation: Installation, sdist: Distribution, wheel: Distribution
) -> tuple[dict[str, Any], list[str], str]:
    """The line about a wheel, what was tried by name, and its page."""
    registry.publish(sdist, wheel)
    answer = installation.verify("pypi:maybe==1.0")
    page = Path(answer.line["report"])
    attempts = json.loads((page.parent / "report.json").read_text())["attempts"]
    names = [each["hypothesis"]["name"] for each in attempts if not each["repeat"]]
    return answer.line, names, page.read_text()


def told(line: dict[str, Any]) -> list[str]:
    """What the build was told about extensions."""
    return [each["value"] for each in line["replayed"] if each["name"] == "extensions"]


@pytest.mark.parametrize("optional", [True, False])
def test_what_the_source_reads_leaves_extensions_out(
    registry: Registry, installation: Installation, optional: bool
) -> None:
    """Without a compiler the build fails, or makes a wheel for one platform; the variable of its own backend helps."""
    sdist = source(BOTH, optional=optional)
    line, names, page = verified(registry, installation, sdist, build(sdist, epoch=EPOCH))
    assert ("reproduced", ["source-date-epoch", "source-date-epoch-extensions-off"]) == (line["verdict"], names)
    assert ["X_NO_EXTENSIONS=1"] == told(line)
    assert "Built with X_NO_EXTENSIONS=1, " in line["sentence"]
    assert "Built with X_NO_EXTENSIONS=1, which its source" in page


def test_a_setting_leaves_extensions_out(registry: Registry, installation: Installation) -> None:
    """Where the backend reads nothing else."""
    sdist = source(SETTING, optional=True)
    line, names, _page = verified(registry, installation, sdist, build(sdist, epoch=EPOCH))
    assert ("reproduced", 2) == (line["verdict"], len(names))
    assert ["--config-setting=without-speedups=yes"] == told(line)


def test_no_compiler_leaves_extensions_out(registry: Registry, installation: Installation) -> None:
    """A wheel for one platform without compiled code: what is optional is left out here, too, and nothing is told."""
    sdist = source(BOTH, optional=True)
    pure = build(sdist, epoch=EPOCH)
    files = {"maybe/__init__.py": "VALUE = 1\n"}
    wheel = build(make_sdist("maybe", "1.0", files, tool=f'[tool.minibackend]\ntag = "{TAG}"\n'), epoch=EPOCH)
    assert pure.filename != wheel.filename
    line, names, _page = verified(registry, installation, sdist, wheel)
    assert ("reproduced", ["source-date-epoch"], []) == (line["verdict"], names, told(line))


def test_nothing_leaves_them_out(registry: Registry, installation: Installation) -> None:
    """It is said that the source has no way of its own, and the wheel is not confirmed."""
    sdist = source("None", optional=True)
    line, names, page = verified(registry, installation, sdist, build(sdist, epoch=EPOCH))
    assert ("differs", []) == (line["verdict"], told(line))
    assert {"source-date-epoch", "source-archive-times"} == set(names)
    assert "no variable or option" in page


def test_code_that_only_the_variable_brings(registry: Registry, installation: Installation) -> None:
    """It is in the source, so it is confirmed; and every place that says so says with what it was built."""
    guard = f"{BOTH} and open('maybe/__init__.py', 'a').write('PAYLOAD = 2')"
    sdist = source(guard, optional=True)
    payload = make_sdist("maybe", "1.0", {"maybe/__init__.py": "VALUE = 1\nPAYLOAD = 2"})
    line, _names, page = verified(registry, installation, sdist, build(payload, epoch=EPOCH))
    assert ("reproduced", ["X_NO_EXTENSIONS=1"]) == (line["verdict"], told(line))
    assert "X_NO_EXTENSIONS=1" in line["sentence"]
    assert "Built with X_NO_EXTENSIONS=1" in page


def test_a_changed_wheel_differs_with_what_the_source_reads(registry: Registry, installation: Installation) -> None:
    """That the build alone fails for want of a compiler hides no change; the sentence says with what it was built."""
    sdist = source(BOTH, optional=False)
    changed = make_sdist("maybe", "1.0", {"maybe/__init__.py": "VALUE = 2\n"})
    line, names, _page = verified(registry, installation, sdist, build(changed, epoch=EPOCH))
    assert ("differs", ["X_NO_EXTENSIONS=1"]) == (line["verdict"], told(line))
    assert "Built with X_NO_EXTENSIONS=1, " in line["sentence"]
    assert "source-date-epoch-extensions-off" in names
