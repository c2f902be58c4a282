"""``rebuilder admit``: a webhook that lets only be deployed what a policy allows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rebuilder.cli.check import Seen, gate_of
from rebuilder.errors import UsageError

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
