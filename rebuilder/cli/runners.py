"""``rebuilder runners`` and ``worker --broker``: whose builds count, and being one who builds."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.db import open_ledger
from rebuilder.cli.options import Log, RunnerKey, json_logs, with_settings
from rebuilder.errors import UsageError

if TYPE_CHECKING:
    from rebuilder.config import Config

_MOST = 64 << 10

runners = typer.Typer(
    help="Enroll, list, revoke or release the runners of a fleet.", no_args_is_help=True, rich_markup_mode=None
)


class Form(StrEnum):
    """How rights are written."""

    SEAWEEDFS = "seaweedfs"
    POLICY = "policy"


_Name = Annotated[str, typer.Argument(metavar="RUNNER", help="Its name, or how its id begins.", show_default=False)]


@with_settings(runners.command("enroll"), "store")
def enroll(
    config: Config,
    name: Annotated[str, typer.Argument(metavar="NAME", help="For people: a-z, 0-9, . and -", show_default=False)],
    file: Annotated[
        Path, typer.Argument(metavar="PUBLIC-KEY", help="As `rebuilder runners key` prints it.", show_default=False)
    ],
) -> None:
    """Let the answers of a runner count.

    Take the key from the machine itself, not from what the fleet shares.
    """
    from pydantic import ValidationError

    from rebuilder.model.fleet import EnrolledRunner, RunnerState
    from rebuilder.signing.runner_key import runner_id
    from rebuilder.store.ledger import Ledger

    try:
        with file.open("rb") as source:
            pem = source.read(_MOST)
        now = datetime.now(UTC)
        runner = EnrolledRunner(
            id=runner_id(pem),
            name=name,
            public_key=pem.decode("ascii"),
            state=RunnerState.ACTIVE,
            enrolled=now,
            changed=now,
        )
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except ValidationError:
        raise UsageError(f"{name[:80]!r} cannot name a runner.", hint="Use a-z, 0-9, dots and hyphens.") from None
    with Ledger.open(config.ledger_place) as ledger:
        ledger.runners.enroll(runner)
    typer.echo(f"{runner.name} is enrolled: {runner.id}.")


@with_settings(runners.command("key"), "store")
def key(
    config: Config,
    *,
    runner_key: RunnerKey = None,
) -> None:
    """Print the public key of this machine as a runner, to be enrolled; the key is made when there is none."""
    from rebuilder.signing.keys import Algorithm, FileKey

    opened = FileKey.open(_key_file(runner_key), Algorithm.ED25519, store=config.store)
    typer.echo(opened.public_pem.decode(), nl=False)


@with_settings(runners.command("list"), "store")
def show(config: Config) -> None:
    """List the runners: state, name, id, when an answer of each counted last, and what is wrong with it."""
    with open_ledger(config) as ledger:
        found = ledger.runners.all()
    for each in found:
        seen = f"{each.seen:%Y-%m-%d %H:%M} UTC" if each.seen is not None else "never"
        reason = f"  {each.reason}" if each.reason else ""
        typer.echo(f"{each.state.value:<11} {each.name:<20} {each.id[:16]}  answered {seen}{reason}")
    if not found:
        typer.echo("No runner is enrolled.")


@with_settings(runners.command("rights"), "store")
def rights(
    config: Config,
    name: Annotated[
        str | None, typer.Argument(metavar="RUNNER", help="Its name, or how its id begins; none: of the service.")
    ] = None,
    *,
    form: Annotated[Form, typer.Option("--form", help="Whose words.")] = Form.SEAWEEDFS,
    principal: Annotated[
        str | None, typer.Option("--principal", help="With --form policy: of the bucket, and about whom.")
    ] = None,
    blobs: Annotated[str | None, typer.Option("--blobs", help="s3://BUCKET/PREFIX; that of the settings.")] = None,
) -> None:
    """Print what credentials of the S3 store must allow to one runner, to be given to its server.

    For SeaweedFS this is an identity with a new secret; it is kept nowhere. A policy is that of a user, as most other
    servers have it.
    """
    import json

    from rebuilder.fleet.rights import policy, seaweedfs

    url = blobs or config.fleet.blobs
    if url is None or not url.startswith("s3://"):
        raise UsageError("Where the fleet shares its blobs is not known.", hint="Say --blobs s3://bucket/prefix.")
    runner_id, called = None, "service"
    if name is not None:
        with open_ledger(config) as ledger:
            runner = ledger.runners.named(name)
        runner_id, called = runner.id, runner.name
    found = seaweedfs(url, called, runner_id) if form is Form.SEAWEEDFS else policy(url, runner_id, principal)
    typer.echo(json.dumps(found, indent=2))


@with_settings(runners.command("revoke"), "store")
def revoke(
    config: Config,
    name: _Name,
    *,
    reason: Annotated[str, typer.Option("--reason", help="For whoever asks later.")] = "By hand.",
) -> None:
    """Never again let an answer of a runner count; a new key is needed to come back."""
    _change(config, name, "revoked", reason)


@with_settings(runners.command("release"), "store")
def release(config: Config, name: _Name) -> None:
    """Let the answers of a quarantined runner count again."""
    _change(config, name, "active", None)


def worker(
    config: Config,
    *,
    broker: Annotated[
        str | None,
        typer.Option("--broker", envvar="REBUILDER_BROKER", help="Of the fleet: redis://… or amqp://…"),
    ] = None,
    blobs: Annotated[str | None, typer.Option("--blobs", help="s3://BUCKET/PREFIX of the fleet.")] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", help="What to take, such as linux-amd64; that of this machine.")
    ] = None,
    runner_key: RunnerKey = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Builds at once.")] = 1,
    log: Log = "text",
) -> None:
    """Be a runner of a fleet: build for a service on another machine.

    It has a key and a directory of its own and no ledger (docs/operate/fleet.md).
    """
    import gc
    import sys

    from rebuilder.fleet.runner_process import RunnerOptions, work
    from rebuilder.model.fleet import this_platform
    from rebuilder.service.logs import configure

    as_json = json_logs(log)
    if broker is None or blobs is None:
        raise UsageError("A runner needs both --broker and --blobs.")
    gc.enable()
    configure(json=as_json, stream=sys.stderr)
    work(
        RunnerOptions(
            broker=broker,
            blobs=blobs,
            queues=tuple(queue or ()) or (this_platform(),),
            store=config.store,
            key=_key_file(runner_key),
            concurrency=concurrency,
        )
    )


def _key_file(given: Path | None) -> Path:
    from rebuilder.config import configuration_directory

    return (given or configuration_directory() / "runner" / "runner.pem").absolute()


def _change(config: Config, name: str, state: str, reason: str | None) -> None:
    from rebuilder.model.fleet import RunnerState

    with open_ledger(config) as ledger:
        runner = ledger.runners.named(name)
        if not ledger.runners.change(runner.id, RunnerState(state), datetime.now(UTC), reason=reason):
            raise UsageError(f"The runner {runner.name} is {runner.state.value}, and stays so.")
    typer.echo(f"{runner.name} is {state}.")
