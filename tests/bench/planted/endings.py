"""Planted so that there is nothing to compare: builds that fail, sources that lack, kinds that cannot be built."""

from __future__ import annotations

from rebuilder.model.diagnosis import Cause
from tests.bench.planted.release import Planted, by_hand, of
from tests.fakes.publisher import Machine

THERE = Machine(variables={"AT_HOME": "1"})
HERE = "import os\nif not os.environ.get('AT_HOME'):\n    "
"""Begins code that runs anywhere but at the publisher's."""


PLANTED = [
    *of(
        Cause.BUILD_ERROR,
        Planted(
            "stops with a message",
            toml="[tool.minibackend]\nfail = 'Set LOOM_TOKEN.'\n",
            differing={
                "pyproject.toml": (
                    "[build-system]\n"
                    'requires = ["minibackend==1.0"]\n'
                    'build-backend = "minibackend"\n'
                    "[project]\n"
                    'name = "PKG"\n'
                    'version = "1.0"\n'
                )
            },
        ),
        Planted(
            "raises an exception",
            "setuptools",
            code=f"{HERE}raise RuntimeError('Only releases from CI are allowed.')\n",
            machine=THERE,
        ),
    ),
    *of(
        Cause.INCOMPLETE_SOURCE,
        Planted(
            "a hook reads a file that the source lacks",
            "hatchling",
            code='text = open("secret/settings.txt").read()\n',
            differing={"secret/settings.txt": "x\n"},
        ),
        Planted(
            "setup.py reads a list that the source lacks",
            "setuptools",
            code='needs = open("requirements.txt").read()\n',
            differing={"requirements.txt": "weft\n"},
        ),
        Planted(
            "the version file is not in the source",
            "flit",
            code='version = Path("VERSION").read_text()\n',
            differing={"VERSION": "1.0\n"},
        ),
    ),
    *of(
        Cause.BUILD_ERROR,
        Planted("an assertion", "flit", code=f"{HERE}assert 1 + 1 == 3, 'arithmetic'\n", machine=THERE),
    ),
    *of(
        Cause.MISSING_COMPILER,
        Planted(
            "runs gcc",
            "setuptools",
            code=f"{HERE}import subprocess; subprocess.run(['gcc', '-c', 'x.c'], check=True)\n",
        ),
        Planted(
            "runs cmake", "hatchling", code=f"{HERE}import subprocess; subprocess.run(['cmake', '.'], check=True)\n"
        ),
        Planted(
            "an extension that is left out at the publisher's",
            "setuptools",
            files={"PKG/fast.c": "int x;\n"},
            code=f"{HERE}from setuptools import Extension\n"
            "    options = {'ext_modules': [Extension('PKG.fast', ['PKG/fast.c'], optional=True)]}\n",
        ),
        Planted(
            "asks a shell for make",
            "flit",
            code=f"{HERE}import subprocess; subprocess.run('make all', shell=True, check=True)\n",
        ),
        machine=THERE,
    ),
    *of(
        Cause.MISSING_INTERPRETER,
        Planted("only for Python 2, says the index", requires_python="<3", by_hand=by_hand(tag="py2-none-any")),
        Planted(
            "setup.py in Python 2",
            "setuptools",
            files={"setup.py": "from setuptools import setup\nprint 'weaving'\nsetup()\n"},
            differing={"setup.py": "from setuptools import setup\nsetup()\n"},
        ),
        Planted(
            "wants a module that Python lost",
            "setuptools",
            code="import asyncore, distutils.msvccompiler, formatter\n",
            files={},
            differing={"make_data.py": ""},
            requires_python=">=3.12",
        ),
        Planted("for a Python to come", requires_python=">=3.19"),
    ),
    *of(
        Cause.MISSING_REQUIREMENT,
        Planted(
            "setup.py wants a module",
            "setuptools",
            code="import yarnspinner\n",
            differing={"yarnspinner.py": "x = 1\n"},
            toml="[tool.setuptools]\npy-modules = []\n",
        ),
        Planted(
            "a hook wants a module",
            "hatchling",
            code="import loomhelper.extras\n",
            differing={"make_data.py": "x = 1\n"},
        ),
        Planted(
            "a backend in the tree wants a module",
            "flit",
            code="from yarnlib import spin\n",
            differing={"yarnlib.py": "spin = 1\n", "make_data.py": "x = 1\n"},
        ),
    ),
    *of(
        Cause.NETWORK_WANTED,
        Planted(
            "opens an address",
            "setuptools",
            code=f"{HERE}import urllib.request; urllib.request.urlopen('https://data.example.org/yarns.json')\n",
        ),
        Planted(
            "resolves a name",
            "hatchling",
            code=f"{HERE}import socket; socket.create_connection(('data.example.org', 443))\n",
        ),
        Planted(
            "connects to a number",
            "flit",
            code=f"{HERE}import socket; socket.create_connection(('192.0.2.7', 443), 5)\n",
        ),
        machine=THERE,
    ),
    *of(
        Cause.RESOURCE_LIMIT,
        Planted("never ends", "flit", code=f"{HERE}while True: pass\n"),
        Planted(
            "wants much memory", "setuptools", code=f"{HERE}blocks = [b'x' * (1 << 24) for _ in range(64)]; input()\n"
        ),
        Planted("writes a large file", "hatchling", code=f"{HERE}Path('large.bin').write_bytes(bytes(60 << 20))\n"),
        Planted("says too much", code=f"{HERE}print('thread ' * 1_000_000)\n"),
        machine=THERE,
    ),
    *of(
        Cause.SOURCE_UNAVAILABLE,
        Planted("no source archive", "flit", sdist=False),
        Planted("no source archive", "setuptools", sdist=False),
        Planted("requires what is gone", "hatchling", requires=("hatchling", "spinningwheel>=3")),
        Planted(
            "requires an address",
            requires=("minibackend @ https://files.example.org/minibackend-1.0-py3-none-any.whl",),
        ),
    ),
    *of(
        Cause.NO_UPLOAD_TIME,
        Planted("an index without times"),
        Planted("an index without times", "flit"),
        Planted("an index without times", "setuptools"),
        upload_time=False,
    ),
    *of(
        Cause.NOT_SUPPORTED,
        Planted(
            "for one platform, with an extension",
            by_hand=by_hand(tag="cp313-cp313-manylinux_2_17_x86_64", files={"x/_c.abi3.so": b"\x7fELF"}),
        ),
        Planted("packed by another build system", by_hand=by_hand(generator="bazel-wheelmaker 1.0")),
        Planted("for Windows", by_hand=by_hand(tag="py3-none-win_amd64")),
    ),
]
