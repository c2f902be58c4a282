"""The npm registry comes from npm's own settings, in npm's order, without starting npm."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.ecosystems.npm.settings import Grant, NpmProcess, NpmSettings, Registry
from rebuilder.errors import UsageError

DEFINITIONS = "lib/node_modules/npm/node_modules/@npmcli/config/lib/definitions/definitions.js"
BUILT_IN = "  registry: new Definition('registry', {\n    default: 'https://example.org/%d/',\n    type: url,\n"


class Machine:
    """Settings files in a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"HOME": str(root / "home"), "PATH": str(root / "usr" / "bin")}
        (root / "work" / "deep").mkdir(parents=True)

    def write(self, path: str, text: str) -> Path:
        """A file below the root, and its path."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def install(self, program: str, target: str) -> None:
        """A program on the PATH, as packages install it: a link for npm, the file itself for node."""
        self.write(target, "").chmod(0o755)
        link = self.root / "usr" / "bin" / program
        link.parent.mkdir(parents=True, exist_ok=True)
        if link != self.root / target:
            link.symlink_to(self.root / target)

    def install_npm(self, number: int) -> None:
        """An npm whose built-in default is ``…/NUMBER/``."""
        self.install("npm", "usr/lib/node_modules/npm/bin/npm-cli.js")
        self.write("usr/lib/node_modules/npm/package.json", "{}")
        self.write(f"usr/{DEFINITIONS}", BUILT_IN % number)

    def settings(self) -> NpmSettings:
        """What is read when the program is started in a directory of a project."""
        return NpmSettings(NpmProcess(self.environment, self.root / "work" / "deep"))

    def find(self, scope: str | None = None) -> Registry:
        """The registry in use."""
        return self.settings().registry(scope)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any settings."""
    return Machine(tmp_path)


def line(number: int) -> str:
    """A settings file that names a registry."""
    return f"; where packages come from\nregistry = https://example.org/{number}/\n"


def test_order_of_places(machine: Machine) -> None:
    """Each place that is added wins over all that were there before."""
    machine.install("node", "usr/bin/node")
    steps: list[Callable[[int], object]] = [
        machine.install_npm,
        lambda n: machine.write("usr/lib/node_modules/npm/npmrc", line(n)),
        lambda n: machine.write("usr/etc/npmrc", line(n)),
        lambda n: machine.write("home/.npmrc", line(n)),
        lambda n: machine.write("work/deep/.npmrc", line(n)),
        lambda n: (machine.write("work/package.json", "{}"), machine.write("work/.npmrc", line(n))),
        lambda n: machine.environment.update(NPM_CONFIG_REGISTRY=f"https://example.org/{n}/"),
    ]
    for number, step in enumerate(steps):
        step(number)
        assert f"https://example.org/{number}" == machine.find().url


def test_none_is_a_sentence(machine: Machine) -> None:
    """Without settings and npm there is nothing to guess."""
    with pytest.raises(UsageError, match="No npm registry is set") as caught:
        machine.find()
    assert caught.value.hint is not None
    assert "NPM_CONFIG_REGISTRY" in caught.value.hint


def test_files_named_in_the_environment(machine: Machine) -> None:
    """``userconfig``, ``globalconfig`` and ``prefix`` move the files, relative to home or to the directory."""
    machine.environment["npm_config_globalconfig"] = "../g"
    machine.write("work/g", line(1))
    assert "https://example.org/1" == machine.find().url
    machine.environment["npm_config_userconfig"] = "~/u"
    machine.write("home/u", line(2))
    assert "https://example.org/2" == machine.find().url
    del machine.environment["npm_config_globalconfig"]
    machine.write("home/u", f"prefix={machine.root}/own\n")
    machine.write("own/etc/npmrc", line(3))
    assert "https://example.org/3" == machine.find().url


def test_scopes_have_their_own_registry(machine: Machine) -> None:
    """``@scope:registry`` counts for its scope, and for no other."""
    machine.write("home/.npmrc", line(1) + '@own:registry="https://example.org/2"\n')
    assert ["https://example.org/2", "https://example.org/1", "https://example.org/1"] == [
        machine.find(scope).url for scope in ("@own", "@other", None)
    ]


def test_variables_quotes_and_comments(machine: Machine) -> None:
    """Values are read as npm reads them."""
    machine.environment |= {"WHERE": "a/b"}
    machine.write("home/.npmrc", "registry = 'https://example.org/${WHERE}/${NOT_SET?}' \n[section]\nregistry=no\n")
    assert "https://example.org/a/b" == machine.find().url
    machine.write("home/.npmrc", "registry=https://example.org/${NOT_SET} ; why\n")
    assert "https://example.org/${NOT_SET}" == machine.find().url


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        ("//example.org/a/b/:_authToken=s3cret", "Bearer s3cret"),
        ("//example.org/:_authToken=${TOKEN}", "Bearer from-environment"),
        ("//example.org/a/:_auth=dTpw", "Basic dTpw"),
        (
            "//example.org/a/:username=u\n//example.org/a/:_password=cDpx",
            "Basic " + base64.b64encode(b"u:p:q").decode(),
        ),
        ("//example.org/a/c/:_authToken=no\n//example.org:8443/:_authToken=no", None),
        ("_authToken=no\n//elsewhere.example/:_authToken=no", None),
    ],
)
def test_credentials_are_bound_to_their_registry(machine: Machine, lines: str, header: str | None) -> None:
    """They are looked for at the registry's address and above it, as npm does, and nowhere else."""
    machine.environment |= {"TOKEN": "from-environment"}
    machine.write("home/.npmrc", f"registry=https://example.org/a/b\n{lines}\n")
    grant = machine.find().grant
    assert header == (grant.header if grant else None)
    assert grant is None or grant.prefix.startswith("https://example.org/")


def test_credentials_of_the_nearest_address_count(machine: Machine) -> None:
    """A token for the whole host is not sent where the registry has its own."""
    machine.write(
        "home/.npmrc",
        "registry=https://example.org/a/\n//example.org/:_authToken=host\n//example.org/a/:_authToken=own\n",
    )
    assert Grant(prefix="https://example.org/a/", header="Bearer own") == machine.find().grant


@pytest.mark.parametrize(
    "text",
    [
        "registry=ftp://user:s3cret@example.org/",
        "registry=s3cret",
        "registry=https://example.org/\n//example.org/:_authToken=s3cret with spaces",
        "registry=https://example.org/\n//example.org/:username=u\n//example.org/:_password=s3cret!",
        "registry=https://example.org/\n//example.org/:_authToken=s3cret\x01",
    ],
)
def test_wrong_settings_are_sentences_without_secrets(machine: Machine, text: str) -> None:
    """The message says where, never what."""
    machine.write("home/.npmrc", text)
    with pytest.raises(UsageError) as caught:
        machine.find()
    assert ".npmrc" in str(caught.value)
    assert "s3cret" not in str(caught.value) + str(caught.value.hint)


def test_unreadable_files_are_sentences(machine: Machine) -> None:
    """Binary rubbish and endless files."""
    file = machine.write("home/.npmrc", "")
    for content in (b"\xff\xfe", b"a" * ((1 << 20) + 1)):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"\.npmrc"):
            machine.find()


def test_certificates(machine: Machine) -> None:
    """``cafile`` before ``NODE_EXTRA_CA_CERTS``; what does not exist is a sentence."""
    bundle, other = machine.write("ca.pem", ""), machine.write("other.pem", "")
    assert machine.settings().ca_bundle is None
    machine.environment["NODE_EXTRA_CA_CERTS"] = str(other)
    assert other == machine.settings().ca_bundle
    machine.write("home/.npmrc", f"cafile={bundle}\n")
    assert bundle == machine.settings().ca_bundle
    bundle.unlink()
    with pytest.raises(UsageError, match="does not exist"):
        _ = machine.settings().ca_bundle


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    """Where one was started may not exist any more."""
    program = (
        "import os, sys\nos.rmdir(os.getcwd())\n"
        "from rebuilder.ecosystems.npm.settings import NpmProcess\nprint(NpmProcess.here().directory)"
    )
    (tmp_path / "gone").mkdir()
    root = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path / "gone",
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "/\n") == (done.returncode, done.stdout), done.stderr
