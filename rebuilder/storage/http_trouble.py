"""What an answer or a failed request means, in our own words: the server's may be hostile."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from rebuilder.errors import UnavailableError
from rebuilder.storage.http_address import shown
from rebuilder.storage.http_body import cut_short
from rebuilder.storage.http_retry import TransientError, retry_after_seconds

if TYPE_CHECKING:
    import httpx

TRY_LATER = "Try again later; `rebuilder doctor` shows which index is used and whether it answers."
ASK_OPERATOR = "Check the index or mirror in the settings of pip, uv or npm, and ask whoever runs it."


class GoneError(Exception):
    """The server says that there is nothing at this address (404, 410)."""


def check_status(url: str, answer: httpx.Response) -> None:
    """Let 200 and 304 pass.

    Raises:
        GoneError: there is nothing.
        TransientError: 408, 429 or any 5xx.
        UnavailableError: anything else.
    """
    status = answer.status_code
    if status in {200, 304}:
        return
    if status in {404, 410}:
        raise GoneError
    if status in {401, 403, 407}:
        message = f"{shown(url)} refuses access (HTTP {status})."
        hint = (
            "Put user name and password into the index URL of pip or uv, or into the netrc file; npm's go into .npmrc."
        )
        raise UnavailableError(message, hint=hint)
    error = UnavailableError(f"{shown(url)} answers with HTTP status {status}.", hint=TRY_LATER)
    if status in {408, 429} or status >= 500:
        raise TransientError(error, retry_after_seconds(answer.headers.get("retry-after")))
    raise error


def explained(url: str, error: httpx.TransportError, *, began: bool) -> TransientError | UnavailableError:
    """What to raise for a request that failed on the way; ``began`` when its body had begun to arrive."""
    import httpx

    causes = _causes(error)
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
        message = f"The certificate of {shown(url)} is not trusted here."
        return UnavailableError(message, hint="Name the right certificate bundle in PIP_CERT or SSL_CERT_FILE.")
    if any(isinstance(each, httpx.InvalidURL) for each in causes):
        message = f"{shown(url)} redirects to something that is not an http or https address."
        return UnavailableError(message, hint=ASK_OPERATOR)
    if isinstance(error, httpx.TimeoutException | httpx.NetworkError | httpx.RemoteProtocolError):
        return TransientError(_passing(url, error, causes, began=began))
    message = f"{shown(url)} cannot be asked for with the present proxy settings or protocol."
    return UnavailableError(message, hint="Check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.")


def _passing(url: str, error: httpx.TransportError, causes: list[BaseException], *, began: bool) -> UnavailableError:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return UnavailableError(f"{shown(url)} did not answer in time.", hint=TRY_LATER)
    if began:
        return cut_short(url)
    if any(isinstance(each, socket.gaierror) for each in causes):
        return UnavailableError(f"The name of the server of {shown(url)} is not known.", hint=TRY_LATER)
    return UnavailableError(f"The connection to {shown(url)} failed.", hint=TRY_LATER)


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and len(found) < 10:
        found.append(following)
        following = following.__cause__ or following.__context__
    return found
