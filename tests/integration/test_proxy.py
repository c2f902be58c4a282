"""``rebuilder proxy`` with the real pip and the real uv, in front of an index on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rebuilder.cli.proxy import proxy
from rebuilder.consumer.answer import Level, Vote, Voter
from rebuilder.consumer.gate import Gate
from rebuilder.consumer.policy import Policy
from rebuilder.consumer.proxy.application import Application
from rebuilder.consumer.rebuilder import Trusted
from rebuilder.consumer.server import bind
from rebuilder.errors import UsageError
from rebuilder.model.value import Sha256, Sha512
from rebuilder.model.verdict import Verdict
from rebuilder.network.index_reader import IndexReader
from tests.fakes.loopback_index import JSON, LoopbackIndex, serving, wheel
from tests.fakes.proxies import answering
from tests.fakes.published import PublishedRebuilder, differing, identical

GOOD, OLD = wheel("alpha", "1.0"), wheel("delta", "1.0")
BETA = wheel("beta", "2.0")
PLANTED = wheel("alpha", "1.1", {"alpha_init.pth": b"import os; os.system('echo planted')\n"})
NEW = wheel("delta", "2.0")
CONTENTS = {
    "alpha-1.0-py3-none-any.whl": GOOD,
    "alpha-1.1-py3-none-any.whl": PLANTED,
    "beta-2.0-py3-none-any.whl": BETA,
    "delta-1.0-py3-none-any.whl": OLD,
    "delta-2.0-py3-none-any.whl": NEW,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rebuilder that confirms some, says of the planted one that it differs, and knows nothing of delta 2.0."""
    rebuilder = PublishedRebuilder(tmp_path_factory.mktemp("one"))
    rebuilder.publish(
        identical("alpha", "1.0", GOOD),
        identical("beta", "2.0", BETA),
        identical("delta", "1.0", OLD),
        differing("alpha", "1.1", PLANTED, "alpha_init.pth"),
        contents=CONTENTS.values(),
    )
    return rebuilder.site


@pytest.fixture
def index() -> Iterator[LoopbackIndex]:
    """The real index; one file is attested, and has its metadata beside it."""
    more = {
        "alpha-1.0-py3-none-any.whl": {
            "provenance": "https://index.example.org/integrity/alpha/1.0/provenance",
            "requires-python": ">=3.9",
        }
    }
    with serving(LoopbackIndex(dict(CONTENTS), more)) as found:
        yield found


@contextmanager
def proxied(index: LoopbackIndex, site: Path, memory: Path, *, audit: bool = False) -> Iterator[str]:
    """The address of a proxy in front of an index."""
    with (
        Gate([Trusted(str(site), "one")], Policy(), memory) as gate,
        IndexReader(index.url) as reader,
        answering(Application(reader, gate, audit=audit)) as address,
    ):
        yield address


class Installer:
    """pip and uv, with nothing kept and no settings."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "UV_CACHE_DIR": str(home / "uv"),
            "PIP_CONFIG_FILE": os.devnull,
            "UV_NO_CONFIG": "1",
            "NO_COLOR": "1",
        }
        self.count = 0

    def __call__(self, tool: str, proxy: str, *requirements: str) -> tuple[int, str, list[str]]:
        """Exit code, what was said, and the modules that were installed."""
        self.count += 1
        target = self.home / f"target{self.count}"
        target.mkdir()
        commands = {
            "pip": ["-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--index-url"],
            "uv": ["-m", "uv", "pip", "install", "--default-index"],
        }
        command = [sys.executable, *commands[tool], f"{proxy}/simple", "--target", str(target), *requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment)
        return done.returncode, done.stdout + done.stderr, sorted(each.name for each in target.glob("*.p*"))


@pytest.fixture
def install(tmp_path: Path) -> Installer:
    """One with an empty home."""
    return Installer(tmp_path)


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_what_passes_is_installed(
    tool: str, index: LoopbackIndex, site: Path, tmp_path: Path, install: Installer
) -> None:
    """Pinned or not; a newer version that does not pass is passed over."""
    with proxied(index, site, tmp_path / "seen") as proxy:
        code, said, found = install(tool, proxy, "alpha==1.0", "beta", "delta")
    assert (code, found) == (0, ["alpha.py", "beta.py", "delta.py"]), said
    assert set(index.fetched) == {f"{each}-py3-none-any.whl" for each in ("alpha-1.0", "beta-2.0", "delta-1.0")}


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_planted_file_is_refused_before_it_is_fetched(
    tool: str, index: LoopbackIndex, site: Path, tmp_path: Path, install: Installer
) -> None:
    """A wheel with a .pth that the source has not: its bytes are never asked for, and the reason is shown."""
    with proxied(index, site, tmp_path / "seen") as proxy:
        code, said, found = install(tool, proxy, "alpha==1.1")
        words = " ".join(said.split())
        assert (code != 0, found) == (True, [])
        assert "alpha-1.1-py3-none-any.whl does not pass (differs)" in words
        assert "alpha_init.pth" in words
        code, said, _ = install(tool, proxy, "delta==2.0")
        assert code != 0
        assert "does not pass (undecided): No rebuilders confirm it; 1 has to." in " ".join(said.split())
    assert index.fetched == []


def test_audit_lets_everything_through_and_says_so(
    index: LoopbackIndex, site: Path, tmp_path: Path, install: Installer, capfd: pytest.CaptureFixture[str]
) -> None:
    """The report has what was fetched and would not have passed."""
    with proxied(index, site, tmp_path / "seen", audit=True) as proxy:
        code, said, found = install("pip", proxy, "alpha==1.1", "beta")
        assert (code, "alpha_init.pth" in found) == (0, True), said
        report = httpx.get(f"{proxy}/", timeout=60).json()
    assert (report["mode"], report["total"], report["passed"]) == ("audit", 2, 1)
    assert {each["filename"]: each["standing"] for each in report["files"]} == {
        "alpha-1.1-py3-none-any.whl": "differs",
        "beta-2.0-py3-none-any.whl": "passed",
    }
    assert "audit: rebuilder: alpha-1.1" in capfd.readouterr().err


def test_uv_sync(index: LoopbackIndex, site: Path, tmp_path: Path, install: Installer) -> None:
    """A project is locked and synchronised through the proxy; a lock file does not get around it later."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "project"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["beta", "delta>=1"]\n'
    )

    def sync(proxy: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "uv", "sync", "--python", sys.executable, *options]
        environment = {**install.environment, "UV_INDEX_URL": f"{proxy}/simple"}
        del environment["UV_NO_CONFIG"]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, env=environment)

    with proxied(index, site, tmp_path / "seen") as proxy:
        done = sync(proxy)
        assert done.returncode == 0, done.stderr
        assert set(index.fetched) == {"beta-2.0-py3-none-any.whl", "delta-1.0-py3-none-any.whl"}
        lock = (project / "uv.lock").read_text()
        assert "delta-1.0" in lock
        assert index.address not in lock
        done = sync(proxy, "--locked", "--reinstall", "--no-cache")
        assert done.returncode == 0, done.stderr


def get(proxy: str, path: str, **headers: str) -> httpx.Response:
    """An answer, no redirection followed."""
    return httpx.get(f"{proxy}{path}", headers=headers, follow_redirects=False, timeout=60)


def test_pages_stay_what_they_are(index: LoopbackIndex, site: Path, tmp_path: Path) -> None:
    """Attestations, times, sizes and metadata of what passes are untouched, as JSON and as HTML."""
    with proxied(index, site, tmp_path / "seen") as proxy:
        page = get(proxy, "/simple/alpha/", Accept=JSON).json()
        good, planted = page["files"]
        real = json.loads(index.page("alpha") or b"")["files"][0]
        sha256 = hashlib.sha256(GOOD).hexdigest()
        assert good == real | {"url": f"../../files/{sha256}/alpha-1.0-py3-none-any.whl"}
        assert planted["yanked"].startswith("rebuilder: alpha-1.1")
        text = get(proxy, "/simple/alpha/", Accept="text/html").text
        assert 'data-provenance="https://index.example.org/integrity/alpha/1.0/provenance"' in text
        assert 'data-requires-python="&gt;=3.9"' in text
        assert f"#sha256={sha256}" in text
        file = get(proxy, f"/files/{sha256}/alpha-1.0-py3-none-any.whl")
        assert (file.status_code, file.headers["location"]) == (302, f"{index.address}/f/alpha-1.0-py3-none-any.whl")
        metadata = get(proxy, f"/files/{sha256}/alpha-1.0-py3-none-any.whl.metadata")
        assert metadata.headers["location"].endswith("/f/alpha-1.0-py3-none-any.whl.metadata")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/simple/Alpha/", 301),
        ("/simple/alpha", 301),
        ("/simple/nothing/", 404),
        ("/simple/..%2f..%2fetc/", 404),
        ("/simple/%0d%0aX-Evil:1/", 404),
        ("/simple/" + "a" * 300 + "/", 404),
        ("/simple/-/", 404),
        ("/simple/alpha/more/", 404),
        ("/files/-/alpha-1.0-py3-none-any.whl", 404),
        ("/files/" + "ab" * 32 + "/alpha-1.0-py3-none-any.whl", 404),
        ("/files/" + "ab" * 32 + "/..%2fx.whl", 404),
        ("/elsewhere", 404),
    ],
)
def test_odd_requests(path: str, status: int, index: LoopbackIndex, site: Path, tmp_path: Path) -> None:
    """Each has an answer in words; nothing odd gets to the index."""
    with proxied(index, site, tmp_path / "seen") as proxy:
        answer = get(proxy, path)
        assert answer.status_code == status
        assert "X-Evil" not in answer.headers
        assert httpx.post(f"{proxy}/simple/", timeout=60).status_code == 405
    assert not [each for each in index.asked if ".." in each or "%" in each]


def test_an_index_that_does_not_answer(site: Path, tmp_path: Path) -> None:
    """The sentence is in the answer, and it is not a 404: the project may well be there."""
    with proxied(LoopbackIndex(address="http://127.0.0.1:9"), site, tmp_path / "seen") as proxy:
        answer = get(proxy, "/simple/alpha/")
    assert answer.status_code == 502
    assert "does not answer" in answer.text


@pytest.mark.parametrize("hostile", ["javascript:alert(1)", "file:///etc/passwd", "\x00"])
def test_hostile_pages(hostile: str, index: LoopbackIndex, site: Path, tmp_path: Path) -> None:
    """Addresses that lead elsewhere than the web are left out; a page of another project is none."""
    index.more["alpha-1.0-py3-none-any.whl"]["url"] = hostile
    with proxied(index, site, tmp_path / "seen") as proxy:
        names = [each["filename"] for each in get(proxy, "/simple/alpha/", Accept=JSON).json()["files"]]
        assert names == ["alpha-1.1-py3-none-any.whl"]


@pytest.mark.parametrize("listen", ["8090", "127.0.0.1:", "127.0.0.1:99999", "nowhere.invalid.:x"])
def test_no_address(listen: str, index: LoopbackIndex, site: Path, tmp_path: Path) -> None:
    """Wrong use."""
    with Gate([Trusted(str(site))], Policy(), tmp_path) as gate, pytest.raises(UsageError):
        bind(Application(IndexReader(index.url), gate), listen)


def test_an_npm_registry_that_is_none(site: Path, tmp_path: Path) -> None:
    """It is said at once, not when npm asks."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f"[[rebuilders]]\nplace = {json.dumps(str(site))}\n")
    for each in ("nonsense", "", "file:///etc", "http://[::1"):
        with pytest.raises(UsageError, match="--npm-registry"):
            proxy(
                policy=policy,
                listen="127.0.0.1:0",
                index_url="https://index.example.org/simple",
                npm_registry=each,
                seen=tmp_path / "seen",
            )


class Confirming:
    """Confirms every file as one of another name."""

    name = "other"

    def __init__(self, package: str, filename: str) -> None:
        self.package, self.filename = package, filename

    def vote(self, digest: Sha256 | Sha512) -> Vote:
        """See :class:`rebuilder.consumer.check.Speaker`."""
        return Vote(
            sha256=Sha256(digest),
            filename=self.filename,
            package=self.package,
            version="9.9" if self.package == "alpha" else "1.0",
            verdict=Verdict.REPRODUCED,
            level=Level.BUILD_ALONE,
            voter=Voter(operator="other", name="other", key_id="key"),
            statement=Sha256("0" * 64),
        )


@pytest.mark.parametrize(
    ("package", "filename", "status"),
    [
        ("evil", "evil-1.0.tgz", 403),
        ("evil", "alpha-9.9.tgz", 403),
        ("alpha", "alpha-1.0.tgz", 403),
        ("alpha", "alpha-9.9.tgz", 302),
    ],
)
def test_a_confirmed_file_under_a_name_that_says_nothing(
    package: str, filename: str, status: int, tmp_path: Path
) -> None:
    """Pip takes alpha-9.9.tgz for a release of alpha; what was confirmed as another file does not count for it."""
    with (
        serving(Misnamed({"alpha-9.9.tgz": GOOD})) as index,
        Gate([], Policy(), tmp_path / "seen", others=[Confirming(package, filename)]) as gate,
        IndexReader(index.url) as reader,
        answering(Application(reader, gate)) as found,
    ):
        answer = httpx.get(f"{found}/files/{hashlib.sha256(GOOD).hexdigest()}/alpha-9.9.tgz", timeout=60)
    assert (answer.status_code, filename in answer.reason_phrase) == (status, status == 403)


class Misnamed(LoopbackIndex):
    """Lists each file on every page."""

    def page(self, project: str) -> bytes | None:
        """See :class:`LoopbackIndex`."""
        rows = [
            {"filename": name, "url": f"../../f/{name}", "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}
            for name, data in self.files.items()
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": project, "files": rows}).encode()
