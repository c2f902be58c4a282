"""Wheels that try to tell their own rebuild what to build, by every value that a hostile publisher chooses."""

from __future__ import annotations

import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.command import Installation
from tests.fakes.planning import from_published
from tests.fakes.projects import UPLOADED, Distribution, make_sdist
from tests.fakes.pypi import Surroundings
from tests.fakes.registry import Registry

MOMENT = (2024, 3, 1, 12, 0, 0)
TABLES = 24
HIDDEN = b"WHAT = 'in no file of the source'\n"

BACKEND = """
import base64, hashlib, os, pathlib, time, zipfile
FILES = ["t%02d.txt" % number for number in range({tables})]
BASE = 946684800
def bits_to_bytes(bits):
    data = bytes(sum(bit << place for place, bit in enumerate(bits[at:at + 8])) for at in range(0, len(bits) - 7, 8))
    return data
def by_times():
    return b"".join(((int(os.stat("x/" + each).st_mtime) - BASE) // 2 % (1 << 24)).to_bytes(3, "big") for each in FILES)
def by_modes():
    modes = [os.stat("x/" + each).st_mode for each in FILES]
    return bits_to_bytes([mode >> place & 1 for mode in modes for place in (1, 2, 4, 5)])
def by_order():
    listed = [each for each in os.listdir("x") if each in FILES]
    return bytes(FILES.index(each) for each in listed)
def by_inputs():
    found = b""
    for directory in ("/inputs", "/tools", "/out"):
        for below, _, names in os.walk(directory):
            for each in names:
                with open(os.path.join(below, each), "rb") as file:
                    found += file.read()
    for each in os.listdir("/proc"):
        if each.isdigit():
            for name in ("cmdline", "environ"):
                try:
                    with open("/proc/%s/%s" % (each, name), "rb") as file:
                        found += file.read()
                except OSError:
                    pass
    return found
def hidden(channels):
    for read in channels:
        data = read()
        at = data.find(b"T!")
        if at >= 0 and data[at + 2:at + 3] == b"W":
            return data[at + 2:].partition(b"\\0")[0]
    return None
CHANNELS = [by_times, by_modes, by_order, by_inputs]
def build_wheel(out, config_settings=None, metadata_directory=None, channels=None):
    core = hidden(CHANNELS if channels is None else channels) or b"WHAT = 'as in the source'\\n"
    return pack(out, [("x/core.py", core)] + [("x/" + each, pathlib.Path("x", each).read_bytes()) for each in FILES])
def pack(out, members):
    info = "x-1.0.dist-info/"
    members += [(info + "METADATA", b"Metadata-Version: 2.1\\nName: x\\nVersion: 1.0\\n"),
                (info + "WHEEL", b"Wheel-Version: 1.0\\nGenerator: bk 1.0\\n"
                                 b"Root-Is-Purelib: true\\nTag: py3-none-any\\n")]
    digest = lambda data: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    lines = ["%s,sha256=%s,%d\\n" % (name, digest(data), len(data)) for name, data in members]
    members.append((info + "RECORD", ("".join(lines) + info + "RECORD,,\\n").encode()))
    with zipfile.ZipFile(os.path.join(out, "x-1.0-py3-none-any.whl"), "w") as archive:
        for name, data in members:
            entry = zipfile.ZipInfo(name, time.gmtime(os.stat(name).st_mtime)[:6] if os.path.exists(name) else {moment})
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, data)
    return "x-1.0-py3-none-any.whl"
""".replace("{tables}", str(TABLES)).replace("{moment}", str(MOMENT))

PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "bk"\nbackend-path = ["."]\n'
FILES = {"pyproject.toml": PYPROJECT, "bk.py": BACKEND} | {f"x/t{each:02d}.txt": f"{each}\n" for each in range(TABLES)}
Forge = Callable[[list[tuple[zipfile.ZipInfo, bytes]]], None]


def published(forge: Forge, *, core: bytes = HIDDEN) -> Distribution:
    """The wheel as the backend packs it where it finds the hidden module, with what a publisher writes into it."""
    space: dict[str, Any] = {"__name__": "bk"}
    with tempfile.TemporaryDirectory() as directory, chdir(directory):
        for name, text in FILES.items():
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(text)
            os.utime(name, (1_709_294_400,) * 2)
        exec(BACKEND, space)  # noqa: S102 - written above
        space["build_wheel"](".", channels=[lambda: b"T!" + core])
        with zipfile.ZipFile("x-1.0-py3-none-any.whl") as archive:
            members = [(each, archive.read(each)) for each in archive.infolist()]
    forge(members)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        for info, content in members:
            packed.writestr(info, content)
    return Distribution("x", "x-1.0-py3-none-any.whl", data.getvalue())


def tables(members: list[tuple[zipfile.ZipInfo, bytes]]) -> list[zipfile.ZipInfo]:
    """The members that carry something."""
    return [info for info, _ in members if info.filename.endswith(".txt")]


def times(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    """Three bytes in each time."""
    message = (b"T!" + HIDDEN).ljust(3 * TABLES, b"\0")
    for number, info in enumerate(tables(members)):
        seconds = 946684800 + 2 * int.from_bytes(message[3 * number : 3 * number + 3], "big")
        info.date_time = time.gmtime(seconds)[:6]


def modes(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    """Four bits in each mode."""
    bits = [byte >> place & 1 for byte in b"T!W = 1\n\0\0\0\0" for place in range(8)]
    for number, info in enumerate(tables(members)):
        four = bits[4 * number : 4 * number + 4]
        mode = 0o600 | sum(bit << place for bit, place in zip(four, (1, 2, 4, 5), strict=False))
        info.external_attr = (0o100000 | mode) << 16


def order(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    """Another order, of a packer that did not sort."""
    members.reverse()


def comments(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    """The module itself, in comments."""
    for info in tables(members):
        info.comment = b"T!" + HIDDEN + b"\0"


@pytest.fixture
def installation(tmp_path: Path, environments_root: Path) -> Iterator[tuple[Registry, Installation]]:
    """An empty installation and its registry."""
    with Registry() as running:
        yield running, Installation.make(tmp_path, environments_root, running.url)


@pytest.mark.parametrize("forge", [times, modes, order, comments])
def test_hidden_content_is_not_confirmed(installation: tuple[Registry, Installation], forge: Forge) -> None:
    """What is in no file of the source does not come out, whatever the wheel says beside its contents."""
    registry, command = installation
    registry.add(make_sdist("x", "1.0", FILES), uploaded=UPLOADED)
    registry.add(published(forge, core=b"W = 1\n" if forge is modes else HIDDEN), uploaded=UPLOADED)
    line = command.verify("pypi:x==1.0").line
    assert "differs" == line["verdict"], line


Moment = st.tuples(
    st.integers(1980, 2030), st.integers(1, 12), st.integers(1, 28), st.integers(0, 23), st.integers(0, 59)
)


@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_metadata_of_members_reaches_a_definition(data: st.DataObject) -> None:
    """Times, order, modes, comments and compression of members may be anything: the definition stays the same."""

    def forge(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
        for info in tables(members):
            info.date_time = (*data.draw(Moment), 2 * data.draw(st.integers(0, 29)))
            info.external_attr = (0o100600 | data.draw(st.integers(0, 0o66)) & 0o44) << 16
            info.comment = data.draw(st.binary(max_size=20))
            info.compress_type = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
        members[:TABLES] = data.draw(st.permutations(members[:TABLES]))

    def plain(members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
        for info in tables(members)[1:]:
            info.date_time = (2020, 1, 1, 0, 0, 0)

    assert len({_first_definition(each) for each in (plain, forge)}) == 1


def _first_definition(forge: Forge) -> str:
    surroundings = Surroundings()
    surroundings.publish(make_sdist("x", "1.0", FILES), published(forge))
    pypi = surroundings.pypi
    [evidence] = pypi.evidence(pypi.parse("x"))
    hypothesis = from_published(pypi, evidence).first()
    definition = hypothesis.definition
    # The umask is one of two; everything else is the same to the byte.
    return definition.replace(
        umask="", commands=tuple(each for each in definition.commands if "unpack" not in each)
    ).digest
