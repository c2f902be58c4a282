"""Projects whose own builds have one cause, or three, that no two machines agree about; and with none.

Those with one are those that are planted in releases, too, as far as the project brings them about by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rebuilder.model.diagnosis import Cause
from tests.bench.planted import conditions
from tests.bench.planted.release import Planted

_WANTED = {
    Cause.EMBEDDED_PATH: 3,
    Cause.EMBEDDED_TIME: 4,
    Cause.HASH_OR_SET_ORDER: 4,
    Cause.FILE_ORDER: 3,
    Cause.TIME_ZONE: 3,
    Cause.HOST_OR_USER_NAME: 3,
    Cause.CPU_DEPENDENT: 2,
    Cause.RANDOMNESS: 2,
}
"""How many of each kind."""
_SAME_EVERYWHERE = "nanoseconds, in a module"
"""It heeds the time that it is told, so that a build which is told one is the same everywhere."""
LINES: Mapping[Cause, tuple[str, str]] = {
    Cause.EMBEDDED_PATH: ("where", "os.getcwd()"),
    Cause.EMBEDDED_TIME: ("made", "time.ctime()"),
    Cause.HASH_OR_SET_ORDER: ("words", "' '.join({'warp', 'weft', 'heddle', 'shuttle', 'reed'})"),
    Cause.FILE_ORDER: ("parts", "' '.join(os.listdir('parts'))"),
    Cause.TIME_ZONE: ("zone", "time.strftime('%H:%M', time.localtime(0))"),
    Cause.HOST_OR_USER_NAME: ("host", "platform.node()"),
    Cause.CPU_DEPENDENT: ("jobs", "len(os.sched_getaffinity(0))"),
    Cause.RANDOMNESS: ("token", "secrets.token_hex(16)"),
}
"""A name and a Python expression for each cause."""
_THREE = (
    (Cause.EMBEDDED_PATH, Cause.EMBEDDED_TIME, Cause.HOST_OR_USER_NAME),
    (Cause.HASH_OR_SET_ORDER, Cause.TIME_ZONE, Cause.CPU_DEPENDENT),
    (Cause.RANDOMNESS, Cause.EMBEDDED_PATH, Cause.FILE_ORDER),
    (Cause.EMBEDDED_TIME, Cause.HASH_OR_SET_ORDER, Cause.HOST_OR_USER_NAME),
    (Cause.FILE_ORDER, Cause.TIME_ZONE, Cause.HOST_OR_USER_NAME),
    (Cause.CPU_DEPENDENT, Cause.EMBEDDED_TIME, Cause.EMBEDDED_PATH),
    (Cause.HASH_OR_SET_ORDER, Cause.FILE_ORDER, Cause.EMBEDDED_PATH),
    (Cause.RANDOMNESS, Cause.HOST_OR_USER_NAME, Cause.TIME_ZONE),
    (Cause.EMBEDDED_TIME, Cause.RANDOMNESS, Cause.HASH_OR_SET_ORDER),
    (Cause.CPU_DEPENDENT, Cause.FILE_ORDER, Cause.HASH_OR_SET_ORDER),
)
_BACKENDS = ("setuptools", "hatchling", "flit")
_PARTS = {f"parts/{name}.txt": f"{name}\n" for name in "abcdefg"}


def _one() -> Iterator[tuple[str, Planted]]:
    for cause, number in _WANTED.items():
        found = [each for each in conditions.PLANTED if each.causes == (cause,) and each.what != _SAME_EVERYWHERE]
        if cause is Cause.EMBEDDED_TIME:
            found.append(
                _together(
                    (cause,),
                    "a date",
                    "setuptools",
                    {cause: ("day", "datetime.datetime.now(datetime.timezone.utc).date()")},
                )
            )
        for at, each in enumerate(found[-number:], start=1):
            yield f"{cause.value}-{at}", _whole(each)
    code = 'write("PKG/made.txt", open("words.in").read())\n'
    lacking = Planted("a file is not in the source archive", "setuptools", code=code, files={"words.in": "warp\n"})
    yield "incomplete-source-1", replace(_whole(lacking), causes=(Cause.INCOMPLETE_SOURCE,))


def _together(
    causes: tuple[Cause, ...], what: str, backend: str, lines: Mapping[Cause, tuple[str, str]], *, apart: bool = False
) -> Planted:
    """A project that writes a line for each cause, into one file or into one each."""
    texts = [f"{name} = {{{expression}!s}}\\n" for name, expression in (lines[each] for each in causes)]
    written = (
        "".join(f'write("PKG/made{at}.txt", f"{text}")\n' for at, text in enumerate(texts))
        if apart
        else f'write("PKG/made.txt", f"{"".join(texts)}")\n'
    )
    code = f"import datetime, os, platform, secrets, time\n{written}"
    return Planted(what, backend, code=code, files=_PARTS, causes=causes)


def _whole(planted: Planted) -> Planted:
    """The same, whose source archive has all that its build needs."""
    if planted.backend == "setuptools":
        return replace(
            planted, files={**planted.files, "MANIFEST.in": "include *.py *.txt\nrecursive-include parts *\n"}
        )
    if planted.backend == "flit" and planted.code:
        kept = [*(each for each in planted.files if not each.startswith("PKG/")), "_backend.py", "make_data.py"]
        return replace(planted, toml=f"{planted.toml}[tool.flit.sdist]\ninclude = {kept!r}\n")
    return planted


def _several() -> Iterator[tuple[str, Planted]]:
    for at, causes in enumerate(_THREE):
        apart = at % 2 == 1
        what = f"three, in {'a file each' if apart else 'one file'}"
        yield f"three-{at + 1}", _whole(_together(causes, what, _BACKENDS[at % len(_BACKENDS)], LINES, apart=apart))


ONE, THREE = dict(_one()), dict(_several())
NONE = {
    "none-minibackend": Planted("nothing"),
    **{
        f"none-{backend}": _whole(
            Planted("the same in each build", backend, code='write("PKG/made.txt", "always\\n")\n')
        )
        for backend in _BACKENDS
    },
}
"""What a backend does by itself, with a file that the build writes: its causes are in all that are built with it."""
PROJECTS = {**NONE, **ONE, **THREE}
assert (25, 10) == (len(ONE), len(THREE))
