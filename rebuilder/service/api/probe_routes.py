"""What watches the service asks: metrics, liveness, readiness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from rebuilder.service.api.context import ApiContext, trusted

_NAMED_BY_WATCH = b"rebuilder_watch_"
"""How metrics begin whose labels are names of watches."""
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
            found = b"".join(line for line in found.splitlines(keepends=True) if _NAMED_BY_WATCH not in line)
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
