"""Writes the site: a directory of plain files that any web server, or none, can show."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rebuilder.environments.record import PUBLISHED, Record
from rebuilder.errors import StoreError, UsageError
from rebuilder.model.accounting import CompiledHere
from rebuilder.model.alarm import RecordedAlarm
from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.model.incident import Incident
from rebuilder.model.operations import Days, Operations, days_of, public_alarms, public_operations
from rebuilder.model.report import Report, SignedReport, Summary, page_path
from rebuilder.model.sbom import build_dependencies
from rebuilder.model.value import Sha256, indented_json, is_sha256, sha256_hex
from rebuilder.resources import resource
from rebuilder.signing.envelope import statement_of
from rebuilder.site import documents
from rebuilder.site.display import SHORT, log_tail, plain_lines, visible
from rebuilder.site.feeds import robots
from rebuilder.site.kinds import address as href
from rebuilder.site.kinds import data_path
from rebuilder.site.listing import Front, Listing
from rebuilder.site.pages.alarms import alarms_page
from rebuilder.site.pages.artifact import PageContext, artifact_page, failed
from rebuilder.site.pages.incident import IncidentPage, IncidentsPage
from rebuilder.site.pages.index import about_page
from rebuilder.site.pages.lists import project_path
from rebuilder.site.pages.operate import operate_page
from rebuilder.site.rendering import Renderer, private_directory
from rebuilder.site.rows import artifact_key, current, newest_first
from rebuilder.site.sections.accounting import DEFINITION, LOG
from rebuilder.site.sections.build import derived_file
from rebuilder.site.writing import Unlisted, Writer, Written, digest, made_from, program
from rebuilder.store.protocol import Blobs
from rebuilder.vulnerabilities import Export, newest

_SMALL_TEXT = 64 << 10
"""Bytes of a diffoscope text that are still shown in the page itself."""
_OPERATE, _INCIDENTS = "operate.html", data_path("incidents/index.html")


class Site:
    """The published site below one directory. All of it can be written again from what is stored."""

    def __init__(
        self,
        root: Path,
        blobs: Blobs,
        *,
        public_key: bytes,
        key_id: str,
        verifier: str,
        cache: Path | None = None,
        public: bool = False,
        address: str | None = None,
        environment: Callable[[Sha256], bytes | None] = lambda _: None,
        osv: Path | None = None,
    ) -> None:
        """Nothing is written yet.

        Args:
            root: Directory of the site; made when needed.
            blobs: Where logs and diffoscope reports are.
            public_key: PEM of the key that signed, published as ``keys/<key_id>.pem``.
            key_id: SHA-256 of the public key in hexadecimal.
            verifier: Who verifies, as the pages name it.
            cache: Directory for compiled templates. Code is loaded from there: it must be nobody else's, and never
                below ``root``.
            public: Strangers read it: nothing is told about the machine and the people behind it.
            address: Where the site is published; None: not known.
            environment: The record of a build environment by the digest of its tree, JSON that strangers may read; None
                when it is not known here. It lets others make the environment again.
            osv: Export of OSV; None: nothing is said of known vulnerabilities.
        """
        if not is_sha256(key_id):
            raise ValueError("key_id has to be 64 hexadecimal digits")
        self.root = root
        self._blobs = blobs
        self._public_key = public_key
        self._key_id = key_id
        self._verifier = verifier
        self._public = public
        self._address = address
        self._environment = environment
        self._osv = osv
        self._writer = Writer(root)
        self._unlisted = Unlisted(root)
        self._renderer = Renderer(verifier, cache)
        notes = f"written-{sha256_hex(str(root.absolute()).encode())[:16]}"
        self.written = Written(root, cache / notes if cache is not None and private_directory(cache) else None)
        self._shared: dict[str, list[str]] = {}
        """What pages share that was written by this process, and what goes with it."""

    def write_artifact(
        self,
        signed: SignedReport,
        history: Sequence[Summary],
        alarms: Sequence[RecordedAlarm],
        *,
        doubt: str | None = None,
        made_of: str = "",
    ) -> Path:
        """Write the directory of one artifact and return the path of its ``index.html``.

        Args:
            signed: The newest verification of the artifact.
            history: All verifications of the project, in any order; this one may be among them.
            alarms: Alarms that are kept; those about this file are shown.
            doubt: Why nobody should believe it; said before all else.
            made_of: Names all of these; kept with the page, for :meth:`has`.

        Raises:
            StoreError: the directory cannot be written. The page before, if any, is still whole.
            ValueError: the verdict is one that is never published.
        """
        report = signed.report
        if not report.decision.verdict.publishable:
            raise ValueError(f"{report.decision.verdict.value} is never published as a verdict")
        artifact = report.artifact
        directory = page_path(artifact.ecosystem, artifact.name, artifact.version, artifact.filename, artifact.sha256)
        files, missing = self._files(signed)
        page = artifact_page(
            report,
            PageContext(
                history=history,
                alarms=public_alarms(alarms) if self._public else alarms,
                key_id=signed.key_id,
                doubt=doubt,
                project_href=href(project_path(artifact.ecosystem, artifact.name)),
                incidents=self._incidents_about(artifact.sha256),
                files={name: meaning for name, (meaning, _) in files.items()},
                missing=missing,
                log_tail=_log_tail(report, files),
                diffoscope_text=_diffoscope_text(files),
                address=f"{self._address.rstrip('/')}/{href(directory)}" if self._address else None,
            ),
        )
        shared = self._write_environments(report)
        if signed.key_id != self._key_id:
            shared.add(f"keys/{signed.key_id}.pem")
        self._begin()
        whole = {name: data for name, (_, data) in files.items()} | {"index.html": self._html("artifact.html", page)}
        self._writer.write_directory(directory, whole)
        if not missing:
            made_of = digest(self._circumstances, made_of, repr(self._incidents_about(artifact.sha256)))
            self.written.wrote(directory, made_of, [".", *whole, *(f"/{each}" for each in sorted(shared))])
        return self.root / directory / "index.html"

    def has(self, artifact: Summary, made_of: str) -> bool:
        """Whether the page of a file was made of just this, and nobody touched it since."""
        directory = page_path(artifact.ecosystem, artifact.name, artifact.version, artifact.filename, artifact.sha256)
        incidents = repr(self._incidents_about(artifact.sha256))
        return self.written.has(directory, digest(self._circumstances, made_of, incidents))

    def _incidents_about(self, sha256: str) -> tuple[documents.IncidentEntry, ...]:
        return tuple(each for each in documents.read_incidents(self.root) if sha256 in each.files)

    @property
    def _circumstances(self) -> str:
        """Names all that every page is made of."""
        osv = self._osv.stat().st_mtime_ns if self._osv is not None and self._osv.exists() else None
        about = (self._verifier, self._key_id, self._public, self._operated, self._address, str(self._osv), osv)
        return digest(program(), repr(about))

    def _write_environments(self, report: Report) -> set[str]:
        """What the build environments of a report were made from, each once for the whole site; where that is."""
        finishing = [each.finishing.definition for each in report.attempts if each.finishing is not None]
        trees = {each.toolchain.sha256 for each in (*_definitions(report), *finishing)}
        found = {path for tree in trees for path in self._environment_files(tree)}
        for each in report.sboms:
            if each.environment is not None:
                if each.path not in self._shared and self._blobs.has(each.sha256):
                    self._writer.write(each.path, self._blobs.read(each.sha256))
                    self._shared[each.path] = [each.path]
                found.update(self._shared.get(each.path, []))
        return found

    def _environment_files(self, tree: Sha256) -> list[str]:
        path = f"{PUBLISHED}/{tree}.json"
        if path not in self._shared:
            below: list[str] = []
            if (document := self._environment(tree)) is not None:
                if (base := Record.model_validate_json(document).base) is not None:
                    below = self._environment_files(base)
                self._writer.write(path, document)
            self._shared[path] = [path, *below] if (self.root / path).exists() else []
        return self._shared[path]

    def write_index(
        self,
        summaries: Sequence[Summary],
        alarms: Sequence[RecordedAlarm],
        now: datetime,
        *,
        untested: Mapping[str, int] | None = None,
        trust: str = "",
        days: Days | None = None,
    ) -> Path:
        """Write everything that is not about one artifact and return the path of the front page.

        Args:
            summaries: All verifications, in any order; the newest of each file counts.
            alarms: All alarms that are kept; the front page and its JSON have the open ones.
            now: The time the front page gives as its own.
            untested: Files that are known and have no verdict yet, by ecosystem; they count in every denominator.
            trust: Names what says which rows nobody should believe.
            days: What stood at the end of each day on which something ended; as the summaries tell it without.

        Raises:
            StoreError: the directory cannot be written.
        """
        files = current(summaries)
        with self.listed() as left:
            self._begin()
            self._write_fixed()
            front = self._front(files, alarms, now, untested or {})
            days = _by_day(summaries) if days is None else days
            self._listing.write(files, days, front, self._made_from(trust))
            self._writer.sweep(now)
            self._unlisted.end(left)
        return self.root / "index.html"

    def update_index(
        self,
        rows: Sequence[Summary],
        alarmed: Sequence[Summary],
        alarms: Sequence[RecordedAlarm],
        now: datetime,
        *,
        untested: Mapping[str, int],
        trust: str,
    ) -> bool:
        """The same where only some rows changed: what does not show them is left alone.

        Args:
            rows: Verifications whose pages were written since.
            alarmed: The newest verification of each file that alarms are about.
            alarms: As for :meth:`write_index`.
            now: The time the front page gives as its own, unless the newest that it lists is later.
            untested: As for :meth:`write_index`.
            trust: As for :meth:`write_index`; when it is another one, nothing is left alone.

        Returns:
            False: nothing was written, and :meth:`write_index` is needed.

        Raises:
            StoreError: the directory cannot be written.
        """
        with self.listed() as left:
            if left:
                return False
            self._begin()
            published = [each for each in newest_first(alarmed) if self._published(each)]
            front = self._front(published, alarms, now, untested)
            updated = self._listing.update(rows, front, self._made_from(trust))
            if updated:
                self._unlisted.end(left)
            return updated

    def _front(
        self, alarmed: Sequence[Summary], alarms: Sequence[RecordedAlarm], now: datetime, untested: Mapping[str, int]
    ) -> Front:
        """What the front page shows besides rows; the page of alarms is written."""
        alarms = public_alarms(alarms) if self._public else alarms
        self._page("alarms.html", "alarms.html", alarms_page(alarmed, alarms))
        return Front(
            [each for each in alarms if each.open], alarmed, now, untested, documents.read_incidents(self.root)
        )

    @contextlib.contextmanager
    def listed(self) -> Iterator[list[Path]]:
        """Keep other processes from writing the index meanwhile; gives what says that it is to be written whole.

        Raises:
            StoreError: the directory cannot be written.
        """
        try:
            with self._unlisted.listing() as left:
                yield left
        except OSError as error:
            raise StoreError(f"The index of {self.root} cannot be written: {error.strerror or error}.") from error

    def _begin(self) -> None:
        try:
            self._unlisted.begin()
        except OSError as error:
            raise StoreError(f"The site {self.root} cannot be written: {error.strerror or error}.") from error

    @property
    def _listing(self) -> Listing:
        about = {"verifier": self._verifier, "key_id": self._key_id}
        return Listing(self.root, self._writer, self._page, about, self._address, self.written, self._circumstances)

    def _made_from(self, trust: str) -> str:
        return made_from(self._verifier, self._key_id, self._operated, self._address, trust)

    def write_operations(self, operations: Operations, alarms: Sequence[RecordedAlarm]) -> Path:
        """Write the page and the data about the service and return the path of the page.

        Other pages link to it from the next time on that they are written.

        Args:
            operations: What the service is doing, and the moment of which all this is true.
            alarms: The open alarms; others among them are passed over.

        Raises:
            StoreError: they cannot be written.
        """
        still_open = [each for each in alarms if each.open]
        if self._public:
            operations, still_open = public_operations(operations), public_alarms(still_open)
        page = operate_page(operations, still_open, self._published)
        self._writer.write(data_path(_OPERATE), documents.operate_document(operations, still_open, self._verifier))
        self._writer.write(_OPERATE, self._renderer.html("operate.html", page, operated=True))
        return self.root / _OPERATE

    def _published(self, summary: Summary) -> bool:
        path = page_path(summary.ecosystem, summary.name, summary.version, summary.filename, summary.sha256)
        return (self.root / path / "index.html").is_file()

    def write_key(self, key_id: str, public_key: bytes) -> None:
        """Publish another key that signed some of the reports, such as one that was used before.

        Raises:
            StoreError: it cannot be written.
            ValueError: ``key_id`` is none.
        """
        if not is_sha256(key_id):
            raise ValueError("key_id has to be 64 hexadecimal digits")
        self._writer.write(f"keys/{key_id}.pem", public_key)

    def write_document(self, path: str, document: bytes) -> None:
        """Publish a document that somebody signed, below the root.

        Raises:
            StoreError: it cannot be written.
        """
        self._writer.write(path, document)

    def write_incidents(self, envelopes: Sequence[str]) -> None:
        """Write the pages of all incidents beside what was signed about them, and what leads to them.

        Raises:
            StoreError: they cannot be written.
        """
        entries = []
        for envelope in envelopes:
            incident, path = _incident(envelope), incident_path(envelope)
            self._writer.write(f"{path}/incident.dsse.json", envelope.encode())
            self._page(f"{path}/index.html", "incident.html", IncidentPage(incident, self._key_id))
            files = tuple(Sha256(each) for each in sorted(incident.concerned))
            about = {"asked": incident.asked, "looked": incident.looked}
            entries.append(documents.IncidentEntry(page=path, files=files, **about))
        entries.sort(key=lambda each: (each.looked, each.page), reverse=True)
        if entries or (self.root / _INCIDENTS).exists():
            listed = documents.Incidents(incidents=tuple(entries))
            self._writer.write(_INCIDENTS, indented_json(listed.document()))
            self._page("incidents/index.html", "incidents.html", IncidentsPage(entries))

    def _write_fixed(self) -> None:
        self._writer.write(f"keys/{self._key_id}.pem", self._public_key)
        for folder in ("static", "schemas"):
            for source in sorted((resource("reports") / folder).iterdir()):
                self._writer.write(f"{folder}/{source.name}", source.read_bytes())
        self._writer.write("favicon.ico", (resource("reports") / "static" / "favicon.ico").read_bytes())
        self._writer.write("robots.txt", robots(self._address))
        about = about_page(self._key_id, list(documents.SCHEMAS))
        self._page("compliance.html", "compliance.html", about)
        self._page("about.html", "about.html", about)

    def _page(self, path: str, template: str, page: object) -> None:
        self._writer.write(path, self._html(template, page))

    def _html(self, template: str, page: object) -> bytes:
        return self._renderer.html(template, page, operated=self._operated)

    @property
    def _operated(self) -> bool:
        """Whether a service publishes here: only then do pages link to its own."""
        return (self.root / _OPERATE).is_file()

    def _files(self, signed: SignedReport) -> tuple[dict[str, tuple[str, bytes]], tuple[str, ...]]:
        """Meaning and bytes of each file beside the page by name, and the names of those our store has lost."""
        report = signed.report
        files = {
            "report.json": ("this page as data", signed.report_bytes),
            "verdict.dsse.json": ("the signed verdict about the published file", signed.vsa.encode()),
        }
        if signed.provenance is not None:
            files["provenance.dsse.json"] = ("signed: how our rebuild was made", signed.provenance.encode())
        wanted: list[tuple[str, str, str]] = []
        for number, attempt in enumerate(report.attempts, 1):
            definition, log = attempt.hypothesis.definition, attempt.run.log_sha256
            files[f"definition-{number}.json"] = (f"build definition of attempt {number}", definition.canonical)
            wanted.append((f"log-{number}.txt", f"log of attempt {number}, as the build wrote it", log))
            if (described := attempt.run.description) is not None:
                meaning = f"what attempt {number} wrote about how it was made (.buildinfo)"
                wanted.append((f"buildinfo-{number}.txt", meaning, described.sha256))
            if (done := attempt.finishing) is not None:
                run = f"the run that finished attempt {number}"
                files[f"finishing-{number}.json"] = (f"definition of {run}", done.definition.canonical)
                wanted.append((f"record-{number}.json", f"what {run} wrote into it", done.record_sha256))
        if (compiled := _compiled(report)) is not None:
            what = "the build whose compiled code was compared"
            files[DEFINITION] = (f"definition of {what}", compiled.definition.canonical)
            wanted.append((LOG, f"log of {what}", compiled.run.log_sha256))
        if (given := report.evidence.buildinfo_sha256) is not None:
            wanted.append(("buildinfo-given.txt", "what was given about the build of the published file", given))
        wanted += _derived_blobs(report) + _diffoscope_blobs(report)
        made_with = "what the rebuilt file was made with (CycloneDX)"
        wanted += [(each.path, made_with, each.sha256) for each in report.sboms if each.environment is None]
        missing = []
        if self._osv is not None:
            try:
                data = _vulnerabilities(report, newest(self._osv))
                files["vulnerabilities.json"] = ("known vulnerabilities of it and of what it was built with", data)
            except UsageError:  # the page says that it is missing; an export is no reason to publish nothing
                missing.append("vulnerabilities.json")
        for name, meaning, sha256 in wanted:
            try:
                data = self._blobs.read(sha256)
            except StoreError:
                # One lost log must not keep a thousand verdicts from being published; the page says it is lost.
                missing.append(name)
                continue
            files[name] = (meaning, data)
        return files, tuple(missing)


def incident_path(envelope: str) -> str:
    """Directory of the page of an incident below the site's root."""
    return f"incidents/{sha256_hex(envelope.encode())[:16]}"


def _incident(envelope: str) -> Incident:
    return Incident.model_validate(statement_of(envelope)["predicate"]["incident"])


def _vulnerabilities(report: Report, export: Export) -> bytes:
    """What an export says, by package URL; what is empty has nothing that is known."""
    built_with = build_dependencies(report.rebuild.definition) if report.rebuild is not None else {}
    known = {purl: [each.document() for each in export.about(purl)] for purl in built_with}
    return indented_json(
        {
            "release": [each.document() for each in export.about(report.artifact.purl)],
            "built_with": {purl: each for purl, each in known.items() if each},
        }
    )


def _by_day(summaries: Sequence[Summary]) -> Days:
    ended = [each for each in reversed(newest_first(summaries)) if each.verdict.publishable]
    return days_of(((each.ecosystem, each.name), artifact_key(each), each.finished, each.verdict) for each in ended)


def _compiled(report: Report) -> CompiledHere | None:
    return report.accounting.compiled if report.accounting is not None else None


def _definitions(report: Report) -> list[BuildDefinition]:
    """All builds, that which compiled code was compared with last."""
    compiled = _compiled(report)
    found = [each.hypothesis.definition for each in report.attempts]
    return [*found, compiled.definition] if compiled is not None else found


def _derived_blobs(report: Report) -> list[tuple[str, str, str]]:
    """What we made from the evidence for a build: without it nobody else can run the definition."""
    inputs = [each for definition in _definitions(report) for each in definition.inputs]
    derived = {derived_file(each): each for each in inputs if each.role is Role.PARAMETERS}
    return [
        (name, f"{visible(each.name, SHORT)}, an input of the build", each.sha256) for name, each in derived.items()
    ]


def _diffoscope_blobs(report: Report) -> list[tuple[str, str, str]]:
    index = report.decision.attempt
    comparison = report.attempts[index].comparison if index is not None else None
    run = comparison.diffoscope if comparison else None
    if run is None:
        return []
    by = f"by diffoscope {run.version}" if run.version else "by diffoscope"
    found = (
        ("diffoscope.html", f"what differs, {visible(by, SHORT)}", run.html_sha256),
        ("diffoscope.txt", "the same as text", run.text_sha256),
        ("diffoscope.json", "the same as data", run.json_sha256),
    )
    return [(name, meaning, sha256) for name, meaning, sha256 in found if sha256 is not None]


def _log_tail(report: Report, files: dict[str, tuple[str, bytes]]) -> str | None:
    if not failed(report) or report.decision.attempt is None:
        return None
    found = files.get(f"log-{report.decision.attempt + 1}.txt")
    return (log_tail(found[1]) or None) if found else None


def _diffoscope_text(files: dict[str, tuple[str, bytes]]) -> str | None:
    found = files.get("diffoscope.txt")
    return plain_lines(found[1]) if found and len(found[1]) <= _SMALL_TEXT else None
