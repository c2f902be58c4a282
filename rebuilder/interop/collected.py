"""A directory of what another rebuilder signed, asked by the digest of a file like a site of ours."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from rebuilder.consumer.answer import Vote
from rebuilder.errors import SigningError, UsageError
from rebuilder.interop.oss_rebuild import documents, read_bundle
from rebuilder.interop.rebuilderd.link import link_key_id, read_link, read_public_pem
from rebuilder.log.audit import LogError
from rebuilder.model.value import Sha256, Sha512, algorithm

_LARGEST = 16 << 20
_MOST = 100_000


class Collected:
    """Bundles of OSS Rebuild, or links of rebuilderd; implements :class:`rebuilder.consumer.check.Speaker`.

    Which file something is about is read before it is believed, and only finds it: what counts is checked when it is
    asked for.

    Args:
        place: Directory; its files are looked for at any depth.
        kind: ``oss-rebuild`` or ``rebuilderd``.
        key: File of the public key that everything there must be signed with.
        name: What people call the rebuilder.

    Raises:
        UsageError: the directory or the key cannot be read, or the kind is none.
    """

    def __init__(self, place: Path, kind: str, key: Path, name: str) -> None:
        if kind not in {"oss-rebuild", "rebuilderd"}:
            raise UsageError(f"Rebuilders of the kind {kind!r} are not known.", hint="Write oss-rebuild or rebuilderd.")
        if not place.is_dir():
            raise UsageError(f"There is no directory {place}.")
        self.name = name
        self._kind = kind
        try:
            self._key = key.read_bytes()
            self._links = {}
            if kind == "rebuilderd":
                public = read_public_pem(self._key.decode("utf-8", "replace"))
                self._links = {link_key_id(public): public}
        except OSError as error:
            raise UsageError(f"The key {key} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            raise UsageError(f"{key}: {error}") from None
        self._about: dict[str, list[Path]] = {}
        for file in sorted(each for each in place.rglob("*") if each.is_file())[:_MOST]:
            for digest in {digest for each in _named(file, kind) for digest in each.values()}:
                self._about.setdefault(digest, []).append(file)

    def vote(self, digest: Sha256 | Sha512) -> Vote | None:
        """What is said about a file, by any of its digests; None: nothing.

        Raises:
            LogError: something about it is not what it must be.
        """
        found = None
        for file in self._about.get(digest, ()):
            try:
                found = self._read(file.read_bytes(), digest)
            except (OSError, ValueError, SigningError) as error:
                raise LogError(f"{file.name}: {error}") from None
        return found

    def _read(self, document: bytes, digest: Sha256 | Sha512) -> Vote:
        # All that names the file is signed: with the SHA-256 that it says, the whole document is checked.
        named = [each for each in _named(document, self._kind) if each.get(algorithm(digest)) == digest]
        sha256 = Sha256(named[0]["sha256"]) if named else Sha256("")
        if self._kind == "rebuilderd":
            return read_link(document, self._links, sha256=sha256, operator=self.name)
        return read_bundle(document, self._key, sha256=sha256, operator=self.name)


def _named(given: Path | bytes, kind: str) -> Iterator[dict[str, str]]:
    """Digests of each of the files that something may be about; all of them have a SHA-256."""
    try:
        if isinstance(given, Path) and given.stat().st_size > _LARGEST:
            return
        data = given.read_bytes() if isinstance(given, Path) else given
        if kind == "rebuilderd":
            products = json.loads(data)["signed"]["products"].values()
            yield from map(_both, products)
        else:
            for envelope in documents(data):
                statement = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
                yield from (_both(each["digest"]) for each in statement["subject"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def _both(digests: dict[str, object]) -> dict[str, str]:
    return {"sha256": str(digests["sha256"])} | {each: str(digests[each]) for each in {"sha512"} & digests.keys()}
