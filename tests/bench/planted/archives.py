"""Planted in the archive around the content: times, order, form, modes, compression, signatures."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Callable, Iterable
from functools import partial

from rebuilder.model.diagnosis import Cause
from tests.bench.planted.release import Planted, of
from tests.fakes.projects import Distribution
from tests.fakes.publisher import Machine

NO_EPOCH = Machine(epoch=None)
Member = tuple[zipfile.ZipInfo, bytes]


def repacked(
    wheel: Distribution,
    *,
    order: Callable[[list[Member]], Iterable[Member]] = lambda members: members,
    each: Callable[[zipfile.ZipInfo], None] = lambda _: None,
    level: int | None = None,
    comment: bytes = b"",
) -> Distribution:
    """The wheel written again by another program."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as old, zipfile.ZipFile(out, "w") as new:
        for info, content in order([(info, old.read(info)) for info in old.infolist()]):
            each(info)
            new.writestr(info, content, compress_type=info.compress_type, compresslevel=level)
        new.comment = comment
    return dataclasses.replace(wheel, data=out.getvalue())


def added(files: dict[str, bytes], wheel: Distribution) -> Distribution:
    """The wheel with more members in its metadata directory, as a signing program adds them."""
    out = io.BytesIO(wheel.data)
    with zipfile.ZipFile(out, "a") as archive:
        top = next(each for each in archive.namelist() if each.endswith(".dist-info/RECORD")).rpartition("/")[0]
        for name, content in files.items():
            info = zipfile.ZipInfo(f"{top}/{name}", (2024, 5, 6, 7, 8, 10))
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)
    return dataclasses.replace(wheel, data=out.getvalue())


def metadata_first(members: list[Member]) -> list[Member]:
    """The directory of metadata in front, as an archiver that sorts without regard to case has it."""
    return sorted(members, key=lambda each: ".dist-info/" not in each[0].filename)


def with_directories(members: list[Member]) -> list[Member]:
    """An entry for each directory, as ``zip -r`` writes them."""
    seen, found = set(), []
    for info, content in members:
        directory = f"{info.filename.rpartition('/')[0]}/"
        if directory not in seen:
            seen.add(directory)
            entry = zipfile.ZipInfo(directory, info.date_time)
            entry.external_attr = 0o40755 << 16 | 0x10
            found.append((entry, b""))
        found.append((info, content))
    return found


def unix_times(info: zipfile.ZipInfo) -> None:
    """The extra field of Info-ZIP with a modification time (its ``proginfo/extrafld.txt``)."""
    info.extra = b"UT\x05\x00\x01\x40\x19\x37\x66"


def on_macos(info: zipfile.ZipInfo) -> None:
    """The host system that Apple's archiver writes, and its version."""
    info.create_system = 19
    info.create_version = 21


def stored(info: zipfile.ZipInfo) -> None:
    """Not compressed."""
    info.compress_type = zipfile.ZIP_STORED


def deflated(info: zipfile.ZipInfo) -> None:
    """Compressed."""
    info.compress_type = zipfile.ZIP_DEFLATED


LONG = {
    "PKG/verses.txt": "".join(f"Thread {n} of {n * n % 97} goes over {n % 7}, under {n % 5}.\n" for n in range(400))
}
PLANTED = [
    *of(
        Cause.ARCHIVE_TIMES,
        Planted("metadata has the wall clock", toml="[tool.minibackend]\nnow = true\n"),
        Planted("no epoch, files touched", "flit", times={"PKG/core.py": 1_710_000_000}),
        Planted("no epoch: generated files have the time", "setuptools"),
        Planted(
            "no epoch, a later checkout",
            "minibackend",
            times={"PKG/__init__.py": 1_713_000_000, "PKG/core.py": 1_713_000_000, "PKG/notes.txt": 1_713_000_000},
        ),
        machine=NO_EPOCH,
    ),
    *of(
        Cause.ARCHIVE_ORDER,
        Planted("members backwards", after=partial(repacked, order=lambda found: found[::-1])),
        Planted("metadata first", "flit", after=partial(repacked, order=metadata_first)),
        Planted(
            "sorted by name alone",
            "setuptools",
            after=partial(
                repacked, order=lambda found: sorted(found, key=lambda each: each[0].filename.rpartition("/")[2])
            ),
        ),
    ),
    *of(
        Cause.ARCHIVE_FORM,
        Planted("a comment on the archive", after=partial(repacked, comment=b"packed by hand")),
        Planted("extra fields with times", "flit", after=partial(repacked, each=unix_times)),
        Planted("entries for directories", "hatchling", after=partial(repacked, order=with_directories)),
        Planted("written on another system", "setuptools", after=partial(repacked, each=on_macos)),
    ),
    *of(
        Cause.MODES_UMASK,
        Planted("umask 0077", "setuptools", machine=Machine(umask=0o077)),
        Planted(
            "all files executable, as on a shared folder",
            "flit",
            modes=dict.fromkeys(("PKG/__init__.py", "PKG/core.py", "PKG/notes.txt"), 0o777),
        ),
        Planted(
            "the executable bit was lost",
            files={"PKG/run.py": "#!/usr/bin/env python3\n"},
            source_modes={"PKG/run.py": 0o755},
            modes={"PKG/run.py": 0o644},
            tools=("minibackend-1.0",),
        ),
        Planted("one file executable", "hatchling", modes={"PKG/core.py": 0o755}),
    ),
    *of(
        Cause.COMPRESSION,
        Planted("deflated where the backend stores", files=LONG, after=partial(repacked, each=deflated)),
        Planted("level 1", "flit", files=LONG, after=partial(repacked, level=1)),
        Planted("level 9", "hatchling", files=LONG, after=partial(repacked, level=9)),
        Planted("stored where the backend deflates", "setuptools", files=LONG, after=partial(repacked, each=stored)),
    ),
    *of(
        Cause.ADDED_SIGNATURE,
        Planted("RECORD.jws", "setuptools", after=partial(added, {"RECORD.jws": b'{"payload": "e30"}'})),
        Planted("RECORD.p7s", "flit", after=partial(added, {"RECORD.p7s": b"0\x82\x01\x00"})),
        Planted("RECORD.sigstore.json", "hatchling", after=partial(added, {"RECORD.sigstore.json": b"{}"})),
        Planted("METADATA.asc", after=partial(added, {"METADATA.asc": b"-----BEGIN PGP SIGNATURE-----\n"})),
    ),
]
