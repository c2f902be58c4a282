"""The key file: made once, for its owner only, and refused when it is anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from rebuilder.errors import SigningError
from rebuilder.signing.keys import FileKey, public_keys

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the key is to be; its directory does not exist yet."""
    return tmp_path / "keys" / "signing.pem"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store, elsewhere."""
    return tmp_path / "store"


def pem(key: Private, encryption: KeySerializationEncryption | None = None) -> bytes:
    """A private key as a file."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def put(place: Path, content: bytes, mode: int = 0o600) -> None:
    """Put a file where the key is looked for."""
    place.parent.mkdir()
    place.write_bytes(content)
    place.chmod(mode)


def test_first_use_makes_a_key_for_its_owner_only(place: Path, store: Path) -> None:
    """The mode is 0600 whatever the umask, and nothing else is left behind."""
    before = os.umask(0)
    try:
        FileKey.open(place, store=store)
    finally:
        os.umask(before)
    assert place.stat().st_mode == 0o100600
    assert place.parent.stat().st_mode == 0o40700
    assert place.with_name("signing.public.pem").stat().st_mode == 0o100644
    assert {each.name for each in place.parent.iterdir()} == {"signing.pem", "signing.public.pem"}


def test_second_use_reads_the_same_key(place: Path, store: Path) -> None:
    """A key is made once; the public key beside it is the one that fits."""
    first = FileKey.open(place, store=store)
    content = place.read_bytes()
    second = FileKey.open(place, store=store)
    assert first.key_id == second.key_id
    assert place.read_bytes() == content
    assert place.with_name("signing.public.pem").read_bytes() == second.public_pem


def test_a_stale_public_key_is_replaced(place: Path, store: Path) -> None:
    """A public key that does not fit would mislead whoever copies it."""
    FileKey.open(place, store=store)
    beside = place.with_name("signing.public.pem")
    beside.write_bytes(b"old")
    assert FileKey.open(place, store=store).public_pem == beside.read_bytes()


def test_a_key_of_openssl_is_read(place: Path, store: Path) -> None:
    """SEC1 ("EC PRIVATE KEY") files, as ``openssl ecparam -genkey`` writes them, work too."""
    key = ec.generate_private_key(ec.SECP256R1())
    put(place, key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()), 0o400)
    assert len(FileKey.open(place, store=store).key_id) == 64


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o610, 0o602])
def test_wider_permissions_are_refused(place: Path, store: Path, mode: int) -> None:
    """Whoever could read the key may have; the mode is named and the file is not touched."""
    put(place, pem(ec.generate_private_key(ec.SECP256R1())), mode)
    with pytest.raises(SigningError, match=f"its mode is {mode:04o}") as raised:
        FileKey.open(place, store=store)
    assert f"chmod 600 {place}" in str(raised.value.hint)
    assert place.stat().st_mode & 0o777 == mode


UNFIT: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "does not hold a private key"),
    "garbage": (lambda: bytes(range(256)) * 400, "does not hold a private key"),
    "cut short": (lambda: pem(ec.generate_private_key(ec.SECP256R1()))[:100], "does not hold a private key"),
    "P-384": (lambda: pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
    "Ed25519": (lambda: pem(ed25519.Ed25519PrivateKey.generate()), "P-256"),
    "RSA": (lambda: pem(rsa.generate_private_key(65537, 2048)), "P-256"),
    "encrypted": (
        lambda: pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"secret")),
        "is encrypted",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_files_are_refused(place: Path, store: Path, name: str) -> None:
    """What is wrong with the file is said; it is never overwritten and never shown."""
    content, sentence = UNFIT[name]
    data = content()
    put(place, data)
    with pytest.raises(SigningError, match=sentence) as raised:
        FileKey.open(place, store=store)
    assert raised.value.hint
    assert "PRIVATE" not in str(raised.value)
    assert place.read_bytes() == data


def test_what_is_no_file_is_refused(place: Path, store: Path) -> None:
    """A directory, a link that leads nowhere or to itself, a device: each is a sentence."""
    place.mkdir(parents=True)
    with pytest.raises(SigningError, match="regular file"):
        FileKey.open(place, store=store)
    for number, target in enumerate(("nowhere", "loop2.pem", "/dev/null")):
        link = place.with_name(f"loop{number + 1}.pem")
        link.symlink_to(target)
        with pytest.raises(SigningError):
            FileKey.open(link, store=store)
    loop = place.with_name("self.pem")
    loop.symlink_to(loop)
    with pytest.raises(SigningError):
        FileKey.open(loop, store=store)


def test_inside_the_store_is_refused(tmp_path: Path) -> None:
    """The store is copied and served: no key there, also not by way of a link or dots."""
    store = tmp_path / "store"
    (store / "keys").mkdir(parents=True)
    (tmp_path / "link").symlink_to(store / "keys")
    for inside in (store / "keys" / "k.pem", tmp_path / "link" / "k.pem", tmp_path / "x" / ".." / "store" / "k.pem"):
        with pytest.raises(SigningError, match="inside the store"):
            FileKey.open(inside, store=store)
    assert list((store / "keys").iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_a_directory_where_others_write_is_refused(place: Path, store: Path, mode: int) -> None:
    """Whoever may write there can put another key in the place of ours; the hint is the command that mends it."""
    FileKey.open(place, store=store)
    place.parent.chmod(mode)
    with pytest.raises(SigningError, match=f"{mode:04o}") as refused:
        FileKey.open(place, store=store)
    assert refused.value.hint is not None
    assert f"chmod 700 {place.parent}" in refused.value.hint
    place.parent.chmod(0o700)
    FileKey.open(place, store=store)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750, 0o500])
def test_a_directory_that_others_only_read_is_fine(place: Path, store: Path, mode: int) -> None:
    """The key itself is private; what else is in its directory need not be."""
    FileKey.open(place, store=store)
    place.parent.chmod(mode)
    FileKey.open(place, store=store)
    place.parent.chmod(0o700)


def test_the_public_half_of_a_replaced_key_is_kept(place: Path, store: Path) -> None:
    """What was signed with it can still be told from what never was."""
    first = FileKey.open(place, store=store)
    place.rename(place.with_name("old.pem"))
    second = FileKey.open(place, store=store)
    assert first.key_id != second.key_id
    expected = {each.key_id: each.public_pem for each in (first, second)}
    assert expected == public_keys(place.parent)
    place.with_name("odd.public.pem").write_text("rubbish")
    assert expected == public_keys(place.parent)
