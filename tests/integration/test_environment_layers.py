"""Packages over a configured environment: seen as one tree, made as root and as an ordinary user, brought elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.tree import listing
from tests.fakes import layers
from tests.fakes.debian_archive import Archive, programs, served_archive
from tests.fakes.layers import BASE, package
from tests.integration.test_environment_configured import PROGRAMS

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
"""What a command is put behind to be that of an ordinary user. Ours may be a Python that only root reaches."""
CHANGES = """#!/bin/sh -e
[ "$1" = configure ]
cd /usr/share/base
rm gone
rm -r whole && mkdir whole && echo new >whole/new
rm -r emptied/*
rm kind && mkdir kind && echo file >kind/file
rm -r tree && echo plain >tree
cp same copy && mv copy same
echo more >>grown
cat /etc/needed >told
mkdir -p /usr/share/nothing && date +%N >/var/log/x && echo x >/tmp/x && echo x >/run/x
"""
SEEN = """cd /usr/share/base && ls -1AR . && cat told grown tree kind/file whole/new same
grep -c '^Status: install ok installed' /var/lib/dpkg/status
for each in grown new whole/x; do echo x >$each && exit 3; done 2>/dev/null
ls -1A /tmp /run /build"""
EXPECTED = """.:
emptied
grown
kind
same
told
tree
whole

./emptied:

./kind:
file

./whole:
new
another
first
more
plain
file
new
of the base
3
/build:

/run:

/tmp:
exit 0"""


@pytest.fixture
def archive() -> Iterator[Archive]:
    """An archive with a base, and packages whose scripts change it in every way that there is; anybody may read it."""
    with tempfile.TemporaryDirectory(prefix="layers-") as directory:
        Path(directory).chmod(0o755)
        with served_archive(Path(directory) / "archive") as archive:
            accounts = "printf 'root:x:0:0::/root:/bin/sh\\n' >/etc/passwd && printf 'root:x:0:\\n' >/etc/group\n"
            names = ("gone", "whole/old", "whole/under/old", "emptied/a", "kind", "tree/a", "tree/b/c")
            files: dict[str, str | Path] = {f"usr/share/base/{name}": "old\n" for name in names}
            files |= {"usr/share/base/same": "of the base\n", "usr/share/base/grown": "first\n"}
            scripts = {"preinst": f"#!/bin/sh -e\n{accounts}"}
            archive.add("base", {**programs(*PROGRAMS, "cp", "mv", "rmdir"), **files}, scripts, "Essential: yes\n")
            archive.add("needed", {}, {"postinst": "#!/bin/sh -e\necho another >/etc/needed\n"})
            archive.add("changes", {"usr/bin/x": "#!/bin/sh\n"}, {"postinst": CHANGES}, "Depends: needed\n")
            yield archive


def pool(archive: Archive, *names: str) -> list[str]:
    """The files of packages."""
    return [str(next(archive.root.rglob(f"{name}_*.deb"))) for name in names]


def store(archive: Archive, root: Path) -> EnvironmentStore:
    """A store that makes its environments from the archive."""
    return layers.store(archive.etc_apt, archive.keyring, root)


def by_nobody(archive: Archive, script: str) -> dict[str, Any]:
    """What an ordinary user without subordinate ids gets, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="layers-") as root:
        request = {
            "etc_apt": str(archive.etc_apt),
            "keyring": str(archive.keyring),
            "root": root,
            "packages": pool(archive, "changes", "needed"),
            "script": script,
        }
        command = ["-m", "tests.fakes.layers", json.dumps(request)]
        command = [*NOBODY, "sh", "-c", 'test -x "$0" && exec "$0" "$@" || exec python3 "$@"', sys.executable, *command]
        if os.geteuid() == 0:
            os.chown(root, 65534, 65534)
        libraries = ":".join(each for each in sys.path if each.endswith("-packages"))
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": root, "TMPDIR": root, "PYTHONPATH": libraries}
        where = Path(__file__).parents[2]
        ran = subprocess.run(
            command, cwd=where, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert 0 == ran.returncode, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return found


def test_seen_as_one_tree_by_whoever_makes_it(archive: Archive, tmp_path: Path) -> None:
    """What scripts remove, replace and add is what a build sees; as root and as an ordinary user the very same."""
    environments = store(archive, tmp_path / "store")
    base = environments.get(BASE)
    before = listing(base.root)
    wanted = [package(Path(each)) for each in pool(archive, "changes", "needed")]
    layered = environments.layered(base, wanted, ())
    assert layered == environments.layered(base, wanted[::-1], ())
    assert EXPECTED == layers.log(layered, SEEN, tmp_path)
    assert before == listing(base.root)
    found = by_nobody(archive, SEEN)
    assert (base.sha256, layered.sha256) == (found["base"], found["layered"])
    assert EXPECTED == found["log"]
