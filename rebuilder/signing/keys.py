"""Keys in files, made on first use and readable by nobody else: P-256 for statements, Ed25519 for all else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import stat
from enum import Enum
from pathlib import Path
from typing import Any, Self, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from rebuilder.atomic_file import replacing, write_whole
from rebuilder.errors import SigningError

_ECDSA = ec.ECDSA(hashes.SHA256())
_LARGEST = 64 << 10
PASSPHRASE = "REBUILDER_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
"""Environment variable with the passphrase of encrypted key files and the PIN of a token; with ``_FILE`` behind it: the
variable that names a file with them."""

ROOT_PASSPHRASE = "REBUILDER_ROOT_PASSPHRASE"  # noqa: S105
"""The same for root keys, which have another one."""

PublicKey = ec.EllipticCurvePublicKey | Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


class Algorithm(Enum):
    """The kinds of keys there are; the value is how a sentence calls one."""

    P256 = "an ECDSA key on the curve P-256"
    """Signs statements."""
    ED25519 = "an Ed25519 key"
    """Signs checkpoints of the log, links, what a runner answers, and the list of keys."""

    @classmethod
    def of(cls, key: object) -> Algorithm | None:
        """The kind of a private or public key; None: another one."""
        if isinstance(key, (Ed25519PrivateKey, Ed25519PublicKey)):
            return cls.ED25519
        if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
            return cls.P256 if isinstance(key.curve, ec.SECP256R1) else None
        return None

    def make(self) -> PrivateKey:
        """A new private key."""
        return Ed25519PrivateKey.generate() if self is Algorithm.ED25519 else ec.generate_private_key(ec.SECP256R1())


class FileKey:
    """Signs with a private key read from a file; implements :class:`rebuilder.signing.protocol.SigningKey`."""

    def __init__(self, private: PrivateKey) -> None:
        self._private = private
        public = private.public_key()
        self.public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        """The public key, PEM SubjectPublicKeyInfo."""
        self.key_id = key_id(public)
        """SHA-256 of the public key's DER SubjectPublicKeyInfo, in hexadecimal."""

    @classmethod
    def open(cls, path: Path, algorithm: Algorithm = Algorithm.P256, *, store: Path) -> Self:
        """Read the key, making it when there is none; the public key is kept beside it as ``NAME.public.pem``.

        Two processes that come first at once end up with one key.

        Args:
            path: File of the private key (PEM, PKCS #8, mode 0600 or narrower; encrypted where :data:`PASSPHRASE` is
                set).
            algorithm: What it must be, and is made as.
            store: Directory of the store, which is copied, shared and served, and must not hold the key.

        Raises:
            SigningError: the key cannot be read or made, or is not one to sign with.
        """
        try:
            _refuse_inside(path, store)
            if not path.exists():
                write_private(path, algorithm.make(), passphrase())
            signer = cls.read(path, algorithm, passphrase())
        except (OSError, RuntimeError) as error:  # the latter: a symbolic link that leads to itself
            raise _unusable(path, error) from error
        # A copy for people, and for what was signed before the key was replaced; what is published comes from the
        # private key. A read-only directory of keys is fine.
        with contextlib.suppress(OSError):
            write_public(path.with_name(f"{path.stem}.public.pem"), signer.public_pem)
        return signer

    @classmethod
    def read(cls, path: Path, algorithm: Algorithm, secret: bytes | None) -> Self:
        """Read a key that is there already; arguments and errors as of :meth:`open`.

        Args:
            path: Its file.
            algorithm: What it must be.
            secret: The passphrase, where it is encrypted.
        """
        try:
            refuse_open_directory(path.parent)
            key = _load(path, secret)
        except (OSError, RuntimeError) as error:
            raise _unusable(path, error) from error
        if Algorithm.of(key) is not algorithm:
            raise SigningError(
                f"The signing key {path} is not {algorithm.value}.",
                hint="Move it away to have a new key made, or put the right one there.",
            )
        return cls(key)

    def sign(self, payload: bytes) -> bytes:
        """The signature: ASN.1 DER, ECDSA P-256 over SHA-256 of ``payload``; or 64 bytes, Ed25519 over ``payload``."""
        if isinstance(self._private, Ed25519PrivateKey):
            return self._private.sign(payload)
        return self._private.sign(payload, _ECDSA)


def passphrase(variable: str = PASSPHRASE) -> bytes | None:
    """What the environment says that key files are encrypted with; None: they are not.

    Args:
        variable: Its name; with ``_FILE`` behind it, the variable that names a file.

    Raises:
        SigningError: the file that it names cannot be read, or is empty.
    """
    if (said := os.environ.get(variable)) is not None:
        return said.encode() or None
    if (named := os.environ.get(f"{variable}_FILE")) is None:
        return None
    try:
        with Path(named).open("rb") as file:
            secret = file.read(_LARGEST).rstrip(b"\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SigningError(f"The file of the passphrase, {named}, cannot be read: {reason}.") from None
    if not secret:
        raise SigningError(f"The file of the passphrase, {named}, is empty.")
    return secret


def write_private(path: Path, private: PrivateKey, secret: bytes | None) -> None:
    """Write a new key whole or not at all; one that is there already, or that another process made, stays.

    Args:
        path: Its file; its directory is made.
        private: The key.
        secret: What it is encrypted with (PKCS #8); None: not at all.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    encryption = BestAvailableEncryption(secret) if secret is not None else NoEncryption()
    with replacing(path, mode=0o600, durable=True, replace=False) as draft:
        draft.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def public_keys(directory: Path) -> dict[str, bytes]:
    """The public keys for statements in a directory (``NAME.public.pem``): the one in use, and those that were."""
    found = {}
    for path in sorted(directory.glob("*.public.pem")):
        with contextlib.suppress(OSError, SigningError):
            pem = path.read_bytes()[:_LARGEST]
            found[key_id(load_public(pem))] = pem
    return found


def key_id(public: PublicKey) -> str:
    """The name of a public key: ``openssl pkey -pubin -outform DER | sha256sum``."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def load_public(pem: bytes, algorithm: Algorithm = Algorithm.P256) -> PublicKey:
    """Read a public key.

    Raises:
        SigningError: it is not one of this kind in PEM.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError("The public key is not a PEM SubjectPublicKeyInfo.") from None
    if Algorithm.of(key) is not algorithm:
        raise SigningError(f"The public key is not {algorithm.value}, so no signature here can be its.")
    return cast("PublicKey", key)


def raw_public(pem: bytes) -> bytes:
    """The 32 bytes of an Ed25519 key (RFC 8032).

    Raises:
        SigningError: it is of another kind.
    """
    return cast("Ed25519PublicKey", load_public(pem, Algorithm.ED25519)).public_bytes_raw()


def signature_fits(key: PublicKey, signature: bytes, payload: bytes) -> bool:
    """Whether the key signed the payload."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, payload)
        else:
            key.verify(signature, payload, _ECDSA)
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


def _unusable(path: Path, error: Exception) -> SigningError:
    return SigningError(
        f"The signing key {path} cannot be used: {getattr(error, 'strerror', None) or error}.",
        hint="Make the file readable for this user, or name another place for it.",
    )


def _load(path: Path, secret: bytes | None) -> Any:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _refuse_exposed(path, os.fstat(descriptor))
        pem = os.read(descriptor, _LARGEST)
    finally:
        os.close(descriptor)
    try:
        return load_pem_private_key(pem, secret)
    except TypeError:
        if secret is not None:  # the file is not encrypted, and needs none
            return load_pem_private_key(pem, None)
        raise SigningError(
            f"The key {path} is encrypted, and no passphrase is given.",
            hint=f"Set {PASSPHRASE}_FILE, or {ROOT_PASSPHRASE}_FILE for a root key.",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        if secret is not None and b"ENCRYPTED" in pem[:100]:
            raise SigningError(f"The passphrase does not open the signing key {path}, or it is damaged.") from None
        raise SigningError(
            f"The file {path} does not hold a private key in PEM.",
            hint="Move it away to have a new key made, or put the right file there.",
        ) from None


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


def write_public(path: Path, pem: bytes) -> None:
    """Keep a public key beside its private one, and the one that was there before under another name.

    Raises:
        OSError: it cannot be written.
    """
    with contextlib.suppress(OSError):
        before = path.read_bytes()
        if before == pem:
            return
        # What was signed with the key before can still be told from what never was.
        path.replace(path.with_name(f"replaced-{hashlib.sha256(before).hexdigest()[:16]}.public.pem"))
    write_whole(path, pem)
