"""Files on disk that name packages: ``.buildinfo``, ``.changes`` (deb-changes(5)) and ``.dsc`` (dsc(5)).

They are what somebody has, not what the archive signed: they say which packages are asked about and which digests those
should have. Whoever signed them is told, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.buildinfo import (
    BUILDINFO_BYTES,
    BuildInfo,
    BuiltFile,
    build_info,
    checksums,
    document,
    source_of,
)
from rebuilder.ecosystems.debian.candidates import Candidate, Candidates
from rebuilder.ecosystems.debian.index import SourceName
from rebuilder.ecosystems.debian.signature import check, signed_text
from rebuilder.ecosystems.debian.subject import DOCUMENTS, is_name, parse_subject
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Subject
from rebuilder.model.text import visible
from rebuilder.model.value import sha256_hex
from rebuilder.store.protocol import Blobs

_MAINTAINER_KEYS = ("debian-keyring.gpg", "debian-maintainers.gpg", "debian-nonupload.gpg", "debian-tag2upload.pgp")
"""Keys of those who upload source packages; of the package ``debian-keyring``."""
_MOST_TRIED = 50
"""Packages that are looked for before what a file names them for is known to be signed."""
_APART = "-dbgsym"
"""Debug symbols are in an archive of their own."""


def subjects_in(path: Path, blobs: Blobs, maintainers: Path, candidates: Candidates) -> list[Subject]:
    """The packages that a file on disk names, each with the digest that it should have where the file says one.

    Args:
        path: Its name has one of the endings in :data:`rebuilder.ecosystems.debian.subject.DOCUMENTS`.
        blobs: Where a ``.buildinfo`` is kept: a build may follow it.
        maintainers: Directory of the keys of those who upload.
        candidates: What the archive has; asked for a ``.dsc`` only.

    Raises:
        UsageError: it cannot be read, is no such file, or names no package.
        UnavailableError: a list of the archive cannot be had.
    """
    data, name = _read(path), visible(path.name)[:100]
    try:
        text, *notes = opened(data, f"file {name}", maintainers)
        if path.suffix == ".dsc":
            return list(_of_source(text, path, tuple(notes), candidates))
        if path.suffix == ".changes":
            fields = document(text)
            source, _ = source_of(fields)
            files = checksums(fields)
            record = _beside(path, files, source)
        else:
            info = build_info(text)
            files, record = info.files, data
            notes += info.left_out
    except ValueError as error:
        raise UsageError(f"{name} is no {DOCUMENTS[path.suffix]} that can be used: {error}.") from None
    kept = blobs.put(record) if record is not None else None
    found = [each.replace(buildinfo_sha256=kept, notes=tuple(notes)) for each in _packages(path, files)]
    if not found:
        raise UsageError(
            f"{name} names no package that is looked at; it has {', '.join(each.name for each in files[:5])}.",
            hint="Source packages are named by their .dsc.",
        )
    return found


def given_build_info(data: bytes, source: SourceName) -> BuildInfo | None:
    """What was given about a build, where it is about the source package that the archive says it is."""
    try:
        info = build_info(signed_text(data))
    except ValueError:
        return None
    return info if info.source == source else None


def opened(data: bytes, what: str, maintainers: Path) -> tuple[bytes, str]:
    """The text of a document, and who signed it, as a sentence.

    Raises:
        ValueError: something stands outside of what is signed; ``str()`` is the end of a sentence.
    """
    keyrings = [maintainers / name for name in _MAINTAINER_KEYS if (maintainers / name).is_file()]
    checked = check(data, keyrings)
    if checked.signers:
        return checked.text, f"The {what} is signed by the key {checked.signers[0]} of a Debian maintainer."
    return signed_text(data), f"The maintainer's signature of the {what} was not checked: {checked.problem}."


def _read(path: Path) -> bytes:
    shown = visible(str(path))[:200]
    try:
        if not path.is_file():
            raise UsageError(f"There is no file {shown}.")
        with path.open("rb") as file:
            data = file.read(BUILDINFO_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{shown} cannot be read: {reason}.") from None
    if len(data) > BUILDINFO_BYTES:
        raise UsageError(f"{shown} has more than {BUILDINFO_BYTES:,} bytes, which is more than is read.")
    return data


def _beside(path: Path, files: Sequence[BuiltFile], source: SourceName) -> bytes | None:
    """The ``.buildinfo`` that a ``.changes`` lists, where it lies beside it with the bytes that it should have."""
    for each in files:
        other = path.with_name(each.name)
        if other.suffix == ".buildinfo" and other.is_file():
            data = _read(other)
            if sha256_hex(data) == each.sha256 and given_build_info(data, source) is not None:
                return data
    return None


def _packages(path: Path, files: Sequence[BuiltFile]) -> Iterator[Subject]:
    for each in files:
        if each.name.endswith(".deb") and not each.name.partition("_")[0].endswith(_APART):
            yield parse_subject(each.name).replace(local_sha256=each.sha256, asked=f"{path} ({each.name})")


def _of_source(text: bytes, path: Path, notes: tuple[str, ...], candidates: Candidates) -> Iterator[Subject]:
    fields = document(text)
    source, _ = source_of(fields)
    files = {(each.name, each.size, each.sha256) for each in checksums(fields)}
    names = _names(fields.get("binary", ""))
    if not names or not all(map(is_name, names)):
        raise MalformedStanzaError("it does not name the packages that are built from it")
    nobody = f"No list of the archive has packages that were built from {source.name} {source.version}."
    first = next(filter(None, (_built_from(source, each, candidates) for each in names[:_MOST_TRIED])), None)
    signed = candidates.source(first[0]) if first else None
    if signed is None:
        raise UsageError(nobody)
    if files != {(each.name, each.size, each.sha256) for each in signed.files if each != signed.dsc}:
        raise UsageError(
            f"{visible(path.name)[:100]} lists other files than the archive signed for {source.name} {source.version}.",
            hint="No package of the archive was built from it.",
        )
    found = [each for name in _names(signed.fields.get("binary", "")) for each in _built_from(source, name, candidates)]
    if not found:
        raise UsageError(nobody)
    for each in dict.fromkeys(candidate.package for candidate in found):
        subject = parse_subject(each.file.name)
        yield subject.replace(version=each.version, notes=notes, asked=f"{path} ({each.file.name})")


def _names(field: str) -> list[str]:
    return list(dict.fromkeys(field.replace("\n", " ").replace(",", " ").split()))


def _built_from(source: SourceName, name: str, candidates: Candidates) -> list[Candidate]:
    subject = parse_subject(name)
    for found in (candidates.current(subject), candidates.earlier(subject)):
        if chosen := [each for each in found if each.package.source == source]:
            return chosen
    return []
