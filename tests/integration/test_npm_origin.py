"""Where an npm tarball comes from, from the command line to the page: a registry on loopback, and real repositories."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.ecosystems.npm.node_versions import NODE as NODE_PACKAGE
from rebuilder.ecosystems.unavailable_inputs import PATIENCE
from rebuilder.store.ledger.ledger import Ledger
from tests.fakes.archives import gzip_bytes, tar_bytes, tar_member
from tests.fakes.command import Installation
from tests.fakes.git_server import GitServer, status
from tests.fakes.registry import Registry
from tests.fakes.repositories import Repository, make_repository

URL = "https://example.org/owner/thing"


@dataclass(frozen=True)
class NpmInstallation(Installation):
    """An installation whose npm settings name one registry, and whose settings have a mirror."""

    registry: str = ""
    proxy: str = ""
    """For https."""

    @property
    def environment(self) -> dict[str, str]:
        """See :class:`Installation`."""
        own = {"REBUILDER_CONFIG": str(self.root / "rebuilder.toml"), "NPM_CONFIG_REGISTRY": self.registry}
        own |= {"https_proxy": self.proxy} if self.proxy else {}
        return super().environment | own


@pytest.fixture
def registry() -> Iterator[Registry]:
    """An empty registry."""
    with Registry() as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, environments_root: Path, registry: Registry) -> NpmInstallation:
    """An installation that asks that registry, and takes repositories from a directory."""
    made = Installation.make(tmp_path, environments_root, registry.url)
    (tmp_path / "rebuilder.toml").write_text(f'[sources.mirrors]\n"https://example.org" = "{tmp_path / "git"}"\n')
    return NpmInstallation(tmp_path, made.index_url, registry.npm_url)


def manifest(version: str, **more: object) -> bytes:
    """A package.json that names the repository."""
    return json.dumps({"name": "thing", "version": version, "repository": URL} | more).encode()


def publish(registry: Registry, version: str, files: dict[str, bytes]) -> None:
    """Publish a tarball with these files."""
    members = [(tar_member(f"package/{path}"), content) for path, content in files.items()]
    registry.add_package("thing", version, gzip_bytes(tar_bytes(*members)))


def test_a_wrong_tag_and_a_planted_file_are_on_the_page(
    tmp_path: Path, registry: Registry, installation: NpmInstallation
) -> None:
    """The commit with the files is taken, the tag is an alarm, and what runs by itself stands first."""
    repository: Repository = make_repository(tmp_path / "git" / "owner" / "thing", {"README.md": b"It.\n"})
    tagged = repository.commit({"package.json": manifest("1.0.0"), "index.js": "old\n"})
    repository.tag("v1.0.0")
    commit = repository.commit({"index.js": "new\n"})
    scripts = {"postinstall": "node evil.js"}
    files = {"index.js": b"new\n", "README.md": b"It.\n", "evil.js": b"evil()\n", "data.txt": b"more\n"}
    publish(registry, "1.0.0", files | {"package.json": manifest("1.0.0", scripts=scripts)})
    for tool in (NODE_PACKAGE, "npm"):
        registry.add_package(tool, "20.0.0", gzip_bytes(tar_bytes()), published=datetime(2090, 1, 1, tzinfo=UTC))
    answer = installation.verify("npm:thing==1.0.0")
    line = answer.line
    assert (3, "inputs-missing") == (answer.code, line["verdict"]), answer.words
    assert ["tag-moved"] == [each["kind"] for each in line["alarms"]]
    report = json.loads((Path(line["report"]).parent / "report.json").read_text())
    trail = report["trail"]
    assert (URL, commit, False, "") == tuple(
        trail["origin"][each] for each in ("repository", "commit", "attested", "directory")
    )
    assert tagged in trail["findings"][0]
    assert ["evil.js", "package.json", "data.txt"] == [each["path"] for each in trail["changes"]]
    assert [None] * 3 == [each.get("rule") for each in trail["changes"]]
    page = Path(line["report"]).read_text()
    assert "The tarball against the commit" in page
    assert "scripts.postinstall" in page
    assert page.index("evil.js") < page.index("data.txt")


def test_a_repository_that_our_network_refuses(
    tmp_path: Path, registry: Registry, installation: NpmInstallation
) -> None:
    """Our trouble, and no word about the publisher; after twelve hours a verdict that says what was asked."""
    content = gzip_bytes(tar_bytes((tar_member("package/package.json"), manifest("1.0.0"))))
    registry.add_package("thing", "1.0.0", content)
    key = hashlib.sha256(content).hexdigest()
    mirrors = (tmp_path / "rebuilder.toml").read_text()
    (tmp_path / "rebuilder.toml").write_text("")
    with GitServer(tmp_path, fault=status(403)) as proxy:
        refused = replace(installation, proxy=proxy.url)
        answer = refused.verify("npm:thing==1.0.0")
        said = f"{URL} was not reached"
        assert (4, "infra-error") == (answer.code, answer.line["verdict"]), answer.words
        assert (True, True) == (said in answer.line["problem"], "answers 403." in answer.line["problem"])
        with Ledger.open(installation.store / "ledger.sqlite") as ledger:
            begun = datetime.fromisoformat(str(ledger.cache_get("unavailable", key)))
            ledger.cache_put("unavailable", key, (begun - PATIENCE).isoformat(), begun)
        line = refused.verify("npm:thing==1.0.0").line
        assert ("inputs-missing", True) == (line["verdict"], said in line["sentence"])
        assert f"since {begun - PATIENCE:%Y-%m-%d %H:%M} UTC" in line["sentence"]
    (tmp_path / "rebuilder.toml").write_text(mirrors)
    line = installation.verify("npm:thing==1.0.0").line
    assert ("inputs-missing", True) == (line["verdict"], "There is no repository" in line["sentence"])
    with Ledger.open(installation.store / "ledger.sqlite") as ledger:
        assert ledger.cache_get("unavailable", key) is None


def test_somebody_elses_repository_is_not_called_the_source(
    tmp_path: Path, registry: Registry, installation: NpmInstallation
) -> None:
    """Named in package.json, and without anything of the tarball: no commit, and the page says why."""
    make_repository(tmp_path / "git" / "owner" / "thing", {"package.json": b'{"name": "known"}', "index.js": b"1\n"})
    publish(registry, "1.0.0", {"package.json": manifest("1.0.0"), "index.js": b"evil()\n"})
    answer = installation.verify("npm:thing==1.0.0")
    assert (3, "inputs-missing") == (answer.code, answer.line["verdict"]), answer.words
    report = json.loads((Path(answer.line["report"]).parent / "report.json").read_text())
    assert report["trail"]["origin"].get("commit") is None
    assert "that would tell it" in Path(answer.line["report"]).read_text()
