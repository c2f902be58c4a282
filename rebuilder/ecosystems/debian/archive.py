"""Debian's archive as apt's settings name it: signed releases, the lists they bind, and the files those bind.

Each step is bound by the one before: ``InRelease`` is checked with gpgv against the keys that apt's settings name; its
digests bind ``Packages`` and ``Sources``; theirs bind ``.deb`` and ``.dsc``. What was verified is kept by its digest,
and remembered by suite: what a suite had once can be found again when its list no longer has it.
"""

from __future__ import annotations

import contextlib
import lzma
import re
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from rebuilder import deb822
from rebuilder.ecosystems.debian.index import IndexedFile
from rebuilder.ecosystems.debian.kept_lists import KeptLists, read_kept
from rebuilder.ecosystems.debian.signature import check, keys
from rebuilder.ecosystems.debian.snapshot import Snapshot
from rebuilder.environments import expiry, sources
from rebuilder.environments.sources import AptSource
from rebuilder.errors import FetchMismatchError, FileGoneError, UnavailableError, UsageError
from rebuilder.model.environment import Release
from rebuilder.model.value import Sha256
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs, Memo

RELEASE_BYTES = 16 << 20
INDEX_BYTES = 1 << 29
"""Of a list, decompressed; the largest of today have some sixty megabytes."""
_HELD_BYTES = 192 << 20
"""Of decompressed lists in memory."""
_AHEAD = timedelta(hours=1)
_AGAIN_SECONDS = 60
_ENDINGS = (".gz", ".xz", "")
"""Of lists, in the order in which they are asked for: gzip is read in a fifth of the time of xz."""
_CODENAME = re.compile(rb"^Codename: ([a-z][a-z0-9-]{0,60})$", re.MULTILINE)
_ROW = re.compile(r"(?P<sha256>[0-9a-f]{64})\s+(?P<size>[0-9]{1,12})\s+(?P<path>[A-Za-z0-9][A-Za-z0-9._+/-]*)")


@dataclass(frozen=True)
class AptSettings:
    """What apt on this machine is told about Debian's archive; see :mod:`rebuilder.environments.sources`."""

    archives: tuple[AptSource, ...]
    architecture: str
    """Of this machine."""
    options: Mapping[str, str]
    """All settings of apt."""

    @classmethod
    def here(cls) -> AptSettings:
        """Those of this machine."""
        options = sources.apt_settings()
        return cls(
            tuple(sources.debian_sources(sources.etc_apt(options))),
            options.get("APT::Architecture", "amd64"),
            options,
        )

    @property
    def ca_bundle(self) -> Path | None:
        """Certificates to trust (``Acquire::https::CAInfo``); None for the machine's own."""
        name = next((value for key, value in self.options.items() if key.lower() == "acquire::https::cainfo"), "")
        return Path(name) if name else None

    @property
    def proxies(self) -> dict[str, str]:
        """Apt's proxies as the variables that other programs have for them; apt asks these too, after its own."""
        found: dict[str, str] = {}
        direct = []
        for scheme in ("http", "https"):
            prefix = f"acquire::{scheme}::proxy"
            for key, value in self.options.items():
                if key.lower() == prefix and value:
                    found |= {"no_proxy": "*"} if value.upper() == "DIRECT" else {f"{scheme}_proxy": value}
                elif key.lower().startswith(f"{prefix}::") and value.upper() == "DIRECT":
                    direct.append(key.rpartition("::")[2])
        return found | ({"no_proxy": ",".join(direct)} if direct and "no_proxy" not in found else {})

    def of(self, suite: str | None) -> list[AptSource]:
        """The archives to look in, in apt's order.

        Args:
            suite: A suite, with the updates and security updates that the machine has for its own; None: apt's own.

        Raises:
            UsageError: apt's settings name no archive of Debian.
        """
        found = list(self.archives)
        if suite is not None:
            pocket = next((end for end in ("-security", "-updates") if suite.endswith(end)), None)
            of_pocket = [each for each in found if pocket is None or each.pocket == pocket]
            found = [replace(each, suite=f"{suite.removesuffix(pocket or '')}{each.pocket}") for each in of_pocket]
        if not found:
            wanted = f" that has {suite}" if suite and self.archives else ""
            raise UsageError(
                f"Apt's settings on this machine name no archive of Debian{wanted}.",
                hint="Name a mirror in /etc/apt/sources.list; only Debian packages need one.",
            )
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class SignedRelease:
    """One state of one suite, as the archive signed it."""

    archive: AptSource
    """Where it was fetched, and where its files are."""
    kept: Release
    """What is remembered of it: its dates, and the digest of ``InRelease``."""
    names: frozenset[str]
    """Suite, codename, origin and label, as it says them itself."""
    signers: tuple[str, ...]
    by_hash: bool
    files: Mapping[str, tuple[Sha256, int]]
    """Digest and size of every list, by its path below the suite."""
    notes: tuple[str, ...] = ()
    late: str | None = None
    """Said where the mirror shows an older one; one of the notes, too."""

    @property
    def moment(self) -> datetime:
        """When the archive made it."""
        return _moment(self.kept.date)


@dataclass(frozen=True)
class SignedIndex:
    """One list, as it was signed."""

    release: SignedRelease
    path: str
    """Below the suite."""
    sha256: Sha256
    """Of the file, compressed as it was fetched: a blob, and what the release binds."""


class DebianArchive:
    """Fetches and verifies; one for the whole program, for any thread."""

    def __init__(
        self,
        settings: AptSettings,
        fetcher: Fetcher,
        blobs: Blobs,
        lists: KeptLists,
        *,
        memo: Memo | None = None,
        snapshot: Snapshot | None = None,
        accept_expired: tuple[str, ...] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Nothing is asked yet.

        Args:
            settings: Mirrors, suites and keys.
            fetcher: Reaches those mirrors.
            blobs: Where what was fetched is.
            lists: Where what was verified is kept for ever.
            memo: Tells which blob a list is, decompressed; None: it is decompressed again.
            snapshot: Where what the archive no longer has is looked for.
            accept_expired: See :class:`rebuilder.model.settings.EnvironmentSettings`.
            now: Tells what has expired.
        """
        self.settings = settings
        self.fetcher = fetcher
        self.snapshot = snapshot
        self._blobs = blobs
        self._lists = lists
        self._memo = memo
        self._accept_expired = accept_expired
        self._now = now
        self._lock = threading.Lock()
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._seen: dict[AptSource, tuple[float, SignedRelease | None]] = {}

    def releases(self, suite: str | None) -> list[SignedRelease]:
        """The state of each archive that a subject may be in.

        Raises:
            UsageError: apt's settings name none, or no mirror has the suite.
            UnavailableError: a mirror does not answer, or what it has is not signed as it must be, or has expired.
        """
        archives = self.settings.of(suite)
        found = [release for each in archives if (release := self._asked(each)) is not None]
        if not found:
            raise UsageError(f"No mirror in apt's settings has the suite {suite or archives[0].suite}.")
        return found

    def late(self) -> tuple[str, ...]:
        """Of each suite of which a mirror showed an older state when it was last asked, a sentence."""
        with self._lock:
            return tuple(each.late for _, each in self._seen.values() if each is not None and each.late is not None)

    def indices(self, release: SignedRelease, kind: str) -> Iterator[SignedIndex]:
        """The lists of one kind, of every component that apt's settings name; those that are there.

        One that is kept is not asked for again. Kinds are such as ``binary-amd64/Packages`` or ``source/Sources``.

        Raises:
            UnavailableError: one cannot be had.
        """
        for component in release.archive.components:
            names = (f"{component}/{kind}{ending}" for ending in _ENDINGS)
            path = next((each for each in names if each in release.files), None)
            if path is not None:
                yield self._index(release, path)

    def text(self, index: SignedIndex) -> bytes:
        """A list, decompressed.

        Raises:
            StoreError: it is no longer kept.
            UnavailableError: it cannot be decompressed, or is far too large.
        """
        with self._lock:
            if index.sha256 in self._held:
                self._held.move_to_end(index.sha256)
                return self._held[index.sha256]
        text = self._blobs.path(self.decompressed(index)).read_bytes()
        with self._lock:
            self._held[index.sha256] = text
            while len(self._held) > 1 and sum(map(len, self._held.values())) > _HELD_BYTES:
                self._held.popitem(last=False)
        return text

    def decompressed(self, index: SignedIndex) -> Sha256:
        """The blob that a list is, decompressed: each list is decompressed once, and not by every process.

        Raises:
            StoreError: it is no longer kept.
            UnavailableError: it cannot be decompressed, or is far too large.
        """
        key = f"list:{index.sha256}"
        known = self._memo.get(key) if self._memo is not None else None
        if isinstance(known, str) and self._blobs.has(known) and self._blobs.has(index.sha256):
            return Sha256(known)
        data = self._lists.read(index.sha256)
        self._blobs.put(data)  # evidence names it by its digest
        sha256 = self._blobs.put(_decompressed(data, index.path))
        if self._memo is not None:
            self._memo.put(key, sha256)
        return sha256

    def file(self, release: SignedRelease, file: IndexedFile, max_bytes: int) -> Sha256:
        """Fetch a file that a list binds.

        Raises:
            UnavailableError: it is no longer there, or not to be had.
            FetchMismatchError: it has other bytes than the list says, or more than ``max_bytes``.
        """
        if file.size > max_bytes:
            raise FetchMismatchError(f"{file.name} has {file.size:,} bytes; files up to {max_bytes:,} bytes are taken.")
        self.fetched(file, self.address(release, file))
        if self._blobs.path(file.sha256).stat().st_size != file.size:
            raise FetchMismatchError(f"{file.name} has another size than the archive signed.")
        return file.sha256

    def fetched(self, file: IndexedFile, address: str) -> str:
        """Fetch a file from its address, or else from another mirror of apt's settings: their pools are alike.

        Returns:
            Where it is from.

        Raises:
            FileGoneError: none of them has it.
            UnavailableError: the first that has it does not answer, or has other bytes.
        """
        others = [f"{each.uri.rstrip('/')}/{file.path}" for each in self.settings.archives]
        places = list(dict.fromkeys((address, *map(sources.without_password, others))))
        for place in places:
            try:
                self.fetcher.file(place, sha256=file.sha256, max_bytes=file.size)
            except FileGoneError:
                if place == places[-1]:
                    raise
            else:
                break
        return place

    @staticmethod
    def address(release: SignedRelease, file: IndexedFile) -> str:
        """Where a file is."""
        return f"{release.archive.uri.rstrip('/')}/{file.path}"

    def earlier(self, release: SignedRelease) -> Iterator[SignedRelease]:
        """States of the same suite that were verified before, newest first; only those whose lists are kept, too."""
        for each in reversed(self._lists.releases(_key(release))):
            if each.sha256 != release.kept.sha256:
                with contextlib.suppress(UnavailableError):  # its key does not count any more
                    yield self._read(release.archive, read_kept(each.path, each.sha256))

    def of_other_suites(self, releases: Sequence[SignedRelease]) -> Iterator[SignedRelease]:
        """States of other suites than these that were verified here, newest first."""
        for each in reversed(self._lists.others([_key(release) for release in releases])):
            data = read_kept(each.path, each.sha256)
            named = _CODENAME.search(data)  # what was signed is read once more, and has to say the same
            suite = named[1].decode() if named else ""
            for archive in self.settings.archives:
                if suite.endswith(archive.pocket) and (archive.pocket or "-" not in suite):
                    with contextlib.suppress(UnavailableError):
                        yield self._read(replace(archive, suite=suite), data)
                        break

    def kept(self, release: SignedRelease, kind: str) -> Iterator[SignedIndex]:
        """The lists of one kind that are kept of an earlier state; nothing is fetched."""
        for component in release.archive.components:
            for path in (f"{component}/{kind}{ending}" for ending in _ENDINGS):
                if path in release.files and self._lists.has(release.files[path][0]):
                    yield SignedIndex(release, path, release.files[path][0])
                    break

    def _asked(self, archive: AptSource) -> SignedRelease | None:
        """The same as :meth:`_release`, asked once a minute: a watch looks at many packages of one suite."""
        with self._lock:
            seconds, known = self._seen.get(archive, (0.0, None))
        now = time.monotonic()
        if known is not None and now - seconds < _AGAIN_SECONDS:
            return known
        found = self._release(archive)
        with self._lock:
            self._seen[archive] = now, found
        return found

    def _release(self, archive: AptSource) -> SignedRelease | None:
        """The state that a mirror shows; None when it has no such suite.

        A mirror that shows an older state than was seen before is late, or replays it: the newer one counts then.
        """
        place = f"{archive.uri.rstrip('/')}/dists/{archive.suite}/InRelease"
        document = self.fetcher.document(place, accept="*/*", max_bytes=RELEASE_BYTES)
        if document is None:
            return None
        shown = self._read(archive, document.content)
        seen = self._lists.releases(_key(shown))
        if seen and seen[-1].moment > shown.moment:
            late = f"The mirror shows {archive.suite} as of {shown.kept.date}; a newer state, seen before, counts."
            shown = replace(self._read(archive, read_kept(seen[-1].path, seen[-1].sha256)), notes=(late,), late=late)
        self._check_dates(shown)
        self._lists.keep_release(_key(shown), shown.moment, self._blobs.read(shown.kept.sha256))
        permitted = expiry.permission([_release_name(archive)], self.settings.options, self._accept_expired)
        return replace(shown, notes=(*shown.notes, *expiry.notes([shown.kept], permitted, self._now())))

    def _read(self, archive: AptSource, data: bytes) -> SignedRelease:
        """Check a release against the keys of its archive, and read it.

        Raises:
            UnavailableError: its signature does not hold, or it is none.
        """
        with keys(archive.signed_by) as (files, only):
            checked = check(data, files, only=only)
        if checked.problem is not None:
            raise UnavailableError(
                f"The list of {archive.suite} cannot be used: {checked.problem}.",
                hint="Update the package debian-archive-keyring; if that does not help, do not trust the mirror.",
            )
        try:
            fields = deb822.fields(checked.text)
            date = fields["date"]
            _moment(date)
        except (deb822.MalformedStanzaError, KeyError, ValueError):
            raise UnavailableError(
                f"The list of {archive.suite} cannot be used: it is no release of an archive."
            ) from None
        names = frozenset(filter(None, (fields.get("suite"), fields.get("codename"))))
        if archive.suite not in names:
            # A mirror must not show one suite, rightly signed, in the place of another.
            shown = ", ".join(sorted(names)) or "no suite"
            raise UnavailableError(f"The mirror shows {shown[:80]} in the place of {archive.suite}.")
        rows = (_ROW.fullmatch(line) for line in fields.get("sha256", "").split("\n"))
        return SignedRelease(
            archive=archive,
            kept=Release(
                suite=archive.suite, date=date, valid_until=fields.get("valid-until"), sha256=self._blobs.put(data)
            ),
            names=names | {fields.get("origin", ""), fields.get("label", "")},
            signers=checked.signers,
            by_hash=fields.get("acquire-by-hash", "").lower() == "yes",
            files={
                row["path"]: (Sha256(row["sha256"]), int(row["size"]))
                for row in rows
                if row and ".." not in row["path"]
            },
        )

    def _check_dates(self, release: SignedRelease) -> None:
        permitted = expiry.permission([_release_name(release.archive)], self.settings.options, self._accept_expired)
        if permitted.by is not None:
            return
        suite, now = release.archive.suite, self._now()
        if expiry.notes([release.kept], permitted, now):
            raise UnavailableError(
                f"The mirror's signed state of {suite} is from {release.kept.date} and was valid until "
                f"{release.kept.valid_until}.",
                hint="Compare `date` to the real time. An old state is allowed by the setting [environments] "
                f'accept_expired = ["{_release_name(release.archive)}"].',
            )
        if release.moment > now + _AHEAD:
            raise UnavailableError(
                f"The mirror's signed state of {suite} is from {release.kept.date}, which is still to come.",
                hint="Compare `date` to the real time.",
            )

    def _index(self, release: SignedRelease, path: str) -> SignedIndex:
        sha256, size = release.files[path]
        if self._lists.has(sha256):
            return SignedIndex(release, path, sha256)
        below = f"{release.archive.uri.rstrip('/')}/dists/{release.archive.suite}"
        places = [f"{below}/{path}"]
        if release.by_hash:
            places.insert(0, f"{below}/{path.rpartition('/')[0]}/by-hash/SHA256/{sha256}")
        for number, place in enumerate(places, 1):
            try:
                self.fetcher.file(place, sha256=sha256, max_bytes=min(size, INDEX_BYTES))
                break
            except UnavailableError:
                if number == len(places):
                    raise
        self._lists.keep_list(sha256, self._blobs.path(sha256))
        return SignedIndex(release, path, sha256)


def _key(release: SignedRelease) -> str:
    """What states of one suite are remembered under; another archive may have a suite of the same name."""
    return f"release:{release.archive.suite}:{','.join(sorted(release.names))}"


def _release_name(archive: AptSource) -> str:
    return archive.suite.removesuffix(archive.pocket)


def _moment(date: str) -> datetime:
    moment = parsedate_to_datetime(date)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _decompressed(data: bytes, path: str) -> bytes:
    """A list as text; it was signed, and may be large all the same.

    Raises:
        UnavailableError: it cannot be read, or is too large.
    """
    try:
        if path.endswith(".gz"):
            stream = zlib.decompressobj(31)
            text = stream.decompress(data, INDEX_BYTES)
            whole = stream.eof and not stream.unused_data
        elif path.endswith(".xz"):
            unxz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 << 20)
            text = unxz.decompress(data, INDEX_BYTES)
            whole = unxz.eof and not unxz.unused_data
        else:
            text, whole = data, True
    except (zlib.error, lzma.LZMAError):
        whole = False
    if not whole:
        raise UnavailableError(f"The list {path} of the archive cannot be decompressed to its end.")
    return text
