"""Rows of the queue: orders as columns and back, what two orders for one file come to, turns, and how a task ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, delete, func, or_, select, update

from rebuilder.model.definition import Limits
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Check, Lease, Order, Reason, Task, Tier
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.rows import add_to, unreadable

_TIERS = (Tier.QUICK, Tier.SOURCE, Tier.FULL)
_CHECKS = (Check.REPLAY, Check.INPUTS, Check.VERIFY, Check.ENVIRONMENT)
"""From the least thorough to the most: ``replay`` says nothing, ``inputs`` tries what confirmed the file before."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

TASK = tables.task.c
ORDER = (TASK.priority, TASK.turn, TASK.id)
"""What goes first; the index ``task_next`` has the same columns, so that nothing is ever sorted."""


def order_columns(order: Order) -> dict[str, Any]:
    """What a task and a verification keep of an order alike."""
    return {
        "reason": order.reason.value,
        "tier": order.tier.value,
        "check": order.check.value,
        "watch": order.watch,
    }


def task_columns(order: Order) -> dict[str, Any]:
    """An order as columns of a task; its file, its turn and its times are not among them."""
    limits = order.limits.model_dump_json() if order.limits is not None else None
    same = {key: getattr(order, key) for key in ("sha256", "priority", "double_runs")}
    return order_columns(order) | same | {"limits": limits}


def _order_of(row: RowMapping) -> Order:
    """The order of a task's row."""
    try:
        reason = Reason(row["reason"])
        return Order(
            **{key: row[key] for key in ("ecosystem", "purl", "name", "version", "filename", "sha256", "watch")},
            reason=reason,
            tier=Tier(row["tier"]),
            check=Check(row["check"]),
            nudge=row["priority"] - reason.priority,
            limits=None if row["limits"] is None else Limits.model_validate_json(row["limits"]),
            double_runs=row["double_runs"],
        )
    except (ValidationError, ValueError):
        raise unreadable(f"The task {row['id']}") from None


def task_of(row: RowMapping) -> Task:
    """A task as a worker gets it.

    Raises:
        StoreError: it cannot be read.
    """
    return Task(
        id=row["id"],
        order=_order_of(row),
        created=row["created"],
        not_before=row["not_before"],
        tries=row["tries"],
    )


def leased(task: Any = tables.task) -> ColumnElement[bool]:
    """Condition for tasks that somebody holds, whether or not the time has run out; a range of an index."""
    held: ColumnElement[bool] = task.c.lease_until > _NEVER
    return held


def free(now: datetime) -> ColumnElement[bool]:
    """Condition for tasks that nobody holds, or not any more."""
    return or_(TASK.lease_until.is_(None), TASK.lease_until <= now)


def more_thorough(new: Order, old: Order) -> bool:
    """Whether work on ``old`` leaves something open that ``new`` asks for."""
    return _TIERS.index(new.tier) > _TIERS.index(old.tier) or _CHECKS.index(new.check) > _CHECKS.index(old.check)


def merged(old: Order, new: Order) -> Order:
    """What two orders for one file come to: as urgent and as thorough as the more urgent and the more thorough."""
    urgent = new.priority < old.priority
    limits = new.limits if urgent or more_thorough(new, old) else old.limits
    return (new if urgent else old).replace(
        tier=max(old.tier, new.tier, key=_TIERS.index),
        check=max(old.check, new.check, key=_CHECKS.index),
        limits=limits,
        double_runs=old.double_runs or new.double_runs,
        sha256=new.sha256 or old.sha256,
    )


def retried(order: Order) -> Order:
    """The order once it has been tried: it waits behind what was not tried yet, and is never sooner than before."""
    later = order.reason.priority < Reason.RETRY.priority
    return order.replace(reason=Reason.RETRY) if later else order


_File = tuple[str, str]
_AT_ONCE = 500
"""Releases that are looked up with one query."""


def add_orders(
    connection: Connection, orders: Sequence[Order], now: datetime, *, since: Mapping[_File, datetime] | None = None
) -> int:
    """Queue orders; one for a file that is queued already makes that task as urgent and thorough as itself.

    Args:
        connection: In a transaction that writes.
        orders: What is asked.
        now: When.
        since: For files (release and name) that were in the queue before: since when.

    Returns:
        The number of new tasks.
    """
    wanted: dict[_File, Order] = {}
    for order in orders:
        file = (order.purl, order.filename)
        wanted[file] = merged(wanted[file], order) if file in wanted else order
    queued = _queued(connection, sorted({purl for purl, _ in wanted}))
    turns = Turns(connection, now)
    for file, order in wanted.items():
        if file in queued:
            _raise(connection, queued[file], order, turns, now)
    rows = [_row(order, turns, now, since or {}) for file, order in wanted.items() if file not in queued]
    if rows:
        connection.execute(tables.task.insert(), rows)
        add_counts(connection, _counts(rows) + _unseen(connection, rows))
    return len(rows)


class Turns:
    """Places in the round among the watches of one priority.

    A watch's next order comes one turn after its last one, and one turn after whatever is next now: a watch that
    queues 10,000 files gets 10,000 turns, and another that queues three gets the next three of them too.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._last: dict[tuple[int, str | None], int] = {}

    def after(self, order: Order) -> int:
        """The turn of one more order."""
        key = (order.priority, order.watch)
        if key not in self._last:
            self._last[key] = max(self._scalar(self._last_of(order)), self._scalar(self._next_of(order)))
        self._last[key] += 1
        return self._last[key]

    def _last_of(self, order: Order) -> Any:
        watch = TASK.watch.is_(None) if order.watch is None else TASK.watch == order.watch  # else no index is used
        same = (TASK.priority == order.priority, watch)
        return select(func.max(TASK.turn)).where(*same)

    def _next_of(self, order: Order) -> Any:
        waiting = (TASK.ready, TASK.priority == order.priority, TASK.lease_owner.is_(None))
        return select(TASK.turn).where(*waiting).order_by(*ORDER).limit(1)

    def _scalar(self, query: Any) -> int:
        return int(self._connection.execute(query).scalar() or 0)


def _queued(connection: Connection, purls: Sequence[str]) -> dict[_File, RowMapping]:
    found: dict[_File, RowMapping] = {}
    for start in range(0, len(purls), _AT_ONCE):
        query = select(tables.task).where(TASK.purl.in_(purls[start : start + _AT_ONCE]))
        found |= {(row["purl"], row["filename"]): row for row in connection.execute(query).mappings()}
    return found


def _raise(connection: Connection, row: RowMapping, order: Order, turns: Turns, now: datetime) -> None:
    before = _order_of(row)
    after = merged(before, order)
    columns = task_columns(after)
    if after.priority != before.priority:
        columns["turn"] = turns.after(after)
    if order.reason is Reason.ASKED:  # somebody is waiting for it: it starts afresh, now
        columns |= {"not_before": min(row["not_before"], now), "tries": 0}
    if any(row[key] != value for key, value in columns.items()):
        change(connection, row, **columns)


def _row(order: Order, turns: Turns, now: datetime, since: Mapping[_File, datetime]) -> dict[str, Any]:
    same = {key: getattr(order, key) for key in ("ecosystem", "purl", "name", "version", "filename")}
    times = {"created": since.get((order.purl, order.filename), now), "not_before": now}
    return same | task_columns(order) | times | {"turn": turns.after(order), "tries": 0}


FREED = {"lease_owner": None, "lease_until": None}
"""Nobody holds the task."""
GIVEN_UP = "given-up"
"""Kind of a verification whose task was ended without a result; it is not ordered again by itself."""
_LONGEST_REST = 60
"""Seconds; see :func:`lost`."""


def running_verifications(row: RowMapping) -> Select[Any]:
    """Verifications that are going on of a task's file."""
    verification, artifact = tables.verification.c, tables.artifact.c
    return (
        select(verification.id)
        .join(tables.artifact, artifact.id == verification.artifact_id)
        .where(
            artifact.ecosystem == row["ecosystem"],
            artifact.purl == row["purl"],
            artifact.filename == row["filename"],
            verification.state == "running",
        )
    )


def change(connection: Connection, row: RowMapping, **columns: Any) -> None:
    """Set columns of one task; one that is to wait rests until somebody claims something in its time."""
    columns |= {"ready": False} if "not_before" in columns else {}
    connection.execute(update(tables.task).where(TASK.id == row["id"]).values(columns))
    before, after = _counts([dict(row)]), _counts([dict(row) | columns])
    if before != after:
        after.subtract(before)
        add_counts(connection, after)


def wake(connection: Connection, now: datetime) -> None:
    """Let tasks be ready whose time has come, no more than some at once: a claim takes no longer for it."""
    due = select(TASK.id, TASK.reason).where(~TASK.ready, TASK.not_before <= now)
    rows = connection.execute(due.order_by(TASK.not_before).limit(_AT_ONCE)).all()
    if rows:
        connection.execute(update(tables.task).where(TASK.id.in_([row.id for row in rows])).values(ready=True))
        add_counts(connection, Counter({("resting", each): -n for each, n in Counter(r.reason for r in rows).items()}))


def lost(connection: Connection, row: RowMapping, now: datetime) -> None:
    """Let a task wait whose worker went away: that is a try, and the next one comes later each time.

    What ends its worker whenever it is touched must not keep all workers from everything else.
    """
    rest = timedelta(seconds=min(_LONGEST_REST, 2 ** min(row["tries"], 10)))
    change(connection, row, tries=row["tries"] + 1, not_before=now + rest, **FREED)


def take_away_expired(connection: Connection, now: datetime) -> None:
    """Take tasks from owners that gave no sign of life for too long."""
    expired = select(tables.task).where(leased(), TASK.lease_until <= now)
    for row in connection.execute(expired).mappings().all():
        lost(connection, row, now)


def abandon(
    connection: Connection,
    number: int | None,
    now: datetime,
    sentence: str,
    *,
    ours: bool = False,
    kind: str | None = None,
) -> None:
    """End a verification without a result, unless it has one."""
    verification = tables.verification
    going = (verification.c.id == number, verification.c.state == "running")
    if number is not None:
        columns = _ending(now, sentence, ours=ours, kind=kind)
        connection.execute(update(verification).where(*going).values(columns))


def note_given_up(connection: Connection, row: RowMapping, now: datetime, sentence: str, *, ours: bool) -> None:
    """Keep that a file was given up before a verification was begun, if its bytes were ever seen."""
    artifact = tables.artifact.c
    same = (artifact[each] == row[each] for each in ("ecosystem", "purl", "filename"))
    newest = connection.execute(select(func.max(artifact.id)).where(*same)).scalar()
    if newest is not None:
        columns = _ending(now, sentence, ours=ours, kind=GIVEN_UP) | order_columns(_order_of(row))
        connection.execute(tables.verification.insert().values(columns | {"artifact_id": newest, "started": now}))


def has_ended_well(connection: Connection, number: int) -> bool:
    """Whether a verification has its result."""
    verification = tables.verification.c
    state = connection.execute(select(verification.state).where(verification.id == number)).scalar()
    return state in {"examined", "done"}


def _ending(now: datetime, sentence: str, *, ours: bool, kind: str | None) -> dict[str, Any]:
    return {
        "state": "abandoned",
        "finished": now,
        "verdict": Verdict.INFRA_ERROR.value if ours else None,
        "kind": kind,
        "sentence": sentence,
    }


def _asked_more(lease: Lease, row: RowMapping) -> bool:
    """Whether more was asked for while somebody was at it: a more thorough look, second runs, or other bytes."""
    queued, worked_on = _order_of(row), lease.task.order
    if queued.double_runs and not worked_on.double_runs:
        return True
    return more_thorough(queued, worked_on) or queued.sha256 != worked_on.sha256


def done(connection: Connection, lease: Lease, row: RowMapping, follow: Order | None, now: datetime) -> None:
    """Take a task out of the queue, unless more was asked for; put in what follows."""
    if _asked_more(lease, row):
        change(connection, row, tries=0, **FREED)
    else:
        connection.execute(delete(tables.task).where(TASK.id == row["id"]))
        gone = _counts([dict(row)]) + _unseen(connection, [dict(row)])
        add_counts(connection, {each: -number for each, number in gone.items()})
    if follow is not None:
        add_orders(connection, [follow], now, since={(row["purl"], row["filename"]): row["created"]})


def again(connection: Connection, lease: Lease, row: RowMapping, not_before: datetime, now: datetime) -> None:
    """Keep a task to be tried again then; at once if more was asked for meanwhile."""
    if _asked_more(lease, row):
        change(connection, row, tries=0, **FREED)
        return
    before = _order_of(row)
    order = retried(before)
    turn = row["turn"] if order.priority == before.priority else Turns(connection, now).after(order)
    columns = task_columns(order) | {"turn": turn, "tries": row["tries"] + 1, "not_before": not_before}
    change(connection, row, **columns, **FREED)


def _counts(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """Tasks by reason and by watch, and by reason those that rest; new ones do not."""
    found: Counter[tuple[str, str]] = Counter()
    for row in rows:
        found["reason", row["reason"]] += 1
        found["resting", row["reason"]] += not row.get("ready", True)
        if row["watch"] is not None:
            found["watch", row["watch"]] += 1
    return found


def _unseen(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """Tasks by ecosystem, of files of which no bytes were ever seen."""
    artifact, purls = tables.artifact.c, sorted({row["purl"] for row in rows})
    seen: set[tuple[str, ...]] = set()
    for start in range(0, len(purls), _AT_ONCE):
        some = artifact.purl.in_(purls[start : start + _AT_ONCE])
        # Each ecosystem by itself, since the index of names begins with it.
        for ecosystem in {row["ecosystem"] for row in rows}:
            query = select(artifact.ecosystem, artifact.purl, artifact.filename)
            seen.update(map(tuple, connection.execute(query.where(artifact.ecosystem == ecosystem, some))))
    file = ("ecosystem", "purl", "filename")
    return Counter(("unseen", row["ecosystem"]) for row in rows if tuple(row[each] for each in file) not in seen)


def add_counts(connection: Connection, counted: Mapping[tuple[str, str], int]) -> None:
    """Add to how many tasks there are, by kind and name (see the table)."""
    keys = ((("kind", kind), ("name", name), ("number", number)) for (kind, name), number in sorted(counted.items()))
    add_to(connection, tables.task_count, "number", [dict(each) for each in keys])


def add_tallies(connection: Connection, counted: Mapping[tuple[str, str], int]) -> None:
    """Add to what was counted before, by name and label."""
    rows = [{"name": name, "label": label, "value": value} for (name, label), value in counted.items()]
    add_to(connection, tables.tally, "value", rows)
