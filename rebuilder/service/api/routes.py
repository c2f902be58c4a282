"""The operations of the API: what was said about published files, the work and its alarms, and probes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from packageurl import PackageURL
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import StringConstraints

from rebuilder.ecosystems.registry import conventions
from rebuilder.errors import UsageError
from rebuilder.model.alarm import RecordedAlarm
from rebuilder.model.operations import Operations, QueueState, public_alarms, public_operations, public_queue
from rebuilder.model.report import Report, summarise
from rebuilder.model.verdict import Verdict
from rebuilder.service.api.context import ApiContext, trusted
from rebuilder.service.api.documents import (
    Accepted,
    Acknowledgement,
    Problem,
    Status,
    Verdicts,
    Wanted,
    file_status,
    verdicts_page,
)
from rebuilder.service.api.problems import Refusal

_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]
_Name = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]+$")]  # a NUL is in no database column
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "Nothing like it is known here."}}
_PURL = "A package URL of a release looks like pkg:pypi/idna@3.10."


def verdict_routes(context: ApiContext) -> APIRouter:
    """Operations that only read what was published."""
    router = APIRouter(tags=["verdicts"])

    @router.get("/status", response_model_exclude_none=True, responses=_NOT_FOUND)
    def status(
        request: Request,
        purl: Annotated[str | None, Query(max_length=1024, description=_PURL)] = None,
        sha256: Annotated[_Digest | None, Query(description="Of a published file.")] = None,
    ) -> Status:
        """Say what is known about the files of a release, or about the files with a digest."""
        now = context.clock.now()
        if (purl is None) == (sha256 is None):
            raise Refusal(400, "Ask either for a “purl” or for a “sha256”.", hint=_PURL)
        if purl is not None:
            spellings, filename = _spellings(purl)
            known = context.ledger.lookup.release(spellings, now, filename=filename)
        else:
            known = context.ledger.lookup.digest(str(sha256).lower(), now)
        if not known:
            what = "release or file" if purl is not None else "published file"
            raise Refusal(
                404,
                f"No such {what} was seen here.",
                hint="Check the spelling; POST /api/v1/verifications asks for a verification.",
            )
        known = [each.replace(verifications=tuple(context.agreeing(each.verifications))) for each in known]
        full = trusted(context, request)
        return Status(files=tuple(file_status(each, public=not full) for each in known))

    @router.get("/verdicts", response_model_exclude_none=True)
    def verdicts(
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        ecosystem: Annotated[str | None, Query(pattern="^[a-z][a-z0-9]{0,31}$")] = None,
        verdict: Verdict | None = None,
        before: Annotated[str | None, Query(pattern=r"^[0-9]{1,17}\.[0-9]{1,18}$", description="A “next”.")] = None,
    ) -> Verdicts:
        """List finished verifications, newest first."""
        recent = context.ledger.lookup.recent(limit, ecosystem=ecosystem, verdict=verdict, before=before)
        return verdicts_page(recent.replace(rows=tuple(context.agreeing(recent.rows))))

    @router.get("/report", response_model=Report, responses=_NOT_FOUND)
    def report(sha256: _Digest, filename: _Name | None = None) -> Response:
        """Give the newest report on a published file: the bytes of ``report.json`` beside its page.

        Where nobody should believe it, since its key was revoked, the header ``Rebuilder-Doubt`` says ``revoked``.
        """
        signed = context.ledger.signed_report(sha256.lower(), filename)
        if signed is None:
            raise Refusal(404, "There is no report on such a file.", hint="GET /api/v1/status says what is known.")
        context.check(signed)
        doubted = any(each.doubt is not None for each in context.agreeing([summarise(signed.report)]))
        headers = {DOUBT: "revoked"} if doubted else {}
        return Response(signed.report_bytes, media_type="application/json", headers=headers)

    return router


def _spellings(asked: str) -> tuple[list[str], str | None]:
    """The ways a release may be written in the ledger, and the file that is asked for, if one is.

    A plus sign in a query is a space to HTTP, and package URLs have no spaces. The library writes npm names in small
    letters though old ones have capitals, so that the name as it was asked for counts too.
    """
    written = asked.strip().replace(" ", "+")
    try:
        if "\0" in written or "%00" in written:
            raise ValueError("NUL")  # noqa: TRY301 - no database column holds one
        found = PackageURL.from_string(written)
    except ValueError:
        raise Refusal(400, "This is not a package URL.", hint=_PURL) from None
    if found.version is None:
        raise Refusal(400, "The package URL names no version.", hint=_PURL)
    name = conventions(found.type).canonical_name(found.name)
    path, _, version = written.partition("?")[0].partition("#")[0].removeprefix("pkg:").lstrip("/").rpartition("@")
    kind, _, rest = path.partition("/")
    spellings = [
        PackageURL(type=found.type, namespace=found.namespace, name=name, version=found.version).to_string(),
        f"pkg:{kind.lower()}/{quote(unquote(rest))}@{quote(unquote(version))}",
    ]
    qualifiers = found.qualifiers if isinstance(found.qualifiers, dict) else {}
    return spellings, qualifiers.get("file_name")


DOUBT = "Rebuilder-Doubt"
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
        """Ask for a verification; asking again while it is queued makes it as urgent and as thorough as asked."""
        if not _SUBJECT.fullmatch(wanted.subject):
            # Without this, a path would name a file on this machine.
            raise Refusal(
                400,
                "The subject does not begin with an ecosystem.",
                hint="Write pypi:idna==3.10, or a package URL such as pkg:npm/left-pad@1.3.0.",
            )
        address = request.client.host if request.client else "this machine"
        orders = context.ask(wanted.subject, wanted.tier, f"HTTP API, {address}", wanted.priority)
        purls = dict.fromkeys(order.purl for order in orders)
        return Accepted(
            orders=tuple(orders), status=tuple(f"/api/v1/status?purl={quote(purl, safe='')}" for purl in purls)
        )

    return router


_NAMED = re.compile(rb'\{(?:watch|runner)="|rebuilder_watch_')
"""In lines of metrics whose labels are names that the operator gave."""
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    503: {"model": list[str], "description": "It does not; each sentence says why."}
}


def probe_routes(context: ApiContext) -> APIRouter:
    """Operations at the root, where such programs look for them."""
    router = APIRouter(tags=["probes"])

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def metrics(request: Request) -> Response:
        """Give the figures that Prometheus collects."""
        found = context.metrics()
        if not trusted(context, request):
            found = b"".join(line for line in found.splitlines(keepends=True) if not _NAMED.search(line))
        return Response(found, headers={"Content-Type": CONTENT_TYPE_LATEST})

    @router.get("/healthz", response_model=list[str], responses=_PROBLEMS)
    def healthz() -> JSONResponse:
        """Say whether this process works; when it does not, start it again."""
        return _answer(context.live)

    @router.get("/readyz", response_model=list[str], responses=_PROBLEMS)
    def readyz(request: Request) -> JSONResponse:
        """Say whether it can do its work now; when it cannot, the sentences say what is missing."""
        return _answer(context.ready if trusted(context, request) else context.ready_in_public)

    return router


def _answer(problems: Callable[[], list[str]]) -> JSONResponse:
    found = problems()
    return JSONResponse(found, 503 if found else 200)
