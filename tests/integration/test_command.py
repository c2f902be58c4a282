"""The command under odd circumstances: closed pipes, odd arguments, places that overlap."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fakes.command import Installation


@pytest.fixture
def installation(tmp_path: Path, environments_root: Path) -> Installation:
    """An empty installation; its index answers nothing."""
    return Installation.make(tmp_path, environments_root, "http://127.0.0.1:9/simple")


def shell(installation: Installation, script: str) -> subprocess.CompletedProcess[str]:
    """Run ``$R`` in a shell."""
    environment = installation.environment | {"R": installation.command()[0]}
    return subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=600
    )


def test_version(installation: Installation) -> None:
    """It is printed, and that is all."""
    done = shell(installation, "$R --version")
    assert (0, "rebuilder 0.1.0\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("script", ["$R --help >&-", "$R --help 2>&-", "$R trust show >&- 2>&-"])
def test_closed_streams(installation: Installation, script: str) -> None:
    """A stream that was closed is no reason for a traceback."""
    done = shell(installation, script)
    assert (0, "") == (done.returncode, done.stderr)


def test_reader_that_goes_away(installation: Installation) -> None:
    """Then it ends as programs do that a closed pipe ends; 1 would mean a difference."""
    done = shell(installation, "set -o pipefail; $R trust show | true")
    assert done.returncode in {0, 141}
    assert "Traceback" not in done.stderr


def test_full_output(installation: Installation) -> None:
    """What cannot be printed is told, as our trouble."""
    done = shell(installation, "$R trust show > /dev/full")
    assert 4 == done.returncode
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("/etc/passwd", "is not a package or a wheel"),
        ("/etc", "is not a package or a wheel"),
        ("./none-1-py3-none-any.whl", "There is no file"),
        ("a" * 5000 + ".whl", "cannot be read"),
        ("a" * 300 + "/x", "cannot be read"),
    ],
)
def test_odd_paths(installation: Installation, subject: str, words: str) -> None:
    """Anything that is no wheel is wrong use, told in a sentence, and nothing is raised about it."""
    answer = installation.run("verify", subject)
    assert 2 == answer.code, answer.words
    assert words in answer.words
    assert len(answer.words) < 600
    assert not (installation.site / "alarms.html").exists()


def test_empty_file_with_a_good_name(installation: Installation, tmp_path: Path) -> None:
    """A file that is no archive at all is wrong use, not an alarm about its project."""
    path = tmp_path / "idna-3.20-py3-none-any.whl"
    path.touch()
    answer = installation.run("verify", path)
    assert (2, True) == (answer.code, "no ZIP archive" in answer.words)


def test_site_around_the_key(installation: Installation) -> None:
    """The site never takes the private key along."""
    keys = installation.environment["REBUILDER_KEYS"]
    answer = installation.run("verify", "--site", keys, "pypi:idna==3.20")
    assert 2 == answer.code
    assert "private key" in answer.words
    assert not os.path.lexists(keys)


def test_site_among_other_files(installation: Installation, tmp_path: Path) -> None:
    """Somebody's own directory is left as it is."""
    place = tmp_path / "mine"
    place.mkdir()
    (place / "letter.txt").touch()
    answer = installation.run("verify", "--site", place, "pypi:idna==3.20")
    assert 2 == answer.code
    assert str(place) in answer.words
    assert ["letter.txt"] == [each.name for each in place.iterdir()]


def test_nothing_is_for_everybody_to_write(installation: Installation) -> None:
    """Whatever umask the command was started with: the next verdict rests on what is in the store."""
    (installation.root / "store" / "toolchains").unlink()
    done = shell(installation, "umask 000; $R verify pypi:idna==99; $R publish")
    assert 0 == done.returncode, done.stderr
    places = [installation.root / name for name in ("store", "keys", "site")]
    found = [each for place in places for each in [place, *place.rglob("*")] if not each.is_symlink()]
    assert [] == [each for each in found if each.stat().st_mode & 0o002 and each != installation.store]
    assert len(found) > 10


def test_a_key_directory_of_everybody_is_refused(installation: Installation) -> None:
    """The sentence names the directory, and the hint is the command that mends it."""
    keys = installation.root / "keys"
    keys.mkdir()
    keys.chmod(0o777)
    done = shell(installation, "$R verify pypi:idna==3.20")
    assert 4 == done.returncode
    assert f"chmod 700 {keys}" in done.stderr
    assert "Traceback" not in done.stderr
