"""What git says when it fails, as the trouble it means."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rebuilder.model.git import SourceProblem, Trouble
from rebuilder.model.text import clipped
from rebuilder.network.git.address import Remote

NOT_HANDED_OUT = (
    "not our ref",
    "unadvertised object",
    "no such remote ref",
    "couldn't find remote ref",
    "remote did not send all necessary objects",
    "remote error: upload-pack: not our ref",
)
"""The server has no such object, or hands out only what a branch or a tag names."""

# First match wins. Git has one exit code for all of these; its words (in the C locale) are all there is.
_SIGNS: tuple[tuple[tuple[str, ...], Trouble, str], ...] = (
    (
        ("transport '", "not supported or disabled in libcurl"),
        Trouble.REFUSED,
        "{where} leads to a protocol that is not used.",
    ),
    (
        ("dubious ownership",),
        Trouble.NO_REPOSITORY,
        "{where} stands in a directory of another user, which git does not read.",
    ),
    (
        ("could not read Username", "Authentication failed", "returned error: 401", "returned error: 403"),
        Trouble.NO_REPOSITORY,
        "{where} is no repository that everybody may read.",
    ),
    (
        ("not found", "does not exist", "does not appear to be a git repository", "returned error: 404"),
        Trouble.NO_REPOSITORY,
        "There is no repository at {where}.",
    ),
    (
        ("returned error: 410", "returned error: 451", "DMCA"),
        Trouble.NO_REPOSITORY,
        "The repository at {where} was taken away.",
    ),
    (("SSL", "certificate", "TLS"), Trouble.UNREACHABLE, "No secure connection to {where} could be made."),
    (
        ("Operation too slow", "transfer closed", "timed out", "Operation timed out"),
        Trouble.UNREACHABLE,
        "{where} stopped answering.",
    ),
    (
        (
            *("Could not resolve", "Failed to connect", "Couldn't connect", "Connection refused", "unable to access"),
            *("early EOF", "hung up", "RPC failed", "unexpected disconnect"),
        ),
        Trouble.UNREACHABLE,
        "{where} gives no proper answer.",
    ),
    (
        ("error in object", "fsck error", "index-pack", "inflate", "corrupt", "bad object", "protocol error"),
        Trouble.UNSOUND,
        "What {where} sent is damaged, or made to do harm.",
    ),
)


def explained(said: str, remote: Remote) -> SourceProblem:
    """The problem behind git's words."""
    for signs, trouble, sentence in _SIGNS:
        if any(sign in said for sign in signs):
            silent = trouble in {Trouble.NO_REPOSITORY, Trouble.REFUSED} or "from proxy" in said  # which is our own
            words = "" if silent else _quoted(said, remote.secrets)
            return SourceProblem(trouble=trouble, sentence=sentence.format(where=remote.shown) + words)
    return SourceProblem(
        trouble=Trouble.UNREACHABLE, sentence=f"Git could not fetch from {remote.shown}.{_quoted(said, remote.secrets)}"
    )


def redirection(said: str, remote: Remote) -> str | None:
    """A note when the server sent git elsewhere."""
    found = re.search(r"warning: redirecting to (\S+)", said)
    if not found:
        return None
    target = re.sub(r"//[^/@]*@", "//", found[1])
    return f"The server sent us on from {remote.shown} to {clipped(target.rstrip('/'))}."


def _quoted(said: str, secrets: Iterable[str]) -> str:
    telling = ("fatal: ", "error: ", "remote: ")
    line = next((each for start in telling for each in said.splitlines() if each.startswith(start)), "")
    for secret in secrets:
        line = line.replace(secret, "…")
    line = re.sub(r"//[^/@\s]*@", "//", line).partition(": ")[2].strip()
    return f" Git says: {clipped(line)}" if line else ""
