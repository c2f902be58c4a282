"""The resident process: it has the program loaded, and forks for each ``rebuilder verify`` of its user.

It reads no settings, no store and no key; what it keeps from one command to the next is which build environments were
read from end to end, as a service's worker does. It ends when nobody asked for ten minutes, when it is a day
old, and when the files of the program change. See :mod:`rebuilder.cli.entry` for the other side.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import rebuilder.programs
from rebuilder.cli.entry import NUMBER, circumstances, is_same_user, lock_file
from rebuilder.errors import ExitCode

_IDLE_SECONDS = 600.0
_LONGEST_SECONDS = 24 * 3600.0
_REQUEST_SECONDS = 10.0
_MOST_BYTES = 16 << 20
"""Of a request; the kernel gives a program less room for its arguments and its environment."""
_NOTE_BYTES = select.PIPE_BUF
"""What is written in one piece, whoever else writes."""
_F_SETSIG = 10
"""``fcntl.F_SETSIG`` of Linux, which Python does not name."""
_PASSED_OVER = ("rebuilder.programs", "rebuilder.service", "rebuilder.doctor", "rebuilder.store.ledger.migrations")
"""Packages that a verification does not load."""
_LOADED_LATE = (
    "_strptime",
    "encodings.idna",
    "httpx",
    "jinja2.ext",
    "pip._internal.models.index",
    "pyseccomp",
    "rich.live",
    "tenacity",
    "uv",
)
"""What is loaded where it is first used."""


def main(place: Path) -> None:
    """Load everything, then serve ``place`` until it is time to end."""
    gc.disable()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for each in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(each, signal.SIG_DFL)
    lock = lock_file(place).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # there is one
    os.chdir("/")
    load()
    gc.collect()
    gc.freeze()
    if place.name != circumstances() or threading.active_count() > 1:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        unfinished = place.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        listener.bind(str(unfinished))
        listener.listen()
        unfinished.replace(place)  # whoever finds it is answered
        try:
            serve(listener)
        finally:
            place.unlink(missing_ok=True)
            lock_file(place).unlink(missing_ok=True)


def load() -> None:
    """Import what a verification needs, and put together what follows from the program's files alone."""
    ours = (each.name for each in pkgutil.walk_packages(rebuilder.__path__, "rebuilder.", onerror=lambda _: None))
    for name in (*ours, *_LOADED_LATE):
        if not name.startswith(_PASSED_OVER):
            with contextlib.suppress(ImportError):  # of an extra that is not installed
                importlib.import_module(name)
    from rebuilder.cli.main import command
    from rebuilder.environments.catalog import catalog
    from rebuilder.programs.families import PROGRAMS
    from rebuilder.sandbox.program_runner import program_archive

    command()
    catalog()
    for family in PROGRAMS:
        program_archive(family)


def serve(listener: socket.socket) -> None:
    """Fork for every connection of this user; give what children note about environments to later ones."""
    from rebuilder.environments.from_settings import READ_WHOLE

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    notes, note = os.pipe()
    born = time.monotonic()
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    waiting.register(notes, select.POLLIN)
    while time.monotonic() - born < _LONGEST_SECONDS and (ready := waiting.poll(_IDLE_SECONDS * 1000)):
        if any(descriptor == notes for descriptor, _ in ready):
            for line in os.read(notes, 16 * _NOTE_BYTES).splitlines():
                READ_WHOLE.update(json.loads(line))
        if any(descriptor == listener.fileno() for descriptor, _ in ready):
            connection, _ = listener.accept()
            with connection:
                if is_same_user(connection) and os.fork() == 0:
                    listener.close()
                    os.close(notes)
                    become(connection, note)


def become(connection: socket.socket, note: int) -> None:
    """Be the command that is asked for, in a process of its own; ends it.

    Args:
        connection: To whoever asks. Its end ends this process.
        note: Takes the build environments that were read.
    """
    code = int(ExitCode.OUR_FAULT)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        request = _take(connection)
        fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(connection, _F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)
        connection.sendall(struct.pack(NUMBER, os.getpid()))
        os.environ.clear()
        os.environ.update(request["environment"])
        os.umask(request["umask"])
        tempfile.tempdir = None
        sys.argv = request["words"]
        from rebuilder.cli.main import run
        from rebuilder.environments.from_settings import READ_WHOLE

        before = dict(READ_WHOLE)
        code = run()
        line = json.dumps({tree: mark for tree, mark in READ_WHOLE.items() if before.get(tree) != mark}).encode()
        with contextlib.suppress(OSError):  # it ended meanwhile
            os.write(note, line + b"\n" if len(line) < _NOTE_BYTES else b"")
        connection.sendall(struct.pack(NUMBER, code))
    except OSError:
        traceback.print_exc()
    finally:
        os._exit(code)


def _take(connection: socket.socket) -> Any:
    """Read a request; take on the standard streams and the directory that come with it."""
    connection.settimeout(_REQUEST_SECONDS)
    head, descriptors, _, _ = socket.recv_fds(connection, struct.calcsize(NUMBER), 4)
    [size] = struct.unpack(NUMBER, head)
    data = connection.recv(min(size, _MOST_BYTES), socket.MSG_WAITALL)
    connection.settimeout(None)
    *streams, directory = descriptors
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.fchdir(directory)
    os.close(directory)
    assert isinstance(sys.stdout, TextIOWrapper)  # noqa: S101 - it was opened by Python
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    return json.loads(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
