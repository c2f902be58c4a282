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


def test_a_dependency_that_hands_in_members() -> None:
    """Most of what no source has is an alarm, less of it a note; what the source has too is neither."""
    made, rest = b"made elsewhere\n" * 20, b"written by the build\n" * 40
    blobs, memo = MemoryBlobs(), MemoryMemo()
    carrier = _source(blobs, {"carrier/made.py": made}).replace(
        role=Role.BUILD_DEPENDENCY, name="carrier", path="/inputs/carrier.zip"
    )
    source = _source(blobs, {"x-1/setup.py": b"copy()\n"})
    for members, told in (({"x.py": made}, "sentence"), ({"x.py": made, "y.py": rest}, "note")):
        published = blobs.put(zip_bytes(*(Entry(name.encode(), data) for name, data in members.items())))
        carried = find_carried(InProcessPrograms(blobs), memo, published, [source, carrier])
        assert "carrier as they are, such as x.py" in (getattr(carried, told) or ""), told
        assert carried.sentence is None or carried.note is None
        having = _source(blobs, {"x-1/made.py": made, "x-1/rest.py": rest})
        again = find_carried(InProcessPrograms(blobs), memo, published, [having, carrier])
        assert (None, None) == (again.sentence, again.note)
