"""The service without workers of its own: all its loops and its HTTP server; prints reports signed, seconds, kilobytes.

``python -m tests.soak.idle_service DIRECTORY``; it ends when its standard input does.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.service.api.app import make_app
from rebuilder.service.api.server import HttpServer
from rebuilder.service.service import Service
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.wiring import wire_signer
from tests.fakes.idle import IdleEcosystem, idle_parts
from tests.soak.idle_worker import resident_kilobytes, tell

_EVERY_SECONDS = 2


def main() -> None:
    """Sign, write pages and the operations page, judge alarms, answer requests."""
    root = Path(sys.argv[1])
    config = Config(store=root / "store", keys=root / "keys", site=root / "site", schedules=root / "schedules")
    ended = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    with Ledger.open(config.ledger_place) as ledger:
        parts = idle_parts(ledger, DiskBlobs(config.store / "blobs"), SystemClock(), IdleEcosystem())
        service = Service(config, parts, wire_signer(config, parts), json_logs=False)
        server = HttpServer(make_app(service._api_context()), "127.0.0.1:0")
        address = server.start()
        for loop in service._all_loops():
            service._loops.start(loop)
        began = time.monotonic()
        while not ended.wait(_EVERY_SECONDS):
            for path in ("/metrics", "/api/v1/queue"):
                with urlopen(f"http://{address}{path}", timeout=60) as answer:
                    answer.read()
            signed = len(ledger.latest())
            tell(signed, time.monotonic() - began, resident_kilobytes(), time.process_time())
        service._loops.stop(60)
        server.stop(5)


if __name__ == "__main__":
    main()
