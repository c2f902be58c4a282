"""Known vulnerabilities in the gate, and beside pages: out of a local export, whoever confirms the bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rebuilder.cli.check import run
from rebuilder.consumer.policy import read_policy
from rebuilder.errors import UsageError
from rebuilder.wiring import publishing
from tests.fakes.published import PublishedRebuilder, identical, requirement
from tests.unit.test_vulnerabilities import advisory

GOOD, BAD = identical("lantern", "1.4.0"), identical("spindle", "3.1.6")


@pytest.fixture(scope="module")
def rebuilder(tmp_path_factory: pytest.TempPathFactory) -> PublishedRebuilder:
    """Both come out byte for byte; one of them is known to be vulnerable."""
    found = PublishedRebuilder(tmp_path_factory.mktemp("rebuilder"))
    found.publish(GOOD, BAD)
    return found


def answers(
    rebuilder: PublishedRebuilder,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    rule: str,
    more: str = "",
    **fields: Any,
) -> tuple[int, dict[str, str]]:
    """Exit code and standing by name, under a rule, where the export has one vulnerability."""
    (place / "osv").mkdir(exist_ok=True)
    document = advisory("GHSA-7", "spindle", events=[{"introduced": "3.0"}, {"fixed": "3.2"}], **fields)
    (place / "osv" / "GHSA-7.json").write_text(json.dumps(document))
    (place / "requirements.txt").write_text(requirement([GOOD, BAD]))
    rules = f'[[rebuilders]]\nplace = "{rebuilder.site}"\n[vulnerabilities]\nosv = "osv"\n{rule}\n'
    (place / "policy.toml").write_text(f"{more}\n{rules}")
    code = run(
        [str(place / "requirements.txt")],
        rebuilders=[],
        need=None,
        policy_file=place / "policy.toml",
        all_platforms=False,
        offline=True,
        kind="json",
        seen=place / "seen",
    )
    found = json.loads(capsys.readouterr().out)
    return code, {each["name"]: each["standing"] for each in found["answers"]}


@pytest.mark.parametrize(
    ("rule", "fields", "standing"),
    [
        ("", {}, "undecided"),
        ('refuse = "malicious"', {}, "passed"),
        ('refuse = "critical"', {}, "undecided"),
        ('refuse = "high"', {"database_specific": {"severity": "MODERATE"}}, "passed"),
        ('refuse = "high"', {"database_specific": {"severity": "HIGH"}}, "undecided"),
        ('accept = ["CVE-1"]', {"aliases": ["CVE-1"]}, "passed"),
    ],
)
def test_what_is_known_does_not_pass(
    rebuilder: PublishedRebuilder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    rule: str,
    fields: dict[str, Any],
    standing: str,
) -> None:
    """From the severity on that the rule names; what is not rated counts as critical; the other file passes."""
    code, found = answers(rebuilder, tmp_path, capsys, rule, **fields)
    assert {"lantern": "passed", "spindle": standing} == found
    assert (0 if standing == "passed" else 3) == code


def test_a_lenient_policy_lets_no_vulnerable_release_through(
    rebuilder: PublishedRebuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was spoken against is not what too little speaks for; an exception is for somebody who looked."""
    assert "undecided" == answers(rebuilder, tmp_path, capsys, "", 'undecided = "warn"')[1]["spindle"]
    exception = '[[exceptions]]\npackage = "spindle"\nuntil = 2999-01-01\nreason = "not reachable here"'
    assert "excepted" == answers(rebuilder, tmp_path, capsys, exception)[1]["spindle"]


def objecting(policy: Path) -> None:
    """Use a rule that may have a mistake."""
    found = read_policy(policy).vulnerabilities
    assert found is not None
    found.objecting([])


@pytest.mark.parametrize(
    "rule", ['osv = "nowhere"', "osv = 7", 'refuse = "high"', 'osv = "policy.toml"', 'osv = "."\nsome = 1']
)
def test_a_rule_with_a_mistake(tmp_path: Path, rule: str) -> None:
    """One sentence that names it."""
    (tmp_path / "policy.toml").write_text(f"[vulnerabilities]\n{rule}\n")
    with pytest.raises(UsageError) as caught:
        objecting(tmp_path / "policy.toml")
    assert "\n" not in str(caught.value)


def test_beside_a_page(rebuilder: PublishedRebuilder, tmp_path: Path) -> None:
    """The release, and what it was built with; an export that cannot be read keeps no page back."""
    (tmp_path / "osv").mkdir()
    for number, name in enumerate(("spindle", "flit_core")):
        document = advisory(f"GHSA-{number}", name, events=[{"introduced": "0"}])
        (tmp_path / "osv" / f"{number}.json").write_text(json.dumps(document))
    with publishing(rebuilder.config.replace(osv=tmp_path / "osv")) as signer:
        signer.publish_all()
    (page,) = rebuilder.site.glob("pypi/spindle/*/*/*/vulnerabilities.json")
    found = json.loads(page.read_text())
    assert ["GHSA-0"] == [each["id"] for each in found["release"]]
    assert ["pkg:pypi/flit-core@3.12.0"] == list(found["built_with"])
    with publishing(rebuilder.config.replace(osv=tmp_path / "gone")) as signer:
        assert 2 == signer.publish_all()
    assert not page.exists()
