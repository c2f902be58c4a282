"""Where the registry inside the sandbox is, and how the tarballs are called that it serves."""

from __future__ import annotations

PORT = 4873
"""The sandbox has a loopback of its own, and nobody else on it."""
TARBALLS = "/inputs/npm"
"""Directory of what it serves."""
ADDRESS = f"http://127.0.0.1:{PORT}"


def file_name(name: str, version: str) -> str:
    """What the tarball of a release is called among the inputs; no two releases share a name.

    A scope is followed by ``+`` in the place of ``/``.
    """
    return f"{name.replace('/', '+')}@{version}.tgz"
