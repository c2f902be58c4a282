"""Planted in what was packed: files that lack, are too many, are others, or were left over; line ends."""

from __future__ import annotations

from rebuilder.model.diagnosis import Cause
from tests.bench.planted.release import BASE, Planted, of
from tests.fakes.publisher import Machine


def crlf(*names: str) -> dict[str, str | bytes | None]:
    """Files of the project as a checkout on Windows has them."""
    return {name: str(BASE[name]).replace("\n", "\r\n") for name in names}


PICTURE = bytes(range(256)) * 3
PLANTED = [
    *of(
        Cause.LINE_ENDS,
        Planted("one text file from Windows", differing=crlf("PKG/notes.txt")),
        Planted("all files from Windows", "flit", differing=crlf(*BASE)),
        Planted("the licence from Windows", "setuptools", differing=crlf("LICENSE")),
        Planted("the modules from Windows", "hatchling", differing=crlf("PKG/__init__.py", "PKG/core.py")),
        Planted(
            "the source from Windows, the wheel not",
            "poetry",
            files={"PKG/core.py": str(BASE["PKG/core.py"]).replace("\n", "\r\n")},
            differing={"PKG/core.py": BASE["PKG/core.py"]},
        ),
    ),
    *of(
        Cause.EXTRA_SOURCE_FILES,
        Planted("a module that the source lacks", differing={"PKG/dye.py": "colour = 1\n"}),
        Planted(
            "a directory of data",
            "hatchling",
            differing={"PKG/patterns/twill.txt": "2/2\n", "PKG/patterns/plain.txt": "1/1\n"},
        ),
        Planted("a subpackage", "flit", differing={"PKG/shed/__init__.py": "", "PKG/shed/open.py": "height = 3\n"}),
        Planted("another package at the top", "setuptools", differing={"PKG_tools/__init__.py": "x = 1\n"}),
        Planted("a table", "poetry", differing={"PKG/yarns.csv": "name,weight\nlinen,3\n"}),
    ),
    *of(
        Cause.MISSING_SOURCE_FILES,
        Planted("a module was not there", files={"PKG/dye.py": "colour = 1\n"}, differing={"PKG/dye.py": None}),
        Planted("a data file was not there", "hatchling", differing={"PKG/notes.txt": None}),
        Planted(
            "a subpackage was not there",
            "flit",
            files={"PKG/shed/__init__.py": "", "PKG/shed/open.py": "height = 3\n"},
            differing={"PKG/shed/__init__.py": None, "PKG/shed/open.py": None},
        ),
        Planted(
            "a package at the top was not there",
            "setuptools",
            files={"PKG_tools/__init__.py": "x = 1\n"},
            differing={"PKG_tools/__init__.py": None},
        ),
    ),
    *of(
        Cause.CHANGED_SOURCE_FILES,
        Planted(
            "a module had another line", differing={"PKG/core.py": "def weave(threads):\n    return tuple(threads)\n"}
        ),
        Planted("a picture", "hatchling", files={"PKG/loom.png": PICTURE}, differing={"PKG/loom.png": PICTURE[::-1]}),
        Planted(
            "the description",
            "setuptools",
            differing={
                "README.md": "# PKG\n\nWeaves threads, and cloth.\n"
                "Caf\N{LATIN SMALL LETTER E WITH ACUTE} not included.\n"
            },
        ),
        Planted("the licence", "flit", differing={"LICENSE": "All rights reserved.\n"}),
        Planted("a module without a function", "poetry", differing={"PKG/core.py": "threads = []\n"}),
    ),
    *of(
        Cause.FILE_SELECTION,
        Planted(
            "an ignore file that only the source has",
            "hatchling",
            files={".gitignore": "yarns.csv\n", "PKG/yarns.csv": "linen,3\n"},
            differing={".gitignore": None},
        ),
        Planted(
            "package data asked of version control",
            "setuptools",
            toml="[tool.setuptools]\ninclude-package-data = true\n",
            files={
                "PKG/yarns/linen.dat": "3\n",
                "setup.py": (
                    "import os\n"
                    "from setuptools import setup\n"
                    "setup(exclude_package_data={} if os.path.isdir('.git') else {'': ['*.dat']})\n"
                ),
            },
            differing={".git/HEAD": "ref: refs/heads/main\n"},
        ),
        Planted(
            "modules chosen by a variable",
            "setuptools",
            code=(
                "import os\n"
                "options = {} if os.environ.get('WITH_ALL') else {'exclude_package_data': {'': ['notes.txt']}}\n"
            ),
            machine=Machine(variables={"WITH_ALL": "1"}),
        ),
    ),
    *of(
        Cause.STALE_FILES,
        Planted("build/lib has a deleted module", "setuptools", differing={"build/lib/PKG/old.py": "old = True\n"}),
        Planted("an editor's backup", "flit", differing={"PKG/core.py~": "def weave():\n    pass\n"}),
        Planted("a rejected patch", "hatchling", differing={"PKG/core.py.orig": "def weave():\n    pass\n"}),
        Planted(
            "byte code of an earlier run",
            "setuptools",
            toml='[tool.setuptools.exclude-package-data]\n"*" = []\n',
            differing={"PKG/core.pyc": b"\xa7\r\r\n\0\0\0\0"},
        ),
        Planted("metadata of a develop install", differing={"PKG/PKG.egg-info/PKG-INFO": "Name: x\n"}),
        Planted(
            "built for two Pythons in one tree",
            "setuptools",
            differing={
                "build/lib/PKG-1.0-py3.9-nspkg.pth": "import sys\n",
                "build/lib/PKG-1.0-py3.11-nspkg.pth": "import sys\n",
            },
        ),
    ),
]
