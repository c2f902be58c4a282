"""``rebuilder proxy``: package indexes that hand out only what a policy allows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.check import Seen, gate_of
from rebuilder.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from rebuilder.consumer.proxy.npm_registry import Registries
    from rebuilder.network.index_reader import IndexReader


def proxy(
    *,
    policy: Annotated[
        Path, typer.Option("--policy", help="What is asked of a file, and of whom (TOML); docs/check.md.")
    ],
    audit: Annotated[
        bool, typer.Option("--audit", help="Let everything through, and report what would not pass.")
    ] = False,
    listen: Annotated[str, typer.Option("--listen", help="Address and port.")] = "127.0.0.1:8090",
    index_url: Annotated[
        str | None, typer.Option("--index-url", help="The real index; normally taken from the settings of pip and uv.")
    ] = None,
    npm_registry: Annotated[
        str | None, typer.Option("--npm-registry", help="npm's registry; normally taken from the settings of npm.")
    ] = None,
    seen: Seen = None,
) -> None:
    """Be a package index in front of the real ones, until it is stopped.

    Installers use it by UV_INDEX_URL=http://127.0.0.1:8090/simple, PIP_INDEX_URL, or for npm
    npm_config_registry=http://127.0.0.1:8090/npm/. What does not pass the policy is refused before its bytes are
    fetched, with a sentence that pip, uv and npm show. What was asked for is at /.
    """
    from rebuilder.consumer.proxy.application import Application
    from rebuilder.consumer.server import bind, serve
    from rebuilder.ecosystems.pypi.settings import index_settings
    from rebuilder.network.index_reader import IndexReader

    settings = index_settings(index_url)
    index = IndexReader(settings.index_url, settings.ca_bundle)
    npm = _registries(npm_registry)
    with gate_of(policy, seen) as gate:
        serve(bind(Application(index, gate, npm=npm, audit=audit), listen), "/simple/", "/npm/")


def _registries(url: str | None) -> Registries:
    """Npm's registries, by what is named or by npm's settings, which are read when npm is first asked for."""
    if url is not None:
        from rebuilder.network.index_reader import IndexReader

        try:
            named = IndexReader(url)
        except UnavailableError:
            raise UsageError("What --npm-registry names is not an http or https address.") from None
        return lambda _: named

    def registry(scope: str | None) -> IndexReader:
        from rebuilder.ecosystems.npm.settings import NpmSettings
        from rebuilder.network.index_reader import IndexReader

        settings = NpmSettings()
        found = settings.registry(scope)
        grant = (found.grant.prefix, found.grant.header) if found.grant is not None else None
        return IndexReader(found.url, settings.ca_bundle, grant)

    return registry
