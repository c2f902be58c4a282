"""Which addresses count as one client."""

from __future__ import annotations

import pytest

from rebuilder.service.api.limits import network_of


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", "unknown"),
        ("not an address", "unknown"),
    ],
)
def test_one_customer_is_one_client(address: str, client: str) -> None:
    """An IPv6 client cannot get around the limit by changing the half of the address that is its own."""
    assert client == network_of(address)
