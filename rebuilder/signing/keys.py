"""Keys in files, made on first use and readable by nobody else: P-256 for statements, Ed25519 for the log."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from rebuilder.atomic_file import replacing, write_whole
from rebuilder.errors import SigningError

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_LARGEST = 64 << 10


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of private key."""

    words: str
    make: Callable[[], Any]
    fits: Callable[[object], bool]


_STATEMENTS = _Kind(
    "an ECDSA key on the curve P-256",
    lambda: ec.generate_private_key(ec.SECP256R1()),
    lambda key: isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1),
)
_ED25519 = _Kind("an Ed25519 key", Ed25519PrivateKey.generate, lambda key: isinstance(key, Ed25519PrivateKey))


class FileSigningKey:
    """Signs with a private key read from a file; implements :class:`rebuilder.signing.protocol.SigningKey`."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        public = private.public_key()
        self._public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self._key_id = key_id(public)

    @classmethod
    def open(cls, path: Path, *, store: Path) -> Self:
        """Read the key, making it when there is none; the public key is kept beside it as ``NAME.public.pem``.

        Two processes that come first at once end up with one key.

        Args:
            path: File of the private key (PEM, PKCS #8, not encrypted, mode 0600 or narrower).
            store: Directory of the store, which is copied, shared and served, and must not hold the key.

        Raises:
            SigningError: the key cannot be read or made, or is not one to sign with.
        """
        signer = cls(_open(path, store, _STATEMENTS))
        # A copy for people, and for what was signed before the key was replaced; what is published comes from the
        # private key. A read-only directory of keys is fine.
        with contextlib.suppress(OSError):
            _write_public(path.with_name(f"{path.stem}.public.pem"), signer.public_pem)
        return signer

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key's DER SubjectPublicKeyInfo, in hexadecimal."""
        return self._key_id

    @property
    def public_pem(self) -> bytes:
        """The public key, PEM SubjectPublicKeyInfo."""
        return self._public_pem

    def sign(self, payload: bytes) -> bytes:
        """ASN.1 DER signature, ECDSA P-256 over SHA-256 of ``payload``."""
        return self._private.sign(payload, _ALGORITHM)


class FileLogKey:
    """Signs checkpoints of the log with a private key of Ed25519 read from a file; see :class:`FileSigningKey`."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def open(cls, path: Path, *, store: Path) -> Self:
        """Read the key, making it when there is none; arguments and errors as of :meth:`FileSigningKey.open`."""
        return cls(ed25519_key(path, store=store))

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes (RFC 8032)."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, payload: bytes) -> bytes:
        """The signature over ``payload``, 64 bytes."""
        return self._private.sign(payload)


def ed25519_key(path: Path, *, store: Path) -> Ed25519PrivateKey:
    """Read a private key of Ed25519, making it when there is none; see :meth:`FileSigningKey.open`."""
    key: Ed25519PrivateKey = _open(path, store, _ED25519)
    return key


def public_keys(directory: Path) -> dict[str, bytes]:
    """The public keys in a directory (``NAME.public.pem``) by identifier: the one in use, and those that were."""
    found = {}
    for path in sorted(directory.glob("*.public.pem")):
        with contextlib.suppress(OSError, SigningError):
            pem = path.read_bytes()[:_LARGEST]
            found[key_id(load_public(pem))] = pem
    return found


def key_id(public: ec.EllipticCurvePublicKey | Ed25519PublicKey) -> str:
    """The name of a public key: ``openssl pkey -pubin -outform DER | sha256sum``."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def load_public(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read a public key.

    Raises:
        SigningError: it is not an ECDSA P-256 key in PEM.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError("The public key is not a PEM SubjectPublicKeyInfo.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningError("The public key is not on the curve P-256, so none of our signatures fits it.")
    return key


def signature_fits(key: ec.EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    """Whether the key signed the payload."""
    try:
        key.verify(signature, payload, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def refuse_open_directory(directory: Path) -> None:
    """Make sure that nobody else can put another secret in the place of ours.

    Raises:
        SigningError: others may write in the directory, or it is somebody else's.
        OSError: it cannot be looked at.
    """
    status = directory.stat()
    if status.st_uid not in {os.geteuid(), 0}:
        raise SigningError(
            f"The directory of the keys {directory} belongs to another user (uid {status.st_uid}).",
            hint="Name a directory of your own.",
        )
    if status.st_mode & 0o022:
        raise SigningError(
            f"Other users may write in the directory of the keys {directory}"
            f" (its mode is {status.st_mode & 0o7777:04o}), so that the keys in it may not be ours any more.",
            hint=f"Look whether the keys are still yours, then: chmod 700 {shlex.quote(str(directory))}",
        )


def _refuse_inside(path: Path, store: Path) -> None:
    if path.resolve().is_relative_to(store.resolve()) or path.absolute().is_relative_to(store.absolute()):
        raise SigningError(
            f"The signing key {path} would lie inside the store {store}, which is copied and published.",
            hint="Name a place for it outside the store.",
        )


def _open(path: Path, store: Path, kind: _Kind) -> Any:
    try:
        _refuse_inside(path, store)
        if not path.exists():
            _make(path, kind)
        refuse_open_directory(path.parent)
        return _load(path, kind)
    except (OSError, RuntimeError) as error:  # the latter: a symbolic link that leads to itself
        raise SigningError(
            f"The signing key {path} cannot be used: {getattr(error, 'strerror', None) or error}.",
            hint="Make the file readable for this user, or name another place for it.",
        ) from error


def _make(path: Path, kind: _Kind) -> None:
    """Write a new key whole or not at all; leave one that another process made meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = kind.make()
    with replacing(path, mode=0o600, durable=True, replace=False) as draft:
        draft.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _load(path: Path, kind: _Kind) -> Any:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _refuse_exposed(path, os.fstat(descriptor))
        pem = os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise SigningError(
            f"The signing key {path} is encrypted, and there is nobody to ask for its password.",
            hint=f"Decrypt it: openssl pkey -in {path} -out NEW-FILE",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(
            f"The file {path} does not hold a private key in PEM.",
            hint="Move it away to have a new key made, or put the right file there.",
        ) from None
    if not kind.fits(key):
        raise SigningError(
            f"The signing key {path} is not {kind.words}.",
            hint="Move it away to have a new key made, or put the right one there.",
        )
    return key


def _refuse_exposed(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SigningError(f"The signing key {path} is not a regular file.", hint="Put the key there as a file.")
    if status.st_mode & 0o077:
        raise SigningError(
            f"The signing key {path} can be read or written by other users (its mode is {status.st_mode & 0o777:04o}).",
            hint=f"If nobody has used it: chmod 600 {path}. Otherwise move it away to have a new key made.",
        )
    if status.st_uid not in {os.geteuid(), 0}:
        raise SigningError(
            f"The signing key {path} belongs to another user (uid {status.st_uid}).",
            hint="Name a key of your own.",
        )


def _write_public(path: Path, pem: bytes) -> None:
    with contextlib.suppress(OSError):
        before = path.read_bytes()
        if before == pem:
            return
        # What was signed with the key before can still be told from what never was.
        path.replace(path.with_name(f"replaced-{hashlib.sha256(before).hexdigest()[:16]}.public.pem"))
    write_whole(path, pem)
