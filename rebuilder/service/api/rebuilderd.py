"""The reads of rebuilderd's API, for its clients: files of every ecosystem, each as a package of a distribution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import ConfigDict, Field, StringConstraints
from pydantic_core import to_json

from rebuilder.ecosystems.registry import conventions, distribution, of_distribution
from rebuilder.interop.rebuilderd import documents
from rebuilder.interop.rebuilderd.writer import KEYS, LIST
from rebuilder.model.attempt import Attempt
from rebuilder.model.report import Report
from rebuilder.model.value import Value
from rebuilder.service.api.context import ApiContext
from rebuilder.service.api.problems import LENIENT, Refusal
from rebuilder.store.ledger.package_book import Jobs, PackageBook, PackageRow, Part, Wanted

_Text = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
_Number = Annotated[int, InPath(ge=0, le=(1 << 31) - 1)]
_Distribution = Annotated[_Text, InPath(alias="distribution")]
_Cursor = Annotated[int, Field(ge=0, le=(1 << 31) - 1)]
_NO_RELEASE = "-"
_Search = Callable[[Wanted, Part], tuple[int, list[PackageRow]]]
_Record = TypeVar("_Record")


class PackageQuery(Value):
    """What a list is asked for; a parameter of a newer client is passed over, as the original does."""

    model_config = ConfigDict(extra="ignore")

    name: _Text | None = None
    version: _Text | None = None
    architecture: _Text | None = None
    distribution: _Text | None = None
    """An ecosystem, by what clients call it."""
    release: _Text | None = None
    """Nothing here has one."""
    component: _Text | None = None
    """Nothing here has one."""
    source_name: _Text | None = None
    seen_only: bool | None = None
    limit: int = Field(default=1000, ge=1, le=10_000)
    before: _Cursor | None = None
    after: _Cursor | None = None
    sort: Literal["id", "name", "version", "distribution"] = "id"
    direction: Literal["Ascending", "Descending"] = "Ascending"

    @property
    def wanted(self) -> Wanted | None:
        """Which files; None where there can be none."""
        names = {each for each in (self.name, self.source_name) if each is not None}
        if self.release is not None or self.component is not None or self.seen_only is False or len(names) > 1:
            return None
        accept = None if self.architecture is None else self._accept
        ecosystem = None if self.distribution is None else of_distribution(self.distribution)
        return Wanted(ecosystem, next(iter(names), None), self.version, accept)

    @property
    def part(self) -> Part:
        """Which part of the list."""
        return Part(self.limit, self.before, self.after, self.sort, self.direction == "Descending")

    def _accept(self, ecosystem: str, filename: str) -> bool:
        return conventions(ecosystem).architecture(filename) == self.architecture


class ListQuery(Value):
    """What the older list is asked for."""

    model_config = ConfigDict(extra="ignore")

    name: _Text | None = None
    status: _Text | None = None
    distro: _Text | None = None
    suite: _Text | None = None
    architecture: _Text | None = None


_Asked = Annotated[PackageQuery, Query()]


def package_routes(context: ApiContext) -> APIRouter:
    """Everything its clients read; nothing is signed here, and what is listed as good was signed as that."""
    router, packages = APIRouter(tags=[LENIENT], include_in_schema=False), _Packages(context)
    build, meta = "/api/v1/builds/{number}", "/api/v1/meta"
    for path, answer in (
        ("/api/v0/pkgs/list", packages.listed_packages),
        ("/api/v0/builds/{number}/log", packages.old_build_log),
        ("/api/v0/builds/{number}/diffoscope", packages.old_build_diffoscope),
        ("/api/v0/builds/{number}/attestation", packages.old_attestation),
        ("/api/v1/packages/binary", packages.binary_packages),
        ("/api/v1/packages/binary/{number}", packages.binary_package),
        ("/api/v1/packages/source", packages.source_packages),
        ("/api/v1/packages/source/{number}", packages.source_package),
        ("/api/v1/builds", packages.builds),
        (build, packages.build),
        (f"{build}/log", packages.build_log),
        (f"{build}/artifacts", packages.build_artifacts),
        (f"{build}/artifacts/{{artifact}}", packages.build_artifact),
        (f"{build}/artifacts/{{artifact}}/diffoscope", packages.build_diffoscope),
        (f"{build}/artifacts/{{artifact}}/attestation", packages.attestation),
        ("/api/v1/dashboard", packages.dashboard),
        (f"{meta}/distributions", packages.distributions),
        (f"{meta}/distributions/{{distribution}}/releases", packages.releases),
        (f"{meta}/distributions/{{distribution}}/architectures", packages.architectures),
        (f"{meta}/distributions/{{distribution}}/releases/{{release}}/architectures", packages.of_release),
        (f"{meta}/public-keys", packages.public_keys),
    ):
        router.add_api_route(path, answer)
    return router


class _Packages:
    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @property
    def _book(self) -> PackageBook:
        return self._context.ledger.package_book

    def listed_packages(self, asked: Annotated[ListQuery, Query()]) -> Response:
        """List every file with what its newest verification came to."""
        file = self._context.site / LIST
        needles = [f'"{name}":'.encode() + to_json(value) for name, value in asked.document().items()]
        if not file.is_file():
            return Response(b"[]\n", media_type="application/json")
        if not needles:
            return FileResponse(file, media_type="application/json")
        return StreamingResponse(_lines(file, needles), media_type="application/json")

    def binary_packages(self, asked: _Asked) -> documents.ResultPage[documents.BinaryPackage]:
        """Search for files."""
        return self._page(asked, self._book.packages, self._binary_package)

    def binary_package(self, number: _Number) -> documents.BinaryPackage:
        """Give one file."""
        return self._binary_package(self._package(number))

    def _binary_package(self, row: PackageRow) -> documents.BinaryPackage:
        return documents.binary_package(row, self._context.site)

    def source_packages(self, asked: _Asked) -> documents.ResultPage[documents.SourcePackage]:
        """Search for what files are built from: each has a source of its own."""
        return self._page(asked, self._book.packages, documents.source_package)

    def source_package(self, number: _Number) -> documents.SourcePackage:
        """Give what one file is built from."""
        return documents.source_package(self._package(number))

    def builds(self, asked: _Asked) -> documents.ResultPage[documents.Build]:
        """Search for finished verifications."""
        return self._page(asked, self._book.builds, documents.build, built=True)

    def build(self, number: _Number) -> documents.Build:
        """Give one finished verification."""
        return documents.build(self._built(number))

    def build_log(self, number: _Number) -> Response:
        """Give the log of the attempt that the verdict rests on, or of the last one."""
        attempt = _attempt(self._report(number))
        return self._text(attempt.run.log_sha256 if attempt else None)

    def old_build_log(self, number: _Number) -> Response:
        """Give the same where older clients look for it."""
        return self.build_log(number)

    def old_build_diffoscope(self, number: _Number) -> Response:
        """Say what differs, by diffoscope, where older clients look for it."""
        return self.build_diffoscope(number, number)

    def build_artifacts(self, number: _Number) -> list[documents.BuildArtifact]:
        """Give the file that a verification was about."""
        row, differs = self._built(number), _diffoscope(self._report(number))
        return [documents.build_artifact(row, has_diffoscope=differs is not None and self._context.blobs.has(differs))]

    def build_artifact(self, number: _Number, artifact: _Number) -> documents.BuildArtifact:
        """Give the same by its number, which is that of the verification."""
        _same(number, artifact)
        return self.build_artifacts(number)[0]

    def build_diffoscope(self, number: _Number, artifact: _Number) -> Response:
        """Say what differs, by diffoscope."""
        _same(number, artifact)
        return self._text(_diffoscope(self._report(number)))

    def attestation(self, number: _Number, artifact: _Number) -> Response:
        """Give the signed link about what was reproduced."""
        _same(number, artifact)
        link = self._book.link(number) if self._built(number).linked else None
        if link is None:
            raise _absent()
        return Response(link, media_type="application/json; charset=utf-8")

    def old_attestation(self, number: _Number) -> Response:
        """Give the same where older clients look for it."""
        return self.attestation(number, number)

    def dashboard(self, asked: _Asked) -> documents.Dashboard:
        """Say how it is going."""
        wanted, now = asked.wanted, self._context.clock.now()
        if wanted is None:
            return documents.dashboard((), Jobs(0, 0, 0))
        counts = self._book.counts(wanted)
        doubted = self._book.counts(wanted, only=self._context.doubted())
        counts.subtract(doubted)
        counts[None] += doubted.total()
        return documents.dashboard(counts.items(), self._book.jobs(wanted, now))

    def distributions(self) -> list[str]:
        """List the ecosystems."""
        return sorted(map(distribution, self._book.files()))

    def releases(self, named: _Distribution) -> list[str | None]:
        """List the releases of a distribution: nothing here has one."""
        return [None] if self._book.files(of_distribution(named)) else []

    def architectures(self, named: _Distribution) -> list[str]:
        """List what files of an ecosystem are told apart by."""
        ecosystem = of_distribution(named)
        names = self._book.files(ecosystem).get(ecosystem, ())
        return sorted({conventions(ecosystem).architecture(name) for name in names})

    def of_release(self, named: _Distribution, release: str) -> list[str]:
        """List the same for a release: ``-`` stands for none."""
        return self.architectures(named) if release == _NO_RELEASE else []

    def public_keys(self) -> Response:
        """Give the key that attestations are signed with."""
        file = self._context.site / KEYS
        if not file.is_file():
            raise _absent()
        return FileResponse(file, media_type="application/json")

    def _page(
        self, asked: PackageQuery, search: _Search, document: Callable[[PackageRow], _Record], *, built: bool = False
    ) -> documents.ResultPage[_Record]:
        total, rows = search(asked.wanted, asked.part) if asked.wanted else (0, [])
        told = (row for row in self._agreed(rows) if row.number is not None or not built)
        return documents.ResultPage(total=total, records=tuple(map(document, told)))

    def _agreed(self, rows: Sequence[PackageRow]) -> list[PackageRow]:
        """The same; where what the ledger says was not signed, or by a revoked key, as files without a verification."""
        said = self._context.agreeing([row.summary for row in rows if row.summary is not None])
        kept = {each.identity for each in said if each.doubt is None}
        return [row if row.summary is None or row.summary.identity in kept else row.unverified for row in rows]

    def _package(self, number: int) -> PackageRow:
        row = self._book.package(number)
        if row is None:
            raise _absent()
        return self._agreed([row])[0]

    def _built(self, number: int) -> PackageRow:
        row = self._book.build(number)
        if row is None or self._agreed([row])[0].number is None:
            raise _absent()
        return row

    def _report(self, number: int) -> Report:
        signed = self._book.report(number)
        if signed is None:
            raise _absent()
        self._context.check(signed)
        return signed.report

    def _text(self, sha256: str | None) -> Response:
        if sha256 is None or not self._context.blobs.has(sha256):
            raise _absent()
        return PlainTextResponse(self._context.blobs.read(sha256).decode("utf-8", "replace"))


def _lines(file: Path, needles: Sequence[bytes]) -> Iterator[bytes]:
    """The list of those members, each on a line of its own, that have all of some fields.

    A quotation mark inside a text is written with a backslash before it, so that nothing but a field looks like one.
    """
    yield b"["
    begun = False
    with file.open("rb") as lines:
        for line in lines:
            member = line.removeprefix(b"[").removesuffix(b"\n").removesuffix(b"]").removesuffix(b",")
            if member and all(each in member for each in needles):
                yield b",\n" + member if begun else member
                begun = True
    yield b"]\n"


def _attempt(report: Report) -> Attempt | None:
    if report.decision.attempt is not None:
        return report.attempts[report.decision.attempt]
    return report.attempts[-1] if report.attempts else None


def _diffoscope(report: Report) -> str | None:
    attempt = _attempt(report)
    found = attempt.comparison.diffoscope if attempt is not None and attempt.comparison is not None else None
    return found.text_sha256 if found is not None else None


def _same(number: int, artifact: int) -> None:
    if number != artifact:
        raise _absent()


def _absent() -> Refusal:
    return Refusal(404, "There is nothing of this kind with this number.")
