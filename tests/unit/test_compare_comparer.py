"""The comparison as the pipeline asks for it: digest first, then the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from rebuilder.compare.comparer import Comparer
from rebuilder.model.attempt import Limit
from rebuilder.model.comparison import Comparison, Level, MemberChange
from rebuilder.sandbox.protocol import ProgramResult
from tests.fakes.archives import Entry, zip_bytes
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.programs import InProcessPrograms

NAME = "pkg-1-py3-none-any.whl"


class WritingPrograms(InProcessPrograms):
    """Programs of which each program wrote something of its own."""

    def __init__(self, blobs: MemoryBlobs, document: Any) -> None:
        super().__init__(blobs)
        self._document = document

    def run(self, family: str, program: str, arguments: Any, **how: Any) -> ProgramResult:
        """The document, whatever was asked."""
        result = super().run(family, program, arguments, **how)
        return result._replace(document=self._document)


def compared(
    published: bytes, rebuilt: bytes, programs: type[InProcessPrograms] = InProcessPrograms, **options: Any
) -> Comparison:
    """Compare some bytes under one name."""
    blobs = MemoryBlobs()
    comparer = Comparer(blobs, programs(blobs, **options))
    return comparer.compare(blobs.put(published), blobs.put(rebuilt), filename=NAME, rebuilt_filename=NAME)


def test_equal_digests_start_no_sandbox() -> None:
    """The common good case costs nothing."""
    blobs = MemoryBlobs()
    programs = InProcessPrograms(blobs)
    digest = blobs.put(zip_bytes(Entry()))
    found = Comparer(blobs, programs).compare(digest, digest, filename=NAME, rebuilt_filename=NAME)
    assert (Level.IDENTICAL, ()) == (found.level, found.differences)
    assert [] == programs.runs


def test_equivalent_files_list_what_was_set_aside() -> None:
    """The comparison carries level, digests and names."""
    found = compared(zip_bytes(Entry()), zip_bytes(Entry(time=0)))
    assert (Level.EQUIVALENT, ("zip-times",), 1) == (found.level, found.normalisations, found.differences_total)
    assert found.published_sha256 != found.rebuilt_sha256


def test_different_files() -> None:
    """No normalisation is listed when none helped."""
    found = compared(zip_bytes(Entry()), zip_bytes(Entry(content=b"other", time=0)))
    assert (Level.DIFFERENT, ()) == (found.level, found.normalisations)
    assert [MemberChange.CONTENT] == [each.change for each in found.differences]


@pytest.mark.parametrize("rebuilt", [Entry(), Entry(time=0)])
def test_another_file_name_is_a_difference(rebuilt: Entry) -> None:
    """Installers act on the tags in a file name, so only equal bytes excuse another one."""
    blobs = MemoryBlobs()
    comparer = Comparer(blobs, InProcessPrograms(blobs))
    digests = blobs.put(zip_bytes(Entry())), blobs.put(zip_bytes(rebuilt))
    found = comparer.compare(*digests, filename=NAME, rebuilt_filename="pkg-1-py2.py3-none-any.whl")
    assert (Level.IDENTICAL if digests[0] == digests[1] else Level.DIFFERENT) is found.level
    # The archive is no member of itself.
    assert NAME not in [each.member for each in found.differences]
    assert len(found.differences) == found.differences_total
    assert () == found.normalisations


@pytest.mark.parametrize(
    ("options", "words"),
    [({"limit": Limit.MEMORY}, "it reached its limit on memory"), ({"exit_code": 139}, "it ended with exit code 139")],
)
def test_a_comparison_that_does_not_end(options: dict[str, Any], words: str) -> None:
    """The digests still say that the files differ; the sentence says why no more is known."""
    found = compared(zip_bytes(Entry()), zip_bytes(Entry(time=0)), **options)
    assert Level.DIFFERENT is found.level
    assert words in (found.problem or "")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "equivalent",
        {"level": "identical"},
        {"level": "equivalent"},
        {"level": "equivalent", "normalisations": []},
        {"level": "same", "normalisations": ["zip-times"]},
        {"level": "equivalent", "normalisations": ["<script>"]},
        {"level": "equivalent", "normalisations": ["zip-times"] * 100},
        {"level": "different", "differences_total": -1},
        {"level": "different", "surprise": 1},
    ],
)
def test_what_comes_out_of_the_sandbox_is_checked(document: Any) -> None:
    """A program that was taken over can at most say that the files differ in a way nobody can explain."""
    found = compared(zip_bytes(Entry()), zip_bytes(Entry(time=0)), WritingPrograms, document=document)
    assert Level.DIFFERENT is found.level
    assert (found.problem or "").startswith("The SHA-256 digests differ")


def test_odd_names_do_not_reach_the_sandbox() -> None:
    """A name from a registry becomes part of a path only when it is plain."""
    blobs = MemoryBlobs()
    programs = InProcessPrograms(blobs)
    digests = blobs.put(zip_bytes(Entry())), blobs.put(zip_bytes(Entry(time=0)))
    Comparer(blobs, programs).compare(*digests, filename="../--evil name", rebuilt_filename="../--evil name")
    assert [("compare_archives", ("/inputs/published/file", "/inputs/rebuilt/file"))] == programs.runs


def test_what_an_equivalent_archive_could_be_given_comes_along() -> None:
    """One run says both; only when another comparison came between is it made again."""
    blobs = MemoryBlobs()
    programs = InProcessPrograms(blobs)
    comparer = Comparer(blobs, programs)
    published, rebuilt = blobs.put(zip_bytes(Entry())), blobs.put(zip_bytes(Entry(time=0)))
    found = comparer.compare(published, rebuilt, filename=NAME, rebuilt_filename=NAME)
    record, unwritable = comparer.recorded(found, NAME)
    assert (["zip-times"], None, 1) == (list(record["values"]), unwritable, len(programs.runs))
    comparer.compare(rebuilt, published, filename=NAME, rebuilt_filename=NAME)
    assert record == comparer.recorded(found, NAME).record
    assert 3 == len(programs.runs)


def test_what_cannot_be_recorded_is_said() -> None:
    """A difference that is nobody's to write is named."""
    blobs = MemoryBlobs()
    comparer = Comparer(blobs, InProcessPrograms(blobs))
    both = blobs.put(zip_bytes(Entry())), blobs.put(zip_bytes(Entry(), comment=b"hello"))
    found = comparer.compare(*both, filename=NAME, rebuilt_filename=NAME)
    assert Level.EQUIVALENT is found.level
    assert (None, "zip-comment is never written") == comparer.recorded(found, NAME)
