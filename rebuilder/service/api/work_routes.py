"""What the service is doing, and what it can be asked to do: queue, operations, alarms, verifications."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from rebuilder.errors import UsageError
from rebuilder.model.alarm import RecordedAlarm
from rebuilder.model.operations import Operations, QueueState, public_alarms, public_operations, public_queue
from rebuilder.service.api.context import ApiContext, trusted
from rebuilder.service.api.documents import Accepted, Acknowledgement, Problem, Wanted
from rebuilder.service.api.problems import Refusal

_MOST_ALARMS = 500
_SUBJECT = re.compile(r"[a-z][a-z0-9]*:.+", re.DOTALL)
_BEARER = HTTPBearer(auto_error=False, description="The word in the file “api-token” in the directory of the keys.")
_CHANGES: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No token, or another one."},
    413: {"model": Problem, "description": "The body is larger than 16 KiB."},
    415: {"model": Problem, "description": "The body is not application/json."},
}


def work_routes(context: ApiContext) -> APIRouter:
    """Operations about the work itself; what changes something needs the token."""
    router = APIRouter(tags=["work"])

    def authorised(offered: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if offered is None or not context.token.matches(offered.credentials):
            raise Refusal(
                401,
                "This needs the token of this service.",
                hint="Send “Authorization: Bearer TOKEN”; the token is in the file api-token beside the signing key.",
                headers={"WWW-Authenticate": "Bearer"},
            )

    @router.get("/queue", response_model_exclude_none=True)
    def queue(request: Request) -> QueueState:
        """Say what is being worked on and what is next."""
        found = context.ledger.queue.state(context.clock.now())
        return found if trusted(context, request) else public_queue(found)

    @router.get("/operations", response_model_exclude_none=True)
    def operations(request: Request) -> Operations:
        """Say what the service is doing and how it is going."""
        found = context.ledger.statistics.operations(context.clock.now())
        return found if trusted(context, request) else public_operations(found)

    @router.get("/alarms", response_model_exclude_none=True)
    def alarms(request: Request, *, all: bool = False) -> list[RecordedAlarm]:  # noqa: A002 - the name in the address
        """List the alarms somebody still has to look at; with ``all=true`` also the newest of the others."""
        book = context.ledger.alarm_book
        found = book.all(_MOST_ALARMS) if all else book.open()
        return found if trusted(context, request) else public_alarms(found)

    @router.post(
        "/alarms/{number}/acknowledge",
        response_model_exclude_none=True,
        dependencies=[Depends(authorised)],
        responses={**_CHANGES, 404: {"model": Problem, "description": "There is no such alarm."}},
    )
    def acknowledge(number: Annotated[int, Path(ge=1, le=(1 << 31) - 1)], said: Acknowledgement) -> RecordedAlarm:
        """Say that somebody has looked at an alarm; it is not shown as open any more."""
        book = context.ledger.alarm_book
        try:
            book.get(number)
        except UsageError as error:
            raise Refusal(404, str(error), hint="GET /api/v1/alarms?all=true lists them.") from None
        return book.acknowledge(number, said.by, said.note or None, context.clock.now())

    @router.post(
        "/verifications",
        status_code=202,
        response_model_exclude_none=True,
        dependencies=[Depends(authorised)],
        responses={
            **_CHANGES,
            400: {"model": Problem, "description": "The subject is malformed, or nothing like it is published."},
            503: {"model": Problem, "description": "The registry does not answer, or the ledger cannot be written."},
        },
    )
    def verify(wanted: Wanted, request: Request) -> Accepted:
        """Ask for a verification; asking again while it is queued changes nothing."""
        if not _SUBJECT.fullmatch(wanted.subject):
            # Without this, a path would name a file on this machine.
            raise Refusal(
                400,
                "The subject does not begin with an ecosystem.",
                hint="Write pypi:idna==3.10, or a package URL such as pkg:npm/left-pad@1.3.0.",
            )
        address = request.client.host if request.client else "this machine"
        orders = context.ask(wanted.subject, wanted.tier, f"HTTP API, {address}")
        purls = dict.fromkeys(order.purl for order in orders)
        return Accepted(
            orders=tuple(orders), status=tuple(f"/api/v1/status?purl={quote(purl, safe='')}" for purl in purls)
        )

    return router
