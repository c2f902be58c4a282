"""``rebuilder doctor`` asks the index, by the client that everything else uses: a registry on loopback answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.config import Config
from rebuilder.doctor.checks import DoctorCheck, Host, checks
from rebuilder.ecosystems.pypi.simple_index import MEDIA_TYPE
from tests.fakes.registry import Fault, Registry, server_error


def asked(url: str, tmp_path: Path) -> DoctorCheck:
    """What is said of an index."""
    config = Config(store=tmp_path / "store", keys=tmp_path / "keys", index_url=url)
    found = checks(config, Host(find=lambda _: "/x", bubblewrap=lambda: "1", seccomp=lambda: b"", isolation=list))
    return next(each for each in found if each.name == "index")


def test_an_index_that_answers(tmp_path: Path) -> None:
    """One request for its root, whatever projects it has."""
    with Registry() as registry:
        registry.fault("/simple/", Fault(status=200, body=b"{}", headers={"Content-Type": MEDIA_TYPE}), times=1)
        check = asked(registry.url, tmp_path)
        assert 1 == registry.count()
    assert check.ok
    assert check.message.endswith("It answers.")


@pytest.mark.parametrize(
    ("fault", "ok", "said"),
    [
        (server_error(), False, "answers with HTTP status 500"),
        (Fault(status=401, body=b"no"), False, "refuses access (HTTP 401)"),
        (Fault(status=404, body=b"none"), True, "gives no list of its projects"),
        (Fault(status=200, body=b"<a>", headers={"Content-Type": "text/html"}), True, "its list of projects is HTML"),
        (Fault(status=200, body=b"x", headers={"Content-Type": "text/plain"}), False, "It answers with text/plain"),
    ],
)
def test_an_index_that_does_not(fault: Fault, ok: bool, said: str, tmp_path: Path) -> None:
    """Its answer is told; a list in HTML is one, since its projects may still be JSON; what is no index is none."""
    with Registry() as registry:
        registry.fault("/simple/", fault, times=9)
        check = asked(registry.url, tmp_path)
    assert ok == check.ok
    assert said in check.message


def test_nobody_is_there(tmp_path: Path) -> None:
    """A connection that is refused is told, with the address."""
    with Registry() as registry:
        url = registry.url
    check = asked(url, tmp_path)
    assert not check.ok
    assert url.removeprefix("http://") in check.message


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    """An index is shown without what logs in there, whether it answers or not."""
    with Registry() as registry:
        url = registry.url
    check = asked(url.replace("http://", "http://user:secret@"), tmp_path)
    assert url in check.message
    assert "secret" not in check.message
