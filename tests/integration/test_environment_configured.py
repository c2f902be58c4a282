"""Configured environments: packages whose maintainer scripts run, from a small archive on the loopback interface."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.environments.protocol import LayerPackage
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.attempt import Outcome
from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.model.environment import Manifest
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.sandbox.bubblewrap.as_root import as_root
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.debian_archive import Archive, programs, served_archive
from tools.image_archive import offered

PROGRAMS = (
    *("cat", "chmod", "chown", "date", "diff", "dpkg", "dpkg-deb", "dpkg-split", "grep", "id", "ldconfig", "ln", "ls"),
    *("mkdir", "mknod", "rm", "sh", "start-stop-daemon", "sync", "tar"),
)
POSTINST = """#!/bin/sh -e
[ "$1" = configure ]
echo "configured by $(id -u) after $(cat /etc/needed)" >/etc/tiny
chown 7:7 /etc/tiny && mknod /etc/device c 1 3 && sync
echo tiny:x:99:99::/:/bin/sh >>/etc/passwd
date +%N >/var/log/tiny && date +%N >/etc/passwd-
"""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive with what a system cannot be without, and a package whose script needs another one's."""
    with served_archive(tmp_path / "archive") as archive:
        accounts = "printf 'root:x:0:0::/root:/bin/sh\\n' >/etc/passwd && printf 'root:x:0:\\n' >/etc/group\n"
        base: dict[str, str | Path] = {**programs(*PROGRAMS), "var/log/old": "of the first day\n"}
        archive.add("base", base, {"preinst": f"#!/bin/sh -e\n{accounts}"}, "Essential: yes\n")
        archive.add("needed", {}, {"postinst": "#!/bin/sh -e\necho another >/etc/needed\n"})
        archive.add("tiny", {"usr/bin/tiny": "#!/bin/sh\n"}, {"postinst": POSTINST}, "Depends: needed\n")
        yield archive


def store(archive: Archive, root: Path) -> EnvironmentStore:
    """A store that makes its environments from the archive."""
    maker = Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring, as_root=as_root)
    return EnvironmentStore(root, FixedClock(), maker=maker)


def manifest(package: str) -> Manifest:
    """What is asked for."""
    prune = ("usr/share/nothing*",)
    packages = ("?essential", package)
    return Manifest(name="own", suite="trixie", packages=packages, configured=True, links={"etc/x": "y"}, prune=prune)


def test_scripts_run_and_the_tree_is_the_same_each_time(archive: Archive, tmp_path: Path) -> None:
    """Twice at two places, by name and by what it was made from: one digest; what differs between days is not in it."""
    first = store(archive, tmp_path / "one").get(manifest("tiny"))
    assert "configured by 0 after another\n" == (first.root / "etc/tiny").read_text()
    accounts = (first.root / "etc/passwd").read_text().splitlines()
    assert ["root", "tiny", "build"] == [line.partition(":")[0] for line in accounts]
    for name in (
        "etc/device",
        "etc/passwd-",
        "var/log/tiny",
        "var/log/old",
        "etc/apt",
        "var/cache/apt",
        "usr/sbin/policy-rc.d",
    ):
        assert not (first.root / name).exists(), name
    assert "y" == str((first.root / "etc/x").readlink())
    assert "Status: install ok installed" in (first.root / "var/lib/dpkg/status").read_text()
    made_from = first.specification
    assert made_from is not None
    assert ("configured", ["base", "needed", "tiny"]) == (made_from.method, [each.name for each in made_from.packages])
    again = store(archive, tmp_path / "a" / "longer" / "place").get(made_from)
    assert (first.sha256, True) == (again.sha256, made_from.same_content(again.specification or made_from))


def test_it_is_run_again_elsewhere(archive: Archive, tmp_path: Path) -> None:
    """Exported, imported where there is no archive, and used by a build that needs what a script made."""
    here = store(archive, tmp_path / "here")
    environment = here.get(manifest("tiny"))
    here.export(environment.sha256, tmp_path / "export")
    (archive.etc_apt / "sources.list").unlink()
    there = store(archive, tmp_path / "there")
    assert environment.specification == there.import_(tmp_path / "export").specification
    assert environment.sha256 == there.get(environment.specification or "").sha256
    definition = BuildDefinition(
        build_type="tag:rebuilder,2026:test/v1",
        purl="pkg:generic/tiny@1",
        targets=("made",),
        inputs=(),
        toolchain=EnvironmentRef(name=environment.name, sha256=environment.sha256),
        commands=(("/bin/sh", "-c", "cat /etc/tiny >/out/made"),),
        environment={"PATH": "/usr/bin"},
    )
    blobs = DiskBlobs(tmp_path / "blobs")
    sandbox = BubblewrapSandbox(blobs, FixedClock(), scratch=tmp_path / "scratch")
    try:
        run = LocalRunner({sandbox.kind: sandbox}, there, blobs)(definition)
    finally:
        sandbox.close()
    assert Outcome.COMPLETED is run.outcome, blobs.read(run.log_sha256).decode()
    assert [b"configured by 0 after another\n"] == [blobs.read(each.sha256) for each in run.outputs]


def test_a_script_that_fails(archive: Archive, tmp_path: Path) -> None:
    """Which package it was is said; nothing of it is kept."""
    archive.add("broken", {}, {"postinst": "#!/bin/sh\necho no; exit 3\n"})
    with pytest.raises(BuildEnvironmentError, match=r"broken package .*exit status 3") as caught:
        store(archive, tmp_path / "store").get(manifest("broken"))
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "store").rglob("root"))


def test_a_script_that_tries_to_leave(archive: Archive, tmp_path: Path) -> None:
    """It has no network and no other processes; links it leaves lead nowhere outside when its tree is put in order."""
    outside = tmp_path / "outside"
    (outside / "apt").mkdir(parents=True)
    (outside / "hosts").write_text("before\n")
    script = (
        f"#!/bin/sh -e\n! ls {outside} && ! echo 1 >/proc/sys/kernel/panic\n"
        "ls /sys/class/net 2>/dev/null && exit 1; [ $(ls -d /proc/[0-9]* | grep -c .) -lt 20 ]\n"
        f"rm -rf /var/log && ln -s {outside} /var/log && ln -s {outside} /opt && ln -s {outside} /srv\n"
        f"rm -rf /tmp /etc/hosts && ln -s {outside} /tmp && ln -s {outside}/hosts /etc/hosts\n"
    )
    archive.add("hostile", {}, {"postinst": script})
    with pytest.raises(BuildEnvironmentError, match="cannot be configured"):
        store(archive, tmp_path / "store").get(manifest("hostile"))
    assert (["apt", "hosts"], "before\n") == (
        sorted(each.name for each in outside.iterdir()),
        (outside / "hosts").read_text(),
    )


def test_where_scripts_cannot_run(archive: Archive, tmp_path: Path) -> None:
    """Whoever has no sandbox for them is told, and nothing is fetched."""
    mmdebstrap = Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring)
    with pytest.raises(BuildEnvironmentError, match="configured"):
        mmdebstrap(manifest("tiny"), tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_made_again_of_what_no_mirror_lists(archive: Archive, tmp_path: Path) -> None:
    """From the very packages the same tree comes out, whatever the mirror has now; other packages are no match."""
    here = store(archive, tmp_path / "here").get(manifest("tiny"))
    assert here.specification is not None
    pool = {sha256_hex(each.read_bytes()): each for each in (archive.root / "debian/pool").glob("*.deb")}
    source = offered(
        [LayerPackage(each, pool[each.sha256]) for each in here.specification.packages], tmp_path / "offered"
    )
    shutil.rmtree(archive.root / "debian/dists")
    maker = Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring, as_root=as_root, source=source)
    there = EnvironmentStore(tmp_path / "there", FixedClock(), maker=maker)
    assert here.sha256 == there.get(here.specification.content).sha256
    first, *rest = here.specification.packages
    other = here.specification.replace(packages=(first.replace(sha256=Sha256("0" * 64)), *rest))
    with pytest.raises(BuildEnvironmentError, match="no longer has what the specification"):
        there.get(other)
