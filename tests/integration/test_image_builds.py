"""Wheels with compiled code, built in an image that was given: from import to verdict, in the real sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.builder_image import builder_image, published, wheel
from tests.fakes.command import Answer, Installation
from tests.fakes.projects import Distribution, make_sdist
from tests.fakes.registry import Registry

UPLOADED = datetime(2025, 6, 1, tzinfo=UTC)
EPOCH = int(datetime(2025, 5, 5, 5, 5, 4, tzinfo=UTC).timestamp())
SOURCE = """
#include <Python.h>

static long table[] = {3, 1, 4, 1, 5, 9, 2, 6};

static long weigh(long value) {
    for (int i = 0; i < 8; i++)
        value = (value ^ table[i]) * 31 + (value >> 3);
    return value;
}

static PyObject *fast_add(PyObject *self, PyObject *args) {
    long a, b;
    if (!PyArg_ParseTuple(args, "ll", &a, &b))
        return NULL;
    return PyLong_FromLong(weigh(a) + weigh(b));
}

static PyMethodDef methods[] = {{"add", fast_add, METH_VARARGS, "Add."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, methods};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
SETUP = """
from setuptools import Extension, setup
setup(packages=["speedy"], ext_modules=[Extension("speedy.fast", ["speedy/fast.c"])])
"""


@pytest.fixture(scope="module")
def toolchains(tmp_path_factory: pytest.TempPathFactory, environments_root: Path) -> Path:
    """A directory of build environments that more can be taken into; those that are there are not copied."""
    place = tmp_path_factory.mktemp("toolchains")
    (place / "trees").mkdir()
    (place / "current").mkdir()
    for name in ("trixie", "diffoscope"):
        sha256 = (environments_root / "current" / name).read_text().strip()
        (place / "current" / name).write_text(sha256)
        (place / "trees" / sha256).symlink_to(environments_root.resolve() / "trees" / sha256)
    return place


@pytest.fixture(scope="module")
def sdist() -> Distribution:
    """A project with one small extension."""
    files = {"speedy/__init__.py": "from speedy.fast import add\n", "speedy/fast.c": SOURCE, "setup.py": SETUP}
    return make_sdist("speedy", "1.0", files, backend="setuptools.build_meta", requires=["setuptools"])


def made(root: Path, toolchains: Path, registry: Registry, **images: str) -> Installation:
    """An installation whose settings name images by platform."""
    installation = Installation.make(root, toolchains, registry.url)
    rows = "".join(f'"{pattern}" = "{name}"\n' for pattern, name in images.items())
    (root / "settings.toml").write_text(f"[environments.images]\n{rows}")
    return installation


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, toolchains: Path) -> str:
    """The digest of the image, once it was taken in."""
    place = tmp_path_factory.mktemp("image")
    (place / "image.tar").write_bytes(builder_image())
    installation = Installation.make(place, toolchains, "http://127.0.0.1:9/simple")
    done = installation.run("environments", "import", place / "image.tar", "--name", "own-builder")
    assert 0 == done.code, done.words
    return (toolchains / "current/own-builder").read_text().strip()


@pytest.fixture(scope="module")
def root(toolchains: Path, imported: str) -> Path:
    """The tree of the image."""
    return toolchains / "trees" / imported / "root"


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that has the build backend."""
    with Registry() as running:
        running.add(wheel("setuptools"), uploaded=datetime(2025, 5, 27, tzinfo=UTC))
        yield running


def verified(installation: Installation, registry: Registry, *files: Distribution) -> tuple[Answer, dict[str, Any]]:
    """What the command says about the last of the files, and its report."""
    for each in files:
        registry.add(each, uploaded=UPLOADED)
    subject = f"pypi:{files[-1].filename}"
    answer = installation.run("verify", "--json", "--config", installation.root / "settings.toml", subject)
    page = Path(answer.line["report"])
    report: dict[str, Any] = json.loads((page.parent / "report.json").read_text())
    return answer, report


def test_reproduced(tmp_path: Path, toolchains: Path, registry: Registry, sdist: Distribution, root: Path) -> None:
    """What somebody built in /project of the image and repaired comes out bit for bit."""
    wheel = published(root, sdist, tmp_path / "publisher", epoch=EPOCH)
    answer, report = verified(
        made(tmp_path, toolchains, registry, **{"manylinux_2_*": "own-builder"}), registry, sdist, wheel
    )
    attempts = report["attempts"]
    assert ("reproduced", 0) == (answer.line["verdict"], answer.code)
    assert ["source-date-epoch-in-image"] == [each["hypothesis"]["name"] for each in attempts]
    assert "by the build alone" in answer.line["sentence"]
    assert "/project" in {each.get("value") for each in attempts[0]["hypothesis"]["replayed"]}
