"""Caches forget what nobody asks for; what is in use stays."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.definition import EnvironmentRef
from rebuilder.service.housekeeping import UNFINISHED, Housekeeping, prune, prune_repositories
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.environments import TinyMaker
from tests.fakes.ledgers import open_ledger

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)


def file(path: Path, *, days: float) -> Path:
    """A file that was written some days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    then = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (then, then))
    return path


def repository(cache: Path, name: str, *, days: float) -> Path:
    """A repository that was opened last some days ago."""
    place = cache / f"{name}.git"
    place.mkdir(parents=True)
    (place / "HEAD").write_text("ref: refs/heads/main")
    file(cache / f"{name}.lock", days=days)
    return place


def test_no_cache_yet(tmp_path: Path) -> None:
    """A directory that is not there has nothing in it."""
    assert 0 == prune(tmp_path / "none", ["*"], BEFORE) == prune_repositories(tmp_path / "none", BEFORE)


def test_old_documents_go(tmp_path: Path) -> None:
    """The young one stays."""
    old, young = file(tmp_path / "a.json", days=31), file(tmp_path / "b.json", days=29)
    assert prune(tmp_path, ["*"], BEFORE) == 1
    assert (False, True) == (old.exists(), young.exists())


def test_old_repositories_go(tmp_path: Path) -> None:
    """One that was opened lately stays, however old its files are; locks stay."""
    old, young = repository(tmp_path, "old", days=31), repository(tmp_path, "young", days=1)
    assert prune_repositories(tmp_path, BEFORE) == 1
    assert (False, True) == (old.exists(), young.exists())
    assert (tmp_path / "old.lock").exists()


def test_a_repository_in_use_stays(tmp_path: Path) -> None:
    """Somebody fetches into it for longer than one would think."""
    used = repository(tmp_path, "used", days=31)
    with (tmp_path / "used.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert prune_repositories(tmp_path, BEFORE) == 0
    assert used.exists()


def test_one_round(tmp_path: Path) -> None:
    """Caches and what was left half-made are gone through."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        for days, name in ((31, "old"), (29, "young")):
            ledger.cache_put("pypi", name, 1, NOW - timedelta(days=days))
        document = file(tmp_path / "cache" / "http" / "a.json", days=31)
        left = [
            file(tmp_path / "cache" / "uv" / "resolve-abc" / "pylock.toml", days=2).parent,
            file(tmp_path / "cache" / "http" / ".new-abc", days=2),
            file(tmp_path / "scratch" / "executable" / ".new-abc", days=2),
        ]
        os.utime(left[0], (NOW.timestamp() - 2 * 86400,) * 2)
        going_on = file(tmp_path / "scratch" / "executable" / ".new-def", days=0.5)
        Housekeeping(tmp_path, ledger, timedelta(days=30), FixedClock(NOW)).step()
        kept = [ledger.cache_get("pypi", "old"), ledger.cache_get("pypi", "young")]
    assert [None, 1] == kept
    assert not document.exists()
    assert ([], True) == ([each for each in left if each.exists()], going_on.exists())


def superseded(store: Path, maker: TinyMaker, *texts: str) -> list[str]:
    """Digests of environments that took each other's place long ago; the last one is in use."""
    environments = EnvironmentStore(store / "toolchains", FixedClock(NOW), maker=maker)
    digests: list[str] = []
    for text in texts:
        maker.text = text
        digests.append(environments.remake("trixie").sha256)
    for digest in digests[:-1]:
        file(store / "toolchains/trees" / digest / "superseded", days=31)
    return digests


def test_environments_are_state(tmp_path: Path) -> None:
    """One that a published report names stays for good, as does one in use or imported; one that nobody names goes."""
    maker = TinyMaker()
    elsewhere = EnvironmentStore(tmp_path / "elsewhere", FixedClock(NOW), maker=maker)
    elsewhere.export(elsewhere.get("trixie").sha256, tmp_path / "export")
    named, forgotten, current = superseded(tmp_path, maker, "a", "b", "c")
    environments = EnvironmentStore(tmp_path / "toolchains", FixedClock(NOW), maker=maker)
    imported = environments.import_(tmp_path / "export").sha256
    done = reports.reproduced(MemoryBlobs())
    first = done.attempts[0]
    definition = first.hypothesis.definition.replace(toolchain=EnvironmentRef(name="trixie", sha256=named))
    attempt = first.replace(hypothesis=first.hypothesis.replace(definition=definition))
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        number = ledger.begin(done.artifact, NOW)
        ledger.add_attempt(number, 0, attempt)
        ledger.finish(number, reports.signed(done.replace(attempts=(attempt,), toolchains=())))
        Housekeeping(tmp_path, ledger, timedelta(days=30), FixedClock(NOW)).step()
    assert {named, current, imported} == {each.name for each in (tmp_path / "toolchains/trees").iterdir()}
    assert forgotten not in {named, current, imported}
    assert {named, imported} == {environments.by_digest(each).sha256 for each in (named, imported)}


def test_environments_are_not_forgotten_at_once(tmp_path: Path) -> None:
    """What was in use until lately stays, and so does what is in use again."""
    maker = TinyMaker()
    lately, back, current = superseded(tmp_path, maker, "a", "b", "c")
    file(tmp_path / "toolchains/trees" / lately / "superseded", days=29)
    environments = EnvironmentStore(tmp_path / "toolchains", FixedClock(NOW), maker=maker)
    maker.text = "b"
    assert back == environments.remake("trixie").sha256
    assert 0 == environments.forget(set, BEFORE)
    assert {lately, back, current} == {each.name for each in (tmp_path / "toolchains/trees").iterdir()}


def test_half_imported_environments(tmp_path: Path) -> None:
    """What a killed import left goes; what was just begun stays."""
    old = tmp_path / "toolchains/making/import@abc"
    file(old / "root/etc/passwd", days=2)
    os.utime(old, (NOW.timestamp() - 2 * 86400,) * 2)
    young = file(tmp_path / "toolchains/making/import@def", days=0.5)
    assert 1 == prune(tmp_path, UNFINISHED, NOW - timedelta(days=1))
    assert (False, True) == (old.exists(), young.exists())
