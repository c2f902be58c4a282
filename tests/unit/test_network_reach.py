"""Which addresses may be asked: only public ones, however they are written and whatever a name stands for."""

from __future__ import annotations

import ipaddress
import socket
import threading

import pytest

from rebuilder.errors import ForbiddenAddressError
from rebuilder.network import reach as module
from rebuilder.network.reach import Reach, is_public

INNER = [
    *("0.0.0.7", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.192", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:7f00:1", "64:ff9b::7f00:1"),
    *(
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2001:10::1",
        "2001:20::1",
        "2002:7f00:1::",
    ),
    *("2002:c0a8:101::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
    *("2600:1f18::5efe:7f00:1", "2600:1f18::200:5efe:a00:1"),
]
OUTER = [
    *("1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255"),
    *("2606:4700::1111", "2a00:1450:4001:80b::200e", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"),
]


@pytest.mark.parametrize("address", INNER)
def test_special_addresses_are_not_public(address: str) -> None:
    """Of every range, and in every form that stands for one of it."""
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(ForbiddenAddressError, match="was not asked"):
        Reach().check(("https", host.strip("[]"), 443))


@pytest.mark.parametrize("address", OUTER)
def test_public_addresses_may_be_asked(address: str) -> None:
    """Nothing of the public network is left out."""
    assert is_public(ipaddress.ip_address(address))
    Reach().check(("https", address, 443))


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "127.0.1",
        ),
        *("1.2.3.0x4", "a.1", "127.0.0.1.", "１２７.0.0.1", "1.1.1.1.", "0x", "[::1]", "fe80::1%eth0"),
    ],
)
def test_other_spellings_are_refused(host: str) -> None:
    """The system would read them as addresses; no name of a public server ends in a number."""
    if host == "1.1.1.1.":
        return Reach().check(("https", host, 443))
    with pytest.raises(ForbiddenAddressError):
        Reach().addresses(("https", host, 443), 5)
    return None


def test_what_was_named_may_be_anywhere() -> None:
    """The origin: the same host with another scheme or port is another server."""
    reach = Reach(["http://127.0.0.1:8000/simple", "https://LOCALHOST"])
    assert ["127.0.0.1"] == reach.addresses(("http", "127.0.0.1", 8000), 5)
    reach.check(("https", "localhost", 443))
    for other in (("https", "127.0.0.1", 8000), ("http", "127.0.0.1", 80), ("http", "localhost", 443)):
        with pytest.raises(ForbiddenAddressError):
            reach.check(other)


@pytest.mark.parametrize("found", [["127.0.0.1"], ["10.0.0.1", "::1"], ["::ffff:192.168.0.1"], ["fe80::1%lo"]])
def test_a_name_is_what_it_resolves_to(found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is called."""
    monkeypatch.setattr(module, "_resolved", lambda *_: found)
    with pytest.raises(ForbiddenAddressError):
        Reach().addresses(("https", "files.example.org", 443), 5)


def test_only_public_ones_of_its_addresses_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to one of these very addresses, so that the name is not asked about again."""
    monkeypatch.setattr(module, "_resolved", lambda *_: ["127.0.0.1", "1.1.1.1"])
    monkeypatch.setattr(module, "_ours", lambda _: False)
    assert ["1.1.1.1"] == Reach().addresses(("https", "files.example.org", 443), 5)


def test_nothing_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an open nor a closed port sees anything, and the sentence is the same but for the port."""
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("connected"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = []
        for port in (server.getsockname()[1], 9):
            with pytest.raises(ForbiddenAddressError) as refused:
                Reach().connect(("https", "127.0.0.1", port), 5)
            said.append(str(refused.value).replace(f":{port}", ""))
    assert said[0] == said[1]


def test_an_address_of_this_machine_is_inner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A public one too: what listens on all addresses is often meant for the machine itself."""
    monkeypatch.setattr(module, "is_public", lambda _: True)
    with pytest.raises(ForbiddenAddressError):
        Reach().addresses(("https", "127.0.0.1", 443), 5)


def test_the_hint_is_the_setting() -> None:
    """As it is to be written, IPv6 in brackets."""
    with pytest.raises(ForbiddenAddressError) as refused:
        Reach().check(("http", "::1", 8080))
    assert 'reachable = ["http://[::1]:8080"] in [network]' in str(refused.value.hint)


@pytest.mark.parametrize(
    "host", ["intranet", "files.local", "metadata.google.internal", "x.home.arpa", "10.0.0.1", "a.lan"]
)
def test_a_proxy_is_not_asked_for_inner_names(host: str) -> None:
    """It resolves names itself, so that only names can be judged."""
    proxied = Reach(environment={"https_proxy": "http://proxy.example.org:3128"})
    with pytest.raises(ForbiddenAddressError):
        proxied.check(("https", host, 443))
    proxied.check(("https", "files.example.org", 443))


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"ALL_PROXY": "p:1"}, "http://p:1"),
        ({"http_proxy": "http://p:1"}, None),
        ({"https_proxy": "http://p:1", "NO_PROXY": "*"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": "other, .example.org"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": "files.example.org:443"}, None),
        ({"https_proxy": "http://p:1", "no_proxy": "files.example.org:80,ample.org"}, "http://p:1"),
    ],
)
def test_proxies_are_those_of_the_environment(environment: dict[str, str], proxy: str | None) -> None:
    """As pip, curl and others read it."""
    assert proxy == Reach(environment=environment).proxy(("https", "files.example.org", 443))


def test_no_proxy_takes_networks() -> None:
    """For hosts that are written as addresses."""
    reach = Reach(environment={"https_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"})
    assert reach.proxy(("https", "10.1.2.3", 443)) is None
    assert "http://p:1" == reach.proxy(("https", "11.1.2.3", 443))


def test_a_resolver_is_not_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own takes as long as it likes."""
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [ended.wait(20)] * 0)
    with pytest.raises(TimeoutError):
        Reach().addresses(("https", "files.example.org", 443), 0.05)
    ended.set()


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.1", "203.0.113.80"])
def test_a_documentation_address_that_is_written_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that stands for one is asked: some closed networks reach the public one that way."""
    monkeypatch.setattr(module, "_ours", lambda _: False)
    monkeypatch.setattr(module, "_resolved", lambda *_: [address])
    with pytest.raises(ForbiddenAddressError):
        Reach().addresses(("https", address, 443), 5)
    assert [address] == Reach().addresses(("https", "files.example.org", 443), 5)
