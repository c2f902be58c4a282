"""One schedule file: what it says, and sentences with file, line and key for every mistake."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from rebuilder.model.definition import Limits
from rebuilder.model.work import Check, Tier
from rebuilder.resources import resource
from rebuilder.service.schedules.reading import FileReading, keys, read_file
from rebuilder.service.schedules.watch import Recheck, Timing, VersionRule, Versions, Watch


def read(directory: Path, text: str, **options: Limits) -> FileReading:
    """Read a schedule file ``work.toml``."""
    (directory / "work.toml").write_text(text)
    return read_file(directory / "work.toml", **options)  # type: ignore[arg-type] # only limits are given


def test_the_shortest_file(tmp_path: Path) -> None:
    """Three lines are enough."""
    reading = read(tmp_path, '[[watch]]\npackages = ["Flit_Core", "django-*"]\nevery = "6h"\n')
    expected = Watch(
        name="work", file="work.toml", packages=("flit-core",), patterns=("django-*",), timing=Timing(every=21600)
    )
    assert [expected] == [entry.item for entry in reading.entries]
    assert [1] == [entry.line for entry in reading.entries]
    assert expected == Watch.model_validate(expected.document())


def test_everything(tmp_path: Path) -> None:
    """Every key arrives where it belongs; limits lie over those of the settings."""
    text = """
[[watch]]
name = "all keys"
ecosystem = "npm"
packages = ["@sigstore/*"]
versions = { since = 2026-01-31 }
prereleases = true
cron = "0 5 * * mon-fri"
time_zone = "Europe/Berlin"
jitter = "10m"
priority = -9
double_runs = true
tier = "quick"
[watch.limits]
wall_seconds = 60
[[recheck]]
older_than = "90d"
check = "inputs"
at_most = 7
every = "1d"
"""
    watch, recheck = (entry.item for entry in read(tmp_path, text, limits=Limits(processes=9)).entries)
    assert isinstance(watch, Watch)
    assert isinstance(recheck, Recheck)
    assert Versions(rule=VersionRule.SINCE, since=date(2026, 1, 31)) == watch.versions
    assert (True, False) == (watch.double_runs, recheck.double_runs)
    assert Timing(cron="0 5 * * mon-fri", time_zone="Europe/Berlin", jitter=600) == watch.timing
    assert Limits(wall_seconds=60, processes=9) == watch.limits
    assert ("npm", True, -9, Tier.QUICK) == (watch.ecosystem, watch.prereleases, watch.priority, watch.tier)
    assert ("work-2", None, Check.INPUTS, 7, 90 * 86400) == (
        recheck.name,
        recheck.ecosystem,
        recheck.check,
        recheck.at_most,
        recheck.older_than,
    )


def test_pins_of_a_lock_file(tmp_path: Path) -> None:
    """A file that pins makes the rule “listed”; one that does not leaves the latest."""
    (tmp_path / "requirements.txt").write_text("idna==3.10\nattrs\n")
    text = '[[watch]]\nfiles = ["requirements.txt"]\nevery = "6h"\n'
    (entry,) = read(tmp_path, text).entries
    assert isinstance(entry.item, Watch)
    assert (("attrs", "idna"), {"idna": ("3.10",)}) == (entry.item.packages, entry.item.pins)
    assert VersionRule.LISTED is entry.item.versions.rule
    (tmp_path / "requirements.txt").write_text("idna\n")
    (entry,) = read(tmp_path, text).entries
    assert isinstance(entry.item, Watch)
    assert VersionRule.LATEST is entry.item.versions.rule


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('evry = "6h"', "line 3, watch.evry: is not known here (“every” is)"),
        ("every = 6", "line 3, watch.every: must be a text"),
        ('every = "6x"', "line 3, watch.every: '6x' is no duration"),
        ('every = "5s"', "line 3, watch.every: it must be at least “1m”"),
        ('cron = "61 * * * *"', "line 3, watch.cron: '61 * * * *' cannot be followed: there is no"),
        ('cron = "0 0 30 2 *"', "line 3, watch.cron: '0 0 30 2 *' cannot be followed: there is no"),
        ('cron = "0 0 * * *"\ntime_zone = "Berlin"', "line 4, watch.time_zone: 'Berlin' is no time zone"),
        ('every = "1h"\njitter = "2h"', "line 4, watch.jitter: it must be less"),
        ('every = "1h"\ncron = "0 0 * * *"', "line 4, watch.cron: stands beside “every”"),
        ("priority = 3", "line 1, watch.every: is missing"),
        ('every = "1h"\npriority = 10', "line 4, watch.priority: must be at most 9."),
        ('every = "1h"\ntier = "fast"', "line 4, watch.tier: must be one of 'quick', 'source' or 'full'."),
        ('every = "1h"\nversions = "newest"', "line 4, watch.versions: must be “latest”"),
        ('every = "1h"\nversions = { newest = 0 }', "line 4, watch.versions: newest must be greater than 0."),
        ('every = "1h"\nversions = { since = "2026-01-01" }', "line 4, watch.versions: since must be a date"),
        ('every = "1h"\nversions = { since = 2026-02-30 }', "line 4: This is not readable as TOML"),
        ('every = "1h"\nversions = "listed"', "line 4, watch.versions: is “listed”, but no file"),
        (
            'every = "1h"\necosystem = "cpan"',
            "line 4, watch.ecosystem: 'cpan' is not known; known are deb",
        ),
        ('every = "1h"\nfiles = ["no.txt"]', "line 4, watch.files: "),
        ('every = "1h"\nfiles = ["locks/*.toml"]', "line 4, watch.files: no file matches 'locks/*.toml'."),
        ('every = "1h"\nfiles = ["/**/x"]', "line 4, watch.files: '/**/x' has “**”"),
        ('every = "1h"\nname = 3', "line 4, watch.name: must be a text in quotes."),
        ('every = "1h"\nenabled = "no"', "line 4, watch.enabled: must be true or false"),
        (
            'every = "1h"\n[watch.limits]\nwall_secs = 3',
            "line 5, watch.wall_secs: is not known here (“wall_seconds” is)",
        ),
        ('every = "1h"\n[watch.limits]\nprocesses = 0', "line 5, watch.processes: must be greater than 0."),
        ('every = "1h"\nlimits = 3', "line 4, watch.limits: must be a table."),
    ],
)
def test_mistakes(tmp_path: Path, lines: str, expected: str) -> None:
    """The sentence has the file, the line and the key."""
    reading = read(tmp_path, f'[[watch]]\npackages = ["idna"]\n{lines}\n')
    (problem,) = reading.problems
    assert f"work.toml, {expected}" in problem.label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "work.toml: has no [[watch]] and no [[recheck]]."),
        ('every = "6h"\n', "line 1, every: is not known here"),
        ('[watch]\nevery = "6h"\n', "line 1, watch: must be written with double brackets: [[watch]]."),
        ("[[watch]\n", "line 1: This is not readable as TOML"),
        ('[[watch]]\nname = "x\n', "line 2: This is not readable as TOML"),
        ('[[watch]]\nevery = "6h"\n', "line 1, watch.packages: is missing"),
        ('[[watch]]\npackages = [\n  "idna",\n  "no way",\n]\nevery = "6h"\n', "line 4, watch.packages: 'no way' is"),
        ('[[watch]]\npackages = ["idna==3.10"]\nevery = "6h"\n', "versions are chosen by “versions”"),
        ('[[watch]]\npackages = [\n  "idna",\n  3,\n]\nevery = "6h"\n', "line 2, watch.packages: must be a text"),
        ('[[recheck]]\nevery = "6h"\ncheck = "all"\n', "line 3, recheck.check: must be one of 'verify', 'inputs'"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, expected: str) -> None:
    """Mistakes in the shape of a file, and entries of lists on their own lines."""
    (problem,) = read(tmp_path, text).problems
    assert expected in problem.label


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Each table is looked at, and each key of it."""
    reading = read(tmp_path, '[[watch]]\na = 1\nb = 2\n[[watch]]\npackages = ["x"]\n[[recheck]]\nevery = 1\n')
    assert [2, 3, 4, 7] == [problem.line for problem in reading.problems]


def test_every_mistake_of_a_table_is_told(tmp_path: Path) -> None:
    """Not only the first: shape, names, times, files and limits, each with its line and key; nothing twice."""
    text = """[[watch]]
name = 3
ecosystem = "cpan"
packages = ["no way", "idna", "also no"]
files = ["none.txt", "no*.lock"]
every = "5s"
time_zone = "Nowhere"
versions = { newest = 0 }
priority = 99
[watch.limits]
processes = 0
wall_seconds = -1
[[recheck]]
older_than = "x"
check = "all"
packages = ["?!"]
cron = "61 * * * *"
"""
    expected = {
        ("watch.name", 2),
        ("watch.ecosystem", 3),
        ("watch.packages", 4),
        ("watch.files", 5),
        ("watch.every", 6),
        ("watch.time_zone", 7),
        ("watch.versions", 8),
        ("watch.priority", 9),
        ("watch.processes", 11),
        ("watch.wall_seconds", 12),
        ("recheck.older_than", 14),
        ("recheck.check", 15),
        ("recheck.packages", 16),
        ("recheck.cron", 17),
    }
    problems = read(tmp_path, text).problems
    assert expected == {(each.key, each.line) for each in problems}
    assert 16 == len({each.label for each in problems}) == len(problems)


@pytest.mark.parametrize("text", ["watch = [1, 2]", "watch = 3", "watch = [[]]", 'recheck = ["x"]'])
def test_tables_that_are_none(tmp_path: Path, text: str) -> None:
    """A list of something else is a sentence, never a traceback."""
    assert read(tmp_path, text + "\n").problems


def test_ten_thousand_mistakes(tmp_path: Path) -> None:
    """They are not all told, and that is said."""
    names = ", ".join(f'"no {each}"' for each in range(10_000))
    problems = read(tmp_path, f'[[watch]]\nevery = "6h"\npackages = [{names}]\n').problems
    assert (201, "work.toml: has more mistakes; the first 200 are told.") == (len(problems), problems[-1].label)


def test_a_disabled_watch_needs_no_files(tmp_path: Path) -> None:
    """It is checked for mistakes, but its files may be missing."""
    reading = read(tmp_path, '[[watch]]\nenabled = false\nfiles = ["none.txt"]\nevery = "6h"\n')
    assert ([], []) == (reading.entries, reading.problems)


@pytest.mark.parametrize("path", sorted(resource("schedules").glob("*.toml")), ids=lambda path: path.name)
def test_shipped_files_are_right(path: Path) -> None:
    """Without a change, and without a lock file."""
    assert [] == read_file(path).problems


def examples() -> list[str]:
    """What the page about schedules and the file beside the shipped ones show."""
    pages = [resource("schedules") / "README.md", resource("schedules").parent / "docs" / "schedules.md"]
    return [text for page in pages for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("text", examples())
def test_documented_examples_are_right(tmp_path: Path, text: str) -> None:
    """Each can be copied as it is, once the files it names are there."""
    for place in re.findall(r'"/srv(/[^"]+)"', text):
        path = tmp_path / place[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("version = 1\n" if path.suffix == ".lock" else "idna==3.10\n")
    reading = read(tmp_path, text.replace("/srv", str(tmp_path)))
    assert [] == reading.problems
    assert text.count("[[") == len(reading.entries)


def test_every_key_is_documented() -> None:
    """The page names each key in a row of a table, and no other."""
    page = (resource("schedules").parent / "docs" / "schedules.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert {*keys("watch"), *keys("recheck")} == rows
