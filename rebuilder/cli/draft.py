"""``rebuilder draft``: a letter to a maintainer about a file that does not come out the same; nothing sends it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.errors import ExitCode, RebuilderError, UsageError
from rebuilder.model.text import clipped, visible
from rebuilder.model.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rebuilder.config import Config
    from rebuilder.model.diagnosis import Finding
    from rebuilder.model.report import Report, Summary

_MOST_LINES = 12
"""Lines of evidence for one cause; the report has the others."""


class NothingToTellError(RebuilderError):
    """Why a maintainer need not hear of a verdict."""

    exit_code = ExitCode.UNDECIDED


def draft(
    config: Config,
    which: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Its SHA-256, or a release that has one such file: pypi:idna==3.10, pkg:pypi/idna@3.10.",
            show_default=False,
        ),
    ],
) -> None:
    """Print a letter to the maintainer of a file that differs: what, why, where, what to change. Nothing is sent.

    It is a message (RFC 5322) without an addressee, for your mail program: NAME.eml. Read it before you send it.
    """
    from rebuilder.cli.db import open_ledger
    from rebuilder.cli.requeue import named

    if config.site_url is None:
        raise UsageError(
            "Nobody else could look at the report: the settings do not say where the site is.",
            hint="Publish the site, and write its address into the settings: site_url.",
        )
    with open_ledger(config) as ledger:
        rows = [each for each in ledger.latest() if named(each, [which])]
        row = _one(rows, which)
        signed = ledger.signed_report(row)
    if signed is None:
        raise UsageError(f"There is no signed report on {visible(row.filename, 200)}.", hint="rebuilder verify")
    sys.stdout.buffer.write(letter(signed.report, row, config.site_url))


def _one(rows: list[Summary], which: str) -> Summary:
    differing = [each for each in rows if each.verdict is Verdict.DIFFERS]
    if not rows:
        raise UsageError(f"Nothing that was verified is {visible(which, 200)}.", hint="rebuilder verify")
    if not differing:
        verdicts = ", ".join(sorted({each.verdict.value for each in rows}))
        raise NothingToTellError(f"It does not differ ({verdicts}): there is nothing that a maintainer should change.")
    if len(differing) > 1:
        files = ", ".join(f"{visible(each.filename, 200)} ({each.sha256})" for each in differing[:20])
        raise UsageError("That names several files that differ.", hint=f"Name one by its digest: {files}")
    return differing[0]


def letter(report: Report, row: Summary, site: str) -> bytes:
    """The letter as a draft: no addressee, no date, and every word that came from elsewhere in one visible line.

    Raises:
        NothingToTellError: no cause is known that a maintainer could do anything about.
    """
    from email.message import EmailMessage
    from email.policy import SMTP

    from rebuilder.site.display import page_href

    findings = [each for each in (report.diagnosis.findings if report.diagnosis else ()) if not each.cause.ours]
    if not findings:
        raise NothingToTellError(
            f"No cause is known that a maintainer could change: {clipped(report.artifact.filename)} differs, and we "
            "cannot say why.",
            hint="rebuilder explain --vary looks further.",
        )
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    message["X-Unsent"] = "1"
    message["Subject"] = f"{clipped(report.artifact.filename, 120)} does not come out the same when it is built again"
    page = page_href(f"{site.rstrip('/')}/", row).removesuffix("index.html")
    message.set_content("\n".join(_lines(report, findings, page)) + "\n")
    return message.as_bytes()


def _lines(report: Report, findings: list[Finding], page: str) -> Iterator[str]:
    from rebuilder.cli.explain import evidence_words

    artifact = report.artifact
    yield "Hello,"
    yield ""
    yield f"we built {visible(artifact.purl, 300)} again from its source, to see whether a stranger gets the published"
    yield "file. What came out is another one. That is no accusation: mostly the build depends on something that nobody"
    yield "wrote down. This is what we see, and what would mend it."
    yield ""
    yield f"File:    {visible(artifact.filename, 300)}"
    yield f"SHA-256: {artifact.sha256}"
    yield f"Verdict: {visible(report.decision.sentence, 600)}"
    for number, finding in enumerate(findings, start=1):
        yield ""
        yield f"{number}. {visible(finding.sentence, 600)} ({finding.how})"
        yield from (f"     {visible(evidence_words(each), 400)}" for each in finding.evidence[:_MOST_LINES])
        if len(finding.evidence) > _MOST_LINES:
            yield "     and more, in the report"
        yield f"   What to change: {visible(finding.advice, 600)}"
    if report.diagnosis is not None and (left := report.diagnosis.unexplained_total):
        yield ""
        yield f"In {left:,} {'file' if left == 1 else 'files'} we do not know why; the report lists them."
    yield ""
    yield f"The report, with every attempt and its log: {page}"
    yield f"The same build on your machine:             rebuilder replay {page}report.json"
    yield "Before the next upload, in your checkout:   rebuilder preflight"
    yield ""
    yield "If we are wrong, tell us: we publish that as well."
