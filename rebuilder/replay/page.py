"""A report's directory of a site, on disk or by its address, and the site around it; nothing read is believed."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from rebuilder.errors import UsageError
from rebuilder.foreign_json import read_json
from rebuilder.log.entry import KEY, digest_path
from rebuilder.log.proof import LogProof
from rebuilder.model.value import Sha256, is_sha256, sha256_hex
from rebuilder.network.site_reader import SiteReader
from rebuilder.replay.published import Documents

_DEPTH = 5
"""Directories from the root of a site to a report: ecosystem, name, version, file, digest."""
_HINT = "Name report.json or provenance.dsse.json of a report, or the directory they are in: an address, or a path."
_MOST_PROOFS = 200


class PublishedPage:
    """Where the documents of one report are.

    Args:
        place: An http(s) address or a path, of the directory of a report or of a file in it.

    Raises:
        UsageError: it is neither, or leads to no report.
    """

    def __init__(self, place: str) -> None:
        self._closing = ExitStack()
        directory, root = _of_address(place) if "://" in place else _of_path(Path(place))
        self.site = root
        """Address or directory of the site; None where the report is in none."""
        self._page = self._closing.enter_context(SiteReader(directory))
        self._site = self._closing.enter_context(SiteReader(root)) if root is not None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def read(self, name: str) -> bytes | None:
        """A file beside the report; None: there is none.

        Raises:
            UnavailableError: the site does not answer.
        """
        return _read(self._page, name)

    def read_site(self, path: str) -> bytes | None:
        """A file of the site by its path below the root; None: there is none.

        Raises:
            UnavailableError: the site does not answer.
        """
        return _read(self._site, path) if self._site is not None else None

    def documents(self, key: bytes | None) -> Documents:
        """All that is published about the report.

        Args:
            key: The public key to trust (PEM); None: the one that the site has under the name that the statement gives.

        Raises:
            UsageError: there is no such report, nothing was built for it, or its key is not there.
            UnavailableError: the site does not answer.
        """
        verdict, provenance = self.read("verdict.dsse.json"), self.read("provenance.dsse.json")
        if verdict is None:
            raise UsageError("There is no signed verdict.", hint=_HINT)
        if provenance is None:
            raise UsageError("Nothing was built for this report, so there is nothing to run again.")
        said = _payload(verdict)
        key = key or self._key(verdict)
        return Documents(
            provenance=provenance,
            verdict=verdict,
            key=key,
            finishing=self.read(f"finishing-{_decided_by(said) + 1}.json"),
            key_list=self.read_site("keys.json"),
            **self._proof(provenance),
        )

    def _key(self, envelope: bytes) -> bytes:
        try:
            name = str(json.loads(envelope)["signatures"][0]["keyid"])
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            name = ""
        found = self.read_site(f"keys/{name}.pem") if is_sha256(name) else None
        if found is None:
            raise UsageError("The key of the report is not on its site.", hint="Name it: --key FILE.pem")
        return found

    def _proof(self, provenance: bytes) -> dict[str, bytes]:
        """The proof that the statement is in the log of the site, and the key of that log; nothing where it is not."""
        key, subject = self.read_site(KEY), _subject(provenance)
        if key is None or subject is None:
            return {}
        below = digest_path(subject)
        listed = self.read_site(f"{below}/index.json")
        try:
            rows = read_json(listed)["statements"][:_MOST_PROOFS] if listed is not None else []
            names = [f"{int(each['number'])}.tlog-proof" for each in rows]
        except (ValueError, KeyError, TypeError):
            return {}
        for name in names:
            proof = self.read_site(f"{below}/{name}")
            if proof is not None and _is_about(proof, provenance):
                return {"proof": proof, "log_key": key}
        return {}


def _is_about(proof: bytes, envelope: bytes) -> bool:
    try:
        entry = json.loads(LogProof.read(proof).entry or b"")
        return bool(entry["envelope"] == sha256_hex(envelope))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _decided_by(said: dict[str, Any]) -> int:
    """Index of the attempt that the verdict rests on."""
    for each in (said.get("predicate"), *(said.get("predicate") or {}).values()):
        if isinstance(each, dict) and isinstance(each.get("decidedBy"), int):
            return int(each["decidedBy"])
    return 0


def _subject(envelope: bytes) -> Sha256 | None:
    """Digest of the file that a statement is about, unchecked."""
    try:
        digest = str(_payload(envelope)["subject"][0]["digest"]["sha256"])
    except (KeyError, TypeError, IndexError):
        return None
    return Sha256(digest) if is_sha256(digest) else None


def _payload(envelope: bytes) -> dict[str, Any]:
    """What an envelope carries, unchecked; empty where it is none."""
    try:
        found = read_json(base64.b64decode(read_json(envelope)["payload"]))
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(reader: SiteReader, path: str) -> bytes | None:
    try:
        return reader.read(path)
    except FileNotFoundError:
        return None


def _of_address(place: str) -> tuple[str, str]:
    parts = urlsplit(place)
    segments = [each for each in parts.path.split("/") if each]
    if segments and unquote(segments[-1]).endswith((".json", ".html")):
        segments.pop()
    if len(segments) < _DEPTH:
        raise UsageError("That address is not of a report.", hint=_HINT)
    origin = f"{parts.scheme}://{parts.netloc}"
    return "/".join((origin, *segments)), "/".join((origin, *segments[:-_DEPTH]))


def _of_path(path: Path) -> tuple[str, str | None]:
    directory = (path if path.is_dir() else path.parent).absolute()
    if not path.exists():
        raise UsageError(f"There is no {str(path)!r}.", hint=_HINT)
    root = next((each for each in [*directory.parents][:_DEPTH] if (each / "keys").is_dir()), None)
    return str(directory), str(root) if root is not None else None
