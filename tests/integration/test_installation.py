"""The documented installation gives what is locked: beside newer releases of everything, and without an index."""

from __future__ import annotations

import io
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.fakes.web_server import served

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / ".build" / "wheelhouse"
NEWER = "9999.0"


@pytest.fixture(scope="module")
def wheelhouse() -> Path:
    """The locked files, as ``make tests`` keeps them."""
    if not (WHEELHOUSE / ".complete").is_file():
        pytest.fail("The locked files have not been kept yet; run `make .build/wheelhouse/.complete`.", pytrace=False)
    return WHEELHOUSE


def locked(*locks: str) -> dict[str, str]:
    """Name to version of what lock files list for this interpreter."""
    found: dict[str, str] = {}
    for lock in locks:
        for line in (ROOT / lock).read_text().splitlines():
            if re.match(r"[a-z0-9]", line):
                requirement = Requirement(line.removesuffix("\\").strip())
                if requirement.marker is None or requirement.marker.evaluate():
                    found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    assert found
    return found


def newer_release(name: str) -> tuple[str, bytes]:
    """A wheel of a release newer than any: what a resolver would rather have."""
    stem = f"{name.replace('-', '_')}-{NEWER}"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return f"{stem}-py3-none-any.whl", content.getvalue()


@contextmanager
def index_with_newer_releases(wheelhouse: Path, directory: Path) -> Iterator[str]:
    """A simple index (PEP 503) with the locked files, and a newer release of each project."""
    files = directory / "files"
    files.mkdir()
    projects: dict[str, list[str]] = {}
    for wheel in wheelhouse.glob("*.whl"):
        (files / wheel.name).symlink_to(wheel)
        projects.setdefault(parse_wheel_filename(wheel.name)[0], []).append(wheel.name)
    for name, names in projects.items():
        newer, content = newer_release(name)
        (files / newer).write_bytes(content)
        page = directory / "simple" / name
        page.mkdir(parents=True)
        links = "".join(f'<a href="/files/{each}">{each}</a>\n' for each in [*names, newer])
        (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")

    with served(directory) as address:
        yield f"{address}/simple"


def run(command: list[str], home: Path, **settings: str) -> str:
    """Run a command of the documentation in the checkout, with no settings of pip but these; what it printed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "PIP_CONFIG_FILE": os.devnull}
    environment |= {"PIP_NO_COMPILE": "1", "PIP_NO_CACHE_DIR": "1"}  # half the time; what is installed is the same
    done = subprocess.run(
        command, cwd=ROOT, env=environment | settings, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(venv: Path, home: Path) -> dict[str, str]:
    """Name to version of what a virtual environment holds, but for the rebuilder and what came with Python."""
    listed = run([str(venv / "bin/python"), "-m", "pip", "list", "--format=freeze"], home)
    found = dict(line.split("==") for line in listed.splitlines() if "==" in line)
    return {
        canonicalize_name(name): version for name, version in found.items() if name not in {"rebuilder", "setuptools"}
    }


def test_newer_releases_do_not_get_in(wheelhouse: Path, tmp_path: Path) -> None:
    """``make install`` installs the locked set though the index has something newer of each project."""
    venv = tmp_path / "venv"
    with index_with_newer_releases(wheelhouse, tmp_path) as url:
        run(["make", f"VENV={venv}", f"{venv}/.installed"], tmp_path, PIP_INDEX_URL=url)
    assert locked("requirements-build.lock", "requirements-dev.lock") == installed(venv, tmp_path)


def test_without_an_index(wheelhouse: Path, tmp_path: Path) -> None:
    """The command of the guide installs from a directory of the locked files alone; verifying needs no extra."""
    venv = tmp_path / "venv"
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheelhouse)}
    run(["tools/install-python", str(venv), "requirements.lock"], tmp_path, **settings)
    found = installed(venv, tmp_path)
    assert locked("requirements-build.lock", "requirements.lock") == found
    assert not {"fastapi", "apprise", "apscheduler", "psycopg"} & found.keys()
    assert "rebuilder 0.1.0\n" == run([str(venv / "bin/rebuilder"), "--version"], tmp_path)
    assert "SUBJECT" in run([str(venv / "bin/rebuilder"), "verify", "--help"], tmp_path)


def test_an_installation_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    """An upgrade without an index, or with a broken interpreter, costs nobody the program."""
    program = tmp_path / "rebuilder" / "bin" / "rebuilder"
    program.parent.mkdir(parents=True)
    program.write_text("the one before\n")
    command = [str(ROOT / "tools" / "install-python"), str(tmp_path / "rebuilder"), "requirements-service.lock"]
    done = subprocess.run(command, env={**os.environ, "PYTHON": "false"}, capture_output=True, text=True, check=False)
    assert 1 == done.returncode
    assert "is as it was before" in done.stderr
    assert "the one before\n" == program.read_text()
    assert ["rebuilder"] == [each.name for each in tmp_path.iterdir()]


def test_the_lock_files_agree() -> None:
    """One project has one version, whichever lock file is installed; every line has a hash, none names a host."""
    every = locked("requirements-dev.lock")
    for lock in ("requirements.lock", "requirements-service.lock", "requirements-build.lock"):
        assert locked(lock).items() <= every.items()
        text = (ROOT / lock).read_text()
        assert "://" not in text
        assert len(re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)) <= text.count("--hash=sha256:")
    assert locked("requirements.lock").items() < locked("requirements-service.lock").items()


def test_every_documented_installation_uses_it() -> None:
    """Makefile, container and guide install by the one command that was tried above; nothing resolves beside it."""
    for name in ("Makefile", "Dockerfile", "docs/operate.md"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        assert "tools/install-python" in text, name
        by_pip = [line for line in text.splitlines() if re.search(r"\bpip\S* .*\binstall\b", line)]
        assert [] == [line for line in by_pip if "--no-deps --require-hashes" not in line], name
