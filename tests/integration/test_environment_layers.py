"""Packages over a configured environment: seen as one tree, made as root and as an ordinary user, brought elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rebuilder.ecosystems.debian.layer_packages import layer_packages
from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.tree import TIME, listing
from rebuilder.errors import BaseMissingError, BuildEnvironmentError, PackageInstallationError
from rebuilder.model.value import canonical_json
from rebuilder.replay.from_settings import BroughtEnvironments
from rebuilder.replay.inputs import FromDirectory, FromSite, Missing
from rebuilder.replay.page import PublishedPage
from tests.fakes import layers
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.debian_archive import Archive, programs, served_archive
from tests.fakes.debian_machine import opened
from tests.fakes.fetcher import FakeFetcher
from tests.fakes.layers import BASE, package
from tests.integration.test_environment_configured import PROGRAMS

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
"""What a command is put behind to be that of an ordinary user. Ours may be a Python that only root reaches."""
MORE = ("cp", "dpkg-query", "mv", "rmdir", "stat", "touch")
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
            archive.add("base", {**programs(*PROGRAMS, *MORE), **files}, scripts, "Essential: yes\n")
            archive.add("needed", {}, {"postinst": "#!/bin/sh -e\necho another >/etc/needed\n"})
            archive.add("changes", {"usr/bin/x": "#!/bin/sh\n"}, {"postinst": CHANGES}, "Depends: needed\n")
            lock = "#!/bin/sh -e\nmkdir -p /usr/share/locked/in && echo x >/usr/share/locked/in/x\n"
            lock += "chmod 0 /usr/share/locked/in/x /usr/share/locked\n"
            archive.add("locks", {}, {"postinst": lock})
            archive.add("fails", {}, {"postinst": f"{lock}exit 1\n"})
            claims = "#!/bin/sh\ntouch /dev/x /dev/shm/x && exit 0\necho No space left on device >&2; exit 1\n"
            archive.add("claims", {}, {"postinst": claims})
            yield archive


def pool(archive: Archive, *names: str) -> list[str]:
    """The files of packages."""
    return [str(next(archive.root.rglob(f"{name}_*.deb"))) for name in names]


def store(archive: Archive, root: Path) -> EnvironmentStore:
    """A store that makes its environments from the archive."""
    return layers.store(archive.etc_apt, archive.keyring, root)


def by_nobody(archive: Archive, script: str, names: Sequence[str] = ("changes", "needed")) -> dict[str, Any]:
    """What an ordinary user without subordinate ids gets, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="layers-") as root:
        request = {
            "etc_apt": str(archive.etc_apt),
            "keyring": str(archive.keyring),
            "root": root,
            "packages": pool(archive, *names),
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


TIMES = "cd /usr/share && stat -c '%Y %n' $(ls -d base base/g* timed timed/*)"
TIMED = """#!/bin/sh -e
cd /usr/share/timed
cp -p early copy
echo x >written
ln -s early link
touch ../base/grown
"""


def test_files_keep_the_times_of_their_packages(archive: Archive, tmp_path: Path) -> None:
    """In the base and over it, whoever makes it; what scripts write has the one time, and so have wild times."""
    times = {"early": 5, "late": 2_147_483_646, "none": 0, "negative": -5, "beyond": 1 << 32}
    names = {f"usr/share/timed/{name}": seconds for name, seconds in times.items()}
    archive.add("timed", dict.fromkeys([*names, "usr/share/timed/usual"], "x\n"), {"postinst": TIMED}, times=names)
    environments = store(archive, tmp_path / "store")
    base = environments.get(BASE)
    layered = environments.layered(base, [package(Path(each)) for each in pool(archive, "timed")], ())
    assert layered.specification is not None
    assert (True, True) == (layered.specification.package_times, BASE.package_times)
    found = layers.log(layered, TIMES, tmp_path)
    expected = {"base/gone": 1_600_000_000, "base": TIME, "base/grown": TIME, "timed": TIME, "timed/early": 5}
    expected |= {"timed/copy": 5, "timed/late": 2_147_483_646, "timed/usual": 1_600_000_000}
    expected |= dict.fromkeys([f"timed/{name}" for name in ("none", "negative", "beyond", "written", "link")], TIME)
    assert [*(f"{seconds} {name}" for name, seconds in sorted(expected.items())), "exit 0"] == found.splitlines()
    told = by_nobody(archive, TIMES, ["timed"])
    assert (base.sha256, layered.sha256, found) == (told["base"], told["layered"], told["log"])
    for name, digest in (("base", base.sha256), ("layer", layered.sha256)):
        environments.export(digest, tmp_path / name)
    there = store(archive, tmp_path / "there")
    there.import_(tmp_path / "base")
    assert found == layers.log(there.import_(tmp_path / "layer"), TIMES, tmp_path)


def test_a_package_that_is_wanted_before_another(archive: Archive, tmp_path: Path) -> None:
    """And configured before it, although its name comes later; root reads what nobody may. Or dpkg's words are told."""
    use = "#!/bin/sh -e\nmkdir -p /usr/share/early && cp /usr/share/zfirst/text /usr/share/early/text\n"
    secret = "#!/bin/sh -e\necho x >/etc/secret && chmod 0 /etc/secret && cat /etc/secret >>/usr/share/early/text\n"
    prepare = "#!/bin/sh -e\nmkdir /usr/share/zfirst && echo here >/usr/share/zfirst/text\n"
    archive.add("early", {}, {"preinst": use, "postinst": secret}, "Pre-Depends: zfirst\n")
    archive.add("never", {}, {"preinst": "#!/bin/sh\nexit 3\n"}, "Pre-Depends: zfirst\n")
    archive.add("zfirst", {}, {"postinst": prepare})
    environments = store(archive, tmp_path / "store")
    base = environments.get(BASE)
    wanted = [package(Path(each)) for each in pool(archive, "early", "zfirst")]
    layered = environments.layered(base, wanted, ())
    assert "here\nx\nexit 0" == layers.log(layered, "cat /usr/share/early/text", tmp_path)
    wanted = [package(Path(each)) for each in pool(archive, "never", "zfirst")]
    with pytest.raises(PackageInstallationError, match=r"new never package pre-installation script .* exit status 3"):
        environments.layered(base, wanted, ())


def test_brought_to_another_machine(archive: Archive, tmp_path: Path) -> None:
    """By exports of both, the base first; whoever brings the layer alone is told the digest of the other."""
    here = store(archive, tmp_path / "here")
    base = here.get(BASE)
    layered = here.layered(base, [package(Path(each)) for each in pool(archive, "changes", "needed")], ())
    assert layered.specification is not None
    assert base.specification == layered.specification.base
    assert {"base 1-1", "changes 1-1", "needed 1-1"} == set(layered.summary.packages)
    for name, digest in (("base", base.sha256), ("layer", layered.sha256)):
        here.export(digest, tmp_path / name)
    there = store(archive, tmp_path / "there")
    with pytest.raises(BaseMissingError, match=base.sha256):
        there.import_(tmp_path / "layer")
    there.import_(tmp_path / "base")
    brought = there.import_(tmp_path / "layer")
    assert (layered.sha256, layered.specification) == (brought.sha256, brought.specification)
    assert EXPECTED == layers.log(brought, SEEN, tmp_path)
    assert brought == there.get(layered.specification)
    there.export(brought.sha256, tmp_path / "again")
    assert (tmp_path / "layer").read_bytes() == (tmp_path / "again").read_bytes()


def test_brought_by_exports_in_a_directory(archive: Archive, tmp_path: Path) -> None:
    """What it lies over is brought before it, and named where it is not there."""
    here = store(archive, tmp_path / "here")
    base = here.get(BASE)
    layered = here.layered(base, [package(Path(each)) for each in pool(archive, "changes", "needed")], ())
    exports = tmp_path / "exports"
    exports.mkdir()
    here.export(layered.sha256, exports / f"{layered.sha256}.tar")

    def brought(name: str) -> Missing | None:
        there, noted = store(archive, tmp_path / name), list[str]()
        directories = [FromDirectory(exports, 1 << 30)]
        found = BroughtEnvironments(there, MemoryBlobs(), directories=directories, note=noted.append)
        missing = found.bring(layered.sha256, "layered")
        assert any(base.sha256[:16] in each for each in noted)
        if missing is None:
            assert EXPECTED == layers.log(there.by_digest(layered.sha256), SEEN, tmp_path)
        return missing

    missing = brought("alone")
    assert missing is not None
    assert (layered.sha256, True) == (missing.sha256, f"lies over {base.sha256}" in missing.reason)
    here.export(base.sha256, exports / f"{base.sha256}.tar")
    assert brought("both") is None


def test_made_again_from_its_specification(archive: Archive, tmp_path: Path) -> None:
    """On a machine that has nothing: the base from the archive, the packages from it or its pool, the same digest."""
    archive.use("trixie")
    here = store(archive, tmp_path / "here")
    layered = here.layered(here.get(BASE), [package(Path(each)) for each in pool(archive, "changes", "needed")], ())
    site = tmp_path / "site"
    page = site / "deb/x/1/x.deb/0123456789abcdef"
    for each in (page, site / "keys", site / "environments"):
        each.mkdir(parents=True)
    for tree in (layered.sha256, here.record(layered.sha256).base):
        assert tree is not None
        (site / f"environments/{tree}.json").write_bytes(canonical_json(here.record(tree).public.document()))
    archive.relist("Package: needed\nVersion: 1-1\n", "Package: needed\nVersion: 1-2\n")

    def brought(name: str) -> tuple[Missing | None, EnvironmentStore]:
        blobs, place = MemoryBlobs(), tmp_path / name
        place.mkdir()
        there = store(archive, place / "trees")
        machine = opened(archive, blobs, place)
        with PublishedPage(str(page)) as published:
            origin = FromSite(published, FakeFetcher(blobs), 1 << 20)
            fetched = partial(layer_packages, machine, blobs, most_bytes=1 << 20)
            found = BroughtEnvironments(there, blobs, site=origin, packages=fetched)
            return found.bring(layered.sha256, "layered"), there

    missing, there = brought("there")
    assert missing is None
    made = there.by_digest(layered.sha256)
    assert layered.specification is not None
    assert made.specification is not None
    assert made.specification.same_content(layered.specification)
    assert EXPECTED == layers.log(made, SEEN, tmp_path)
    next(archive.root.rglob("needed_*.deb")).unlink()
    missing, _ = brought("too late")
    assert missing is not None
    assert "needed 1-1 (SHA-256" in missing.reason


def test_what_is_kept_cannot_be_changed_unseen(archive: Archive, tmp_path: Path) -> None:
    """Neither in the base, nor in the layer, nor in what it hides; attributes of files mean nothing to a build."""
    environments = store(archive, tmp_path / "store")
    wanted = [package(Path(each)) for each in pool(archive, "changes", "needed")]
    layered = environments.layered(environments.get(BASE), wanted, ())
    top, hidden = layered.layers
    os.setxattr(top / "usr/share/base", "user.overlay.opaque", b"y")
    os.setxattr(top / "usr/share/base/told", "user.overlay.redirect", b"/usr/share/base/same")
    assert EXPECTED == layers.log(environments.by_digest(layered.sha256), SEEN, tmp_path)
    for change in (
        (hidden / "usr/share/base/gone").unlink,
        (hidden / "usr/share/base/more").mkdir,
        lambda: (hidden / "usr/share/base/file").write_text("x"),
        lambda: (top / "usr/share/base/added").write_text("x"),
        lambda: (layered.root / "usr/share/base/added").write_text("x"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "store", copy, symlinks=True, copy_function=shutil.copy2, ignore=_devices)
        for device in (path for path in (tmp_path / "store").rglob("*") if path.is_char_device()):
            os.mknod(copy / device.relative_to(tmp_path / "store"), device.lstat().st_mode, 0)
        change()
        with pytest.raises(BuildEnvironmentError):
            store(archive, tmp_path / "store").by_digest(layered.sha256)
        shutil.rmtree(tmp_path / "store")
        copy.rename(tmp_path / "store")


def _devices(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(directory, name).is_char_device()]


def test_a_script_cannot_reach_the_base(archive: Archive, tmp_path: Path) -> None:
    """Not below it, not through links, attributes or devices; nothing of it is kept when a script fails."""
    script = (
        "#!/bin/sh\n[ $(id -u) = 0 ] || exit 9\n"
        "for each in /proc/1/root /proc/self/root; do echo x >>$each/usr/share/base/grown; done\n"
        "echo 1 >/proc/sys/kernel/panic && exit 8\n"
        "ls /mnt/* /inputs/../own 2>/dev/null && exit 7\n"
        "echo x >>/inputs/00000.deb && exit 6\n"
        "ln -s /usr/share/base/whole /usr/share/base/way && echo x >/usr/share/base/way/old; exit 0\n"
    )
    archive.add("hostile", {}, {"postinst": script})
    archive.add("broken", {}, {"postinst": "#!/bin/sh\necho x >/usr/share/base/grown; exit 3\n"})
    environments = store(archive, tmp_path / "store")
    base = environments.get(BASE)
    layered = environments.layered(base, [package(Path(each)) for each in pool(archive, "hostile")], ())
    assert "first\n" == (base.root / "usr/share/base/grown").read_text()
    assert "old\n" == (base.root / "usr/share/base/whole/old").read_text()
    assert "first\nx\nx\n" == (layered.layers[0] / "usr/share/base/grown").read_text()
    trees = set((tmp_path / "store/trees").iterdir())
    with pytest.raises(BuildEnvironmentError, match=r"broken package .*exit status 3"):
        environments.layered(base, [package(Path(each)) for each in pool(archive, "broken")], ())
    assert trees == set((tmp_path / "store/trees").iterdir())
    assert not [each for each in (tmp_path / "store/making").iterdir() if each.is_dir()]
    assert base == store(archive, tmp_path / "store").by_digest(base.sha256)


def test_another_version_takes_the_place_of_the_base_s(archive: Archive, tmp_path: Path) -> None:
    """A package that the base has is replaced by an older one; files that the older one lacks are gone."""
    archive.add("base", {**programs(*PROGRAMS), "usr/share/base/grown": "older\n"}, {}, version="0-1")
    environments = store(archive, tmp_path / "store")
    base = environments.get(BASE)
    layered = environments.layered(base, [package(next(archive.root.rglob("base_0-1_all.deb")))], ())
    assert ("base 0-1",) == layered.summary.packages
    assert "grown\nolder\nexit 0" == layers.log(layered, "cd /usr/share/base; ls; cat grown", tmp_path)


def test_what_is_not_installed(archive: Archive, tmp_path: Path) -> None:
    """Bytes that nobody promised, nothing at all, one twice, and over what lies over another: a sentence each."""
    environments = store(archive, tmp_path / "store")
    base = environments.get(BASE)
    needed = package(Path(pool(archive, "needed")[0]))
    other = needed._replace(file=Path(pool(archive, "changes")[0]))
    with pytest.raises(BuildEnvironmentError, match="package needed 1-1 has not the digest"):
        environments.layered(base, [other], ())
    layered = environments.layered(base, [needed], ())
    pooled = needed._replace(package=needed.package.replace(origin="pool"))
    other_origin = environments.layered(base, [pooled], ())
    assert (layered.sha256, False) == (other_origin.sha256, layered.specification == other_origin.specification)
    for over, wanted, said in (
        (base, [], "none"),
        (base, [needed, needed], "twice"),
        (layered, [needed], "lies over another"),
    ):
        with pytest.raises(BuildEnvironmentError, match=said):
            environments.layered(over, wanted, ())
    with pytest.raises(BuildEnvironmentError, match="here"):
        EnvironmentStore(tmp_path / "store", FixedClock()).layered(base, [needed], ())


def test_scripts_lock_nothing_and_their_failure_is_theirs(archive: Archive, tmp_path: Path) -> None:
    """What a script locks is in the environment all the same; of one that fails nothing stays, and it is named."""
    found = by_nobody(archive, "cat /usr/share/locked/in/x", ["locks"])
    assert "x\nexit 0" == found["log"]
    environments = store(archive, tmp_path / "store")
    base = environments.get(BASE)
    for name in ("fails", "claims"):  # that the disk is full is not for a script to say
        with pytest.raises(PackageInstallationError, match="cannot be configured"):
            environments.layered(base, [package(Path(pool(archive, name)[0]))], ())
    assert [] == list((tmp_path / "store/making").glob("[!.]*"))


def test_made_afresh(archive: Archive, tmp_path: Path) -> None:
    """What lies over another is planned anew; what is below is made from what the archive has now."""
    environments = store(archive, tmp_path / "store")
    layered = environments.layered(environments.get(BASE), [package(Path(pool(archive, "needed")[0]))], ())
    assert ("own", ()) == ((afresh := environments.remake(layered.name)).name, afresh.layers)


def test_those_that_nobody_uses_go(archive: Archive, tmp_path: Path) -> None:
    """Not while a report names one; then it, and its base only when no other lies over that."""
    environments = store(archive, tmp_path / "store")
    base = environments.get(BASE)
    layered = environments.layered(base, [package(Path(pool(archive, "needed")[0]))], ())
    (tmp_path / "store/current/own").unlink()
    (base.root.parent / "superseded").touch()
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert 0 == environments.forget(lambda: {bytes.fromhex(layered.sha256)}, soon)
    assert layered == environments.by_digest(layered.sha256)
    assert 2 == environments.forget(set, soon)
    assert not list((tmp_path / "store/trees").iterdir())
    assert not list((tmp_path / "store/layers").iterdir())
