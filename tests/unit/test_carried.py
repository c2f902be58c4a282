"""The search for a published file among the inputs of the build that gave it."""

from __future__ import annotations

from rebuilder.compare.carried import find_carried
from rebuilder.model.attempt import Limit
from rebuilder.model.definition import Input, Role
from tests.fakes.archives import Entry, zip_bytes
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.memo import MemoryMemo
from tests.fakes.programs import InProcessPrograms

WHEEL = zip_bytes(Entry(b"x/__init__.py", b"x = 1\n"), Entry(b"x-1.dist-info/RECORD", b"x/__init__.py,,\n"))


def _source(blobs: MemoryBlobs, members: dict[str, bytes]) -> Input:
    return Input(
        role=Role.SOURCE,
        name="x-1.zip",
        sha256=blobs.put(zip_bytes(*(Entry(name.encode(), data) for name, data in members.items()))),
        path="/inputs/x-1.zip",
    )


def test_a_copy_in_the_source_is_found() -> None:
    """A build that copies the published file shows nothing, so it is said where the copy lies."""
    blobs, memo = MemoryBlobs(), MemoryMemo()
    carried = find_carried(InProcessPrograms(blobs), memo, blobs.put(WHEEL), [_source(blobs, {"x-1/a.whl": WHEEL})])
    assert "x-1/a.whl in x-1.zip" in (carried.sentence or "")


def test_the_same_inputs_are_searched_once() -> None:
    """What came of a search stays true; other inputs are searched again."""
    blobs, memo = MemoryBlobs(), MemoryMemo()
    programs, published = InProcessPrograms(blobs), blobs.put(WHEEL)
    clean, copying = _source(blobs, {"x-1/setup.py": b""}), _source(blobs, {"x-1/a.whl": WHEEL})
    first = find_carried(programs, memo, published, [clean])
    assert (None, True) == (first.sentence, first.whole)
    assert first == find_carried(programs, memo, published, [clean])
    assert 1 == len(programs.runs)
    assert find_carried(programs, memo, published, [copying]).sentence is not None
    assert find_carried(programs, memo, published, [clean.replace(role=Role.BUILD_DEPENDENCY)]) == first
    assert 3 == len(programs.runs)


def test_a_search_that_failed_is_not_kept() -> None:
    """It says that not all was looked through, and is tried again the next time."""
    blobs, memo = MemoryBlobs(), MemoryMemo()
    published, source = blobs.put(WHEEL), _source(blobs, {"x-1/setup.py": b""})
    assert not find_carried(InProcessPrograms(blobs, limit=Limit.MEMORY), memo, published, [source]).whole
    assert find_carried(InProcessPrograms(blobs), memo, published, [source]).whole
