"""The pages for the three who read the answers: every command on them is typed as it stands there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.command import Installation
from tests.fakes.projects import build, make_sdist, minibackend_wheel
from tests.fakes.registry import Registry
from tests.fakes.web_server import served
from tests.unit.test_readme import ROOT, lines

ADDRESS = "https://rebuilds.example.org"
REPORT = f"{ADDRESS}/pypi/idna/3.20/idna-3.20-py3-none-any.whl/0123456789abcdef/report.json"
ELSEWHERE = {"admit", "preflight", "proxy", "serve"}
"""These want a project, or run until they are stopped; other tests have them."""
ENDS = {"idna==2.10": 1, "idna-2.10": 1}
"""Exit codes of commands about a release that differs."""


@dataclass(frozen=True)
class Desk:
    """A directory with the files that the pages name, a rebuilder of one's own, and a site of somebody."""

    directory: Path
    installation: Installation
    replaced: dict[str, str]
    """What stands on the pages in the place of something else."""

    def type(self, line: str) -> tuple[int, str]:
        """Run a command; exit code and all that was said."""
        return self.installation.typed(line, self.directory, self.replaced)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, environments_root: Path) -> Iterator[Desk]:
    """Two releases on an index, one of which a stranger cannot rebuild; a published site with both."""
    root = tmp_path_factory.mktemp("desk")
    good, bad = make_sdist("idna", "3.20"), make_sdist("idna", "2.10")
    wheels = {"3.20": build(good), "2.10": build(make_sdist("idna", "2.10", {"idna/__init__.py": "changed = True\n"}))}
    with Registry() as registry:
        registry.add(minibackend_wheel(), uploaded=datetime(2020, 1, 1, tzinfo=UTC))
        registry.publish(good, bad, *wheels.values())
        installation = Installation.make(root, environments_root, registry.url)
        first = installation.verify("pypi:idna==3.20")
        page = Path(first.line["report"]).parent.relative_to(installation.site)
        for each in wheels.values():
            (root / each.filename).write_bytes(each.data)
        lock = f"idna==3.20 --hash=sha256:{wheels['3.20'].sha256}\n"
        (root / "requirements.txt").write_text(lock)
        (root / "watch").mkdir()
        (root / "watch" / "mine.toml").write_text('[[watch]]\npackages = ["idna"]\nevery = "6h"\n')
        (root / "one.policy").write_text(f"log {(installation.site / 'log/key').read_text().strip()}\nquorum none\n")
        with served(installation.site) as address:
            (root / "policy.toml").write_text(f'[[rebuilders]]\nplace = "{address}"\nlog_policy = "one.policy"\n')
            yield Desk(root, installation, {REPORT: f"{address}/{page}/report.json", ADDRESS: address})


@pytest.mark.parametrize("page", ["for-third-parties", "for-security-teams", "for-maintainers"])
def test_commands_of_a_page(page: str, desk: Desk) -> None:
    """Each does what the page says, in the order of the page."""
    commands = [each for each in lines((ROOT / "docs" / f"{page}.md").read_text()) if each.startswith("rebuilder ")]
    assert len(commands) > 3
    for line in commands:
        if line.split()[1] not in ELSEWHERE:
            code, said = desk.type(line)
            expected = next((number for words, number in ENDS.items() if words in line), 0)
            assert code == expected, f"{line}\n{said}"
            assert "Traceback" not in said
