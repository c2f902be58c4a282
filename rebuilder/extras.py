"""What only a part of the program needs, and how an installation without it says so."""

from __future__ import annotations

from rebuilder.errors import UsageError

EXTRAS = {
    "apprise": "service",
    "apscheduler": "service",
    "cronsim": "service",
    "fastapi": "service",
    "limits": "service",
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
