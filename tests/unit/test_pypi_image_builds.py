"""Which image builds a wheel, with which interpreter, and when two wheels were made alike."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from rebuilder.ecosystems.pypi import image_builds
from rebuilder.ecosystems.pypi.image_builds import ImageBuild, image_build, made_alike, says_something, with_cython
from rebuilder.ecosystems.pypi.requirements import Requirements
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.binary import (
    Binaries,
    BinaryFacts,
    BinaryFormat,
    BinaryImage,
    BinaryMember,
    Compiler,
    Section,
    Tool,
    Vendored,
)
from rebuilder.model.comparison import Difference, Level, MemberChange
from rebuilder.model.environment import Image, Specification
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.settings import EnvironmentSettings
from rebuilder.model.value import Sha256
from rebuilder.programs.pypi import temporary_names
from tests.fakes import reports

if TYPE_CHECKING:
    from rebuilder.ecosystems.pypi.context import PlanningContext

NAME = "speedy-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
PROVIDES = {
    "cp311-cp311": "3.11",
    "cp312-cp312": "3.12",
    "cp38-cp38": "3.8",
    "gcc": "14",
    "auditwheel": "6",
    "pip": "26",
}
GCC = Compiler(name="GCC", version="14.2.1", evidence="GCC: (GNU) 14.2.1 20250110 (Red Hat 14.2.1-7)", where=".comment")
TOOL = Tool(name="Cython", version="3.0.11", evidence="_cython_3_0_11", where="names")
CODE = BinaryImage(
    architecture="x86_64", kind="shared library", compilers=(GCC,), tools=(TOOL,), directories=("/project",)
)


def member(
    image: BinaryImage = CODE, *, name: str = "p/a.so", digest: str = "1", brought: bool = False
) -> BinaryMember:
    """A compiled member of a wheel."""
    vendored = Vendored(tool="auditwheel", original="a.so") if brought else None
    facts = BinaryFacts(format=BinaryFormat.ELF, images=(image,), vendored=vendored)
    return BinaryMember(member=name, sha256=Sha256(digest * 64), facts=facts)


def binaries(*members: BinaryMember) -> Binaries:
    """Those of one wheel."""
    return Binaries(members=members, total=len(members))


def planned(
    monkeypatch: pytest.MonkeyPatch,
    filename: str = NAME,
    *,
    provides: dict[str, str] = PROVIDES,
    variables: dict[str, str] | None = None,
    root: Path = Path("/"),
    found: Binaries | None = None,
    images: dict[str, str] | None = None,
    requires: str | None = None,
) -> ImageBuild | str | None:
    """What is planned for a wheel, with an image of the settings."""
    image = Image(sha256=Sha256("2" * 64), variables=variables)
    environment = BuildEnvironment(
        name="own",
        sha256=Sha256("1" * 64),
        root=root,
        provides=provides,
        specification=Specification(method="image", suite="image", image=image, recipe=2),
        summary=EnvironmentSummary(name="own", sha256="1" * 64, packages=()),
    )
    monkeypatch.setattr(image_builds, "read_binaries", lambda *_: found or binaries(member()))
    context = SimpleNamespace(
        images={"manylinux2014_*": "own", "linux_*": "own"} if images is None else images,
        environment={"own": environment}.__getitem__,
        programs=None,
        memo=None,
    )
    subject = reports.artifact("speedy", "1.0", filename=filename, requires_python=requires)
    return image_build(cast("PlanningContext", context), reports.evidence(subject))


def usable(found: ImageBuild | str | None) -> ImageBuild:
    """It, where it is one."""
    assert isinstance(found, ImageBuild), found
    return found


def test_no_image_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is planned for another platform."""
    assert planned(monkeypatch, images={"musllinux_*": "own"}) is None
    assert planned(monkeypatch, images={}) is None


@pytest.mark.parametrize(
    ("lacking", "words"),
    [("pip", "no pip"), ("gcc", "no compiler"), ("auditwheel", "no auditwheel"), ("cp312-cp312", "no Python cp312")],
)
def test_an_image_that_lacks_something(monkeypatch: pytest.MonkeyPatch, lacking: str, words: str) -> None:
    """A sentence says what, and nothing is tried in it."""
    found = planned(monkeypatch, provides={each: version for each, version in PROVIDES.items() if each != lacking})
    assert isinstance(found, str)
    assert words in found
    assert found.startswith("The image own, which the settings name for manylinux_2_17_x86_64.manylinux2014_x86_64,")


@pytest.mark.parametrize(
    ("tags", "requires", "python"),
    [
        ("cp312-cp312", None, "/opt/python/cp312-cp312/bin/python"),
        ("cp311-abi3", None, "/opt/python/cp311-cp311/bin/python"),
        ("py3-none", None, "/opt/python/cp311-cp311/bin/python"),
        ("py2.py3-none", ">=3.12", "/opt/python/cp312-cp312/bin/python"),
        ("cp313-cp313", None, "/usr/bin/python3"),
        ("cp313-abi3", None, "/usr/bin/python3"),
        ("cp313-cp313t", None, None),
        ("cp38-cp38", None, None),
        ("pp311-pypy311_pp73", None, None),
    ],
)
def test_interpreters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tags: str, requires: str | None, python: str | None
) -> None:
    """That of the tags; for several Pythons the oldest there is; none that programs of ours do not run on."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3").symlink_to("python3.13")
    provides = {**PROVIDES, "python": "3.13.2"}
    found = planned(
        monkeypatch, f"speedy-1.0-{tags}-linux_x86_64.whl", provides=provides, root=tmp_path, requires=requires
    )
    assert python == (found.use.python if isinstance(found, ImageBuild) else None)


def test_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform is told where the image does not say it, the newest of several; other tags are not repaired."""
    assert ("--plat", "manylinux_2_17_x86_64") == usable(planned(monkeypatch)).use.repair
    new = "speedy-1.0-cp312-cp312-manylinux2014_x86_64.manylinux_2_28_x86_64.whl"
    assert ("--plat", "manylinux_2_28_x86_64") == usable(planned(monkeypatch, new)).use.repair
    said = usable(planned(monkeypatch, variables={"AUDITWHEEL_PLAT": "manylinux_2_28_x86_64"})).use
    assert () == said.repair
    assert (("AUDITWHEEL_PLAT", "manylinux_2_28_x86_64"),) == said.variables
    assert usable(planned(monkeypatch, "speedy-1.0-cp312-cp312-linux_x86_64.whl")).use.repair is None


@pytest.mark.parametrize(
    "tag",
    [
        "manylinux_2_170141183460469231731687303715884105727_x86_64",
        "manylinux_2_17_a9Xk2PqLz0",
        "manylinux_2_17_x86_64_5f1e",
        "manylinux_2_\N{ARABIC-INDIC DIGIT ONE}_x86_64",
        "musllinux_1_12345_x86_64",
        "manylinux_7_17_x86_64",
    ],
)
def test_a_platform_tag_as_a_message(monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    """What the backend leaves may run in the place of auditwheel, and read its options: no free text is among them."""
    images = {"m*": "own"}
    name = f"speedy-1.0-cp312-cp312-{tag}.whl"
    assert usable(planned(monkeypatch, name, images=images)).use.repair is None
    both = f"speedy-1.0-cp312-cp312-{tag}.manylinux_2_17_x86_64.whl"
    assert ("--plat", "manylinux_2_17_x86_64") == usable(planned(monkeypatch, both, images=images)).use.repair


@pytest.mark.parametrize(
    ("directories", "place"),
    [
        (("/project", "/project/build"), "/project"),
        (("/io/src",), "/io"),
        (("/projects",), None),
        (("/home/me/$(id)",), None),
        ((), None),
    ],
)
def test_only_usual_places_are_told(
    monkeypatch: pytest.MonkeyPatch, directories: tuple[str, ...], place: str | None
) -> None:
    """What debugging information says is text of a stranger."""
    found = planned(monkeypatch, found=binaries(member(CODE.replace(directories=directories))))
    assert place == usable(found).use.place


@pytest.mark.parametrize(
    ("directories", "temporary"),
    [
        (("/tmp/.tmp-speedy-pep517-ab_12xyz/src",), (".tmp-speedy-pep517-", "ab_12xyz")),
        (
            ("/tmp/.tmp-speedy-pep517-ab_12xyz/src", "/tmp/.tmp-speedy-pep517-ab_12xyz"),
            (".tmp-speedy-pep517-", "ab_12xyz"),
        ),
        (("/tmp/.tmp-speedy-pep517-ab_12xyz/src", "/tmp/.tmp-speedy-pep517-0b_12xyz/src"), None),
        (("/tmp/.tmp-other-pep517-ab_12xyz/src",), None),
        (("/tmp/.tmp-speedy-pep517-ab_12xyz9/src",), None),
        (("/tmp/.tmp-speedy-pep517-AB_12xyz/src",), None),
        (("/var/tmp/.tmp-speedy-pep517-ab_12xyz/src",), None),
    ],
)
def test_temporary_directories(
    monkeypatch: pytest.MonkeyPatch, directories: tuple[str, ...], temporary: tuple[str, str] | None
) -> None:
    """Only one that is made of the project's name and of what Python chooses is told."""
    found = planned(monkeypatch, found=binaries(member(CODE.replace(directories=directories))))
    assert temporary == usable(found).use.temporary


def test_a_temporary_directory_has_the_name_it_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For that prefix, while it is free; all else is as ever."""
    monkeypatch.setattr(tempfile, "mkdtemp", tempfile.mkdtemp)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary_names.use(".tmp-x-", "abcdefgh")
    with (
        tempfile.TemporaryDirectory(prefix=".tmp-x-") as first,
        tempfile.TemporaryDirectory(prefix=".tmp-x-") as second,
    ):
        assert (str(tmp_path / ".tmp-x-abcdefgh"), 0o700) == (first, stat.S_IMODE(Path(first).stat().st_mode))
        assert first != second
    with tempfile.TemporaryDirectory(prefix=".tmp-y-") as other:
        assert "abcdefgh" not in other
    assert [] == list(tmp_path.iterdir())


def test_cython(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its release is held where the source asks for it, and counted; what is no version is not passed on."""
    image = usable(planned(monkeypatch))
    held, told = with_cython(image, Requirements(requirements=("setuptools", "Cython>=3"), pinned=None))
    assert ("setuptools", "Cython>=3", "cython==3.0.11") == held.requirements
    assert [("tool-version", "Cython 3.0.11", 10)] == [(each.name, each.value, each.bits) for each in told]
    without = Requirements(requirements=("setuptools",), pinned=None)
    assert (without, ()) == with_cython(image, without)
    for versions in (("3; import x",), ("3.0.11", "3.0.12"), ()):
        tools = tuple(TOOL.replace(version=each) for each in versions)
        assert usable(planned(monkeypatch, found=binaries(member(CODE.replace(tools=tools))))).cython is None


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (binaries(member(digest="9")), True),
        (binaries(member(CODE.replace(build_id="ab"))), True),
        (
            binaries(member(CODE.replace(compilers=(GCC.replace(evidence="GCC: (GNU) 14.2.1 (Red Hat 14.2.1-8)"),)))),
            False,
        ),
        (binaries(member(CODE.replace(compilers=(GCC.replace(flags=("-O3",)),)))), False),
        (binaries(member(CODE.replace(tools=()))), False),
        (binaries(member(CODE.replace(directories=("/build",)))), False),
        (binaries(member(CODE.replace(stripped=True))), False),
        (binaries(member(name="p/b.so")), False),
        (binaries(member(), member(name="p/b.so")), False),
        (binaries(), False),
        (Binaries(members=(member(),), total=2), False),
        (Binaries(members=(member(),), total=1, problems=("Cut.",)), False),
    ],
)
def test_made_alike(monkeypatch: pytest.MonkeyPatch, other: Binaries, alike: bool) -> None:
    """Whatever tells how files were made has to be the same; what they do may differ."""
    both = {"a": binaries(member()), "b": other}
    monkeypatch.setattr(image_builds, "read_binaries", lambda _programs, _memo, which: both[which])
    context = cast("PlanningContext", SimpleNamespace(programs=None, memo=None))
    assert alike is made_alike(context, cast("Sha256", "a"), cast("Sha256", "b"))


@pytest.mark.parametrize(
    ("members", "says"),
    [
        (("p/a.so", "x-1.dist-info/RECORD"), True),
        (("x-1.dist-info/METADATA",), True),
        (("x-1.dist-info/WHEEL", "x-1.dist-info/RECORD", "x-1.dist-info/sboms/auditwheel.cdx.json"), False),
        ((), False),
    ],
)
def test_what_auditwheel_writes(monkeypatch: pytest.MonkeyPatch, members: tuple[str, ...], says: bool) -> None:
    """Another release of it writes other tags, which accuses nobody."""
    monkeypatch.setattr(image_builds, "read_binaries", lambda *_: binaries(member()))
    context = cast("PlanningContext", SimpleNamespace(programs=None, memo=None))
    differences = tuple(Difference(member=each, change=MemberChange.CONTENT, detail="Other.") for each in members)
    compared = reports.compared(reports.artifact(), Level.DIFFERENT, differences=differences)
    assert says is says_something(context, compared)


def test_debugging_information_alone_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers of build dependencies lie in a directory of a random name, which it has; code that differs is told."""
    text, lines = Section(name=".text", size=9, sha256="1" * 64), Section(name=".debug_line", size=9, sha256="2" * 64)
    context = cast("PlanningContext", SimpleNamespace(programs=None, memo=None))
    differences = (Difference(member="p/a.so", change=MemberChange.CONTENT, detail="Other."),)
    compared = reports.compared(reports.artifact(), Level.DIFFERENT, differences=differences)
    for other, total, says in (
        ((text, lines), 2, False),
        ((text, lines.replace(size=12, sha256="3" * 64)), 2, False),
        ((text.replace(sha256="4" * 64), lines), 2, True),
        ((text,), 1, False),
        ((text, lines), 200, True),
        ((), 0, True),
    ):
        first = CODE.replace(sections=(text, lines), sections_total=2)
        second = CODE.replace(sections=other, sections_total=total)
        both = {
            compared.published_sha256: binaries(member(first)),
            compared.rebuilt_sha256: binaries(member(second, digest="9")),
        }
        monkeypatch.setattr(image_builds, "read_binaries", lambda _programs, _memo, which, both=both: both[which])
        assert says is says_something(context, compared), (other, total)


def test_a_library_from_elsewhere_has_to_be_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here compiles it: another patch release of it is no fault of the publisher's."""
    for digest, alike in (("5", True), ("6", False)):
        libraries = [member(name="x.libs/l.so", digest=each, brought=True) for each in ("5", digest)]
        both = dict(zip("ab", (binaries(member(), each) for each in libraries), strict=True))
        monkeypatch.setattr(image_builds, "read_binaries", lambda _programs, _memo, which, both=both: both[which])
        context = cast("PlanningContext", SimpleNamespace(programs=None, memo=None))
        assert alike is made_alike(context, cast("Sha256", "a"), cast("Sha256", "b"))


def test_files_that_say_nothing_are_not_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing names a compiler there is no evidence to be equal."""
    silent = binaries(member(CODE.replace(compilers=())))
    monkeypatch.setattr(image_builds, "read_binaries", lambda *_: silent)
    context = cast("PlanningContext", SimpleNamespace(programs=None, memo=None))
    assert not made_alike(context, cast("Sha256", "a"), cast("Sha256", "b"))


@pytest.mark.parametrize("images", [{"../x": "own"}, {"linux_*": "../own"}, {"linux_*": ""}, {"linux_*": 3}])
def test_settings_that_name_nothing(images: dict[str, object]) -> None:
    """Patterns are of tags, and names those of build environments."""
    with pytest.raises(ValueError, match="images"):
        EnvironmentSettings.model_validate({"images": images})
