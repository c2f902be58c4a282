"""Planted with several causes, which must all be named; and with none."""

from __future__ import annotations

from functools import partial

from rebuilder.model.diagnosis import Cause
from tests.bench.planted.archives import LONG, NO_EPOCH, added, deflated, repacked
from tests.bench.planted.conditions import SEED, embedding
from tests.bench.planted.contents import crlf
from tests.bench.planted.release import Planted
from tests.bench.planted.tools import FROM_VARIABLE
from tests.fakes.publisher import Machine

PLANTED = [
    Planted(
        "host and path in one module",
        toml=embedding("host", "path"),
        causes=(Cause.HOST_OR_USER_NAME, Cause.EMBEDDED_PATH),
    ),
    Planted(
        "from Windows, with a file more",
        "hatchling",
        differing={**crlf("PKG/core.py"), "PKG/patterns/twill.txt": "2/2\n"},
        causes=(Cause.LINE_ENDS, Cause.EXTRA_SOURCE_FILES),
    ),
    Planted(
        "umask 0077, and packed again",
        "setuptools",
        files=LONG,
        machine=Machine(umask=0o077),
        after=partial(repacked, level=1),
        causes=(Cause.MODES_UMASK, Cause.COMPRESSION),
    ),
    Planted(
        "signed, and a module changed",
        "flit",
        differing={"PKG/core.py": "threads = []\n"},
        after=partial(added, {"RECORD.jws": b"{}"}),
        causes=(Cause.ADDED_SIGNATURE, Cause.CHANGED_SOURCE_FILES),
    ),
    Planted(
        "another version, without a module",
        "setuptools",
        code='import os\noptions = {"version": os.environ.get("RELEASE", "0.0.0")}\n',
        project='dynamic = ["version"]\n',
        machine=FROM_VARIABLE,
        differing={"PKG/core.py": None},
        causes=(Cause.OTHER_VERSION, Cause.MISSING_SOURCE_FILES),
    ),
    Planted(
        "the time and a UUID",
        "hatchling",
        code="import time, uuid\n"
        'write("PKG/_a.py", f"# made on {time.ctime()}\\n")\n'
        'write("PKG/_b.py", f"id = \'{uuid.uuid4()}\'\\n")\n',
        causes=(Cause.EMBEDDED_TIME, Cause.RANDOMNESS),
    ),
    Planted(
        "a set, and build/lib",
        "setuptools",
        code='write("PKG/words.txt", " ".join({"warp", "weft", "heddle", "shuttle", "reed"}) + "\\n")\n',
        machine=SEED,
        differing={"build/lib/PKG/old.py": "x = 1\n"},
        causes=(Cause.HASH_OR_SET_ORDER, Cause.STALE_FILES),
    ),
    Planted(
        "packed again by hand, without an epoch",
        toml="[tool.minibackend]\nnow = true\n",
        files=LONG,
        machine=NO_EPOCH,
        after=partial(repacked, order=lambda found: found[::-1], each=deflated),
        causes=(Cause.ARCHIVE_TIMES, Cause.ARCHIVE_ORDER, Cause.COMPRESSION),
    ),
    Planted("nothing"),
    Planted("nothing", "flit"),
    Planted("nothing", "hatchling"),
    Planted("nothing", "setuptools"),
    Planted("nothing", "poetry"),
]
