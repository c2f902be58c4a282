"""The product against the real index: releases whose verdicts are known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent

IDENTICAL = [
    "jinja2==3.1.6",
    "urllib3==2.8.0",
    "pygments==2.21.0",
    "sigstore==4.5.1",
    "werkzeug==3.1.9",
    "pluggy==1.7.0",
    "httpcore==1.0.9",
    "poetry-core==2.5.0",
    "fastapi==0.165.0",
    "colorama==0.4.6",
    "idna==3.20",
    "tomli==2.5.0",
]
BY_THE_CLOCK = ["aiosignal==1.4.0", "gitpython==3.2.1"]


def verify(store: Path, *subjects: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command as a user does; give its exit code and its lines."""
    command = [str(BIN / "rebuilder"), "verify", "--json", "--store", str(store)]
    command += ["--keys", str(store.parent / "keys"), *subjects]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, environments_root: Path) -> Path:
    """One store for all, with the prepared build environments."""
    path = tmp_path_factory.mktemp("online") / "store"
    path.mkdir()
    (path / "toolchains").symlink_to(environments_root.absolute())
    return path


@pytest.mark.parametrize("release", IDENTICAL)
def test_bit_for_bit(store: Path, release: str) -> None:
    """The rebuild has the published digest; a wheel for this platform beside it is accounted for."""
    code, [*others, line] = verify(store, f"pypi:{release}")
    assert line["verdict"] == "reproduced", line["sentence"]
    assert line["subject"]["sha256"] == line["rebuilt"]["sha256"]
    assert {"accounted"} >= {each["verdict"] for each in others}
    assert code == (3 if others else 0)


@pytest.mark.parametrize("release", BY_THE_CLOCK)
def test_bit_for_bit_by_the_clock(store: Path, release: str) -> None:
    """Without SOURCE_DATE_EPOCH: recorded times are written into the archive, which has the digest then."""
    code, [line] = verify(store, f"pypi:{release}")
    assert (line["verdict"], line["attempts"]) == ("reproduced", 1), line["sentence"]
    assert "zip-times" in {each["name"] for each in line["replayed"]}, line["replayed"]
    assert code == 0


def test_platform_wheels_are_accounted_for(store: Path) -> None:
    """A compiled wheel is not rebuilt; each file in it is held against the source archive."""
    code, [line] = verify(store, "pypi:numpy==2.3.5")
    assert line["verdict"] == "accounted"
    assert "follows from the source archive" in line["sentence"]
    assert line["accounting"]["unaccounted"] == []
    assert code == 3


def test_no_such_release(store: Path) -> None:
    """A version that does not exist is wrong use, and nothing is stored about it."""
    code, [line] = verify(store, "pypi:idna==999.1")
    assert code == 2
    assert "999.1" in line["problem"]
