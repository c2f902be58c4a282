"""The index comes from the settings of pip and uv, in a fixed order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.ecosystems.pypi.settings import IndexSettings, PipProcess, index_settings
from rebuilder.errors import UsageError


class Machine:
    """Settings files in a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"HOME": str(root / "home")}

    def write(self, path: str, text: str) -> Path:
        """A file below the root, and its path."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def find(self, override: str | None = None) -> IndexSettings:
        """What the settings say."""
        surroundings = PipProcess(self.environment, prefix=self.root / "venv", etc=self.root / "etc")
        return index_settings(override, surroundings=surroundings)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any settings."""
    return Machine(tmp_path)


def pip_file(section: str, number: int) -> str:
    """A pip configuration file that names an index."""
    return f"[{section}]\nindex-url = https://example.org/{number}/simple\n"


def test_order_of_places(machine: Machine) -> None:
    """Each place that is added wins over all that were there before."""
    steps: list[Callable[[int], object]] = [
        lambda n: machine.write("etc/xdg/pip/pip.conf", pip_file("global", n)),
        lambda n: machine.write("etc/pip.conf", pip_file("global", n)),
        lambda n: machine.write("home/.pip/pip.conf", pip_file("global", n)),
        lambda n: machine.write("home/.config/pip/pip.conf", pip_file("global", n)),
        lambda n: machine.write("venv/pip.conf", pip_file("global", n)),
        lambda n: machine.environment.update(PIP_CONFIG_FILE=str(machine.write("own.conf", pip_file("global", n)))),
        lambda n: machine.write("etc/pip.conf", pip_file("install", n)),
        lambda n: machine.write("etc/uv/uv.toml", f'index-url = "https://example.org/{n}/simple"'),
        lambda n: machine.write("etc/xdg/uv/uv.toml", f'index-url = "https://example.org/{n}/simple"'),
        lambda n: machine.write("home/.config/uv/uv.toml", f'index-url = "https://example.org/{n}/simple"'),
        lambda n: machine.write(
            "home/.config/uv/uv.toml",
            'index-url = "https://example.org/no"\n[[index]]\nurl = "https://example.org/extra"\n'
            f'[[index]]\nurl = "https://example.org/{n}/simple"\ndefault = true\n',
        ),
        lambda n: machine.environment.update(
            UV_CONFIG_FILE=str(machine.write("own.toml", f'[pip]\nindex-url = "https://example.org/{n}/simple"'))
        ),
        lambda n: machine.environment.update(PIP_INDEX_URL=f"https://example.org/{n}/simple"),
        lambda n: machine.environment.update(UV_INDEX_URL=f"https://example.org/{n}/simple"),
        lambda n: machine.environment.update(UV_DEFAULT_INDEX=f"https://example.org/{n}/simple"),
    ]
    for number, step in enumerate(steps):
        step(number)
        assert f"https://example.org/{number}/simple" == machine.find().index_url
    assert "https://example.org/own" == machine.find("https://example.org/own/").index_url


def test_default_is_that_of_the_installed_pip(machine: Machine) -> None:
    """No host is written in our code; what pip would use is used."""
    program = "from pip._internal.cli.cmdoptions import index_url; print(index_url().default)"
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    assert asked.stdout.strip().rstrip("/") == machine.find().index_url
    assert "The index URL is taken from the default of the installed pip." == machine.find().origin


def test_origin_names_file_and_key(machine: Machine) -> None:
    """For ``rebuilder doctor``."""
    file = machine.write("etc/pip.conf", "[global]\nINDEX_URL = https://u:secret@example.org/simple/\n")
    assert f"The index URL is taken from [global] index-url in {file}." == machine.find().origin
    assert "https://u:secret@example.org/simple" == machine.find().index_url


def test_files_can_be_switched_off(machine: Machine) -> None:
    """As in pip and uv: PIP_CONFIG_FILE=/dev/null, UV_NO_CONFIG=1."""
    machine.write("etc/pip.conf", pip_file("global", 1))
    machine.write("etc/uv/uv.toml", 'index-url = "https://example.org/2/simple"')
    assert "https://example.org/2/simple" == machine.find().index_url
    machine.environment["UV_NO_CONFIG"] = "1"
    assert "https://example.org/1/simple" == machine.find().index_url
    machine.environment["PIP_CONFIG_FILE"] = os.devnull
    assert "default of the installed pip" in machine.find().origin


def test_xdg_directories_are_honoured(machine: Machine) -> None:
    """Where the user keeps settings is the user's choice."""
    machine.environment["XDG_CONFIG_HOME"] = str(machine.root / "elsewhere")
    machine.write("elsewhere/pip/pip.conf", pip_file("global", 7))
    assert "https://example.org/7/simple" == machine.find().index_url


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("etc/pip.conf", "index-url = x\n", "malformed at line 1"),
        ("etc/pip.conf", "[global]\n[global]\n", "malformed at line 2"),
        ("etc/pip.conf", "[global\n", "malformed"),
        ("etc/uv/uv.toml", "index-url = \n", "is not TOML"),
        ("etc/uv/uv.toml", "index-url = 1\n", "index-url in .* has the wrong type"),
        ("etc/uv/uv.toml", "index = 1\n", "index in .* has the wrong type"),
        ("etc/uv/uv.toml", "[[index]]\ndefault = true\n", r"index\.url in .* has the wrong type"),
        ("etc/uv/uv.toml", "pip = 1\n", "pip in .* has the wrong type"),
    ],
)
def test_malformed_file_is_a_sentence(machine: Machine, path: str, text: str, words: str) -> None:
    """It names the file and what is wrong in it."""
    file = machine.write(path, text)
    with pytest.raises(UsageError, match=words) as caught:
        machine.find()
    assert str(file) in str(caught.value)
    assert caught.value.hint


def test_file_that_is_no_text_is_a_sentence(machine: Machine) -> None:
    """Binary rubbish in a settings file."""
    machine.write("etc/pip.conf", "").write_bytes(b"\xff\xfe[global]")
    with pytest.raises(UsageError, match=r"pip\.conf cannot be read as text"):
        machine.find()


@pytest.mark.parametrize(
    "url",
    ["file:///srv/secret", "ftp://secret", "secret", "http://", "http://[secret", "https://a secret/", "https://a\n"],
)
def test_unusable_url_is_a_sentence_without_the_url(machine: Machine, url: str) -> None:
    """The place is named; the value might hold a password."""
    with pytest.raises(UsageError, match="The index URL from the setting index_url of the rebuilder is not") as caught:
        machine.find(url)
    assert "secret" not in str(caught.value)


def test_settings_file_with_a_broken_url_is_named(machine: Machine) -> None:
    """The user must know where to look."""
    file = machine.write("etc/pip.conf", "[global]\nindex-url = nowhere\n")
    with pytest.raises(UsageError) as caught:
        machine.find()
    assert f"[global] index-url in {file}" in str(caught.value)


def test_certificates(machine: Machine) -> None:
    """The environment first, then pip's configuration."""
    bundle, other = machine.write("bundle.pem", ""), machine.write("other.pem", "")
    assert machine.find().ca_bundle is None
    machine.write("etc/pip.conf", f"[global]\ncert = {bundle}\n")
    assert bundle == machine.find().ca_bundle
    for name in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "PIP_CERT"):
        machine.environment[name] = str(other)
        assert (other, f"The trusted certificates are taken from {name} in the environment.") == (
            machine.find().ca_bundle,
            machine.find().ca_origin,
        )
        machine.environment = {"HOME": machine.environment["HOME"]}
    machine.environment["PIP_CERT"] = str(machine.root / "missing.pem")
    with pytest.raises(UsageError, match=r"PIP_CERT in the environment names .* which does not exist"):
        machine.find()
