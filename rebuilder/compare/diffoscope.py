"""Runs diffoscope on two files, inside the sandbox, and makes its report safe to open; no verdict hangs on it.

The report is about hostile archives, so its bytes are as hostile as they are. HTML gets two layers. A policy of ours
comes before the first foreign byte, so that no script, no request and no form works (https://www.w3.org/TR/CSP3/: a
policy in a ``meta`` element governs what follows it). And the elements a policy does not reach (a refresh that leads
away, a prefetch) cannot occur: whatever would start one is spelled as text.
"""

from __future__ import annotations

import re
from typing import Any

from rebuilder.compare.comparer import sides
from rebuilder.environments.protocol import BuildEnvironment, Environments
from rebuilder.errors import RebuilderError
from rebuilder.foreign_json import JsonLimits, read_json
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.comparison import Diffoscope
from rebuilder.model.definition import BuildDefinition, Limits
from rebuilder.model.text import visible_document
from rebuilder.model.value import Sha256
from rebuilder.sandbox.protocol import Runner
from rebuilder.store.protocol import Blobs

ENVIRONMENT = "diffoscope"
BUILD_TYPE = "tag:rebuilder,2026:diffoscope/v1"
LIMITS = Limits(
    wall_seconds=180, cpu_seconds=180, memory_bytes=1536 << 20, processes=64, output_bytes=24 << 20, log_bytes=1 << 20
)
REPORT_BYTES = 4 << 20
"""Largest report of one format; diffoscope cuts the text and the HTML there, not the JSON."""
SECONDS = 60
"""After this time diffoscope looks into no further archive, so that there is a report at all."""
_LIMITS = JsonLimits(values=1_000_000, depth=500, text_bytes=64 << 20)
BLOCK_LINES = 400
"""Longest run of differing lines that is kept of one file."""

_SCRIPT = 'diffoscope "$@"; code=$?; [ $code -le 1 ] || exit $code'
"""diffoscope ends with 1 for files that differ (diffoscope(1), "EXIT STATUS"), which is no failure here."""
_MISSING = re.compile(
    r"'([A-Za-z0-9._+-]{1,40})' not available in path|\b([A-Za-z0-9._+-]{1,40}) not available in path"
)
_ENVIRONMENT = {
    "HOME": "/tmp",  # noqa: S108 - inside the sandbox
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "TMPDIR": "/tmp",  # noqa: S108
    "TZ": "UTC",
}


FOREIGN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Inline styles and images inside the document itself, nothing else."""

_OPENING = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{FOREIGN_POLICY}">\n'
    '<meta name="referrer" content="no-referrer">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
).encode()

_NAMES = (
    rb"meta|link|base|script|noscript|iframe|frame|frameset|object|embed|applet|form|input|button|textarea|select|"
    rb"portal|fencedframe|audio|video|source|track|template|svg|math|plaintext|xmp|dialog"
)
# No pattern may look past the next "<": that keeps the work linear in the size of the document, whatever is in it.
_WHOLE_TAG = re.compile(rb"<(?:meta|link|base)\b[^<>]*>", re.IGNORECASE)
_ANY_START = re.compile(rb"<(?=/?(?:" + _NAMES + rb")(?![a-z0-9]))", re.IGNORECASE)
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,8})|([0-9]{1,9}));?")
_DECLARATION = re.compile(rb"\A\s*(?:<!DOCTYPE[^<>]*>\s*)?(?:<html[^<>]*>\s*)?(?:<head[^<>]*>\s*)?", re.IGNORECASE)


class DiffoscopeRunner:
    """Makes difference reports for people: HTML, JSON and text."""

    def __init__(self, run: Runner, environments: Environments, blobs: Blobs) -> None:
        """Run with ``run`` on the build environment ``diffoscope``; reports become blobs."""
        self._run = run
        self._environments = environments
        self._blobs = blobs

    def report(self, published: Sha256, rebuilt: Sha256, filename: str) -> Diffoscope:
        """Compare two blobs; whatever goes wrong is in ``problem``.

        The HTML is diffoscope's own and has hostile content in it; it is defused before it is stored, so that the
        stored, the signed and the published bytes are the same.
        """
        try:
            environment = self._environments.get(ENVIRONMENT)
            run = self._run(definition(environment, published, rebuilt, filename))
        except RebuilderError as error:
            return Diffoscope(problem=f"diffoscope could not be run. {error}")
        reports = {each.filename: each.sha256 for each in run.outputs}
        problem = _problem(run)
        if problem is None and "report.html" not in reports:
            problem = "diffoscope found nothing to report."
        return Diffoscope(
            version=_version(environment),
            html_sha256=self._defused(reports.get("report.html")),
            json_sha256=reports.get("report.json"),
            text_sha256=reports.get("report.txt"),
            missing_tools=self._missing_tools(reports.get("report.json")),
            problem=problem,
        )

    def _defused(self, sha256: Sha256 | None) -> Sha256 | None:
        return self._blobs.put(defuse(self._blobs.read(sha256))) if sha256 is not None else None

    def _missing_tools(self, sha256: Sha256 | None) -> tuple[str, ...]:
        if sha256 is None:
            return ()
        try:
            document = read_json(self._blobs.read(sha256), _LIMITS)
        except (RebuilderError, ValueError):
            return ()
        names = (match[1] or match[2] for comment in _comments(document) for match in _MISSING.finditer(comment))
        return tuple(sorted(set(names)))


def definition(toolchain: BuildEnvironment, published: Sha256, rebuilt: Sha256, filename: str) -> BuildDefinition:
    """The run of diffoscope on two blobs."""
    inputs = sides(published, rebuilt, filename)
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl="pkg:generic/diffoscope",
        targets=(filename,),
        inputs=inputs,
        toolchain=toolchain.ref,
        commands=(("/bin/sh", "-c", _SCRIPT, "diffoscope", *_options(), *(each.path for each in inputs)),),
        environment=_ENVIRONMENT,
        directory="/build",
        limits=LIMITS,
    )


def _options() -> tuple[str, ...]:
    return (
        "--no-progress",
        "--html=/out/report.html",
        "--jquery=disable",
        "--json=/out/report.json",
        "--text=/out/report.txt",
        "--text-color=never",
        f"--max-report-size={REPORT_BYTES}",
        f"--max-page-size={REPORT_BYTES}",
        f"--max-text-report-size={REPORT_BYTES}",
        f"--max-diff-block-lines={BLOCK_LINES}",
        f"--max-page-diff-block-lines={BLOCK_LINES}",
        f"--max-diff-block-lines-saved={BLOCK_LINES}",
        "--max-container-depth=8",
        f"--timeout={SECONDS}",
    )


def _problem(run: Run) -> str | None:
    if run.limit is not None:
        return f"diffoscope was stopped at its limit on {run.limit.value} after {run.wall_seconds:.0f} s."
    if run.outcome is not Outcome.COMPLETED:
        return f"diffoscope failed with exit code {run.exit_code}; its log has the digest {run.log_sha256}."
    return None


def _version(toolchain: BuildEnvironment) -> str | None:
    for each in toolchain.summary.packages:
        name, _space, version = each.partition(" ")
        if name in {"diffoscope-minimal", "diffoscope"}:
            return version
    return None


def _comments(document: Any) -> list[str]:
    """Remarks of all differences in a report (its JSON form nests them in ``details``)."""
    found: list[str] = []
    waiting = [document]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            comments = each.get("comments")
            found.extend(text for text in (comments if isinstance(comments, list) else []) if isinstance(text, str))
            details = each.get("details")
            waiting.extend(details if isinstance(details, list) else [])
    return found


def defuse(html: bytes) -> bytes:
    """The document under our policy and without any element that could act or lead a reader away by itself."""
    # Also as references to characters, which a browser would make of them again.
    text = _REFERENCE.sub(_referred, html.replace(b"\0", b"").decode("utf-8", "replace"))
    body = _DECLARATION.sub(b"", visible_document(text).encode(), count=1)
    # Removing a tag may join two halves of another, so the tags that diffoscope itself writes go first, and what
    # is left of any is text from here on.
    return _OPENING + _ANY_START.sub(b"&lt;", _WHOLE_TAG.sub(b"", body))


def _referred(reference: re.Match[str]) -> str:
    """The reference; or its character in visible form, where that is one that acts on a terminal or on the text."""
    number = int(reference[1], 16) if reference[1] else int(reference[2])
    char = chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else ""
    return reference[0] if visible_document(char) == char else visible_document(char)
