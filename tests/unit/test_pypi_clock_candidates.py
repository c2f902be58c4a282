"""With which clock a wheel is built again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rebuilder.ecosystems.pypi.candidates import one_time, only_times_differ, time_in_content
from rebuilder.model.comparison import Comparison, ContentChange, Difference, Level, MemberChange
from rebuilder.model.value import Sha256

NOON = datetime(2020, 6, 27, 12, tzinfo=UTC)

WHEEL = {"x/__init__.py": "2020-01-01T00:00:00", "x/_build.py": "2020-06-27T12:00:00"}


def different(member: str, published: tuple[str, ...], rebuilt: tuple[str, ...]) -> Difference:
    """A text whose lines differ."""
    content = ContentChange(
        text=True, published=published, rebuilt=rebuilt, published_total=len(published), rebuilt_total=len(rebuilt)
    )
    return Difference(member=member, change=MemberChange.CONTENT, detail="", content=content)


def comparison(*differences: Difference) -> Comparison:
    """Two wheels of different content."""
    return Comparison(
        level=Level.DIFFERENT,
        published_sha256=Sha256("ab" * 32),
        rebuilt_sha256=Sha256("cd" * 32),
        differences=differences,
        differences_total=len(differences),
    )


def test_one_time() -> None:
    """A clock that stands still can give one time, and no more than one."""
    rebuilt = {"x/__init__.py": "2020-01-01T00:00:00", "x/_build.py": "2026-01-01T00:00:00"}
    assert NOON + timedelta(seconds=0.25) == one_time(WHEEL, rebuilt)
    assert one_time(WHEEL | {"y.py": "2020-06-27T12:00:02"}, rebuilt | {"y.py": "2026-01-01T00:00:00"}) is None
    assert one_time(WHEEL, WHEEL) is None


@pytest.mark.parametrize(
    ("published", "rebuilt", "expected"),
    [
        ("BUILT = '2020-06-27T12:00:04'", "BUILT = '2026-11-29T00:07:31'", "2020-06-27T12:00:04.250000+00:00"),
        ("DATE = '2020-06-26'", "DATE = '2026-11-29'", "2020-06-26T12:00:00.250000+00:00"),
        ("# Sat Jun 27 12:00:00 2020", "# Sun Nov 29 00:07:31 2026", "2020-06-27T12:00:00.250000+00:00"),
        ("on 27 Jun 2020", "on 29 Nov 2026", "2020-06-27T12:00:00.250000+00:00"),
        ("STAMP = 1593259200.5", "STAMP = 1793232451.25", "2020-06-27T12:00:00+00:00"),
        ("BUILT = '1999-06-27'", "BUILT = '2026-11-29'", None),
        ("KEY = 'a2020-06-27'", "KEY = 'b2026-11-29'", None),
        ("BUILD = 17", "BUILD = 18", None),
    ],
)
def test_time_in_content(published: str, rebuilt: str, expected: str | None) -> None:
    """A time near the recorded one that is all that differs is one a clock may give; anything else is not."""
    found = time_in_content(comparison(different("x/_build.py", (published,), (rebuilt,))), WHEEL)
    assert expected == (found.isoformat() if found else None)


def test_other_differences_are_not_a_clock() -> None:
    """Where more than times differ, no clock is tried; RECORD only repeats what differs."""
    dated = different("x/_build.py", ("D = '2020-06-27'",), ("D = '2026-11-29'",))
    record = different("x-1.dist-info/RECORD", ("x/_build.py,sha256=a,9",), ("x/_build.py,sha256=b,9",))
    other = different("x/__init__.py", ("A = 1",), ("A = 2",))
    assert time_in_content(comparison(dated, record), WHEEL) is not None
    assert time_in_content(comparison(dated, other), WHEEL) is None


@pytest.mark.parametrize(
    ("level", "normalisations", "expected"),
    [
        (Level.EQUIVALENT, ("zip-times",), True),
        (Level.EQUIVALENT, ("zip-times", "zip-order"), False),
        (Level.DIFFERENT, (), False),
        (Level.IDENTICAL, (), False),
    ],
)
def test_only_times(level: Level, normalisations: tuple[str, ...], expected: bool) -> None:
    """The clock mends times alone."""
    digest = Sha256("ab" * 32)
    found = Comparison(level=level, published_sha256=digest, rebuilt_sha256=digest, normalisations=normalisations)
    assert expected == only_times_differ(found)
    assert not only_times_differ(None)
