"""Wheels with compiled code, built in an image that was given: from import to verdict, in the real sandbox."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
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
        value = (value ^ table[i]) * 31 + 0x5EC2E7;
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


def linked(place: Path, environments_root: Path) -> Path:
    """A directory of build environments that more can be taken into; those that are there are not copied."""
    (place / "trees").mkdir()
    (place / "current").mkdir()
    for name in ("trixie", "diffoscope"):
        sha256 = (environments_root / "current" / name).read_text().strip()
        (place / "current" / name).write_text(sha256)
        (place / "trees" / sha256).symlink_to(environments_root.resolve() / "trees" / sha256)
    return place


@pytest.fixture(scope="module")
def toolchains(tmp_path_factory: pytest.TempPathFactory, environments_root: Path) -> Path:
    """Where the image is taken in."""
    return linked(tmp_path_factory.mktemp("toolchains"), environments_root)


@pytest.fixture(scope="module")
def sdist() -> Distribution:
    """A project with one small extension."""
    files = {"speedy/__init__.py": "from speedy.fast import add\n", "speedy/fast.c": SOURCE, "setup.py": SETUP}
    return make_sdist("speedy", "1.0", files, backend="setuptools.build_meta", requires=["setuptools"])


def made(place: Path, root: Path, registry: Registry, **images: str) -> Installation:
    """An installation whose settings name images by platform, beside the tree of the one that was taken in."""
    installation = Installation.make(place, root.parents[2], registry.url)
    rows = "".join(f'"{pattern}" = "{name}"\n' for pattern, name in images.items())
    (place / "settings.toml").write_text(f"[environments.images]\n{rows}")
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


def test_reproduced(
    tmp_path: Path, environments_root: Path, registry: Registry, sdist: Distribution, root: Path
) -> None:
    """What somebody built in /project of the image and repaired comes out bit for bit; from its capsule, too."""
    wheel = published(root, sdist, tmp_path / "publisher", epoch=EPOCH)
    installation = made(tmp_path, root, registry, **{"manylinux_2_*": "own-builder"})
    answer, report = verified(installation, registry, sdist, wheel)
    attempts = report["attempts"]
    assert ("reproduced", 0) == (answer.line["verdict"], answer.code)
    assert ["source-date-epoch-in-image"] == [each["hypothesis"]["name"] for each in attempts]
    assert "by the build alone" in answer.line["sentence"]
    assert "/project" in {each.get("value") for each in attempts[0]["hypothesis"]["replayed"]}
    capsule = tmp_path / "capsule.tar"
    exported = installation.run("export", "--capsule", Path(answer.line["report"]).parent, "--output", capsule)
    assert 0 == exported.code, exported.words
    (tmp_path / "toolchains").mkdir()
    nowhere = "http://127.0.0.1:9/simple"
    there = Installation.make(tmp_path / "there", linked(tmp_path / "toolchains", environments_root), nowhere)
    replayed = there.run("replay", "--json", "--capsule", capsule)
    assert 0 == replayed.code, replayed.words
    assert wheel.sha256 in json.dumps(replayed.lines)


def members(wheel: Distribution) -> dict[str, bytes]:
    """What is in a wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def changed(wheel: Distribution, name: str, content: bytes) -> Distribution:
    """The wheel with another content of a member, which its RECORD says."""
    out, old = io.BytesIO(), hashlib.sha256(members(wheel)[name]).digest()
    new = hashlib.sha256(content).digest()
    listed, lists = (base64.urlsafe_b64encode(each).rstrip(b"=") for each in (old, new))
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
        for each in before.infolist():
            data = before.read(each)
            data = content if each.filename == name else data
            after.writestr(each, data.replace(listed, lists) if each.filename.endswith("RECORD") else data)
    return replace(wheel, data=out.getvalue())


def patched(wheel: Distribution) -> Distribution:
    """The wheel with one other byte in the code of ``fast_add``: of what it adds."""
    [(name, code)] = [(name, data) for name, data in members(wheel).items() if name.endswith(".so")]
    place = code.index(b"\xe7\xc2\x5e\x00")
    return changed(wheel, name, code[:place] + b"\xe6" + code[place + 1 :])


IN_A_COPY = """
import os, shutil
from tempfile import TemporaryDirectory
from setuptools import build_meta

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    wheel_directory, before = os.path.abspath(wheel_directory), os.getcwd()
    with TemporaryDirectory(prefix=".tmp-speedy-pep517-") as place:
        tree = os.path.join(place, "src")
        shutil.copytree(before, tree, symlinks=True)
        os.chdir(tree)
        try:
            return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
        finally:
            os.chdir(before)
"""


def test_built_in_a_copy(tmp_path: Path, registry: Registry, root: Path) -> None:
    """A backend in the source compiles in a directory of a random name, which stands in debugging information."""
    toml = (
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "copying"\nbackend-path = ["backend"]\n\n'
        '[project]\nname = "speedy"\nversion = "1.0"\n'
    )
    files = {"speedy/__init__.py": "", "speedy/fast.c": SOURCE, "setup.py": SETUP, "backend/copying.py": IN_A_COPY}
    sdist = make_sdist("speedy", "1.0", {**files, "pyproject.toml": toml})
    wheel = published(root, sdist, tmp_path / "publisher", backend="copying")
    [code] = [data for name, data in members(wheel).items() if name.endswith(".so")]
    [name] = set(re.findall(rb"/tmp/\.tmp-speedy-pep517-([a-z0-9_]{8})", code))
    answer, _report = verified(made(tmp_path, root, registry, **{"*": "own-builder"}), registry, sdist, wheel)
    assert "reproduced" == answer.line["verdict"], answer.line["sentence"]
    told = {each["name"]: (each["value"], each["bits"]) for each in answer.line["replayed"]}
    assert (name.decode(), 44) == told["temporary-name"]


def test_without_an_epoch(tmp_path: Path, registry: Registry, sdist: Distribution, root: Path) -> None:
    """The publisher had told nobody which time it is."""
    wheel = published(root, sdist, tmp_path / "publisher")
    answer, _report = verified(made(tmp_path, root, registry, **{"*linux*": "own-builder"}), registry, sdist, wheel)
    assert "reproduced" == answer.line["verdict"], answer.words


def test_a_patched_byte(tmp_path: Path, registry: Registry, sdist: Distribution, root: Path) -> None:
    """Same tools, other code: it differs, by the name of the function."""
    wheel = patched(published(root, sdist, tmp_path / "publisher", epoch=EPOCH))
    installation = made(tmp_path, root, registry, manylinux_2_28_x86_64="own-builder")
    answer, report = verified(installation, registry, sdist, wheel)
    assert ("differs", 1, "stable") == (answer.line["verdict"], answer.code, report["decision"]["kind"])
    decisive = report["attempts"][report["decision"]["attempt"]]
    assert decisive["hypothesis"]["name"].endswith("-in-image-alike")
    [told] = [each["detail"] for each in decisive["comparison"]["differences"] if each["member"].endswith(".so")]
    assert "this one differs: fast_add" in told
    assert "Sections that differ: .text" in told


def test_other_options(tmp_path: Path, registry: Registry, sdist: Distribution, root: Path) -> None:
    """A publisher who sets options for all builds is not accused: what came out is told, and decides nothing."""
    wheel = published(root, sdist, tmp_path / "publisher", epoch=EPOCH, flags="-O1 -g")
    answer, report = verified(made(tmp_path, root, registry, **{"*": "own-builder"}), registry, sdist, wheel)
    assert ("accounted", 3) == (answer.line["verdict"], answer.code)
    accounting = report["accounting"]
    assert any("It was built in the image own-builder" in each for each in accounting["remarks"])
    [code] = [each for each in accounting["members"] if each["path"].endswith(".so")]
    assert ("compiled-different", 2) == (code["how"], code["recompiled"]["functions"])


def test_no_compiler(tmp_path: Path, registry: Registry, sdist: Distribution, root: Path) -> None:
    """An image that cannot build it is the trouble of who set it; one that is not here is a fault, and no verdict."""
    wheel = published(root, sdist, tmp_path / "publisher", epoch=EPOCH)
    answer, report = verified(made(tmp_path / "a", root, registry, **{"*": "trixie"}), registry, sdist, wheel)
    assert ("accounted", 3) == (answer.line["verdict"], answer.code)
    assert any("The image trixie" in each and "no compiler" in each for each in report["accounting"]["remarks"])
    lacking = made(tmp_path / "b", root, registry, **{"*": "0" * 64})
    done = lacking.run("verify", "--json", "--config", lacking.root / "settings.toml", f"pypi:{wheel.filename}")
    assert 4 == done.code, done.words
    assert "no build environment with the digest" in done.words
