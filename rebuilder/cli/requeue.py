"""``rebuilder requeue``: have what was verified before verified again, chosen by what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.errors import UsageError
from rebuilder.model.text import visible
from rebuilder.model.verdict import Verdict

if TYPE_CHECKING:
    from rebuilder.config import Config
    from rebuilder.model.report import Summary

_SAME = {"ecosystem", "purl", "name", "version", "filename", "sha256"}


def requeue(
    config: Config,
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHICH]…",
            help="pypi:idna, pypi:idna==3.10, 'deb:lib*', a package URL, or a SHA-256 digest.",
            show_default=False,
        ),
    ] = None,
    *,
    verdict: Annotated[
        list[Verdict] | None, typer.Option("--verdict", help="Only what has this verdict; can be repeated.")
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option("--before", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only what was verified before; UTC."),
    ] = None,
    priority: Annotated[
        int, typer.Option("--priority", min=-9, max=9, help="Among what was asked for: -9 is sooner, 9 later.")
    ] = 0,
    tier: Annotated[str, typer.Option("--tier", help="As for verify.")] = "full",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list it.")] = False,
) -> None:
    """Put published files into the queue of the service once more, by name or by what came of them.

    All that is given has to fit. What is in the queue already becomes as urgent and as thorough as asked here.
    """
    from rebuilder.cli.db import open_ledger
    from rebuilder.cli.verify import tier_named
    from rebuilder.model.work import Order, Reason

    if not (which or verdict or before):
        raise UsageError("What is to be verified again is not said.", hint="Name it, a --verdict, or a day.")
    asked = {"reason": Reason.ASKED, "tier": tier_named(tier), "nudge": priority}
    with open_ledger(config) as ledger:
        found = [
            each
            for each in ledger.latest()
            if (not verdict or each.verdict in verdict)
            and (before is None or each.finished < before.replace(tzinfo=UTC))
            and (not which or named(each, which))
        ]
        if not found:
            raise UsageError(
                "Nothing that was verified is like that.", hint="For what was never verified: rebuilder verify."
            )
        if not dry_run:
            ledger.queue.add([Order(**each.model_dump(include=_SAME), **asked) for each in found], datetime.now(UTC))
    for each in found if dry_run else ():
        typer.echo(visible(f"{each.verdict.value:<15} {each.purl} {each.filename}"))
    files = f"{len(found):,} {'file' if len(found) == 1 else 'files'}"
    typer.echo(f"{files} would be queued." if dry_run else f"{files} queued; a service on this ledger verifies them.")


def named(row: Summary, which: Sequence[str]) -> bool:
    """Whether one of some texts names what a row is about.

    Raises:
        UsageError: one of them can name nothing.
    """
    return any(_fits(row, text) for text in which)


def _fits(row: Summary, text: str) -> bool:
    """Whether a text names what a row is about.

    Raises:
        UsageError: it can name nothing.
    """
    from rebuilder.ecosystems.conventions import matches
    from rebuilder.ecosystems.registry import ECOSYSTEMS, conventions
    from rebuilder.model.value import is_sha256

    if is_sha256(text):
        return row.sha256 == text
    ecosystem, _, rest = text.partition(":")
    name, _, version = rest.partition("==")
    if ecosystem == "pkg" and rest:
        return row.purl in {text, text.partition("?")[0]}
    rules = conventions(ecosystem)
    if ecosystem not in ECOSYSTEMS or not rules.is_name(name):
        raise UsageError(
            f"{visible(text[:200])!r} names no file that can have been verified.",
            hint="Write pypi:idna==3.10, pkg:pypi/idna@3.10, a pattern such as 'npm:@types/*', or a SHA-256 digest.",
        )
    return (
        row.ecosystem == ecosystem
        and (row.name == rules.canonical_name(name) or matches(name, row.name))
        and (not version or rules.canonical_version(version) == rules.canonical_version(row.version))
    )
