"""What ``rebuilder doctor`` looks at, on machines that lack one thing each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rebuilder.cli.doctor import examine
from rebuilder.config import Config
from rebuilder.doctor.checks import DoctorCheck, Host, checks
from rebuilder.ecosystems.conventions import RegistryCheck
from rebuilder.ecosystems.npm.settings import NpmSettings
from rebuilder.ecosystems.pypi.settings import index_settings
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.errors import CorruptEnvironmentError, ExitCode, NoGuestError, SandboxUnavailableError, UsageError
from rebuilder.store_layout import MARKER

KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode("ascii")
)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A store and keys that do not exist yet."""
    return Config(store=tmp_path / "a" / "store", keys=tmp_path / "keys")


@pytest.fixture
def machine(tmp_path: Path) -> Host:
    """A machine that has everything."""
    (tmp_path / "keyring").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/sources.list").write_text("deb http://user:pass@example.org/debian bookworm main\n")
    return Host(
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
        guest=lambda _: None,
        registries=lambda _: [RegistryCheck(name="index", message="The index URL is taken from a test.")],
    )


def by_name(config: Config, machine: Host, **changes: Any) -> dict[str, DoctorCheck]:
    """Checks of a changed machine."""
    return {check.name: check for check in checks(config, replace(machine, **changes))}


def unavailable(sentence: str, hint: str | None = None) -> Any:
    """A probe that finds its thing missing."""

    def probe() -> None:
        raise SandboxUnavailableError(sentence, hint=hint)

    return probe


def test_healthy_machine(config: Config, machine: Host, tmp_path: Path) -> None:
    """All is well, in full sentences, and looking changes nothing."""
    before = sorted(tmp_path.rglob("*"))
    found = checks(config, machine)
    assert [] == [check for check in found if not check.ok or check.fix]
    assert all(check.message.endswith(".") for check in found)
    assert before == sorted(tmp_path.rglob("*"))


@pytest.fixture
def with_kernel(config: Config) -> Config:
    """A store in which the build environment with the guest's kernel was made."""
    (config.store / "toolchains/current").mkdir(parents=True)
    (config.store / "toolchains/current/uml").touch()
    return config


def test_a_guest_that_was_started(with_kernel: Config, machine: Host) -> None:
    """It is said to run only when one ran."""
    assert by_name(with_kernel, machine)["guest"].message.startswith("A User Mode Linux guest was")


def test_a_guest_that_was_not_started(config: Config, machine: Host) -> None:
    """Before its build environment is made nobody knows, and it is not made just to look."""
    check = by_name(config, machine, guest=unavailable("never asked"))["guest"]
    assert (True, True) == (check.ok, check.message.startswith("Not known yet"))
    assert f"rebuilder environments make --store {config.store} uml" in check.message


def test_no_guest(with_kernel: Config, machine: Host) -> None:
    """The cause, what it costs, and what mends it: a command, or what else to do."""
    for hint, command in (("rebuilder environments make uml", True), ("Use another machine", False)):
        error = NoGuestError("cause", hint=hint)
        check = by_name(with_kernel, machine, guest=lambda _, error=error: error)["guest"]
        assert (False, hint, command) == (check.ok, check.fix, check.command)
        assert check.message.startswith(f"{error} ")


def test_no_guest_where_all_builds_need_one(with_kernel: Config, machine: Host) -> None:
    """With the setting for it there is no rest that could be rebuilt."""
    config = with_kernel.replace(sandbox="uml")
    check = by_name(config, machine, guest=lambda _: NoGuestError("cause"))["guest"]
    assert check.message == str(NoGuestError("cause"))


def test_a_modified_kernel(with_kernel: Config, machine: Host) -> None:
    """That the build environment was modified is told as such."""

    def guest(_: Config) -> None:
        raise CorruptEnvironmentError("The build environment uml was modified.", hint="Find out who did it.")

    check = by_name(with_kernel, machine, guest=guest)["guest"]
    assert (False, "Find out who did it.") == (check.ok, check.fix)


def test_passwords_are_not_shown(config: Config, machine: Host) -> None:
    """The mirror is shown without what logs in there; the index in tests/integration/test_doctor_index.py."""
    found = by_name(config, machine)
    assert "taken from a test" in found["index"].message
    assert "http://example.org/debian" in found["mirror"].message
    assert not any("pass@" in check.message for check in found.values())


def test_one_command_mends_all_packages(config: Config, machine: Host) -> None:
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
    assert {command} == {check.fix for check in found.values() if not check.ok}
    assert "isolation" not in found


def test_only_what_is_missing(config: Config, machine: Host) -> None:
    """The command names no package that is there, and needs no sudo for root."""
    found = by_name(config, machine, find=lambda program: None if program == "mmdebstrap" else "/x")
    assert "apt-get install mmdebstrap" == found["mmdebstrap"].fix
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
def test_each_lack_is_named(config: Config, machine: Host, changes: dict[str, Any], name: str, words: str) -> None:
    """One thing wrong is one failed check that says it."""
    found = by_name(config, machine, **changes)
    assert [name] == [check.name for check in found.values() if not check.ok]
    assert words in found[name].message


def test_a_registry_that_is_not_there(config: Config, machine: Host) -> None:
    """What an ecosystem says of its registry is a check of its own, with what to do about it."""
    wrong = RegistryCheck(name="index", message="pip.conf cannot be understood.", ok=False, fix="Mend line 3.")
    check = by_name(config, machine, registries=lambda _: [wrong])["index"]
    assert (False, wrong.message, wrong.fix) == (check.ok, check.message, check.fix)


def test_store_below_a_file(config: Config, machine: Host, tmp_path: Path) -> None:
    """A store that cannot be is found by trying."""
    found = by_name(config.replace(store=Path("/proc/store")), machine)
    assert not found["store"].ok
    assert "/proc/store cannot be written" in found["store"].message


def test_made_environments_are_listed(config: Config, machine: Host) -> None:
    """What is there already is told from what will be made."""
    assert "None is made so far" in by_name(config, machine)["environments"].message
    (config.store / "toolchains/current").mkdir(parents=True)
    (config.store / "toolchains/current/trixie").touch()
    assert "Made so far: trixie; " in by_name(config, machine)["environments"].message


@pytest.mark.parametrize(("mode", "ok"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)])
def test_key_modes(config: Config, machine: Host, mode: int, ok: bool) -> None:
    """A private key is its owner's alone; public keys beside it may be read."""
    config.keys.mkdir()
    (config.keys / "signing.pem").write_text(KEY)
    (config.keys / "signing.pem").chmod(mode)
    (config.keys / "signing.public.pem").write_text(KEY.replace("PRIVATE", "PUBLIC"))
    check = by_name(config, machine)["signing key"]
    assert ok == check.ok
    assert (None if ok else f"chmod 600 {config.keys}/signing.pem") == check.fix


def test_keys_in_the_store(config: Config, machine: Host) -> None:
    """The store is copied and served; keys must lie elsewhere."""
    check = by_name(config.replace(keys=config.store / "keys"), machine)["signing key"]
    assert not check.ok
    assert "inside the store" in check.message


def test_odd_keys(config: Config, machine: Host) -> None:
    """Links that lead nowhere do not end the doctor."""
    config.keys.mkdir()
    (config.keys / "loop").symlink_to("loop")
    assert by_name(config, machine)["signing key"].ok
    check = by_name(config.replace(keys=config.keys / "loop"), machine)["signing key"]
    assert not check.ok
    assert "is not a directory" in check.message


@pytest.mark.parametrize("content", ["", "rubbish", KEY[:60], KEY.replace("PRIVATE", "PUBLIC"), None])
def test_not_a_key(config: Config, machine: Host, content: str | None) -> None:
    """The file a verification would sign with must be a key; None: it is a directory."""
    config.keys.mkdir()
    key = config.keys / "signing.pem"
    if content is None:
        key.mkdir()
    else:
        key.write_text(content)
        key.chmod(0o600)
    check = by_name(config, machine)["signing key"]
    assert (False, False) == (check.ok, check.command)
    assert str(key) in check.message


def test_mode_of_any_signing_key(config: Config, machine: Host) -> None:
    """The mode of the file that is signed with counts, whatever is in it."""
    config.keys.mkdir()
    (config.keys / "signing.pem").write_text("rubbish")
    (config.keys / "signing.pem").chmod(0o644)
    check = by_name(config, machine)["signing key"]
    assert (False, True, f"chmod 600 {config.keys}/signing.pem") == (check.ok, check.command, check.fix)


@pytest.mark.parametrize("name", ["store", "site"])
def test_file_instead_of_a_directory(config: Config, machine: Host, tmp_path: Path, name: str) -> None:
    """A file cannot hold a store or a site, nor can anything below it."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        check = by_name(config.replace(**{name: place}), machine)[name]
        assert not check.ok
        assert f"{tmp_path / 'file'} is not a directory" in check.message
        assert f"--{name}" in (check.fix or "")


def test_site_that_cannot_be_written(config: Config, machine: Host) -> None:
    """The site is tried like the store."""
    found = by_name(config.replace(site=Path("/proc/site")), machine)
    assert ["site"] == [check.name for check in found.values() if not check.ok]


def test_site_among_other_things(config: Config, machine: Host, tmp_path: Path) -> None:
    """A site is written neither among files of the user's nor around the keys; one of ours is fine."""
    site = tmp_path / "home"
    site.mkdir()
    (site / "thesis.tex").touch()
    changed = config.replace(site=site)
    assert "holds other files" in by_name(changed, machine)["site"].message
    assert not by_name(changed, machine)["site"].ok
    (site / MARKER).touch()
    assert by_name(changed, machine)["site"].ok
    check = by_name(changed.replace(keys=site / "keys"), machine)["site"]
    assert not check.ok
    assert "would share a directory" in check.message


@pytest.mark.parametrize(
    ("content", "ok"), [(b"rubbish", False), (b"SQLite format 3", False), (b"", True), (b"SQLite format 3\0...", True)]
)
def test_ledger(config: Config, machine: Host, content: bytes, *, ok: bool) -> None:
    """A ledger that is there must begin like a database."""
    config.store.mkdir(parents=True)
    (config.store / "ledger.sqlite").write_bytes(content)
    found = by_name(config, machine)
    assert ([] if ok else ["ledger"]) == [check.name for check in found.values() if not check.ok]


@pytest.mark.parametrize(
    ("place", "ok", "words"),
    [
        ("postgresql://me:word@example.org/rebuilder", True, "example.org/rebuilder; the server was not asked"),
        ("mysql://example.org/rebuilder", False, "no database"),
        ("sqlite:////nowhere/at/all", True, ""),
    ],
)
def test_ledger_of_the_settings(config: Config, machine: Host, place: str, words: str, *, ok: bool) -> None:
    """Where the settings put the ledger is looked at, not what lies in the store; no password is shown."""
    config.store.mkdir(parents=True)
    (config.store / "ledger.sqlite").write_bytes(b"rubbish")
    found = by_name(config.replace(ledger=place), machine)
    assert ([] if ok else ["ledger"]) == [check.name for check in found.values() if not check.ok]
    told = found["ledger"].message if "ledger" in found else ""
    assert words in told
    assert "word@" not in told


def test_npm_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where npm packages are read from is said; lacking it is no lack."""

    def none(self: NpmSettings) -> Any:
        raise UsageError("None is set.")

    monkeypatch.setattr(NpmSettings, "registry", none)
    (check,) = ECOSYSTEMS["npm"].check_registry(Config())
    assert check.ok
    assert check.message.startswith("None is set.")


def test_index_that_is_no_address() -> None:
    """The check says what a verification would."""
    with pytest.raises(UsageError) as caught:
        index_settings("zzz")
    (check,) = ECOSYSTEMS["pypi"].check_registry(Config(index_url="zzz"))
    assert (False, str(caught.value)) == (check.ok, check.message)


def test_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only commands are to be run; what else is to be done is a sentence."""
    (tmp_path / "file").touch()
    keys = tmp_path / "two words"
    keys.mkdir()
    (keys / "signing.pem").write_text(KEY)
    (keys / "signing.pem").chmod(0o644)
    assert ExitCode.OUR_FAULT == examine(
        Config(store=tmp_path / "file", keys=keys, index_url="http://127.0.0.1:1/simple")
    )
    lines = capsys.readouterr().out.splitlines()
    assert f"  run: chmod 600 '{keys}/signing.pem'" in lines
    assert any(line.startswith("  do: ") and "--store" in line for line in lines)
