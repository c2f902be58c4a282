"""``read_packer PUBLISHED --result PATH [--node TARBALL]``: which program packed a tarball, by the marks it left.

Without a Node the result is the document of ``ecosystems.npm.packer.PackerFacts``. With the tarball of a Node it is
``{"made": BOOL}``: whether the zlib of that Node compresses the published tar into the published bytes. Both are read
as data; nothing of the tarball is run.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import Any

from rebuilder.programs.archive.deflate_search import Deflate, gzip_content, gzip_stream
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.reading import UnwritableError
from rebuilder.programs.archive.stream import GzipHeader
from rebuilder.programs.archive.tar import TarArchive, TarHeader, TarMember
from rebuilder.programs.npm.tools import place

MANIFEST_BYTES = 1 << 20
"""Longest package.json that is looked into."""
_MODES = 8
"""Most modes that are told."""
_ZEROS, _TENTH_SPACE, _SPACE, _ABSENT = 0, 2, 1, 8
"""Ways to write a number, in the order of ``archive.tar``: zeros and a NUL; one digit less, a space and a NUL; zeros
and a space; nothing at all."""
_LEVELS = {2: 9, 0: 6, 4: 1}
"""Level of zlib by what it says of that in the gzip header."""
_ALWAYS = {"changelog", "changes", "history", "notice"}
"""Names of files, without their endings, that some versions add to what a package lists."""
_PATTERNS = 1000
"""Most entries of a list of files that are looked at."""
_FIRST = {"package.json", ".npmignore", ".gitignore"}
_LATEST = 1 << 33
_TRIAL = """
var zlib = require("zlib"), fs = require("fs");
var tar = fs.readFileSync(process.argv[1]), wanted = fs.readFileSync(process.argv[2]);
var stream = zlib.createDeflateRaw({level: Number(process.argv[3])}), at = 0, given = 0;
stream.on("data", function (piece) {
  if (piece.compare(wanted.slice(at, at + piece.length)) !== 0) process.exit(3);
  at += piece.length;
});
stream.on("end", function () { process.exit(at === wanted.length ? 0 : 3); });
(function next() {
  while (given < tar.length) {
    var more = stream.write(tar.slice(given, given + 65536));
    given += 65536;
    if (!more) return stream.once("drain", next);
  }
  stream.end();
})();
"""
_MADE, _NOT_MADE = 0, 3


def main(argv: list[str]) -> int:
    """Run the program: 0, or the exit code of a Node that could not run."""
    parser = argparse.ArgumentParser(prog="read_packer", allow_abbrev=False)
    parser.add_argument("published", metavar="PUBLISHED")
    parser.add_argument("--node", metavar="TARBALL", help="of the Node to compress with")
    parser.add_argument("--result", required=True, metavar="PATH")
    options = parser.parse_args(argv)
    if options.node is None:
        document = facts(options.published)
    else:
        code = trial(options.published, options.node)
        if code not in (_MADE, _NOT_MADE):
            return code
        document = {"made": code == _MADE}
    Path(options.result).write_text(json.dumps(document), "utf-8")
    return 0


def facts(path: str) -> dict[str, Any]:
    """The document of ``PackerFacts``; only ``{"readable": false}`` for what is no plain tar.gz file."""
    reading = read_archive(path, lambda _index, name: MANIFEST_BYTES + 1 if _is_manifest(name) else 0, raw=False)
    archive = reading.archive
    header = _plain_header(archive) if reading.readable and isinstance(archive, TarArchive) else None
    if header is None:
        return {"readable": False}
    members: tuple[TarMember, ...] = archive.members
    headers = [each.written[0] for each in members if each.written]
    manifest = _manifest(archive, reading.contents)
    level = _LEVELS.get(header.level)
    return {
        "readable": True,
        "gzip_level": level,
        "gzip_system": header.system,
        "gzip_time": header.mtime,
        "writer": _writer(headers),
        "owners": _owners(headers),
        "times": _times(members),
        "newest": max((0, *(_seconds(each.mtime) for each in members))),
        "orders": _orders(members),
        "dotted": any("/./" in each.name for each in members),
        "directories": any(each.kind == "directory" for each in members),
        "modes": sorted({each.mode for each in members if each.kind == "file"})[:_MODES],
        "executables": _executables(members, manifest),
        "unlisted": _unlisted(members, manifest),
        "classic": level is not None and _classic(path, level),
    }


def trial(path: str, node: str) -> int:
    """Compress the tar again with a Node: 0 when the same bytes come out, 3 when others do, else it could not run."""
    header = _plain_header(read_archive(path, raw=False).archive)
    level = None if header is None else _LEVELS.get(header.level)
    if level is None:
        return _NOT_MADE
    with tempfile.TemporaryDirectory() as directory:
        tar, stream = Path(directory, "tar"), Path(directory, "stream")
        try:
            tar.write_bytes(gzip_content(path))
        except UnwritableError:
            return _NOT_MADE
        stream.write_bytes(gzip_stream(path))
        binary = f"{place(directory, node)}/bin/node"
        command = [binary, "-e", _TRIAL, str(tar), str(stream), str(level)]
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode


def _plain_header(archive: Any) -> GzipHeader | None:
    """The gzip header of a tarball that is one stream and nothing else."""
    compression = archive.compression if isinstance(archive, TarArchive) else None
    if compression is None or compression.kind != "gz" or len(compression.streams) != 1 or archive.trailing:
        return None
    header = compression.streams[0].header
    if header is None or compression.trailing or header.extra is not None or header.comment is not None:
        return None
    return None if header.checked or header.text else header


def _is_manifest(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/package.json")


def _manifest(archive: TarArchive, contents: dict[int, bytes]) -> dict[str, Any]:
    """The package.json beside which everything lies; empty where it is none that can be read."""
    for index, content in contents.items():
        if index < len(archive.members) and len(content) <= MANIFEST_BYTES:
            try:
                read = json.loads(content.decode("utf-8-sig"))
            except (ValueError, RecursionError):
                continue
            if isinstance(read, dict):
                return read
    return {}


def _writer(headers: list[TarHeader]) -> str:
    """The library that wrote the headers, by how it fills numbers into them."""
    found = {(_style(each.mode), _style(each.uid), _style(each.size)) for each in headers}
    if not found or any(each.magic != b"ustar\x0000" for each in headers):
        return "other"
    if found == {(_TENTH_SPACE, _ABSENT, _TENTH_SPACE)}:
        return "node-tar"
    if found == {(_TENTH_SPACE, _TENTH_SPACE, _SPACE)}:
        return "tar-stream"
    if all(mode == size == _TENTH_SPACE for mode, _, size in found):
        return "fstream"
    return "other"


def _style(number: Any) -> int:
    return number.style if isinstance(number.style, int) else -1


def _owners(headers: list[TarHeader]) -> str:
    found = {(each.uid.value, each.gid.value) for each in headers}
    if any(each.uname.value or each.gname.value for each in headers):
        return "named"
    return "none" if found <= {(0, 0)} else "recorded"


def _times(members: tuple[TarMember, ...]) -> int | None:
    """The one time of all members; None when there are several, or one that no calendar has."""
    found = {each.mtime for each in members}
    only = _seconds(next(iter(found))) if len(found) == 1 else -1
    return only if only >= 0 else None


def _seconds(mtime: str) -> int:
    seconds = float(mtime)
    return int(seconds) if 0 <= seconds < _LATEST else -1


def _orders(members: tuple[TarMember, ...]) -> list[str]:
    """By which rules the files may be sorted; a few files are sorted by several."""
    names = [each.name.partition("/")[2] for each in members if each.kind == "file"]
    endings = [_ending(each) for each in names]
    found = {
        "extension": endings == sorted(endings),
        "path": names == sorted(names),
        "manifest-first": bool(names) and names[0] in _FIRST,
        "manifest-last": names[-1:] == ["package.json"] and endings[:-1] == sorted(endings[:-1]),
    }
    return [order for order, holds in found.items() if holds]


def _ending(name: str) -> str:
    """As Node's ``path.extname`` cuts it off, without regard to case."""
    base = name.rpartition("/")[2]
    stem, dot, ending = base.rpartition(".")
    return f".{ending}".lower() if dot and stem.strip(".") else ""


def _executables(members: tuple[TarMember, ...], manifest: dict[str, Any]) -> str | None:
    """Whether ``all``, ``some`` or ``none`` of the programs that the manifest names may be run; None: it names none."""
    listed = manifest.get("bin")
    values = [listed] if isinstance(listed, str) else list(listed.values()) if isinstance(listed, dict) else []
    named = {each[2:] if each.startswith("./") else each for each in values if isinstance(each, str)}
    found = {bool(each.mode & 0o111) for each in members if each.name.partition("/")[2] in named}
    return {(True,): "all", (False,): "none", (False, True): "some"}.get(tuple(sorted(found)))


def _unlisted(members: tuple[TarMember, ...], manifest: dict[str, Any]) -> list[str]:
    """Which of the files that some versions add are there, although the manifest lists what is to be packed."""
    listed = manifest.get("files")
    if not isinstance(listed, list):
        return []
    patterns = [each.lower().lstrip("./") for each in listed[:_PATTERNS] if isinstance(each, str) and len(each) < 200]
    top = {each.name.partition("/")[2].lower() for each in members if each.kind == "file" and each.name.count("/") == 1}
    added = {name for name in top if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)}
    return sorted({name.partition(".")[0] for name in added} & _ALWAYS)


def _classic(path: str, level: int) -> bool:
    """Whether zlib as it is published, which is what Python has, makes the compressed bytes."""
    try:
        content = gzip_content(path)
    except UnwritableError:
        return False
    return Deflate(level, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY).makes(content, gzip_stream(path))
