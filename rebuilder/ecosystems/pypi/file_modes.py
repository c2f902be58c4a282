"""Which mode each source file had when the published file was packed, as far as a umask makes modes (pure)."""

from __future__ import annotations

import stat

from rebuilder.ecosystems.pypi.file_times import counterparts
from rebuilder.model.inspection import Inspection

_READ_WRITE = 0o666


def source_modes(published: Inspection, source: Inspection, *, umask: int) -> dict[str, str]:
    """Permission to read and write by path in the source, in octal, where it is not what the umask leaves.

    Only files that went in unchanged are known. Who may run a file is content: that comes from the source alone, and
    is not in the answer. Modes that no umask makes (nobody may read, Windows' own) are left out.
    """
    modes = {}
    for member, path in counterparts(published, source):
        if member.mode is None or member.create_system == 0 or stat.S_IFMT(member.mode) not in {0, stat.S_IFREG}:
            continue
        readable = member.mode & _READ_WRITE
        if member.mode & 0o600 == 0o600 and readable != _READ_WRITE & ~umask:
            modes[path] = f"{readable:04o}"
    return dict(sorted(modes.items()))
