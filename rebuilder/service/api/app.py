"""The whole application: operations below /api/v1, probes, and the site for everything else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from rebuilder.service.api.context import ApiContext
from rebuilder.service.api.documents import Problem
from rebuilder.service.api.limits import Gate, ResponseLayer
from rebuilder.service.api.problems import install, known_parameters
from rebuilder.service.api.rebuilderd import package_routes
from rebuilder.service.api.routes import probe_routes, verdict_routes, work_routes
from rebuilder.service.api.site_files import SiteFiles
from rebuilder.site.rendering import Renderer

_THREADS = 12
"""Requests that wait for the database or the disk at once; the database has a few connections more than that."""
_ABOUT = """Verdicts on published files, what is being worked on, and alarms. Reading needs no token.

Every error is an object with a sentence in `error` and, where somebody can do something about it, what in `hint`."""


@dataclass(frozen=True, slots=True)
class _Page:
    root: str = "/"


def make_app(context: ApiContext) -> ASGIApp:
    """The application as a server runs it."""
    return ResponseLayer(Gate(make_api(context), requests_per_minute=context.requests_per_minute))


def make_api(context: ApiContext) -> FastAPI:
    """The application without the layers that limit clients and write logs."""
    api = FastAPI(
        title="Rebuilder",
        version="1",
        description=_ABOUT,
        openapi_url=None,  # served below, as every other operation is
        docs_url=None,  # its scripts would come from somebody else's host
        redoc_url=None,
        redirect_slashes=False,  # the address would be made from the Host header, which anybody can write
        separate_input_output_schemas=False,  # None is left out, so what has a default is never certain to be there
        lifespan=_lifespan,
        dependencies=[Depends(known_parameters)],
        generate_unique_id_function=lambda route: route.name,
        responses={
            400: {"model": Problem, "description": "The request is not understood."},
            429: {"model": Problem, "description": "Too many requests; Retry-After says when to come back."},
            503: {"model": Problem, "description": "The ledger cannot be used now."},
            "4XX": {"model": Problem, "description": "Any other mistake in the request."},
        },
    )
    v1 = APIRouter(prefix="/api/v1")
    v1.include_router(verdict_routes(context))
    v1.include_router(work_routes(context))

    @v1.get("/openapi.json", include_in_schema=False)
    def openapi() -> JSONResponse:
        return JSONResponse(api.openapi())

    api.include_router(v1)
    api.include_router(package_routes(context))
    api.include_router(probe_routes(context))
    install(api, context)
    api.router.default = _everything_else(context, api.router)
    return api


def _everything_else(context: ApiContext, router: ASGIApp) -> ASGIApp:
    site = SiteFiles(context.site, Renderer(context.verifier).html("not_found.html", _Page()))

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith("/api/"):
            if not path.endswith("/"):
                raise HTTPException(404)
            return await router({**scope, "path": path.rstrip("/")}, receive, send)
        return await site(scope, receive, send)

    return default


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield


class _Nobody:
    """Stands for every part behind the API: to describe it none is used."""

    verifier = "rebuilder.example.org"
    site = Path()

    def __getattr__(self, name: str) -> Any:
        return None


def description() -> bytes:
    """The OpenAPI document, as ``docs/openapi.json`` has it."""
    document = make_api(cast("ApiContext", _Nobody())).openapi()
    return (json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


if __name__ == "__main__":
    (Path(__file__).parents[3] / "docs" / "openapi.json").write_bytes(description())
