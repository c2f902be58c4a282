"""``rebuilder serve`` as a real process: schedules, workers, signing, pages, alarms, the HTTP server, and its end."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from rebuilder.store.ledger import Ledger, tables
from tests.fakes.command import Installation
from tests.fakes.processes import until
from tests.fakes.projects import EPOCH, UPLOADED, build, make_sdist, make_wheel
from tests.fakes.registry import Registry
from tests.soak.checks import leftovers, mounts, violations
from tests.soak.processes import Service, command_of, descendants
from tests.soak.world import environment, install, publish

PATIENCE = 90.0
SLOW_BACKEND = """\
import subprocess
def build_wheel(*_):
    subprocess.run(["sleep", "4321"])
"""


@dataclass
class Running:
    """A service, its registry, and what it has to find."""

    registry: Registry
    installation: Installation
    service: Service
    expected: dict[str, str]

    def add(self, name: str) -> str:
        """Publish one more project that comes out bit for bit; give its wheel."""
        sdist = make_sdist(name, "1.0")
        wheel = build(sdist, epoch=EPOCH)
        self.registry.publish(sdist, wheel)
        self.expected[wheel.filename] = "reproduced"
        return wheel.filename

    def schedule(self, name: str, text: str) -> None:
        """Write a schedule file."""
        (self.installation.root / "schedules" / name).write_text(text)

    def verdicts(self) -> dict[str, str]:
        """Of each file, as the API tells."""
        answer = self.service.ask("/api/v1/verdicts?limit=200")
        return {each["filename"]: each["verdict"] for each in answer["verdicts"]}

    def alarms(self) -> list[str]:
        """What is open about schedules."""
        alarms = [each["alarm"] for each in self.service.ask("/api/v1/alarms")]
        return [each["sentence"] for each in alarms if each["kind"] == "schedule-broken"]

    def text(self, path: str) -> str:
        """What an address gives."""
        with urllib.request.urlopen(self.service.address() + path, timeout=20) as answer:
            return str(answer.read().decode())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, environments_root: Path) -> Iterator[Running]:
    """One service for most tests of this file; at its end nothing of it is left, and all it published is sound."""
    assert environments_root.is_dir()
    root = tmp_path_factory.mktemp("service")
    with Registry(etags=True) as registry:
        expected = publish(registry, 2)
        installation = install(root, registry, 2)
        service = Service(installation)
        found = Running(registry, installation, service, expected)
        try:
            yield found
            below = list(descendants(service.process.pid))
            assert 0 == service.stop(), service.said()[-2000:]
        finally:
            service.process.kill()
            service.process.wait()
        until(lambda: not [each for each in below if command_of(each)], "all its processes end")
        assert [] == list(leftovers(installation))
        assert [] == list(violations(installation, installation.store / "ledger.sqlite", expected))
        assert "defect" not in service.said()


def test_a_schedule_is_followed(running: Running) -> None:
    """What a watch names is verified, signed and published, and everything says so."""
    files = {f"project{each:02}-1.0-py3-none-any.whl" for each in range(2)}
    until(lambda: files <= running.verdicts().keys(), "the first verdicts")
    assert [] == running.service.ask("/readyz")
    assert "reproduced" in running.text("/api/v1/status?purl=pkg:pypi/project00@1.0")
    until(lambda: "project00" in running.text("/index.html"), "the index follows")
    [page] = running.installation.site.glob("pypi/project00/1.0/*/*/index.html")
    assert "project00" in running.text(f"/{page.relative_to(running.installation.site)}")
    metrics = running.text("/metrics")
    assert 'rebuilder_artifacts{ecosystem="pypi",verdict="reproduced"}' in metrics
    assert "rebuilder_ledger_up 1.0" in metrics


def test_an_added_file_takes_effect(running: Running) -> None:
    """Without a restart."""
    filename = running.add("later")
    running.schedule("later.toml", '[[watch]]\npackages = ["later"]\nevery = "1h"\n')
    until(lambda: running.verdicts().get(filename) == "reproduced", "what the new file names is verified")


def test_a_broken_edit_is_an_alarm_and_changes_nothing(running: Running) -> None:
    """The last good one stays in force; the alarm names file, line and key, and goes when it is mended."""
    running.schedule("edited.toml", '[[watch]]\npackages = ["nobody-has-it"]\nevery = "1h"\n')
    until(lambda: '"edited"' in running.text("/api/v1/operations"), "the watch looks")
    running.schedule("edited.toml", '[[watch]]\npackages = ["nobody-has-it"]\nevery = "1 fortnight"\n')
    until(running.alarms, "the alarm")
    [sentence] = running.alarms()
    assert "edited.toml, line 3, watch.every" in sentence
    filename = running.add("mended")
    running.schedule("edited.toml", '[[watch]]\npackages = ["mended"]\nevery = "1h"\n')
    until(lambda: not running.alarms(), "the alarm is cleared")
    until(lambda: filename in running.verdicts(), "the mended file is followed")


def test_asking_by_hand(running: Running) -> None:
    """With the token it is verified, without it is not."""
    filename = running.add("asked")
    body: dict[str, Any] = {"subject": "pypi:asked==1.0"}
    request = urllib.request.Request(
        running.service.address() + "/api/v1/verifications", b"{}", {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20)
    with refused.value:
        assert 401 == refused.value.code
    assert filename == running.service.ask("/api/v1/verifications", body)["orders"][0]["filename"]
    until(lambda: running.verdicts().get(filename) == "reproduced", "what was asked for is verified")


def test_a_worker_sees_no_key(running: Running) -> None:
    """Where the keys are, a worker has an empty directory; the service itself has them."""
    until(running.service.workers, "workers")
    keys = (running.installation.root / "keys").resolve()
    assert (keys / "signing.pem").is_file()
    workers = running.service.workers()
    assert workers
    for worker in workers:
        assert [] == list(Path(f"/proc/{worker}/root{keys}").iterdir())
        assert b"signing.pem" not in Path(f"/proc/{worker}/environ").read_bytes()


def test_another_service_at_the_same_address(running: Running) -> None:
    """One sentence, wrong use, and the first one goes on."""
    address = running.service.address().removeprefix("http://")
    command = running.installation.command("serve", "--listen", address)
    done = subprocess.run(
        command, env=environment(running.installation), capture_output=True, text=True, check=False, timeout=300
    )
    assert 2 == done.returncode
    assert f"The HTTP server cannot listen on {address}" in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == running.service.ask("/healthz")


def test_another_service_with_a_store_of_its_own(running: Running, tmp_path: Path) -> None:
    """On one ledger: one sentence, wrong use, and the first one goes on."""
    settings = tmp_path / "other.toml"
    settings.write_text(f'ledger = "sqlite:///{running.installation.store}/ledger.sqlite"\n')
    other = {"REBUILDER_STORE": tmp_path / "store", "REBUILDER_KEYS": tmp_path / "keys", "REBUILDER_CONFIG": settings}
    done = subprocess.run(
        running.installation.command("serve", "--listen", "127.0.0.1:0", "--site", tmp_path / "site"),
        env=environment(running.installation) | {name: str(value) for name, value in other.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert 2 == done.returncode, done.stderr
    assert "with a store of its own" in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == running.service.ask("/healthz")


def test_stopping_in_a_long_build(tmp_path: Path, environments_root: Path) -> None:
    """The task is given back and no try is counted; no process, mount or file is left."""
    assert environments_root.is_dir()
    system = '[build-system]\nrequires = []\nbuild-backend = "slow"\nbackend-path = ["."]\n'
    files = {"pyproject.toml": system + '[project]\nname = "slow"\nversion = "1.0"\n', "slow.py": SLOW_BACKEND}
    with Registry() as registry:
        registry.add(make_sdist("slow", "1.0", files), uploaded=UPLOADED)
        registry.add(make_wheel("slow", "1.0"), uploaded=UPLOADED)
        installation = install(tmp_path, registry, 0)
        (tmp_path / "schedules" / "all.toml").write_text('[[watch]]\npackages = ["slow"]\nevery = "1h"\n')
        settings = tmp_path / "rebuilder.toml"
        settings.write_text(settings.read_text().replace("stop_seconds = 5", "stop_seconds = 1"))
        service = Service(installation)
        try:
            below: list[int] = []

            def builds() -> bool:
                below[:] = list(descendants(service.process.pid))
                return any(command_of(each).startswith("sleep 4321") for each in below)

            until(builds, "the build runs")
            assert 0 == service.stop()
        finally:
            service.process.kill()
            service.process.wait()
    until(lambda: not [each for each in below if command_of(each)], "all its processes end")
    assert ([], []) == (list(leftovers(installation)), list(mounts(tmp_path)))
    with Ledger.open(installation.store / "ledger.sqlite") as ledger, ledger._database.reading() as connection:
        task, verification = tables.task.c, tables.verification.c
        assert [(None, 0)] == [tuple(row) for row in connection.execute(select(task.lease_owner, task.tries))]
        rows = connection.execute(select(verification.state, verification.verdict))
        assert [("abandoned", None)] == [tuple(row) for row in rows]
