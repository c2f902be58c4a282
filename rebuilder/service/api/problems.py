"""Whatever goes wrong becomes a status and a sentence in JSON."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from rebuilder.errors import RebuilderError, UsageError
from rebuilder.service.api.context import ApiContext, trusted
from rebuilder.service.api.documents import Problem
from rebuilder.toml_files import words

REQUEST_ID = "rebuilder.request"
"""Where the id of a request is in its scope."""
LENIENT = "rebuilderd"
"""Tag of operations that pass over parameters they do not know: somebody else's clients have them."""
_LOG = logging.getLogger("rebuilder.service.api")
_RETRY_SECONDS = "30"
_PARAMETERS = "The operations and their parameters are in /api/v1/openapi.json."


class Refusal(Exception):  # noqa: N818 - it is the client's mistake, not ours
    """A request that is answered with a sentence instead of a document."""

    def __init__(
        self, status: int, message: str, *, hint: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint
        self.headers = headers


def problem(
    status: int, message: str, *, hint: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An answer that says why there is no other."""
    return JSONResponse(Problem(error=message, hint=hint).document(), status, headers)


def our_fault(request_id: str) -> JSONResponse:
    """An answer for what nobody foresaw; the log has the rest."""
    return problem(500, "Something failed on our side.", hint=f"The log has more, at request {request_id}.")


def install(app: FastAPI, context: ApiContext) -> None:
    """Make every error that a route can raise an answer of this kind."""

    async def ours(request: Request, error: Exception) -> JSONResponse:
        return await _ours(request, error, told=trusted(context, request))

    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(RebuilderError, ours)
    app.add_exception_handler(Exception, _unforeseen)  # raised again after the answer, for the log


def known_parameters(request: Request) -> None:
    """Refuse a request with a parameter that its operation does not have: a misspelt one would change the answer.

    Raises:
        Refusal: with the names that there are.
    """
    route = request.scope.get("route")
    if isinstance(route, APIRoute) and LENIENT in route.tags:
        return
    names = [each.alias for each in route.dependant.query_params] if isinstance(route, APIRoute) else []
    given = [name for name, _ in request.query_params.multi_items()]
    if set(given) <= set(names) and len(set(given)) == len(given):
        return
    twice = next((each for each in names if given.count(each) > 1), None)
    if twice is not None:
        raise Refusal(400, f"The parameter “{twice}” is given more than once.", hint=_PARAMETERS)
    there = f"; there are {', '.join(f'“{each}”' for each in names)}" if names else ""
    raise Refusal(400, f"The request has a parameter that this address does not have{there}.", hint=_PARAMETERS)


async def _refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)  # noqa: S101 - for the type checker: registered for this class
    return problem(error.status, str(error), hint=error.hint, headers=error.headers)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - see above
    sentences = {
        404: "There is nothing at this address.",
        405: f"This address does not take {request.method} requests.",
        400: "The body of the request is not JSON.",
    }
    message = sentences.get(error.status_code) or f"{HTTPStatus(error.status_code).phrase}."
    return problem(error.status_code, message, hint=_PARAMETERS, headers=dict(error.headers or {}))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - see above
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return problem(400, "The body of the request is not JSON.", hint=_PARAMETERS)
    # Only the names of our own parameters are repeated, never what the client sent for them.
    place = ".".join(str(each) for each in first["loc"][:2])
    known = place if first["type"] != "extra_forbidden" else str(first["loc"][0])
    said = "is no parameter" if first["type"] == "extra_forbidden" else words(first)
    return problem(400, f"The request is not understood: {known}: {said}.", hint=_PARAMETERS)


async def _ours(_: Request, error: Exception, *, told: bool) -> JSONResponse:
    assert isinstance(error, RebuilderError)  # noqa: S101 - see above
    if isinstance(error, UsageError):
        return problem(400, str(error), hint=error.hint)
    _LOG.warning("A request could not be answered: %s", error)
    message = str(error) if told else "Something that this needs cannot be used now."
    return problem(503, message, hint=error.hint if told else None, headers={"Retry-After": _RETRY_SECONDS})


async def _unforeseen(request: Request, _: Exception) -> JSONResponse:
    return our_fault(request.scope.get(REQUEST_ID, "?"))
