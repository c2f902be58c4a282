"""In-toto link metadata as rebuilderd signs it: its canonical form, its key identifiers, its form of a public key.

The public key is written as its clients read it: a SubjectPublicKeyInfo whose algorithm has a NULL parameter, 46 bytes.
RFC 8410 forbids that parameter, so other programs refuse this form, and it is used nowhere else.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from rebuilder.consumer.answer import Level, Vote, Voter
from rebuilder.foreign_json import read_json
from rebuilder.model.attempt import Attempt
from rebuilder.model.report import Report
from rebuilder.model.value import Sha256, canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.signing.keys import raw_public
from rebuilder.signing.protocol import SigningKey

MADE_BY = "rebuilder"
"""The command of our links, which is also the lineage of votes that are read from them."""
_THEIRS = "rebuilderd"
_SPKI = bytes.fromhex("302c300706032b65700500032100")
_LARGEST = 16 << 20
_HEX = re.compile(r"[0-9a-f]*")
_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


def link_key_id(public: bytes) -> str:
    """The name of a key in signatures: the digest of in-toto's description of it."""
    described = {
        "keyid_hash_algorithms": ["sha256", "sha512"],
        "keytype": "ed25519",
        "keyval": {"public": public.hex()},
        "scheme": "ed25519",
    }
    return sha256_hex(canonical_json(described))


def public_pem(public: bytes) -> str:
    """A public key in the form that only rebuilderd's clients read."""
    return f"{_BEGIN}\n{base64.b64encode(_SPKI + public).decode()}\n{_END}\n"


def read_public_pem(pem: str) -> bytes:
    """The 32 bytes of a public key in that form.

    Raises:
        ValueError: it is none.
    """
    lines = [line.strip() for line in pem.strip().splitlines()]
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError:
        der = b""
    if lines[:1] != [_BEGIN] or lines[-1:] != [_END] or len(der) != 46 or not der.startswith(_SPKI):
        raise ValueError("The key is not an Ed25519 key in the form of rebuilderd (46 bytes in PEM).")
    return der[len(_SPKI) :]


def can_be_linked(report: Report) -> bool:
    """Whether there is a link about it: the same bytes came out, and its name has one canonical form everywhere."""
    return report.decision.verdict is Verdict.REPRODUCED and _plain(report.artifact.filename)


def sign_link(report: Report, sha512: str | None, key: SigningKey) -> str:
    """The link that says that a published file was rebuilt, as one line of JSON.

    Args:
        report: Of a file that :func:`can_be_linked`.
        sha512: Of the published file, in hexadecimal; None where its bytes are not at hand any more.
        key: The key for links; Ed25519.

    Raises:
        ValueError: the report does not say that the same bytes came out.
    """
    attempt = report.attempts[report.decision.attempt] if report.decision.attempt is not None else None
    if not can_be_linked(report) or attempt is None or _made(attempt) != report.artifact.sha256:
        raise ValueError(f"The report on {report.artifact.filename} is not about the same bytes.")
    digests = {"sha256": report.artifact.sha256, **({"sha512": sha512} if sha512 else {})}
    signed: dict[str, Any] = {
        "_type": "link",
        "name": f"rebuild {report.artifact.filename}",
        "materials": _materials(attempt),
        "products": {report.artifact.filename: digests},
        "environment": None,
        "byproducts": {},
        "command": [MADE_BY],
    }
    signature = key.sign(canonical_json(signed)).hex()
    document = {"signatures": [{"keyid": link_key_id(raw_public(key.public_pem)), "sig": signature}], "signed": signed}
    return json.dumps(document, separators=(",", ":")) + "\n"


def read_link(document: bytes, keys: Mapping[str, bytes], *, sha256: Sha256, operator: str | None = None) -> Vote:
    """What a link says about a file: that this very file was rebuilt. Links say nothing else.

    Args:
        document: As it was published.
        keys: Public keys that are trusted for this operator, 32 bytes each, by :func:`link_key_id`.
        sha256: Of the file that is asked about.
        operator: Who has these keys, as the reader calls them; None: the key itself.

    Raises:
        ValueError: it is no link, none of the keys signed it, or it is about another file.
    """
    signed, key_id = _checked(document, keys)
    products = signed.get("products")
    names = [
        name
        for name, digests in (products.items() if isinstance(products, dict) else ())
        if isinstance(digests, dict) and digests.get("sha256") == sha256
    ]
    if signed.get("_type") != "link" or not names:
        raise ValueError("The link is not about this file: none of its products has the digest.")
    ours = signed.get("command") == [MADE_BY]
    return Vote(
        sha256=sha256,
        filename=names[0],
        verdict=Verdict.REPRODUCED,
        # Ours do not tell whether recorded metadata was written; the weaker one is certain.
        level=Level.METADATA_WRITTEN if ours else Level.BUILD_ALONE,
        voter=Voter(
            operator=operator or key_id, name=operator or key_id, key_id=key_id, lineage=MADE_BY if ours else _THEIRS
        ),
        statement=sha256_hex(document),
    )


def _checked(document: bytes, keys: Mapping[str, bytes]) -> tuple[dict[str, Any], str]:
    """What was signed, and by which of the keys."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(document) > _LARGEST:
        raise ValueError("The link is larger than any that is read.")
    found = read_json(document)
    signed = found.get("signed") if isinstance(found, dict) else None
    signatures = found.get("signatures") if isinstance(found, dict) else None
    if not isinstance(signed, dict) or not isinstance(signatures, list):
        raise ValueError("This is no in-toto link: it has no signatures over something signed.")  # noqa: TRY004
    payload = canonical_json(signed)
    for each in signatures:
        key_id, signature = (each.get("keyid"), each.get("sig")) if isinstance(each, dict) else (None, None)
        if not isinstance(key_id, str) or key_id not in keys or not isinstance(signature, str):
            continue
        if not _HEX.fullmatch(signature) or len(signature) != 128:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(keys[key_id]).verify(bytes.fromhex(signature), payload)
        except InvalidSignature:
            continue
        return signed, key_id
    raise ValueError("The link is not signed by a key that is trusted: it was changed, or another key signed it.")


def _made(attempt: Attempt) -> str | None:
    """Digest of the file that was compared at last."""
    if attempt.finished_identical and attempt.finishing is not None and attempt.finishing.finished is not None:
        return attempt.finishing.finished.sha256
    return attempt.rebuilt.sha256 if attempt.rebuilt is not None else None


def _materials(attempt: Attempt) -> dict[str, dict[str, str]]:
    """What the build was given, by its name; where two have one name, the second by its place in the sandbox."""
    materials: dict[str, dict[str, str]] = {}
    for each in attempt.hypothesis.definition.inputs:
        name = each.path if each.name in materials else each.name
        if _plain(name):
            materials[name] = {"sha256": each.sha256}
    return materials


def _plain(name: str) -> bool:
    """Whether every writer of canonical JSON writes it alike."""
    return name.isascii() and name.isprintable()
