"""A part of a site in one file (a ZIP archive): what it says about some files, checked by whoever reads it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from rebuilder.atomic_file import replacing
from rebuilder.consumer.rebuilder import listed_statements, sha256_named
from rebuilder.log.audit import LogError, Published
from rebuilder.log.entry import CHECKPOINT, KEY, LOG, digest_path
from rebuilder.log.note import NoteKey
from rebuilder.log.proof import LogProof
from rebuilder.log.seen import text_of
from rebuilder.log.tiles import Nodes, TileReader, inclusion_path
from rebuilder.model.value import Sha256, Sha512
from rebuilder.network.site_reader import SiteReader

_EPOCH = (1980, 1, 1, 0, 0, 0)
_KEY_LIST = "keys.json"
_MOST_LISTS = 1000


def write_bundle(site: SiteReader, digests: Sequence[Sha256 | Sha512], output: Path) -> int:
    """Write a bundle; give how many files the site has statements about.

    Every proof is made anew from the tiles, for the one checkpoint that is in the bundle: nobody can hold several
    checkpoints together offline.

    Raises:
        LogError: the site is not whole, or its log is not signed by the key that it shows.
        UnavailableError: the site does not answer.
        OSError: the file cannot be written.
    """
    files: dict[str, bytes] = {}
    read = site.reading(f"{LOG}/")
    published = Published.read(read, NoteKey.read(text_of(read("key"))))
    nodes = TileReader.of_files(published.checkpoint.size, read)
    files[KEY], files[CHECKPOINT] = site.reading("")(KEY), published.note.encode()
    found = [_about(site, each, published, nodes) for each in sorted(set(digests))]
    keys = {key for each in found for key in each[1]}
    files |= {path: data for each in found for path, data in each[0].items()}
    files |= _those_there(site, [*(f"keys/{each}.pem" for each in sorted(keys)), _KEY_LIST])
    if _KEY_LIST in files:
        from rebuilder.signing.key_list import KeyList, Use, version_path

        listed = KeyList.read(files[_KEY_LIST], None)
        files |= _those_there(site, [version_path(each) for each in range(1, min(listed.version, _MOST_LISTS) + 1)])
        for each in listed.keys.values():  # the log vouches for the list, under the digest of each key
            files |= _about(site, Sha256(each.key_id), published, nodes)[0] if each.use is Use.CHECKPOINTS else {}
    with replacing(output, replace=False) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return sum(1 for each in found if each[0])


def _about(
    site: SiteReader, digest: Sha256 | Sha512, published: Published, nodes: Nodes
) -> tuple[dict[str, bytes], set[str]]:
    """The files below a digest, and the keys that signed them; none where the site says nothing about it."""
    try:
        directory = digest_path(sha256_named(site, digest))
        files = {path: site.read(path) for path in {f"{each}/index.json" for each in (digest_path(digest), directory)}}
    except FileNotFoundError:
        return {}, set()
    listing, keys = files[f"{directory}/index.json"], set[str]()
    here = site.reading(f"{directory}/")
    for number, key in listed_statements(listing):
        proof = LogProof.read(here(f"{number}.tlog-proof"))
        if number >= published.checkpoint.size:
            raise LogError(f"Entry {number} is not in the log yet: the site is being written.")
        beside = tuple(inclusion_path(number, published.checkpoint.size, nodes))
        files[f"{directory}/{number}.tlog-proof"] = LogProof(number, beside, published.note, proof.entry).encode()
        files[f"{directory}/{number}.dsse.json"] = here(f"{number}.dsse.json")
        keys.add(key)
    return files, keys


def _those_there(site: SiteReader, paths: Iterable[str]) -> dict[str, bytes]:
    found = {}
    for path in paths:
        try:
            found[path] = site.read(path)
        except FileNotFoundError:
            continue
    return found
