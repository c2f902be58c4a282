"""Units, the compose file and manifests are what their programs read, and name what there is."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from rebuilder.config import load_config
from rebuilder.consumer.admission.contents import PODS
from tests.unit.test_readme import known

ROOT = Path(__file__).parents[2]
OPERATE = ROOT / "docs" / "operate"
UNITS = sorted((OPERATE / "systemd").glob("*.service"))
MANIFESTS = sorted((OPERATE / "kubernetes").glob("*.yaml"))
# Not imported by name: it comes with what validates manifests, and has no types.
yaml: Any = importlib.import_module("yaml")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
VERSION = "1.34"
assert (len(UNITS), len(MANIFESTS)) == (2, 3)


def documents() -> list[dict[str, Any]]:
    """Every manifest."""
    return [each for file in MANIFESTS for each in yaml.safe_load_all(file.read_text())]


def commands() -> Iterator[list[str]]:
    """Every command line of ours in any of these files, without the program."""
    for unit in UNITS:
        yield from (
            shlex.split(line)[1:] for line in re.findall(r"^ExecStart\w*=-?(.+)$", unit.read_text(), re.MULTILINE)
        )
    for service in COMPOSE["services"].values():
        if service["image"] == "rebuilder":
            yield shlex.split(service["command"])
    for manifest in documents():
        for container in manifest.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ()):
            yield container["args"]


def test_commands_exist() -> None:
    """Each is one that the program has, with options that it has."""
    found = list(commands())
    assert {each[0] for each in found} == {"admit", "doctor", "serve", "worker"}
    for words in found:
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known()[words[0]]


@pytest.mark.parametrize("unit", UNITS, ids=lambda each: each.stem)
def test_units(unit: Path, tmp_path: Path) -> None:
    """The program that will read them has nothing to say about them; about one that is wrong it has."""
    text = unit.read_text().replace("/opt/rebuilder/bin/rebuilder", "/bin/true")
    assert verified(tmp_path / unit.name, text) == ""
    assert "Unknown" in verified(tmp_path / f"wrong-{unit.name}", text.replace("PrivateTmp=", "PrivateTemporary="))


def verified(file: Path, text: str) -> str:
    """What ``systemd-analyze verify`` says about a unit."""
    file.write_text(text)
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


@pytest.mark.parametrize("manifest", documents(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_manifests(manifest: dict[str, Any]) -> None:
    """They are what the API takes, with nothing that it does not know."""
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest | {"specification": {}}, VERSION, strict=True)


def test_the_webhook_asks_about_all_that_is_understood() -> None:
    """Its rules name the resource of every kind of workload, and it leads to the service and the port of the server."""
    found = {(each["kind"], each["metadata"]["name"]): each for each in documents()}
    (webhook,) = found["ValidatingWebhookConfiguration", "rebuilder-admission"]["webhooks"]
    named = {(group, name) for rule in webhook["rules"] for group in rule["apiGroups"] for name in rule["resources"]}
    assert {(group, f"{kind.lower()}s") for group, kind in PODS} | {("", "pods/ephemeralcontainers")} == named
    assert all(rule["operations"] == ["CREATE", "UPDATE"] for rule in webhook["rules"])
    assert ("Fail", "None", ["v1"]) == tuple(
        webhook[each] for each in ("failurePolicy", "sideEffects", "admissionReviewVersions")
    )
    service = webhook["clientConfig"]["service"]
    assert ("/v1/admit", 443) == (service["path"], found["Service", service["name"]]["spec"]["ports"][0]["port"])
    pod = found["Deployment", service["name"]]["spec"]["template"]["spec"]
    assert {"--listen=0.0.0.0:8443", "--tls-cert=/run/tls/tls.crt"} <= set(pod["containers"][0]["args"])
    assert 8443 == pod["containers"][0]["ports"][0]["containerPort"]


def test_the_settings_of_the_compose_file() -> None:
    """They are read, and name the services of the file; runners reach neither the ledger nor the world."""
    config = load_config(OPERATE / "compose" / "rebuilder.toml", {})
    services, networks = COMPOSE["services"], COMPOSE["networks"]
    assert config.ledger is not None
    assert config.fleet.broker is not None
    hosts = {re.findall(r"[@/](\w+)/", each)[0] for each in (config.ledger, config.fleet.broker)}
    assert hosts == {"ledger", "broker"} <= set(services)
    runners = {name: each for name, each in services.items() if each.get("command", "").startswith("worker")}
    assert len(runners) == 2
    for runner in runners.values():
        assert [networks[name]["internal"] for name in runner["networks"]] == [True]
        assert not set(runner["networks"]) & set(services["ledger"]["networks"])
        assert f"--broker {config.fleet.broker} --blobs {config.fleet.blobs} " in runner["command"]
