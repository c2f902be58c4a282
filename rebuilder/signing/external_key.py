"""Keys that never leave their device or service, by addresses of ``securesystemslib``: tokens (PKCS#11), cloud KMS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from rebuilder.errors import SigningError
from rebuilder.signing.keys import PASSPHRASE, Algorithm, FileKey, key_id, load_public, passphrase, signature_fits
from rebuilder.signing.protocol import SigningKey

if TYPE_CHECKING:
    from securesystemslib.signer import Signer  # type: ignore[attr-defined]

_LARGEST = 64 << 10


def open_key(uri: str | None, file: Path, algorithm: Algorithm, *, store: Path) -> SigningKey:
    """The key at an address.

    Args:
        uri: ``file:PATH``, ``hsm:NUMBER?label=TOKEN``, or another scheme of ``securesystemslib``; None: ``file``.
        file: Where the key is without an address; the public half of one that is elsewhere is beside it, as
            ``NAME.public.pem``, except that a token is asked for it.
        algorithm: What it must be.
        store: See :meth:`FileKey.open`.

    Raises:
        SigningError: it cannot be used.
    """
    if uri is None or uri.startswith("file:"):
        path = file if uri is None else file.parent / uri.removeprefix("file:")
        return FileKey.open(path, algorithm, store=store)
    return ExternalKey(uri, algorithm, file.with_name(f"{file.stem}.public.pem"))


class ExternalKey:
    """Has something else sign; implements :class:`rebuilder.signing.protocol.SigningKey`.

    Args:
        uri: Where the key is.
        algorithm: What it must be.
        public: File of its public half (PEM), where nothing can be asked for it.

    Raises:
        SigningError: it cannot be found, or is of another kind.
    """

    def __init__(self, uri: str, algorithm: Algorithm, public: Path) -> None:
        self._uri = uri
        if urlsplit(uri).scheme == "hsm":
            self._signer, self.public_pem = _of_token(uri, algorithm)
        else:
            self.public_pem = _public_half(uri, public)
            self._signer = self._called(lambda: _signer(uri, self.public_pem, algorithm))
        self._public = load_public(self.public_pem, algorithm)
        self.key_id = key_id(self._public)
        """SHA-256 of the public key's DER SubjectPublicKeyInfo, in hexadecimal."""

    def sign(self, payload: bytes) -> bytes:
        """The signature, checked with the public half.

        Raises:
            SigningError: it cannot be had, or another key made it.
        """
        signature: bytes = self._called(lambda: bytes.fromhex(self._signer.sign(payload).signature))
        if not signature_fits(self._public, signature, payload):
            raise SigningError(
                f"What {self._uri} signs does not fit the public key {self.key_id[:16]}….",
                hint="Put the public half of the key that is there beside the other keys.",
            )
        return signature

    def _called(self, action: Callable[[], Any]) -> Any:
        return _said_as_sentence(self._uri, action)


def _said_as_sentence(uri: str, action: Callable[[], Any]) -> Any:
    """What the library gives; it promises nothing about the errors of devices and services."""
    try:
        return action()
    except SigningError:
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise SigningError(
            f"The key {uri} cannot be used: {said[:300]}",
            hint=f"A token needs PYKCS11LIB, the extra `hsm`, and its PIN in {PASSPHRASE}_FILE; a service needs its "
            "library and its credentials (docs/operate/keys.md).",
        ) from error


def _secret(_: str) -> str:
    secret = passphrase()
    if secret is None:
        raise SigningError("The token needs its PIN.", hint=f"Set {PASSPHRASE}_FILE.")
    return secret.decode(errors="replace")


def _signer(uri: str, public_pem: bytes, algorithm: Algorithm) -> Signer:
    from securesystemslib.signer import Signer, SSlibKey  # type: ignore[attr-defined]

    public = load_public(public_pem, algorithm)
    return Signer.from_priv_key_uri(uri, SSlibKey.from_crypto(public, key_id(public)), _secret)


def _of_token(uri: str, algorithm: Algorithm) -> tuple[Signer, bytes]:
    """A key of a PKCS#11 token, and its public half, which is read from there."""
    from securesystemslib.signer import HSMSigner  # type: ignore[attr-defined]

    if algorithm is not Algorithm.P256:
        raise SigningError(
            f"The key {uri} would have to be {algorithm.value}, and tokens are only used with ECDSA.",
            hint="Keep this key in a file with a passphrase.",
        )
    parts = urlsplit(uri)
    label = dict(parse_qsl(parts.query)).get("label")
    if parts.path and not parts.path.isdecimal():
        raise SigningError(f"The key {uri} has no number.", hint="Write it like hsm:2?label=rebuilder")

    def found() -> tuple[Signer, bytes]:
        _, key = HSMSigner.import_(int(parts.path) if parts.path else None, label, _secret)
        pem = key.keyval["public"].encode()
        return _signer(uri, pem, algorithm), pem

    signer, pem = _said_as_sentence(uri, found)
    return signer, pem


def _public_half(uri: str, file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST)
    except OSError as error:
        raise SigningError(
            f"The public half of the key {uri} cannot be read from {file}: {error.strerror}.",
            hint="Export it from where the key is, and put it there as PEM.",
        ) from None
