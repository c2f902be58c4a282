"""Build requirements from pyproject.toml and from the wheel."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.requirements import (
    LEGACY_BACKEND,
    installed_backend,
    is_unreleased,
    narrowed,
    packed_itself,
    packing_backend,
    pin_generator,
    read_build_system,
)
from rebuilder.ecosystems.pypi.tool_versions import RULES, Bracket
from rebuilder.ecosystems.pypi.wheel_traces import Generator
from rebuilder.model.verdict import Verdict


def pyproject(requires: str = '["hatchling"]', backend: str = "hatchling.build", more: str = "") -> str:
    """A ``[build-system]`` table."""
    return f'[build-system]\nrequires = {requires}\nbuild-backend = "{backend}"\n{more}'


def test_reads_a_build_system() -> None:
    """Backend, its path and the requirements are taken as PEP 517 and PEP 518 define them."""
    system = read_build_system(
        pyproject('["flit_core >=3,<4", "x; python_version<\'3\'"]', "m:a.b", 'backend-path=["."]')
    )
    assert ("m:a.b", (".",)) == (system.backend, system.backend_path)
    assert ["flit_core<4,>=3", 'x; python_version < "3"'] == [str(each) for each in system.requires]


@pytest.mark.parametrize("text", [None, "", "[project]\nname = 'x'\n", "[build-system]\n"])
def test_without_a_backend_setuptools_builds(text: str | None) -> None:
    """PEP 517 names the backend for trees that name none."""
    system = read_build_system(text)
    assert (LEGACY_BACKEND, ["setuptools"]) == (system.backend, [str(each) for each in system.requires])


def test_requirements_alone_keep_the_legacy_backend() -> None:
    """A table with requires only (PEP 518) is built by setuptools with exactly these."""
    system = read_build_system('[build-system]\nrequires = ["setuptools>=40", "cython"]\n')
    assert (LEGACY_BACKEND, ["setuptools>=40", "cython"]) == (system.backend, [str(each) for each in system.requires])


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("[build-system", Verdict.BUILD_FAILED),
        ("build-system = 7\n", Verdict.BUILD_FAILED),
        (pyproject('"hatchling"'), Verdict.BUILD_FAILED),
        (pyproject("[1]"), Verdict.BUILD_FAILED),
        (pyproject('["hatchling", "-r /etc/passwd"]'), Verdict.BUILD_FAILED),
        (pyproject('["x\\n--index-url=http://example.org"]'), Verdict.BUILD_FAILED),
        (pyproject(backend="os; import x"), Verdict.BUILD_FAILED),
        (pyproject(backend="--requires-only"), Verdict.BUILD_FAILED),
        (pyproject(more='backend-path = ["../.."]'), Verdict.BUILD_FAILED),
        (pyproject(more='backend-path = ["/etc"]'), Verdict.BUILD_FAILED),
        (pyproject(more='backend-path = ["--out"]'), Verdict.BUILD_FAILED),
        (pyproject('["x @ https://example.org/x.whl"]'), Verdict.INPUTS_MISSING),
        (pyproject(repr(["x"] * 200)), Verdict.BUILD_FAILED),
    ],
)
def test_hostile_tables_are_obstacles(text: str, verdict: Verdict) -> None:
    """Nothing a table says can become an option, a path outside, or another index."""
    with pytest.raises(NotRebuildable) as caught:
        read_build_system(text)
    assert verdict is caught.value.obstacle.verdict
    assert caught.value.obstacle.sentence.isprintable()


@pytest.mark.parametrize(
    ("generator", "backend", "requires", "pinned"),
    [
        (Generator("hatchling", "1.27.0"), "hatchling.build", '["hatchling"]', "hatchling==1.27.0"),
        (Generator("flit", "3.12.0"), "flit_core.buildapi", '["flit_core >=3"]', "flit-core==3.12.0"),
        (Generator("flit", "1.3"), "flit.buildapi", '["flit"]', "flit==1.3"),
        (Generator("poetry-core", "2.1.3"), "poetry.core.masonry.api", '["poetry-core"]', "poetry-core==2.1.3"),
        (Generator("poetry", "1.0.8"), "poetry.core.masonry.api", '["poetry-core"]', "poetry-core==1.0.8"),
        (Generator("poetry", "1.0.8"), "poetry.masonry.api", '["poetry>=0.12"]', "poetry==1.0.8"),
        (Generator("setuptools", "75.8.0"), "setuptools.build_meta", '["setuptools"]', "setuptools==75.8.0"),
        (Generator("bdist_wheel", "0.45.1"), "setuptools.build_meta", '["setuptools>=71"]', "wheel==0.45.1"),
        (Generator("uv", "0.9.1"), "uv_build", '["uv_build>=0.9"]', "uv-build==0.9.1"),
        (Generator("pdm-backend", "2.4.3"), "pdm.backend", '["pdm-backend"]', "pdm-backend==2.4.3"),
        (Generator("whatever", "1.0"), "whatever.build", "[]", "whatever==1.0"),
    ],
)
def test_the_generator_is_pinned(generator: Generator, backend: str, requires: str, pinned: str) -> None:
    """Each backend's way to write its name leads to the distribution that has it."""
    found = pin_generator(read_build_system(pyproject(requires, backend)), generator, "x")
    assert pinned == found.pinned
    assert pinned in found.requirements
    assert 1 == len([each for each in found.requirements if each.startswith(pinned.split("==", maxsplit=1)[0])])
    assert () == found.notes


def test_the_wheel_package_means_an_older_setuptools() -> None:
    """Since 70.1 setuptools packs wheels itself; the wheel package did before, if pyproject.toml allows that."""
    generator = Generator("bdist_wheel", "0.42.0")
    found = pin_generator(read_build_system(pyproject('["setuptools>=61"]', "setuptools.build_meta")), generator, "x")
    assert found.requirements == ("setuptools>=61", "setuptools<70.1", "wheel==0.42.0")
    found = pin_generator(read_build_system(None), generator, "x")
    assert found.requirements == ("setuptools", "setuptools<70.1", "wheel==0.42.0")


def test_the_generator_wins_over_bounds() -> None:
    """What packed the wheel really ran; the contradiction is told, and extras are kept."""
    system = read_build_system(pyproject('["hatchling[x]<1.20", "hatch-vcs"]'))
    found = pin_generator(system, Generator("hatchling", "1.27.0"), "x")
    assert ("hatch-vcs", "hatchling[x]==1.27.0") == found.requirements
    [note] = found.notes
    assert "hatchling[x]<1.20" in note


@pytest.mark.parametrize(
    "generator", [None, Generator("by-hand", "1"), Generator("hatchling", "1.0+x y"), Generator("x", "1.0")]
)
def test_no_pin(generator: Generator | None) -> None:
    """Unknown programs, impossible versions and a project that builds itself are not pinned, and that is told."""
    found = pin_generator(read_build_system(pyproject()), generator, "x")
    assert (None, ("hatchling",), 1) == (found.pinned, found.requirements, len(found.notes))


def test_a_wrapper_in_the_tree_does_not_hide_the_backend() -> None:
    """A backend-path with a thin wrapper still builds with the pinned setuptools."""
    system = read_build_system(pyproject('["setuptools"]', "wrapper", 'backend-path = ["."]'))
    assert pin_generator(system, Generator("setuptools", "75.8.0"), "x").pinned == "setuptools==75.8.0"


def test_backend_in_the_source_tree_is_not_looked_for_on_an_index() -> None:
    """A wheel that names the project's own backend as its Generator was packed by what is in the tree."""
    system = read_build_system(pyproject("[]", "my_backend", 'backend-path = ["tools"]'))
    found = pin_generator(system, Generator("my-backend", "1"), "x")
    assert ((), None) == (found.requirements, found.pinned)


@pytest.mark.parametrize(("said", "expected"), [("1.7.0", ()), ("1.8.1", ("src",)), ("1.8.1.0", ("src",))])
def test_another_release_of_the_backend_itself(said: str, expected: tuple[str, ...]) -> None:
    """A backend whose wheel names another of its own releases was packed by that, as it was installed."""
    system = read_build_system(pyproject("[]", "poetry.core.masonry.api", 'backend-path = ["src"]'))
    generator = Generator("poetry-core", said)
    used = installed_backend(system, generator, "poetry-core", "1.8.1")
    assert expected == used.backend_path
    pinned = None if expected else "poetry-core==1.7.0"
    assert pinned == pin_generator(used, generator, "poetry-core", "1.8.1").pinned
    assert not packed_itself(system, generator, "poetry-core", "1.8.1")


@pytest.mark.parametrize("said", ["0.0.0+local", "81.0.0.post20250701", "1.8.2.dev3"])
def test_checkout_of_the_backend_itself(said: str) -> None:
    """A version that only a checkout gives itself is that of the tree, whatever the release is called."""
    system = read_build_system(pyproject("[]", "poetry.core.masonry.api", 'backend-path = ["src"]'))
    generator = Generator("poetry-core", said)
    assert system == installed_backend(system, generator, "poetry-core", "1.8.1")
    assert pin_generator(system, generator, "poetry-core", "1.8.1").pinned is None


@pytest.mark.parametrize(
    ("text", "generator", "expected"),
    [
        (None, Generator("flit", "1.3"), "flit.buildapi"),
        (None, Generator("poetry", "0.12.10"), "poetry.masonry.api"),
        (pyproject('["setuptools"]', "setuptools.build_meta"), Generator("hatchling", "1.27.0"), "hatchling.build"),
        (pyproject('["flit-core"]', "flit_core.buildapi"), Generator("flit", "3.9.0"), "flit_core.buildapi"),
        (pyproject('["poetry"]', "poetry.masonry.api"), Generator("poetry", "1.0.0a8"), "poetry.core.masonry.api"),
        (pyproject('["poetry"]', "poetry.masonry.api"), Generator("poetry", "1.0.5"), "poetry.masonry.api"),
        (pyproject('["x"]', "wrapper.api"), Generator("hatchling", "1.27.0"), "wrapper.api"),
        (pyproject("[]", "setuptools.build_meta", 'backend-path = ["."]'), Generator("flit", "3"), None),
        (None, Generator("bdist_wheel", "0.37.1"), LEGACY_BACKEND),
        (None, Generator("setuptools", "80.9.0"), LEGACY_BACKEND),
        (None, Generator("by-hand", "1"), LEGACY_BACKEND),
        (None, None, LEGACY_BACKEND),
    ],
)
def test_backend_that_packed(text: str | None, generator: Generator | None, expected: str | None) -> None:
    """The Generator's own, where another that names itself is declared, or none; wrappers of it stay."""
    system = read_build_system(text)
    found = packing_backend(system, generator)
    assert (expected or system.backend) == found.backend
    if found.backend != system.backend and generator is not None:
        assert (found.requires, ()) == (system.requires, found.backend_path)
        assert pin_generator(found, generator, "x").pinned is not None


@pytest.mark.parametrize(("project", "version", "expected"), [("wheel", "0.37.1", True), ("wheel", "0.38.0", False)])
def test_packed_by_itself(project: str, version: str, expected: bool) -> None:
    """A project that is its own build tool, and says so nowhere."""
    system = read_build_system(None)
    assert expected == packed_itself(system, Generator("bdist_wheel", "0.37.1"), project, version)
    assert not packed_itself(system, Generator("bdist_wheel", "0.37.1"), "x", "0.37.1")


def test_narrowed() -> None:
    """The shape of the metadata holds setuptools; if the source asks for another, that is forgotten, then the shape."""
    system = read_build_system(pyproject('["setuptools>=61", "cython"]', "setuptools.build_meta"))
    before = pin_generator(system, Generator("bdist_wheel", "0.37.1"), "x")
    found = narrowed(before, Bracket(RULES[3:4]))
    assert (*before.requirements, "setuptools<57") == found.requirements
    installed, forgotten = found.alternatives
    assert ("cython", "wheel==0.37.1", "setuptools<57") == installed.requirements
    assert before == forgotten
    assert "setuptools <57" in found.notes[-1]
    assert before == narrowed(before, Bracket())


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("80.9.0.post20250701", True),
        ("0.0.0+local", True),
        ("81.0.0.dev3", True),
        ("80.9.0", False),
        ("1.0.0a8", False),
        ("1.0.post1", False),
    ],
)
def test_versions_that_were_never_released(version: str, expected: bool) -> None:
    """Local and development versions, and those with a date, are what a checkout calls itself."""
    assert expected == is_unreleased(version)


def test_stand_in() -> None:
    """Should the tool that packed the wheel not be to be had, the nearest before it is taken, or any."""
    system = read_build_system(pyproject('["hatchling[a]>=1", "x"]'))
    found = pin_generator(system, Generator("hatchling", "1.9.0.post20250701"), "y").stand_in
    assert found is not None
    assert ("x", "hatchling[a]<=1.9.0") == found.requirements
    assert [("x", "hatchling[a]")] == [each.requirements for each in found.alternatives]
    assert "hatchling 1.9.0.post20250701" in found.notes[0]


DIGITS = "1" * 5000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"x = {DIGITS}", "not TOML"),
        ("x = " + "[" * 9999, "not TOML"),
        (f'[build-system]\nrequires = ["setuptools=={DIGITS}"]', "not a requirement"),
        (f"[build-system]\nrequires = [\"x; {'(' * 4000}os_name == 'a'{')' * 4000}\"]", "not a requirement"),
        (f'[build-system]\nrequires = ["x; {"(" * 9999}"]', "not a requirement"),
    ],
)
def test_what_parsers_give_up_at_is_malformed(text: str, words: str) -> None:
    """Too many digits or levels are a fault of the source, and end nothing."""
    with pytest.raises(NotRebuildable) as stopped:
        pin_generator(read_build_system(text), Generator("setuptools", "70.0"), "x", "1")
    assert words in stopped.value.obstacle.sentence
