"""``rebuilder incident``: something is under suspicion. Is it what its source gives, and what has to do with it?"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.db import open_ledger
from rebuilder.cli.options import AsJson
from rebuilder.errors import ExitCode, UsageError
from rebuilder.model.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rebuilder.config import Config
    from rebuilder.incident import Investigator
    from rebuilder.model.incident import Answer, Incident, Named, Touched
    from rebuilder.store.ledger import Ledger

_MOST_AGAIN = 20
"""Reports that one call runs again."""
_SHOWN = 20


def incident(
    config: Config,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="DIGEST|PURL|KEY|RUNNER|ENVIRONMENT",
            help="A SHA-256, pkg:pypi/idna@3.10, a name, how an identifier begins, or a file.",
            show_default=False,
        ),
    ],
    *,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="UTC: what a runner or key did later."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run the reports again, from stored inputs alone, in the same environments.")
    ] = False,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Put every file that it had a part in into the queue once more.")
    ] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Sign what was found, log it, and write a page: for everybody, for good.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say whether a file is the one that its source gives, what shares anything with it, and what may be revoked.

    Nothing is revoked by it. Exit code 0: what is known is in order; 1: a file is not what its source gives, or comes
    out otherwise now; 2: wrong use; 3: not known; 4: something on our side failed.
    """
    from rebuilder.clock import SystemClock
    from rebuilder.environments.store import EnvironmentStore
    from rebuilder.incident import Investigator
    from rebuilder.signing.key_directory import KeyDirectory

    now = datetime.now(UTC).replace(microsecond=0)
    kept = EnvironmentStore(config.store / "toolchains", SystemClock()).kept_trees()
    names = {each.record.sha256: each.record.spec.name for each in kept}
    with open_ledger(config) as ledger:
        moment = since.replace(tzinfo=UTC) if since is not None else None
        investigator = Investigator(ledger, KeyDirectory(config.keys).newest(), names, moment)
        found = investigator.look(_asked(subject), now)
        if again:
            found = _again(config, ledger, found)
        if recheck:
            _recheck(ledger, investigator, found, now)
    if as_json:
        print(json.dumps(found.document()))  # noqa: T201
    else:
        for line in _lines(found):
            print(visible(line, 2000))  # noqa: T201
    if publish:
        _publish(config, found)
    return _code(found)


def _asked(subject: str) -> str:
    """What is asked for; of a file on disk, its digest."""
    import hashlib

    if not subject.strip() or len(subject) > 2000:
        raise UsageError("What is under suspicion is not said.", hint="Name a digest, a release, a key or a runner.")
    place = Path(subject)
    try:
        if "\0" not in subject and len(subject) < 1000 and place.is_file():
            with place.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"The file {subject} cannot be read: {error.strerror}.") from None
    return subject.lower() if len(subject) >= 8 and set(subject.lower()) <= set("0123456789abcdef") else subject


def _again(config: Config, ledger: Ledger, found: Incident) -> Incident:
    """What is found, with what running reports again comes to."""
    from rebuilder.incident import contradicted
    from rebuilder.model.incident import Again
    from rebuilder.replay.from_settings import replaying
    from rebuilder.replay.published import of_our_own

    others = () if found.answers else (_unanswered(each) for one in found.shared for each in one.files)
    answers = [*found.answers, *others][:_MOST_AGAIN]
    with replaying(config, page=None, capsules=(), directories=(), note=_note) as (replayer, _):
        for number, answer in enumerate(answers):
            signed = ledger.signed_report(answer.file.sha256, answer.file.filename)
            report = of_our_own(signed.report) if signed is not None else None
            if report is not None:
                _note(f"running {answer.file.filename} again")
                done = replayer.replay(report)
                answers[number] = answer.replace(again=Again(outcome=done.outcome, sentence=done.sentence))
    return found.replace(answers=tuple(answers), proposals=(*found.proposals, *contradicted(answers)))


def _unanswered(file: Touched) -> Answer:
    from rebuilder.model.incident import Answer
    from rebuilder.model.verdict import Verdict

    known = "yes" if file.verdict.confirms else "no" if file.verdict is Verdict.DIFFERS else "not known"
    return Answer.model_validate({"file": file, "from_source": known, "sentence": file.verdict.spoken})


def _recheck(ledger: Ledger, investigator: Investigator, found: Incident, now: datetime) -> None:
    from rebuilder.model.fleet import RunnerState
    from rebuilder.model.incident import What

    for each in found.suspects:
        runner = ledger.runners.get(each.digest) if each.what is What.RUNNER else None
        if runner is not None and runner.state is RunnerState.ACTIVE:
            raise UsageError(
                f"The runner {runner.name} is active, and could be asked again.",
                hint=f"First `rebuilder runners revoke {runner.name}`.",
            )
    orders = investigator.orders(found)
    ledger.queue.add(orders, now)
    _note(f"{len(orders)} files are in the queue.")


def _publish(config: Config, found: Incident) -> None:
    from rebuilder.incident import incident_statement
    from rebuilder.wiring import publishing

    if not found.suspects:
        raise UsageError("Nothing is known about it here, so there is nothing to sign.")
    with publishing(config) as signer:
        purls = sorted({each.file.purl for each in found.answers})
        path = signer.publish_incident(incident_statement(found, signer.builder), purls)
    _note(f"It is signed and logged; the page is {config.site_directory / str(path)}")


def _lines(found: Incident) -> Iterator[str]:
    if not found.suspects:
        yield "Nothing here has to do with it."
    for suspect in found.suspects:
        yield f"{suspect.what.value}: {_called(suspect)}"
    for answer in found.answers:
        words = {"yes": "it is what its source gives", "no": "it is NOT what its source gives"}
        yield f"  {answer.file.filename}: {words.get(answer.from_source, 'whether its source gives it is not known')}"
        yield f"    {answer.sentence}"
        if answer.again is not None:
            yield f"    run again: {answer.again.outcome.value}. {answer.again.sentence}"
    for shared in found.shared:
        yield f"{shared.what.value} {shared.name}: {shared.total} {'file' if shared.total == 1 else 'files'}"
        yield from _listed(shared.files, shared.total)
    if found.proposals:
        yield "What may be done; none of it was:"
    for proposal in found.proposals:
        yield f"  {proposal.command}"
        yield f"    {proposal.reason}"


def _listed(files: Sequence[Touched], total: int) -> Iterator[str]:
    for file in files[:_SHOWN]:
        yield f"  {file.verdict.value:<14} {file.purl} {file.filename}"
    if files and total > len(files[:_SHOWN]):
        yield f"  and {total - len(files[:_SHOWN])} more"


def _called(suspect: Named) -> str:
    return suspect.digest if suspect.name == suspect.digest else f"{suspect.name} ({suspect.digest})"


def _code(found: Incident) -> int:
    from rebuilder.model.replay import ReplayOutcome

    said = {each.from_source for each in found.answers}
    if "no" in said or any(each.again and each.again.outcome is ReplayOutcome.DIFFERS for each in found.answers):
        return ExitCode.DIFFERS
    return ExitCode.UNDECIDED if not found.suspects or "not known" in said else ExitCode.OK


def _note(what: str) -> None:
    print(visible(what, 300), file=sys.stderr, flush=True)  # noqa: T201
