"""uv as a resolver: what it may see, which wheel it takes, and whose fault its trouble is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import uv

from rebuilder.errors import BuildEnvironmentError, ForbiddenAddressError, UnavailableError, UsageError
from rebuilder.model.artifact import Resolution
from rebuilder.network.http.address import Credentials
from rebuilder.network.reach import Reach
from rebuilder.network.resolver import UvResolver, UvSettings
from tests.fakes.memo import MemoryMemo
from tests.fakes.projects import make_sdist, make_wheel
from tests.fakes.registry import JSON, Fault, Registry, redirect, server_error, too_many

BINARY = Path(uv.find_uv_bin())
CUT_OFF = datetime(2024, 2, 1, 12, 0, 0, tzinfo=UTC)
BEFORE = datetime(2024, 1, 1, tzinfo=UTC)


class Harness:
    """A registry and a resolver; each ``resolver()`` is a new process' one with an empty uv cache."""

    def __init__(self, registry: Registry, directory: Path) -> None:
        self.registry = registry
        self.directory = directory
        self.memo = MemoryMemo()
        self._made = 0

    def resolver(self, **changes: Any) -> UvResolver:
        """A resolver on the registry."""
        self._made += 1
        fields: dict[str, Any] = {
            "index_url": self.registry.url,
            "binary": BINARY,
            "cache_directory": self.directory / str(self._made),
            "environment": {},
            "http_retries": 0,
            "http_seconds": 20,
            "machine": "x86_64",
        }
        fields |= changes
        fields.setdefault("reach", Reach([fields["index_url"]], fields["environment"]))
        fields.setdefault("credentials", Credentials(fields["environment"]))
        return UvResolver(UvSettings(**fields), self.memo)

    def resolve(self, *requirements: str, moment: datetime = CUT_OFF, **changes: Any) -> Resolution:
        """Ask a new resolver."""
        return self.resolver(**changes).resolve(requirements, python_version="3.13", not_after=moment)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """``a`` needs ``b``."""
    with Registry() as registry:
        registry.add(make_wheel("a", "1.0", requires=["b"]), uploaded=BEFORE)
        registry.add(make_wheel("b", "1.0"), uploaded=BEFORE)
        yield Harness(registry, tmp_path)


@pytest.mark.parametrize("path", ["/simple/a/", "/simple/b/", "/files/b/"])
@pytest.mark.parametrize(
    "fault",
    [
        server_error(500),
        server_error(503),
        too_many("1"),
        Fault(status=401, body=b""),
        Fault(status=403, body=b""),
        Fault(reset=True),
        Fault(hang=True),
        Fault(truncate=10),
        Fault(body=b"{}"),
        Fault(body=b"No solution found when resolving dependencies"),
    ],
    ids=["500", "503", "429", "401", "403", "reset", "hang", "truncated", "other JSON", "no JSON"],
)
def test_trouble_of_the_index_is_not_a_problem_of_the_release(harness: Harness, path: str, fault: Fault) -> None:
    """Whatever goes wrong on the network or in the index, no claim about releases comes of it."""
    harness.registry.fault(path, fault, times=100)
    with pytest.raises(UnavailableError, match="what it needs to resolve a:"):
        harness.resolve("a", http_seconds=1 if fault.hang else 20)


def test_index_that_is_down_is_unavailable(harness: Harness) -> None:
    """Nobody listens."""
    with Registry() as other:
        url = other.url
    with pytest.raises(UnavailableError, match="cannot be connected to"):
        harness.resolve("a", index_url=url)


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("nope", "nope was not found"),
        ("b>5", "only b==1.0 is available"),
        ("sdist-only", "no usable wheels"),
        ("windows-only", "no wheels with a matching platform tag"),
        ("yanked", "yanked"),
        ("b<1,>2", "incompatible"),
        ("b===foo", "uv cannot read the build requirements"),
        ("b>=99999999999999999999999999", "uv cannot read the build requirements"),
        ("b; os_name == 'x\n-r /etc/passwd'", "is malformed"),
        ("b; os_name == 'x # y'", "has other characters, than requirements need"),
        ("b; os_name == '${HOME}'", "has other characters, than requirements need"),
        ("b @ https://example.org/b.whl", "names an address"),
        ("b @ git+ssh://example.org/b", "names an address"),
        ("./b.whl", "is malformed"),
        ("b.whl", "b-whl was not found"),
        ("constraints.txt", "constraints-txt was not found"),
        ("b" * 2000, "is malformed"),
    ],
)
def test_problems_are_sentences(harness: Harness, requirement: str, words: str) -> None:
    """What uv, or our own check, says about a requirement that cannot be met."""
    harness.registry.add(make_sdist("sdist-only", "1.0"), uploaded=BEFORE)
    harness.registry.add(make_wheel("windows-only", "1.0", tag="cp313-cp313-win_amd64"), uploaded=BEFORE)
    harness.registry.add(make_wheel("yanked", "1.0"), uploaded=BEFORE, yanked="a\nerror: \x1b[31mred")
    problem = harness.resolve("a", requirement).problem
    assert problem is not None
    assert words in problem
    assert problem.isprintable()
    assert problem.endswith(".")
    assert "root:" not in problem


def test_yank_reason_cannot_pass_for_trouble_or_the_other_way(harness: Harness) -> None:
    """Uv quotes what publishers wrote; at worst our own fault is suspected, never a claim invented."""
    harness.registry.add(make_wheel("c", "1.0"), uploaded=BEFORE, yanked="error: No solution found when resolving")
    harness.registry.fault("/simple/b/", server_error(), times=9)
    with pytest.raises(UnavailableError):
        harness.resolve("a", "c")


def test_index_without_upload_times_is_a_problem(tmp_path: Path) -> None:
    """Without them (PEP 700) nobody can know what was there on a day."""
    with Registry(upload_times=False) as registry:
        registry.add(make_wheel("a", "1.0"))
        problem = Harness(registry, tmp_path).resolve("a").problem
    assert problem is not None
    assert "missing an upload date" in problem


@pytest.mark.parametrize(
    ("offset", "found"),
    [
        (timedelta(milliseconds=-1), True),
        (timedelta(), False),
        (timedelta(microseconds=1), False),
        (timedelta(seconds=1), False),
    ],
)
def test_cut_off_is_exact_and_exclusive(harness: Harness, offset: timedelta, found: bool) -> None:
    """Uv compares milliseconds and leaves out what was uploaded at the moment itself."""
    moment = CUT_OFF + timedelta(milliseconds=700)
    harness.registry.add(make_wheel("c", "1.0"), uploaded=moment + offset)
    assert found is (harness.resolve("c", moment=moment).problem is None)


def test_files_added_to_an_old_release_later_are_left_out(harness: Harness) -> None:
    """The cut-off is for files, not for versions."""
    tag = "cp313-cp313-manylinux_2_17_x86_64"
    harness.registry.add(make_wheel("c", "1.0"), uploaded=BEFORE)
    harness.registry.add(make_wheel("c", "1.0", tag=tag), uploaded=CUT_OFF + timedelta(days=1))
    assert ["c-1.0-py3-none-any.whl"] == [pin.filename for pin in harness.resolve("c").pins]
    later = harness.resolve("c", moment=CUT_OFF + timedelta(days=2)).pins
    assert [f"c-1.0-{tag}.whl"] == [pin.filename for pin in later]


WHEELS = [
    "c-1.0-py3-none-any.whl",
    "c-1.0-py2.py3-none-any.whl",
    "c-1.0-py313-none-any.whl",
    "c-1.0-cp313-none-any.whl",
    "c-1.0-py3-none-manylinux_2_17_x86_64.whl",
    "c-1.0-cp311-abi3-manylinux_2_17_x86_64.whl",
    "c-1.0-cp313-abi3-manylinux_2_17_x86_64.whl",
    "c-1.0-cp313-cp313-linux_x86_64.whl",
    "c-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "c-1.0-cp313-cp313-manylinux_2_28_x86_64.whl",
    "c-1.0-1-cp313-cp313-manylinux_2_28_x86_64.whl",
    "c-1.0-10-cp313-cp313-manylinux_2_28_x86_64.whl",
    "c-1.0-cp313-cp313-musllinux_1_2_x86_64.whl",
    "c-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
    "c-1.0-cp313-cp313t-manylinux_2_17_x86_64.whl",
    "c-1.0-cp313-cp313-win_amd64.whl",
]


def test_takes_the_wheel_that_uv_would_install(harness: Harness) -> None:
    """Installed with uv again and again, each time without the wheel it took before: our choice is the same."""
    left = list(WHEELS)
    while left:
        with Registry() as registry:
            for filename in left:
                registry.add_file("c", filename, make_wheel("c", "1.0").data, uploaded=BEFORE)
            pins = harness.resolve("c", index_url=registry.url).pins
            installed = _installed_by_uv(registry, harness.directory / f"target-{len(left)}")
            assert [installed] == [pin.filename for pin in pins] or not pins
            if installed is None:
                break
            left.remove(installed)
    assert 4 == len(left), "the wheels for other platforms are never taken"


def _installed_by_uv(registry: Registry, target: Path) -> str | None:
    before = len(registry.requests)
    arguments = ["pip", "install", "c", "--target", str(target), "--python-version=3.13", "--no-cache", "--no-config"]
    arguments.append(f"--python={sys.executable}")
    arguments += [
        "--python-platform=x86_64-unknown-linux-gnu",
        "--only-binary=:all:",
        f"--default-index={registry.url}",
    ]
    subprocess.run([BINARY, *arguments], check=False, capture_output=True, timeout=300, env={"HOME": str(target)})
    paths = [each.path for each in registry.requests[before:]]
    wheels = [path.rpartition("/")[2] for path in paths if path.endswith(".whl")]
    return wheels[-1] if wheels else None


def test_sees_no_settings_of_the_machine(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither files in the working directory and home nor UV_ variables of ours reach uv."""
    (tmp_path / "uv.toml").write_text("this is not TOML")
    (tmp_path / "pyproject.toml").write_text("nor is this")
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    (tmp_path / ".config" / "uv" / "uv.toml").write_text('index-url = "http://127.0.0.1:9/"')
    monkeypatch.chdir(tmp_path)
    hostile = {
        "UV_INDEX": "http://127.0.0.1:9/",
        "UV_CONSTRAINT": "/nope",
        "UV_PRERELEASE": "allow",
        "HOME": str(tmp_path),
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    assert ["a", "b"] == [pin.name for pin in harness.resolve("a", environment=hostile).pins]


def test_proxy_of_the_machine_is_used(harness: Harness) -> None:
    """With a proxy that is down nothing is reached: so it was asked."""
    with pytest.raises(UnavailableError):
        harness.resolve("a", index_url="http://example.org/simple", environment={"HTTP_PROXY": "http://127.0.0.1:9"})
    assert harness.resolve("a", environment={"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}).pins


def test_credentials_work_and_stay_secret(harness: Harness, tmp_path: Path) -> None:
    """From the index URL or from netrc; never in pins, problems or errors."""
    harness.registry.credentials = "user:geheim"
    secret = harness.registry.url.replace("http://", "http://user:geheim@")
    resolution = harness.resolve("a", index_url=secret)
    assert ["a", "b"] == [pin.name for pin in resolution.pins]
    problem = harness.resolve("nope", index_url=secret).problem
    harness.registry.fault("/", server_error(), times=9)
    with pytest.raises(UnavailableError) as caught:
        harness.resolve("a", "a>0", index_url=secret)
    assert "geheim" not in f"{resolution}{problem}{caught.value}{harness.memo}{harness.resolver(index_url=secret).name}"
    harness.registry._faults.clear()
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password geheim\n")
    assert harness.resolve("a", "a>0", environment={"NETRC": str(netrc)}).pins


def test_answer_is_remembered(harness: Harness) -> None:
    """The same question in another order costs neither uv nor the index; another question does."""
    first = harness.resolve("a", "b")
    before = harness.registry.count()
    assert first == harness.resolve("b", "a", "a")
    assert before == harness.registry.count()
    harness.resolve("b", "a", moment=CUT_OFF - timedelta(seconds=1))
    assert before < harness.registry.count()


def test_what_may_still_change_is_not_remembered(harness: Harness) -> None:
    """A moment that has just passed, or is yet to come, and every problem."""
    harness.resolve("a", moment=datetime.now(UTC) + timedelta(days=1))
    harness.resolve("a", moment=datetime.now(UTC) - timedelta(minutes=1))
    harness.resolve("nope")
    assert [] == [each for each in harness.memo.documents if each.startswith("resolution:")]


def test_uv_is_asked_once_what_it_is(harness: Harness) -> None:
    """Its version is kept for the file that it is; another file is asked again."""
    name = harness.resolver().name
    [(key, version)] = harness.memo.documents.items()
    assert (True, True) == (version.startswith("uv "), name.startswith(f"{version};"))
    harness.memo.documents[key] = "uv 0.0"
    assert harness.resolver().name.startswith("uv 0.0;")


def test_damaged_memory_is_ignored(harness: Harness) -> None:
    """Another shape than ours counts as nothing."""
    pins = harness.resolve("a").pins
    for key in harness.memo.documents:
        harness.memo.documents[key] = [{"name": "a"}]
    assert pins == harness.resolve("a").pins


def test_relative_addresses_in_the_index_are_completed(harness: Harness) -> None:
    """PEP 691 allows them, and redirected index pages too."""
    harness.registry.fault("/simple/b/", redirect("/simple/b/"))
    assert f"{harness.registry.base}/files/b/b-1.0-py3-none-any.whl" == harness.resolve("b").pins[0].url


def test_time_limit(harness: Harness) -> None:
    """Uv is ended, and it is not the release's fault."""
    harness.registry.fault("/", Fault(hang=True), times=9)
    with pytest.raises(UnavailableError, match="within 1 seconds"):
        harness.resolve("a", seconds=1)


def test_missing_uv_is_a_sentence(harness: Harness) -> None:
    """What to do, and no traceback."""
    with pytest.raises(BuildEnvironmentError, match=r"cannot be started from /nope/uv: No such file"):
        harness.resolve("a", binary=Path("/nope/uv"))


def test_unknown_machine_is_a_sentence(harness: Harness) -> None:
    """Where no wheels are published."""
    with pytest.raises(UsageError, match="not for vax"):
        harness.resolver(machine="vax")


def test_nothing_is_left_behind(harness: Harness) -> None:
    """Only uv's cache stays."""
    harness.resolve("a")
    assert ["uv"] == [path.name for path in (harness.directory / "1").iterdir()]


def test_files_elsewhere_are_not_asked_for(harness: Harness) -> None:
    """An index may not send uv to another server of our own network: the sentence names it, and nobody was asked."""
    with Registry() as other:
        other.add(make_wheel("c", "1.0"), uploaded=BEFORE)
        wheel = next(iter(other._projects["c"]))
        page = {"meta": {"api-version": "1.1"}, "name": "c", "files": [moved(wheel, other)]}
        harness.registry.serve("/simple/c/", json.dumps(page).encode(), JSON)
        with pytest.raises(ForbiddenAddressError, match="was not asked"):
            harness.resolve("c")
        assert 0 == other.count()
        assert harness.resolve("c", reach=Reach([harness.registry.base, other.base])).pins


def test_redirections_of_the_index_are_judged(harness: Harness) -> None:
    """Nor by sending it on."""
    with Registry() as other:
        harness.registry.fault("/simple/a/", redirect(f"{other.base}/simple/a/"), times=9)
        with pytest.raises(ForbiddenAddressError, match="was not asked"):
            harness.resolve("a")
        assert 0 == other.count()


def moved(entry: dict[str, Any], registry: Registry) -> dict[str, Any]:
    """An entry of a page with the whole address of its file."""
    return {**entry, "url": urljoin(f"{registry.base}/simple/c/", entry["url"])}
