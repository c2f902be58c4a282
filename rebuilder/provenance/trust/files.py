"""The pinned trust root: loading it, and replacing it by a newer one."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rebuilder.atomic_file import write_whole
from rebuilder.errors import CorruptStoreError, StoreError, UsageError
from rebuilder.model.value import Sha256, Value, is_sha256, sha256_hex


@dataclass(frozen=True)
class TrustRoot:
    """Whom we believe: bytes that matched their pins."""

    trusted_root: bytes
    """Sigstore trusted root, JSON (protobuf-specs, ``TrustedRoot``)."""
    npm_keys: bytes
    """npm registry keys, JSON in the layout of Sigstore's TUF repository."""

    @property
    def sha256(self) -> Sha256:
        """Digest of the Sigstore trusted root."""
        return sha256_hex(self.trusted_root)


_SHIPPED = Path(__file__).parent / "shipped"
_PINS = "pins.toml"
_REFRESH = "Install this program again, or refresh the trust root as docs/trust.md says."
_OTHER = "Name another directory with the setting trust, or run: rebuilder trust update FILE (see docs/trust.md)"
_MAX_FILE = 4 << 20
"""Largest file looked at for an update, in bytes. Real ones have some 10 KiB."""


class TrustChange(Value):
    """What replacing a part of the trust root changed."""

    part: str
    """``trusted_root`` or ``npm_keys``."""
    sha256: str
    previous_sha256: str
    added: tuple[str, ...] = ()
    """Authorities, logs or keys that are new; one line each."""
    removed: tuple[str, ...] = ()


@cache
def shipped() -> TrustRoot:
    """The trust root that came with this program.

    Raises:
        StoreError: a file is missing or is not what it was.
    """
    return load(_SHIPPED)


def load(directory: Path) -> TrustRoot:
    """Read a trust root and check it against the pins beside it.

    Raises:
        StoreError: a file is missing, is not what it was, or is no trust root.
    """
    pins = _pins(directory)
    return TrustRoot(
        trusted_root=_pinned(directory, pins, "trusted_root"), npm_keys=_pinned(directory, pins, "npm_keys")
    )


def check_in_use(directory: Path | None) -> None:
    """See that a trust root of the user's own is there and whole, before anything relies on it.

    Compares digests only, which takes well under a millisecond; it does not parse the parts.

    Args:
        directory: ``Config.trust_in_use``; None for the shipped one, which is looked at when it is used.

    Raises:
        StoreError: a file is missing or is not what it was.
    """
    if directory is not None:
        load(directory)


def update(file: Path, into: Path, *, current: TrustRoot | None = None) -> TrustChange:
    """Take a newer Sigstore trusted root (or npm key list) into use, in a directory :func:`load` reads.

    The file is read once, must parse completely, and must have at least one usable certificate authority,
    transparency log and certificate log; every key and certificate of a known kind must decode. That it is
    *genuine* cannot be seen from the file: see docs/trust.md.

    Args:
        file: The new file; which of the two it is, is seen from its content.
        into: Where to keep it. Made if it does not exist; a part not given is taken over from ``current``.
        current: What is in use now. Default: ``into`` if it holds a trust root, else what was shipped.

    Raises:
        UsageError: the file cannot be read or is neither; nothing is changed.
        StoreError: the directory cannot be written, or what is in use is broken.
    """
    from rebuilder.provenance.trust.authorities import describe

    data = _read(file)
    part, entries = describe(data, str(file))
    if current is None:
        current = load(into) if (into / _PINS).exists() else shipped()
    before = current.trusted_root if part == "trusted_root" else current.npm_keys
    _, had = describe(before, f"the {part} in use")
    parts = {"trusted_root": current.trusted_root, "npm_keys": current.npm_keys} | {part: data}
    _store(into, parts)
    return TrustChange(
        part=part,
        sha256=sha256_hex(data),
        previous_sha256=sha256_hex(before),
        added=tuple(entry for entry in entries if entry not in had),
        removed=tuple(entry for entry in had if entry not in entries),
    )


def _read(file: Path) -> bytes:
    try:
        if file.exists() and not file.is_file():
            raise UsageError(f"{file} is not a regular file.")
        with file.open("rb") as opened:
            data = opened.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"The file {file} cannot be read: {_why(error)}.") from None
    if len(data) > _MAX_FILE:
        raise UsageError(f"The file {file} has more than {_MAX_FILE >> 20} MiB, which no trust root has.")
    return data


def _why(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _pins(directory: Path) -> dict[str, dict[str, str]]:
    path = directory / _PINS
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise StoreError(
            f"There is no trust root in {directory}: it has no {_PINS}."
            if directory.is_dir()
            else f"The directory {directory}, which is to hold the trust root, does not exist.",
            hint=_REFRESH if directory == _SHIPPED else _OTHER,
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(f"The pins of the trust root, {path}, cannot be read: {_why(error)}.", hint=_REFRESH) from None


def _pinned(directory: Path, pins: dict[str, dict[str, str]], part: str) -> bytes:
    pin = pins.get(part)
    if not isinstance(pin, dict) or not is_sha256(str(pin.get("sha256"))) or "file" not in pin:
        raise StoreError(f"The trust root in {directory} has no pin for {part}.", hint=_REFRESH)
    path = directory / Path(str(pin["file"])).name
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise StoreError(f"The trust root file {path} cannot be read: {_why(error)}.", hint=_REFRESH) from None
    found = sha256_hex(data)
    if found != pin["sha256"]:
        raise CorruptStoreError(
            f"The trust root file {path} was changed: its SHA-256 is {found}, pinned is {pin['sha256']}.",
            hint=_REFRESH,
        )
    return data


def _store(into: Path, parts: dict[str, bytes]) -> None:
    """Write content under names that carry its digest, then the pins, so that a crash leaves the old set whole."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        lines = []
        for part, data in parts.items():
            name = f"{part}.{sha256_hex(data)[:16]}.json"
            write_whole(into / name, data, durable=True)
            lines.append(f"[{part}]\nfile = {json.dumps(name)}\nsha256 = {json.dumps(sha256_hex(data))}\n")
        write_whole(into / _PINS, "\n".join(lines).encode(), durable=True)
    except OSError as error:
        raise StoreError(f"The trust root cannot be stored in {into}: {error.strerror}.") from None
