"""Whether an answer counts. Nothing is read from anywhere here and nothing is believed: these are its rules.

1. It is small, and an envelope that the key of the runner signed under whose name it lies; that runner is active.
2. It names the order that is open (by its nonce), the definition that was asked for, and the runner itself.
3. A runner that was not asked may not answer an order that is for another one.
4. The run is one that a sandbox can give: its end, its exit code and its limit fit each other, its outputs have plain
   names, each once, and with its log they keep to the limits of the definition.
5. Its bytes have the digests that it names; whoever fetches them makes sure of that.
"""

from __future__ import annotations

import math
import re

from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, Limits
from rebuilder.model.fleet import Answer, EnrolledRunner, RunnerState, RunOrder
from rebuilder.signing.runner_key import UnreadableAnswerError, signed_answer

MOST_BYTES = 1 << 20
"""Of an envelope."""
_MOST_OUTPUTS = 1000
_REMARKS_BYTES = 64 << 10
"""What a log may have beside what the build wrote."""
_PATIENCE_SECONDS = 120.0
"""What a run may take beside the limits of its definition."""
_NAME = re.compile(r"[^\x00-\x1f\x7f/]{1,255}")
_VERSION = re.compile(r"[ -~]{1,200}")


class RefusedAnswerError(Exception):
    """Why an answer does not count, as the end of a sentence: "The answer of the runner x was refused: …"."""

    def __init__(self, reason: str, *, proven: bool = False) -> None:
        super().__init__(reason)
        self.proven = proven
        """Whether the runner's own signature, over the nonce of this order, shows that it was the runner's doing."""


def check(
    envelope: bytes | None, order: RunOrder, definition: BuildDefinition, runner: EnrolledRunner | None
) -> Answer:
    """The answer that counts for an order, as long as its bytes are what it says.

    Args:
        envelope: As it was read; None where more than :data:`MOST_BYTES` came.
        order: The one that is open.
        definition: What it asks for.
        runner: Under whose name the answer lies; None where nobody of that name was ever enrolled.

    Raises:
        RefusedAnswerError: it does not count.
    """
    if runner is None:
        raise RefusedAnswerError("nobody of that id is enrolled")
    if runner.state is not RunnerState.ACTIVE:
        raise RefusedAnswerError(f"the runner is {runner.state.value}")
    if envelope is None or len(envelope) > MOST_BYTES:
        raise RefusedAnswerError(f"it is larger than {MOST_BYTES:,} bytes")
    if order.asked_of not in {None, runner.id}:
        raise RefusedAnswerError("another runner was asked")
    try:
        answer = signed_answer(envelope, runner.public_key.encode())
    except (ValueError, UnreadableAnswerError) as error:
        raise RefusedAnswerError(str(error).rstrip(".")) from None
    if answer.nonce != order.nonce:
        raise RefusedAnswerError("it answers another order, perhaps one of before")
    if answer.runner != runner.id:
        raise RefusedAnswerError("it was signed for another runner", proven=True)
    if answer.definition != definition.digest:
        raise RefusedAnswerError("it is about another definition", proven=True)
    problem = _problem(answer.run, answer.log_bytes, definition.limits) if answer.run is not None else None
    if problem is not None:
        raise RefusedAnswerError(problem, proven=True)
    return answer


def _problem(run: Run, log_bytes: int, limits: Limits) -> str | None:
    """What no sandbox of ours gives; None when all is as it can be."""
    names, sizes = [each.filename for each in run.outputs], [each.size for each in run.outputs]
    figures = (run.wall_seconds, run.cpu_seconds, run.peak_memory_bytes, *sizes)
    too_large = sum(sizes) > limits.output_bytes or max(sizes, default=0) > limits.file_bytes
    wrong = {
        "one of its figures is none": not all(math.isfinite(each) and each >= 0 for each in figures),
        "it has too many outputs, or two of one name": len(names) > _MOST_OUTPUTS or len(set(names)) < len(names),
        "an output has a name that no file has": not all(map(_is_name, names)),
        "its outputs are larger than the definition allows": too_large,
        "its log is larger than the definition allows": log_bytes > limits.log_bytes + _REMARKS_BYTES,
        "it took longer than the definition allows": run.wall_seconds > limits.wall_seconds + _PATIENCE_SECONDS,
        "its sandbox has a version that is none": not _VERSION.fullmatch(run.sandbox_version),
        "its end, its exit code, its limit and its outputs do not fit each other": not _ended_somehow(run),
    }
    return next((reason for reason, is_so in wrong.items() if is_so), None)


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text not in {".", ".."}


def _ended_somehow(run: Run) -> bool:
    if run.outcome is Outcome.TIMED_OUT:
        return run.limit is not None and run.exit_code is None and not run.outputs
    completed = run.exit_code == 0
    return run.limit is None and (run.outcome is Outcome.COMPLETED) == completed
