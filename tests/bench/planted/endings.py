"""Planted so that there is nothing to compare: builds that fail, sources that lack, kinds that cannot be built."""

from __future__ import annotations

from rebuilder.model.diagnosis import Cause
from tests.bench.planted.release import Planted, by_hand
from tests.fakes.publisher import Machine

THERE = Machine(variables={"AT_HOME": "1"})
HERE = "import os\nif not os.environ.get('AT_HOME'):\n    "
"""Begins code that runs anywhere but at the publisher's."""


PLANTED = [
    Planted(
        (Cause.BUILD_ERROR,),
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
        (Cause.BUILD_ERROR,),
        "raises an exception",
        "setuptools",
        code=f"{HERE}raise RuntimeError('Only releases from CI are allowed.')\n",
        machine=THERE,
    ),
    Planted(
        (Cause.INCOMPLETE_SOURCE,),
        "a hook reads a file that the source lacks",
        "hatchling",
        code='text = open("secret/settings.txt").read()\n',
        differing={"secret/settings.txt": "x\n"},
    ),
    Planted(
        (Cause.INCOMPLETE_SOURCE,),
        "setup.py reads a list that the source lacks",
        "setuptools",
        code='needs = open("requirements.txt").read()\n',
        differing={"requirements.txt": "weft\n"},
    ),
    Planted(
        (Cause.INCOMPLETE_SOURCE,),
        "the version file is not in the source",
        "flit",
        code='version = Path("VERSION").read_text()\n',
        differing={"VERSION": "1.0\n"},
    ),
    Planted(
        (Cause.BUILD_ERROR,), "an assertion", "flit", code=f"{HERE}assert 1 + 1 == 3, 'arithmetic'\n", machine=THERE
    ),
    Planted(
        (Cause.MISSING_COMPILER,),
        "runs gcc",
        "setuptools",
        code=f"{HERE}import subprocess; subprocess.run(['gcc', '-c', 'x.c'], check=True)\n",
        machine=THERE,
    ),
    Planted(
        (Cause.MISSING_COMPILER,),
        "runs cmake",
        "hatchling",
        code=f"{HERE}import subprocess; subprocess.run(['cmake', '.'], check=True)\n",
        machine=THERE,
    ),
    Planted(
        (Cause.MISSING_COMPILER,),
        "an extension that is left out at the publisher's",
        "setuptools",
        files={"PKG/fast.c": "int x;\n"},
        code=(
            f"{HERE}from setuptools import Extension\n"
            "    options = {'ext_modules': [Extension('PKG.fast', ['PKG/fast.c'], optional=True)]}\n"
        ),
        machine=THERE,
    ),
    Planted(
        (Cause.MISSING_COMPILER,),
        "asks a shell for make",
        "flit",
        code=f"{HERE}import subprocess; subprocess.run('make all', shell=True, check=True)\n",
        machine=THERE,
    ),
    Planted(
        (Cause.MISSING_INTERPRETER,),
        "only for Python 2, says the index",
        requires_python="<3",
        by_hand=by_hand(tag="py2-none-any"),
    ),
    Planted(
        (Cause.MISSING_INTERPRETER,),
        "setup.py in Python 2",
        "setuptools",
        files={"setup.py": "from setuptools import setup\nprint 'weaving'\nsetup()\n"},
        differing={"setup.py": "from setuptools import setup\nsetup()\n"},
    ),
    Planted(
        (Cause.MISSING_INTERPRETER,),
        "wants a module that Python lost",
        "setuptools",
        code="import asyncore, distutils.msvccompiler, formatter\n",
        files={},
        differing={"make_data.py": ""},
        requires_python=">=3.12",
    ),
    Planted((Cause.MISSING_INTERPRETER,), "for a Python to come", requires_python=">=3.19"),
    Planted(
        (Cause.MISSING_REQUIREMENT,),
        "setup.py wants a module",
        "setuptools",
        code="import yarnspinner\n",
        differing={"yarnspinner.py": "x = 1\n"},
        toml="[tool.setuptools]\npy-modules = []\n",
    ),
    Planted(
        (Cause.MISSING_REQUIREMENT,),
        "a hook wants a module",
        "hatchling",
        code="import loomhelper.extras\n",
        differing={"make_data.py": "x = 1\n"},
    ),
    Planted(
        (Cause.MISSING_REQUIREMENT,),
        "a backend in the tree wants a module",
        "flit",
        code="from yarnlib import spin\n",
        differing={"yarnlib.py": "spin = 1\n", "make_data.py": "x = 1\n"},
    ),
    Planted(
        (Cause.NETWORK_WANTED,),
        "opens an address",
        "setuptools",
        code=f"{HERE}import urllib.request; urllib.request.urlopen('https://data.example.org/yarns.json')\n",
        machine=THERE,
    ),
    Planted(
        (Cause.NETWORK_WANTED,),
        "resolves a name",
        "hatchling",
        code=f"{HERE}import socket; socket.create_connection(('data.example.org', 443))\n",
        machine=THERE,
    ),
    Planted(
        (Cause.NETWORK_WANTED,),
        "connects to a number",
        "flit",
        code=f"{HERE}import socket; socket.create_connection(('192.0.2.7', 443), 5)\n",
        machine=THERE,
    ),
    Planted((Cause.RESOURCE_LIMIT,), "never ends", "flit", code=f"{HERE}while True: pass\n", machine=THERE),
    Planted(
        (Cause.RESOURCE_LIMIT,),
        "wants much memory",
        "setuptools",
        code=f"{HERE}blocks = [b'x' * (1 << 24) for _ in range(64)]; input()\n",
        machine=THERE,
    ),
    Planted(
        (Cause.RESOURCE_LIMIT,),
        "writes a large file",
        "hatchling",
        code=f"{HERE}Path('large.bin').write_bytes(bytes(60 << 20))\n",
        machine=THERE,
    ),
    Planted((Cause.RESOURCE_LIMIT,), "says too much", code=f"{HERE}print('thread ' * 1_000_000)\n", machine=THERE),
    Planted((Cause.SOURCE_UNAVAILABLE,), "no source archive", "flit", sdist=False),
    Planted((Cause.SOURCE_UNAVAILABLE,), "no source archive", "setuptools", sdist=False),
    Planted(
        (Cause.SOURCE_UNAVAILABLE,), "requires what is gone", "hatchling", requires=("hatchling", "spinningwheel>=3")
    ),
    Planted(
        (Cause.SOURCE_UNAVAILABLE,),
        "requires an address",
        requires=("minibackend @ https://files.example.org/minibackend-1.0-py3-none-any.whl",),
    ),
    Planted((Cause.NO_UPLOAD_TIME,), "an index without times", upload_time=False),
    Planted((Cause.NO_UPLOAD_TIME,), "an index without times", "flit", upload_time=False),
    Planted((Cause.NO_UPLOAD_TIME,), "an index without times", "setuptools", upload_time=False),
    Planted(
        (Cause.NOT_SUPPORTED,),
        "for one platform, with an extension",
        by_hand=by_hand(tag="cp313-cp313-manylinux_2_17_x86_64", files={"x/_c.abi3.so": b"\x7fELF"}),
    ),
    Planted(
        (Cause.NOT_SUPPORTED,), "packed by another build system", by_hand=by_hand(generator="bazel-wheelmaker 1.0")
    ),
    Planted((Cause.NOT_SUPPORTED,), "for Windows", by_hand=by_hand(tag="py3-none-win_amd64")),
]
