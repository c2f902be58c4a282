"""``rebuilder proxy`` with the real npm, in front of a registry on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from rebuilder.consumer.gate import Gate
from rebuilder.consumer.policy import Policy
from rebuilder.consumer.proxy.application import Application
from rebuilder.consumer.proxy.npm_registry import leads_around
from rebuilder.consumer.rebuilder import Trusted
from rebuilder.network.index_reader import IndexReader
from tests.fakes.loopback_index import LoopbackIndex, serving
from tests.fakes.loopback_npm import SHORT, LoopbackNpm, integrity, tarball
from tests.fakes.proxies import answering
from tests.fakes.published import PublishedRebuilder, differing, identical, of_npm

OLD, NEW, BETA = tarball("alpha", "1.0.0"), tarball("alpha", "1.2.0"), tarball("beta", "2.0.0-rc.1")
PLANTED = tarball("alpha", "1.1.0", {"setup.js": b"steal()"}, scripts={"postinstall": "node setup.js"})
SCOPED = tarball("@team/gamma", "3.0.0", dependencies={"alpha": "^1.0.0"})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rebuilder that confirms some tarballs, says of one that it differs, and knows nothing of the newest."""
    rebuilder = PublishedRebuilder(tmp_path_factory.mktemp("one"))
    rebuilder.publish(
        of_npm(identical("alpha", "1.0.0", OLD), "alpha", "1.0.0"),
        of_npm(identical("beta", "2.0.0", BETA), "beta", "2.0.0-rc.1"),
        of_npm(identical("gamma", "3.0.0", SCOPED), "@team/gamma", "3.0.0"),
        of_npm(differing("alpha", "1.1.0", PLANTED, "setup.js"), "alpha", "1.1.0"),
        contents=(OLD, BETA, SCOPED, PLANTED),
    )
    return rebuilder.site


@pytest.fixture
def registry() -> Iterator[LoopbackNpm]:
    """Three packages; of alpha, the last version is one that nobody confirms."""
    packages = {
        "alpha": {"1.0.0": OLD, "1.1.0": PLANTED, "1.2.0": NEW},
        "beta": {"2.0.0-rc.1": BETA},
        "@team/gamma": {"3.0.0": SCOPED},
    }
    manifests = {"gamma-3.0.0.tgz": {"dependencies": {"alpha": "^1.0.0"}}}
    attested = {"attestations": {"url": "https://registry.example.org/-/npm/v1/attestations/alpha@1.0.0"}}
    found = LoopbackNpm(
        packages=packages, manifests=manifests, more={"alpha-1.0.0.tgz": attested}, tags={"alpha": {"next": "1.1.0"}}
    )
    with serving(found):
        yield found


@contextmanager
def proxied(registry: LoopbackNpm, site: Path, memory: Path, *, audit: bool = False) -> Iterator[str]:
    """The address of a proxy in front of a registry."""
    with (
        Gate([Trusted(str(site), "one")], Policy(), memory) as gate,
        IndexReader(registry.url) as reader,
        answering(Application(None, gate, npm=lambda _: reader, audit=audit)) as address,
    ):
        yield address


class Npm:
    """npm with nothing kept and no settings."""

    def __init__(self, home: Path) -> None:
        self.home, self.count = home, 0

    def __call__(self, proxy: str, *words: str, project: Path | None = None) -> tuple[int, str, dict[str, str]]:
        """Exit code, what was said, and the versions that are installed."""
        if (npm := shutil.which("npm")) is None:
            pytest.fail("npm is missing: apt-get install npm", pytrace=False)
        self.count += 1
        where = project or self.home / f"project{self.count}"
        where.mkdir(exist_ok=True)
        if not (where / "package.json").exists():
            (where / "package.json").write_text('{"name": "project", "version": "0.0.0"}')
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "npm_config_cache": str(self.home / f"cache{self.count}"),
            "npm_config_registry": f"{proxy}/npm/",
            "npm_config_update_notifier": "false",
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "npm_config_fetch_retries": "0",
        }
        done = subprocess.run([npm, *words], cwd=where, env=environment, capture_output=True, text=True, check=False)
        manifests = [json.loads(each.read_bytes()) for each in where.glob("node_modules/**/package.json")]
        found = {each["name"]: each["version"] for each in manifests if "version" in each}
        return done.returncode, done.stdout + done.stderr, found


@pytest.fixture
def npm(tmp_path: Path) -> Npm:
    """One with an empty home."""
    return Npm(tmp_path)


def test_what_passes_is_installed(registry: LoopbackNpm, site: Path, tmp_path: Path, npm: Npm) -> None:
    """A newer version that does not pass is passed over, also where another package asks for it."""
    with proxied(registry, site, tmp_path / "seen") as proxy:
        code, said, found = npm(proxy, "install", "alpha", "@team/gamma")
    assert (code, found) == (0, {"alpha": "1.0.0", "@team/gamma": "3.0.0"}), said
    assert sorted(registry.fetched) == ["alpha-1.0.0.tgz", "gamma-3.0.0.tgz"]


@pytest.mark.parametrize("wanted", ["1.1.0", ">=1.1.0 <1.2.0"])
def test_a_planted_file_is_refused_before_it_is_fetched(
    wanted: str, registry: LoopbackNpm, site: Path, tmp_path: Path, npm: Npm
) -> None:
    """A tarball with a script that the source has not: its bytes are never asked for, and the reason is shown."""
    with proxied(registry, site, tmp_path / "seen") as proxy:
        code, said, found = npm(proxy, "install", f"alpha@{wanted}")
    words = " ".join(said.split())
    assert (code != 0, found) == (True, {}), said
    assert "(differs)" in words
    assert "setup.js" in words
    assert registry.fetched == []


def test_a_lock_file_does_not_get_around_it(registry: LoopbackNpm, site: Path, tmp_path: Path, npm: Npm) -> None:
    """Npm goes to the tarball at once, where the reason is the answer; what passes is installed from its lock file."""
    project = tmp_path / "project"
    project.mkdir()
    with proxied(registry, site, tmp_path / "seen") as proxy:
        assert npm(proxy, "install", "@team/gamma", project=project)[0] == 0
        lock = (project / "package-lock.json").read_text()
        assert registry.address not in lock
        shutil.rmtree(project / "node_modules")
        code, said, found = npm(proxy, "ci", project=project)
        assert (code, found) == (0, {"alpha": "1.0.0", "@team/gamma": "3.0.0"}), said
        shutil.rmtree(project / "node_modules")
        registry.asked.clear()
        planted = lock.replace("1.0.0", "1.1.0").replace("^1.1.0", "^1.0.0").replace(integrity(OLD), integrity(PLANTED))
        (project / "package-lock.json").write_text(planted)
        code, said, found = npm(proxy, "ci", project=project)
    assert (code != 0, "alpha" in found) == (True, False), said
    assert "(differs)" in " ".join(said.split())
    assert "alpha-1.1.0.tgz" not in registry.fetched


def test_audit_lets_everything_through_and_says_so(
    registry: LoopbackNpm, site: Path, tmp_path: Path, npm: Npm, capfd: pytest.CaptureFixture[str]
) -> None:
    """The report has what was fetched and would not have passed."""
    with proxied(registry, site, tmp_path / "seen", audit=True) as proxy:
        code, said, found = npm(proxy, "install", "--ignore-scripts", "alpha@next", "beta@2.0.0-rc.1")
        assert (code, found["alpha"]) == (0, "1.1.0"), said
        report = httpx.get(f"{proxy}/", timeout=60).json()
    assert report["mode"] == "audit"
    standings = {each["filename"]: each["standing"] for each in report["files"]}
    assert standings == {"alpha-1.1.0.tgz": "differs", "beta-2.0.0-rc.1.tgz": "passed"}
    assert "alpha-1.1.0.tgz" in capfd.readouterr().err


def get(proxy: str, path: str, accept: str = SHORT) -> httpx.Response:
    """An answer, no redirection followed."""
    return httpx.get(f"{proxy}{path}", headers={"Accept": accept}, follow_redirects=False, timeout=60)


@pytest.mark.parametrize("accept", [SHORT, "application/json", "*/*"])
def test_documents_stay_what_they_are(accept: str, registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """But for the address of the tarball, and the versions and tags that are left; attestations stay, too."""
    with proxied(registry, site, tmp_path / "seen") as proxy:
        answer = get(proxy, "/npm/alpha", accept)
        document = answer.json()
        short = accept == SHORT
        assert answer.headers["content-type"] == (SHORT if short else "application/json")
        real = registry.packument("alpha", short=short)
        assert document["dist-tags"] == {"latest": "1.0.0"}
        assert list(document["versions"]) == ["1.0.0"]
        good, theirs = document["versions"]["1.0.0"], real["versions"]["1.0.0"]
        assert good["dist"].pop("tarball") == f"{proxy}/npm/alpha/-/alpha-1.0.0.tgz"
        where = theirs["dist"].pop("tarball")
        assert good == theirs
        assert set(good["dist"]) >= {"attestations", "signatures", "integrity"}
        assert set(document["policyRestrictions"]["versions"]) == {"1.1.0", "1.2.0"}
        assert {*document} - {"policyRestrictions"} == {*real}
        assert get(proxy, "/npm/alpha/-/alpha-1.0.0.tgz").headers["location"] == where
        refused = get(proxy, "/npm/alpha/-/alpha-1.1.0.tgz")
        assert (refused.status_code, "(differs)" in refused.json()["error"]) == (403, True)
        for path in ("attestations/@team%2Fgamma@3.0.0", "keys"):
            location = get(proxy, f"/npm/-/npm/v1/{path}").headers["location"]
            assert location == f"{registry.address}/-/npm/v1/{path}"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/npm/@team%2fgamma", 200),
        ("/npm/@team%2Fgamma", 200),
        ("/npm/@team/gamma", 200),
        ("/npm/nothing", 404),
        ("/npm/", 404),
        ("/npm/%2e%2e", 404),
        ("/npm/..%2f..%2fetc", 404),
        ("/npm/@%2fgamma", 404),
        ("/npm/@team%252fgamma", 404),
        ("/npm/%0d%0aX-Evil:1", 404),
        ("/npm/" + "a" * 300, 404),
        ("/npm/-", 404),
        ("/npm/-/ping", 404),
        ("/npm/-/npm/v1/attestations/..%2f..%2fsecret", 404),
        ("/npm/alpha/1.0.0/more", 404),
        ("/npm/alpha/-/alpha-9.9.9.tgz", 404),
        ("/npm/alpha/-/..%2fbeta-2.0.0-rc.1.tgz", 404),
        ("/npm/alpha/-/beta-2.0.0-rc.1.tgz", 404),
        ("/npm/%E2%80%8Balpha", 404),
        ("/simple/alpha/", 404),
    ],
)
def test_odd_requests(path: str, status: int, registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """Each has an answer in words; nothing odd gets to the registry."""
    with proxied(registry, site, tmp_path / "seen") as proxy:
        answer = get(proxy, path)
        assert (answer.status_code, bool(answer.text)) == (status, True)
        assert "X-Evil" not in answer.headers
        assert httpx.put(f"{proxy}/npm/alpha", timeout=60).status_code == 405
    assert not [each for each in registry.asked if ".." in each or "%25" in each or "%0" in each]


@pytest.mark.parametrize(
    "dist",
    [
        {"integrity": f"{integrity(OLD)} {integrity(PLANTED)}"},
        {"integrity": f"{integrity(OLD)} x\ufeff{integrity(PLANTED)}"},
        {"integrity": f"{integrity(OLD)}\x1c{integrity(PLANTED)}"},
        {"integrity": None},
        {"integrity": 5},
        {"integrity": "sha1-" + "A" * 27 + "="},
        {"integrity": ""},
        {"tarball": "file:///etc/passwd"},
        {"tarball": "javascript:alert(1)"},
        {"tarball": {"x": 1}},
    ],
)
def test_hostile_documents(dist: dict[str, Any], registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """What could be other bytes than those that a rebuilder confirms is not handed out."""
    registry.more["alpha-1.0.0.tgz"] = dist
    with proxied(registry, site, tmp_path / "seen") as proxy:
        assert get(proxy, "/npm/alpha").json()["versions"] == {}
        assert get(proxy, "/npm/alpha/-/alpha-1.0.0.tgz").status_code in {403, 404}


class Hostile(LoopbackNpm):
    """Says of one version that it is of another package, and hides versions where npm also looks."""

    def packument(self, name: str, *, short: bool) -> dict[str, Any]:
        """See :class:`LoopbackNpm`."""
        found = super().packument(name, short=short)
        planted = found["versions"]["1.1.0"]
        found["versions"] |= {"../1.0.0": planted, "1.0.0": found["versions"]["1.0.0"] | {"name": "beta"}}
        return found | {"stagedVersions": {"versions": {"1.3.0": planted}}, "policyRestrictions": {"versions": {}}}


def test_versions_elsewhere_are_not_handed_out(registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """Npm also takes versions that are staged; and an entry must be of its own release."""
    with serving(Hostile(packages=registry.packages)) as hostile, proxied(hostile, site, tmp_path / "seen") as proxy:
        document = get(proxy, "/npm/alpha").json()
    assert (document["versions"], document["dist-tags"]) == ({}, {})
    assert "stagedVersions" not in document
    assert {*document["policyRestrictions"]["versions"]} == {"1.1.0", "1.2.0"}


def test_a_changed_digest_is_another_file(registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """What was said of a version does not count for other bytes under its name, while answers are kept."""
    clock = [0.0]
    path, root = "/npm/alpha/-/alpha-1.0.0.tgz", "http://127.0.0.1"
    with Gate([Trusted(str(site))], Policy(), tmp_path / "seen") as gate, IndexReader(registry.url) as reader:
        found = Application(None, gate, npm=lambda _: reader, clock=lambda: clock[0])
        assert found.answer("GET", path, "", root).status == "302 Found"
        registry.packages["alpha"]["1.0.0"] = PLANTED
        clock[0] = 61.0
        assert found.answer("GET", path, "", root).status.startswith("403")


def test_a_site_that_was_cut_lets_nothing_through(registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """All or nothing for a broken rebuilder."""
    copy = shutil.copytree(site, tmp_path / "copy")
    (copy / "log/checkpoint").write_bytes(b"cut")
    with proxied(registry, copy, tmp_path / "seen") as proxy:
        document = get(proxy, "/npm/alpha").json()
        assert document["versions"] == {}
        assert document["policyRestrictions"]["message"]
        assert get(proxy, "/npm/alpha/-/alpha-1.0.0.tgz").status_code == 403


class Mirror(LoopbackIndex):
    """A site on a web server; its directory is in ``more``."""

    def answer(self, path: str, accept: str) -> tuple[str, bytes | None]:
        """A file of the site."""
        file = Path(self.more["site"]["root"]) / path[1:]
        return "application/octet-stream", file.read_bytes() if file.is_file() else None


def test_the_reason_has_the_address_of_the_report(registry: LoopbackNpm, site: Path, tmp_path: Path, npm: Npm) -> None:
    """Where the rebuilder has one; npm prints it, and a version that nobody knows has another reason."""
    with (
        serving(Mirror(more={"site": {"root": str(site)}})) as mirror,
        Gate([Trusted(mirror.address, "one")], Policy(), tmp_path / "seen") as gate,
        IndexReader(registry.url) as reader,
        answering(Application(None, gate, npm=lambda _: reader)) as proxy,
    ):
        code, said, _ = npm(proxy, "install", "alpha@1.1.0")
        message = get(proxy, "/npm/alpha").json()["policyRestrictions"]["message"]
    assert code != 0
    (report,) = [each for each in said.split() if each.startswith(mirror.address)]
    assert report.startswith(f"{mirror.address}/npm/")
    assert report.endswith("/index.html")
    newest, planted = message.splitlines()
    assert "1.2.0 does not pass (undecided)" in newest
    assert ("1.1.0 does not pass (differs)" in planted, report in planted) == (True, True)


def test_a_lock_file_from_before_the_proxy(registry: LoopbackNpm, site: Path, tmp_path: Path, npm: Npm) -> None:
    """Its addresses are those of the real registry; npm asks the proxy for them where it is told to."""
    project = tmp_path / "project"
    project.mkdir()
    with proxied(registry, site, tmp_path / "seen") as proxy:
        assert npm(proxy, "install", "alpha", project=project)[0] == 0
        shutil.rmtree(project / "node_modules")
        lock = project / "package-lock.json"
        lock.write_text(lock.read_text().replace(f"{proxy}/npm/", "https://registry.example.org/"))
        code, said, found = npm(proxy, "ci", "--replace-registry-host=always", project=project)
    assert (code, found) == (0, {"alpha": "1.0.0"}), said


class Broken(Gate):
    """Trusts a rebuilder with something wrong that has orders for a terminal in its name."""

    @property
    def refused(self) -> list[str]:
        """See :class:`Gate`."""
        return ["\x1b[2Jone: its log was cut"]


def test_nothing_foreign_gets_to_a_terminal(registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """Clients print the reasons as they are."""
    with (
        Broken([Trusted(str(site))], Policy(), tmp_path / "seen") as gate,
        IndexReader(registry.url) as reader,
        answering(Application(None, gate, npm=lambda _: reader)) as proxy,
    ):
        message = get(proxy, "/npm/alpha").json()["policyRestrictions"]["message"]
        refused = get(proxy, "/npm/alpha/-/alpha-1.0.0.tgz")
    assert "\x1b" not in message + refused.json()["error"] + refused.reason_phrase
    assert "its log was cut" in message


def test_a_registry_that_does_not_answer(site: Path, tmp_path: Path) -> None:
    """The sentence is in the answer, and it is not a 404: the package may well be there."""
    with proxied(LoopbackNpm(address="http://127.0.0.1:9"), site, tmp_path / "seen") as proxy:
        assert get(proxy, "/npm/alpha").status_code == 502


def test_names_of_the_proxy(registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """Addresses of tarballs are those by which each client reached it; what is no host is never repeated."""
    with proxied(registry, site, tmp_path / "seen") as proxy:
        for host, shown in (("one.example:80", "one.example:80"), ("two", "two"), ('a/b"c', "localhost")):
            document = httpx.get(f"{proxy}/npm/alpha", headers={"Host": host, "Accept": SHORT}, timeout=60).json()
            assert document["versions"]["1.0.0"]["dist"]["tarball"].startswith(f"http://{shown}/npm/alpha/-/")


STEALING: dict[str, Any] = {
    "scripts": {"postinstall": "node -e \"require('fs').writeFileSync(process.env.HOME + '/stolen', '')\""}
}


def test_scripts_of_the_registry_are_not_run(registry: LoopbackNpm, site: Path, tmp_path: Path, npm: Npm) -> None:
    """Npm runs the scripts that a document has beside a confirmed tarball without any, unless they are left out."""
    registry.manifests["alpha-1.0.0.tgz"] = STEALING
    with proxied(registry, site, tmp_path / "seen") as proxy:
        code, said, found = npm(proxy, "install", "alpha@1.0.0")
        entry = get(proxy, "/npm/alpha", "application/json").json()["versions"]["1.0.0"]
    assert (code, found) == (0, {"alpha": "1.0.0"}), said
    assert not (npm.home / "stolen").exists()
    assert ("scripts" in entry, entry["hasInstallScript"]) == (False, True)


def test_scripts_of_the_tarball_are_run(tmp_path: Path, npm: Npm) -> None:
    """Also where the registry gives the whole document only, whose scripts are left out."""
    content = tarball("delta", "1.0.0", **STEALING)
    rebuilder = PublishedRebuilder(tmp_path / "one")
    rebuilder.publish(of_npm(identical("delta", "1.0.0", content), "delta", "1.0.0"), contents=(content,))
    registry = LoopbackNpm(packages={"delta": {"1.0.0": content}}, manifests={"delta-1.0.0.tgz": STEALING})
    with serving(registry), proxied(registry, rebuilder.site, tmp_path / "seen") as proxy:
        code, said, _ = npm(proxy, "install", "delta")
    assert (code, (npm.home / "stolen").exists()) == (0, True), said


@pytest.mark.parametrize("kind", ["dependencies", "optionalDependencies", "peerDependencies"])
def test_a_package_that_leads_around_it(kind: str, registry: LoopbackNpm, site: Path, tmp_path: Path, npm: Npm) -> None:
    """A confirmed tarball whose entry wants another one by its address: npm would fetch that past the proxy."""
    registry.manifests["alpha-1.0.0.tgz"] = {kind: {"evil": f"{registry.address}/alpha/-/alpha-1.1.0.tgz"}}
    with proxied(registry, site, tmp_path / "seen") as proxy:
        code, said, found = npm(proxy, "install", "alpha@1.0.0")
        refused = get(proxy, "/npm/alpha/-/alpha-1.0.0.tgz")
    assert (code != 0, found, registry.fetched) == (True, {}, []), said
    assert "by addresses" in " ".join(said.split())
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("entry", "around"),
    [
        *(({"dependencies": {"a": each}}, False) for each in ("^1.0.0", "", "*", "next", "1.x || >=2 <3", "npm:b@1")),
        *(({"dependencies": {"a": each}}, False) for each in ("npm:@team/b@^1", "1.0.0-rc.1+x")),
        *(({"dependencies": {"a": each}}, True) for each in ("https://x/y.tgz", "git+ssh://x/y", "user/repository")),
        *(({"dependencies": {"a": each}}, True) for each in ("github:u/r", "gist:11081aaa281", "file:../x", "./x", 5)),
        *(({"dependencies": {"a": each}}, True) for each in (" http://x", "npm:http://x", "..\\x", "npm:u/r", None)),
        *(({"dependencies": each}, True) for each in (["https://x/y.tgz"], "a@https://x/y.tgz")),
        ({"peerDependencies": {"a": "1"}, "optionalDependencies": {"b": "u/r"}}, True),
        ({"devDependencies": {"a": "u/r"}, "dependencies": None}, False),
        ({"_hasShrinkwrap": True}, True),
        ({"_hasShrinkwrap": False}, False),
    ],
)
def test_what_leads_around_it(entry: dict[str, Any], around: bool) -> None:
    """Everything but a name with versions, and a list of addresses that the package has itself."""
    assert leads_around(entry) is around


def test_a_changed_entry_is_asked_about_anew(registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """A kept answer about the same bytes does not count when the entry leads around the proxy since."""
    clock = [0.0]
    path, root = "/npm/alpha/-/alpha-1.0.0.tgz", "http://127.0.0.1"
    with Gate([Trusted(str(site))], Policy(), tmp_path / "seen") as gate, IndexReader(registry.url) as reader:
        found = Application(None, gate, npm=lambda _: reader, clock=lambda: clock[0])
        assert found.answer("GET", path, "", root).status == "302 Found"
        registry.manifests["alpha-1.0.0.tgz"] = {"dependencies": {"evil": "https://evil.example/evil.tgz"}}
        clock[0] = 61.0
        assert found.answer("GET", path, "", root).status.startswith("403")


def test_tags_that_are_none(registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """They are left out."""
    registry.tags["alpha"] = {"odd": {"x": 1}, "old": ["1.0.0"], "latest": {}, "good": "1.0.0"}  # type: ignore[dict-item]
    with proxied(registry, site, tmp_path / "seen") as proxy:
        assert get(proxy, "/npm/alpha").json()["dist-tags"] == {"good": "1.0.0"}


def test_an_address_beyond_ascii(registry: LoopbackNpm, site: Path, tmp_path: Path) -> None:
    """It is written as addresses are; a header has no place for other letters."""
    registry.more["alpha-1.0.0.tgz"] = {"tarball": "https://one.example/\u65e5%20.tgz?a=b"}
    with proxied(registry, site, tmp_path / "seen") as proxy:
        found = get(proxy, "/npm/alpha/-/alpha-1.0.0.tgz").headers["location"]
    assert found == "https://one.example/%E6%97%A5%20.tgz?a=b"
