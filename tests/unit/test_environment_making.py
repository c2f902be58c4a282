"""What can go wrong while a tree is made, each as its own sentence."""

from __future__ import annotations

import hashlib
import os
import select
from pathlib import Path

import pytest

from rebuilder.environments import debootstrap, settle, tree
from rebuilder.environments.catalog import catalog, find, usual, with_compilers
from rebuilder.environments.command import CommandError, run
from rebuilder.environments.debootstrap import Mmdebstrap, packages, releases
from rebuilder.environments.maintainer_scripts import watched
from rebuilder.environments.sources import KEYRING
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.definition import Limits
from rebuilder.model.value import sha256_hex

DEB = b"not really a package"
STANZA = """Package: hello
Source: greetings
Version: 1:2.10-3
Architecture: amd64
SHA256: {sha256}
Description: says hello
 SHA256: 0000

"""


def programs(tmp_path: Path, script: str) -> str:
    """A PATH on which mmdebstrap is a script that says its version and then does what a test wants."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mmdebstrap").write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo mmdebstrap 9 && exit\n{script}\n')
    (folder / "mmdebstrap").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def failure(tmp_path: Path) -> BuildEnvironmentError:
    """What making a build environment raises."""
    (tmp_path / "etc").mkdir(exist_ok=True)
    keyring = tmp_path / "keys.gpg"
    keyring.touch()
    with pytest.raises(BuildEnvironmentError) as caught:
        Mmdebstrap(etc_apt=tmp_path / "etc", keyring=keyring)(find("trixie"), tmp_path / "root")
    return caught.value


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Temporary failure resolving 'example.org'", "the mirror cannot be reached"),
        ("Could not connect to example.org:80 (192.0.2.1)", "the mirror cannot be reached"),
        ("W: GPG error: x InRelease: NO_PUBKEY 12\nE: Failed to fetch x", "signature cannot be verified"),
        ("E: The repository 'x Release' is not signed.", "signature cannot be verified"),
        ("E: Failed to fetch x.deb  Hash Sum mismatch", "something else than the archive signed"),
        (
            "E: Failed to fetch x.deb  404  Not Found [IP: 192.0.2.1 80]",
            "no longer has a file",
        ),
        ("E: Release file for x is expired (invalid since 3d)", "too old"),
        ("tar: write error: No space left on device\nE: GPG error", "the disk is full"),
        ("E: Unable to locate package python3", "lacks a package: python3."),
        (
            "E: Version '2.41-12' for 'libc6' was not found\nE: Version '1' for 'dash' was not found",
            "lacks a package: libc6 2.41-12, dash 1.",
        ),
        ("E: Package 'gone' has no installation candidate", "lacks a package: gone."),
        (
            "E: The repository 'http://example.org/debian buster Release' does not have a Release file.",
            "the mirror no longer has buster.",
        ),
        (
            "E: The repository 'http://example.org/debian-security x/updates Release' no longer has a Release file.",
            "the mirror no longer has x/updates.",
        ),
        ("I: starting\nE: something nobody\x1b[31m thought of", "It said: E: something nobody⟨U+001B⟩[31m thought of"),
        ("", "mmdebstrap ended with exit code 1"),
    ],
)
def test_failures_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, sentence: str) -> None:
    """What apt and mmdebstrap print becomes one sentence; the most telling sign counts."""
    (tmp_path / "said").write_text(said + "\n" if said else "")
    monkeypatch.setenv("PATH", programs(tmp_path, f"cat {tmp_path}/said >&2; exit 1"))
    error = failure(tmp_path)
    assert "build environment trixie cannot be made" in str(error)
    assert sentence in str(error)
    assert "\n" not in str(error)


def test_expired_state_has_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint is the setting that accepts it."""
    monkeypatch.setenv("PATH", programs(tmp_path, "echo 'E: Release file for x is expired' >&2; exit 1"))
    assert 'accept_expired = ["trixie"]' in (failure(tmp_path).hint or "")


def test_mmdebstrap_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint is the command that installs it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    error = failure(tmp_path)
    assert "mmdebstrap is not installed" in str(error)
    assert "apt-get install mmdebstrap" in (error.hint or "")


def test_keys_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the archive's keys nothing is made at all."""
    monkeypatch.setenv("PATH", programs(tmp_path, "exit 0"))
    with pytest.raises(BuildEnvironmentError, match="keys of the Debian archive") as caught:
        Mmdebstrap(keyring=tmp_path / "none.gpg")(find("trixie"), tmp_path / "root")
    assert "apt-get install debian-archive-keyring" in (caught.value.hint or "")


def test_what_mmdebstrap_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures are asked for, nothing runs inside, the machine's mirror and nothing of its environment is used."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/sources.list").write_text("deb http://example.org/debian bookworm main\n")
    monkeypatch.setenv(
        "PATH", programs(tmp_path, f'printf "%s\\n" "$@" >{tmp_path}/told; env >>{tmp_path}/told; exit 1')
    )
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    failure(tmp_path)
    told = (tmp_path / "told").read_text()
    keyring = tmp_path / "keys.gpg"
    for word in (
        "--variant=extract",
        f"--keyring={keyring}",
        'APT::Get::AllowUnauthenticated "false";',
        f"deb [signed-by={keyring}] http://example.org/debian trixie main",
    ):
        assert word in told
    assert "s3cret" not in told


def tree_with(tmp_path: Path, sha256: str) -> Path:
    """A tree as apt leaves it: lists and one downloaded package."""
    lists, archives = tmp_path / "var/lib/apt/lists", tmp_path / "var/cache/apt/archives"
    lists.mkdir(parents=True)
    archives.mkdir(parents=True)
    (lists / "example.org_dists_trixie_main_binary-amd64_Packages").write_text(
        STANZA.format(sha256="1" * 64).replace("1:2.10-3", "1:2.9-1") + STANZA.format(sha256=sha256)
    )
    (lists / "example.org_debian_dists_trixie_InRelease").write_text("Suite: stable\nDate: Sat, 01 Nov 2026\n")
    (archives / "hello_1%3a2.10-3_amd64.deb").write_bytes(DEB)
    return tmp_path


def test_packages_have_their_digests(tmp_path: Path) -> None:
    """Each downloaded file is found in the signed lists, by version, with the digest they promise."""
    sha256 = hashlib.sha256(DEB).hexdigest()
    root = tree_with(tmp_path, sha256)
    assert [("hello", "1:2.10-3", "amd64", sha256)] == [
        (each.name, each.version, each.architecture, each.sha256) for each in packages(root)
    ]
    assert [("trixie", "Sat, 01 Nov 2026")] == [(each.suite, each.date) for each in releases(root)]


def test_package_nobody_signed_for(tmp_path: Path) -> None:
    """Other bytes than the list promises are refused, whatever apt thought of them."""
    with pytest.raises(BuildEnvironmentError, match=r"hello 1:2\.10-3 is not the one"):
        packages(tree_with(tmp_path, "0" * 64))


def test_no_packages(tmp_path: Path) -> None:
    """A tree that nobody knows the packages of is not used."""
    with pytest.raises(BuildEnvironmentError, match="not known what the build environment"):
        packages(tmp_path)


def test_slow_program_is_ended_with_its_children(tmp_path: Path) -> None:
    """At the limit nothing of it is left."""
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    script = f"exec 3>{tmp_path}/held; sleep 300 & echo started; wait"
    try:
        with pytest.raises(CommandError, match="sh took more than 2 s") as caught:
            run(["sh", "-c", script], environment={"PATH": os.environ["PATH"]}, log=tmp_path / "log", seconds=2)
        assert ("started\n", True) == (caught.value.output, caught.value.limit)
        assert select.select([held], [], [], 30)[0], "a child still holds the pipe"
        assert os.read(held, 1) == b""
    finally:
        os.close(held)


@pytest.mark.parametrize(
    ("script", "limits", "words"),
    [
        ("for each in 1 2 3 4 5 6 7 8 9; do sleep 300 & done; wait", {"processes": 8}, "more than 8 processes"),
        ("head -c 200m /dev/zero | tail -c 150m | sleep 300", {"memory_bytes": 32 << 20}, "more than 32 MiB of memory"),
        ("head -c 40m /dev/zero >large; sync large; sleep 300", {"disk_bytes": 8 << 20}, "more than 8 MiB of disk"),
    ],
)
def test_what_takes_too_much_is_ended(tmp_path: Path, script: str, limits: dict[str, int], words: str) -> None:
    """Processes, memory and disk of a program and all that it began, looked at while it runs."""
    watch = watched(tmp_path, Limits(**limits))
    command = ["sh", "-c", f"cd {tmp_path}; {script}"]
    environment = {"PATH": os.environ["PATH"]}
    with pytest.raises(CommandError, match=words) as caught:
        run(command, environment=environment, log=tmp_path / "log", seconds=60, watch=watch)
    assert caught.value.limit


def test_catalog_is_complete() -> None:
    """Every build environment names what the program relies on."""
    builds = {f"{suite}{git}" for suite in ("bullseye", "bookworm", "trixie", "forky") for git in ("", "-git")}
    compiling = {each.name for each in with_compilers(catalog().values())}
    packaging = {f"{suite}-build" for suite in ("bookworm", "trixie", "forky")}
    assert (
        builds | {"diffoscope", "python2", "trixie-node", "uml"}
        == set(catalog()) - compiling - packaging
        == set(usual())
    )
    for name in packaging:
        assert (True, ()) == (find(name).configured, find(name).prune)
        assert {"?essential", "apt", "build-essential", "fakeroot"} == set(find(name).packages)
    named = {each for each in catalog() if each.endswith("-gcc14")} | {each for each in catalog() if "forky" in each}
    for spec in catalog().values():
        if spec.name in packaging:
            continue
        version = spec.provides["python"] if spec.name in named or spec.suite == "forky" else "3"
        assert {f"python{version}-minimal", f"libpython{version}-stdlib", "dash", "libc-bin"} <= set(spec.packages)
        assert sorted(spec.packages) == list(spec.packages)


def test_each_compiler_is_there_for_each_python() -> None:
    """Debian 11's and 13's GCC, which most wheels name, also for Pythons of other releases."""
    found = {(each.provides["gcc"], each.provides["python"]) for each in with_compilers(catalog().values())}
    pythons = ("3.9", "3.11", "3.13", "3.14")
    assert {("10.2", each) for each in pythons} | {("14.2", each) for each in pythons[:3]} <= found
    assert 9 == len(with_compilers(catalog().values()))
    for spec in with_compilers(catalog().values()):
        assert f"libpython{spec.provides['python']}-dev" in spec.packages
        assert {"usr/bin/cc", "usr/bin/c++"} <= set(spec.links)


def test_packages_of_another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror is asked for both releases, with the same keys; what is expired must be allowed for both."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/sources.list").write_text("deb http://example.org/debian bookworm main\n")
    (tmp_path / "keys.gpg").touch()
    monkeypatch.setenv("PATH", programs(tmp_path, f'printf "%s\n" "$@" >{tmp_path}/told; exit 1'))
    maker = Mmdebstrap(etc_apt=tmp_path / "etc", keyring=tmp_path / "keys.gpg", accept_expired=["trixie"])
    with pytest.raises(BuildEnvironmentError):
        maker(find("trixie-gcc10"), tmp_path / "root")
    told = (tmp_path / "told").read_text()
    for suite in ("trixie", "bullseye"):
        assert f"deb [signed-by={tmp_path}/keys.gpg] http://example.org/debian {suite} main" in told
    assert 'Acquire::Check-Valid-Until "true";' in told


def test_recipe_is_raised_with_what_it_stands_for() -> None:
    """What every tree is given, and loses, is part of what a kept tree is compared with.

    When this fails, raise RECIPE in settle.py, so that trees which are there are made again, and write the digest anew.
    """
    given = [settle._PRUNED, settle.MOUNT_POINTS, settle.FILES, settle.LINKS, tree.TIME]
    given += [debootstrap._MERGED_USR, settle._COMPILE]
    assert (2, "e71d1af7") == (settle.RECIPE, sha256_hex(repr(given).encode())[:8])


def test_keys_come_from_their_package() -> None:
    """The keys are where Debian and Ubuntu put them."""
    assert "/usr/share/keyrings/debian-archive-keyring.gpg" == str(KEYRING)
