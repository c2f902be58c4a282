"""``rebuilder replay`` and ``rebuilder export --capsule``: run reports again, and carry them to where that is done."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from rebuilder.atomic_file import replacing
from rebuilder.config import Config
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import ExitCode, UsageError
from rebuilder.model.replay import ReplayOutcome
from rebuilder.model.text import visible
from rebuilder.replay.capsule import ENVIRONMENT_TYPE, Capsule, CapsuleWriter, Layer, pack
from rebuilder.replay.from_settings import replaying
from rebuilder.replay.inputs import chunks_of
from rebuilder.replay.page import PublishedPage
from rebuilder.replay.published import Documents, NotReplayableError, PublishedReport, read_published
from rebuilder.replay.replayer import Replay, Replayer, needed_inputs

_CODES = {
    ReplayOutcome.AGREES: ExitCode.OK,
    ReplayOutcome.VARIES: ExitCode.UNDECIDED,
    ReplayOutcome.NOT_REPLAYED: ExitCode.UNDECIDED,
    ReplayOutcome.DIFFERS: ExitCode.DIFFERS,
}
"""Of several reports, the last in this order is the exit code of the command."""


def replay_reports(
    config: Config,
    reports: Sequence[str],
    *,
    capsules: Sequence[Path],
    inputs: Sequence[Path],
    key: Path | None,
    as_json: bool,
) -> ExitCode:
    """Run reports again, print what came of each, and give the exit code.

    Args:
        config: The settings.
        reports: Addresses or paths; none: those of the capsules.
        capsules: Files or directories.
        inputs: Directories.
        key: Public key that must have signed the reports; None: that of their site.
        as_json: Print an object a line.

    Raises:
        UsageError: a place is none, or a capsule was changed.
        NotReplayableError: a report is not what was signed.
        RebuilderError: something on our side failed.
    """
    trusted = _key(key)
    code = ExitCode.OK
    with ExitStack() as stack:
        opened = [stack.enter_context(Capsule.open(each)) for each in capsules]
        directories = [_directory(each) for each in inputs]
        for page, documents in _asked(reports, opened, trusted):
            with replaying(config, page=page, capsules=opened, directories=directories, note=_note) as (replayer, _):
                one = _replayed(replayer, documents, pinned=key is not None, as_json=as_json)
            code = max(code, one, key=[*_CODES.values()].index)
    return code


def write_capsule(config: Config, reports: Sequence[str], output: Path, key: Path | None) -> None:
    """Write all that reports need into a capsule.

    Args:
        config: The settings.
        reports: Addresses or paths.
        output: A directory, which may have a capsule already; or a file whose name ends in ``.tar``.
        key: Public key that must have signed the reports; None: that of their site.

    Raises:
        UsageError: a report is none, or the capsule cannot be written.
        NotReplayableError: a report is not what was signed, or something it needs cannot be had.
    """
    trusted = _key(key)
    if output.suffix == ".tar":
        if output.exists():
            raise UsageError(f"{output} is there already.", hint="Name a file that does not exist yet.")
        try:
            with tempfile.TemporaryDirectory(prefix=".capsule-", dir=output.absolute().parent) as directory:
                count = _fill(config, reports, Path(directory) / "capsule", trusted)
                with replacing(output) as file:
                    pack(Path(directory) / "capsule", file)
        except OSError as error:
            raise UsageError(f"{output} cannot be written: {error.strerror or error}.") from None
    else:
        count = _fill(config, reports, output, trusted)
    print(f"{visible(str(output))} has all that {count} {'report needs' if count == 1 else 'reports need'}.")  # noqa: T201


def _fill(config: Config, reports: Sequence[str], root: Path, trusted: bytes | None) -> int:
    writer = CapsuleWriter(root)
    for place in reports:
        with (
            PublishedPage(place) as page,
            replaying(config, page=page, capsules=(), directories=(), note=_note) as (replayer, made),
        ):
            documents = page.documents(trusted)
            writer.add([*writer.documents(documents), *_needed(read_published(documents), replayer, made, writer)])
    writer.finish()
    return len(reports)


def _needed(
    report: PublishedReport, replayer: Replayer, made: EnvironmentStore, writer: CapsuleWriter
) -> Iterator[Layer]:
    if missing := replayer.gather(report):
        first = missing[0]
        raise NotReplayableError(f"{first.what} ({first.sha256}) cannot be had: {first.reason}")
    blobs = replayer.inputs.blobs
    for each in needed_inputs(report):
        yield writer.put(f"inputs/{each.sha256}", chunks_of(blobs.path(each.sha256)))
    below = (made.record(tree).base for tree in report.environments)
    for tree in dict.fromkeys([*filter(None, below), *report.environments]):
        title, there = f"environments/{tree}.tar", writer.environment(tree)
        if there is None:
            with tempfile.TemporaryDirectory(prefix=".environment-", dir=writer.root) as directory:
                export = Path(directory) / "export"
                made.export(tree, export)
                there = writer.put(title, chunks_of(export), ENVIRONMENT_TYPE)
        yield there


def _asked(
    reports: Sequence[str], capsules: Sequence[Capsule], trusted: bytes | None
) -> Iterator[tuple[PublishedPage | None, Documents]]:
    """The documents of every report, with the page where they are from one."""
    if not reports and not capsules:
        raise UsageError("What is to be replayed is not said.", hint="Name a report, or a capsule with --capsule.")
    for place in reports:
        with PublishedPage(place) as page:
            yield page, page.documents(trusted)
    for capsule in capsules if not reports else []:
        for manifest in capsule.manifests:
            documents = capsule.documents(manifest)
            yield None, documents if trusted is None else documents.signed_by(trusted)


def _replayed(replayer: Replayer, documents: Documents, *, pinned: bool, as_json: bool) -> ExitCode:
    report = read_published(documents)
    if not as_json:
        vouched = "" if pinned else "; nothing but who gave us the report vouches for that key"
        logged = f" and logged {report.logged:%Y-%m-%d %H:%M} UTC" if report.logged is not None else ""
        print(f"{visible(report.purl)}, {visible(report.filename)}")  # noqa: T201
        print(f"  signed by {report.key_id}{logged}{vouched}", flush=True)  # noqa: T201
    result = replayer.replay(report)
    if as_json:
        print(json.dumps(result.document()), flush=True)  # noqa: T201
    else:
        _show(result, replayer)
    return _CODES[result.outcome]


def _show(result: Replay, replayer: Replayer) -> None:
    words = {
        ReplayOutcome.AGREES: "agreement",
        ReplayOutcome.DIFFERS: "other bytes",
        ReplayOutcome.VARIES: "other bytes each time",
        ReplayOutcome.NOT_REPLAYED: "could not be replayed",
    }
    print(f"  {words[result.outcome]}: {visible(result.sentence, 2000)}", flush=True)  # noqa: T201
    for each in result.missing[1:]:
        print(f"    {visible(each.what)} ({each.sha256}): {visible(each.reason, 500)}")  # noqa: T201
    if result.log is not None:
        print(f"    The log is {visible(str(replayer.inputs.blobs.path(result.log)))}")  # noqa: T201


def _note(what: str) -> None:
    print(f"  {visible(what, 300)}", file=sys.stderr, flush=True)  # noqa: T201


def _key(file: Path | None) -> bytes | None:
    try:
        return file.read_bytes() if file is not None else None
    except OSError as error:
        raise UsageError(f"The key {file} cannot be read: {error.strerror}.") from None


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise UsageError(f"There is no directory {path}.")
    return path
