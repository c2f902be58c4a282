"""What must hold after all of it, whatever happened on the way."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import select

from rebuilder.log.audit import Published
from rebuilder.log.entry import KEY, LOG, LogEntry
from rebuilder.log.note import NoteKey
from rebuilder.model.value import sha256_hex
from rebuilder.signing.envelope import verify
from rebuilder.store.ledger import Ledger, tables
from tests.fakes.command import Installation


def violations(
    installation: Installation, place: str | Path, expected: dict[str, str], *, asked: Collection[str] = ()
) -> Iterator[str]:
    """Everything that is not as it should be, in sentences; what was ``asked`` for by hand may be signed twice."""
    with Ledger.open(place) as ledger:
        yield from _ledger(ledger, expected, asked)
    yield from _site(installation)
    left = list(leftovers(installation))
    if left:
        yield f"{len(left)} temporary files are left: {left[:5]}"
    yield from mounts(installation.root)


def verdicts(place: str | Path) -> dict[str, str]:
    """The verdict of each file that has one."""
    with Ledger.open(place) as ledger:
        return {each.filename: each.verdict.value for each in ledger.latest()}


def _ledger(ledger: Ledger, expected: dict[str, str], asked: Collection[str]) -> Iterator[str]:
    verification, artifact = tables.verification.c, tables.artifact.c
    query = select(artifact.filename, verification.state, verification.verdict).join(tables.verification)
    with ledger._database.reading() as connection:
        if connection.dialect.name == "sqlite":
            answer = connection.exec_driver_sql("PRAGMA integrity_check").scalar()
            if answer != "ok":
                yield f"The ledger is damaged: {answer}"
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if broken:
                yield f"The ledger has references to nothing: {broken[:5]}"
        rows = connection.execute(query).all()
        tasks = connection.execute(select(tables.task.c.filename, tables.task.c.lease_owner)).all()
        signed = connection.execute(select(tables.signed.c.verification_id)).scalars().all()
    found: dict[str, list[str]] = defaultdict(list)
    states: Counter[str] = Counter(state for _, state, _ in rows)
    for filename, state, verdict in rows:
        if state == "done":
            found[filename].append(verdict)
    for filename, verdict in expected.items():
        if found[filename] not in ([verdict], [verdict] * 2 if filename in asked else [verdict]):
            yield f"{filename} should have been signed once as {verdict}, and was as {found[filename]}."
    for state in ("running", "examined"):
        if states[state]:
            yield f"{states[state]} verifications are still {state}."
    if len(signed) != states["done"]:
        yield f"{len(signed)} reports are signed and {states['done']} verifications are done."
    held = [filename for filename, owner in tasks if owner is not None]
    if held:
        yield f"Somebody who is no more still holds {held}."


class _Links(HTMLParser):
    """Collects what a page refers to, and whether it is whole."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.whole = False

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attrs if name in {"href", "src"} and value]

    def handle_endtag(self, tag: str) -> None:
        self.whole = tag == "html"


def _site(installation: Installation) -> Iterator[str]:
    keys = list((installation.site / "keys").glob("*.pem"))
    if len(keys) != 1:
        yield f"The site has {len(keys)} public keys."
    for file in (each for each in installation.site.rglob("*") if each.is_file()):
        name = file.relative_to(installation.site)
        try:
            if file.suffix == ".html":
                yield from _page(installation.site, file)
            if file.suffix == ".json":
                document = json.loads(file.read_bytes())
                if file.name.endswith(".dsse.json"):
                    _envelope(file, keys[0], document)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a violation
            yield f"{name} is not whole or not right: {type(error).__name__}: {error}"
    yield from _log(installation.site)
    for page in installation.site.glob("pypi/*/*/*/*/"):
        missing = {"index.html", "report.json", "verdict.dsse.json"} - {each.name for each in page.iterdir()}
        if missing:
            yield f"{page.relative_to(installation.site)} lacks {sorted(missing)}."


def _log(site: Path) -> Iterator[str]:
    """What an auditor finds, with every statement of the site's pages in the log."""
    key = NoteKey.read((site / KEY).read_text().strip())

    def read(path: str) -> bytes:
        return (site / LOG / path).read_bytes()

    try:
        entries = [LogEntry.read(data) for _, data in Published.read(read, key).entries(read)]
    except (OSError, ValueError) as error:
        yield f"The log is not whole: {error}"
        return
    logged = {each.envelope for each in entries}
    if len(logged) != len(entries):
        yield f"{len(entries) - len(logged)} statements are in the log more than once."
    shown = {sha256_hex(file.read_bytes()): file for file in site.glob("pypi/*/*/*/*/*.dsse.json")}
    yield from (
        f"{file.relative_to(site)} is not in the log." for digest, file in shown.items() if digest not in logged
    )


def _page(site: Path, file: Path) -> Iterator[str]:
    links = _Links()
    links.feed(file.read_text("utf-8"))
    if not links.whole:
        yield f"{file.relative_to(site)} is half a page."
    for target in links.targets:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc or not parts.path:
            continue
        at = (file.parent / unquote(parts.path)) if not parts.path.startswith("/") else site / parts.path[1:]
        if not (at / "index.html" if at.is_dir() else at).exists():
            yield f"{file.relative_to(site)} leads to {target}, which is not there."


def _envelope(file: Path, key: Path, document: dict[str, Any]) -> None:
    statement = verify(file.read_text("utf-8"), key.read_bytes())
    assert document["payload"], "an envelope without a statement"
    subjects = {each["digest"]["sha256"][:16] for each in statement["subject"]}
    assert file.parent.name[:16] in subjects or "provenance" in file.name, "a statement about something else"


def leftovers(installation: Installation) -> Iterator[str]:
    """Temporary files that somebody left who was killed."""
    store = installation.store
    for place in (store / "blobs" / "incoming", installation.site / ".partial", installation.root / "tmp"):
        if place.is_dir():
            yield from (str(each.relative_to(installation.root)) for each in place.iterdir())
    for place in (store / "cache", store / "scratch"):
        for file in place.rglob("*"):
            if file.name.startswith((".new-", ".tmp", "tmp", "git-", "resolve-")):
                yield str(file.relative_to(installation.root))


def mounts(root: Path) -> Iterator[str]:
    """What is still mounted below a directory."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if str(root) in line:
            yield f"Still mounted: {line}"
