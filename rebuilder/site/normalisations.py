"""What each named normalisation sets aside, in one sentence for a reader (docs/normalisations.md has the details)."""

from __future__ import annotations

from rebuilder.site.display import SHORT, visible

SENTENCES = {
    "bzip2-compression": "How hard, and with which program, the content was compressed; decompressed it is the same.",
    "gzip-compression": "How hard, and with which program, the content was compressed; decompressed it is the same.",
    "gzip-header": "The time, file name and system that the gzip header remembers of whoever compressed the file.",
    "tar-directory-entries": "Entries for directories that exist anyway because members lie in them.",
    "tar-format": "The dialect in which the tar archive writes down the same facts.",
    "tar-order": "The order in which members stand in the tar archive, where nothing depends on it.",
    "tar-owners": "The user and group that owned the files on the machine where the tar archive was made.",
    "tar-padding": "The number of zero bytes that fill up the end of the tar archive.",
    "tar-times": "The modification times that the tar archive stores for its members.",
    "tar-umask-modes": "Whether group and others may read or write a member; what is executable is not set aside.",
    "wheel-record-order": "The order of the lines in the wheel's RECORD, its list of files.",
    "xz-compression": "How hard, and with which program, the content was compressed; decompressed it is the same.",
    "zip-comment": "Comments on the ZIP archive or its members, which no installer reads.",
    "zip-compression": "How, and how hard, members were compressed; decompressed they are the same.",
    "zip-directory-entries": "Entries for directories that exist anyway because members lie in them.",
    "zip-extra-fields": "Fields in which ZIP programs note owners, padding or their own mark.",
    "zip-flags": "Flags that say the same about a member in two ways.",
    "zip-host-system": "The kind of system on which the ZIP archive was written.",
    "zip-order": "The order in which members stand in the ZIP archive, where nothing depends on it.",
    "zip-regular-bit": "Whether a plain file is expressly called a plain file.",
    "zip-text-hint": "The writer's guess whether a member is text.",
    "zip-times": "The modification times that the ZIP archive stores for its members.",
    "zip-umask-modes": "Whether group and others may read or write a member; what is executable is not set aside.",
    "zip-versions": "The version of the ZIP format that the writer names.",
    "zip-zip64": "Whether sizes are written in the long or the short form.",
}


def meaning(name: str) -> str:
    """The sentence for ``name``; one that says so when there is none."""
    return SENTENCES.get(name, f"Archive metadata that the normalisation “{visible(name, SHORT)}” sets aside.")
