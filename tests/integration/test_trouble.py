"""When the machine lets us down: one sentence, exit code 4, and the next run carries on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.command import Answer, Installation
from tests.fakes.projects import EPOCH, UPLOADED, build, make_sdist, minibackend_wheel
from tests.fakes.registry import Fault, Registry, server_error

SUBJECT = "pypi:sound==1.0"


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry with one release that comes out bit for bit."""
    sdist = make_sdist("sound", "1.0")
    with Registry() as running:
        running.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        running.add(sdist, uploaded=UPLOADED)
        running.add(build(sdist, epoch=EPOCH), uploaded=UPLOADED)
        yield running


def assert_told(answer: Answer, *words: str) -> None:
    """Our own trouble: exit code 4, a sentence with these words, no traceback."""
    assert answer.code == 4, answer.words
    assert "Traceback" not in answer.words
    told = answer.words + "".join(str(line) for line in answer.lines)
    assert [] == [word for word in words if word not in told]


def assert_carries_on(installation: Installation) -> None:
    """The next run on the same store works."""
    answer = installation.verify(SUBJECT)
    assert (answer.code, answer.line["verdict"]) == (0, "reproduced"), answer.words


def in_mount_namespace(installation: Installation, script: str, *arguments: str) -> Answer:
    """Run the command after mounting something, seen by nobody else."""
    command = ["unshare", "--mount", "sh", "-euc", f'{script}; exec "$@"', "sh", *installation.command(*arguments)]
    done = subprocess.run(
        command, env=installation.environment, capture_output=True, text=True, check=False, timeout=300
    )
    return Answer(done.returncode, [], done.stderr)


@pytest.mark.parametrize("missing", ["bwrap", "mmdebstrap"])
def test_missing_program(registry: Registry, tmp_path: Path, environments_root: Path, missing: str) -> None:
    """A machine without a needed program refuses with the command that installs it."""
    installation = Installation.make(tmp_path, environments_root, registry.url)
    if missing == "mmdebstrap":
        (installation.store / "toolchains").unlink()
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in ("/usr/bin", "/usr/sbin"):
        for program in Path(folder).iterdir():
            if program.name != missing and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program)
    environment = installation.environment | {"PATH": str(programs)}
    done = subprocess.run(
        installation.command("verify", SUBJECT), env=environment, capture_output=True, text=True, check=False
    )
    package = "bubblewrap" if missing == "bwrap" else missing
    assert_told(Answer(done.returncode, [], done.stderr), package)
    if missing == "bwrap":
        assert_carries_on(installation)


def test_store_on_a_full_disk(installation: Installation) -> None:
    """A full disk is told as such and leaves a store that works once there is room."""
    target = installation.root / "small"
    target.mkdir()
    script = (
        f"mount -t tmpfs -o size=300k tmpfs {target} && mkdir {target}/store"
        f" && ln -s {(installation.store / 'toolchains').resolve()} {target}/store/toolchains"
    )
    answer = in_mount_namespace(installation, script, "verify", "--store", str(target / "store"), SUBJECT)
    assert_told(answer, "full")


def test_read_only_store(installation: Installation) -> None:
    """A store that cannot be written is told before any work is done."""
    assert_carries_on(installation)
    script = f"mount --bind {installation.store} {installation.store} && mount -o remount,ro,bind {installation.store}"
    assert_told(in_mount_namespace(installation, script, "verify", SUBJECT), "Read-only")
    assert_carries_on(installation)


def test_corrupt_ledger(installation: Installation) -> None:
    """A ledger that is not a database is told; it is not overwritten."""
    assert_carries_on(installation)
    ledger = installation.store / "ledger.sqlite"
    ledger.write_bytes(b"This is not a database. " * 400)
    for extra in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (installation.store / extra).unlink(missing_ok=True)
    assert_told(installation.verify(SUBJECT), "ledger.sqlite")
    assert ledger.read_bytes().startswith(b"This is not a database.")


def test_corrupt_blob_is_noticed_and_fetched_again(installation: Installation, registry: Registry) -> None:
    """A blob that rotted is never built from: it is noticed, and the next run has good bytes again."""
    assert_carries_on(installation)
    sdist = make_sdist("sound", "1.0")
    [blob] = (installation.store / "blobs").rglob(f"*{sdist.sha256[4:]}")
    blob.chmod(0o644)
    blob.write_bytes(b"rotten")
    first = installation.verify(SUBJECT)
    assert "Traceback" not in first.words
    assert first.code in {0, 4}, "noticed: mended on the way, or told"
    assert_carries_on(installation)


def test_index_trouble(installation: Installation, registry: Registry) -> None:
    """Errors that pass are ridden out; wrong bytes are never built from."""
    registry.fault("/simple/sound/", server_error(503), times=1)
    assert_carries_on(installation)
    sdist = make_sdist("other", "1.0")
    wheel = build(sdist, epoch=EPOCH)
    registry.add(sdist, uploaded=UPLOADED)
    registry.add_file("other", wheel.filename, wheel.data + b"tail", uploaded=UPLOADED, sha256=wheel.sha256)
    assert_told(installation.verify("pypi:other==1.0"), wheel.filename)


def test_truncated_index_page(installation: Installation, registry: Registry) -> None:
    """Half a page is not a page."""
    registry.fault("/simple/sound/", Fault(truncate=20), times=20)
    assert_told(installation.verify(SUBJECT), "sound")


def test_two_processes_on_one_store(installation: Installation) -> None:
    """Two runs at once give two proper answers and one consistent store."""
    command = installation.command("verify", "--json", SUBJECT)
    running = [
        subprocess.Popen(
            command, env=installation.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    answers = [(*process.communicate(timeout=300), process.returncode) for process in running]
    assert [0, 0] == [code for _, _, code in answers], answers
    assert all('"reproduced"' in out for out, _, _ in answers)
    assert_carries_on(installation)


@pytest.mark.parametrize("stage", ["fetch", "resolve", "build", "compare", "sign", "publish"])
def test_killed_at_any_stage(installation: Installation, stage: str) -> None:
    """SIGKILL in the middle leaves no process behind, no half-written page, and a store that works."""
    installation.killed_at(SUBJECT, stage)
    assert_carries_on(installation)
    left = [path for path in installation.root.rglob("*") if path.is_file() and ".tmp" in path.name]
    assert left == []
