"""Celery with Redis or RabbitMQ: it carries a nonce and a digest to a runner, and nothing back.

What is taken from the broker is JSON, never pickle; a runner believes none of it either: it looks for the order in the
S3 store, and for the definition by its digest. No results are kept, no events are sent, and nobody can steer a runner
through the broker (Celery's remote control is off).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError

from rebuilder.errors import UnavailableError

TASK = "rebuilder.run"
_RANKS = 10
_STEPS = [0, 3, 6, 9]
"""Redis has a list for each; RabbitMQ a heap."""
LONGEST_SECONDS = 24 * 3600
"""What is unacknowledged for so long is delivered again; longer than any build, since the coordinator knows sooner."""


def make_app(address: str) -> Celery:
    """Celery as coordinators and runners have it."""
    app = Celery("rebuilder", broker=address, set_as_current=False)
    redis = address.startswith("redis")
    transport = {"visibility_timeout": LONGEST_SECONDS, "queue_order_strategy": "priority", "priority_steps": _STEPS}
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry_policy={"max_retries": 3, "interval_start": 0.2, "interval_step": 0.5, "interval_max": 2},
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=transport if redis else {},
    )
    return app


def queue(name: str, address: str) -> Queue:
    """A queue as all declare it; another declaration of the same name would be refused by RabbitMQ."""
    arguments = {"x-consumer-timeout": LONGEST_SECONDS * 1000, "x-max-priority": _RANKS - 1}
    return Queue(name, routing_key=name, queue_arguments=None if address.startswith("redis") else arguments)


class CeleryBroker:
    """Implements :class:`rebuilder.fleet.ordering.Broker`.

    Args:
        address: Of Redis or RabbitMQ.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._app = make_app(address)

    def send(self, queue_name: str, nonce: str, definition_sha256: str, rank: int) -> None:
        """Put an order into a queue.

        Raises:
            UnavailableError: the broker does not answer.
        """
        # For RabbitMQ the largest number goes first, for Redis as kombu has it the smallest.
        priority = rank if self._address.startswith("redis") else _RANKS - 1 - rank
        with _explained():
            self._app.send_task(
                TASK, args=[nonce, definition_sha256], queue=queue(queue_name, self._address), priority=priority
            )

    def waiting(self, queue_name: str) -> int:
        """How many orders of a queue no runner has taken yet.

        Raises:
            UnavailableError: the broker does not answer.
        """
        with _explained(), self._app.connection_for_write() as connection:
            channel: Any = connection.default_channel
            try:
                return int(channel.queue_declare(queue=queue_name, passive=True).message_count)
            except connection.channel_errors:  # there is no such queue
                return 0

    def close(self) -> None:
        """Give up the connections."""
        self._app.close()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (OperationalError, OSError) as error:
        raise UnavailableError(
            f"The broker of the fleet does not answer: {str(error).strip() or type(error).__name__}.",
            hint="Look whether Redis or RabbitMQ runs; what is due and done is in the ledger and is not lost.",
        ) from error
