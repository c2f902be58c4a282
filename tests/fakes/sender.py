"""Somebody to tell about alarms: takes messages, refuses them, or hangs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from rebuilder.errors import UnavailableError
from rebuilder.model.alarm import Message
from rebuilder.model.settings import Target


@dataclass
class FakeSender:
    """Implements :class:`rebuilder.alarms.delivery.Sender`."""

    taken: list[tuple[str, Message]] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)
    """Targets that answer with an error."""
    broken: set[str] = field(default_factory=set)
    """Targets over which the library itself fails."""
    hanging: set[str] = field(default_factory=set)
    """Targets that answer only once :attr:`released` is set."""
    released: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def send(self, name: str, target: Target, message: Message) -> None:
        """Take a message, or do not."""
        self.asked.append(name)
        if name in self.hanging:
            self.released.wait(60)
        if name in self.refusing:
            raise UnavailableError(f"The webhook of the target {name} answered 500.")
        if name in self.broken:
            raise ValueError(target.webhook)
        self.taken.append((name, message))
