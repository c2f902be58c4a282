"""What strangers may see of what only operators should: no paths, hosts, processes, watches or database addresses."""

from __future__ import annotations

from collections.abc import Iterable

from rebuilder.model.alarm import Alarm, RecordedAlarm
from rebuilder.model.operations import Operations, QueueEntry, QueueState, WatchState

SOMEBODY = "a worker"
"""In place of a machine and a process."""
_SENTENCE = "The operator of this service has the details."


def public_alarm(alarm: Alarm) -> Alarm:
    """An alarm about what was published as it is; of the others, the kind and the file."""
    if not alarm.kind.for_operators:
        return alarm
    about = {"purl": "", "filename": ""} if alarm.kind.about_us else {}
    return alarm.replace(sentence=_SENTENCE, cause=alarm.kind.value, **about)


def public_alarms(alarms: Iterable[RecordedAlarm]) -> list[RecordedAlarm]:
    """The same of recorded ones; who acknowledged them and what was written is the operator's, too."""
    hidden = {"acknowledged_by": None, "note": None}
    return [each.replace(alarm=public_alarm(each.alarm), **hidden) for each in alarms]


def public_entry(entry: QueueEntry) -> QueueEntry:
    """A task without its worker's machine and process, and without its watch."""
    return entry.replace(owner=SOMEBODY if entry.owner else None, watch=None)


def public_queue(queue: QueueState) -> QueueState:
    """The queue, with such tasks."""
    return queue.replace(
        running=tuple(map(public_entry, queue.running)), upcoming=tuple(map(public_entry, queue.upcoming)), by_watch={}
    )


def public_operations(operations: Operations) -> Operations:
    """What the service does, with such a queue; watches have numbers in place of names."""
    watches = tuple(_watch(number, each) for number, each in enumerate(operations.watches, 1))
    return operations.replace(queue=public_queue(operations.queue), watches=watches)


def _watch(number: int, watch: WatchState) -> WatchState:
    return watch.replace(name=f"watch {number}", trouble=_SENTENCE if watch.trouble else None)
