"""What leads to artifacts: brought up to date row by row, it is what it would be when all of it is written."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import StoreError
from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm, Severity
from rebuilder.model.operations import days_of
from rebuilder.model.report import Summary, summarise
from rebuilder.model.verdict import Verdict
from rebuilder.site import listing
from rebuilder.site.publisher import Site
from rebuilder.site.rows import artifact_key, newest_first
from rebuilder.site.writing import PARTIAL, Unlisted, Writer
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

_FIRST = summarise(reports.reproduced(MemoryBlobs()))
_LETTERS = "abc-"


def row(number: int, name: str, **changes: object) -> Summary:
    """A verification that ended so many minutes after the first."""
    finished = reports.NOW + timedelta(minutes=number)
    found = {"name": name, "purl": f"pkg:pypi/{name}@1", "filename": f"{name}-1.whl", "finished": finished}
    return _FIRST.replace(**(found | changes))


class Published:
    """A site that is kept up to date, and all the rows that it should list."""

    def __init__(self, root: Path) -> None:
        self.root, self.rows, self.alarms = root, list[Summary](), list[RecordedAlarm]()
        self.alarmed = set[str]()
        self.start()

    def start(self) -> None:
        """Another process goes on; the one before has ended, and so does not hold what it had open."""
        cache = self.root.parent / "cache"
        self.site = Site(self.root, MemoryBlobs(), public_key=b"key\n", key_id="ab" * 32, verifier="x", cache=cache)
        self.site._published = lambda _: True  # type: ignore[assignment, method-assign]

    def standing(self) -> list[Summary]:
        """As the ledger has them: of each file the last one."""
        return newest_first({artifact_key(each): each for each in self.rows}.values())

    def alarm(self, about: Summary) -> None:
        """Raise one."""
        what = {"purl": about.purl, "filename": about.filename, "sentence": "Worse.", "raised": about.finished}
        alarm = Alarm(kind=AlarmKind.REGRESSION, **what)
        self.alarmed.add(alarm.purl)
        if alarm.key not in {each.alarm.key for each in self.alarms}:
            recorded = {"number": len(self.rows), "severity": Severity.PAGE, "last_seen": about.finished}
            self.alarms.append(RecordedAlarm(alarm=alarm, **recorded))

    def whole(self) -> None:
        """Write all of it."""
        files = self.standing()
        ended = (((each.ecosystem, each.name), artifact_key(each), each.finished, each.verdict) for each in self.rows)
        self.site.write_index(files, self.alarms, files[0].finished, untested={"pypi": 3}, days=days_of(ended))

    def update(self, *rows: Summary, trust: str = "") -> bool:
        """These came in."""
        self.rows += rows
        alarmed = [each for each in self.standing() if each.purl in self.alarmed]
        about: dict[str, Any] = {"untested": {"pypi": 3}, "trust": trust}
        return self.site.update_index(rows, alarmed, self.alarms, reports.NOW, **about)

    def faulty(self, writes: int, act: Callable[[], object]) -> bool:
        """After so many files the disk is full; whether it came to that."""
        left = writes

        def limited(path: str, data: bytes) -> bool:
            nonlocal left
            if left == 0:
                raise StoreError("Full.")
            left -= 1
            return Writer(self.root).write(path, data)

        self.site._writer.write = limited  # type: ignore[method-assign]
        try:
            act()
        except StoreError:
            return True
        finally:
            del self.site._writer.write
        return False

    def files(self) -> dict[str, bytes]:
        """All that is published, by path."""
        found = (each for each in self.root.rglob("*") if each.is_file() and PARTIAL not in each.parts)
        return {str(each.relative_to(self.root)): each.read_bytes() for each in found}

    def written(self, *rows: Summary) -> set[str]:
        """The files that an update writes, or takes away."""
        before = {path: (self.root / path).stat().st_ino for path in self.files()}
        assert self.update(*rows)
        after = {path: (self.root / path).stat().st_ino for path in self.files()}
        return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A site with few files on a page, and none yet."""
    monkeypatch.setattr(listing, "MOST_TOGETHER", 4)
    monkeypatch.setattr(listing, "MOST_LISTED", 6)
    monkeypatch.setattr(listing, "LATEST", 5)
    return Published(tmp_path / "site")


@pytest.mark.parametrize("seed", range(6))
def test_row_by_row_it_becomes_what_it_is_when_written_whole(published: Published, seed: int, tmp_path: Path) -> None:
    """Names of all kinds, verdicts that change, several at once, rows that nobody should believe: the same bytes."""
    chance = random.Random(seed)  # noqa: S311 - not secret
    verdicts = [Verdict.REPRODUCED, Verdict.DIFFERS, Verdict.UNSUPPORTED]
    number = 0
    for _ in range(40):
        rows = []
        for _ in range(chance.randint(0, 3)):
            number += chance.choice([1, 1, 1, 0, -2])  # on the same second, or after the clock was put back
            name = "".join(chance.choice(_LETTERS) for _ in range(chance.randint(1, 4)))
            verdict = chance.choice(verdicts)
            doubt = chance.choice([None, None, None, "Do not believe it."])
            written = verdict is Verdict.REPRODUCED and chance.random() < 0.3
            beyond = {
                "cause": chance.choice([None, "locale", "file-order", "gone-since"]),
                "environment": chance.choice([None, f"trixie@{'ab' * 32}", "../x@y"]),
                "publisher": chance.choice([None, "https://forge.example.org/a/b"]),
            }
            rows.append(row(number, name, verdict=verdict, doubt=doubt, written=written, **beyond))
        if published.rows and chance.random() < 0.3:
            published.alarm(chance.choice(published.rows))
        elif published.alarms and chance.random() < 0.3:
            del published.alarms[chance.randrange(len(published.alarms))]
        if chance.random() < 0.2:  # the disk is full for once
            published.faulty(chance.randint(0, 12), partial(published.update, *rows))
        if not published.update(*rows) and published.rows:
            published.whole()
        if chance.random() < 0.2:
            published.start()
    again = Published(tmp_path / "again")
    again.rows, again.alarms = published.rows, published.alarms
    again.whole()
    assert again.files() == published.files()
    assert any(len(Path(each).stem) > 1 for each in again.files() if each.startswith("v1/projects"))


def both(page: str) -> set[str]:
    """A page and its JSON."""
    return {f"{page}.html", f"v1/{page}.json"}


def project(name: str, version: str = "3.1.6", filename: str | None = None) -> set[str]:
    """What is about a project, one release of it and one file."""
    of_it = {f"pypi/{name}/{each}" for each in ("badge.svg", "badge.json", "feed.atom")}
    release = f"pypi/{name}/{version}"
    file = f"{release}/{filename or f'{name}-1.whl'}"
    return of_it | both(f"pypi/{name}/index") | {f"{release}/index.html", f"{file}/index.html"}


def led(name: str) -> set[str]:
    """What leads to the only file of a release, and so stays as it is."""
    return {f"pypi/{name}/3.1.6/index.html", f"pypi/{name}/3.1.6/{name}-1.whl/index.html"}


def test_only_what_shows_a_row_is_written_for_it(published: Published) -> None:
    """One page of projects, one list, the front page, their documents, and nothing else."""
    published.rows = [row(number, name) for number, name in enumerate(("aa", "ab", "ac", "ad", "ae", "bb", "c"))]
    published.whole()
    projects = both("projects/b")
    lists = both("verdicts/reproduced") | both("verdicts/differs")
    front = {"feed.atom"} | both("index") | both("verdicts/index") | both("pypi/index") | both("ecosystems/index")
    found = published.written(row(60, "bb", verdict=Verdict.DIFFERS))
    assert {*front, *lists, *projects, *project("bb") - led("bb")} == found
    # Its page is full: it is divided, and the one above leads to the new one.
    found = published.written(row(61, "ab", version="2", filename="ab-2.whl"))
    reproduced = both("verdicts/reproduced")
    badges = {"pypi/ab/badge.svg", "pypi/ab/badge.json"}  # of a version that is not the newest, nothing changes
    assert {*front, *reproduced, *both("projects/ab"), *project("ab", "2", "ab-2.whl")} - badges == found
    found = published.written(row(62, "a"))
    assert {*front, *reproduced, *both("projects/a"), *both("projects/a0"), *project("a")} == found


def test_nothing_changes_by_what_is_known(published: Published) -> None:
    """Neither rows nor counts. What is older than what is listed may count all the same: the ledger knows."""
    published.rows = [row(5, "a"), row(6, "b")]
    published.whole()
    before = published.files()
    assert published.update(row(5, "a"))
    assert not published.update(row(1, "b", verdict=Verdict.DIFFERS))
    assert before == published.files()


@pytest.mark.parametrize("other", [False, True], ids=["goes on", "has ended"])
@pytest.mark.parametrize("whole", [False, True], ids=["row by row", "whole"])
def test_after_a_fault_between_two_files_all_is_written(
    published: Published, tmp_path: Path, *, whole: bool, other: bool
) -> None:
    """Wherever it was: nobody goes on from half of an index, and nothing is counted wrong."""
    first = [row(number, name) for number, name in enumerate(("aa", "ab", "ac", "ad", "ae", "b"))]
    fresh = [row(60, "ab", verdict=Verdict.DIFFERS), row(61, "a"), row(62, "b", verdict=Verdict.DIFFERS)]
    writes, faults = 0, 0
    while True:
        one = Published(tmp_path / f"site-{writes}")
        one.rows = list(first)
        one.whole()
        one.rows += fresh
        act = one.whole if whole else partial(one.update, *fresh)
        if not one.faulty(writes, act):
            break
        faults += 1
        if other:
            one.start()
        more = row(70, "b", version="2", filename="b-2.whl"), row(71, "ab", version="2", filename="ab-2.whl")
        assert not one.update(*more)
        one.whole()
        again = Published(tmp_path / f"again-{writes}")
        again.rows = one.rows
        again.whole()
        assert again.files() == one.files()
        writes += 3
    assert faults > 12


def test_a_damaged_page_of_projects_loses_none(published: Published) -> None:
    """It is not taken for one that has no files yet, however deep it is."""
    published.rows = [row(number, name) for number, name in enumerate(("aa", "ab", "ac", "ad", "ae"))]
    published.whole()
    (published.root / "v1/projects/ab.json").write_text("{")
    assert not published.update(row(60, "ab", version="2", filename="ab-2.whl"))
    (published.root / "v1/projects/ab.json").unlink()
    assert not published.update(row(61, "ab", version="3", filename="ab-3.whl"))


@pytest.mark.parametrize("what", ["gone", "cut", "another program", "trust", "initial", "other counts"])
def test_without_something_to_go_on_from_all_is_written(published: Published, what: str) -> None:
    """A site that another version wrote, or that lost a file, is not patched."""
    published.rows = [row(5, "a")]
    published.whole()
    page, document = published.root / "index.html", published.root / "v1/index.json"
    if what == "gone":
        document.unlink()
    elif what == "cut":
        document.write_bytes(document.read_bytes()[:-9])
    elif what == "another program":
        page.write_text(page.read_text().replace('name="made-from" content="', 'name="made-from" content="0'))
    elif what == "other counts":
        found = json.loads(document.read_text())
        del found["counts"]["revoked"]
        document.write_text(json.dumps(found))
    before = published.files()
    name, trust = ("z" if what == "initial" else "a"), ("a key" if what == "trust" else "")
    assert not published.update(row(6, name), trust=trust)
    assert before == published.files()


def test_a_process_that_ends_before_it_lists_its_pages_is_noticed(published: Published) -> None:
    """The index is then written whole by whoever comes next; while it lives, it lists them itself."""
    published.rows = [row(5, "a")]
    published.whole()
    other = Unlisted(published.root)
    other.begin()
    assert published.update(row(6, "a"))
    assert other._mine is not None
    file, descriptor = other._mine
    file.with_name(f"{file.name}0").touch()  # nobody holds it
    assert not published.update(row(7, "a"))
    published.whole()
    assert file.exists()
    assert published.update(row(8, "a"))
    os.close(descriptor)
    assert not published.update(row(9, "a"))
