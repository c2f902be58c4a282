"""Looks into an incident: whether files are what their sources give, what shares anything with them, what to revoke.

Everything comes from the ledger, through indexes; what is long is cut off with its whole number told, so that an answer
takes seconds however much was verified. Nothing is changed here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rebuilder import __version__
from rebuilder.ecosystems.registry import ECOSYSTEMS, conventions
from rebuilder.errors import UsageError
from rebuilder.model.definition import Role
from rebuilder.model.incident import Answer, Incident, Named, Proposal, Shared, Touched, What
from rebuilder.model.replay import ReplayOutcome
from rebuilder.model.report import Report, SignedReport
from rebuilder.model.sbom import build_dependencies, release_key
from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256, is_sha256
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Order
from rebuilder.signing.key_list import KeyList, KeyListError
from rebuilder.signing.statements import Builder, rfc3339
from rebuilder.signing.vocabulary import INCIDENT_TYPE, STATEMENT_TYPE
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.component_book import (
    Files,
    naming,
    of_releases,
    published_by,
    run_by,
    signed_with,
    with_bytes,
)

MOST_FILES = 100
"""Files that are listed of those that have something in common with what is asked about."""
_MOST_SHARED = 10
"""The same for what a file under suspicion shares with others."""
_MOST_SUSPECTS = 50
_MOST_ANSWERS = 5
"""Files of one release of which it is told what they share with others."""
_MOST_DEPENDENCIES = 200
_VERSION = re.compile(r"[!-~]{1,200}")
_PREFIX = re.compile(r"[0-9a-f]{8,63}")
_HINT = "Name a digest (SHA-256), a release (pkg:pypi/idna@3.10), a key, a runner, a build environment, or a file."
_PROGRAMS = {Role.PROGRAM, Role.PARAMETERS}
"""Inputs that we made ourselves."""


@dataclass(frozen=True)
class Investigator:
    """Answers from one ledger.

    Args:
        ledger: Of what was verified here.
        keys: The list of keys, if there is one.
        environments: Names of the build environments of this machine, by the digests of their trees.
        since: Of a runner or a key, only what it did from then on.
    """

    ledger: Ledger
    keys: KeyList | None = None
    environments: Mapping[Sha256, str] = field(default_factory=dict)
    since: datetime | None = None

    def look(self, asked: str, now: datetime) -> Incident:
        """Everything that is known about what somebody names.

        Raises:
            UsageError: it is nothing that can be asked about.
            StoreError: the ledger cannot be read.
        """
        suspects = self._suspects(asked)
        answers: list[Answer] = []
        shared: list[Shared] = []
        for each in suspects:
            if each.what is not What.ARTIFACT:
                shared.append(self._shared(each, self.files(each), MOST_FILES))
                continue
            for row in self.ledger.component_book.newest(with_bytes(each.digest), _MOST_SUSPECTS):
                if row.filename == each.name and (signed := self.ledger.signed_report(row)) is not None:
                    answers.append(self._answer(Touched.of(row), signed))
                    shared += self._shared_by(signed) if len(answers) <= _MOST_ANSWERS else ()
        return Incident(
            asked=clipped(asked, 300),
            suspects=tuple(suspects),
            answers=tuple(answers),
            shared=tuple({(each.what, each.name, each.digest): each for each in shared}.values()),
            proposals=tuple(self._proposals(suspects, answers)),
            looked=now,
        )

    def files(self, suspect: Named) -> Files:
        """The files that something under suspicion had a part in."""
        match suspect.what:
            case What.KEY:
                return signed_with(suspect.digest, self.since)
            case What.RUNNER:
                return run_by(suspect.digest, self.since)
            case What.ARTIFACT:
                return with_bytes(suspect.digest)
            case _:
                return naming(self._reached(suspect.digest))

    def orders(self, incident: Incident) -> list[Order]:
        """Orders to verify again all files that what is under suspicion had a part in."""
        found = [order for each in incident.suspects for order in self.ledger.component_book.orders(self.files(each))]
        return list({(each.purl, each.filename): each for each in found}.values())

    def _reached(self, digest: str) -> set[str]:
        """What reports name where something was used: itself, environments it is in, and those that lie over them."""
        found = {digest}
        for _ in range(2):
            found |= {each.reached for one in found for each in self.ledger.component_book.components(sha256=one)}
        return found

    def _suspects(self, asked: str) -> list[Named]:
        if is_sha256(asked):
            return self._by_digest(Sha256(asked))
        if (purls := _release(asked)) is not None:
            rows = self.ledger.component_book.newest(of_releases(purls), _MOST_SUSPECTS)
            files = [Named(what=What.ARTIFACT, name=each.filename, digest=Sha256(each.sha256)) for each in rows]
            parts = dict.fromkeys(
                (each.purl, each.sha256) for each in self.ledger.component_book.components(purls=purls)
            )
            known = {each.digest for each in files}
            others = [
                Named(what=What.DEPENDENCY, name=purl, digest=Sha256(sha256))
                for purl, sha256 in parts
                if sha256 not in known or self.ledger.component_book.counts([sha256]).get(sha256, 0) > 1
            ]
            return [*files, *others[:_MOST_SUSPECTS]]
        return self._by_name(asked)

    def _by_digest(self, digest: Sha256) -> list[Named]:
        book = self.ledger.component_book
        found = [
            Named(what=What.ARTIFACT, name=each.filename, digest=digest)
            for each in book.newest(with_bytes(digest), _MOST_SUSPECTS)
        ]
        if book.signed_by(digest) is not None or (self.keys is not None and digest in self.keys.keys):
            found.append(Named(what=What.KEY, name=digest, digest=digest))
        if (runner := self.ledger.runners.get(digest)) is not None:
            found.append(Named(what=What.RUNNER, name=runner.name, digest=digest))
        if digest in self.environments or book.is_environment(digest):
            name = self.environments.get(digest, "an environment")
            found.append(Named(what=What.ENVIRONMENT, name=name, digest=digest))
        elif not found or book.counts([digest]).get(digest, 0) > 1:
            parts = [each.purl for each in book.components(sha256=digest)]
            if parts or book.known(digest):
                named = parts[0] if parts else "a file that builds read or gave"
                found.append(Named(what=What.DEPENDENCY, name=named, digest=digest))
        return found

    def _by_name(self, asked: str) -> list[Named]:
        found = [
            Named(what=What.ENVIRONMENT, name=name, digest=digest)
            for digest, name in self.environments.items()
            if asked == name or (_PREFIX.fullmatch(asked) and digest.startswith(asked))
        ]
        if self.keys is not None and _PREFIX.fullmatch(asked):
            named = [Sha256(each) for each in self.keys.keys if each.startswith(asked)]
            found += [Named(what=What.KEY, name=each, digest=each) for each in named]
        try:
            runner = self.ledger.runners.named(asked)
            found.append(Named(what=What.RUNNER, name=runner.name, digest=Sha256(runner.id)))
        except UsageError:
            if not found:
                raise UsageError(f"Nothing here is called {clipped(asked, 80)!r}.", hint=_HINT) from None
        return found[:_MOST_SUSPECTS]

    def _answer(self, file: Touched, signed: SignedReport) -> Answer:
        verdict, sentence = file.verdict, signed.report.decision.sentence
        try:
            if self.keys is not None and signed.key_id in self.keys.keys:
                self.keys.judge(signed.key_id, file.finished)
        except KeyListError as error:
            return Answer(file=file, from_source="not known", sentence=str(error))
        if verdict.confirms:
            return Answer(file=file, from_source="yes", sentence=sentence)
        return Answer(file=file, from_source="no" if verdict is Verdict.DIFFERS else "not known", sentence=sentence)

    def _shared(self, one: Named, files: Files, most: int) -> Shared:
        book = self.ledger.component_book
        rows = [Touched.of(each) for each in book.newest(files, most)]
        return Shared(what=one.what, name=one.name, digest=one.digest, total=book.count(files), files=tuple(rows))

    def _shared_by(self, signed: SignedReport) -> list[Shared]:
        """What a file has in common with others."""
        report = signed.report
        artifact, book = report.artifact, self.ledger.component_book
        suspects = [Named(what=What.KEY, name=signed.key_id, digest=Sha256(signed.key_id))]
        suspects += [
            Named(what=What.ENVIRONMENT, name=each.name, digest=Sha256(each.sha256)) for each in report.toolchains
        ]
        suspects += [
            Named(what=What.RUNNER, name=name, digest=Sha256(identifier))
            for identifier, name in book.runners_of(artifact.sha256).items()
        ]
        found = [self._shared(each, self.files(each), _MOST_SHARED) for each in suspects]
        name = conventions(artifact.ecosystem).canonical_name(artifact.name)
        if (publisher := self.ledger.remembered_publisher(artifact.ecosystem, name)) is not None:
            files = published_by(publisher)
            rows = tuple(Touched.of(each) for each in book.newest(files, _MOST_SHARED))
            who = publisher.repository or publisher.account or publisher.issuer
            found.append(Shared(what=What.PUBLISHER, name=who, total=book.count(files), files=rows))
        inputs = _inputs(report)
        totals = book.counts(list(inputs))
        read = [
            Shared(what=What.DEPENDENCY, name=inputs[digest], digest=Sha256(digest), total=total)
            for digest, total in sorted(totals.items(), key=lambda pair: (pair[1], inputs[pair[0]]))
        ]
        return [*found, *read[:_MOST_DEPENDENCIES]]

    def _proposals(self, suspects: Iterable[Named], answers: Iterable[Answer]) -> Iterable[Proposal]:
        for each in suspects:
            short = each.digest[:16]
            if each.what is What.KEY and (since := self.ledger.component_book.signed_by(each.digest)) is not None:
                moment = f"{since:%Y-%m-%dT%H:%M:%S}"
                yield Proposal(
                    command=f'rebuilder keys revoke {short} --since {moment} --reason "…"',
                    reason="If somebody else may have had it; the time is that of its first statement: name a later "
                    "one where it is known to have been safe until then.",
                )
            elif each.what is What.RUNNER:
                runner = self.ledger.runners.get(each.digest)
                if runner is not None and runner.state.value != "revoked":
                    yield Proposal(
                        command=f"rebuilder runners revoke {each.name}",
                        reason="If its machine is not known to be sound; its answers never count again.",
                    )
                yield Proposal(
                    command=f"rebuilder incident {each.name} --recheck",
                    reason="Afterwards, so that everything it had a hand in is verified again, by others.",
                )
            elif each.what is What.ENVIRONMENT:
                yield Proposal(
                    command=f"rebuilder environments make {each.name} --again",
                    reason="If its packages or its tree are not to be trusted; it is made of what the archive has now.",
                )
            elif each.what is What.DEPENDENCY:
                yield Proposal(
                    command=f"rebuilder incident {each.digest} --recheck",
                    reason="Only if the files built with it may come out otherwise now. Verdicts say that a file "
                    "follows from its source and these inputs, which stays true of bad inputs: nothing is to be "
                    "revoked for it here; whoever published those files has to.",
                )
        for answer in answers:
            if answer.from_source == "no":
                yield Proposal(
                    command=f"rebuilder explain {answer.file.purl}",
                    reason="It does not come out of its source: find out why before it is called malicious.",
                )


def contradicted(answers: Iterable[Answer]) -> list[Proposal]:
    """What to do where running a report again gives other bytes than were signed."""
    return [
        Proposal(
            command=f"rebuilder incident {each.file.sha256} --recheck",
            reason=f"{each.file.filename} does not come out as it was signed: who made that run, or this machine, is "
            "not sound. Revoke the runners that are listed, if any, first.",
        )
        for each in answers
        if each.again is not None and each.again.outcome is ReplayOutcome.DIFFERS
    ]


def incident_statement(incident: Incident, builder: Builder) -> dict[str, Any]:
    """What was found as an in-toto statement about everything under suspicion (docs/predicates/incident-v1.md)."""
    suspects = {each.digest: each.name for each in incident.suspects}
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest}} for digest, name in suspects.items()],
        "predicateType": INCIDENT_TYPE,
        "predicate": {
            "verifier": {"id": builder.id, "version": {"rebuilder": __version__}},
            "timeCreated": rfc3339(incident.looked),
            "incident": incident.document(),
        },
    }


def _release(asked: str) -> Collection[str] | None:
    """The spellings of a package URL that somebody gave, or meant with ``pypi:idna==3.10``; None: it is something else.

    Raises:
        UsageError: it begins as one, and names no release.
    """
    ecosystem, colon, rest = asked.partition(":")
    name, equals, version = rest.partition("==")
    try:
        if asked.startswith("pkg:"):
            return dict.fromkeys((asked, release_key(asked)))
        if not (colon and equals and ecosystem in ECOSYSTEMS):
            return None
        rules = conventions(ecosystem)
        if rules.is_name(name) and _VERSION.fullmatch(version):
            written = f"{rules.distribution or ''}/{quote(rules.canonical_name(name))}"
            return [release_key(f"pkg:{ecosystem}/{written.lstrip('/')}@{quote(version)}")]
    except ValueError:
        pass
    raise UsageError(f"{clipped(asked, 80)!r} names no release.", hint="Write pkg:pypi/idna@3.10, or pypi:idna==3.10.")


def _inputs(report: Report) -> dict[str, str]:
    """Digest and name of what the builds of a report read, but for what we made ourselves."""
    found: dict[str, str] = {}
    for attempt in report.attempts:
        definition = attempt.hypothesis.definition
        purls = {each.path: purl for purl, each in build_dependencies(definition).items()}
        for each in definition.inputs:
            if each.role not in _PROGRAMS:
                found[each.sha256] = purls.get(each.path, each.name)
    return found
