"""The measurement of whole lists: its lists, its figures, its tables, its picture."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from packaging.version import Version

from rebuilder.ecosystems.pypi.simple_index import IndexedFile, IndexProject, ReleaseFile
from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import ListedFile, Listing
from rebuilder.model.comparison import Level
from rebuilder.model.diagnosis import Cause, Certainty, Diagnosis, Finding
from rebuilder.model.report import Report, Stage
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Reason, Tier
from tests.bench.chart import chart, mean_seconds, rest_chart
from tests.bench.list_command import main
from tests.bench.list_figures import RoundFigures, Spent, figures, percentile
from tests.bench.list_table import BEGIN, END, commit_table, replaced, tables
from tests.bench.public_list import PublicList, named_files, orders, released_files, spread
from tests.bench.random_list import drawn as drawn_list
from tests.fakes.orders import order
from tests.fakes.verifications import NOW, artifact, attempt, report

SPENT = Spent(wall_seconds=20, cpu_seconds=30, peak_memory_bytes=200 << 20, load=2.0)


def took(name: str, seconds: dict[Stage, float], *, attempts: int = 1) -> Report:
    """The report of one artifact whose stages took so long."""
    of = artifact(name)
    made = (*[attempt(of, Level.EQUIVALENT)] * (attempts - 1), attempt(of, Level.IDENTICAL))
    whole = timedelta(seconds=sum(seconds.values()))
    return report(of, *made).replace(seconds=seconds, started=NOW, finished=NOW + whole)


def drawn(picture: str) -> ET.Element:
    """The picture as a document, which it must be."""
    return ET.fromstring(picture)  # noqa: S314 - our own


def measured(*, warm: bool = True) -> RoundFigures:
    """A round of two artifacts, of three that were queued."""
    reports = [
        took("a", {Stage.FETCH: 1.0, Stage.BUILD: 3.0}, attempts=2),
        took("b", {Stage.BUILD: 1.0}),
    ]
    return figures("top250", reports, SPENT, warm=warm, workers=2, listed=9, asked=3)


def test_the_list_of_wheels_is_whole() -> None:
    """All its files, each once (one stands there twice), to be built anew from their source archives."""
    found = orders(PublicList.TOP250, lambda _: None)
    assert 218 == len(found) == len({each.filename for each in found})
    assert {(Reason.ASKED, Tier.SOURCE)} == {(each.reason, each.tier) for each in found}
    assert ("pkg:pypi/idna@3.4", "idna", "3.4", "idna-3.4-py3-none-any.whl") == (
        found[0].purl,
        found[0].name,
        found[0].version,
        found[0].filename,
    )


def test_a_subject_of_the_list_is_a_package_url() -> None:
    """Name and version come from it, with what is escaped in it."""
    [found] = named_files('[{"subject": "pkg:pypi/a-b@1%2Bc", "filename": "a_b-1+c-py3-none-any.whl"}]')
    assert ("a-b", "1+c") == (found.name, found.version)


def test_releases_are_looked_up() -> None:
    """All wheels the index has of the version that is named, and no other."""
    files = [("1.0", "x-1.0-py3-none-any.whl"), ("1.0", "x-1.0-py2-none-any.whl"), ("2.0", "x-2.0-py3-none-any.whl")]
    listed = tuple(
        ListedFile(purl=f"pkg:pypi/x@{version}", version=version, filename=name, sha256=Sha256("0" * 64))
        for version, name in files
    )
    listing = Listing(ecosystem="pypi", name="x", files=listed, newest="2.0", mark="")
    found = released_files(["pypi:x==1.0", ""], {"x": listing}.get)
    assert [name for version, name in files if version == "1.0"] == [each.filename for each in found]


def test_a_release_that_is_gone_is_said() -> None:
    """A list with a hole would be another list."""
    with pytest.raises(ValueError, match="no files of pypi:x==1"):
        released_files(["pypi:x==1"], lambda _: None)


def test_a_short_measurement_has_some_of_everything() -> None:
    """The part that is taken is spread over the whole list."""
    whole = orders(PublicList.TOP250, lambda _: None)
    assert [whole[0], whole[72], whole[145]] == spread(whole, 3)
    assert whole == spread(whole, None)


def page_of(name: str, *files: tuple[str, str, int]) -> IndexProject:
    """A project's page with files by name, version and year of upload."""
    return IndexProject(
        name=name,
        files=tuple(
            ReleaseFile(
                version=Version(version),
                listed=IndexedFile.model_validate(
                    {
                        "filename": filename,
                        "url": filename,
                        "hashes": {"sha256": "0" * 64},
                        "upload-time": f"{year}-01-01T00:00:00Z",
                    }
                ),
                base="https://files.example/",
            )
            for filename, version, year in files
        ),
        document_sha256=Sha256("0" * 64),
    )


PAGES = {
    "both": page_of("both", ("both-1-py3-none-any.whl", "1", 2019), ("both-1.tar.gz", "1", 2019)),
    "years": page_of(
        "years",
        *[(f"years-{n}{end}", str(n), 2026) for n in range(50) for end in ("-py3-none-any.whl", ".tar.gz")],
        *[(f"years-99{end}", "99", 2015) for end in ("-py3-none-any.whl", ".tar.gz")],
    ),
    "no-source": page_of("no-source", ("no_source-1-py3-none-any.whl", "1", 2019)),
    "platform": page_of("platform", ("p-1-cp313-cp313-win32.whl", "1", 2019), ("p-1.tar.gz", "1", 2019)),
}


def test_a_list_drawn_by_chance_can_be_drawn_again() -> None:
    """One pure wheel of each project, from a release with a source archive; the seed alone says which."""
    found = [drawn_list(reversed([*PAGES, "gone"]), seed, 9, PAGES.get) for seed in range(20)]
    assert {"both", "years"} == {each.name for one in found for each in one}
    assert found == [drawn_list([*PAGES, "gone"], seed, 9, PAGES.get) for seed in range(20)]
    versions = [each.version for one in found for each in one if each.name == "years"]
    assert 5 <= versions.count("99") <= 15, "each year in which a project published is as likely"
    assert 1 == len(drawn_list(PAGES, 1, 1, PAGES.get))


def test_a_page_that_does_not_answer_is_passed_over() -> None:
    """One project less is no reason to draw none."""

    def page(name: str) -> IndexProject | None:
        if name == "years":
            raise UnavailableError("The index does not answer.")
        return PAGES.get(name)

    assert ["both"] == [each.name for each in drawn_list(PAGES, 1, 9, page)]


def diagnosed(name: str, *causes: Cause) -> Report:
    """A report of a file that differs, with its causes."""
    of = artifact(name)
    findings = tuple(Finding(cause=each, sentence="", certainty=Certainty.LIKELY, advice="") for each in causes)
    return report(of, attempt(of, Level.DIFFERENT)).replace(diagnosis=Diagnosis(findings=findings))


def test_what_is_not_reproduced_is_counted_by_its_first_cause() -> None:
    """Ours and the publisher's stand apart, what nothing explains too; the picture has all of them."""
    reports = [
        took("a", {}),
        diagnosed("b", Cause.STALE_FILES, Cause.TOOL_VERSION),
        diagnosed("c", Cause.STALE_FILES),
        diagnosed("d", Cause.MISSING_INTERPRETER),
        diagnosed("e"),
    ]
    found = figures("top250", reports, SPENT, warm=True, workers=2, listed=5, asked=5)
    assert ({Cause.STALE_FILES: 2, Cause.MISSING_INTERPRETER: 1}, 1) == (found.rest, found.unexplained)
    alike = [
        Finding(cause=each, sentence="", certainty=Certainty.SHOWN, advice="")
        for each in (Cause.ARCHIVE_TIMES, Cause.COMPRESSION)
    ]
    of = artifact("f")
    equivalent = report(of, attempt(of, Level.EQUIVALENT)).replace(diagnosis=Diagnosis(findings=tuple(alike)))
    one = figures("top250", [equivalent], SPENT, warm=True, workers=2, listed=1, asked=1)
    assert {Cause.COMPRESSION: 1} == one.rest, "times could be written"
    rows = [line.split("|")[1:4] for line in tables([found]).splitlines() if "publisher" in line or "ours" in line]
    rows = [[cell.strip() for cell in row] for row in rows]
    assert [["missing-interpreter", "ours", "1 (20.0%)"], ["stale-files", "publisher's", "2 (40.0%)"]] == rows
    root = drawn(rest_chart([found]))
    assert "top250, warm: stale-files: 2, missing-interpreter: 1, other causes: 1." == root[0].text
    assert RoundFigures.model_validate(found.document()) == found


@pytest.mark.parametrize(("share", "expected"), [(0.5, 10), (0.95, 19), (1.0, 20), (0.01, 1)])
def test_percentiles_are_values_that_occurred(share: float, expected: int) -> None:
    """Nearest rank, in any order."""
    assert expected == percentile(list(range(20, 0, -1)), share)


def test_figures_of_a_round() -> None:
    """Rates are over what has a verdict; a stage that was not reached counts with nothing."""
    found = measured()
    assert (2, 3) == (found.done, found.asked)
    assert (360.0, 15.0, 1.5) == (found.per_hour, found.cpu_per_artifact, found.busy)
    assert (1.5, 2) == (found.attempts_median, found.attempts_p95)
    assert (0.5, 1.0, 1.0) == tuple(found.stages[Stage.FETCH].document().values())
    assert {Verdict.REPRODUCED: 2} == found.verdicts


def test_an_artifact_counts_once() -> None:
    """What was tried again within a round counts with what it came to last."""
    first = took("a", {Stage.BUILD: 9.0})
    last = took("a", {Stage.BUILD: 1.0})
    assert 1.0 == figures("x", [first, last], SPENT, warm=False, workers=1, listed=1, asked=1).stages[Stage.BUILD].total


def test_nothing_done_is_no_division() -> None:
    """A round that came to nothing has figures too."""
    found = figures("x", [], SPENT, warm=False, workers=2, listed=9, asked=3)
    assert (0, 0.0, 0.0) == (found.done, found.cpu_per_artifact, mean_seconds(found))
    assert "3 (100.0%)" in tables([found])
    drawn(chart([found]))


def test_tables_have_their_denominators() -> None:
    """What has no verdict stands beside the verdicts, with shares of all that was queued."""
    text = tables([measured(warm=False), measured()])
    assert "| top250, cold | top250, warm |" in " ".join(text.split())
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    assert "2 (66.7%)" in lines["reproduced"]
    assert "1 (33.3%)" in lines["no verdict"]
    assert "2.00 / 3.00, 80.0%" in lines["build"]
    both = tables([measured(), measured().replace(clock="kernel")])
    assert "| top250, warm | |" in " ".join(both.split())
    assert "| top250, warm, clock of a kernel |" in " ".join(both.split())


def test_what_the_commit_gave() -> None:
    """Only what did not come out of its source archive, with both verdicts, and what stopped the rest."""
    files = {name: artifact(name) for name in ("a", "b", "c")}
    asked = [order(name).replace(filename=each.filename) for name, each in files.items()]
    reports = [report(each, attempt(each, Level.DIFFERENT)) for each in files.values()]
    reports += [report(files["a"], attempt(files["a"], Level.IDENTICAL)), reports[1]]
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in commit_table(asked, reports).splitlines()]
    assert [files["a"].filename, "differs", "reproduced", ""] == table[2]
    assert [files["b"].filename, "differs", "differs", reports[1].decision.sentence] == table[3]
    assert commit_table(asked, reports).endswith("1 of 3.\n")


def test_tables_go_between_the_marks() -> None:
    """What is around them stays as it was, however often they are written."""
    document = f"# Title\n{BEGIN}\nold\n{END}\nafter\n"
    once = replaced(document, "new\n")
    assert f"# Title\n{BEGIN}\nnew\n{END}\nafter\n" == once
    assert once == replaced(once, "new\n")


@pytest.mark.parametrize("document", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{END}", f"{BEGIN}{BEGIN}{END}"])
def test_a_document_without_marks_is_refused(document: str) -> None:
    """Nothing is written to a place that was not meant for it."""
    with pytest.raises(ValueError, match="once each"):
        replaced(document, "new")


def test_bars_are_as_long_as_the_seconds_they_stand_for() -> None:
    """One scale for all: the parts of a bar are its stages, and the longest bar fills the picture."""
    slow = measured(warm=False)
    fast = figures("top250", [took("a", {Stage.BUILD: 1.25})], SPENT, warm=True, workers=2, listed=1, asked=1)
    root = drawn(chart([slow, fast]))
    svg = "{http://www.w3.org/2000/svg}"
    bars = [each for each in root.iter(f"{svg}rect") if each.find(f"{svg}title") is not None]
    assert ["fetch: 0.500 s", "build: 2.000 s", "build: 1.250 s"] == [each[0].text for each in bars]
    widths = [float(each.attrib["width"]) for each in bars]
    assert [102.0, 408.0, 255.0] == widths
    assert bars[1].attrib["x"] == f"{float(bars[0].attrib['x']) + widths[0]:.1f}"


def test_the_picture_can_be_read_aloud() -> None:
    """Its title says the figures."""
    root = drawn(chart([measured()]))
    assert "top250, warm: 2.50 seconds an artifact, 360 artifacts per hour." == root[0].text


def test_kept_figures_are_shown_and_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured on a quiet machine can be put into the page later; without --write nothing changes."""
    monkeypatch.chdir(tmp_path)
    page, picture, kept = tmp_path / "docs/benchmark.md", tmp_path / "docs/benchmark.svg", tmp_path / "figures.json"
    rest = tmp_path / "docs/benchmark-rest.svg"
    page.parent.mkdir()
    page.write_text(f"{BEGIN}\n{END}\n")
    kept.write_text(json.dumps([measured().document()]))
    assert 0 == main(["--figures", str(kept)])
    assert (f"{BEGIN}\n{END}\n", False) == (page.read_text(), picture.exists())
    assert 0 == main(["--figures", str(kept), "--write"])
    assert tables([measured()]) in page.read_text()
    assert (chart([measured()]), rest_chart([measured()])) == (picture.read_text(), rest.read_text())
    assert 2 == capsys.readouterr().out.count(tables([measured()]))


def test_a_warm_round_needs_a_store() -> None:
    """There is no warm cache in a new directory."""
    with pytest.raises(SystemExit):
        main(["--warm"])
