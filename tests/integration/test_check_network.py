"""``rebuilder check`` over the network: several sites at once, one that is down, an index that knows the names."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rebuilder.cli import check
from rebuilder.errors import ExitCode
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.loopback_index import LoopbackIndex, serving, wheel
from tests.fakes.published import PublishedRebuilder, identical, requirement
from tests.fakes.web_server import served

DOWN = "http://127.0.0.1:9/"
FOUND = [identical("alpha"), identical("beta")]


@pytest.fixture(scope="module")
def rebuilder(tmp_path_factory: pytest.TempPathFactory) -> PublishedRebuilder:
    """It confirms two wheels."""
    found = PublishedRebuilder(tmp_path_factory.mktemp("one"))
    found.publish(*FOUND)
    return found


@pytest.fixture
def address(rebuilder: PublishedRebuilder) -> Iterator[str]:
    """Of a web server that shows its site."""
    with served(rebuilder.site) as address:
        yield address


def checked(
    capsys: pytest.CaptureFixture[str], lock: Path, *places: object, **given: Any
) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON."""
    options: dict[str, Any] = {
        "need": None,
        "policy_file": None,
        "all_platforms": False,
        "offline": True,
        "kind": "json",
    }
    options |= {"seen": lock.parent / "seen", **given}
    code = check.run([str(lock)], rebuilders=[str(each) for each in places], **options)
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file with both."""
    file = tmp_path / "requirements.txt"
    file.write_text(requirement(FOUND))
    return file


def test_a_web_server(address: str, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same answers as from a directory, with the address of each report."""
    code, said = checked(capsys, lock, address)
    assert (code, said["counts"]["passed"]) == (ExitCode.OK, 2)
    report = said["answers"][0]["votes"][0]["report"]
    assert report.startswith(f"{address}/pypi/alpha/1.0/alpha-1.0-py3-none-any.whl/")


def test_a_site_that_is_down(address: str, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It matters only where its vote is needed, and is then no lack of votes but a lack of an answer."""
    code, said = checked(capsys, lock, address, DOWN)
    assert (code, len(said["remarks"])) == (ExitCode.OK, 2)
    code, said = checked(capsys, lock, address, DOWN, need=2)
    assert (code, said["counts"]["unanswered"]) == (ExitCode.OUR_FAULT, 2)


def test_places_of_one_key_with_two_histories(
    rebuilder: PublishedRebuilder, lock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever is shown one log here and another there sees it at the first look."""
    other = PublishedRebuilder(tmp_path / "other")
    shutil.copytree(rebuilder.config.keys, other.config.keys, dirs_exist_ok=True)
    (other.config.keys / "log.checkpoint").unlink()
    other.publish(reports.unsupported(MemoryBlobs()))
    # Its name is made of the key of the statements, which both have; so are the logs of one name and one key.
    code, said = checked(capsys, lock, rebuilder.site, other.site)
    assert code == ExitCode.DIFFERS
    assert "forked" in said["refused"][0]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackIndex]:
    """An index that lists a wheel and its source archive; the settings of pip name it."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    with serving(LoopbackIndex({"alpha-1.0.tar.gz": b"source"})) as found:
        monkeypatch.setenv("PIP_INDEX_URL", found.url)
        yield found


def test_digests_without_names(
    rebuilder: PublishedRebuilder, index: LoopbackIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two digests one is confirmed; which one is installed is asked of an index, or nobody knows."""
    known = FOUND[0].artifact
    lock = tmp_path / "requirements.txt"
    source = hashlib.sha256(b"source").hexdigest()
    lock.write_text(f"alpha==1.0 --hash=sha256:{source} --hash=sha256:{known.sha256}\n")
    look = partial(checked, capsys, lock, rebuilder.site)
    assert look()[0] == ExitCode.UNDECIDED
    code, said = look(offline=False)
    assert code == ExitCode.UNDECIDED  # the index does not list the wheel, so it could be any file
    index.more["alpha-1.0-py3-none-any.whl"] = {"hashes": {"sha256": known.sha256}}
    index.files["alpha-1.0-py3-none-any.whl"] = wheel("alpha", "1.0")
    code, said = look(offline=False)
    assert (code, said["answers"][0]["filename"]) == (ExitCode.OK, "alpha-1.0-py3-none-any.whl")
    assert look(offline=False, all_platforms=True)[1]["counts"] == {
        **dict.fromkeys(said["counts"], 0),
        "passed": 1,
        "undecided": 1,
    }
    index.files["alpha-1.0-1-py3-none-any.whl"] = b"another wheel, with a build number"
    more = hashlib.sha256(index.files["alpha-1.0-1-py3-none-any.whl"]).hexdigest()
    lock.write_text(f"{lock.read_text().strip()} --hash=sha256:{more}\n")
    assert look(offline=False)[0] == ExitCode.UNDECIDED  # pip would take that one
