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
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.admit import admit
from rebuilder.cli.alarms import alarms
from rebuilder.cli.backup import backup, restore
from rebuilder.cli.check import check
from rebuilder.cli.db import NOTHING_STORED, db, refuse_missing
from rebuilder.cli.draft import draft
from rebuilder.cli.environments import environments
from rebuilder.cli.export import export
from rebuilder.cli.incident import incident
from rebuilder.cli.keys import keys
from rebuilder.cli.log import log_commands
from rebuilder.cli.options import AsJson, Log, json_logs, with_settings
from rebuilder.cli.proxy import proxy
from rebuilder.cli.quorum import quorum
from rebuilder.cli.replay import replay
from rebuilder.cli.requeue import requeue
from rebuilder.cli.runners import runners, worker
from rebuilder.cli.trust import trust
from rebuilder.errors import ExitCode, RebuilderError, UsageError, missing_extra

if TYPE_CHECKING:
    from rebuilder.config import Config

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

app.command()(admit)
app.command()(check)
app.command()(proxy)
for name, group in {
    "alarms": alarms,
    "db": db,
    "environments": environments,
    "keys": keys,
    "log": log_commands,
    "runners": runners,
    "trust": trust,
}.items():
    app.add_typer(group, name=name)


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


@with_settings(app.command(), "store", "keys", "site", "index_url", "sandbox")
def verify(
    config: Config,
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
    as_json: AsJson = False,
    tier: Annotated[
        str,
        typer.Option(
            "--tier",
            help="quick: the first hypothesis, from the published source archive; what it does not confirm is looked "
            "at in full. source: all hypotheses from that archive; no repository is asked. full: the commit, too.",
        ),
    ] = "full",
    quick: Annotated[bool, typer.Option("--quick", help="The same as --tier quick.")] = False,
) -> int:
    """Rebuild releases and say whether they come out the same.

    Exit code 0: everything is reproduced or equivalent; 1: something differs; 2: wrong use; 3: something
    could not be decided; 4: something on our side failed.
    """
    from rebuilder.cli.verify import tier_named, verify_subjects

    if not subjects and not requirement:
        raise UsageError("Nothing is to be verified.", hint="Name a release (pypi:idna==3.10), a file, or -r LOCKFILE.")
    return verify_subjects(
        config,
        subjects or [],
        as_json=as_json,
        tier=tier_named("quick" if quick else tier),
        lock_files=requirement or [],
        all_files=all_files,
    )


@with_settings(app.command(), "store", "keys", "site", "index_url")
def explain(
    config: Config,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="As for verify.", show_default=False)],
    *,
    vary: Annotated[
        bool, typer.Option("--vary", help="Build again with one factor changed at a time, and name those that matter.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Say why a file does not come out the same, and what to change.

    What was verified before is explained from its report; otherwise it is verified first. Exit codes as for verify.
    """
    from rebuilder.cli.explain import explain

    return explain(config, subject, vary=vary, as_json=as_json)


@with_settings(app.command(), "store", "index_url")
def preflight(
    config: Config,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]…", help="The directory of the project, or its files to be published.", show_default=False
        ),
    ] = None,
    *,
    sarif: Annotated[Path | None, typer.Option("--sarif", help="Write SARIF 2.1.0 to this file, too.")] = None,
    patch: Annotated[
        Path | None, typer.Option("--patch", help="Write the patches that rules know to this file.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", help="Write an SBOM of what it is built with to this file, NAME.cdx.json."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Before the upload: say whether a stranger will get the same bytes from your project, and what to change.

    Exit code 0: the same bytes or the same content; 1: something differs; 2: wrong use; 3: it could not be found out;
    4: something on our side failed.
    """
    from rebuilder.cli.preflight import preflight

    return preflight(config, paths or [Path()], as_json=as_json, sarif=sarif, patch=patch, record=record)


with_settings(app.command(), "store")(replay)


@with_settings(app.command(), "store", "keys", "site")
def publish(
    config: Config,
    *,
    anew: Annotated[
        bool, typer.Option("--anew", help="Make every page and check every signature again, also of what is as it was.")
    ] = False,
) -> None:
    """Write the whole static site from what is stored.

    What was written of the same, and nobody touched since, is left as it is.
    """
    from rebuilder.wiring import publishing

    refuse_missing(config.ledger_place, hint=NOTHING_STORED)
    with publishing(config) as signer:
        count = signer.publish_all(anew=anew)
    typer.echo(f"{count} artifact {'page' if count == 1 else 'pages'} written; open {config.site_directory}/index.html")


app.command()(export)
with_settings(app.command(), "store", "keys", "site")(quorum)
with_settings(app.command(), "store", "keys", "site")(incident)


@with_settings(app.command(), "schedules", "store", "keys", "site", "index_url")
def serve(
    config: Config,
    *,
    listen: Annotated[
        str | None, typer.Option("--listen", help="Address and port of the HTTP server, such as 127.0.0.1:8080.")
    ] = None,
    log: Log = "text",
) -> None:
    """Watch, verify, publish and raise alarms, until it is stopped.

    What is watched is in the files of the directory of schedules; see docs/schedules.md.
    """
    from rebuilder.cli.serve import run_service
    from rebuilder.config import with_listen

    run_service(with_listen(config, listen), json_logs=json_logs(log))


with_settings(app.command(), "store", "index_url")(worker)


@with_settings(app.command(), "schedules")
def schedules(
    config: Config,
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIRECTORY]", help="Normally taken from the settings.", show_default=False)
    ] = None,
) -> int:
    """Print what is watched and when, and every mistake.

    Exit code 2 if there is a mistake in a file.
    """
    from rebuilder.cli.schedules import show
    from rebuilder.clock import SystemClock

    return show(directory.absolute() if directory is not None else config.schedules_directory, SystemClock())


for each in (requeue, draft, backup, restore):
    with_settings(app.command(), "store")(each)


@with_settings(app.command(), "store", "keys", "site", "index_url")
def doctor(config: Config) -> int:
    """Say what this machine lacks, and the command that mends it."""
    from rebuilder.cli.doctor import examine

    return examine(config)


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
