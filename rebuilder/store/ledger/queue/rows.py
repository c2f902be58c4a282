"""Rows of the queue: orders and tasks as columns, and back; what two orders for one file come to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, RowMapping, or_

from rebuilder.errors import StoreError
from rebuilder.model.definition import Limits
from rebuilder.model.work import Check, Order, Reason, Task, Tier
from rebuilder.store.ledger import tables

_TIERS = (Tier.QUICK, Tier.SOURCE, Tier.FULL)
_CHECKS = (Check.INPUTS, Check.VERIFY, Check.ENVIRONMENT)
"""From the least thorough to the most: ``inputs`` tries only what confirmed the file before."""

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
    return order_columns(order) | {"sha256": order.sha256, "limits": limits, "priority": order.priority}


def order_of(row: RowMapping) -> Order:
    """The order of a task's row.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        reason = Reason(row["reason"])
        return Order(
            **{key: row[key] for key in ("ecosystem", "purl", "name", "version", "filename", "sha256", "watch")},
            reason=reason,
            tier=Tier(row["tier"]),
            check=Check(row["check"]),
            nudge=row["priority"] - reason.priority,
            limits=None if row["limits"] is None else Limits.model_validate_json(row["limits"]),
        )
    except (ValidationError, ValueError):
        raise StoreError(
            f"The task {row['id']} in the ledger cannot be read: it is damaged, or another version of rebuilder wrote "
            "it.",
            hint="Use that version, or restore a copy of the ledger.",
        ) from None


def task_of(row: RowMapping) -> Task:
    """A task as a worker gets it.

    Raises:
        StoreError: it cannot be read.
    """
    return Task(
        id=row["id"],
        order=order_of(row),
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
        sha256=new.sha256 or old.sha256,
    )


def retried(order: Order) -> Order:
    """The order once it has been tried: it waits behind what was not tried yet, and is never sooner than before."""
    later = order.reason.priority < Reason.RETRY.priority
    return order.replace(reason=Reason.RETRY) if later else order
