"""Planted by what was around the build: place, time, machine, locale, chance."""

from __future__ import annotations

from rebuilder.model.diagnosis import Cause
from tests.bench.planted.archives import NO_EPOCH
from tests.bench.planted.release import Planted, of
from tests.fakes.publisher import Machine

SEED = Machine(variables={"PYTHONHASHSEED": "4"})
WINDOWS = Machine(encoding="cp1252")
IN_TOKYO = Machine(variables={"TZ": "Asia/Tokyo"})
MANY = Machine(processors=48)
WORDS = "{'warp', 'weft', 'heddle', 'shuttle', 'reed', 'treadle'}"


def embedding(*names: str) -> str:
    """Configuration of the small backend that writes down what is around the build."""
    return f"[tool.minibackend]\nembed = {list(names)!r}\n"


PLANTED = [
    *of(
        Cause.EMBEDDED_PATH,
        Planted("the directory, in a module", toml=embedding("path")),
        Planted(
            "the path of setup.py, in JSON",
            "setuptools",
            code="import json, os\n"
            'write("PKG/made.json", json.dumps({"made by": os.path.abspath("setup.py"), "version": 1}) + "\\n")\n',
        ),
        Planted(
            "the directory in a C comment",
            "hatchling",
            code='import os\nwrite("PKG/table.h", f"/* generated from {os.getcwd()}/table.in */\\nint x;\\n")\n',
            machine=Machine(directory="/home/runner/work/PKG".replace("PKG", "loom")),
        ),
        Planted(
            "the directory, several times",
            "flit",
            code="import os\n"
            'write("PKG/places.txt", "".join(f"{each}: {os.getcwd()}/{each}\\n" for each in ("bin", "lib", "etc")))\n',
            machine=Machine(directory="/tmp/build-env-x1"),
        ),
    ),
    *of(
        Cause.EMBEDDED_TIME,
        Planted("nanoseconds, in a module", toml=embedding("time"), machine=NO_EPOCH),
        Planted(
            "a date and time, ISO 8601",
            "setuptools",
            code='import datetime\nwrite("PKG/_built.py", f"built = {datetime.datetime.now().isoformat()!r}\\n")\n',
        ),
        Planted(
            "ctime in a comment",
            "hatchling",
            code='import time\nwrite("PKG/_built.py", f"# made on {time.ctime()}\\nyes = 1\\n")\n',
        ),
        Planted(
            "seconds since 1970", "flit", code='import time\nwrite("PKG/_built.py", f"stamp = {int(time.time())}\\n")\n'
        ),
    ),
    *of(
        Cause.HASH_OR_SET_ORDER,
        Planted("a set, in a module", toml=embedding("set")),
        Planted(
            "keywords from a set, in METADATA",
            "setuptools",
            code=f'options = {{"keywords": list({WORDS})}}\n',
            project='dynamic = ["keywords"]\n',
        ),
        Planted(
            "lines from a set",
            "hatchling",
            code=f'write("PKG/words.txt", "".join(f"{{each}}\\n" for each in {WORDS}))\n',
        ),
        Planted(
            "requirements from a set",
            "setuptools",
            code=f'options = {{"install_requires": list({WORDS})}}\n',
            project='dynamic = ["dependencies"]\n',
        ),
        Planted("a list of names", "flit", code=f'write("PKG/names.py", f"names = {{list({WORDS})}}\\n")\n'),
        machine=SEED,
    ),
    *of(
        Cause.FILE_ORDER,
        Planted(
            "a directory's list, in a module",
            toml=embedding("listing"),
            files={"PKG/a.py": "", "PKG/b.py": "", "PKG/z.py": ""},
        ),
        Planted(
            "modules as glob gives them",
            "setuptools",
            code='import glob\nwrite("PKG/all.txt", " ".join(glob.glob("PKG/*.py")) + "\\n")\n',
            files={"PKG/a.py": "", "PKG/b.py": "", "PKG/z.py": ""},
        ),
        Planted(
            "files joined as listdir gives them",
            "hatchling",
            code=(
                "import os\n"
                'write("PKG/bundle.js", "".join(open(f"parts/{each}").read() for each in os.listdir("parts")))\n'
            ),
            files={f"parts/{each}.js": f"function {each}() {{}}\n" for each in "abcdefg"},
        ),
        machine=Machine(listing="sorted"),
        vary=True,
    ),
    *of(
        Cause.LOCALE,
        Planted(
            "README read as cp1252",
            "setuptools",
            code='options = {"long_description": open("README.md").read()}\n',
            project='dynamic = ["readme"]\n',
            machine=WINDOWS,
        ),
        Planted(
            "a text read as cp1252 and written as UTF-8",
            "hatchling",
            code='write("PKG/menu.txt", open("README.md").read())\n',
            machine=WINDOWS,
        ),
        Planted(
            "names read as latin-1",
            "flit",
            code='write("PKG/people.py", f"people = {open(\'people.txt\').read().split()!r}\\n")\n',
            files={"people.txt": "Zo\u00eb Andr\u00e9 J\u00fcrgen\n"},
            machine=Machine(encoding="latin-1"),
        ),
        Planted(
            "the name of the locale",
            toml=embedding("locale"),
            machine=Machine(variables={"LC_ALL": "C", "LANG": "C"}),
            vary=True,
        ),
    ),
    *of(
        Cause.TIME_ZONE,
        Planted("the local time of a fixed moment", toml=embedding("zone")),
        Planted(
            "a fixed time written locally",
            "setuptools",
            code="import datetime\n"
            'write("PKG/_base.py", f"base = {datetime.datetime.fromtimestamp(1700000000).isoformat()!r}\\n")\n',
        ),
        Planted(
            "the name of the zone",
            "hatchling",
            code='import time\nwrite("PKG/zone.txt", f"times are in {time.tzname[0]}\\n")\n',
        ),
        machine=IN_TOKYO,
        vary=True,
    ),
    *of(
        Cause.HOST_OR_USER_NAME,
        Planted("the host, in a module", toml=embedding("host")),
        Planted(
            "user and host in a comment",
            "setuptools",
            code='import platform\nwrite("PKG/_by.py", f"# built on {platform.node()}\\nok = True\\n")\n',
            machine=Machine(host="build-7.example.org"),
        ),
        Planted(
            "the user's name",
            "hatchling",
            code='import getpass\nwrite("PKG/by.txt", f"built by {getpass.getuser()}\\n")\n',
            vary=True,
        ),
        Planted(
            "the host in JSON",
            "flit",
            code=(
                "import json, platform\n"
                'write("PKG/by.json", json.dumps({"host": platform.node(), "ok": True}) + "\\n")\n'
            ),
            machine=Machine(host="fv-az1234-567"),
        ),
    ),
    *of(
        Cause.CPU_DEPENDENT,
        Planted("the number of processors", toml=embedding("cpus")),
        Planted(
            "a default from os.cpu_count",
            "setuptools",
            code='import os\nwrite("PKG/_jobs.py", f"default_jobs = {len(os.sched_getaffinity(0))}\\n")\n',
        ),
        Planted(
            "work cut into as many parts",
            "hatchling",
            code="import os\n"
            "n = len(os.sched_getaffinity(0))\n"
            'write("PKG/parts.txt", "".join(f"part {i} of {n}\\n" for i in range(n)))\n',
        ),
        machine=MANY,
        vary=True,
    ),
    *of(
        Cause.RANDOMNESS,
        Planted("a token, in a module", toml="[tool.minibackend]\nrandom = true\n"),
        Planted("a UUID", "setuptools", code='import uuid\nwrite("PKG/_id.py", f"build_id = \'{uuid.uuid4()}\'\\n")\n'),
        Planted(
            "random bytes in a binary file",
            "hatchling",
            code='import os\nPath("PKG/salt.bin").write_bytes(b"\\0\\1" + os.urandom(64))\n',
        ),
        Planted(
            "hexadecimal digits",
            "flit",
            code='import secrets\nwrite("PKG/_key.py", f"key = \'{secrets.token_hex(16)}\'\\n")\n',
        ),
    ),
]
