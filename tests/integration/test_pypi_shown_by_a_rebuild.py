"""What a rebuild shows, and what is tried because of it: tags, versions of plug-ins, orders, other Pythons."""

from __future__ import annotations

from typing import Any

import pytest

from rebuilder.ecosystems.pypi.hash_seed import iterated
from rebuilder.model.attempt import Attempt, Hypothesis, Output
from rebuilder.model.comparison import Level
from rebuilder.model.definition import Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.verdict import Verdict
from tests.fakes.planning import EARLIER, Planning, begin, commands, uniform
from tests.fakes.projects import Distribution, make_sdist, make_wheel
from tests.fakes.pypi import Surroundings, attempt


def made(attempt: Attempt, surroundings: Surroundings, rebuilt: Distribution) -> Attempt:
    """The attempt, with this wheel as what it left."""
    output = Output(filename=rebuilt.filename, sha256=surroundings.blobs.put(rebuilt.data), size=len(rebuilt.data))
    return attempt.replace(rebuilt=output)


def looked_at_again(surroundings: Surroundings, hypotheses: Planning, rebuilt: Distribution) -> Hypothesis | None:
    """What is tried after all guesses left that wheel; None when nothing is."""
    hypothesis: Hypothesis | None = hypotheses.first()
    while hypothesis is not None and hypothesis.name in {"source-date-epoch", "source-archive-times"}:
        hypothesis = hypotheses.following(made(attempt(hypothesis, Level.DIFFERENT), surroundings, rebuilt))
    return hypothesis


def test_retagged_wheel() -> None:
    """A build number that the backend does not give is given by ``wheel tags``; that is counted, and then is all."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("wheel", "0.45.1"))
    hypotheses = begin(surroundings, make_sdist("idna", "3.10"), make_wheel("idna", "3.10", tag="2-py3-none-any"))
    found = looked_at_again(surroundings, hypotheses, make_wheel("idna", "3.10"))
    assert found is not None
    assert ("-m", "wheel", "tags", "--remove", "--build=2", "/out/idna-3.10-py3-none-any.whl") == (
        found.definition.commands[-1][1:]
    )
    assert "wheel" in [each.name for each in found.definition.inputs if each.role is Role.BUILD_DEPENDENCY]
    assert "--build=2" in [each.value for each in found.replayed]
    assert hypotheses.end(attempt(found, Level.EQUIVALENT)) is None


def test_retagging_needs_the_tool() -> None:
    """Without a wheel package that can, nothing more is tried."""
    surroundings = Surroundings()
    hypotheses = begin(surroundings, make_sdist("idna", "3.10"), make_wheel("idna", "3.10", tag="2-py3-none-any"))
    assert looked_at_again(surroundings, hypotheses, make_wheel("idna", "3.10")) is None


def test_version_of_a_plug_in() -> None:
    """A declared plug-in that finds another version is told the one that the file name has, which is counted."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("hatch-vcs", "0.5.0"))
    sdist = make_sdist("idna", "3.10", requires=["minibackend==1.0", "hatch-vcs"])
    found = looked_at_again(
        surroundings, begin(surroundings, sdist, make_wheel("idna", "3.10")), make_wheel("idna", "0")
    )
    assert found is not None
    assert "3.10" == found.definition.environment["SETUPTOOLS_SCM_PRETEND_VERSION"]
    assert ("version", "3.10") in [(each.name, each.value) for each in found.replayed]
    assert "The rebuild has version 0, the published wheel has 3.10" in found.sentence


def test_version_of_a_plug_in_that_finds_none() -> None:
    """A build that fails beside a declared plug-in is made again with the version, before another interpreter is."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("pbr", "6.1.0"))
    sdist = make_sdist("idna", "3.10", requires=["minibackend==1.0", "pbr"])
    hypotheses = begin(surroundings, sdist, make_wheel("idna", "3.10"))
    found = hypotheses.after(attempt(hypotheses.first(), None))
    assert "3.10" == found.definition.environment["PBR_VERSION"]
    assert "The build failed, the published wheel has 3.10" in found.sentence
    assert hypotheses.end(attempt(found, Level.EQUIVALENT)) is None


def test_second_look_at_what_came_of_the_first() -> None:
    """With the right version, the rebuild may show more."""
    surroundings = Surroundings()
    for name, version in (("setuptools", "65.5.0"), ("wheel", "0.37.1"), ("pbr", "6.1.0")):
        surroundings.add_dependency(make_wheel(name, version))
    sdist = make_sdist("idna", "3.10", requires=["setuptools", "pbr"], backend="setuptools.build_meta")
    texts = ["Requires-Dist: A\nRequires-Dist: b (>=1)\n", "Requires-Dist: b (>=1)\nRequires-Dist: A\n"]
    packer = "bdist_wheel (0.37.1)"
    published, rebuilt = (make_wheel("idna", "3.10", metadata=text, generator=packer) for text in texts)
    hypotheses = begin(surroundings, sdist, published)
    told = hypotheses.after(attempt(hypotheses.first(), None))
    found = hypotheses.following(made(attempt(told, Level.DIFFERENT), surroundings, rebuilt))
    assert found is not None
    assert "3.10" == found.definition.environment["PBR_VERSION"]
    assert "as_debian" in [word for command in found.definition.commands for word in command]
    assert ("tool-patch", 2) in [(each.name, each.bits) for each in found.replayed]


def test_requirements_in_the_order_of_a_set() -> None:
    """A hash seed that gives the published order is set, and counted; requirements that are no set have none."""
    names = ["scipy", "twython", "numpy", "requests"]
    orders = [iterated(names, seed, 1) for seed in (7, 0)]
    for rebuilt, expected in ((orders[1], True), (orders[1][::-1], False)):
        surroundings = Surroundings()
        surroundings.add_dependency(make_wheel("setuptools", "80.9.0"))
        sdist = make_sdist("idna", "3.10", requires=["setuptools"], backend="setuptools.build_meta")
        wheels = [
            make_wheel(
                "idna",
                "3.10",
                metadata="".join(f"Requires-Dist: {name}\n" for name in order),
                generator="setuptools (80.9.0)",
            )
            for order in (orders[0], rebuilt)
        ]
        found = looked_at_again(surroundings, begin(surroundings, sdist, wheels[0]), wheels[1])
        assert expected == (found is not None)
        if found is not None:
            seed = found.definition.environment["PYTHONHASHSEED"]
            assert orders[0] == iterated(orders[0], int(seed), 1)
            assert ("hash-seed", seed, 16) in [(each.name, each.value, each.bits) for each in found.replayed]


@pytest.mark.parametrize(
    ("top_level", "expected"),
    [
        ("idna\nscripts\ntesting\n", ["scripts", "testing"]),
        ("idna\nhello\n", None),  # any name could be a message to the build
        ("scripts\n", None),  # something else differs as well
        ("idna\npackaged\n", None),  # has files
    ],
)
def test_empty_directories_beside_the_source(top_level: str, expected: list[str] | None) -> None:
    """Setuptools finds packages in them: they are made, of a closed set of names, and counted."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("setuptools", "80.9.0"))
    sdist = make_sdist("idna", "3.10", requires=["setuptools"], backend="setuptools.build_meta")
    published, rebuilt = (
        make_wheel(
            "idna",
            "3.10",
            files={"idna/__init__.py": "", "packaged/x.py": "", "idna-3.10.dist-info/top_level.txt": text},
            generator="setuptools (80.9.0)",
        )
        for text in (top_level, "idna\n")
    )
    found = looked_at_again(surroundings, begin(surroundings, sdist, published), rebuilt)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert ["mkdir", "-p", "--", *expected] == next(
        list(each[2:]) for each in found.definition.commands if "mkdir" in each
    )
    assert ("directories", " ".join(expected), 10) in [(each.name, each.value, each.bits) for each in found.replayed]


def test_a_python_that_is_not_there_is_presented() -> None:
    """The wheel names it; a newer one presents itself as it, which is told and counted."""
    surroundings = Surroundings()
    sdist = make_sdist("idna", "3.10", time=EARLIER)
    wheel = make_wheel("idna", "3.10", files={"idna/__init__.py": "", "idna-3.10-py3.10-nspkg.pth": "import sys\n"})
    found = begin(surroundings, sdist, wheel).first()
    assert "bookworm" == found.definition.toolchain.name
    assert {"as_python", "3.10"} <= set(commands(found))
    assert "Python 3.11 presents itself as it" in found.sentence
    assert ("interpreter", "3.10", 4) in [(each.name, each.value, each.bits) for each in found.replayed]
    assert found.lacks is None
    other = make_wheel("idna", "3.10", files={"idna/__pycache__/a.cpython-310.pyc": "x"})
    compiled = begin(Surroundings(), sdist, other).first()
    assert "as_python" not in commands(compiled)
    assert compiled.lacks is not None
    assert Verdict.UNSUPPORTED is compiled.lacks.verdict


VARIABLE = "import os\nif os.environ.get('BUILD_EXTENSION') != 'no': ext_modules = [Extension('x', ['x.c'])]\n"
OPTION = (
    "import sys\nif '--pure' in sys.argv:\n  sys.argv.remove('--pure')\nelse:\n  ext_modules = cythonize('x.pyx')\n"
)
PLATFORM = "cp313-cp313-linux_x86_64"


def compiling(script: str, **more: Any) -> Distribution:
    """A source whose ``setup.py`` makes extensions, or leaves them out."""
    return make_sdist("idna", "3.10", files={"idna/__init__.py": "", "setup.py": script}, time=EARLIER, **more)


def told(hypothesis: Hypothesis) -> list[tuple[str | None, int]]:
    """What a build is told about extensions, with its bits."""
    return [(each.value, each.bits) for each in hypothesis.replayed if each.name == "extensions"]


@pytest.mark.parametrize("rebuilt", [make_wheel("idna", "3.10", tag=PLATFORM), None])
def test_extensions_are_left_out_of_a_wheel_without_any(rebuilt: Distribution | None) -> None:
    """By the variable that the source reads, where a build without it failed or made a wheel for one platform."""
    surroundings = Surroundings()
    hypotheses = begin(surroundings, compiling(VARIABLE), make_wheel("idna", "3.10"))
    first = hypotheses.first()
    assert "BUILD_EXTENSION" not in first.definition.environment
    assert [] == told(first)
    tried = attempt(first, None) if rebuilt is None else made(attempt(first, Level.DIFFERENT), surroundings, rebuilt)
    found = hypotheses.after(tried)
    assert "source-date-epoch-extensions-off" == found.name
    assert "no" == found.definition.environment["BUILD_EXTENSION"]
    assert "told BUILD_EXTENSION=no, which" in found.sentence
    assert [("BUILD_EXTENSION=no", 3)] == told(found)
    # What comes after goes on from the build that made a wheel for any machine.
    other = hypotheses.after(made(attempt(found, Level.DIFFERENT), surroundings, make_wheel("idna", "3.10")))
    assert ("source-archive-times", "no") == (other.name, other.definition.environment["BUILD_EXTENSION"])


def test_extensions_are_left_out_only_where_a_build_asks_for_it() -> None:
    """Not where the build alone makes such a wheel, whatever is in it; nor for a wheel for one platform."""
    surroundings = Surroundings()
    hypotheses = begin(surroundings, compiling(VARIABLE), make_wheel("idna", "3.10"))
    assert looked_at_again(surroundings, hypotheses, make_wheel("idna", "3.10")) is None
    surroundings = Surroundings()
    hypotheses = begin(surroundings, compiling(VARIABLE), make_wheel("idna", "3.10", tag="py3-none-win32"))
    assert looked_at_again(surroundings, hypotheses, make_wheel("idna", "3.10", tag=PLATFORM)) is None


def test_ways_that_leave_no_extension_out_are_forgotten() -> None:
    """Each is tried once with the likeliest times; then the build alone is what is told of."""
    surroundings = Surroundings()
    script = VARIABLE + "if os.getenv('X_PURE'): pass\nelse: cythonize('x')\n"
    hypotheses = begin(surroundings, compiling(script), make_wheel("idna", "3.10"))
    compiled, names = make_wheel("idna", "3.10", tag=PLATFORM), []
    found: Hypothesis | None = hypotheses.first()
    while found is not None:
        names.append((found.name, *(value for value, _ in told(found))))
        found = hypotheses.following(made(attempt(found, Level.DIFFERENT), surroundings, compiled))
    assert names == [
        ("source-date-epoch",),
        ("source-date-epoch-extensions-off", "BUILD_EXTENSION=no"),
        ("source-date-epoch-extensions-off-2", "X_PURE=1"),
        ("source-date-epoch-extensions-off-3", "BUILD_EXTENSION=no X_PURE=1"),
        ("source-archive-times",),
    ]


@pytest.mark.parametrize("by_script", [True, False])
def test_an_option_that_leaves_extensions_out(by_script: bool) -> None:
    """``setup.py`` is given it before its command, by the backend of setuptools where that is called."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("setuptools", "80.9.0"))
    sdist = compiling(OPTION, requires=["setuptools"], backend="setuptools.build_meta")
    tag = "2-py3-none-any" if by_script else "py3-none-any"
    published = make_wheel("idna", "3.10", tag=tag, generator="setuptools (80.9.0)")
    hypotheses = begin(surroundings, sdist, published)
    found = hypotheses.after(attempt(hypotheses.first(), None))
    last = list(found.definition.commands[-1])
    if by_script:
        assert ["setup.py", "--pure", "bdist_wheel"] == last[last.index("setup.py") :][:3]
    else:
        assert "--config-setting=--global-option=--pure" == last[-3]
    assert [("--pure", 3)] == told(found)


def test_no_way_that_other_words_of_the_wheel_ask_for() -> None:
    """Nothing of the published file chooses a name or a value: two wheels with other bytes give the same builds."""
    digests = []
    for text in ("BUILD_EXTENSION=yes X_PURE=1\n", "\n"):
        surroundings = Surroundings()
        wheel = make_wheel("idna", "3.10", files={"idna/__init__.py": text})
        hypotheses = begin(surroundings, compiling(VARIABLE), wheel)
        digests.append(hypotheses.after(attempt(hypotheses.first(), None)).definition.digest)
    assert digests[0] == digests[1]


def test_version_without_a_plug_in() -> None:
    """Nobody asks for the version then: it stays what the source says."""
    surroundings = Surroundings()
    assert looked_at_again(surroundings, begin(surroundings, *uniform()), make_wheel("idna", "0")) is None


def test_line_ends_of_a_description() -> None:
    """A description that another setuptools ends otherwise says which one it was."""
    surroundings = Surroundings()
    for version in ("59.6.0", "65.5.0"):
        surroundings.add_dependency(make_wheel("setuptools", version))
    surroundings.add_dependency(make_wheel("wheel", "0.37.1"))
    text = "Home-page: https://example.org/\nPlatform: any\n\nText\n"
    packer = "bdist_wheel (0.37.1)"
    sdist = make_sdist("idna", "3.10", requires=["setuptools"], backend="setuptools.build_meta")
    wheel = make_wheel("idna", "3.10", metadata=f"{text}\n", generator=packer)
    found = looked_at_again(
        surroundings, begin(surroundings, sdist, wheel), make_wheel("idna", "3.10", metadata=text, generator=packer)
    )
    assert found is not None
    assert "59.6.0" in [each.version for each in found.definition.inputs if each.role is Role.BUILD_DEPENDENCY]
    assert "with 1 where setuptools 65.5.0 wrote it" in found.sentence


def test_description_that_python_2_read() -> None:
    """It is read so again; what else Python 2 does otherwise is our lack."""
    surroundings = Surroundings()
    surroundings.add_dependency(make_wheel("setuptools", "44.1.1"))
    surroundings.add_dependency(make_wheel("wheel", "0.31.1"))
    packer = "bdist_wheel (0.31.1)"
    sdist = make_sdist("idna", "3.10", requires=["setuptools"], backend="setuptools.build_meta")
    texts = ["Home-page: https://example.org/\nPlatform: any\n\n\nText\n\n\n"]
    texts.append(texts[0].replace("\nText", "\n\nText"))
    wheels = [make_wheel("idna", "3.10", metadata=text, generator=packer) for text in texts]
    found = looked_at_again(surroundings, begin(surroundings, sdist, wheels[0]), wheels[1])
    assert found is not None
    assert "as_python_2" in [word for command in found.definition.commands for word in command]
    assert ("interpreter-patch", 1) in [(each.name, each.bits) for each in found.replayed]
    assert found.lacks is not None
    assert Cause.NOT_SUPPORTED is found.lacks.cause
