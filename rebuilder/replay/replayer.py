"""Runs a published report again: the build, then the writing of recorded values; the only question is the digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.environments.protocol import Environments
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, Input
from rebuilder.model.replay import ReplayOutcome
from rebuilder.model.value import Sha256, Value
from rebuilder.model.verdict import Verdict
from rebuilder.replay.inputs import Inputs, Missing
from rebuilder.replay.published import PublishedReport
from rebuilder.sandbox.protocol import Runner
from rebuilder.store.protocol import Blobs


class Replay(Value):
    """One report that was run again."""

    purl: str
    filename: str
    """Of the published file."""
    verdict: str
    definition: Sha256
    outcome: ReplayOutcome
    sentence: str
    expected: Sha256
    """What has to come out last."""
    found: Sha256 | None = None
    """What came out where it was to; None: nothing did."""
    missing: tuple[Missing, ...] = ()
    log: Sha256 | None = None
    """Blob with the log of a run that did not complete."""


@dataclass(frozen=True)
class Replayer:
    """Runs reports again.

    Args:
        inputs: Bring what builds read.
        bring: Brings a build environment to this machine by digest and name, or says why it cannot be had.
        runner: Gives what runs definitions, for a report.
        note: Told what takes long.
    """

    inputs: Inputs
    bring: Callable[[Sha256, str], Missing | None]
    runner: Callable[[PublishedReport], Runner]
    note: Callable[[str], None] = lambda _: None

    def gather(self, report: PublishedReport) -> tuple[Missing, ...]:
        """Bring everything a report needs to this machine; give what cannot be had.

        Raises:
            StoreError: the store cannot be written.
            UsageError: a capsule was changed.
        """
        lacking = [self.bring(tree, name) for tree, name in report.environments.items()]
        return (*(each for each in lacking if each is not None), *self.inputs.bring(needed_inputs(report)))

    def replay(self, report: PublishedReport) -> Replay:
        """Run a report again and compare what comes out with what it says.

        Raises:
            SandboxUnavailableError, SandboxFaultError, StoreError, BuildEnvironmentError: something on our side failed.
            UsageError: a capsule was changed, or the definition cannot be run as it is written.
        """
        if missing := self.gather(report):
            first = missing[0]
            more = f" {len(missing) - 1} more cannot be had either." if len(missing) > 1 else ""
            words = f"{first.what} ({first.sha256}) cannot be had: {first.reason}{more}"
            return _result(report, ReplayOutcome.NOT_REPLAYED, words, missing=missing)
        run = self.runner(report)
        self.note("building")
        built = run(report.definition)
        if built.outcome is not Outcome.COMPLETED:
            return _not_completed(report, "build", built)
        found = next((each.sha256 for each in built.outputs if each.filename == report.product), None)
        if found is None or (report.finishing is None and found != report.rebuilt):
            return _other(report, f"the build gives {found or 'no such file'}, and gave {report.rebuilt}", found)
        if report.finishing is not None:
            self.note("writing the recorded values")
            written = run(_into(report.finishing, report.rebuilt, found))
            if written.outcome is not Outcome.COMPLETED and found == report.rebuilt:
                return _not_completed(report, "run that writes the recorded values", written)
            finished = written.outputs[0].sha256 if len(written.outputs) == 1 else None
            if finished != report.finished:
                words = f"the build gives {found}, and gave {report.rebuilt}; with the recorded values written it is "
                return _other(report, f"{words}{finished or 'nothing'}, and was {report.finished}", finished)
        same = "which is the published file" if report.wanted == report.published else _then(report)
        return _result(report, ReplayOutcome.AGREES, f"It came out as {report.wanted} again, {same}.", report.wanted)


def needed_inputs(report: PublishedReport) -> tuple[Input, ...]:
    """What the runs of a report read, each once; what the first of them makes is not among them."""
    every = (each for definition in report.definitions for each in definition.inputs)
    return tuple({each.sha256: each for each in every if each.sha256 != report.rebuilt}.values())


def _into(finishing: BuildDefinition, rebuilt: Sha256, found: Sha256) -> BuildDefinition:
    """The same run on what the build gives now: where its clock is in the archive, that is another file each time."""
    inputs = (each.replace(sha256=found) if each.sha256 == rebuilt else each for each in finishing.inputs)
    return finishing.replace(inputs=tuple(inputs))


def _then(report: PublishedReport) -> str:
    """What the report says of bytes that are not the published ones."""
    said = {
        Verdict.EQUIVALENT.value: "equivalent to the published file",
        Verdict.DIFFERS.value: "not the published file",
    }
    return f"as the report says: {said.get(report.verdict, report.verdict)}"


def _not_completed(report: PublishedReport, what: str, run: Run) -> Replay:
    limit = f" ({run.limit.value})" if run.limit is not None else ""
    words = f"The {what} did not complete here: {run.outcome.value}{limit}, exit code {run.exit_code}."
    return _result(report, ReplayOutcome.NOT_REPLAYED, words).replace(log=run.log_sha256)


def _other(report: PublishedReport, words: str, found: Sha256 | None) -> Replay:
    if report.unsteady:
        said = f"This build gives other bytes each time, as the report shows, so they tell nothing: {words}."
        return _result(report, ReplayOutcome.VARIES, said, found)
    return _result(report, ReplayOutcome.DIFFERS, f"It does not come out as it did: {words}.", found)


def _result(
    report: PublishedReport,
    outcome: ReplayOutcome,
    sentence: str,
    found: Sha256 | None = None,
    missing: tuple[Missing, ...] = (),
) -> Replay:
    return Replay(
        purl=report.purl,
        filename=report.filename,
        verdict=report.verdict,
        definition=report.definition.digest,
        outcome=outcome,
        sentence=sentence,
        expected=report.wanted,
        found=found,
        missing=missing,
    )


def kept_replayer(blobs: Blobs, environments: Environments, run: Runner) -> Replayer:
    """What runs reports of our own again, with what is kept for them here and nothing else."""

    def bring(tree: Sha256, name: str) -> Missing | None:
        try:
            environments.by_digest(tree)
        except CorruptEnvironmentError:
            raise
        except BuildEnvironmentError as error:
            return Missing(what=f"the build environment {name}", sha256=tree, reason=str(error))
        return None

    return Replayer(Inputs(blobs, ()), bring, lambda _: run)
