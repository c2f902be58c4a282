"""What programs follow: Atom feeds (RFC 4287) of verdicts and alarms, and the maps that search engines ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape, quoteattr

from rebuilder.model.alarm import AlarmKind, RecordedAlarm
from rebuilder.model.report import Summary, page_path
from rebuilder.site.display import SHORT, moment, visible
from rebuilder.site.kinds import address as href
from rebuilder.site.pages.lists import project_path
from rebuilder.site.rows import row
from rebuilder.site.writing import Writer

MOST_ALARMS = 50
ALL, ALARMS, REGRESSIONS = "feed.atom", "alarms.atom", "regressions.atom"
_NEVER = datetime(2026, 1, 1, tzinfo=UTC)
_LINE = 50_000
"""Most addresses of one map (https://www.sitemaps.org/protocol.html)."""


@dataclass(frozen=True, slots=True)
class _Entry:
    about: str
    """What makes it this entry and no other."""
    title: str
    sentence: str
    path: str
    """Of its page below the site's root, as an address."""
    when: datetime


@dataclass(frozen=True, slots=True)
class Feeds:
    """Writes feeds of one site."""

    address: str | None
    """Where it is published; without it, links are relative."""
    verifier: str
    key_id: str

    def write(
        self, writer: Writer, latest: Sequence[Summary], alarms: Sequence[RecordedAlarm], alarmed: Sequence[Summary]
    ) -> None:
        """Those of the whole site: verdicts, alarms, and the alarms that tell of what got worse."""
        pages = {(each.purl, each.filename): each for each in reversed(alarmed)}
        newest = sorted(alarms, key=lambda each: (each.alarm.raised, each.number), reverse=True)
        told = [(each, _alarm(each, pages.get((each.alarm.purl, each.alarm.filename)))) for each in newest]
        worse = [entry for each, entry in told if each.alarm.kind is AlarmKind.REGRESSION]
        writer.write(ALL, self.files(latest, "", "all verifications"))
        writer.write(ALARMS, self._feed("", ALARMS, "alarms", [entry for _, entry in told[:MOST_ALARMS]]))
        writer.write(REGRESSIONS, self._feed("", REGRESSIONS, "what got worse", worse[:MOST_ALARMS]))

    def files(self, rows: Sequence[Summary], directory: str, title: str) -> bytes:
        """The newest verifications of something, as the feed in its directory below the site's root."""
        return self._feed(directory, ALL, title, [_verification(each) for each in rows])

    def _feed(self, directory: str, name: str, title: str, entries: Sequence[_Entry]) -> bytes:
        path = f"{directory}/{name}".lstrip("/")
        base = self.address.rstrip("/") + "/" if self.address else "../" * path.count("/")
        lines = [
            '<?xml version="1.0" encoding="utf-8"?>',
            '<feed xmlns="http://www.w3.org/2005/Atom">',
            f"<id>{self._id(path)}</id>",
            f"<title>{_text(self.verifier)}: {_text(title)}</title>",
            f"<updated>{moment(max((each.when for each in entries), default=_NEVER)).iso}</updated>",
            f"<author><name>{_text(self.verifier)}</name></author>",
        ]
        if self.address:
            lines.append(f'<link rel="self" type="application/atom+xml" href={quoteattr(base + href(path))}/>')
        for each in entries:
            lines += [
                "<entry>",
                f"<id>{self._id(each.about)}</id>",
                f"<title>{_text(each.title)}</title>",
                f"<updated>{moment(each.when).iso}</updated>",
                f'<link rel="alternate" type="text/html" href={quoteattr(base + each.path)}/>',
                f"<summary>{_text(each.sentence)}</summary>",
                "</entry>",
            ]
        return ("\n".join([*lines, "</feed>"]) + "\n").encode("utf-8", "backslashreplace")

    def _id(self, about: str) -> str:
        return uuid5(NAMESPACE_URL, f"{self.key_id} {about}".encode("utf-8", "backslashreplace").decode()).urn


def _verification(each: Summary) -> _Entry:
    page, shown = page_path(each.ecosystem, each.name, each.version, each.filename, each.sha256), row(each, "")
    project, version, filename = (visible(text, SHORT) for text in (each.name, each.version, each.filename))
    title = f"{project} {version}, {filename}: {shown.mark.word}"
    return _Entry(f"{page} {each.finished}", title, shown.sentence, f"{href(page)}/index.html", each.finished)


def _alarm(each: RecordedAlarm, page: Summary | None) -> _Entry:
    where = "alarms.html"
    if page is not None:
        path = page_path(page.ecosystem, page.name, page.version, page.filename, page.sha256)
        where = f"{href(path)}/index.html"
    subject = each.alarm.filename or each.alarm.purl
    title = f"{each.alarm.kind.heading}{': ' if subject else ''}{subject}"
    return _Entry(f"alarm {each.number}", title, each.alarm.sentence, where, each.alarm.raised)


def _text(text: str) -> str:
    return escape(visible(text, 4 * SHORT))


def sitemap(address: str, files: Iterable[Summary]) -> bytes:
    """The map of some projects and all their files (https://www.sitemaps.org/protocol.html)."""
    newest: dict[str, datetime] = {}
    for each in files:
        page = page_path(each.ecosystem, each.name, each.version, each.filename, each.sha256)
        for path in (project_path(each.ecosystem, each.name), f"{page}/index.html"):
            newest[path] = max(newest.get(path, each.finished), each.finished)
    return _map(
        "urlset", "url", address, {path: f"<lastmod>{moment(when).iso}</lastmod>" for path, when in newest.items()}
    )


def sitemap_index(address: str, names: Sequence[str]) -> bytes:
    """The map of maps."""
    return _map("sitemapindex", "sitemap", address, {f"sitemaps/{each}.xml": "" for each in names})


def robots(address: str | None) -> bytes:
    """What search engines may read: all but what strangers wrote and what only programs read."""
    lines = ["User-agent: *", "Disallow: /*/diffoscope.html", "Disallow: /*/log-*.txt", "Disallow: /log/"]
    lines += ["Disallow: /sha256/", "Disallow: /sha512/", "Allow: /"]
    lines += [f"Sitemap: {address.rstrip('/')}/sitemap.xml"] if address else []
    return ("\n".join(lines) + "\n").encode()


def _map(outer: str, inner: str, address: str, more: dict[str, str]) -> bytes:
    base = address.rstrip("/")
    listed = list(more.items())[:_LINE]
    lines = "".join(f"<{inner}><loc>{escape(f'{base}/{href(path)}')}</loc>{each}</{inner}>\n" for path, each in listed)
    about = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    return f'<?xml version="1.0" encoding="utf-8"?>\n<{outer} {about}>\n{lines}</{outer}>\n'.encode()
