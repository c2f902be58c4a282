"""Whether a User Mode Linux guest runs here, tried with the environment that the store has; none is made for it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import NamedTuple

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import NoGuestError, RebuilderError
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap
from rebuilder.sandbox.uml.probe import ENVIRONMENT, GuestProbe


class GuestFinding(NamedTuple):
    """What is to be said about guests on this machine."""

    message: str
    ok: bool = True
    fix: str | None = None
    command: bool = False
    """Whether ``fix`` is a command to type."""


def look_at_guest(config: Config, check: Callable[[Config], NoGuestError | None]) -> GuestFinding:
    """What ``check`` finds; it is not asked before the build environment with the kernel was made once."""
    if not (config.store / "toolchains" / "current" / ENVIRONMENT).is_file():
        command = _prepare_command(config)
        return GuestFinding(
            f"Not known yet, since its build environment is made on first use; `{command}` makes it now."
        )
    try:
        problem: RebuilderError | None = check(config)
    except RebuilderError as error:
        problem = error
    if problem is None:
        return GuestFinding("A User Mode Linux guest was started, and its clock was set.")
    rest = "" if config.sandbox == "uml" else " What does not depend on the clock is rebuilt without one."
    command_given = (problem.hint or "").startswith(sys.executable)
    return GuestFinding(f"{problem}{rest}", ok=False, fix=problem.hint, command=command_given)


def _prepare_command(config: Config) -> str:
    program = (sys.executable, "-m", "rebuilder.environments.prepare")
    expired = [f"--accept-expired={suite}" for suite in config.environments.accept_expired or ()]
    return shlex.join([*program, "--root", str(config.store / "toolchains"), *expired, ENVIRONMENT])


def check_guest(config: Config) -> NoGuestError | None:
    """Start a guest and set its clock; why that does not work, None when it does.

    Raises:
        BuildEnvironmentError: the build environment was modified or cannot be read.
    """
    environments = environment_store(
        config.store / "toolchains", SystemClock(), settings=config.environments, interpreters=config.interpreters
    )

    def kernel() -> BuildEnvironment:
        made = environments.kept(ENVIRONMENT)
        if made is None:
            raise NoGuestError("its build environment is to be made again", hint=_prepare_command(config))
        return made

    bubblewrap = Bubblewrap()
    try:
        return GuestProbe(kernel, bubblewrap, config.store / "cache" / "guest.json").problem(anew=True)
    finally:
        bubblewrap.close()
