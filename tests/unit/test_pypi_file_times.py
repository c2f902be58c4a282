"""Times of source files, read from the wheel they went into."""

from __future__ import annotations

from rebuilder.ecosystems.pypi.file_times import epoch, source_times
from rebuilder.model.inspection import Inspection, Member, MemberKind
from rebuilder.model.value import sha256_hex


def listing(kind: str, **files: tuple[str, str]) -> Inspection:
    """Files by path: content and time."""
    return Inspection(
        format=kind,
        members=tuple(
            Member(name=name, kind=MemberKind.FILE, size=1, mtime=time, sha256=sha256_hex(content.encode()))
            for name, (content, time) in files.items()
        ),
    )


def times(wheel: dict[str, tuple[str, str]], *sources: tuple[str, str]) -> dict[str, str]:
    """Times for source files given as path and content."""
    source = listing("tar.gz", **{name: (content, "2020-01-01T00:00:00") for name, content in sources})
    return source_times(listing("zip", **wheel), source, dist_info="x-1.dist-info")


def test_same_content_and_likest_path() -> None:
    """``pkg/a.py`` is ``src/pkg/a.py``, not the equal file in the tests."""
    wheel = {"pkg/a.py": ("a", "2024-01-02T03:04:06")}
    found = times(wheel, ("x-1/tests/a.py", "a"), ("x-1/src/pkg/a.py", "a"), ("x-1/src/pkg/b.py", "b"))
    assert {"x-1/src/pkg/a.py": "2024-01-02T03:04:06"} == found


def test_equal_files_keep_their_own_times() -> None:
    """Two empty modules are told apart by their paths."""
    wheel = {"p/__init__.py": ("", "2024-01-01T00:00:02"), "p/q/__init__.py": ("", "2024-01-01T00:00:04")}
    found = times(wheel, ("./x-1//p/q/__init__.py", ""), ("x-1/p/__init__.py", ""))
    assert {"x-1/p/__init__.py": "2024-01-01T00:00:02", "x-1/p/q/__init__.py": "2024-01-01T00:00:04"} == found


def test_files_outside_dist_info_have_the_last_word() -> None:
    """A licence copied into the metadata at build time does not change the time of the original."""
    wheel = {
        "pkg/LICENSE": ("l", "2024-01-01T00:00:02"),
        "x-1.dist-info/licenses/LICENSE": ("l", "2025-01-01T00:00:00"),
    }
    assert {"x-1/pkg/LICENSE": "2024-01-01T00:00:02"} == times(wheel, ("x-1/pkg/LICENSE", "l"))


def test_impossible_times_are_passed_over() -> None:
    """ZIP can hold month 0; that restores nothing."""
    assert {} == times({"a.py": ("a", "1980-00-00T00:00:00")}, ("x-1/a.py", "a"))
    assert epoch("1980-00-00T00:00:00") is None
    assert epoch("1980-01-01T00:00:00") == 315532800
