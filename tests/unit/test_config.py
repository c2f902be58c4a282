"""Settings: every mistake names the file and the field."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from rebuilder.config import Config, load_config
from rebuilder.errors import UsageError
from rebuilder.model.definition import Limits
from rebuilder.model.provenance import Expectation, Forge


def test_defaults_need_no_file(tmp_path: Path) -> None:
    """A fresh machine works without any settings."""
    config = load_config(None, {"store": tmp_path / "store"})
    assert tmp_path / "store" == config.store
    assert tmp_path / "store" / "site" == config.site_directory


def test_command_line_is_above_the_file(tmp_path: Path) -> None:
    """What was just said counts more than what was written down."""
    file = tmp_path / "rebuilder.toml"
    file.write_text('store = "/srv/a"\nsite = "/srv/site"\n[limits]\nwall_seconds = 5\n')
    config = load_config(file, {"store": Path("/srv/b"), "site": None})
    assert Path("/srv/b") == config.store
    assert Path("/srv/site") == config.site_directory
    assert Limits(wall_seconds=5) == config.limits
    assert Limits(processes=7) == Config(limits=Limits(processes=7)).limits
    # A limit added to the model must be bounded in the settings too.
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"limits": dict.fromkeys(Limits.model_fields, 0)})
    assert len(Limits.model_fields) == caught.value.error_count()


def test_schedules_lie_beside_the_settings_file(tmp_path: Path) -> None:
    """Beside the one that was named, unless it says where they are."""
    file = tmp_path / "rebuilder.toml"
    file.touch()
    assert tmp_path / "schedules" == load_config(file, {}).schedules_directory
    file.write_text('schedules = "/srv/schedules"\n')
    assert Path("/srv/schedules") == load_config(file, {}).schedules_directory


def test_interpreters(tmp_path: Path) -> None:
    """An interpreter is a directory or an archive; a home directory is written out; nothing expired is accepted."""
    file = tmp_path / "rebuilder.toml"
    file.write_text(
        '[toolchains]\naccept_expired = ["forky"]\n[interpreters."cpython3.12"]\nversion = "3.12"\npath = "~/python"\n'
    )
    config = load_config(file, {})
    assert {"cpython3.12": f"{Path.home()}/python"} == {name: each.path for name, each in config.interpreters.items()}
    assert ("forky",) == config.environments.accept_expired
    assert Config().environments.accept_expired is None


@pytest.mark.parametrize("table", ["environments", "toolchains"])
def test_environments_by_their_name_of_before(tmp_path: Path, table: str) -> None:
    """Settings that still say build environments mean the same."""
    file = tmp_path / "rebuilder.toml"
    file.write_text(f'[{table}]\naccept_expired = ["forky"]\n')
    assert ("forky",) == load_config(file, {}).environments.accept_expired


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("stoer = 1", "stoer"),
        ("[environments]\naccept_expird = []", "'environments.accept_expird'"),
        ("[environments]\n[toolchains]", "'toolchains'"),
        ("store = [", "TOML"),
        ("[limits]\nwall_seconds = 'long'", "limits.wall_seconds"),
        ("download_bytes = 0", "download_bytes"),
        ("[expect.sampleproject]\nattested = true", "'sampleproject' is not a project"),
        ('[expect."deb:hello"]\nattested = true', "'deb:hello' is not a project"),
        ('[expect."pypi:"]\nattested = true', "'pypi:' is not a project"),
        ('[expect."pypi:a"]\nrepositry = "x"', "expect.pypi:a.repositry"),
        ('[expect."pypi:a"]\nforge = "hub"', "expect.pypi:a.forge"),
        ('[expect."pypi:a"]\nattested = "maybe"', "'expect.pypi:a'"),
        ('[expect."pypi:a"]\nrepository = "github.com/o/r"', "repository of 'pypi:a'"),
        ('[expect."pypi:a-b"]\n[expect."pypi:A.b"]', "'pypi:A.b' is there twice"),
        ("[sources]\ngit_bytes = 0", "sources.git_bytes"),
        ("[sources]\ngit_seconds = inf", "sources.git_seconds"),
        ('[sources.mirrors]\n"http://example.org/" = "/srv"', "sources.mirrors"),
        ('[sources.mirrors]\n"https://example.org/" = "srv"', "'srv', which stands for 'https://example.org/'"),
        ('[sources.mirrors]\n"https://example.org/" = "~nobody-here/x"', "'~nobody-here/x' is the home"),
        ('[sources.mirrors]\n"https://example.org/" = 3', "sources.mirrors.https://example.org/"),
        ("trust = 3", "'trust'"),
        ('[toolchains]\naccept_expired = "forky"', "must be a list"),
        ('[toolchains]\naccept_expired = ["forky-updates"]', "'forky-updates' is not the name of"),
        ("[toolchains]\naccept_expird = []", "'toolchains.accept_expird'"),
        ("[environments.a]", "'environments.a.packages'"),
        ('[environments.a]\npackages = ["xx"]\nbas = "x"', "'environments.a.bas'"),
        ('[environments.a]\npackages = ["?essential"]', "'environments.a.packages.0'"),
        ('[environments.a]\npackages = ["xx"]\nconfigured = "yes"', "'environments.a.configured'"),
        ('[environments.a]\npackages = ["xx"]\nprune = ["../x"]', "'environments.a.prune.0'"),
        ('[environments.a]\npackages = ["xx"]\nprune = ["a/../x"]', "is not a path below"),
        ('[environments.a]\npackages = ["xx"]\nprune = ["$(x)"]', "'environments.a.prune.0'"),
        ('[environments.A_b]\npackages = ["xx"]', "'A_b' is not a name"),
        ("[interpreters.a]", "'interpreters.a.version'"),
        ("[interpreters]\na = 3", "must be a table."),
        ("[interpreters.a]\nversion = 3.12", "must be a text in quotes."),
        ('[interpreters.a]\nversion = "2.7"\npath = "/srv/a"', "'2.7' is not a version of Python"),
        ('[interpreters.a]\nversion = "3.8"\npath = "/srv/a"', "Python 3.8 is too old"),
        ('[interpreters.a]\nversion = "3.12"', "either “path” or “archive”"),
        ('[interpreters.a]\nversion = "3.12"\npath = "/a"\narchive = "/b"', "either “path” or “archive”"),
        ('[interpreters.a]\nversion = "3.12"\narchive = "/b"', "“archive” and “sha256” belong together"),
        ('[interpreters.a]\nversion = "3.12"\npath = "/b"\nsha256 = "0"', "“archive” and “sha256” belong together"),
        ('[interpreters.a]\nversion = "3.12"\narchive = "/b"\nsha256 = "0"', "64 hexadecimal digits"),
        ('[interpreters.a]\nversion = "3.12"\npath = "a"', "'a', which 'a' names, is not an absolute path"),
        ('[interpreters.a]\nversion = "3.12"\npath = "~nobody-here/x"', "is the home directory of nobody"),
        ('[interpreters.A_b]\nversion = "3.12"\npath = "/a"', "'A_b' is not a name"),
        ("stoer = 1", "is not a setting."),
        ("[limits]\nwall_second = 1", "'limits.wall_second'"),
        ("limits = 3", "must be a table."),
        ("sources = 3", "must be a table."),
        ("[sources]\nmirrors = 3", "must be a table."),
        ("expect = 3", "must be a table."),
        ('[expect]\n"pypi:a" = 3', "must be a table."),
        ("[limits]\nwall_seconds = nan", "'limits.wall_seconds'"),
        ("[limits]\ncpu_seconds = -inf", "'limits.cpu_seconds'"),
        ("[limits]\nwall_seconds = 0", "must be greater than 0."),
        ("[limits]\nwall_seconds = 1e300", "must be at most 9007199254740992"),
        ("[limits]\nwall_seconds = true", "must be a number."),
        (f"[limits]\nmemory_bytes = {10**26}", "'limits.memory_bytes'"),
        (f"[limits]\ndisk_bytes = {2**53 + 1}", "must be at most 9007199254740992."),
        ("[limits]\noutput_bytes = -1", "must be greater than 0."),
        ("[limits]\nprocesses = 0", "'limits.processes'"),
        ("[limits]\nlog_bytes = true", "must be a whole number."),
        ("[limits]\nfile_bytes = 1.0", "must be a whole number."),
        ("[sources]\ngit_seconds = true", "must be a number."),
        (f"download_bytes = {10**26}", "'download_bytes'"),
        ("download_bytes = 1" + "0" * 5000, "TOML"),
        ("store = " + "[" * 3000, "TOML"),
        ('store = "/srv/a\\u0000b"', "'store'"),
        ('store = "~nobody-here/x"', "is the home directory of nobody"),
        ('keys = "/srv/a\\u0000b"', "'keys'"),
        ('site = "\\u0000"', "'site'"),
        ('trust = "/srv/a\\u0000b"', "NUL character"),
        ('[sources.mirrors]\n"https://example.org/" = "/srv\\u0000"', "NUL character"),
        ('[expect."pypi:a"]\nattested = "yes"', "must be true or false"),
        ('[expect."pypi:a"]\nattested = 1', "must be true or false"),
        ('builder_id = ""', "absolute URI"),
        ('builder_id = "mine"', "absolute URI"),
        ('builder_id = "https:"', "absolute URI"),
        ('builder_id = "urn:a b"', "absolute URI"),
        ("builder_id = 3", "must be a text in quotes."),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, word: str) -> None:
    """A wrong file is one sentence with its path and what is wrong."""
    file = tmp_path / "rebuilder.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(file, {})
    sentence = str(caught.value)
    assert word in sentence
    assert str(file) in sentence
    assert not [
        each for each in ("Value error", "Extra inputs", "instance of", "Input should", "[key]") if each in sentence
    ]


def test_settings_file_is_a_directory(tmp_path: Path) -> None:
    """A directory is named as that."""
    with pytest.raises(UsageError, match="is a directory"):
        load_config(tmp_path, {})
    with pytest.raises(UsageError, match="null byte"):
        load_config(Path("/srv/\0"), {})


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    """What was given to the command is not blamed on the file."""
    with pytest.raises(UsageError, match="'store' given to the command is wrong: it has a NUL"):
        load_config(None, {"store": Path("/srv/\0")})


def test_named_file_must_exist(tmp_path: Path) -> None:
    """A missing default is fine, a missing file that was asked for is not."""
    with pytest.raises(UsageError, match="does not exist"):
        load_config(tmp_path / "none.toml", {})


def read(tmp_path: Path, text: str) -> Config:
    """Settings with this text."""
    file = tmp_path / "rebuilder.toml"
    file.write_text(text)
    return load_config(file, {})


def test_expectations(tmp_path: Path) -> None:
    """Projects are found by their normalised name, however they are written."""
    config = read(
        tmp_path,
        '[expect."pypi:Sample_Project"]\nrepository = "https://github.com/pypa/sampleproject"\nforge = "github"\n'
        'workflow = "release.yml"\nenvironment = "pypi"\nattested = true\n'
        '[expect."npm:@scope/Name"]\naccount = "a@b"\n',
    )
    assert {
        "pypi:sample-project": Expectation(
            repository="https://github.com/pypa/sampleproject",
            forge=Forge.GITHUB,
            workflow="release.yml",
            environment="pypi",
            attested=True,
        ),
        "npm:@scope/Name": Expectation(account="a@b"),
    } == config.expect
    assert {} == read(tmp_path, "").expect


def test_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrors are addresses or absolute paths; a home directory is written out."""
    monkeypatch.setenv("HOME", str(tmp_path))
    sources = read(
        tmp_path,
        '[sources]\ngit_bytes = 5\ngit_seconds = 1.5\n[sources.mirrors]\n"https://github.com/o" = "~/o"\n'
        '"https://example.org/" = "http://127.0.0.1:1/x"\n',
    ).sources
    assert {"https://github.com/o": f"{tmp_path}/o", "https://example.org/": "http://127.0.0.1:1/x"} == sources.mirrors
    assert (5, 1.5) == (sources.git_bytes, sources.git_seconds)
    assert ({}, 512 << 20, 300) == tuple(read(tmp_path, "").sources.model_dump().values())


def test_trust_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual place is used when it exists; a named one always, so that nobody else is believed silently."""
    named = read(tmp_path, f"trust = '{tmp_path}/named'")
    assert (tmp_path / "named", tmp_path / "named") == (named.trust_directory, named.trust_in_use)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    usual = Config(store=tmp_path / "store")
    assert (tmp_path / "rebuilder" / "trust", None) == (usual.trust_directory, usual.trust_in_use)
    usual.trust_directory.mkdir(parents=True)
    assert usual.trust_directory == usual.trust_in_use


def test_a_sandbox_there_is_not(tmp_path: Path) -> None:
    """The kinds there are stand in the message."""
    file = tmp_path / "rebuilder.toml"
    file.write_text('sandbox = "chroot"')
    with pytest.raises(UsageError, match="must be one of 'bubblewrap' or 'uml'"):
        load_config(file, {})
