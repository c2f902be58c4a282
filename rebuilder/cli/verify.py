"""``rebuilder verify``: subjects in, verdicts out, exit code by the worst of them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rebuilder.cli.display import Display
from rebuilder.config import Config
from rebuilder.consumer.lock_files import Dependency, LockedFile, dependencies
from rebuilder.consumer.platform_files import Target
from rebuilder.ecosystems.pypi.platform_tags import LAST, Rank, rank
from rebuilder.ecosystems.pypi.subject import file_version
from rebuilder.ecosystems.registry import ECOSYSTEMS, parse_subject
from rebuilder.errors import ExitCode, RebuilderError, UsageError
from rebuilder.model.accounting import Accounting, Content
from rebuilder.model.artifact import Subject
from rebuilder.model.graph import SourceTrail
from rebuilder.model.replayed import bits_before
from rebuilder.model.report import Report, Stage
from rebuilder.model.text import visible
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Tier
from rebuilder.verification.coordinator import Coordinator, Verified
from rebuilder.verification.signer import Signer
from rebuilder.wiring import Wired, wire, wire_signer

_LONGEST = 200
"""Characters of a path that a message shows."""
_MOST_BYTES = 4 << 30
"""Of a file on disk; no published one is as large."""
SEVERITY = (ExitCode.OK, ExitCode.UNDECIDED, ExitCode.OUR_FAULT, ExitCode.USAGE, ExitCode.DIFFERS)
"""Of several exit codes, the last in this order is the one of the command."""


def verify_subjects(
    config: Config,
    asked: Sequence[str],
    *,
    as_json: bool,
    tier: Tier = Tier.FULL,
    lock_files: Sequence[Path] = (),
    all_files: bool = False,
) -> int:
    """Verify all subjects in order and print what came out; one that fails does not stop the others.

    Args:
        config: Settings.
        asked: Subjects as they were typed.
        as_json: One JSON object a line.
        tier: How thoroughly.
        lock_files: Everything that they ask for, too, with the digests that they pin.
        all_files: Every file of a release, not only what is installed here.

    Raises:
        UsageError: a subject or a lock file cannot be read at all; nothing was done then.
        RebuilderError: the store, the key or the index cannot be used; nothing was done then.
    """
    display = Display(sys.stderr)
    code = ExitCode.OK
    with display, wire(config, display) as parts:
        signer = wire_signer(config, parts)
        subjects = [each for text in asked for each in subjects_of(parts, text)]
        problems: list[tuple[Subject, RebuilderError]] = []
        if lock_files or all_files:
            from rebuilder.consumer.index_names import IndexNames

            with IndexNames(config.index_url) as names:
                if all_files:
                    subjects = [each for subject in subjects for each in every_file(subject, names)]
                for subject, reason in locked_subjects(lock_files, names, all_files=all_files):
                    if reason is None:
                        subjects.append(subject)
                    else:
                        problems.append((subject, reason))
        begun = parts.clock.now()
        for subject in subjects:
            for one in _verify_one(parts, signer, subject, config, display, as_json=as_json, tier=tier, begun=begun):
                code = max(code, one, key=SEVERITY.index)
        for subject, problem in problems:
            code = max(code, _told(subject, problem, display, as_json=as_json), key=SEVERITY.index)
        display.totals()
    return code


def tier_named(text: str) -> Tier:
    """The tier that somebody wrote.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return Tier(text)
    except ValueError:
        raise UsageError(f"{text!r} is no tier; there are {', '.join(Tier)}.") from None


def subjects_of(parts: Wired, text: str) -> list[Subject]:
    """Read one argument: a file on disk if it looks like a path, a name otherwise.

    Raises:
        UsageError: it is malformed, or the file cannot be read.
        UnavailableError: what a file names is looked up, and the registry does not answer.
    """
    path = Path(text)
    files = [name for name, each in ECOSYSTEMS.items() if text.endswith(tuple(each.local_files))]
    documents = [name for name, each in ECOSYSTEMS.items() if path.suffix in each.local_documents]
    if "/" not in text.removeprefix("pkg:") and not files and not documents:
        return [parse_subject(text, parts.ecosystems)]
    if text.startswith(("pkg:", *(f"{name}:" for name in parts.ecosystems))):
        return [parse_subject(text, parts.ecosystems)]
    if documents:
        return parts.ecosystems[documents[0]].named_in(path)
    digest = _digest(path, visible(text))
    named = parts.ecosystems[files[0]].parse(path.name)
    return [named.replace(local_sha256=digest, asked=text)]


def _digest(path: Path, shown: str) -> str:
    """SHA-256 of a published file on disk.

    Raises:
        UsageError: it is not there, is of no kind that can be looked up, or cannot be read.
    """
    hint = "A release is named like this: pypi:idna==3.10"
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
    kinds = {end: (word, each) for each in ECOSYSTEMS.values() for end, word in each.local_files.items()}
    try:
        if not path.exists():
            raise UsageError(f"There is no file {shown}.", hint=hint)
        if not path.is_file() or path.suffix not in kinds:
            documents = (word for each in ECOSYSTEMS.values() for word in each.local_documents.values())
            words = " or a ".join(dict.fromkeys((*(word for word, _ in kinds.values()), *documents)))
            raise UsageError(f"{shown} is not a {words}.", hint=hint)
        word, ecosystem = kinds[path.suffix]
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{shown} has {path.stat().st_size:,} bytes; files up to {_MOST_BYTES:,} bytes are read.")
        with path.open("rb") as file:
            problem = ecosystem.local_problem(file.read(512))
            if problem is not None:
                raise UsageError(f"{shown} is named like a {word}, but is {problem}.", hint=hint)
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{shown} cannot be read: {reason}.", hint=hint) from None


def _verify_one(
    parts: Wired,
    signer: Signer,
    subject: Subject,
    config: Config,
    display: Display,
    *,
    as_json: bool,
    tier: Tier,
    begun: datetime,
) -> Iterable[ExitCode]:
    try:
        for result in Coordinator(parts).verify(subject, signer, tier=tier, asked=begun):
            if as_json:
                print(json.dumps(result_line(result, config.site_directory)), flush=True)  # noqa: T201
            display.result(result, config.site_directory)
            yield _exit_code(result)
    except RebuilderError as error:
        yield _told(subject, error, display, as_json=as_json)


def _told(subject: Subject, error: RebuilderError, display: Display, *, as_json: bool) -> ExitCode:
    """Say why a subject came to nothing."""
    if as_json:
        print(json.dumps(fault_line(subject, error)), flush=True)  # noqa: T201
    display.fault(subject, error)
    return error.exit_code


def _exit_code(result: Verified) -> ExitCode:
    return ExitCode.DIFFERS if result.verdict is None else verdict_code(result.verdict)


def verdict_code(verdict: Verdict) -> ExitCode:
    """The exit code one verdict asks for."""
    if verdict is Verdict.DIFFERS:
        return ExitCode.DIFFERS
    if verdict is Verdict.INFRA_ERROR:
        return ExitCode.OUR_FAULT
    return ExitCode.OK if verdict.confirms else ExitCode.UNDECIDED


_STAGES = (Stage.FETCH, Stage.RESOLVE, Stage.BUILD, Stage.COMPARE)


def result_line(result: Verified, site: Path) -> dict[str, Any]:
    """One artifact as plain JSON types."""
    artifact = result.artifact
    line: dict[str, Any] = {
        "subject": {"purl": artifact.purl, "filename": artifact.filename, "sha256": artifact.sha256},
        "verdict": result.verdict.value if result.verdict else None,
    }
    if result.signed is not None:
        line |= _report_fields(result.signed.report)
    if result.fault is not None:
        line["problem"] = str(result.fault)
    if result.foreign_file is not None:
        line["alarms"] = [result.foreign_file.document()]
    total = sum(result.seconds.values())
    line["seconds"] = {stage.value: round(result.seconds.get(stage, 0.0), 3) for stage in _STAGES} | {
        "total": round(total, 3)
    }
    line["report"] = str(site / result.page / "index.html") if result.page else None
    return line


def fault_line(subject: Subject, error: RebuilderError) -> dict[str, Any]:
    """A subject that came to nothing, as plain JSON types."""
    return {
        "subject": {"asked": subject.asked},
        "verdict": "infra-error" if error.exit_code is ExitCode.OUR_FAULT else None,
        "problem": str(error),
    }


def _report_fields(report: Report) -> dict[str, Any]:
    decision = report.decision
    chosen = report.attempts[decision.attempt] if decision.attempt is not None else None
    comparison = chosen.comparison if chosen else None
    source = report.evidence.source
    return {
        "kind": decision.kind.value if decision.kind else None,
        "sentence": decision.sentence,
        "normalisations": list(comparison.normalisations) if comparison else [],
        "replayed": [each.document() for each in chosen.replayed] if chosen else [],
        "replayed_bits": bits_before(chosen.replayed) if chosen else 0,
        "rebuilt": {"sha256": chosen.rebuilt.sha256} if chosen and chosen.rebuilt else None,
        "definition": chosen.hypothesis.definition.digest if chosen else None,
        "source": {"kind": source.kind.value, "uri": source.uri, "digest": source.digest} if source else None,
        "provenance": _provenance(report),
        "trail": _trail(report),
        "contradictions": list(report.evidence.contradictions),
        "attempts": len(report.attempts),
        "accounting": _accounting(report.accounting),
        "remarks": list(report.remarks),
        "alarms": [alarm.document() for alarm in report.alarms],
    }


def _accounting(accounting: Accounting | None) -> dict[str, Any] | None:
    if accounting is None:
        return None
    return {
        "counts": {how.value: number for how, number in accounting.counts.items()},
        "compiled": [each.path for each in accounting.members if each.kind is Content.COMPILED],
        "unaccounted": [{"path": each.path, "why": each.detail} for each in accounting.accusing],
        "remarks": list(accounting.remarks),
    }


def _provenance(report: Report) -> dict[str, Any]:
    provenance = report.provenance
    if provenance is None:
        return {"status": "unchecked"}
    fields: dict[str, Any] = {"status": provenance.status.value, "sentence": provenance.sentence}
    if provenance.publisher is not None:
        fields["publisher"] = provenance.publisher.document()
        fields |= {"repository": provenance.repository, "commit": provenance.commit}
        times = [each.log_time for each in provenance.results if each.log_time is not None]
        fields["log_time"] = times[0].isoformat() if times else None
    fields["findings"] = [each.document() for each in provenance.findings]
    return fields


def _has_commit(trail: SourceTrail) -> bool:
    """Whether the files of the commit were there to be compared."""
    return any(step.attempts for step in trail.steps if trail.from_commit(step))


def _trail(report: Report) -> dict[str, Any] | None:
    trail = report.trail
    if trail is None:
        return None
    decided = [(step.name, step.decision) for step in trail.steps if step.decision is not None]
    return {
        "origin": trail.origin.document() if trail.origin else None,
        "steps": {name: decision.verdict.value for name, decision in decided},
        "why": {name: decision.sentence for name, decision in decided if not decision.verdict.confirms},
        "disagreement": trail.disagreement,
        "unexplained_files": trail.unexplained if _has_commit(trail) else None,
    }


Names = Callable[[str], dict[str, str]]
"""The file names of a project by their SHA-256, as its index lists them."""


class LockedFileError(RebuilderError):
    """What a lock file asks for is not what is published, or cannot be verified."""

    def __init__(self, sentence: str, code: ExitCode) -> None:
        super().__init__(sentence)
        self.exit_code = code


def locked_subjects(
    files: Sequence[Path], names: Names, *, all_files: bool
) -> Iterator[tuple[Subject, LockedFileError | None]]:
    """What lock files ask for: the file that this platform installs, or all of them.

    Args:
        files: Lock files, as ``rebuilder check`` reads them.
        names: Asked where a lock file has digests without names, or no digests.
        all_files: Every file of every line, whatever the platform.

    Yields:
        A subject, and why it cannot be verified, if it cannot.

    Raises:
        UsageError: a lock file cannot be read, or contradicts itself.
        UnavailableError: the index does not answer.
    """
    target = Target(every=all_files)
    for each in [each for file in files for each in dependencies(file, target)]:  # all are read before any is used
        yield from _subjects(each, names, target)


def _subjects(dependency: Dependency, names: Names, target: Target) -> Iterator[tuple[Subject, LockedFileError | None]]:
    ecosystem = dependency.ecosystem or "pypi"
    plain = Subject(
        ecosystem=ecosystem,
        name=dependency.name,
        version=dependency.version,
        asked=f"{ecosystem}:{dependency.label}",
    )
    if ecosystem != "pypi" and (dependency.version is None or not dependency.from_index):
        sentence = dependency.problem or f"{dependency.place} names no version of it."
        yield plain, LockedFileError(sentence, ExitCode.UNDECIDED)
        return
    if ecosystem != "pypi":
        # A release has one file; where a lock file allows several, any of them may be it.
        allowed = {each.sha512 for each in dependency.files}
        yield plain.replace(local_sha512=allowed.pop() if len(allowed) == 1 else None), None
        return
    if dependency.problem is not None and dependency.version is None:
        yield plain, LockedFileError(dependency.problem, ExitCode.UNDECIDED)
        return
    files = list(dependency.files)
    if not files or any(each.filename is None for each in files):
        listed = {sha256: name for sha256, name in names(dependency.name).items() if _is_of(name, dependency)}
        pinned = [each.sha256 for each in files if each.sha256 is not None]
        if pinned and not listed.keys() & set(pinned):
            sentence = f"The index lists no file of {dependency.label} with a digest that {dependency.place} asks for."
            yield plain, LockedFileError(sentence, ExitCode.DIFFERS)
            return
        wanted = {sha256: name for sha256, name in listed.items() if not pinned or sha256 in pinned}
        files = [LockedFile(name, sha256) for sha256, name in wanted.items()]  # type: ignore[arg-type]
    chosen = target.installed(files).files
    if not chosen:
        sentence = f"None of the {len(files)} files of {dependency.label} fits this platform."
        yield plain, LockedFileError(sentence, ExitCode.UNDECIDED)
    for each in chosen:
        asked = f"{ecosystem}:{dependency.label} ({each.filename})"
        named = plain.replace(filename=each.filename, asked=asked)
        yield named.replace(local_sha256=each.sha256, local_sha512=each.sha512), None


def every_file(subject: Subject, names: Names) -> list[Subject]:
    """A subject for each file of a release, the one that is installed here first.

    Raises:
        UsageError: it names no release of Python's index.
        UnavailableError: the index does not answer.
    """
    if subject.ecosystem != "pypi" or subject.version is None or subject.filename is not None:
        raise UsageError(
            f"{subject.asked!r} does not name a release whose files are known.",
            hint="--all-files is for releases such as pypi:numpy==2.3.5, and for lock files.",
        )
    dependency = Dependency("pypi", subject.name, subject.version, "")
    found = sorted((name for name in names(subject.name).values() if _is_of(name, dependency)), key=_order)
    return [subject.replace(filename=name, asked=f"{subject.asked} ({name})") for name in found] or [subject]


def _order(filename: str) -> tuple[Rank, str]:
    return rank(filename) or LAST, filename


def _is_of(filename: str, dependency: Dependency) -> bool:
    """Whether a file is of the release, by its name."""
    from packaging.version import InvalidVersion, Version

    found = file_version(filename)
    try:
        return found is not None and dependency.version is not None and found[1] == Version(dependency.version)
    except InvalidVersion:
        return False
