"""``rebuilder proxy`` and ``admit``: indexes and a webhook that let through only what a policy allows."""

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


_NEAR = ("127.", "localhost:", "[::1]:")


def admit(
    *,
    policy: Annotated[
        Path, typer.Option("--policy", help="What is asked of packages, and of whom (TOML); docs/admission.md.")
    ],
    audit: Annotated[bool, typer.Option("--audit", help="Let everything through, and warn of what would not pass.")] = (
        False
    ),
    listen: Annotated[str, typer.Option("--listen", help="Address and port.")] = "127.0.0.1:8443",
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", help="Certificates to show (PEM); read again when they change.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="The key of the first one (PEM).")] = None,
    client_ca: Annotated[
        Path | None, typer.Option("--client-ca", help="Answer only who shows a certificate signed by one of these.")
    ] = None,
    seen: Seen = None,
) -> None:
    """Answer at /v1/admit whether something may be deployed, until it is stopped.

    Kubernetes asks by AdmissionReview v1 (a validating webhook), other deployers by plain JSON. Images are decided by
    their digests, and by what signed bills of materials say is inside. Metrics are at /metrics, a report at /.
    """
    from rebuilder.consumer.admission.application import Application
    from rebuilder.consumer.admission.sboms import Sboms
    from rebuilder.consumer.enforcement import Enforcement
    from rebuilder.consumer.server import Certificate, bind, serve

    if (tls_cert is None) != (tls_key is None) or (client_ca is not None and tls_cert is None):
        raise UsageError("For TLS, both --tls-cert and --tls-key are needed.")
    if tls_cert is None and not listen.startswith(_NEAR):
        raise UsageError(
            f"Without a certificate nothing is answered on {listen}, where others could change the answers.",
            hint="Name --tls-cert and --tls-key, or listen on 127.0.0.1.",
        )
    certificate = Certificate(tls_cert, tls_key, client_ca) if tls_cert is not None and tls_key is not None else None
    with gate_of(policy, seen) as gate:
        sboms = Sboms(gate.policy.images, policy.parent)
        serve(bind(Application(Enforcement(gate, audit=audit), sboms), listen, certificate), "/v1/admit")
