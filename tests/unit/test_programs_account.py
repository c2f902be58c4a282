"""Every member of a wheel is accounted for by its source archive, and what was put into one is found by its name."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rebuilder.programs.account.account_for_wheel import account
from rebuilder.programs.account.generated import (
    fills_template,
    is_bindings_package,
    is_never_loaded,
    is_version_file,
    without_delvewheel,
)

TAGS = {
    "manylinux": (
        "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cpython-313-x86_64-linux-gnu.so",
        b"\x7fELF",
    ),
    "musllinux": ("cp313-cp313-musllinux_1_2_x86_64", "cpython-313-x86_64-linux-musl.so", b"\x7fELF"),
    "macosx": ("cp313-cp313-macosx_11_0_arm64", "cpython-313-darwin.so", b"\xcf\xfa\xed\xfe"),
    "windows": ("cp313-cp313-win_amd64", "cp313-win_amd64.pyd", b"MZ\x90\0"),
}
"""Tag of the file name, ending of an extension module, and how such a module begins."""
LIBRARIES = {
    "manylinux": "loom.libs/libthread-1a2b3c4d.so.1",
    "musllinux": "loom.libs/libthread-1a2b3c4d.so.1",
    "macosx": "loom/.dylibs/libthread.1.dylib",
    "windows": "loom.libs/thread-1a2b3c4d5e6f.dll",
}
METADATA = b"""\
Metadata-Version: 2.4
Name: loom
Version: 1.0
Requires-Dist: yarn>=2; extra == 'wool'
Requires-Dist: reed

Text.
"""
SETUP = b"""\
from setuptools import Extension, find_packages, setup
setup(ext_modules=[Extension('loom._weave', ['src/loom/_weave.c'])], packages=find_packages('src', exclude=['tests']))
"""
SOURCE = {
    "PKG-INFO": METADATA.replace(b"2.4", b"2.2").replace(b"yarn>=2; extra == 'wool'", b'yarn (>=2) ; extra == "wool"'),
    "setup.py": SETUP,
    "pyproject.toml": b"[project.scripts]\nloom = 'loom.main:run'\n",
    "src/loom/__init__.py": b"from loom._weave import weave\n",
    "src/loom/main.py": b"def run():\n    return 0\n",
    "src/loom/_weave.c": b"int weave(void);\n",
    "src/loom/data.txt": b"one\ntwo\n",
    "tests/sitecustomize.py": b"print('a test')\n",
    "tests/helper.py": b"print('help')\n",
    "tests/other.egg-info/entry_points.txt": b"[pytest11]\nother = loom.main:run\n",
    "src/loom/table.pkl": b"N.",
    "src/loom/version_check.py": b"def check(): ...\n",
    "LICENSE": b"Do what you like.\n",
}


def wheel_files(platform: str) -> dict[str, bytes]:
    """The members of an honest wheel for a platform, but for RECORD."""
    tag, ending, magic = TAGS[platform]
    needed = LIBRARIES[platform].rpartition("/")[2].encode()
    lines = b"\r\n" if platform == "windows" else b"\n"
    return {
        "loom/__init__.py": SOURCE["src/loom/__init__.py"].replace(b"\n", lines),
        "loom/main.py": SOURCE["src/loom/main.py"].replace(b"\n", lines),
        "loom/data.txt": SOURCE["src/loom/data.txt"],
        "loom/_version.py": b"__version__ = version = '1.0'\n",
        f"loom/_weave.{ending}": magic + b"\0" * 60 + b"needs\0" + needed + b"\0",
        LIBRARIES[platform]: magic + b"\0" * 70,
        "loom-1.0.dist-info/METADATA": METADATA,
        "loom-1.0.dist-info/WHEEL": _wheel(tag),
        "loom-1.0.dist-info/entry_points.txt": b"[console_scripts]\nloom = loom.main:run\n",
        "loom-1.0.dist-info/top_level.txt": b"loom\n",
        "loom-1.0.dist-info/licenses/LICENSE": SOURCE["LICENSE"],
    }


def _wheel(tag: str) -> bytes:
    python, abi, platforms = tag.split("-")
    tags = "".join(f"Tag: {python}-{abi}-{each}\n" for each in platforms.split("."))
    return f"Wheel-Version: 1.0\nGenerator: setuptools (80.0.0)\nRoot-Is-Purelib: false\n{tags}\n".encode()


def packed(files: dict[str, bytes], recorded: dict[str, bytes] | None = None) -> bytes:
    """A wheel with a RECORD that fits ``recorded``, by default what is in it."""
    rows = []
    for name, content in (recorded or files).items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}")
    record = "\n".join([*rows, "loom-1.0.dist-info/RECORD,,", ""])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (*files.items(), ("loom-1.0.dist-info/RECORD", record.encode())):
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 9, 8, 41, 54)), content)
    return buffer.getvalue()


def sdist(files: dict[str, bytes]) -> bytes:
    """A source archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"loom-1.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def accounted(
    directory: Path,
    wheel: bytes,
    source: dict[str, bytes] | None = SOURCE,
    *,
    platform: str = "manylinux",
    built: dict[str, bytes] | None = None,
) -> dict[str, dict[str, Any]]:
    """What the program says of each member, by its path."""
    (directory / "wheel").write_bytes(wheel)
    (directory / "source").write_bytes(sdist(source or {}))
    (directory / "built").write_bytes(packed(built or {}))
    document = account(
        str(directory / "wheel"),
        str(directory / "source") if source is not None else None,
        str(directory / "built") if built is not None else None,
        f"loom-1.0-{TAGS[platform][0]}.whl",
    )
    assert document["problem"] is None
    return {each["path"]: each for each in document["members"]}


def accused(members: dict[str, dict[str, Any]]) -> set[str]:
    """Paths of what is executed and not accounted for."""
    return {path for path, each in members.items() if each.get("accuses")}


@pytest.mark.parametrize("platform", TAGS)
def test_honest_wheel(platform: str, tmp_path: Path) -> None:
    """Each member with what it is accounted for with; nobody is accused, on any platform."""
    found = accounted(tmp_path, packed(wheel_files(platform)), platform=platform)
    assert set() == accused(found)
    python = ("line-ends" if platform == "windows" else "source", "src/loom/main.py")
    assert python == (found["loom/main.py"]["how"], found["loom/main.py"]["source"])
    rules = {path: each.get("rule") for path, each in found.items() if each["how"] == "derived"}
    assert {
        "loom/_version.py": "version-file",
        "loom-1.0.dist-info/METADATA": "metadata-fields",
        "loom-1.0.dist-info/WHEEL": "wheel-file",
        "loom-1.0.dist-info/entry_points.txt": "entry-points",
        "loom-1.0.dist-info/top_level.txt": "top-level-names",
        "loom-1.0.dist-info/RECORD": "wheel-record",
    } == rules
    compiled = {each["rule"] for each in found.values() if each["how"] == "not-compiled"}
    assert {"named-by-source", "grafted-library"} == compiled
    assert "LICENSE" == found["loom-1.0.dist-info/licenses/LICENSE"]["source"]


def test_files_of_tests_do_not_move_the_packages(tmp_path: Path) -> None:
    """However many files of the tests are put in, none may lie where Python looks when it starts, or at the top."""
    source = SOURCE | {f"tests/unit/t{number}.py": b"%d\n" % number for number in range(20)}
    files = wheel_files("manylinux") | {f"unit/t{number}.py": b"%d\n" % number for number in range(20)}
    files |= {"sitecustomize.py": SOURCE["tests/sitecustomize.py"], "helper.py": SOURCE["tests/helper.py"]}
    assert {"sitecustomize.py", "helper.py"} <= accused(accounted(tmp_path, packed(files), source))


def test_build_that_makes_another_place(tmp_path: Path) -> None:
    """What a build puts among the data of an installation is not what Python reads when it starts."""
    files = {**wheel_files("manylinux"), "share/x.py": b"1\n"}
    built = {"loom-1.0.data/data/share/x.py": b"1\n"}
    assert {"share/x.py"} == accused(accounted(tmp_path, packed(files), built=built))


def test_source_archive_packed_on_windows(tmp_path: Path) -> None:
    """CRLF in the source archive, LF in the wheel: all line ends, or none. A file with both is another file."""
    source = SOURCE | {name: SOURCE[name].replace(b"\n", b"\r\n") for name in ("src/loom/main.py", "src/loom/data.txt")}
    found = accounted(tmp_path, packed(wheel_files("manylinux")), source)
    assert set() == accused(found)
    assert ("line-ends", "src/loom/main.py") == (found["loom/main.py"]["how"], found["loom/main.py"]["source"])
    mixed = source | {"src/loom/main.py": SOURCE["src/loom/main.py"].replace(b"\n", b"\r\n", 1)}
    assert {"loom/main.py"} == accused(accounted(tmp_path, packed(wheel_files("manylinux")), mixed))


def _with(name: str, content: bytes) -> Callable[[dict[str, bytes], str], str]:
    def put(files: dict[str, bytes], _: str) -> str:
        files[name] = content
        return name

    return put


def _extra_library(files: dict[str, bytes], platform: str) -> str:
    name = str(Path(LIBRARIES[platform]).with_name("libevil" + Path(LIBRARIES[platform]).suffix))
    files[name] = TAGS[platform][2] + b"\0" * 70
    return name


def _shadowing_module(files: dict[str, bytes], platform: str) -> str:
    name = f"loom/main.{TAGS[platform][1]}"
    files[name] = TAGS[platform][2] + b"\0" * 70
    return name


BINDINGS = b'from .loom import *\n\n__doc__ = loom.__doc__\nif hasattr(loom, "__all__"):\n    __all__ = loom.__all__\n'


def _entry_points(more: bytes) -> Callable[[dict[str, bytes], str], str]:
    return _with("loom-1.0.dist-info/entry_points.txt", b"[console_scripts]\nloom = loom.main:run\n" + more)


INJECTIONS = {
    "pth": _with("loom.pth", b"import os; os.system('id')\n"),
    "changed": _with("loom/main.py", b"def run():\n    return 1\n"),
    "added": _with("loom/evil.py", b"print('evil')\n"),
    "startup": _with("sitecustomize.py", SOURCE["tests/sitecustomize.py"]),
    "moved": _with("helper.py", SOURCE["tests/helper.py"]),
    "replaced": _with("loom/__init__.py", SOURCE["src/loom/main.py"]),
    "script": _with("loom-1.0.data/scripts/loomctl", b"#!python\nprint('evil')\n"),
    "shell": _with("loom/install.sh", b"#!/bin/sh\nid\n"),
    "purelib": _with("loom-1.0.data/purelib/evil.pth", b"import evil\n"),
    "dependency": _with("loom-1.0.dist-info/METADATA", METADATA.replace(b"reed", b"reeed")),
    "entry point": _with("loom-1.0.dist-info/entry_points.txt", b"[console_scripts]\nloom = loom.evil:run\n"),
    "other metadata": _with("evil-1.0.dist-info/entry_points.txt", b"[x]\nloom = loom.main:run\n"),
    "egg": _with("evil.egg-info/PKG-INFO", b"Name: evil\n"),
    "cases": _with("loom-1.0.dist-info/Entry_Points.txt", b"[x]\nevil = os:system\n"),
    "purelib metadata": _with("loom-1.0.data/purelib/evil-1.0.dist-info/METADATA", b"Name: evil\n"),
    "version": _with("loom/_version.py", b"__version__ = __import__('os').popen('id').read()\n"),
    "empty in the place of a module": _with("loom/main.py", b""),
    "version in the place of a module": _with("loom/version_check.py", b"URL = 'http://x'\n"),
    "import hook": _with("loom/_version.py", b"__getattr__ = eval\n"),
    "bindings in the place of a module": _with("loom/__init__.py", BINDINGS),
    "startup package": _with("sitecustomize/__init__.py", SOURCE["src/loom/__init__.py"]),
    "startup in data": _with("loom-1.0.data/data/lib/python3.13/site-packages/x.pth", b"import x\n"),
    "metadata in data": _with("loom-1.0.data/data/Lib/site-packages/x-1.dist-info/entry_points.txt", b"[x]\ny = z:a\n"),
    "standard library": _with("loom-1.0.data/data/lib/python3.13/json/main.py", SOURCE["src/loom/main.py"]),
    "other package": _with("pip/main.py", SOURCE["src/loom/main.py"]),
    "moved into other package": _with("pip/helper.py", SOURCE["tests/helper.py"]),
    "environment": _with("loom-1.0.data/data/pyvenv.cfg", b"home = /tmp\n"),
    "path of an interpreter": _with("python313._pth", b"/tmp\n"),
    "command in data": _with("loom-1.0.data/data/bin/git", b"id\n"),
    "batch file": _with("loom/run.BAT", b"@echo off\n"),
    "program": _with("loom-1.0.data/scripts/setuptools", b"\x7fELF" + bytes(60)),
    "script that is called a library": _with("loom-1.0.data/scripts/_weave.so", b"#!/bin/sh\nid\n"),
    "upper case": _with("loom/evil.PY", b"print('evil')\n"),
    "ends with a dot": _with("evil.pth.", b"import evil\n"),
    "stream": _with("evil.pth::$DATA", b"import evil\n"),
    "way round": _with("./evil-1.0.dist-info/entry_points.txt", b"[x]\nevil = loom.main:run\n"),
    "backslash": _with("evil-1.0.dist-info\\entry_points.txt", b"[x]\nevil = loom.main:run\n"),
    "pickle": _with("loom/table.pkl", b"cos\nsystem\n"),
    "entry point behind a semicolon": _entry_points(b"; evil = loom.main:run\n"),
    "entry point twice": _with(
        "loom-1.0.dist-info/entry_points.txt", b"[console_scripts]\nloom = loom.evil:run\nloom = loom.main:run\n"
    ),
    "entry point behind a line separator": _entry_points("# \u2028evil = loom.main:run\n".encode()),
    "entry point of another group": _entry_points(b"[pytest11]\nloom._weave = src/loom/_weave.c\n"),
    "entry point of a test": _entry_points(b"[pytest11]\nother = loom.main:run\n"),
    "origin": _with("loom-1.0.dist-info/direct_url.json", b'{"url": "https://x/loom.whl"}'),
    "text as a dependency": _with(
        "loom-1.0.dist-info/METADATA", METADATA.replace(b"reed\n", b"reed\nRequires-Dist: tests\n")
    ),
    "dependency behind no field": _with(
        "loom-1.0.dist-info/METADATA", METADATA.replace(b"reed\n", b"reed\nno field\nRequires-Dist: evil\n")
    ),
    "dependency far behind": _with(
        "loom-1.0.dist-info/METADATA",
        METADATA.replace(b"\n\n", b"\nSummary: a" + b"\n  a" * (4 << 20) + b"\nRequires-Dist: evil\n\n"),
    ),
    "library": _extra_library,
    "module": _shadowing_module,
}


@pytest.mark.parametrize("platform", TAGS)
@pytest.mark.parametrize("injection", INJECTIONS)
def test_what_was_put_in_is_named(injection: str, platform: str, tmp_path: Path) -> None:
    """One thing is changed and RECORD is written to fit: that one member is accused, and no other."""
    files = wheel_files(platform)
    name = INJECTIONS[injection](files, platform)
    found = accounted(tmp_path, packed(files), platform=platform)
    assert {name} == accused(found)
    assert found[name]["detail"]


@pytest.mark.parametrize("platform", TAGS)
def test_a_byte_changed_after_packing(platform: str, tmp_path: Path) -> None:
    """A patched extension module whose digest in RECORD is the old one is named, and so is RECORD."""
    files = wheel_files(platform)
    module = f"loom/_weave.{TAGS[platform][1]}"
    found = accounted(
        tmp_path, packed({**files, module: files[module].replace(b"needs", b"needz")}, files), platform=platform
    )
    assert {module} == accused(found)
    assert "unexplained" == found["loom-1.0.dist-info/RECORD"]["how"]


def test_lines_of_a_changed_module(tmp_path: Path) -> None:
    """Whoever looks at an alarm sees what was put in, and in the place of what."""
    files = {**wheel_files("manylinux"), "loom/main.py": b"def run():\n    import evil\n"}
    detail = accounted(tmp_path, packed(files))["loom/main.py"]["detail"]
    assert detail.endswith("Only in the wheel: “import evil”. Only in the source: “return 0”.")


NEEDS = b"""\
from setuptools import setup
needs = []
if sys.platform == 'win32':
    needs.append('pywin32')
setup(name='loom', package_data={'loom': ['E501']}, install_requires=needs)
"""


def test_dependency_that_depends_on_the_platform(tmp_path: Path) -> None:
    """One that the build file has as a text is no addition of somebody else."""
    files = wheel_files("windows")
    files["loom-1.0.dist-info/METADATA"] = METADATA.replace(b"\n\n", b"\nRequires-Dist: pywin32\n\n")
    source = {**SOURCE, "setup.py": NEEDS}
    assert set() == accused(accounted(tmp_path, packed(files), source, platform="windows"))
    assert {"loom-1.0.dist-info/METADATA"} == accused(accounted(tmp_path, packed(files), platform="windows"))


def test_what_building_here_gives(tmp_path: Path) -> None:
    """A file that the build makes is accounted for by having been made here."""
    files = {**wheel_files("manylinux"), "loom/table.py": b"TABLE = dict(a=1)\n"}
    assert {"loom/table.py"} == accused(accounted(tmp_path, packed(files)))
    found = accounted(tmp_path, packed(files), built={"loom/table.py": b"TABLE = dict(a=1)\n"})
    assert (set(), "built") == (accused(found), found["loom/table.py"]["how"])


def test_without_a_source_archive_all_is_listed(tmp_path: Path) -> None:
    """There is nothing to compare with, and nobody is accused of that."""
    found = accounted(tmp_path, packed(wheel_files("macosx")), None, platform="macosx")
    assert (set(), {"listed"}) == (accused(found), {each["how"] for each in found.values()})


def test_data_without_a_source_accuses_nobody(tmp_path: Path) -> None:
    """What nothing runs is listed as unexplained."""
    found = accounted(tmp_path, packed({**wheel_files("manylinux"), "loom/table.bin": b"\1\2\3"}))
    assert (set(), "unexplained") == (accused(found), found["loom/table.bin"]["how"])


SCM = b"""# generated
__all__ = ["__version__", "version"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple, Union
    VERSION_TUPLE = Tuple[Union[int, str], ...]
else:
    VERSION_TUPLE = object

version: str
version_tuple: VERSION_TUPLE
__version__ = version = '1.0.dev1+g123'
__version_tuple__ = version_tuple = (1, 0, 'dev1')
"""


@pytest.mark.parametrize(
    ("name", "content", "plain"),
    [
        ("loom/_version.py", SCM, True),
        ("loom/_meta.py", b'__version__ = """1.85.3"""', True),
        ("loom/version.py", b"short_version = '1'\nrelease = True\n", True),
        ("loom/settings.py", b"URL = 'one'\n", False),
        ("loom/_version.py", b"import os\n", False),
        ("loom/_version.py", SCM.replace(b"TYPE_CHECKING = False", b"TYPE_CHECKING = True"), False),
        ("loom/_version.py", SCM.replace(b"from typing import Tuple, Union", b"import evil"), False),
        ("loom/_version.py", SCM.replace(b"= object", b"= object()"), False),
        ("loom/_version.py", b"version = [print(1)]\n", False),
        ("loom/_version.py", b"version = f'{print(1)}'\n", False),
        ("loom/_version.py", b"version: print(1) = '1'\n", False),
        ("loom/_version.py", b"version = 'http://x/?a=$(id)'\n", False),
        ("loom/_version.py", b"def version(): ...\n", False),
        ("loom/_version.py", b"version = (1,\n", False),
        ("loom/_version.py", b"(" * 5000, False),
        ("loom/_version.py", b"\x00\xff", False),
    ],
)
def test_version_files_have_no_room_for_code(name: str, content: bytes, plain: bool) -> None:
    """Plain values under names of versions, and nothing that is called, computed or imported."""
    assert plain is is_version_file(name, content)


@pytest.mark.parametrize(
    ("content", "same"),
    [
        (b"A = {'c': r'gcc', 'x': False}\nprint(A)\n", True),
        (b"A = {'c': r'gcc -O2 \"x\"', 'x': None}\nprint(A)\n", True),
        (b"A = {'c': r'gcc' + evil(), 'x': False}\nprint(A)\n", False),
        (b"A = {'c': r'gcc', 'x': evil()}\nprint(A)\n", False),
        (b"A = {'d': r'gcc', 'x': False}\nprint(A)\n", False),
        (b"A = {'c': r'gcc', 'x': False}\nevil(A)\n", False),
        (b"A = {'c': r'gcc', 'x': False}\nprint(A)\nevil()\n", False),
    ],
)
def test_templates_take_values_and_no_code(content: bytes, same: bool) -> None:
    """What stands for a placeholder is a piece of a text or one constant."""
    assert same is fills_template(b"A = {'c': r'@CC@', 'x': @CROSS@}\nprint(A)\n", content)


@pytest.mark.parametrize(
    ("template", "fills"),
    [
        ("A = '@X@'\n", True),
        ("def clean(x):\n    return x\nA = clean({'x': '@X@'})\n", True),
        ("def config():\n    return dict(x='@X@')\n", True),
        ("A = {'found': bool('@X@'.lower().replace('false', ''))}\n", True),
        ("f = open\nA = f('@X@'.lower())\n", False),
        ("exec('@X@')\n", False),
        ("A = '@X@'\nexec(A)\n", False),
        ("def clean(x):\n    eval(x)\nclean('@X@')\n", False),
        ("from importlib import import_module as f\nA = '@X@'\nf(A)\n", False),
        ("import os as o\nA = '@X@'\no.system(A)\n", False),
        ("from os import system\nA = '@X@'\n", False),
        ("__path__ = ['@X@']\n", False),
        ("import sys\nsys.path.append('@X@')\n", False),
        ("import sys\nsys.argv[0] = '@X@'\n", False),
        ("import @X@\n", False),
    ],
)
def test_templates_in_which_a_value_would_be_code(template: str, fills: bool) -> None:
    """No text that only the wheel has is run, imported, or says where modules are."""
    assert fills is fills_template(template.encode(), template.replace("@X@", "evil").encode())


@pytest.mark.parametrize("platform", TAGS)
@pytest.mark.parametrize(
    "place", ["yarn", "requests/_weave", "setuptools", "loom-extras/_weave"], ids=["needed", "other", "tool", "odd"]
)
def test_names_in_the_source_are_bound_to_its_packages(place: str, platform: str, tmp_path: Path) -> None:
    """A text of a build file is no leave to put a module of that name in the place of another distribution's."""
    ending, magic = TAGS[platform][1:]
    path = f"{place}.{ending}"
    build = b"[build-system]\nrequires = ['setuptools']\n" + SOURCE["pyproject.toml"]
    files = {**wheel_files(platform), path: magic + bytes(60)}
    found = accounted(tmp_path, packed(files), {**SOURCE, "pyproject.toml": build}, platform=platform)
    assert {path} == accused(found)


HELPERS = {
    "setup.py": b"from cpydist import build\n" + SETUP,
    "cpydist/__init__.py": b"WANTED = ['libknit.*.*', f'purl_client.{ending}']\n",
    "src/loom/native/compile.sh": b"g++ -shared loop.cpp -o ../loop_linux_$SUFFIX.so\n",
}


def test_what_a_build_script_imports_and_calls_is_read(tmp_path: Path) -> None:
    """Names that stand in a module beside ``setup.py``, and in scripts that compile; others are accused as before."""
    files = wheel_files("manylinux")
    said = [
        "loom/vendor/libknit.so.3.1",
        "loom/vendor/libknit.3.dylib",
        "loom/vendor/libknit-3-x64.dll",
        "loom/vendor/purl_client.so",
        "loom/loop_linux_amd64.so",
    ]
    files |= dict.fromkeys([*said, "loom/vendor/libother.so.3", "loom/loop_mac_x.so"], b"\x7fELF" + bytes(60))
    found = accounted(tmp_path, packed(files), {**SOURCE, **HELPERS})
    assert {"named-by-source"} == {found[each]["rule"] for each in said}
    assert {"loom/vendor/libother.so.3", "loom/loop_mac_x.so"} == accused(found)


PATCH = b"""

# start delvewheel patch
def _delvewheel_patch_1_11_2():
    import os
    if os.path.isdir(libs_dir := os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir, 'loom.libs'))):
        os.add_dll_directory(libs_dir)


_delvewheel_patch_1_11_2()
del _delvewheel_patch_1_11_2
# end delvewheel patch

"""


@pytest.mark.parametrize(
    ("patch", "known"),
    [
        (PATCH, True),
        (PATCH.replace(b"os.add_dll_directory(libs_dir)", b"os.system(libs_dir)"), False),
        (PATCH.replace(b"import os", b"import evil"), False),
        (PATCH.replace(b"'loom.libs'", b"'/tmp/evil'"), False),
        (PATCH.replace(b"del _del", b"evil()\ndel _del"), False),
        (PATCH.replace(b"import os\n", b"import os\n    os.path.join = 1\n"), False),
    ],
)
def test_the_patch_of_delvewheel(patch: bytes, known: bool, tmp_path: Path) -> None:
    """The source's file with the patch in it; a patch that does anything else accuses."""
    files = wheel_files("windows")
    files["loom/__init__.py"] = b"'''Text.'''" + patch + SOURCE["src/loom/__init__.py"]
    source = {**SOURCE, "src/loom/__init__.py": b"'''Text.'''\n" + SOURCE["src/loom/__init__.py"]}
    found = accounted(tmp_path, packed(files), source, platform="windows")
    assert (set() if known else {"loom/__init__.py"}) == accused(found)
    assert known is bool(without_delvewheel(files["loom/__init__.py"]))


def test_bindings_package() -> None:
    """A package that hands on its extension module, and one that does more."""
    assert is_bindings_package("a/loom/__init__.py", BINDINGS)
    assert not is_bindings_package("a/loom/__init__.py", BINDINGS + b"evil()\n")
    assert not is_bindings_package("a/other/__init__.py", BINDINGS)


@pytest.mark.parametrize(
    ("stamp", "flags", "never"),
    [
        (236, 0, True),
        (0, 0, False),
        (2, 0, False),
        (3600, 0, False),
        (-900 * 1000, 0, True),
        (900 * 1000, 0, False),
        (-999_999_999, 0, False),
        (315_532_800 - 1_000_000_000, 0, False),
        (236, 1, False),
        (236, 3, False),
    ],
)
def test_byte_code_that_is_out_of_date(stamp: int, flags: int, never: bool) -> None:
    """Python loads it only for a module with its time: in no time zone is that the one in the archive."""
    head = b"\xa7\r\r\n" + flags.to_bytes(4, "little") + (1_000_000_000 + stamp).to_bytes(4, "little") + bytes(4)
    assert never is is_never_loaded(head, 1_000_000_000)


@pytest.mark.parametrize("hostile", [b"", b"PK\x05\x06" + bytes(18), b"no archive"])
def test_what_is_no_wheel(hostile: bytes, tmp_path: Path) -> None:
    """An answer, and no traceback."""
    (tmp_path / "wheel").write_bytes(hostile)
    (tmp_path / "source").write_bytes(sdist(SOURCE))
    document = account(str(tmp_path / "wheel"), str(tmp_path / "source"), None, "loom-1.0-py3-none-any.whl")
    assert [] == document["members"]
