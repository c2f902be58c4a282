"""``rebuilder draft``: what a maintainer is written, and when there is nothing to write."""

from __future__ import annotations

import email
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from rebuilder.cli.draft import NothingToTellError, draft
from rebuilder.config import Config
from rebuilder.errors import ExitCode, UsageError
from rebuilder.model.diagnosis import Cause, Certainty, Diagnosis, EvidenceLine, Finding
from rebuilder.model.report import Report
from rebuilder.store.ledger import Ledger
from tests.fakes import reports
from tests.fakes.blobs import MemoryBlobs

SITE = "https://rebuilder.example.org/site"
LINE = EvidenceLine(member="almanac/version.py line 3", published="/home/ada/build", rebuilt="/build/source")


def finding(cause: Cause, *evidence: EvidenceLine) -> Finding:
    """A cause that was found."""
    return Finding(
        cause=cause, sentence=cause.spoken, certainty=Certainty.SHOWN, evidence=evidence, advice=cause.advice
    )


def differing(*findings: Finding, unexplained: int = 0) -> Report:
    """A report on a file that differs, for these causes."""
    why = Diagnosis(findings=findings, unexplained_total=unexplained)
    return reports.differs(MemoryBlobs()).replace(diagnosis=why)


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Config]:
    """Puts reports into a ledger."""
    config = Config(store=tmp_path / "store", keys=tmp_path / "keys", site_url=SITE)

    def kept(*found: Report) -> Config:
        with Ledger.open(config.ledger_place) as ledger:
            for report in found:
                number = ledger.begin(report.artifact, report.started)
                ledger.examined(number, report)
                ledger.finish(number, reports.signed(report))
        return config

    return kept


def read(data: str) -> EmailMessage:
    """A letter as a mail program reads it."""
    found = email.message_from_bytes(data.encode(), policy=default)
    assert isinstance(found, EmailMessage)
    return found


def test_it_says_what_why_where_and_what_to_change(
    keep: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the report and the command that builds it again; causes that are ours are none of theirs."""
    report = differing(finding(Cause.EMBEDDED_PATH, LINE), finding(Cause.MISSING_COMPILER), unexplained=2)
    draft(keep(report, reports.reproduced(MemoryBlobs())), "pypi:almanac==2.0")
    found = read(capsys.readouterr().out)
    assert {"X-Unsent", "Subject", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"} == set(found.keys())
    assert report.artifact.filename in found["Subject"]
    text = found.get_content()
    for said in (
        report.artifact.sha256,
        report.artifact.purl,
        Cause.EMBEDDED_PATH.spoken,
        Cause.EMBEDDED_PATH.advice,
        "almanac/version.py line 3: published “/home/ada/build”, rebuilt “/build/source”",
        "In 2 files we do not know why",
        f"rebuilder replay {SITE}/pypi/almanac/2.0/{report.artifact.filename}/",
        f"/{report.artifact.sha256[:16]}/report.json",
    ):
        assert said in text
    assert Cause.MISSING_COMPILER.spoken not in text


def test_hostile_names_stay_words(keep: Callable[..., Config], capsys: pytest.CaptureFixture[str]) -> None:
    """No header and no line of the letter is somebody else's."""
    name = "x\r\nBcc: victim@example.org\r\n\r\nTo: a\u202eb.whl"
    hostile = finding(Cause.EMBEDDED_PATH, LINE.replace(member=name, published=name * 90))
    report = differing(hostile.replace(sentence=name, advice=name))
    report = report.replace(artifact=report.artifact.replace(file=report.artifact.file.replace(filename=name)))
    draft(keep(report), report.artifact.sha256)
    data = capsys.readouterr().out
    found = read(data)
    assert {"X-Unsent", "Subject", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"} == set(found.keys())
    lines = [each for part in (data, found.get_content()) for each in part.splitlines()]
    assert not any(each.startswith(("Bcc", "To")) for each in lines)
    assert "\u202e" not in data + found.get_content()
    assert "⟨U+000D⟩⟨U+000A⟩Bcc: victim@example.org" in found["Subject"]


@pytest.mark.parametrize(
    "report",
    [
        reports.reproduced(MemoryBlobs(), "almanac", "2.0"),
        differing(),
        differing(finding(Cause.MISSING_COMPILER), unexplained=3),
    ],
    ids=["reproduced", "no cause", "causes of ours"],
)
def test_nobody_is_written_to_without_a_reason(keep: Callable[..., Config], report: Report) -> None:
    """A verdict that accuses nobody, or that nobody can explain, is no letter."""
    config = keep(report)
    with pytest.raises(NothingToTellError) as error:
        draft(config, "pypi:almanac")
    assert ExitCode.UNDECIDED == error.value.exit_code


def test_one_letter_is_about_one_file(keep: Callable[..., Config]) -> None:
    """Several files, none, and a site that nobody can read are told; each is a wrong call."""
    one = differing(finding(Cause.EMBEDDED_PATH))
    other = one.artifact.replace(file=one.artifact.file.replace(filename="almanac-2.0.tar.gz", sha256="ab" * 32))
    config = keep(one, one.replace(artifact=other))
    with pytest.raises(UsageError, match="several files") as several:
        draft(config, "pypi:almanac")
    assert "ab" * 32 in str(several.value.hint)
    with pytest.raises(UsageError, match="Nothing that was verified"):
        draft(config, "pypi:nobody")
    with pytest.raises(UsageError, match="where the site is"):
        draft(config.replace(site_url=None), "pypi:almanac")
