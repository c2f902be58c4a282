"""The ``rebuilder`` command: options, exit codes, and errors as sentences."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from rebuilder.cli.check import check
from rebuilder.cli.export import export
from rebuilder.cli.keys import keys
from rebuilder.cli.log import log_commands
from rebuilder.cli.options import Index, Keys, Log, Schedules, Settings, SiteDirectory, Store
from rebuilder.cli.proxy import proxy
from rebuilder.cli.quorum import quorum
from rebuilder.cli.replay import replay
from rebuilder.cli.runners import incident, runners
from rebuilder.errors import ExitCode, RebuilderError, UsageError, missing_extra

_INTERRUPTED = 130
_PIPE_CLOSED = 141
"""What shells report of programs that a signal ended: 128 and its number."""

app = typer.Typer(
    name="rebuilder",
    help="Rebuild published packages in a sandbox, compare them byte for byte, and sign what was found.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

trust = typer.Typer(
    help="Show or refresh whom attestations are judged by.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(trust, name="trust")
app.command()(check)
app.command()(proxy)
app.command()(export)
app.command()(quorum)
app.command()(replay)

alarms = typer.Typer(help="List or acknowledge alarms.", rich_markup_mode=None)
app.add_typer(alarms, name="alarms")

db = typer.Typer(help="Move the ledger to another database.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(db, name="db")

app.add_typer(runners, name="runners")
app.add_typer(incident, name="incident")
app.add_typer(keys, name="keys")

environments = typer.Typer(
    help="List, make, export or import build environments.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(environments, name="environments")

app.add_typer(log_commands, name="log")


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _json_logs(log: str) -> bool:
    if log not in {"text", "json"}:
        raise UsageError(f"The log is written as text or json, not as {log!r}.")
    return log == "json"


def _print_version(asked: bool) -> None:
    if asked:
        from rebuilder import __version__

        typer.echo(f"rebuilder {__version__}")
        raise typer.Exit


@app.callback()
def _callback(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command()
def verify(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUBJECT…",
            help="pypi:idna==3.10, pkg:pypi/idna@3.10, npm:sigstore==2.1.0, a wheel on disk.",
            show_default=False,
        ),
    ] = None,
    *,
    requirement: Annotated[
        list[Path] | None,
        typer.Option("--requirement", "-r", metavar="LOCKFILE", help="What a lock file installs here; as for check."),
    ] = None,
    all_files: Annotated[
        bool, typer.Option("--all-files", help="Every file of a release, not only the one for this platform.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")] = False,
    tier: Annotated[
        str,
        typer.Option(
            "--tier",
            help="quick: the first hypothesis, from the published source archive; what it does not confirm is looked "
            "at in full. source: all hypotheses from that archive; no repository is asked. full: the commit, too.",
        ),
    ] = "full",
    quick: Annotated[bool, typer.Option("--quick", help="The same as --tier quick.")] = False,
    sandbox: Annotated[
        str | None,
        typer.Option("--sandbox", help="bubblewrap, or uml: a kernel of its own for every build, a second slower."),
    ] = None,
    store: Store = None,
    keys: Keys = None,
    site: SiteDirectory = None,
    config: Settings = None,
    index_url: Index = None,
) -> None:
    """Rebuild releases and say whether they come out the same.

    Exit code 0: everything is reproduced or equivalent; 1: something differs; 2: wrong use; 3: something
    could not be decided; 4: something on our side failed.
    """
    from rebuilder.cli.verify import tier_named, verify_subjects
    from rebuilder.config import load_config
    from rebuilder.model.work import Tier

    overrides = {"store": store, "keys": keys, "site": site, "index_url": index_url, "sandbox": sandbox}
    if not subjects and not requirement:
        raise UsageError("Nothing is to be verified.", hint="Name a release (pypi:idna==3.10), a file, or -r LOCKFILE.")
    settings, thoroughness = load_config(config, overrides), Tier.QUICK if quick else tier_named(tier)
    code = verify_subjects(
        settings, subjects or [], as_json=json, tier=thoroughness, lock_files=requirement or [], all_files=all_files
    )
    raise typer.Exit(code)


@app.command()
def explain(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="As for verify.", show_default=False)],
    *,
    vary: Annotated[
        bool, typer.Option("--vary", help="Build again with one factor changed at a time, and name those that matter.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")] = False,
    store: Store = None,
    keys: Keys = None,
    site: SiteDirectory = None,
    config: Settings = None,
    index_url: Index = None,
) -> None:
    """Say why a file does not come out the same, and what to change.

    What was verified before is explained from its report; otherwise it is verified first. Exit codes as for verify.
    """
    from rebuilder.cli.explain import explain as explain_subject
    from rebuilder.config import load_config

    overrides = {"store": store, "keys": keys, "site": site, "index_url": index_url}
    raise typer.Exit(explain_subject(load_config(config, overrides), subject, vary=vary, as_json=json))


@app.command()
def publish(
    *,
    store: Store = None,
    keys: Keys = None,
    site: SiteDirectory = None,
    config: Settings = None,
) -> None:
    """Write the whole static site from what is stored."""
    from rebuilder.cli.db import NOTHING_STORED, refuse_missing
    from rebuilder.config import load_config
    from rebuilder.wiring import publishing

    settings = load_config(config, {"store": store, "keys": keys, "site": site})
    refuse_missing(settings.ledger_place, hint=NOTHING_STORED)
    with publishing(settings) as signer:
        count = signer.publish_all()
    typer.echo(
        f"{count} artifact {'page' if count == 1 else 'pages'} written; open {settings.site_directory}/index.html"
    )


@app.command()
def serve(
    *,
    schedules: Schedules = None,
    listen: Annotated[
        str | None, typer.Option("--listen", help="Address and port of the HTTP server, such as 127.0.0.1:8080.")
    ] = None,
    log: Log = "text",
    store: Store = None,
    keys: Keys = None,
    site: SiteDirectory = None,
    config: Settings = None,
    index_url: Index = None,
) -> None:
    """Watch, verify, publish and raise alarms, until it is stopped.

    What is watched is in the files of the directory of schedules; see docs/schedules.md.
    """
    from rebuilder.cli.serve import run_service
    from rebuilder.config import load_config, with_listen

    json_logs = _json_logs(log)
    overrides = {"store": store, "keys": keys, "site": site, "index_url": index_url, "schedules": schedules}
    run_service(with_listen(load_config(config, overrides), listen), json_logs=json_logs)


@app.command()
def worker(
    *,
    broker: Annotated[
        str | None,
        typer.Option("--broker", envvar="REBUILDER_BROKER", help="Of the fleet: redis://… or amqp://…"),
    ] = None,
    blobs: Annotated[str | None, typer.Option("--blobs", help="s3://BUCKET/PREFIX of the fleet.")] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", help="What to take, such as linux-amd64; that of this machine.")
    ] = None,
    runner_key: Annotated[
        Path | None, typer.Option("--runner-key", help="Key of the runner; made on first use, outside the store.")
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Builds at once.")] = 1,
    log: Log = "text",
    store: Store = None,
    config: Settings = None,
    index_url: Index = None,
) -> None:
    """Be a runner of a fleet: build for a service on another machine.

    It has a key and a directory of its own and no ledger (docs/operate/fleet.md).
    """
    from rebuilder.cli.runners import run_runner
    from rebuilder.config import load_config

    run_runner(
        load_config(config, {"store": store, "index_url": index_url}),
        broker=broker,
        blobs=blobs,
        queues=queue or [],
        key=runner_key,
        concurrency=concurrency,
        json_logs=_json_logs(log),
    )


@app.command()
def schedules(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIRECTORY]", help="Normally taken from the settings.", show_default=False)
    ] = None,
    *,
    schedules: Schedules = None,
    config: Settings = None,
) -> None:
    """Print what is watched and when, and every mistake.

    Exit code 2 if there is a mistake in a file.
    """
    from rebuilder.cli.schedules import show
    from rebuilder.clock import SystemClock
    from rebuilder.config import load_config

    settings = load_config(config, {"schedules": directory or schedules})
    raise typer.Exit(show(settings.schedules_directory, SystemClock()))


@alarms.callback(invoke_without_command=True)
def alarms_show(
    context: typer.Context,
    *,
    all: Annotated[bool, typer.Option("--all", help="Also those that are acknowledged or have passed.")] = False,  # noqa: A002
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")] = False,
    store: Store = None,
    config: Settings = None,
) -> None:
    """List the alarms somebody has to look at, or acknowledge one."""
    if context.invoked_subcommand is not None:
        return
    from rebuilder.cli.alarms import show
    from rebuilder.config import load_config

    raise typer.Exit(show(load_config(config, {"store": store}), as_json=json, all=all))


@alarms.command("acknowledge")
def alarms_acknowledge(
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", help="From the list.", show_default=False)],
    *,
    note: Annotated[str | None, typer.Option("--note", help="What you found, or did.")] = None,
    by: Annotated[str, typer.Option("--by", help="Who you are.", default_factory=_login)],
    store: Store = None,
    config: Settings = None,
) -> None:
    """Say that an alarm has been seen and is being dealt with."""
    from rebuilder.cli.alarms import acknowledge
    from rebuilder.config import load_config

    acknowledge(load_config(config, {"store": store}), numbers, note=note, by=by)


@db.command("copy")
def db_copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file or a database URL.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="TO", help="The same; it must be empty.", show_default=False)],
) -> None:
    """Copy a whole ledger, such as from SQLite to PostgreSQL.

    Nothing may be working on it meanwhile.
    """
    from rebuilder.cli.db import copy

    copy(source, target)


@environments.command("list")
def environments_list(*, store: Store = None, config: Settings = None) -> None:
    """List the build environments of the store, with their digests."""
    from rebuilder.cli.environments import show
    from rebuilder.config import load_config

    show(load_config(config, {"store": store}))


@environments.command("make")
def environments_make(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", show_default=False)] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Make every one that comes with this program.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Make them from what the archive has now.")] = False,
    accept_expired: Annotated[
        list[str] | None,
        typer.Option(
            "--accept-expired",
            metavar="SUITE",
            help="Use this release although its signed state expired; no other.",
        ),
    ] = None,
    store: Store = None,
    config: Settings = None,
) -> None:
    """Make build environments ahead of their first use; those that are there already are checked."""
    from rebuilder.cli.environments import make
    from rebuilder.config import load_config

    make(load_config(config, {"store": store}), names or [], every=every, again=again, accept_expired=accept_expired)


@environments.command("export")
def environments_export(
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", help="As a report names it, and as listed.", show_default=False)
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="It must not exist yet.", show_default=False)],
    *,
    store: Store = None,
    config: Settings = None,
) -> None:
    """Write a build environment into one file, for a backup or for another machine.

    The bytes are the same each time.
    """
    from rebuilder.cli.environments import export
    from rebuilder.config import load_config

    export(load_config(config, {"store": store}), digest, file)


@environments.command("import")
def environments_import(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="An export, a container image, or a tar of a root file system.", show_default=False
        ),
    ],
    *,
    name: Annotated[str | None, typer.Option("--name", help="What an image is called from now on.")] = None,
    provides: Annotated[
        str | None,
        typer.Option(
            "--provides", metavar="WHAT=VERSION,…", help="What an image provides, beside what is found in it."
        ),
    ] = None,
    store: Store = None,
    config: Settings = None,
) -> None:
    """Take in a build environment from a file, so that builds can use it, and reports that name its digest can be run.

    Exit code 2: the file is none, or one that is not taken; nothing of it is kept.
    """
    from rebuilder.cli.environments import import_
    from rebuilder.config import load_config

    import_(load_config(config, {"store": store}), file, name=name, provides=provides)


@app.command()
def doctor(
    *,
    store: Store = None,
    keys: Keys = None,
    site: SiteDirectory = None,
    config: Settings = None,
    index_url: Index = None,
) -> None:
    """Say what this machine lacks, and the command that mends it."""
    from rebuilder.cli.doctor import examine
    from rebuilder.config import load_config

    overrides = {"store": store, "keys": keys, "site": site, "index_url": index_url}
    raise typer.Exit(examine(load_config(config, overrides)))


@trust.command("show")
def trust_show(*, config: Settings = None) -> None:
    """Print the authorities, logs and keys in use.

    With their periods, their digests and where they are from.
    """
    from rebuilder.cli.trust import show
    from rebuilder.config import load_config

    show(load_config(config, {}))


@trust.command("update")
def trust_update(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A Sigstore trusted_root.json, or the registry's keys.json.", show_default=False
        ),
    ],
    *,
    config: Settings = None,
) -> None:
    """Take a newer trust root into use and print what changed.

    Read docs/trust.md first. Exit code 2: the file is not a trust root; nothing is changed.
    """
    from rebuilder.cli.trust import update
    from rebuilder.config import load_config

    update(load_config(config, {}), file)


def main() -> None:
    """Do what the command line asks for in this process, and end it."""
    os._exit(run())


def run() -> int:
    """Do what the command line asks for; errors become one sentence and an exit code, never a traceback.

    Memory need not be freed after it: end the process with ``os._exit``.
    """
    # Collecting garbage while modules load, and freeing memory one object at a time at the end, would cost a third of
    # a short run; ``wire`` turns collection on again.
    gc.disable()
    os.umask(os.umask(0o022) | 0o022)  # whoever started us may let everybody write; children inherit this
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started us closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or _exit_code(error)
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    return code


@cache
def command() -> Callable[[], object]:
    """The command line as it is read; putting it together takes as long as reading all settings."""
    return typer.main.get_command(app)


def _run() -> int:
    try:
        command()()
    except BaseException as error:  # noqa: BLE001 - every end of the program is given its exit code here
        return _exit_code(error)
    return ExitCode.OK


def _exit_code(error: BaseException) -> int:
    """Say how it ended, if there is anything to say, and give the code for it."""
    code: int = ExitCode.OUR_FAULT
    if isinstance(error, ModuleNotFoundError):
        error = missing_extra(error) or error
    match error:
        case RebuilderError():
            _say(f"rebuilder: {error}", error.hint)
            code = error.exit_code
        case SystemExit() if not isinstance(error.__context__, BrokenPipeError) and error.code != _INTERRUPTED:
            code = error.code if isinstance(error.code, int) else ExitCode.OK
        case SystemExit(code=130) | KeyboardInterrupt():
            _say("rebuilder: stopped; what was finished is kept.", None)
            code = _INTERRUPTED
        case SystemExit() | BrokenPipeError():
            code = _PIPE_CLOSED
        case OSError(filename=None, errno=errno.ENOSPC | errno.EIO | errno.EBADF):
            _say(f"rebuilder: What is printed cannot be written: {error.strerror}.", None)
        case _:  # a bug of ours: the traceback is for its report
            traceback.print_exception(error)
    return code


def _say(sentence: str, hint: str | None) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(sentence, file=sys.stderr)  # noqa: T201
        if hint:
            print(f"  {hint}", file=sys.stderr)  # noqa: T201
