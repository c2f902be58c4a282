"""Credentials for each runner, as `rebuilder runners rights` prints them, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rebuilder.cli.main import app
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import StoreError
from rebuilder.fleet import objects
from rebuilder.fleet.rights import policy, seaweedfs
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.remote_blobs import SHARED, key_of, outputs_of
from tests.fakes.fleet_servers import Servers, coordinating, servers
from tests.fakes.s3_server import credentials

NONCE = "ab" * 16


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Servers]:
    """Redis and SeaweedFS."""
    with servers(tmp_path / "fleet") as made:
        yield made


def opened(running: Servers, identity: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    """The store as somebody sees it; it is in the environment afterwards."""
    for name, value in credentials(running.endpoint, identity).items():
        monkeypatch.setenv(name, value)
    return ObjectStorage.open(running.blobs, seconds=1)


def test_a_runner_builds_and_disturbs_nobody(
    running: Servers, environments: EnvironmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own credentials are all it needs; with them nothing of others can be written, removed or listed."""
    one, other = running.runner("one"), running.runner("other")
    service = seaweedfs(running.blobs, "service", None)
    identities = {each.name: seaweedfs(running.blobs, each.name, each.key.key_id) for each in (one, other)}
    running.s3.guard(service, *identities.values())
    one.environment = credentials(running.endpoint, identities["one"])
    whole = opened(running, service, monkeypatch)
    with coordinating(running, environments, lease_seconds=8) as coordinator:
        for each in (one, other):
            each.enroll(coordinator.ledger)
        one.start()
        run = coordinator.run(coordinator.order("head -c 20000000 /dev/zero > /out/large; echo done > /out/x"))
        assert {"large", "x"} == {each.filename for each in run.outputs}
        assert b"done\n" == coordinator.blobs.read(next(e.sha256 for e in run.outputs if e.filename == "x"))
        mine = key_of(outputs_of(one.key.key_id), run.log_sha256)
        assert whole.listed(mine) is not None
        places = {
            "input": key_of(SHARED, run.log_sha256),
            "environment": objects.environment(run.log_sha256),
            "order": objects.order(NONCE),
            "output": key_of(outputs_of(other.key.key_id), run.log_sha256),
            "answer": f"{objects.answers(NONCE)}/{other.key.key_id}{objects.ANSWER}",
            "sign of life": f"{objects.answers(NONCE)}/{other.key.key_id}{objects.BEGUN}",
            "elsewhere": "another",
        }
        for key in places.values():
            whole.put(key, b"of somebody else")
        thief = opened(running, identities["one"], monkeypatch)
        for key in places.values():
            with pytest.raises(StoreError, match="privileges"):
                thief.put(key, b"mine")
            with pytest.raises(StoreError, match="Denied"):
                thief.delete(key)
        for key in (places["output"], places["answer"], places["elsewhere"]):
            with pytest.raises(StoreError, match="privileges"):
                thief.read(key, 100)
        with pytest.raises(StoreError, match="403 Forbidden"):
            thief.below("answers", 10)
        assert all(whole.read(key, 100) == b"of somebody else" for key in places.values())
        with coordinator.waiting("echo again > /out/x") as found:
            pass
        assert b"again\n" == coordinator.blobs.read(found[0].outputs[0].sha256)
        assert [] == coordinator.ledger.alarms()
    assert 0 == one.stop()


def test_the_command_prints_what_is_given_to_a_server(
    running: Servers, tmp_path: Path, environments: EnvironmentStore
) -> None:
    """By the name of an enrolled runner: an identity with a secret of its own each time, or a policy."""
    machine = running.runner("north")
    store = tmp_path / "store"
    store.mkdir()

    def said(*words: str) -> Any:
        blobs = ("--blobs", "s3://fleet/one")
        done = CliRunner().invoke(app, ["runners", "rights", *words, *blobs, "--store", str(store)])
        assert done.exception is None, done.exception
        return json.loads(done.stdout)

    (tmp_path / "north.pem").write_bytes(machine.key.public_pem)
    enrolled = ["runners", "enroll", "north", str(tmp_path / "north.pem"), "--store", str(store)]
    assert CliRunner().invoke(app, enrolled).exception is None
    first, second = said("north"), said("north")
    assert first["actions"] == second["actions"]
    assert first["credentials"] != second["credentials"]
    assert f"Write:fleet/one/answers/*/{machine.key.key_id}.*" in first["actions"]
    assert policy("s3://fleet/one", machine.key.key_id, None) == said("north", "--form", "policy")
    assert ["Read:fleet", "Write:fleet", "List:fleet"] == said()["actions"]


def test_a_policy_of_a_bucket() -> None:
    """It names whom it is about; a runner writes below names of its own and nowhere else."""
    said = policy("s3://fleet", "ab" * 32, "arn:aws:iam::1:user/north")
    writes = [each for each in said["Statement"] if "s3:PutObject" in each["Action"]]
    own = [f"arn:aws:s3:::fleet/outputs/{'ab' * 32}/*", f"arn:aws:s3:::fleet/answers/*/{'ab' * 32}.*"]
    assert own == [each for statement in writes for each in statement["Resource"]]
    assert all(each["Principal"] == {"AWS": "arn:aws:iam::1:user/north"} for each in said["Statement"])
    assert not [each for each in said["Statement"] if "s3:DeleteObject" in each["Action"]]
