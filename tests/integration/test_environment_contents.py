"""What is inside the real build environments: enough to build with, nothing that gives rights."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.tree import TIME, listing, walk

PLAIN = ["bullseye", "bookworm", "trixie", "forky"]
WITH_GIT = [f"{name}-git" for name in PLAIN]
NAMES = [*PLAIN, *WITH_GIT, "diffoscope"]


def inside(root: Path, *command: str, bind: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command on a read-only build environment with next to no environment."""
    if shutil.which("bwrap") is None:
        pytest.fail("bubblewrap is missing: apt-get install bubblewrap", pytrace=False)
    mounts = ["--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/build"]
    mounts += ["--tmpfs", "/tools", "--tmpfs", "/inputs", "--tmpfs", "/out", *bind]
    environment = ["--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp"]
    environment += ["--setenv", "LANG", "C.UTF-8"]
    argv = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", *mounts, *environment, "--chdir", "/tmp"]
    return subprocess.run([*argv, *command], capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.parametrize("name", NAMES)
def test_tree_is_settled(environments: EnvironmentStore, name: str) -> None:
    """Plain modes, one time, no device, and nothing of the machine that made it."""
    environment = environments.get(name)
    entries = [*walk(environment.root)]
    assert len(entries) > 100
    for path, status in entries:
        kind = stat.S_IFMT(status.st_mode)
        assert kind in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}, path
        assert kind == stat.S_IFLNK or stat.S_IMODE(status.st_mode) in {0o644, 0o755}, path
        assert TIME * 10**9 == status.st_mtime_ns, path
    for left_over in ("etc/resolv.conf", "etc/hostname", "var/lib/apt", "var/cache", "usr/share/doc"):
        assert not (environment.root / left_over).exists()
    recorded = (environment.root.parent / "listing").read_bytes()
    assert recorded == listing(environment.root)


@pytest.mark.parametrize("name", NAMES)
def test_basics_work(environments: EnvironmentStore, name: str) -> None:
    """Shell, awk, user names, host names, time zone and shared libraries are there without maintainer scripts."""
    environment = environments.get(name)
    script = (
        "import ctypes.util, hashlib, os, pwd, socket, sqlite3, ssl, subprocess, sys, time, zoneinfo\n"
        "assert ctypes.util.find_library('z')\n"
        "assert pwd.getpwuid(os.getuid()).pw_name == 'build'\n"
        "assert socket.gethostbyname('localhost') == '127.0.0.1'\n"
        "assert time.tzname == ('UTC', 'UTC'), time.tzname\n"
        "zoneinfo.ZoneInfo('Europe/Vienna')\n"
        "assert subprocess.check_output(['sh', '-c', 'echo x | awk {print}']) == b'x\\n'\n"
        "print('%d.%d' % sys.version_info[:2], hashlib.__cached__)\n"
    )
    done = inside(environment.root, "python3", "-c", script)
    version = environment.provides["python"]
    expected = f"{version} /usr/lib/python{version}/__pycache__/hashlib.cpython-{version.replace('.', '')}.pyc\n"
    assert (0, expected, "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_compiled_for_their_place(environments: EnvironmentStore, name: str) -> None:
    """Compiled modules name the path a build sees, none of the machine that made them."""
    environment = environments.get(name)
    compiled = sorted((environment.root / f"usr/lib/python{environment.provides['python']}").rglob("*.pyc"))
    assert len(compiled) > 300
    here = str(environment.root.parent.parent).encode()
    for file in compiled:
        data = file.read_bytes()
        assert b"\x01\x00\x00\x00" == data[4:8], "bound by hash, not checked at run time (PEP 552)"
        assert here not in data, file
        assert b"/making/" not in data, file


@pytest.mark.parametrize("name", WITH_GIT)
def test_git_without_perl(environments: EnvironmentStore, name: str) -> None:
    """Git makes, tags and describes a commit without the thousands of files of Perl."""
    script = (
        "git init -q --template= x && cd x && git config user.name A && git config user.email a@example.org && "
        "touch a && git add a && git commit -q -m A && git tag v1 && git describe --tags --long --dirty"
    )
    root = environments.get(name).root
    done = inside(root, "sh", "-c", script)
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("v1-0-g")
    assert not list((root / "usr").rglob("perl*"))


@pytest.mark.parametrize("name", PLAIN)
def test_uv_makes_environments(environments: EnvironmentStore, name: str) -> None:
    """The uv of this program makes a virtual environment on the build environment's interpreter, offline."""
    environment = environments.get(name)
    script = (
        "/tools/uv venv -q --offline --no-config --python /usr/bin/python3 /build/venv && /build/venv/bin/python -V"
    )
    done = inside(environment.root, "sh", "-c", script, bind=("--ro-bind", find_uv_bin(), "/tools/uv"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Python {environment.provides['python']}.")


@pytest.mark.parametrize("name", ["bullseye", "bookworm"])
def test_legacy_distutils(environments: EnvironmentStore, name: str) -> None:
    """Releases whose setup.py imports distutils without setuptools have it as long as Python has it."""
    done = inside(environments.get(name).root, "python3", "-W", "ignore", "-c", "import distutils.core")
    assert (0, "") == (done.returncode, done.stderr)


def test_diffoscope_writes_all_reports(environments: EnvironmentStore, tmp_path: Path) -> None:
    """HTML, JSON and text of two wheels, with the member that differs; exit code 1 means a difference."""
    for side, content in (("published", "x = 1\n"), ("rebuilt", "x = 2\n")):
        (tmp_path / side).mkdir()
        with zipfile.ZipFile(tmp_path / side / "a-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("a/__init__.py", content)
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "out").chmod(0o777)
    inputs = [f"/inputs/{side}/a-1-py3-none-any.whl" for side in ("published", "rebuilt")]
    reports = ["--html", "/out/r.html", "--json", "/out/r.json", "--text", "/out/r.txt"]
    done = inside(
        environments.get("diffoscope").root,
        *("diffoscope", "--no-progress", *reports, *inputs),
        bind=("--ro-bind", str(tmp_path), "/inputs", "--bind", str(tmp_path / "out"), "/out"),
    )
    assert (1, "") == (done.returncode, done.stderr)
    assert "+x = 2" in (tmp_path / "out/r.txt").read_text()
    assert "a/__init__.py" in (tmp_path / "out/r.html").read_text()
    details = json.loads((tmp_path / "out/r.json").read_text())["details"]
    assert any(each["source1"] == "a/__init__.py" for each in details)
    assert not any("require" in json.dumps(each.get("comments", [])) for each in details), "a helper tool is missing"
