"""Rows of the queue: orders and tasks as columns, and back."""

from __future__ import annotations

from typing import Any

from rebuilder.model.work import Order


def order_columns(order: Order) -> dict[str, Any]:
    """What a verification keeps of the order it was made for."""
    return {
        "reason": order.reason.value,
        "tier": order.tier.value,
        "check": order.check.value,
        "watch": order.watch,
    }
