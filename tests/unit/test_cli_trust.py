"""``rebuilder trust``: what is shown, what an update says, and that a bad file changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rebuilder.cli.main import app
from rebuilder.errors import ExitCode, RebuilderError
from rebuilder.provenance.trust.files import TrustRoot, load, shipped
from tests.fakes.sigstore_instance import SigstoreInstance


class Command:
    """The command line with settings of its own."""

    def __init__(self, directory: Path) -> None:
        self.trust = directory / "trust"
        self._settings = directory / "rebuilder.toml"
        self._settings.write_text(f"trust = {json.dumps(str(self.trust))}\n")

    def arguments(self, *arguments: str | Path) -> list[str]:
        """What follows ``rebuilder``."""
        return ["trust", *map(str, arguments), "--config", str(self._settings)]

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Exit code, standard output, and the sentence of an error."""
        done = CliRunner().invoke(app, self.arguments(*arguments))
        if isinstance(done.exception, RebuilderError):
            return done.exception.exit_code, done.stdout, str(done.exception)
        return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def trust(tmp_path: Path) -> Command:
    """The command, with a trust directory that does not exist yet."""
    return Command(tmp_path)


@pytest.fixture
def newer(tmp_path: Path) -> tuple[Path, TrustRoot]:
    """A trust root nobody shipped, and a file with its first part."""
    root = SigstoreInstance().trust()
    file = tmp_path / "newer.json"
    file.write_bytes(root.trusted_root)
    return file, root


def test_update_then_show(trust: Command, newer: tuple[Path, TrustRoot]) -> None:
    """An update prints every line that changed and where it is kept; afterwards that is what is shown and used."""
    file, root = newer
    code, out, err = trust("update", file)
    assert (ExitCode.OK, "") == (code, err)
    lines = out.splitlines()
    assert 3 == sum(line.startswith("+ ") for line in lines)
    assert 7 == sum(line.startswith("- ") for line in lines)
    assert f"trusted_root now has the SHA-256 {root.sha256} (before: {shipped().sha256})." in lines
    assert str(trust.trust) in out
    assert root.trusted_root == load(trust.trust).trusted_root
    code, out, _ = trust("show")
    assert ExitCode.OK == code
    assert f"This is the trust root in {trust.trust}; the one shipped with the program is not used." in out
    assert f"trusted_root: SHA-256 {root.sha256}" in out
    assert "https://log.example" in out
    assert "npm_keys: SHA-256" in out


def test_show_names_periods(trust: Command, tmp_path: Path) -> None:
    """Every authority, log and key is there with its period."""
    file = tmp_path / "same.json"
    file.write_bytes(shipped().trusted_root)
    trust("update", file)
    _, out, _ = trust("show")
    lines = [line for line in out.splitlines() if line.startswith("  ")]
    assert 11 == len(lines)
    assert all(" from " in line and " to " in line for line in lines)


def test_update_twice(trust: Command, newer: tuple[Path, TrustRoot], tmp_path: Path) -> None:
    """The same file again changes nothing; another spelling of the same content is told as that."""
    file, root = newer
    trust("update", file)
    code, out, _ = trust("update", file)
    assert (ExitCode.OK, f"Nothing changed: trusted_root already has the SHA-256 {root.sha256}.\n") == (code, out)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(root.trusted_root), indent=3))
    _, out, _ = trust("update", other)
    assert "names the same authorities" in out


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff", b'{"keys": []}', b"[" * 100_000, None])
def test_bad_file(trust: Command, tmp_path: Path, content: bytes | None) -> None:
    """A file that is no trust root, or is not there, is one sentence and exit code 2; nothing is stored."""
    file = tmp_path / "bad.json"
    if content is not None:
        file.write_bytes(content)
    code, out, err = trust("update", file)
    assert (ExitCode.USAGE, "") == (code, out)
    assert "bad.json" in err
    assert not trust.trust.exists()


def test_bad_file_ends_the_program(trust: Command, tmp_path: Path) -> None:
    """The real program says one sentence, what to do, and ends with exit code 2."""
    (tmp_path / "bad.json").write_text("{}")
    program = "from rebuilder.cli.main import main; main()"
    arguments = trust.arguments("update", tmp_path / "bad.json")
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert (ExitCode.USAGE, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("rebuilder: ")
    assert "see docs/trust.md" in done.stderr
    assert 2 == len(done.stderr.splitlines())


def test_named_directory_must_exist(trust: Command) -> None:
    """A trust root that was asked for is not silently replaced by the shipped one."""
    code, out, err = trust("show")
    assert (ExitCode.OUR_FAULT, "") == (code, out)
    assert str(trust.trust) in err


def test_changed_behind_our_back(trust: Command, newer: tuple[Path, TrustRoot]) -> None:
    """A stored file that is not what was stored is named, and nothing of it is shown."""
    trust("update", newer[0])
    stored = next(trust.trust.glob("trusted_root.*"))
    stored.write_bytes(newer[1].trusted_root + b" ")
    code, out, err = trust("show")
    assert (ExitCode.OUR_FAULT, "") == (code, out)
    assert stored.name in err
