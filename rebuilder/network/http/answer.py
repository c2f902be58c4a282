"""What came back: bodies that are counted and checked, what a status or a failure means, and when to ask again.

The words are our own: the server's may be hostile.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from rebuilder.errors import FetchMismatchError, UnavailableError
from rebuilder.network.http.address import shown

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

Result = TypeVar("Result")
LONGEST_RETRY_AFTER = 60.0
"""Seconds. A server that wants us to wait longer is not asked again."""
_PIECE = 64 << 10
ASK_OPERATOR = "Check the index or mirror in the settings of pip, uv or npm, and ask whoever runs it."
TRY_LATER = "Try again later; `rebuilder doctor` shows which index is used and whether it answers."


class TransientError(Exception):
    """Something that may well go right the next time; ``error`` is what to say when it does not."""

    def __init__(self, error: UnavailableError, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after
        """Seconds the server asked us to wait."""


def retried(
    call: Callable[[], Result],
    *,
    attempts: int,
    deadline: float,
    wait: Callable[[float], None],
    monotonic: Callable[[], float],
) -> Result:
    """Call until it gives something other than :class:`TransientError`.

    Waits grow from about half a second to ten, with jitter so that many clients do not come back at once; a
    ``Retry-After`` is waited out instead. No wait goes beyond ``deadline`` (on the clock ``monotonic``).

    Raises:
        UnavailableError: the last ``TransientError.error``, when it is not worth asking again.
    """
    from tenacity import Retrying, retry_if_exception_type, wait_exponential_jitter

    growing = wait_exponential_jitter(multiplier=0.5, jitter=0.5, max=10)

    def pause(state: RetryCallState) -> float:
        asked = _asked_wait(state)
        return growing(state) if asked is None else asked

    def enough(state: RetryCallState) -> bool:
        too_long = state.upcoming_sleep > LONGEST_RETRY_AFTER or monotonic() + state.upcoming_sleep > deadline
        return state.attempt_number >= attempts or too_long

    policy = Retrying(retry=retry_if_exception_type(TransientError), stop=enough, wait=pause, sleep=wait, reraise=True)
    try:
        return policy(call)
    except TransientError as failed:
        raise failed.error from failed


def retry_after_seconds(value: str | None) -> float | None:
    """``Retry-After`` (RFC 9110, 10.2.3) in seconds, whether it is a number or a date; None when malformed."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _asked_wait(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after if isinstance(error, TransientError) else None


def limited(url: str, chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """The same chunks, but no more than ``max_bytes`` in all.

    Raises:
        FetchMismatchError: there is more.
    """
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise too_large(url, max_bytes)
        yield chunk


def decoded(url: str, chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Undo the one Content-Encoding that was offered, in small pieces, so that a bomb cannot grow in memory.

    Raises:
        TransientError: the compressed stream is cut short.
        UnavailableError: it is not gzip, or another encoding.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        yield from chunks
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise UnavailableError(f"{shown(url)} came in an encoding that was not asked for.", hint=ASK_OPERATOR)
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            waiting = chunk
            while waiting and not stream.eof:
                yield stream.decompress(waiting, _PIECE)
                waiting = stream.unconsumed_tail
    except zlib.error:
        raise UnavailableError(f"{shown(url)} came with broken compression.", hint=ASK_OPERATOR) from None
    if not stream.eof:
        raise TransientError(cut_short(url))


def verified(url: str, chunks: Iterable[bytes], expected: str, algorithm: str = "sha256") -> Iterator[bytes]:
    """The same chunks, with an error instead of an end when all of them together have another digest.

    Raises:
        FetchMismatchError: other bytes than promised.
    """
    digest = hashlib.new(algorithm)
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != expected:
        found = digest.hexdigest()
        message = f"{shown(url)} has the {algorithm} {found}, but {expected} was promised; nothing of it is kept."
        hint = (
            "If it happens again, the published bytes or a cache on the way were changed: tell whoever runs the index."
        )
        raise FetchMismatchError(message, hint=hint)


def too_large(url: str, max_bytes: int) -> FetchMismatchError:
    """More came, or was announced, than allowed."""
    return FetchMismatchError(f"{shown(url)} is larger than the {max_bytes:,} bytes allowed for it.", hint=ASK_OPERATOR)


def cut_short(url: str) -> FetchMismatchError:
    """The connection ended before the body did."""
    message = f"The connection ended before all of {shown(url)} had arrived."
    return FetchMismatchError(message, hint="Try again; if it stays so, check the connection and any proxy.")


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
