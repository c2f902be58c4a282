"""Compiled code of a wheel compiled here by the compiler it names: from the command line, with a real GCC."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.command import Installation
from tests.fakes.projects import Distribution, make_sdist, make_wheel, minibackend_wheel
from tests.fakes.registry import Registry

ENVIRONMENT = "trixie-gcc"
UPLOADED = datetime(2025, 6, 1, tzinfo=UTC)
TAG = "cp313-cp313-manylinux_2_17_x86_64"
MODULE = "fast.cpython-313-x86_64-linux-gnu.so"
BACKEND = f"""
import os, subprocess, sysconfig
import minibackend

def build_wheel(directory, config_settings=None, metadata_directory=None):
    headers, flags = sysconfig.get_paths()["include"], os.environ.get("CFLAGS", "").split()
    command = ["gcc", "-fPIC", *flags, "-I", headers, "-shared", "fast.c", "-o", "fast/{MODULE}"]
    subprocess.run(command, check=True)
    print("compiled with", *flags)
    with open("pyproject.toml", "a") as file:
        file.write('[tool.minibackend]\\ntag = "cp313-cp313-linux_x86_64"\\n')
    return minibackend.build_wheel(directory, config_settings, metadata_directory)
"""
CODE = """
#include <Python.h>
static PyObject *triple(PyObject *self, PyObject *value) {
    long number = PyLong_AsLong(value);
    if (number == -1 && PyErr_Occurred()) return NULL;
    return PyLong_FromLong(3 * number);
}
static PyMethodDef methods[] = {{"triple", triple, METH_O, "Three times a number."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
DOCTORED = CODE.replace(
    "long number = PyLong_AsLong(value);",
    'long number = PyLong_AsLong(value); if (number == 42) system("id >&2");',
)


@pytest.fixture(scope="module")
def published(environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What somebody compiled with the same compiler, elsewhere and linked otherwise: of the source, and doctored."""
    blobs, used = MemoryBlobs(), environments.get(ENVIRONMENT)
    sandbox = BubblewrapSandbox(blobs, FixedClock(), scratch=tmp_path_factory.mktemp("scratch"))
    found = {}
    for name, code in (("honest", CODE), ("doctored", DOCTORED)):
        source = Input(role=Role.SOURCE, name="fast.c", sha256=blobs.put(code.encode()), path="/inputs/fast.c")
        command = "gcc -fPIC -g -O2 -fwrapv -ffile-prefix-map=/inputs=/project -I /usr/include/python3.13"
        definition = BuildDefinition(
            build_type="tag:example.org,2026:test",
            purl="pkg:pypi/fast@1.0",
            targets=(MODULE,),
            inputs=(source,),
            toolchain=EnvironmentRef(name=used.name, sha256=used.sha256),
            commands=(("sh", "-c", f"{command} -shared -Wl,-z,now /inputs/fast.c -o /out/{MODULE}"),),
            environment={"PATH": "/usr/bin"},
        )
        run = sandbox.run(definition, root=used.root, inputs={source.path: blobs.path(source.sha256)})
        found[name] = blobs.read(run.outputs[0].sha256)
    sandbox.close()
    return found


@dataclass(frozen=True)
class Verified:
    """A wheel that was verified, and what stands about it on the site."""

    line: dict[str, Any]
    place: Path
    installation: Installation

    @property
    def accounting(self) -> dict[str, Any]:
        """Of the report."""
        found: dict[str, Any] = json.loads((self.place / "report.json").read_text())["accounting"]
        return found

    @property
    def member(self) -> dict[str, Any]:
        """The extension module."""
        return next(each for each in self.accounting["members"] if each["path"].endswith(".so"))


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that has the build backend."""
    with Registry() as running:
        running.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        yield running


@pytest.fixture
def installation(tmp_path: Path, environments_root: Path, registry: Registry) -> Installation:
    """An empty installation that asks that registry."""
    return Installation.make(tmp_path, environments_root, registry.url)


def verified(registry: Registry, installation: Installation, module: bytes, version: str = "1.0") -> Verified:
    """A release with this extension module in its wheel."""
    toml = (
        '[build-system]\nrequires = ["minibackend==1.0"]\nbuild-backend = "own"\nbackend-path = ["tools"]\n\n'
        f'[project]\nname = "fast"\nversion = "{version}"\n'
    )
    files = {"fast/__init__.py": "from fast.fast import triple\n"}
    source = {**files, "fast.c": CODE, "tools/own.py": BACKEND, "pyproject.toml": toml}
    wheel: Distribution = make_wheel("fast", version, {**files, f"fast/{MODULE}": module}, tag=TAG)
    for each in (make_sdist("fast", version, source), wheel):
        registry.add(each, uploaded=UPLOADED)
    answer = installation.verify(f"pypi:fast=={version}")
    return Verified(answer.line, Path(answer.line["report"]).parent, installation)


def test_functions_are_equal_and_the_build_can_be_repeated(
    registry: Registry, installation: Installation, published: dict[str, bytes]
) -> None:
    """Other bytes, equal functions; log and definition beside the page; the same file again from the documents."""
    found = verified(registry, installation, published["honest"])
    assert "accounted" == found.line["verdict"]
    assert "where 2 of 2 functions have equal instructions" in found.line["sentence"]
    assert ("compiled-different", 2, 2) == (
        found.member["how"],
        found.member["recompiled"]["functions_equal"],
        found.member["recompiled"]["functions"],
    )
    assert "GCC 14.2 for Python 3.13. It was compiled here in trixie-gcc with" in found.accounting["remarks"][-1]
    page = (found.place / "index.html").read_text()
    for name in ("log-compiled.txt", "definition-compiled.json", "provenance.dsse.json"):
        assert f'href="{name}"' in page
    assert "compiled with" in (found.place / "log-compiled.txt").read_text()
    definition = json.loads((found.place / "definition-compiled.json").read_text())
    assert "-O2" in definition["internalParameters"]["environment"]["CFLAGS"]
    replay = installation.run("replay", "--json", found.place)
    assert (0, "agrees") == (replay.code, replay.line["outcome"])
    capsule = installation.root / "fast.tar"
    assert 0 == installation.run("export", "--capsule", found.place, "--output", capsule).code
    other = Installation.make(installation.root / "other", installation.store / "toolchains", "http://127.0.0.1:9")
    replay = other.run("replay", "--json", "--capsule", capsule)
    assert (0, "agrees") == (replay.code, replay.line["outcome"])


def test_a_changed_function_is_named(
    registry: Registry, installation: Installation, published: dict[str, bytes]
) -> None:
    """One that does more than the source says, and what it calls for that; no verdict changes."""
    found = verified(registry, installation, published["doctored"])
    assert "accounted" == found.line["verdict"]
    compared = found.member["recompiled"]
    assert (2, 1, ["triple"]) == (
        compared["functions"],
        compared["functions_equal"],
        compared["functions_different"],
    )
    assert (["system"], ["id >&2"]) == (compared["imports_published"], compared["strings_published"])
    page = (found.place / "index.html").read_text()
    assert "1 of 2 functions" in page


def test_the_same_bytes_settle_it(registry: Registry, installation: Installation, published: dict[str, bytes]) -> None:
    """What compiling gives here, published: that settles the member, and the file is accounted for as before."""
    first = verified(registry, installation, published["honest"])
    [output] = first.accounting["compiled"]["run"]["outputs"]
    with zipfile.ZipFile(next(installation.store.rglob(output["sha256"]))) as archive:
        module = archive.read(f"fast/{MODULE}")
    second = verified(registry, installation, module, version="1.1")
    assert ("accounted", "compiled-equal") == (second.line["verdict"], second.member["how"])
