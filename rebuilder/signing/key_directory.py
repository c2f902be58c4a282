"""The directory of a rebuilder's keys: private keys, the key lists that were accepted, and the one that waits.

====================  ===================================================================================
``NAME.pem``          a private key in use: ``signing`` for statements, ``log`` for checkpoints
``NAME.next.pem``     its successor, until the list that names it is signed
``NAME.old-ID.pem``   one that was replaced; to be destroyed once its period is over
``N.root.json``       version N of the list of keys, signed
``next.root.json``    the next version, as long as root keys have to sign it
====================  ===================================================================================
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from rebuilder.atomic_file import replacing, write_whole
from rebuilder.clock import Clock
from rebuilder.errors import SigningError, UsageError
from rebuilder.signing.key_list import KeyList, KeyListError, Use
from rebuilder.signing.keys import Algorithm, FileKey, passphrase, write_private, write_public
from rebuilder.signing.protocol import SigningKey

NAMES: Final = {Use.STATEMENTS: "signing", Use.CHECKPOINTS: "log", Use.LINKS: "links"}
"""What the files of a key are called."""
ALGORITHMS: Final = {
    Use.STATEMENTS: Algorithm.P256,
    Use.CHECKPOINTS: Algorithm.ED25519,
    Use.LINKS: Algorithm.ED25519,
}
_VERSION = re.compile(r"([1-9][0-9]{0,8})\.root\.json")
_LARGEST = 1 << 20


class KeyNotGoodError(SigningError):
    """A key of ours may not sign any more: it was revoked, its time is over, or the list does not name it."""


class KeyDirectory:
    """Reads and writes the files; nothing is made before it is needed.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[tuple[str, int, int], KeyList] | None = None

    def newest(self) -> KeyList | None:
        """The list that counts; None: there is none yet.

        Raises:
            SigningError: it cannot be read, or is no list.
        """
        files = self._files()
        if not files:
            return None
        file = files[max(files)]
        try:
            status = file.stat()
            state = (file.name, status.st_mtime_ns, status.st_size)
            if self._known is None or self._known[0] != state:
                self._known = (state, KeyList.read(_content(file), None))
        except (OSError, KeyListError) as error:
            raise _unreadable(file, error) from None
        return self._known[1]

    def documents(self) -> dict[int, bytes]:
        """Every list that was accepted, by its version, the oldest first.

        Raises:
            SigningError: one cannot be read.
        """
        found = {}
        for version, file in sorted(self._files().items()):
            try:
                found[version] = _content(file)
            except OSError as error:
                raise _unreadable(file, error) from None
        return found

    def draft(self) -> bytes | None:
        """The list that waits for signatures.

        Raises:
            SigningError: it cannot be read.
        """
        try:
            return _content(self._draft)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self._draft, error) from None

    def keep_draft(self, document: bytes) -> None:
        """Have a list wait for signatures, in place of one that waited.

        Raises:
            SigningError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self._draft, document, durable=True)
        except OSError as error:
            raise SigningError(f"The key list cannot be kept in {self._draft}: {error.strerror}.") from error

    def accept(self, document: bytes) -> KeyList:
        """Have a list count that enough root keys signed; the keys that it names first are used from now on.

        Raises:
            KeyListError: it is refused as every consumer would refuse it, or is not the next version.
            SigningError: it cannot be written.
        """
        before = self.newest()
        listed = KeyList.read(document, before)
        due = before.version + 1 if before is not None else 1
        if listed.version != due:
            raise KeyListError(f"The next version of the key list is {due}, and this one is {listed.version}.")
        file = self.path / f"{listed.version}.root.json"
        try:
            with replacing(file, durable=True, replace=False) as opened:
                opened.write(document)
            if file.read_bytes() != document:
                raise KeyListError(f"Another list of version {listed.version} was accepted meanwhile.")
            self._draft.unlink(missing_ok=True)
        except OSError as error:
            raise SigningError(f"The key list cannot be kept in {file}: {error.strerror}.") from error
        self.settle()
        return listed

    def make_next(self, use: Use) -> FileKey:
        """The key that is to follow the one in use, made unless it is there.

        Raises:
            SigningError: it cannot be made or read.
        """
        file = self.path / f"{NAMES[use]}.next.pem"
        try:
            if not file.exists():
                write_private(file, ALGORITHMS[use].make(), passphrase())
        except OSError as error:
            raise SigningError(f"The key {file} cannot be made: {error.strerror}.") from error
        return FileKey.read(file, ALGORITHMS[use], passphrase())

    def settle(self) -> None:
        """Use the keys from now on that the newest list names and that waited for it.

        A process that was killed halfway leaves nothing that this would not finish; there is a key in use throughout.

        Raises:
            SigningError: a key cannot be read or put into its place.
        """
        waiting = {use: self.path / f"{name}.next.pem" for use, name in NAMES.items()}
        waiting = {use: file for use, file in waiting.items() if file.exists()}
        listed = self.newest() if waiting else None
        for use, file in waiting.items():
            key = FileKey.read(file, ALGORITHMS[use], passphrase())
            if listed is None or key.key_id not in listed.keys:
                continue
            current = self.path / f"{NAMES[use]}.pem"
            try:
                if current.exists():
                    old = FileKey.read(current, ALGORITHMS[use], passphrase())
                    with contextlib.suppress(FileExistsError):
                        os.link(current, self.path / f"{NAMES[use]}.old-{old.key_id[:16]}.pem")
                file.replace(current)
                write_public(current.with_name(f"{current.stem}.public.pem"), key.public_pem)
            except OSError as error:
                raise SigningError(f"The key {file} cannot be put into its place: {error.strerror}.") from error

    @property
    def _draft(self) -> Path:
        return self.path / "next.root.json"

    def _files(self) -> dict[int, Path]:
        try:
            found = [(_VERSION.fullmatch(each.name), each) for each in self.path.iterdir()]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unreadable(self.path, error) from None
        return {int(match.group(1)): each for match, each in found if match is not None}


class JudgedKey:
    """A key that refuses to sign what nobody would believe; implements :class:`rebuilder.signing.protocol.SigningKey`.

    Args:
        key: What signs.
        use: What it signs.
        directory: Where the newest list is read, each time.
        clock: The time now.
    """

    def __init__(self, key: SigningKey, use: Use, directory: KeyDirectory, clock: Clock) -> None:
        self._key, self._use, self._directory, self._clock = key, use, directory, clock

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key's DER SubjectPublicKeyInfo, in hexadecimal."""
        return self._key.key_id

    @property
    def public_pem(self) -> bytes:
        """The public key, PEM SubjectPublicKeyInfo."""
        return self._key.public_pem

    def sign(self, payload: bytes) -> bytes:
        """The signature of the key.

        Raises:
            KeyNotGoodError: it was revoked, is not good at this time, or is not in the list.
            SigningError: it cannot be used.
        """
        listed = self._directory.newest()
        try:
            if listed is not None:
                listed.judge(self.key_id, self._clock.now(), self._use)
        except KeyListError as error:
            raise KeyNotGoodError(
                f"Nothing is signed: {error}",
                hint=f"Make the next key: rebuilder keys rotate {self._use}; a service that runs is to be restarted.",
            ) from None
        return self._key.sign(payload)


def refuse_missing_list(directory: KeyDirectory) -> KeyList:
    """The newest list of a directory that must have one.

    Raises:
        UsageError: it has none.
        SigningError: it cannot be read.
    """
    listed = directory.newest()
    if listed is None:
        raise UsageError("There is no list of keys yet.", hint="Make the first one: rebuilder keys init")
    return listed


def _content(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_LARGEST + 1)


def _unreadable(file: Path, error: Exception) -> SigningError:
    reason = f"{error.strerror}." if isinstance(error, OSError) else str(error)
    return SigningError(f"The key list {file} cannot be used: {reason}")
