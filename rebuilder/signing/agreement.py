"""Does what the ledger says agree with what was signed? Asked before anything is published.

Whoever can write to the ledger can change a report, or a verdict in a list, but not sign: the key is elsewhere, and
which public keys are ours is read beside it. What can still be done is to leave out what was signed last.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from sys import intern
from typing import Any, NamedTuple

from rebuilder.errors import CorruptStoreError, SigningError
from rebuilder.log.entry import LogEntry
from rebuilder.model.provenance import ProvenanceStatus
from rebuilder.model.replayed import When
from rebuilder.model.report import Report, SignedReport, Summary, summarise
from rebuilder.model.value import sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.signing.envelope import statement_of, verify
from rebuilder.signing.key_directory import KeyDirectory
from rebuilder.signing.key_list import KeyList, KeyListError
from rebuilder.signing.vocabulary import findings_of

_HINT = "Restore the ledger from a backup, or verify the file again; then look for who can write to the ledger."


class Beyond(NamedTuple):
    """What a statement says beyond the row of a ledger; see :class:`Summary`."""

    cause: str | None
    environment: str | None
    publisher: str | None


class Agreement:
    """Compares reports and rows with statements.

    Args:
        keys: Our public keys (PEM) by their identifier, those that were replaced too.
        directory: Where the list of keys is, if there is one.
    """

    def __init__(self, keys: Mapping[str, bytes], directory: KeyDirectory | None = None) -> None:
        self.keys = keys
        self._directory = directory
        self._checked: set[bytes] = set()
        """Digests of envelopes, with the names of their keys, whose signatures fit."""

    def check_summary(self, summary: Summary, envelope: str, key_id: str) -> Beyond:
        """Make sure that a row says what the statement about it says; give what only the statement says.

        Raises:
            CorruptStoreError: it does not, or the statement is not ours.
        """
        said = self._compare(summary, self._statement(summary.filename, envelope, key_id))
        name, digest = (_at(said, "environment", *where) for where in (("name",), ("digest", "sha256")))
        verified = _at(said, "upstream", "status") == ProvenanceStatus.VERIFIED.value
        return Beyond(
            _text(_at(said, "cause")),
            _text(f"{name}@{digest}" if name and digest else None),
            _text(_at(said, "upstream", "publisher", "repository") if verified else None),
        )

    def check_report(self, signed: SignedReport) -> None:
        """Make sure that a report is the one that was signed, byte for byte.

        Raises:
            CorruptStoreError: it is not, or its statements are not ours.
        """
        report, name = signed.report, signed.report.artifact.filename
        statement = self._statement(name, signed.vsa, signed.key_id)
        said = self._compare(summarise(report), statement)
        promised = _at(said, "report", "digest", "sha256")
        if promised is None:  # signed before statements named their report
            if _attempts(said.get("attempts")) != [_attempt(report, number) for number in range(len(report.attempts))]:
                raise _disagreement(name, "other attempts")
        elif promised != sha256_hex(signed.report_bytes):
            raise _disagreement(name, "another report")
        if signed.provenance is not None:
            self._statement(name, signed.provenance, signed.key_id)
            listed = [_at(each, "digest", "sha256") for each in _list(_at(statement, "predicate", "inputAttestations"))]
            if sha256_hex(signed.provenance.encode()) not in listed:
                raise _disagreement(name, "another statement on how it was built")

    def entry(self, envelope: str, key_id: str, now: datetime) -> LogEntry:
        """The entry of the log for a statement, or a list of keys, that is ours.

        Raises:
            CorruptStoreError: it is not; or its key is not good any more, and nobody would believe it.
        """
        for document in self._directory.documents().values() if self._directory is not None else ():
            if document == envelope.encode():
                return LogEntry.of_key_list(envelope, list(KeyList.read(document, None).keys), now)
        self._statement("a file", envelope, key_id)
        try:
            if self._directory is not None and (listed := self._directory.newest()) is not None:
                listed.judge(key_id, now)
        except KeyListError as error:
            raise CorruptStoreError(f"A statement is not logged: {error}", hint=_HINT) from None
        return LogEntry.of(envelope, now)

    def counts(self, envelope: str, key_id: str, entry: bytes) -> bool:
        """Whether a statement of no verification is ours, and its key was good when it was logged.

        Raises:
            CorruptStoreError: it is not the one that was logged, or is not ours.
        """
        logged = LogEntry.read(entry)
        if logged.envelope != sha256_hex(envelope.encode()):
            raise CorruptStoreError("A statement in the ledger is not the one that was logged.", hint=_HINT)
        self._statement("an incident", envelope, key_id)
        try:
            if self._directory is not None and (listed := self._directory.newest()) is not None:
                listed.judge(key_id, logged.logged)
        except KeyListError:
            return False
        return True

    def _statement(self, filename: str, envelope: str, key_id: str) -> dict[str, Any]:
        key = self.keys.get(key_id)
        if key is None:
            raise CorruptStoreError(
                f"The statement on {filename} names a key that is not ours ({key_id[:16]}…).",
                hint="Put the public key of that time beside the signing key, as NAME.public.pem; if there never was "
                "such a key, look for who can write to the ledger.",
            )
        digest = sha256(f"{key_id} {envelope}".encode("utf-8", "surrogatepass")).digest()
        try:
            statement = statement_of(envelope) if digest in self._checked else verify(envelope, key)
        except (SigningError, ValueError) as error:
            raise _not_ours(filename, error) from None
        self._checked.add(digest)
        return statement

    def _compare(self, summary: Summary, statement: dict[str, Any]) -> dict[str, Any]:
        """Compare a row with a statement; give what the statement says beyond PASSED and FAILED."""
        try:
            said, predicate = findings_of(statement), statement["predicate"]
        except SigningError as error:
            raise _not_ours(summary.filename, error) from None
        subject = next(iter(_list(statement.get("subject"))), None)
        finished = summary.finished.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        pairs: dict[str, tuple[Any, Any]] = {
            "another verdict": (said.get("verdict"), summary.verdict.value),
            "another kind of verdict": (said.get("kind"), summary.kind.value if summary.kind else None),
            "another reason": (said.get("sentence"), summary.sentence),
            "another file": (_at(subject, "name"), summary.filename),
            "other bytes": (_at(subject, "digest", "sha256"), summary.sha256),
            "another release": (predicate.get("resourceUri"), summary.purl),
            "another time": (predicate.get("timeVerified"), finished),
            "another level": (_written(said), summary.written),
        }
        if isinstance(named := said.get("artifact"), dict):  # not in statements from before it was listed
            shown = {"ecosystem": summary.ecosystem, "name": summary.name, "version": summary.version}
            pairs["another project"] = (named, shown)
        for what, (signed, kept) in pairs.items():
            if signed != kept:
                raise _disagreement(summary.filename, what)
        return said


def _disagreement(filename: str, what: str) -> CorruptStoreError:
    return CorruptStoreError(
        f"The ledger says other than what was signed about {filename}: {what}. It is not published.", hint=_HINT
    )


def _not_ours(filename: str, error: Exception) -> CorruptStoreError:
    return CorruptStoreError(f"The statement on {filename} is not one of ours: {error}", hint=_HINT)


def _written(said: dict[str, Any]) -> bool:
    """Whether recorded metadata was written into the finished archive; see :attr:`Report.written`."""
    after = (_at(each, "when") == When.FINISHED_ARCHIVE.value for each in _list(said.get("replayed")))
    return said.get("verdict") == Verdict.REPRODUCED.value and any(after)


def _attempt(report: Report, number: int) -> tuple[object, ...]:
    attempt = report.attempts[number]
    rebuilt = attempt.rebuilt.sha256 if attempt.rebuilt is not None else None
    return attempt.hypothesis.definition.digest, attempt.run.outcome.value, rebuilt


def _attempts(listed: object) -> list[tuple[object, ...]]:
    return [
        (_at(each, "definition", "digest", "sha256"), _at(each, "outcome"), _at(each, "rebuilt", "digest", "sha256"))
        for each in _list(listed)
    ]


def _at(document: object, *names: str) -> Any:
    """What stands at a place in a document; None when nothing does."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _text(value: object) -> str | None:
    """Few values are those of many files: each is kept once."""
    return intern(value) if isinstance(value, str) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
