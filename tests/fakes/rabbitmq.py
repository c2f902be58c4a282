"""A private RabbitMQ from Debian's package, on loopback, with all it knows in a temporary directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.fakes.s3_server import free_ports

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_TRIES = 240


class RabbitMQ:
    """A server that keeps what is durable; it starts in some fifteen seconds. As root it runs as ``nobody``."""

    def __init__(self) -> None:
        assert _PROGRAM.exists(), "RabbitMQ is not installed; run `apt-get install rabbitmq-server`."
        self.directory = Path(tempfile.mkdtemp(prefix="rebuilder-rabbitmq-"))
        self._as: tuple[str, ...] = ()
        if os.getuid() == 0:
            os.chown(self.directory, 65534, 65534)
            self._as = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        self.port, names, distribution = free_ports(3)
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
        }
        # Otherwise the first server starts one in the background that stays.
        self._names = self._started(shutil.which("epmd") or "epmd", "-port", str(names), "-address", "127.0.0.1")
        self.start()

    @property
    def url(self) -> str:
        """As Celery writes it."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._server = self._started(str(_PROGRAM))
        for _ in range(_TRIES):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            assert self._server.poll() is None, (self.directory / "said").read_text()
            time.sleep(0.25)
        raise AssertionError((self.directory / "said").read_text())

    def stop(self) -> None:
        """Kill it."""
        _kill(self._server)

    def close(self) -> None:
        """Stop it for good."""
        self.stop()
        _kill(self._names)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _started(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / "said").open("ab") as said:
            return subprocess.Popen(
                [*self._as, *command],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
