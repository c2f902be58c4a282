"""Addresses of repositories, and what they say about who owns them."""

from __future__ import annotations

from urllib.parse import urlsplit

from rebuilder.model.provenance import Forge

_HOSTS = {"github.com": Forge.GITHUB, "gitlab.com": Forge.GITLAB}
"""Forges whose own workflows prove that a repository's owner published; their paths ignore case."""


def is_same(left: str | None, right: str | None) -> bool:
    """Whether two addresses (or two missing ones) are of one repository."""
    return _key(left) == _key(right)


def same_owner(left: str | None, right: str | None) -> bool:
    """Whether two repositories lie in the same account or group of the same forge."""
    owners = [_key(each).rpartition("/")[0] for each in (left, right)]
    return owners[0] == owners[1] != ""


def own_forge(repository: str | None) -> Forge | None:
    """The forge that hosts a repository, if it is one whose own workflows publish.

    Others may build the same public repository without being its owner.
    """
    return _HOSTS.get(_key(repository).partition("/")[0])


def _key(address: str | None) -> str:
    """What all addresses of one repository have in common; CircleCI writes them without a scheme."""
    if address is None:
        return ""
    try:
        parts = urlsplit(address if "://" in address else f"https://{address}")
    except ValueError:
        return address
    host, path = parts.netloc.lower(), parts.path.strip("/").removesuffix(".git")
    return f"{host}/{path.lower() if host in _HOSTS else path}"
