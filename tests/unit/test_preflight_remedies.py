"""Where in a project causes come from, and the patches that mend them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rebuilder.ecosystems.pypi.diagnosis import mended, places, tells_time
from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.model.comparison import Level
from rebuilder.model.diagnosis import Basis, Cause, Certainty, EvidenceLine
from rebuilder.model.project import ProjectFinding, ProjectTree
from rebuilder.preflight.builds import located

WORKFLOW = ".github/workflows/release.yml"


def finding(cause: Cause, *evidence: str) -> ProjectFinding:
    """A finding with notes as evidence."""
    return ProjectFinding(
        cause=cause,
        sentence="It differs.",
        certainty=Certainty.SHOWN,
        basis=Basis.EXPERIMENT,
        level=Level.DIFFERENT,
        files=("loom-1.0.tar.gz",),
        evidence=tuple(EvidenceLine(note=each) for each in evidence),
        advice=cause.advice,
    )


def patched(
    cause: Cause, texts: dict[str, str], *evidence: str, files: tuple[str, ...] = (), ecosystem: str = "pypi"
) -> ProjectFinding:
    """What becomes of a finding in a project with these files."""
    tree = ProjectTree(name="loom", archive_sha256="0" * 64, files=(*texts, *files), seconds=0)
    return located(ECOSYSTEMS[ecosystem], tree, finding(cause, *evidence), texts)


@pytest.mark.parametrize(
    ("cause", "name", "before", "after"),
    [
        (Cause.FILE_ORDER, "setup.py", "x = os.listdir('a')\n", "x = sorted(os.listdir('a'))\n"),
        (Cause.FILE_ORDER, "setup.py", "for p in Path('a').glob('*'):\n", "for p in sorted(Path('a').glob('*')):\n"),
        (Cause.HASH_OR_SET_ORDER, "setup.py", "x = list({'a', 'b'})\n", "x = sorted({'a', 'b'})\n"),
        (Cause.HASH_OR_SET_ORDER, "setup.py", "x = ' '.join({'a', 'b'})\n", "x = ' '.join(sorted({'a', 'b'}))\n"),
        (Cause.TIME_ZONE, "setup.py", "x = time.localtime(0)\n", "x = time.gmtime(0)\n"),
        (
            Cause.ARCHIVE_TIMES,
            WORKFLOW,
            "      - run: python -m build\n",
            "      - run: SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct) python -m build\n",
        ),
    ],
)
def test_a_line_is_mended(tmp_path: Path, cause: Cause, name: str, before: str, after: str) -> None:
    """The line is named, and the patch makes of the file what it should be."""
    found = patched(cause, {name: before})
    assert [(name, 1)] == [(each.file, each.line) for each in found.places]
    assert found.patch is not None
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(before)
    subprocess.run(["git", "apply", "-"], input=found.patch, text=True, cwd=tmp_path, check=True)
    assert after in (tmp_path / name).read_text()


def test_a_time_is_the_one_that_builds_are_told() -> None:
    """What is needed for it is imported, and the changed code is Python."""
    texts = {"setup.py": "import time\nx = time.ctime()\n"}
    changed = mended(Cause.EMBEDDED_TIME, places(Cause.EMBEDDED_TIME, texts), texts, ())
    compile(changed["setup.py"], "setup.py", "exec")
    assert "SOURCE_DATE_EPOCH" in changed["setup.py"]
    assert "import os\n" in changed["setup.py"]


def test_of_several_lines_none_is_changed() -> None:
    """Which of them it is, nobody knows: all are named, and no patch is made."""
    found = patched(Cause.FILE_ORDER, {"setup.py": "a = os.listdir('a')\nb = os.listdir('b')\n"})
    assert [1, 2] == [each.line for each in found.places]
    assert found.patch is None


def test_a_missing_file_goes_into_the_manifest() -> None:
    """A file of the tree that the log of the failed build names is put into the source archive."""
    words = "FileNotFoundError: [Errno 2] No such file or directory: 'words.in'"
    found = patched(Cause.INCOMPLETE_SOURCE, {"setup.py": "x = 1\n"}, words, files=("words.in", "other.in"))
    assert found.patch is not None
    assert "+include words.in" in found.patch
    assert "other.in" not in found.patch


def test_a_file_that_only_the_tree_gives_goes_into_the_manifest() -> None:
    """Of a wheel's member, the file of the tree; behind what excludes it, and only where setuptools reads that file."""
    member = EvidenceLine(member="loom/table.json")
    tree = ProjectTree(name="loom", archive_sha256="0" * 64, files=("src/loom/table.json", "table.json"), seconds=0)
    for backend, patched in (("setuptools", True), ("flit_core", False)):
        texts = {
            "MANIFEST.in": "global-exclude *.json\n",
            "pyproject.toml": f'[build-system]\nrequires = ["{backend}"]\n',
        }
        found = located(ECOSYSTEMS["pypi"], tree, finding(Cause.EXTRA_SOURCE_FILES).replace(evidence=(member,)), texts)
        assert patched is (found.patch is not None)
        assert patched is (" global-exclude *.json\n+include src/loom/table.json\n" in (found.patch or ""))
        assert "include table.json" not in (found.patch or "")


def test_calls_are_no_sets() -> None:
    """Arguments of a call in a formatted text are not in another order each run; a set is, and ``hash()``."""
    texts = {"setup.py": "f'{max(a, b)}'\nf'{d.get(1, 2)}'\nx = {1, 2}\ny = hash('a')\nz = o.hash()\n"}
    assert [3, 4] == [each.line for each in places(Cause.HASH_OR_SET_ORDER, texts)]


def test_code_that_no_build_runs_is_not_named() -> None:
    """Modules of the package itself are not what builds it."""
    build_files = ECOSYSTEMS["pypi"].build_files
    assert build_files.fullmatch("setup.py")
    assert build_files.fullmatch(WORKFLOW)
    assert not build_files.fullmatch("src/loom/core.py")


def test_a_workflow_that_sets_the_time_is_believed() -> None:
    """Its releases are built with it; what a module says is no such word."""
    assert tells_time({WORKFLOW: "env:\n  SOURCE_DATE_EPOCH: 1\n"})
    assert not tells_time({"setup.py": "os.environ['SOURCE_DATE_EPOCH']\n"})


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("debian/rules", "a:\n\tdate +%s >a\n", "a:\n\tdate -u -d @$(SOURCE_DATE_EPOCH) +%s >a\n"),
        ("Makefile", "D := $(shell date -u +%F)\n", "D := $(shell date -u -d @$(SOURCE_DATE_EPOCH) +%F)\n"),
        ("Makefile", "a:\n\techo $$(date) >a\n", "a:\n\techo $$(date -u -d @$(SOURCE_DATE_EPOCH)) >a\n"),
        ("Makefile", 'a:\n\techo "on `date`" >a\n', 'a:\n\techo "on `date -u -d @$(SOURCE_DATE_EPOCH)`" >a\n'),
        ("src/stamp.sh", "echo `date +%Y`\n", "echo `date -u -d @${SOURCE_DATE_EPOCH} +%Y`\n"),
        ("src/stamp.sh", "date -r stamp.c +%Y\n", None),
        ("src/stamp.sh", "x=$(date -u --date=@1 +%Y)\n", None),
        ("src/stamp.c", "char *s = __DATE__;\n", None),
    ],
)
def test_the_time_of_a_debian_build(tmp_path: Path, name: str, before: str, after: str | None) -> None:
    """The line that asks for it is named; one that asks ``date`` is mended, unless it tells ``date`` a time."""
    found = patched(Cause.EMBEDDED_TIME, {name: before}, ecosystem="deb")
    assert [name] == [each.file for each in found.places]
    assert (found.patch is None) == (after is None)
    if found.patch is not None:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(before)
        subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=found.patch, text=True, check=True)
        assert after == file.read_text()


def test_a_line_that_only_mentions_a_date() -> None:
    """An update, and a name with it, ask for no time."""
    found = patched(Cause.EMBEDDED_TIME, {"debian/rules": "a:\n\tupdate-x --date-of y\n\t./date.sh\n"}, ecosystem="deb")
    assert () == found.places
