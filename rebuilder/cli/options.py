"""Options that several commands have, and commands that take the settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from rebuilder.errors import UsageError

Log = Annotated[str, typer.Option("--log", help="How the log is written: text or json.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
RunnerKey = Annotated[
    Path | None, typer.Option("--runner-key", help="Key of the runner; made on first use, outside the store.")
]

Store = Annotated[
    Path | None,
    typer.Option(
        "--store", envvar="REBUILDER_STORE", help="Directory of the ledger, the blobs and the build environments."
    ),
]
Settings = Annotated[Path | None, typer.Option("--config", envvar="REBUILDER_CONFIG", help="Settings file (TOML).")]
_SETTINGS: dict[str, Any] = {
    "store": Store,
    "keys": Annotated[
        Path | None,
        typer.Option("--keys", envvar="REBUILDER_KEYS", help="Directory of the signing key, outside the store."),
    ],
    "site": Annotated[
        Path | None, typer.Option("--site", envvar="REBUILDER_SITE", help="Directory the static site is written to.")
    ],
    "schedules": Annotated[
        Path | None,
        typer.Option(
            "--schedules", envvar="REBUILDER_SCHEDULES", help="Directory of the files that say what to watch."
        ),
    ],
    "index_url": Annotated[
        str | None,
        typer.Option("--index-url", help="Package index to ask; normally taken from the settings of pip and uv."),
    ],
    "sandbox": Annotated[
        str | None,
        typer.Option("--sandbox", help="bubblewrap, or uml: a kernel of its own for every build, a second slower."),
    ],
}
"""What the command line may say above the settings file, by the field of :class:`rebuilder.config.Config`."""


def json_logs(log: str) -> bool:
    """Whether a log is to be written as JSON.

    Raises:
        UsageError: it is to be written in a way that there is none of.
    """
    if log not in {"text", "json"}:
        raise UsageError(f"The log is written as text or json, not as {log!r}.")
    return log == "json"


_Command = TypeVar("_Command", bound=Callable[..., int | None])


def with_settings(register: Callable[[Callable[..., None]], object], *fields: str) -> Callable[[_Command], _Command]:
    """Make a command of a function that takes the settings first and gives the exit code, if it is not 0.

    The command has ``--config``, an option for each of the fields, and those of the function; the function stays as it
    is.

    Args:
        register: What Typer gives, such as ``app.command("list")``.
        fields: Settings that the command line may say, too.
    """

    def made(function: _Command) -> _Command:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            from rebuilder.config import load_config

            settings = load_config(given.pop("config"), {name: given.pop(name) for name in fields})
            if code := function(settings, **given):
                raise typer.Exit(code)

        first, *own = inspect.signature(function).parameters.values()
        options = {**{name: _SETTINGS[name] for name in fields}, "config": Settings}
        command.__annotations__ = {name: kind for name, kind in function.__annotations__.items() if name != first.name}
        types = get_type_hints(command, include_extras=True)
        parameters = [each.replace(kind=each.KEYWORD_ONLY, annotation=types[each.name]) for each in own]
        more = [inspect.Parameter(name, first.KEYWORD_ONLY, default=None, annotation=options[name]) for name in options]
        command.__annotations__ = types | options
        command.__signature__ = inspect.Signature([*parameters, *more])  # type: ignore[attr-defined]
        register(command)
        return function

    return made
