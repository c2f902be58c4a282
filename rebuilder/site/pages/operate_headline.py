"""How things are, in one sentence for an operator."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from rebuilder.model.operations import Operations, QueueState
from rebuilder.model.verdict import Verdict
from rebuilder.site.display import count, moment, span

FAILED = frozenset({Verdict.BUILD_FAILED, Verdict.INPUTS_MISSING, Verdict.TIMED_OUT, Verdict.INFRA_ERROR})
"""Outcomes that decided nothing about a file that should be decidable."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Headline:
    """The sentence, and what else the page needs of it."""

    sentence: str
    queue: str
    """Its part about the queue, as a sentence of its own."""
    mostly_failed: bool
    """More than half of what ended lately has failed."""


def headline(operations: Operations) -> Headline:
    """Say it: what runs, what waits and for how long, and how it went lately."""
    queue = operations.queue
    running = len(queue.running)
    verb = "is" if running == 1 else "are"
    doing = f"{count(running, 'artifact', 'artifacts')} {verb} being rebuilt" if running else "Nothing is being rebuilt"
    waiting = _waiting(queue, operations)
    lately, ended, failed = _lately(operations)
    return Headline(
        sentence=f"{doing}, {waiting}; {lately}.",
        queue=f"{waiting[0].upper()}{waiting[1:]}.",
        mostly_failed=failed * 2 > ended,
    )


def _waiting(queue: QueueState, operations: Operations) -> str:
    parts = [f"{queue.waiting:,} {'waits' if queue.waiting == 1 else 'wait'}" if queue.waiting else "nothing waits"]
    if queue.delayed:
        parts.append(f"{queue.delayed:,} {'is' if queue.delayed == 1 else 'are'} to be tried again later")
    if queue.waiting and queue.oldest is not None:
        parts.append(f"the oldest has waited for {span(operations.now - queue.oldest)}")
    return "; ".join(parts)


def _lately(operations: Operations) -> tuple[str, int, int]:
    """How the last hour went, how many ended, and how many of them failed; of the whole hours that make it up."""
    if not any(each.verdicts for each in (*operations.hours, *operations.days)):
        return "nothing has ended yet" if not any(operations.current.values()) else "nothing ended in 30 days", 0, 0
    begun = operations.now - _HOUR
    recent = [each for each in operations.hours if each.start + _HOUR > begun]
    verdicts = Counter[Verdict]()
    for each in recent:
        verdicts.update(each.verdicts)
    start = min((each.start for each in recent), default=begun)
    when = "in the last hour" if start >= begun else f"since {moment(start).text[11:]}"
    ended, failed, ours = verdicts.total(), sum(verdicts[each] for each in FAILED), verdicts[Verdict.INFRA_ERROR]
    if not ended:
        return f"nothing ended {when}", 0, 0
    said = f"{failed:,} of {ended:,} failed {when}" if failed else f"nothing failed {when}, {ended:,} ended"
    if ours:
        said += f", {ours:,} of them on our side"
    if different := verdicts[Verdict.DIFFERS]:
        said += f", {different:,} {'differs' if different == 1 else 'differ'}"
    return said, ended, failed
