"""Files that can be made again: found by their key, gone when there is no room, never believed when they changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.errors import CorruptStoreError
from rebuilder.store.kept_files import KeptFiles

NOW = 1_800_000_000.0
KEYS = [f"{number:064x}" for number in range(1, 5)]


class Store:
    """One with a clock of its own."""

    def __init__(self, root: Path, most_bytes: int = 1000) -> None:
        self.root, self.now = root, NOW
        self.kept = KeptFiles(root, most_bytes=most_bytes, now=lambda: self.now)

    def keep(self, key: str, content: bytes, *, age: float = 0.0) -> Path:
        """Keep something that was last used so many seconds ago."""
        sha256 = self.kept.blobs.put(content)
        self.kept.keep(key, sha256)
        place = self.root / "files" / sha256[:2] / sha256
        for path in (self.root / "keys" / key, place):
            os.utime(path, (self.now - age, self.now - age))
        return place

    def used(self, key: str) -> float:
        """When a key was last used."""
        return (self.root / "keys" / key).stat().st_mtime


def test_found_by_its_key(tmp_path: Path) -> None:
    """By another process too; another key has nothing."""
    store = Store(tmp_path)
    assert store.kept.get(KEYS[0]) is None
    store.keep(KEYS[0], b"made")
    found = KeptFiles(tmp_path, most_bytes=1000).get(KEYS[0])
    assert found is not None
    assert (b"made", found[0]) == (found[1].read_bytes(), found[1].name)
    assert store.kept.get(KEYS[1]) is None


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    """Using counts, not making; a second use within a minute is not noted."""
    store = Store(tmp_path)
    places = [store.keep(key, bytes([65 + index]) * 400, age=9000 - index * 1000) for index, key in enumerate(KEYS[:2])]
    assert store.kept.get(KEYS[0]) is not None
    assert NOW == store.used(KEYS[0])
    store.now += 30
    assert store.kept.get(KEYS[0]) is not None
    assert NOW == store.used(KEYS[0])
    store.keep(KEYS[2], b"C" * 400)
    assert [True, False] == [place.exists() for place in places]
    assert [True, False, True] == [store.kept.get(key) is not None for key in KEYS[:3]]


def test_what_is_about_to_be_used_stays(tmp_path: Path) -> None:
    """Even where there is no room for it."""
    store = Store(tmp_path)
    places = [store.keep(key, bytes([65 + index]) * 400, age=60) for index, key in enumerate(KEYS)]
    assert all(place.exists() for place in places)
    store.now += 3600
    store.keep(KEYS[0], b"A" * 400)
    assert [True, False, False, True] == [place.exists() for place in places]


def test_one_file_of_two_keys_counts_once(tmp_path: Path) -> None:
    """It goes with the last of them."""
    store = Store(tmp_path)
    place = store.keep(KEYS[0], b"A" * 600, age=7200)
    store.keep(KEYS[1], b"A" * 600, age=3600)
    store.keep(KEYS[2], b"C" * 300)
    assert [True, True, True] == [store.kept.get(key) is not None for key in KEYS[:3]]
    store.now += 3600
    store.keep(KEYS[2], b"C" * 300)
    assert 2 == store.kept.forget(store.now)
    assert (False, True) == (place.exists(), store.kept.get(KEYS[2]) is not None)


def test_what_nobody_used_is_forgotten(tmp_path: Path) -> None:
    """Logs and what killed processes left go along."""
    store = Store(tmp_path)
    assert 0 == store.kept.forget(NOW)
    old, young = store.keep(KEYS[0], b"old", age=9000), store.keep(KEYS[1], b"young", age=3000)
    log = store.kept.blobs.path(store.kept.blobs.put(b"a log"))
    os.utime(log, (NOW - 9000, NOW - 9000))
    assert 1 == store.kept.forget(NOW - 5000)
    assert [False, True, False] == [each.exists() for each in (old, young, log)]


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    """It is said once, and moved aside; then it is as if nothing had been kept."""
    store = Store(tmp_path)
    place = store.keep(KEYS[0], b"made", age=3600)
    assert store.kept.get(KEYS[0]) is not None
    place.chmod(0o644)
    place.write_bytes(b"fake")
    place.chmod(0o444)
    with pytest.raises(CorruptStoreError, match="is damaged"):
        store.kept.get(KEYS[0])
    assert store.kept.get(KEYS[0]) is None


@pytest.mark.parametrize("text", ["", "no digest", "../../../etc/passwd", "0" * 64, "ä" * 64])
def test_a_note_that_names_nothing(text: str, tmp_path: Path) -> None:
    """Then it is made again."""
    store = Store(tmp_path)
    store.keep(KEYS[0], b"made")
    (tmp_path / "keys" / KEYS[0]).write_text(text, encoding="utf-8")
    assert store.kept.get(KEYS[0]) is None
