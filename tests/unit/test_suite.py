"""What holds for every test here: connections stay on this machine, and marks say what a test needs."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.request
from collections.abc import Callable
from typing import cast

import httpx
import pytest
from pytest_socket import SocketConnectBlockedError

from tests import conftest

ELSEWHERE = ("192.0.2.1", 443)
"""An address that is nobody's (RFC 5737)."""


def by_socket() -> None:
    """As it comes with Python."""
    socket.create_connection(ELSEWHERE, timeout=5)


def by_httpx() -> None:
    """As our own requests go."""
    httpx.get(f"http://{ELSEWHERE[0]}/", trust_env=False, timeout=5)


def by_urllib() -> None:
    """As a library may ask."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(f"http://{ELSEWHERE[0]}/", timeout=5)


def by_asyncio() -> None:
    """Without blocking."""
    asyncio.run(asyncio.wait_for(asyncio.open_connection(*ELSEWHERE), 5))


@pytest.fixture(scope="module")
def of_a_fixture() -> BaseException | None:
    """What a fixture of a whole module gets that asks for a connection."""
    return outcome(by_socket)


def outcome(attempt: Callable[[], None]) -> BaseException | None:
    """What an attempt in another thread raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            attempt()
        except BaseException as error:  # noqa: BLE001 - handed over
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return raised[0] if raised else None


@pytest.mark.parametrize("attempt", [by_socket, by_httpx, by_urllib, by_asyncio])
def test_no_connection_leaves_this_machine(attempt: Callable[[], None]) -> None:
    """Here and in other threads, through any library."""
    with pytest.raises(SocketConnectBlockedError):
        attempt()
    assert isinstance(outcome(attempt), SocketConnectBlockedError)


def test_nor_one_of_a_fixture(of_a_fixture: BaseException | None) -> None:
    """What a module shares is made under the same rule."""
    assert isinstance(of_a_fixture, SocketConnectBlockedError)


def test_connections_to_this_machine_are_made() -> None:
    """By name of the address, in both families."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


class Item:
    """A test with its fixtures."""

    def __init__(self, *names: str) -> None:
        self.fixturenames, self.marks = names, set[str]()

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        """Keep a mark."""
        self.marks.add(mark.name)


def test_a_fixture_marks_what_uses_it() -> None:
    """A test that asks for the server or the browser can be left out by its mark; others are not marked."""
    items = [Item("tmp_path", "browser"), Item("postgres"), Item("tmp_path")]
    conftest.pytest_collection_modifyitems(cast("list[pytest.Item]", items))
    assert [{"needs_browser"}, {"needs_postgres"}, set()] == [each.marks for each in items]
