"""What was said about published files: status, recent verdicts, reports."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Query, Request, Response
from packageurl import PackageURL
from pydantic import StringConstraints

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.report import Report
from rebuilder.model.verdict import Verdict
from rebuilder.service.api.context import ApiContext, trusted
from rebuilder.service.api.documents import Problem, Status, Verdicts, file_status, verdicts_page
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
        """Give the newest report on a published file: the bytes of ``report.json`` beside its page."""
        signed = context.ledger.signed_report(sha256.lower(), filename)
        if signed is None:
            raise Refusal(404, "There is no report on such a file.", hint="GET /api/v1/status says what is known.")
        context.check(signed)
        return Response(signed.report_bytes, media_type="application/json")

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
