"""The runbooks for incidents: every command on the page is typed as it stands there, on a store with real builds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.config import Config
from rebuilder.model.attempt import Outcome
from rebuilder.model.report import Report
from rebuilder.replay.from_settings import replaying
from rebuilder.replay.published import of_our_own
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.key_list import Use
from rebuilder.signing.keys import ROOT_PASSPHRASE
from tests.fakes.command import Installation
from tests.fakes.projects import build, make_sdist, minibackend_wheel
from tests.fakes.registry import Registry
from tests.unit.test_readme import ROOT, lines

PAGE = (ROOT / "docs" / "operate" / "incident.md").read_text()
ENDS = {"idna@2.10": 1, "idna==2.10": 1, "incident trixie": 1}
"""Exit codes of commands about a release that differs, or an environment that it was built in."""


@dataclass
class Desk:
    """Where somebody sits who looks into incidents."""

    directory: Path
    installation: Installation
    report: Path
    """The page of the release that comes out."""
    replaced: dict[str, str] = field(default_factory=dict)
    """What stands on the page in the place of something else."""

    def type(self, line: str) -> tuple[int, str]:
        """Run a command; exit code and all that was said."""
        return self.installation.typed(
            line, self.directory, self.replaced, {ROOT_PASSPHRASE: "a rope, a lantern, a map"}
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, environments_root: Path) -> Iterator[Desk]:
    """Two releases, one of which a stranger cannot rebuild; a fleet with one runner; keys with a list of them."""
    root = tmp_path_factory.mktemp("desk")
    good, bad = make_sdist("idna", "3.20"), make_sdist("idna", "2.10")
    wheels = [build(good), build(make_sdist("idna", "2.10", {"idna/__init__.py": "changed = True\n"}))]
    with Registry() as registry:
        registry.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        registry.publish(good, bad, *wheels)
        installation = Installation.make(root, environments_root, registry.url)
        report = Path(installation.verify("pypi:idna==3.20").line["report"])
        assert 1 == installation.verify("pypi:idna==2.10").code
        (root / wheels[0].filename).write_bytes(wheels[0].data)
        found = Desk(root, installation, report)
        for name in ("a", "b"):
            (root / name).mkdir()
            found.replaced[f"/media/{name}/"] = f"{root}/{name}/"
        code, said = found.type("rebuilder keys init --root /media/a/root.pem --root /media/b/root.pem")
        assert code == 0, said
        listed = KeyDirectory(root / "keys").newest()
        assert listed is not None
        (key,) = (each for each in listed.keys.values() if each.use is Use.STATEMENTS)
        (root / "north.pem").write_text(found.type("rebuilder runners key --runner-key north/runner.pem")[1])
        assert 0 == found.type("rebuilder runners enroll north north.pem")[0]
        found.replaced |= {"SIGNING-KEY": key.key_id[:16], " REPORT ": f" {report.parent} "}
        built_in = Report.model_validate_json((report.parent / "report.json").read_bytes()).toolchains[0].name
        found.replaced["incident trixie"] = f"incident {built_in}"
        found.replaced["2026-11-23T00:00:00"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
        yield found


def test_commands_of_the_page(desk: Desk) -> None:
    """Each does what the page says, in the order of the page; the builds that are run again agree."""
    commands = [each for each in lines(PAGE) if each.startswith("rebuilder ")]
    assert len(commands) > 20
    said = {}
    for line in commands:
        code, said[line] = desk.type(line)
        expected = next((number for words, number in ENDS.items() if words in line), 0)
        assert code == expected, f"{line}\n{said[line]}"
        assert "Traceback" not in said[line]
    again = said["rebuilder incident pkg:pypi/idna@3.20 --again"]
    assert "it is what its source gives" in again
    assert "run again: agrees" in again
    assert 2 == said["rebuilder incident trixie --again"].count("run again: agrees")
    assert 1 == len(list(desk.installation.site.glob("incidents/*/index.html")))


def test_the_sbom_has_what_the_build_had(desk: Desk) -> None:
    """The Python of the build holds the distributions that the SBOM names, and no other."""
    report = Report.model_validate_json((desk.report.parent / "report.json").read_bytes())
    document = json.loads((desk.report.parent / "sbom.cdx.json").read_bytes())
    named = {each["purl"] for each in document["formulation"][0]["components"] if "purl" in each}
    published = of_our_own(report)
    assert published is not None
    definition = published.definition
    python = next(each[0] for each in definition.commands[::-1] if each[0].endswith("/bin/python"))
    program = "import importlib.metadata as m\nfor d in m.distributions(): print('HAS', d.name, d.version)"
    asked = definition.replace(commands=(*definition.commands, (python, "-c", program)))
    config = Config(store=desk.installation.store, keys=desk.directory / "keys", site=desk.installation.site)
    with replaying(config, page=None, capsules=(), directories=(), note=lambda _: None) as (replayer, _):
        assert () == replayer.gather(published)
        run = replayer.runner(published)(asked)
        log = replayer.inputs.blobs.read(run.log_sha256).decode()
    assert run.outcome is Outcome.COMPLETED, log
    words = [each.partition("HAS ")[2].split() for each in log.splitlines() if "HAS " in each]
    assert {f"pkg:pypi/{name}@{version}" for name, version in words} == named
    assert named
