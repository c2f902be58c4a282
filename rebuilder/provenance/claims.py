"""The publisher a Fulcio certificate names, and how one check inside this part says no."""

from __future__ import annotations

from typing import Any

from cryptography import x509

from rebuilder.model.provenance import FindingKind, Forge, ProvenanceFinding, ProvenanceStatus, Publisher
from rebuilder.model.text import clipped


class Refused(Exception):  # noqa: N818 - it is an answer, not an error
    """An attestation is not accepted; ``str()`` is the sentence."""

    def __init__(
        self,
        sentence: str,
        *,
        status: ProvenanceStatus = ProvenanceStatus.INVALID,
        finding: FindingKind | None = None,
        lacking: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.lacking = lacking
        """Nothing is wrong, something is missing: a member this program does not know may stand in its place."""
        self.finding = ProvenanceFinding(kind=finding, sentence=sentence) if finding else None


def not_checkable(sentence: str) -> Refused:
    """A refusal that blames nobody: this program cannot judge what it sees."""
    return Refused(sentence, status=ProvenanceStatus.NOT_CHECKABLE)


def lacking(sentence: str) -> Refused:
    """A refusal because something that must be there is not."""
    return Refused(sentence, lacking=True)


def shown(foreign: Any, limit: int = 120) -> str:
    """Foreign text for a sentence: one line, printable, cut at ``limit`` characters."""
    text = foreign if isinstance(foreign, str) else repr(foreign)
    return clipped(text, limit)


_FULCIO = "1.3.6.1.4.1.57264.1."
_FORGES = {
    "https://token.actions.githubusercontent.com": Forge.GITHUB,
    "https://gitlab.com": Forge.GITLAB,
    "https://accounts.google.com": Forge.GOOGLE,
    "https://oidc.circleci.com": Forge.CIRCLECI,
}


def publisher(certificate: x509.Certificate) -> Publisher:
    """Read the certificate's identity and its Fulcio extensions (sigstore/fulcio, docs/oid-info.md).

    Call it only for a certificate whose chain was verified. Certificates from before 2023 have the GitHub
    extensions 1 to 6 only, without DER encoding.

    Raises:
        Refused: an extension is malformed, or there is not exactly one identity.
    """
    claims = _claims(certificate)
    issuer = claims.get(8) or claims.get(1) or ""
    forge = next((f for url, f in _FORGES.items() if issuer == url or issuer.startswith(url + "/")), Forge.OTHER)
    repository = claims.get(12)
    if repository is None and forge is Forge.GITHUB and 5 in claims:
        repository = f"https://github.com/{claims[5]}"
    identity = _identity(certificate)
    build_config = claims.get(18) or (identity if forge in {Forge.GITHUB, Forge.GITLAB} else claims.get(9))
    return Publisher(
        forge=forge,
        issuer=issuer,
        identity=identity,
        repository=repository,
        repository_id=claims.get(15) or None,
        workflow=_workflow(build_config, repository),
        build_config=build_config,
        environment=claims.get(23) or None,
        ref=claims.get(14) or claims.get(6) or None,
        commit=claims.get(13) or (claims.get(3) if forge is Forge.GITHUB else None) or None,
        run_url=claims.get(21) or None,
    )


def _workflow(build_config: str | None, repository: str | None) -> str | None:
    """The path in ``REPOSITORY/PATH@REF`` (GitHub) or ``REPOSITORY//PATH@REF`` (GitLab)."""
    if build_config is None or repository is None or not build_config.startswith(repository + "/"):
        return None
    return build_config.removeprefix(repository).lstrip("/").partition("@")[0] or None


def _claims(certificate: x509.Certificate) -> dict[int, str]:
    claims = {}
    for extension in certificate.extensions:
        oid = extension.oid.dotted_string
        if not oid.startswith(_FULCIO) or not isinstance(extension.value, x509.UnrecognizedExtension):
            continue
        number = oid.removeprefix(_FULCIO)
        if number.isdigit():
            raw = extension.value.value
            claims[int(number)] = _plain(raw) if int(number) <= 6 else _utf8_string(raw)
    return claims


def _plain(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("An extension of the certificate is not text.") from None


def _utf8_string(raw: bytes) -> str:
    """DER UTF8String (X.690): tag 12, definite length in its shortest form, nothing after it."""
    if len(raw) >= 2 and raw[0] == 0x0C:
        if raw[1] < 0x80:
            length, start = raw[1], 2
        elif raw[1] == 0x81 and len(raw) > 2 and raw[2] >= 0x80:
            length, start = raw[2], 3
        elif raw[1] == 0x82 and len(raw) > 3 and raw[2] > 0:
            length, start = int.from_bytes(raw[2:4]), 4
        else:
            length, start = -1, 0
        if len(raw) == start + length:
            return _plain(raw[start:])
    raise Refused("An extension of the certificate is not a UTF8String.")


def _identity(certificate: x509.Certificate) -> str:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if len(names) != 1:
        raise Refused(f"The certificate has {len(names)} identities instead of one.")
    name = names[0]
    if isinstance(name, x509.UniformResourceIdentifier | x509.RFC822Name):
        return name.value
    raise Refused("The certificate's identity is neither a URI nor an e-mail address.")
