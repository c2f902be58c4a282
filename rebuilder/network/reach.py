"""Which servers may be connected to: whoever publishes something must not make us look round in our own network.

What a publisher or an index wrote leads to public addresses only. Origins (scheme, host and port) that the user named,
such as the index itself, may be anywhere. A name is judged by what it resolves to, and the connection goes to the very
address that was judged, so that a name cannot mean something else a moment later.
"""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import re
import socket
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, urlsplit

from rebuilder.errors import ForbiddenAddressError
from rebuilder.model.text import clipped

Origin = tuple[str, str, int]
"""Scheme, host and port."""
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS = {"http": 80, "https": 443}
_SPECIAL = [
    ipaddress.ip_network(each)
    for each in (
        # https://www.iana.org/assignments/iana-ipv4-special-registry: what is not for the public network, but for the
        # networks for documentation (RFC 5737): no host of anybody is there, and resolvers of closed networks give them
        # to the relay that stands for the public network.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # the host of a virtual machine, in one cloud
        # https://www.iana.org/assignments/iana-ipv6-special-registry, of 2000::/3
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
]
_DOCUMENTATION = [ipaddress.ip_network(each) for each in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
"""Asked where a name stands for them, see above; nobody has a reason to write one of them."""
_NOWHERE = ipaddress.IPv4Address(0)
_GLOBAL6 = ipaddress.ip_network("2000::/3")
_EMBEDDING = [
    (ipaddress.ip_network("::ffff:0:0/96"), 0),  # IPv4-mapped: the system connects to the IPv4 address
    (ipaddress.ip_network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.ip_network("2002::/16"), 80),  # 6to4
]
"""Networks whose addresses stand for an IPv4 address, and how many bits are behind it."""
_ISATAP = (0x00005EFE, 0x02005EFE)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_INNER_ENDINGS = ("local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa", "localdomain")
"""Names that no public server has; only asked about where a proxy resolves names, and we cannot see the address."""
_HINT = 'If that is meant, name its origin in the settings: reachable = ["{}"] in [network].'


class Reach:
    """Which origins may be asked.

    Args:
        named: Addresses of servers that the user named; only their origins count.
        environment: Where proxies are looked for.
    """

    def __init__(self, named: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self._named: set[Origin] = set()
        self._environment = {} if environment is None else environment
        for each in named:
            self.admit(each)

    def admit(self, url: str) -> None:
        """The user named this address: its origin may be anywhere."""
        self._named.add(origin_of(urlsplit(url)))

    def admits(self, origin: Origin) -> bool:
        """Whether the user named it."""
        return origin in self._named

    def proxy(self, origin: Origin) -> str | None:
        """The proxy that requests to an origin go through, from the environment; None for none."""
        found = next((value for name in (f"{origin[0]}_proxy", "all_proxy") if (value := self._variable(name))), None)
        if found is None or _bypasses(self._variable("no_proxy") or "", origin):
            return None
        return found if "://" in found else f"http://{found}"

    def _variable(self, name: str) -> str | None:
        return self._environment.get(name) or self._environment.get(name.upper()) or None

    def check(self, origin: Origin) -> None:
        """Refuse what can be refused without asking anybody what a name stands for.

        Raises:
            ForbiddenAddressError: it is, or is called like, something that is not public.
        """
        if self.admits(origin):
            return
        host = unicodedata.normalize("NFKC", origin[1]).lower().rstrip(".")
        address = literal(host)
        if address is not None:
            written = any(address in network for network in _DOCUMENTATION if network.version == address.version)
            if written or not is_public(address):
                raise forbidden(origin)
            return
        number = _NUMBER.fullmatch(host.rpartition(".")[2])  # which the system reads as an address in another base
        proxied = self.proxy(origin) is not None
        endings = tuple(f".{each}" for each in ("localhost", *(_INNER_ENDINGS if proxied else ())))
        if number or f".{host}".endswith(endings) or (proxied and "." not in host):
            raise forbidden(origin)

    def addresses(self, origin: Origin, seconds: float | None) -> list[str]:
        """What to connect to: the addresses of a host that may be asked, as numbers.

        Raises:
            ForbiddenAddressError: it has none that may.
            OSError: nobody knows the name, or nobody says so in time.
        """
        self.check(origin)
        found = _resolved(origin[1], origin[2], seconds)
        if self.admits(origin):
            return found
        allowed = [each for each in found if (is_public(literal(each) or _NOWHERE)) and not _ours(each)]
        if not allowed:
            raise forbidden(origin)
        return allowed

    def connect(self, origin: Origin, seconds: float) -> socket.socket:
        """A connection to an origin.

        Raises:
            ForbiddenAddressError, OSError: see :meth:`addresses`; or no address of it answers.
        """
        problem: OSError | None = None
        for address in self.addresses(origin, seconds):
            try:
                return socket.create_connection((address, origin[2]), timeout=seconds)
            except OSError as error:
                problem = error
        raise problem or OSError("it has no address")


def origin_of(parts: SplitResult) -> Origin:
    """The origin of a web address that has been split.

    Raises:
        ValueError: it has a port that is none.
    """
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(scheme, 0)


def literal(host: str) -> _Address | None:
    """The address a host is written as, in the usual form; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def is_public(address: _Address) -> bool:
    """Whether an address belongs to the public network, and so does every IPv4 address that it stands for."""
    if isinstance(address, ipaddress.IPv6Address):
        for network, behind in _EMBEDDING:
            if address in network:
                return is_public(ipaddress.IPv4Address((int(address) >> behind) & 0xFFFFFFFF))
        if address not in _GLOBAL6 or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return False
    return not any(address in network for network in _SPECIAL if network.version == address.version)


def forbidden(origin: Origin) -> ForbiddenAddressError:
    """What to say: the same whether anything answers there or not, since nobody asked."""
    scheme, host, port = origin
    place = f"[{host}]" if ":" in host else host
    place = clipped(place)
    shown = place if port == _PORTS.get(scheme) else f"{place}:{port}"
    message = f"{shown} was not asked, because it is no address of the public network and the settings do not name it."
    return ForbiddenAddressError(message, hint=_HINT.format(f"{scheme}://{shown}"))


def _bypasses(exceptions: str, origin: Origin) -> bool:
    """Whether ``NO_PROXY`` names a host: by its name, the end of its name, its network, with a port or without."""
    _, host, port = origin
    address = literal(host)
    for each in filter(None, (part.strip().lower().lstrip(".") for part in exceptions.split(","))):
        if each in {"*", host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"} or host.endswith(f".{each}"):
            return True
        with contextlib.suppress(ValueError):
            if address is not None and "/" in each and address in ipaddress.ip_network(each, strict=False):
                return True
    return False


def _resolved(host: str, port: int, seconds: float | None) -> list[str]:
    """The addresses of a name; the system's resolver takes as long as it likes, so it is not waited for longer."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(each[4][0]) for each in found)))
        except UnicodeError:
            answers.put(socket.gaierror(socket.EAI_NONAME, "not a name"))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _ours(address: str) -> bool:
    """Whether an address is one of this machine: then it would also speak from there. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return bool(probe.getsockname()[0] == address)
    return False
