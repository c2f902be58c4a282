"""``rebuilder quorum``: what several rebuilders say about one file together, signed and logged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.check import PolicyFile, Rebuilders, Seen, whom_to_ask
from rebuilder.errors import ExitCode, SigningError, UsageError
from rebuilder.model.text import visible

if TYPE_CHECKING:
    from rebuilder.config import Config
    from rebuilder.consumer.answer import Vote
    from rebuilder.model.report import Summary
    from rebuilder.model.value import Sha256
    from rebuilder.store.ledger import Ledger


def quorum(
    config: Config,
    subject: Annotated[
        str, typer.Argument(metavar="SHA256|FILE", help="The published file, or its digest.", show_default=False)
    ],
    *,
    rebuilder: Rebuilders = None,
    policy: PolicyFile = None,
    oss_rebuild: Annotated[
        list[str] | None,
        typer.Option("--oss-rebuild", metavar="BUNDLE=KEY", help="A bundle of OSS Rebuild, and the key it must have."),
    ] = None,
    link: Annotated[
        list[str] | None,
        typer.Option("--link", metavar="LINK=KEY", help="An attestation of rebuilderd, and the key it must have."),
    ] = None,
    resource: Annotated[
        str | None, typer.Option("--resource", help="Package URL of the release, where our ledger does not know it.")
    ] = None,
    seen: Seen = None,
) -> int:
    """Say with our key that at least two independent rebuilders made the same bytes, or that they disagree.

    Exit code 0: both statements are signed and logged; 1: the rebuilders disagree, which is signed and logged, and our
    queue has an order to rebuild the file with build environments that are made anew; 2: wrong use; 3: too few
    rebuilders confirm the file.
    """
    moment = datetime.now(UTC)
    sha256 = _digest(subject)
    votes = [
        *_ours(sha256, rebuilder or [], policy, seen, moment),
        *_bundles(sha256, oss_rebuild or []),
        *_links(sha256, link or []),
    ]
    return issue(config, sha256, votes, resource, moment)


def issue(config: Config, sha256: Sha256, votes: Sequence[Vote], resource: str | None, now: datetime) -> int:
    """Count votes about a file, sign and log what follows, and print it; give the exit code.

    Raises:
        UsageError: the votes do not belong together, or nobody says what the file belongs to.
        SigningError, StoreError: it cannot be signed or kept.
    """
    from rebuilder import __version__
    from rebuilder.interop.quorum import NoQuorumError, count, statements
    from rebuilder.signing.envelope import sign_statement
    from rebuilder.wiring import publishing

    with publishing(config) as signer:
        known = _known(signer.ledger, sha256, now)
        about = resource or (known.purl if known is not None else None)
        if about is None:
            raise UsageError("Our ledger does not know this file.", hint="Name its release: --resource pkg:…")
        try:
            counted = count(votes)
            found = statements(counted, signer.builder, __version__, about, now)
        except NoQuorumError as error:
            print(error)  # noqa: T201
            return ExitCode.UNDECIDED
        except ValueError as error:
            raise UsageError(str(error)) from None
        for each in found:
            signer.log.book.issue(signer.signer.key_id, sign_statement(each, signer.signer))
        ordered = _ordered(signer.ledger, known, now) if counted.in_conflict else False
        signer.update_index()
    names = ", ".join(f"{each.voter.name} ({each.voter.lineage})" for each in counted.confirming)
    if counted.in_conflict:
        others = ", ".join(each.voter.name for each in counted.dissenting)
        said = f"The rebuilders disagree: {names} made the same bytes, and {others} did not."
    else:
        said = f"{len(counted.confirming)} independent rebuilders made the same bytes: {names}."
    print(f"{visible(said, 2000)} It is signed and logged.{' A rebuild is queued.' if ordered else ''}")  # noqa: T201
    return ExitCode.DIFFERS if counted.in_conflict else ExitCode.OK


def _digest(subject: str) -> Sha256:
    from rebuilder.model.value import Sha256, is_sha256, sha256_hex

    if is_sha256(subject.lower()):
        return Sha256(subject.lower())
    return sha256_hex(_read(Path(subject)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.") from None


def _ours(
    sha256: Sha256, rebuilders: Sequence[str], policy_file: Path | None, seen: Path | None, now: datetime
) -> list[Vote]:
    """What sites of rebuilders say; one that shows what it must not is told, and nothing is said then."""
    from rebuilder.consumer.answer import Vote
    from rebuilder.consumer.check import Panel
    from rebuilder.log.seen import usual_memory

    _, trusted, others = whom_to_ask(policy_file, rebuilders)
    with Panel(trusted, seen or usual_memory(), now, others) as panel:
        said = panel.ask([sha256])[sha256]
        faults = [*panel.refused, *panel.unread, *(each.sentence for each in said if not isinstance(each, Vote))]
        if faults:
            raise UsageError(f"A rebuilder cannot be counted: {faults[0]}")
        panel.remember()
        return [each for each in said if isinstance(each, Vote)]


def _pair(given: str) -> tuple[Path, Path]:
    """A file, and the key that it must be signed with."""
    file, equals, key = given.rpartition("=")
    if not equals:
        raise UsageError(f"{given!r} names no key.", hint="Write FILE=KEY, with the key as a file.")
    return Path(file), Path(key)


def _bundles(sha256: Sha256, given: Sequence[str]) -> list[Vote]:
    from rebuilder.interop.oss_rebuild import read_bundle

    found = []
    for bundle, key in map(_pair, given):
        try:
            found.append(read_bundle(_read(bundle), _read(key), sha256=sha256))
        except (SigningError, ValueError) as error:
            raise UsageError(f"{bundle}: {error}") from None
    return found


def _links(sha256: Sha256, given: Sequence[str]) -> list[Vote]:
    from rebuilder.interop.rebuilderd.link import link_key_id, read_link, read_public_pem

    found = []
    for link, key in map(_pair, given):
        try:
            public = read_public_pem(_read(key).decode("utf-8", "replace"))
            found.append(read_link(_read(link), {link_key_id(public): public}, sha256=sha256))
        except ValueError as error:
            raise UsageError(f"{link}: {error}") from None
    return found


def _known(ledger: Ledger, sha256: Sha256, now: datetime) -> Summary | None:
    return next((each.verifications[0] for each in ledger.lookup.digest(sha256, now) if each.verifications), None)


def _ordered(ledger: Ledger, known: Summary | None, now: datetime) -> bool:
    """Ask for a rebuild with environments that are made anew, of a file that we know."""
    from rebuilder.model.work import Check, Order, Reason

    if known is None:
        return False
    names = ("ecosystem", "purl", "name", "version", "filename", "sha256")
    about = {name: getattr(known, name) for name in names}
    order = Order.model_validate({**about, "reason": Reason.ASKED, "check": Check.ENVIRONMENT})
    ledger.queue.add([order], now)
    return True
