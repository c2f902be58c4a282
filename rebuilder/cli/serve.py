"""``rebuilder serve``: the service."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.errors import UsageError
from rebuilder.service.logs import configure
from rebuilder.service.preflight import preflight
from rebuilder.service.service import serve


def run_service(config: Config, *, json_logs: bool) -> None:
    """Run the service until SIGTERM or SIGINT; a second signal ends it at once.

    Raises:
        UsageError: the settings of alarms cannot be meant.
        RebuilderError: it cannot begin.
    """
    configure(json=json_logs, stream=sys.stderr)
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    for check in preflight(config, SystemClock()):
        if check.name == "alarms" and not check.ok:
            raise UsageError(check.message, hint=f"{check.fix}.")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    serve(config, stopping, json_logs=json_logs)
