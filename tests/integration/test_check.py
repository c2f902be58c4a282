"""``rebuilder check`` as somebody who installs uses it: lock files against genuine published sites."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rebuilder.cli import check, export
from rebuilder.errors import ExitCode, UsageError
from rebuilder.log.note import NoteKey
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.published import PublishedRebuilder, identical, requirement

FOUND = [identical("alpha"), identical("beta"), identical("gamma")]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> PublishedRebuilder:
    """A rebuilder that knows three wheels, one that is equivalent, one that differs, one that it cannot build."""
    rebuilder = PublishedRebuilder(tmp_path_factory.mktemp("one"))
    blobs = MemoryBlobs()
    rebuilder.publish(*FOUND, reports.equivalent(blobs), reports.differs(blobs), reports.unsupported(blobs))
    return rebuilder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> PublishedRebuilder:
    """Another one, with other keys, that knows two of them."""
    rebuilder = PublishedRebuilder(tmp_path_factory.mktemp("two"))
    rebuilder.publish(*FOUND[:2])
    return rebuilder


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file with the three wheels."""
    file = tmp_path / "requirements.txt"
    file.write_text(requirement(FOUND))
    return file


class Consumer:
    """Somebody with a memory of their own."""

    def __init__(self, seen: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.seen = seen
        self._capsys = capsys

    def check(self, *subjects: Path, at: list[Path | str], **given: Any) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON."""
        options: dict[str, Any] = {
            "need": None,
            "policy_file": None,
            "all_platforms": False,
            "offline": True,
            "kind": "json",
            "seen": self.seen,
        }
        names = [str(each) for each in subjects]
        code = check.run(names, rebuilders=[str(each) for each in at], **(options | given))
        return code, json.loads(self._capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def consumer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Consumer:
    """Somebody who has seen nothing yet."""
    return Consumer(tmp_path / "seen", capsys)


def test_everything_is_confirmed(
    one: PublishedRebuilder, two: PublishedRebuilder, lock: Path, consumer: Consumer
) -> None:
    """One rebuilder confirms all of it; of two that are asked for, one lacks one file."""
    code, said = consumer.check(lock, at=[one.site])
    assert (code, said["counts"]["passed"], said["total"]) == (ExitCode.OK, 3, 3)
    assert {each["level"] for each in said["answers"]} == {"build-alone"}
    code, said = consumer.check(lock, at=[one.site, two.site], need=2)
    assert (code, said["counts"]["passed"], said["counts"]["undecided"]) == (ExitCode.UNDECIDED, 2, 1)
    assert said["answers"][2]["sentence"].startswith("1 rebuilder confirms it; 2 have to.")


def test_a_table_ends_with_the_counts(
    one: PublishedRebuilder, lock: Path, consumer: Consumer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every dependency has a line; what does not pass says why; the last line has the denominator."""
    lock.write_text(
        requirement([*FOUND, reports.equivalent(MemoryBlobs()), reports.differs(MemoryBlobs())])
        + f"unknown==1.0 --hash=sha256:{'ab' * 32}\nunhashed==2\n"
    )
    options: dict[str, Any] = {"need": None, "policy_file": None, "all_platforms": False, "offline": True}
    code = check.run([str(lock)], rebuilders=[str(one.site)], kind="table", seen=consumer.seen, **options)
    lines = capsys.readouterr().out.splitlines()
    assert code == ExitCode.DIFFERS
    assert lines[-1] == (
        "4 of 7 are confirmed (3 by the build alone, 1 with the same content); 2 undecided, 1 differs."
    )
    assert any(line.startswith("≠ almanac==2.0") for line in lines)
    assert any("any bytes could be installed" in line for line in lines)


def test_copies_of_one_site_are_one_vote(
    one: PublishedRebuilder, lock: Path, consumer: Consumer, tmp_path: Path
) -> None:
    """Who mirrors a rebuilder does not make another one of it."""
    mirror = shutil.copytree(one.site, tmp_path / "mirror")
    code, said = consumer.check(lock, at=[one.site, mirror], need=2)
    assert (code, said["counts"]["undecided"]) == (ExitCode.UNDECIDED, 3)


def test_one_file_without_a_network(one: PublishedRebuilder, lock: Path, consumer: Consumer, tmp_path: Path) -> None:
    """A bundle says what the site said, and is the same bytes each time; more than it holds it does not say."""
    bundles = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for each in bundles:
        export.export([str(one.site)], lock_file=[lock], output=each)
    assert bundles[0].read_bytes() == bundles[1].read_bytes()
    code, said = consumer.check(lock, at=[bundles[0]])
    assert (code, said["counts"]["passed"]) == (ExitCode.OK, 3)
    assert "nothing but the bundle vouches" in said["remarks"][0]
    other = tmp_path / "other.txt"
    other.write_text(requirement([reports.equivalent(MemoryBlobs())]))
    assert consumer.check(other, at=[bundles[0]])[0] == ExitCode.UNDECIDED


def test_a_policy(
    one: PublishedRebuilder, two: PublishedRebuilder, lock: Path, consumer: Consumer, tmp_path: Path
) -> None:
    """Rebuilders, how many, an exception until a day; after it, the exception is named and does not count."""
    policy, key = tmp_path / "policy.toml", (one.site / "log/key").read_text().strip()
    policy.write_text(
        f'need = 2\nlevel = "build-alone"\nmax_age_days = 30\n'
        f'[[rebuilders]]\nplace = "{one.site}"\nname = "one"\nlog_key = "{key}"\n'
        f'[[rebuilders]]\nplace = "{two.site}"\n'
        f'[[exceptions]]\npackage = "Gamma"\nuntil = 2999-01-01\nreason = "looked at by hand"\n'
    )
    code, said = consumer.check(lock, at=[], policy_file=policy)
    assert (code, said["counts"]["passed"], said["counts"]["excepted"]) == (ExitCode.OK, 2, 1)
    assert "looked at by hand" in said["answers"][2]["sentence"]
    policy.write_text(policy.read_text().replace("2999-01-01", "2020-01-01"))
    code, said = consumer.check(lock, at=[], policy_file=policy)
    assert code == ExitCode.UNDECIDED
    assert "ended on 2020-01-01" in said["answers"][2]["sentence"]
    later = datetime.now(UTC) + timedelta(days=31)
    code, said = consumer.check(lock, at=[], policy_file=policy, now=later)
    assert (code, said["counts"]["passed"]) == (ExitCode.UNDECIDED, 0)
    assert "older than 30 days" in said["answers"][0]["sentence"]


def test_what_nobody_signed_is_not_confirmed(
    one: PublishedRebuilder, two: PublishedRebuilder, consumer: Consumer, tmp_path: Path
) -> None:
    """However many rebuilders say it, unless a policy takes it by name."""
    found = reports.unauthenticated(MemoryBlobs())
    for each in (one, two):
        each.publish(found)
    lock, policy = tmp_path / "lock.txt", tmp_path / "policy.toml"
    lock.write_text(requirement([found]))
    code, said = consumer.check(lock, at=[one.site, two.site])
    assert (code, said["counts"]["passed"]) == (ExitCode.UNDECIDED, 0)
    assert "unauthenticated is less than equivalent" in said["answers"][0]["sentence"]
    for level, passed in (("normalised", 0), ("unauthenticated", 1)):
        policy.write_text(f'level = "{level}"\n')
        code, said = consumer.check(lock, at=[one.site, two.site], policy_file=policy)
        assert passed == said["counts"]["passed"]
    assert (ExitCode.OK, "unauthenticated") == (code, said["answers"][0]["level"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("need = 0", "need"),
        ("ned = 1", "“need” is"),
        ('[[exceptions]]\npackage = "a"\nuntil = 2030-01-01', "reason"),
        ('level = "perfect"', "level"),
        ('[[rebuilders]]\nplace = "x"\nlog_key = "nonsense"', "log_key"),
        ("need = ", "TOML"),
    ],
)
def test_a_policy_with_a_mistake(text: str, words: str, lock: Path, consumer: Consumer, tmp_path: Path) -> None:
    """Wrong use, with the key that is wrong."""
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    with pytest.raises(UsageError, match=words):
        consumer.check(lock, at=[], policy_file=policy)


def test_more_rebuilders_than_there_are(one: PublishedRebuilder, lock: Path, consumer: Consumer) -> None:
    """Nobody could ever pass."""
    with pytest.raises(UsageError, match="2 rebuilders must confirm"):
        consumer.check(lock, at=[one.site], need=2)


def test_another_log_at_the_same_place(
    one: PublishedRebuilder, two: PublishedRebuilder, lock: Path, consumer: Consumer, tmp_path: Path
) -> None:
    """A place that shows the site of somebody else is refused, from the second look on or by a pinned key."""
    mirror = shutil.copytree(one.site, tmp_path / "mirror")
    assert consumer.check(lock, at=[mirror])[0] == ExitCode.OK
    shutil.rmtree(mirror)
    shutil.copytree(two.site, mirror)
    code, said = consumer.check(lock, at=[mirror])
    assert code == ExitCode.DIFFERS
    assert "not signed by the key" in said["refused"][0]
    policy = tmp_path / "policy.toml"
    key = (one.site / "log/key").read_text().strip()
    policy.write_text(f'[[rebuilders]]\nplace = "{two.site}"\nlog_key = "{key}"\n')
    assert consumer.check(lock, at=[], policy_file=policy)[0] == ExitCode.DIFFERS
    assert NoteKey.read(key).vkey == key
