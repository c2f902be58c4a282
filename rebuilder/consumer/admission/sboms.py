"""A directory of what is known to be inside images, each file called by the digest of the image that it is about.

``sha256-DIGEST.json`` or ``.jsonl`` has one document, or one in each line: attestations in DSSE envelopes, as ``cosign
download attestation`` prints them, alone or in Sigstore bundles; or plain bills of materials. With keys, only what one
of them signed about that very digest counts. Neither a registry nor a cluster is asked: they could say
nothing that would be believed, and who starts a container must not steer where this program connects to.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rebuilder.consumer.admission.contents import Contents, read_contents
from rebuilder.consumer.policy import ImageSetting
from rebuilder.errors import UsageError
from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json
from rebuilder.model.value import Sha256, Sha512, algorithm
from rebuilder.signing.envelope import unseal
from rebuilder.signing.keys import load_public, signature_fits
from rebuilder.signing.vocabulary import PAYLOAD_TYPE
from rebuilder.toml_files import FileError, read_text

_LARGEST = 32 << 20
_MOST_KEPT = 200
_MOST_DOCUMENTS = 100
_LIMITS = JsonLimits(values=2_000_000, text_bytes=_LARGEST)
_STATEMENTS = {"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"}
_PREDICATES = ("https://cyclonedx.org/bom", "https://spdx.dev/Document", "https://slsa.dev/provenance/v1")
Known = Contents | str
"""What is inside, or why that is not known, as a sentence."""


class Sboms:
    """Any thread may ask; a file that changed is read again.

    Args:
        setting: Of the policy.
        base: Directory that its paths are relative to.

    Raises:
        UsageError: the directory is none, or a key cannot be read.
        SigningError: what should be a key is none.
    """

    def __init__(self, setting: ImageSetting, base: Path) -> None:
        self._ecosystems = frozenset(setting.ecosystems)
        self._directory = base / setting.sboms if setting.sboms is not None else None
        if self._directory is not None and not self._directory.is_dir():
            raise UsageError(f"There is no directory {self._directory}, which “images.sboms” names.")
        self._keys = [load_public(read_text(base / each).encode()) for each in setting.keys]
        self._known: OrderedDict[Path, tuple[tuple[int, ...], Known]] = OrderedDict()

    def inside(self, digest: Sha256 | Sha512) -> Known:
        """What is known to be inside the image with a digest."""
        if self._directory is None:
            return "No directory of bills of materials is named in the policy (“images.sboms”)."
        name = f"{algorithm(digest)}-{digest}"
        for path in (self._directory / f"{name}.json", self._directory / f"{name}.jsonl"):
            try:
                status = path.stat()
            except OSError:
                continue
            seen = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
            before = self._known.get(path)
            if before is not None and before[0] == seen:
                return before[1]
            found = self._read(path, digest)
            while len(self._known) >= _MOST_KEPT:
                self._known.popitem(last=False)
            self._known[path] = seen, found
            return found
        return "Nothing says what is inside: there is no bill of materials of this digest."

    def _read(self, path: Path, digest: Sha256 | Sha512) -> Known:
        packages: dict[Any, None] = {}
        others, why = 0, "It lists nothing at all."
        try:
            for document in _documents(read_text(path, _LARGEST)):
                try:
                    counting = self._counting(document, digest)
                except ValueError as error:  # somebody else's, or about something else: it is not looked at
                    why = str(error)
                    continue
                found = read_contents(counting, self._ecosystems)
                packages |= dict.fromkeys(found.packages)
                others += found.others
        except FileError as error:
            return f"What is known of it cannot be read: {error.remark.message}"
        except UnreadableJson as error:
            return f"What is known of it {error}."
        except ValueError as error:
            return f"What is known of it cannot be used: {error}"
        if not packages and not others:
            return f"Nothing that counts says what is inside: {why}"
        return Contents(tuple(packages), others)

    def _counting(self, document: Any, digest: Sha256 | Sha512) -> Any:
        """The document in an attestation that a key signed about the digest; a plain one where no key is asked for."""
        envelope = document.get("dsseEnvelope", document) if isinstance(document, dict) else None
        if not isinstance(envelope, dict) or "payload" not in envelope:
            if self._keys:
                raise ValueError("It is not signed, and the policy has keys.")
            return _about(document, digest)
        if not self._keys:
            raise ValueError("It is signed, and the policy names no key (“images.keys”) to check that with.")
        statement = read_json(_signed(json.dumps(envelope), self._keys), _LIMITS)
        if not isinstance(statement, dict) or statement.get("_type") not in _STATEMENTS:
            raise ValueError("What is signed is no in-toto statement.")
        subjects = statement.get("subject")
        subjects = subjects if isinstance(subjects, list) else []
        named = [each.get("digest") for each in subjects if isinstance(each, dict)]
        if not any(isinstance(each, dict) and each.get(algorithm(digest)) == digest for each in named):
            raise ValueError("What is signed is about another digest.")
        if not str(statement.get("predicateType", "")).startswith(_PREDICATES):
            raise ValueError("What is signed is no bill of materials and no SLSA provenance v1.")
        return statement.get("predicate")


def _documents(text: str) -> Iterator[Any]:
    """The document of a file, or those in its lines."""
    lines = [each for each in text.split("\n") if each.strip()]
    try:
        yield read_json(lines[0].encode() if len(lines) == 1 else text.encode(), _LIMITS)
    except (UnreadableJson, IndexError):
        if len(lines) < 2 or len(lines) > _MOST_DOCUMENTS:
            raise UnreadableJson("is not JSON, or has too many lines") from None
        yield from [read_json(each.encode(), _LIMITS) for each in lines]


def _signed(envelope: str, keys: Sequence[Any]) -> bytes:
    for number, key in enumerate(keys, 1):
        try:
            return unseal(envelope, PAYLOAD_TYPE, partial(signature_fits, key), what="an in-toto statement")
        except ValueError:
            if number == len(keys):
                raise
    raise ValueError("The policy has no keys.")


def _about(document: Any, digest: Sha256 | Sha512) -> Any:
    """A plain bill of materials, unless it says itself that it is about another image."""
    try:
        shown = str(document["metadata"]["component"]["version"])
    except (KeyError, TypeError):
        return document
    kind, _, value = shown.partition(":")
    if kind == algorithm(digest) and value != digest:
        raise ValueError("It says that it is about another digest.")
    return document
