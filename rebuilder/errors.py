"""What can go wrong on our side, or in how we were called. "It differs" is a value, never an exception."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command (documented in README.md)."""

    OK = 0
    DIFFERS = 1
    USAGE = 2
    UNDECIDED = 3
    OUR_FAULT = 4


class RebuilderError(Exception):
    """Base of all errors. ``str()`` is one sentence: what happened, to what; ``hint`` says what to do."""

    exit_code = ExitCode.OUR_FAULT

    def __init__(self, sentence: str, *, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.hint = hint


class UsageError(RebuilderError):
    """The call cannot be understood: a malformed subject, an unknown project, a broken configuration."""

    exit_code = ExitCode.USAGE


class UnknownProjectError(UsageError):
    """The registry answers, and has no project of this name."""


class UnavailableError(RebuilderError):
    """Something we depend on does not answer or answers with rubbish: the index, a mirror."""


class FileGoneError(UnavailableError):
    """A server answers, and has no such file (any more)."""


class ForbiddenAddressError(UnavailableError):
    """An address that a publisher or an index wrote leads into our own network; nobody was asked."""


class FetchMismatchError(UnavailableError):
    """What was downloaded is not what was promised: another digest, more bytes than allowed, a short body."""


class StoreError(RebuilderError):
    """The store cannot be read or written: full disk, read-only, a corrupt blob or ledger."""


class BuildEnvironmentError(RebuilderError):
    """A build environment cannot be made, or was modified since it was."""


class PackageInstallationError(BuildEnvironmentError):
    """Packages cannot be installed, by what they do themselves and not for want of anything here."""


class InstallationLimitError(PackageInstallationError):
    """Installing packages takes more time, memory, processes or disk than it may."""


class CorruptError(RebuilderError):
    """Something of our own is not what it was: it broke, or somebody changed it. An alarm, whoever comes upon it."""


class CorruptStoreError(CorruptError, StoreError):
    """A file in the store, or a program of ours, has other bytes than its digest says."""


class CorruptEnvironmentError(CorruptError, BuildEnvironmentError):
    """A build environment was modified since it was made."""


class BaseMissingError(BuildEnvironmentError):
    """A build environment lies over another one, by the digest ``sha256``, that this machine does not have."""

    def __init__(self, name: str, sha256: str) -> None:
        super().__init__(
            f"The build environment {name} lies over the one with the digest {sha256}, which is not here.",
            hint="Import that one first.",
        )
        self.sha256 = sha256


class SandboxUnavailableError(RebuilderError):
    """This machine cannot give an isolation the sandbox needs; nothing weaker is used instead."""


class NoGuestError(SandboxUnavailableError):
    """No User Mode Linux guest runs here, or one ended before a command of the build began in it.

    What was reached without a clock of its own stands; that the clock was not tried is told as a remark.
    """

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"No User Mode Linux guest runs on this machine: {reason}.", hint=hint)
        self.reason = reason
        """Why, as the end of a sentence."""


class SandboxFaultError(RebuilderError):
    """The sandbox itself failed: neither the build nor a limit ended the run."""


class SigningError(RebuilderError):
    """The signing key cannot be read or made, or does not fit what it is to sign."""


EXTRAS = {
    "apprise": "service",
    "apscheduler": "service",
    "celery": "fleet",
    "cronsim": "service",
    "fastapi": "service",
    "kombu": "fleet",
    "limits": "service",
    "obstore": "fleet",
    "prometheus_client": "service",
    "psycopg": "postgresql",
    "starlette": "service",
    "uvicorn": "service",
}
"""Top-level module to the optional dependencies (``pyproject.toml``) it belongs to."""


def missing_extra(error: ModuleNotFoundError) -> UsageError | None:
    """The sentence for a module of an extra that is not installed; None for any other module, which is a bug."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return None
    return UsageError(
        f"This needs the extra {extra!r}, which is not installed (there is no module {module}).",
        hint=f"Install what requirements-service.lock lists, or `pip install 'rebuilder[{extra}]'`.",
    )
