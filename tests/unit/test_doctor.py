"""What ``rebuilder doctor`` looks at, on machines that lack one thing each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rebuilder.config import Config
from rebuilder.doctor import Check, Machine, checks
from rebuilder.errors import SandboxUnavailableError, UsageError

KEY = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A store and keys that do not exist yet."""
    return Config(store=tmp_path / "a" / "store", keys=tmp_path / "keys")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine that has everything."""
    (tmp_path / "keyring").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/sources.list").write_text("deb http://user:pass@example.org/debian bookworm main\n")
    return Machine(
        system="Linux",
        python=(3, 12),
        root=True,
        find=lambda program: f"/usr/bin/{program}",
        free=lambda _: 50 << 30,
        keyring=tmp_path / "keyring",
        etc_apt=tmp_path / "etc",
        bubblewrap=lambda: "0.8.0",
        seccomp=lambda: b"",
        isolation=list,
        index=lambda _: ("https://user:pass@example.org/simple", ["The index URL is taken from a test."]),
    )


def by_name(config: Config, machine: Machine, **changes: Any) -> dict[str, Check]:
    """Checks of a changed machine."""
    return {check.name: check for check in checks(config, replace(machine, **changes))}


def unavailable(sentence: str, hint: str | None = None) -> Any:
    """A probe that finds its thing missing."""

    def probe() -> None:
        raise SandboxUnavailableError(sentence, hint=hint)

    return probe


def test_healthy_machine(config: Config, machine: Machine, tmp_path: Path) -> None:
    """All is well, in full sentences, and looking changes nothing."""
    before = sorted(tmp_path.rglob("*"))
    found = checks(config, machine)
    assert [] == [check for check in found if not check.ok or check.mend]
    assert all(check.sentence.endswith(".") for check in found)
    assert before == sorted(tmp_path.rglob("*"))


def test_passwords_are_not_shown(config: Config, machine: Machine) -> None:
    """Index and mirror are shown without what logs in there."""
    found = by_name(config, machine)
    assert "Releases are read from https://example.org/simple." in found["index"].sentence
    assert "taken from a test" in found["index"].sentence
    assert "http://example.org/debian" in found["mirror"].sentence
    assert not any("pass@" in check.sentence for check in found.values())


def test_one_command_mends_all_packages(config: Config, machine: Machine) -> None:
    """Everything a package mends has the same command, with all the packages."""
    found = by_name(
        config,
        machine,
        root=False,
        find=lambda _: None,
        keyring=Path("/none"),
        bubblewrap=unavailable("bubblewrap (bwrap) is not installed.", "apt-get install bubblewrap"),
    )
    command = "sudo apt-get install apt bubblewrap debian-archive-keyring dpkg git mmdebstrap tar"
    assert {command} == {check.mend for check in found.values() if not check.ok}
    assert "isolation" not in found


def test_only_what_is_missing(config: Config, machine: Machine) -> None:
    """The command names no package that is there, and needs no sudo for root."""
    found = by_name(config, machine, find=lambda program: None if program == "mmdebstrap" else "/x")
    assert "apt-get install mmdebstrap" == found["mmdebstrap"].mend
    assert ["mmdebstrap"] == [check.name for check in found.values() if not check.ok]


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"system": "Darwin"}, "system", "This is Darwin"),
        ({"python": (3, 10)}, "Python", "Python 3.10"),
        ({"isolation": lambda: ["User namespaces are switched off."]}, "isolation", "switched off"),
        ({"isolation": unavailable("No.", "As root: sysctl x=1")}, "isolation", "As root: sysctl x=1"),
        ({"free": lambda _: 1 << 30}, "disk space", "1.0 GB are free"),
        ({"seccomp": unavailable("No filter for riscv64.", "Another machine.")}, "system call filter", "riscv64"),
        ({"seccomp": unavailable("Not loaded.", "apt-get install libseccomp2")}, "system call filter", "Not loaded"),
    ],
)
def test_each_lack_is_named(config: Config, machine: Machine, changes: dict[str, Any], name: str, words: str) -> None:
    """One thing wrong is one failed check that says it."""
    found = by_name(config, machine, **changes)
    assert [name] == [check.name for check in found.values() if not check.ok]
    assert words in found[name].sentence


def test_wrong_index_settings(config: Config, machine: Machine) -> None:
    """A broken settings file is a failed check, not the end of the doctor."""

    def broken(_: str | None) -> Any:
        raise UsageError("The file pip.conf cannot be understood.", hint="Mend line 3.")

    check = by_name(config, machine, index=broken)["index"]
    assert (False, "The file pip.conf cannot be understood.", "Mend line 3.") == (check.ok, check.sentence, check.mend)


def test_store_below_a_file(config: Config, machine: Machine, tmp_path: Path) -> None:
    """A store that cannot be is found by trying."""
    found = by_name(config.model_copy(update={"store": Path("/proc/store")}), machine)
    assert not found["store"].ok
    assert "/proc/store cannot be written" in found["store"].sentence


def test_made_toolchains_are_listed(config: Config, machine: Machine) -> None:
    """What is there already is told from what will be made."""
    assert "None is made so far" in by_name(config, machine)["toolchains"].sentence
    (config.store / "toolchains/current").mkdir(parents=True)
    (config.store / "toolchains/current/trixie").touch()
    assert "Made so far: trixie; bookworm, diffoscope" in by_name(config, machine)["toolchains"].sentence


@pytest.mark.parametrize(("mode", "ok"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)])
def test_key_modes(config: Config, machine: Machine, mode: int, ok: bool) -> None:
    """A private key is its owner's alone; public keys beside it may be read."""
    config.keys.mkdir()
    (config.keys / "signing.pem").write_text(KEY)
    (config.keys / "signing.pem").chmod(mode)
    (config.keys / "signing.public.pem").write_text(KEY.replace("PRIVATE", "PUBLIC"))
    check = by_name(config, machine)["signing key"]
    assert ok == check.ok
    assert (None if ok else f"chmod 600 {config.keys}/signing.pem") == check.mend


def test_keys_in_the_store(config: Config, machine: Machine) -> None:
    """The store is copied and served; keys must lie elsewhere."""
    check = by_name(config.model_copy(update={"keys": config.store / "keys"}), machine)["signing key"]
    assert not check.ok
    assert "inside the store" in check.sentence


def test_odd_keys(config: Config, machine: Machine) -> None:
    """Links that lead nowhere do not end the doctor."""
    config.keys.mkdir()
    (config.keys / "loop").symlink_to("loop")
    assert by_name(config, machine)["signing key"].ok
    assert by_name(config.model_copy(update={"keys": config.keys / "loop"}), machine)["signing key"].ok
