"""``rebuilder preflight`` on trees with ``debian/``: built offline, with a signed archive on loopback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rebuilder.model.diagnosis import Cause
from tests.fakes.debian_archive import Archive
from tests.fakes.debian_sources import FILES, RULES
from tests.integration import test_debian_rebuild, test_debian_verify
from tests.integration.test_debian_verify import DebianInstallation

archive, machine = test_debian_verify.archive, test_debian_rebuild.machine
ALIKE = RULES.replace("\tpwd >debian/tiny-common/usr/share/tiny/where\n", "")


def tree(place: Path, **changes: str) -> Path:
    """A git checkout with the packaging, changed."""
    files = FILES | {name.replace("__", "/"): text for name, text in changes.items()}
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "debian/rules").chmod(0o755)
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"]):
        subprocess.run(["git", *words], cwd=place, check=True, timeout=300)
    return place


def looked_at(machine: DebianInstallation, place: Path, code: int) -> dict[str, Any]:
    """What is said of a tree."""
    answer = machine.run("preflight", "--json", place)
    assert code == answer.code, answer.words
    return answer.line


def test_packages_that_everybody_builds_alike(machine: DebianInstallation, archive: Archive, tmp_path: Path) -> None:
    """Those for any machine and for one come out of one build, elsewhere as here, in a release that is told."""
    found = looked_at(machine, tree(tmp_path / "tiny", debian__rules=ALIKE), 0)
    assert [f"tiny_1.0_{archive.architecture}.deb", "tiny-common_1.0_all.deb"] == [
        each["filename"] for each in found["built"]
    ]
    assert all(each["sha256"] == each["elsewhere_sha256"] for each in found["built"])
    assert any("unstable" in each and "trixie is taken" in each for each in found["notes"])


@pytest.mark.needs_guest
@pytest.mark.usefixtures("archive")
def test_what_goes_into_packages(machine: DebianInstallation, tmp_path: Path) -> None:
    """The directory, and a date alone, which two builds of one day share: each is shown, with its line in the rules."""
    rules = RULES.replace("\tpwd >", "\tdate +%F >debian/tiny-common/usr/share/tiny/when\n\tpwd >")
    found = looked_at(machine, tree(tmp_path / "tiny", debian__rules=rules), 1)
    causes = {each["cause"]: each for each in found["findings"]}
    assert {Cause.EMBEDDED_PATH, Cause.EMBEDDED_TIME} == causes.keys()
    for each in causes.values():
        assert ("shown", ["tiny-common_1.0_all.deb"]) == (each["certainty"], each["files"])
    lines = {cause: each["places"][0]["text"] for cause, each in causes.items()}
    assert lines[Cause.EMBEDDED_PATH].startswith("pwd >")
    assert lines[Cause.EMBEDDED_TIME].startswith("date +%F")
    assert "+\tdate -u -d @$(SOURCE_DATE_EPOCH) +%F" in causes[Cause.EMBEDDED_TIME]["patch"]


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("debian__control", "Source: tiny\n\nno field\n", "debian/control of tiny cannot be used"),
        ("debian__control", "", "does not begin with a version"),
        ("debian__control", "Source: tiny\n\nPackage: tiny\nArchitecture: hurd-any\n", "has no package that is built"),
        ("debian__control", "Source: tiny\n\nPackage: tiny\nArchitecture: [\n", "cannot be used"),
        ("debian__changelog", "other (1.0) unstable; urgency=low\n", "does not begin with a version"),
        ("debian__changelog", "tiny (1.0/../..) unstable; urgency=low\n", "does not begin with a version"),
    ],
    ids=range(6),
)
def test_a_tree_that_cannot_be_read(
    machine: DebianInstallation, tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    """Nothing is built of it, and one sentence says why."""
    found = looked_at(machine, tree(tmp_path / "tiny", **{name: text}), 3)
    assert ("undecided", []) == (found["outcome"], found["built"])
    assert sentence in found["sentence"], json.dumps(found)
