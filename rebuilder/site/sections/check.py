"""Commands with which a stranger repeats a verification or checks what was signed."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from rebuilder.model.artifact import Artifact

_PASTEABLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,600}\Z")
"""Printable ASCII without the backslash, which shells and checksum files read in ways of their own."""


@dataclass(frozen=True, slots=True)
class CheckSection:
    """Commands; None where a name holds characters that no command should be pasted with."""

    own_copy: str | None
    repeat: str | None
    signature: str
    """Run in the directory of the page; prints ``Verified OK``."""


def check_section(artifact: Artifact, key_href: str) -> CheckSection:
    """The commands for one artifact; ``key_href`` leads from its page to the public key."""
    return CheckSection(
        own_copy=_command("echo {} | sha256sum --check", f"{artifact.sha256}  {artifact.filename}"),
        repeat=_command("rebuilder verify {}", f"{artifact.ecosystem}:{artifact.name}=={artifact.version}"),
        signature=signature_commands(key_href),
    )


def signature_commands(key: str) -> str:
    """Check the envelope of the verdict with openssl alone, as docs/verify-a-report.md explains it.

    What is signed is the payload behind its type and length
    (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, "PAE").
    """
    return f"""cut -d '"' -f 4 verdict.dsse.json | base64 -d > verdict.json
cut -d '"' -f 18 verdict.dsse.json | base64 -d > verdict.sig
{{ printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < verdict.json)"; cat verdict.json; }} > verdict.pae
openssl dgst -sha256 -verify {key} -signature verdict.sig verdict.pae"""


def _command(shape: str, argument: str) -> str | None:
    if not _PASTEABLE.match(argument):
        return None
    # Always in quotes, also where a shell would not need them: a reader should see where the argument ends.
    return shape.format(shlex.quote(argument) if "'" in argument else f"'{argument}'")
