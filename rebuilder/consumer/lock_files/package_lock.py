"""``package-lock.json`` of npm, all three versions; it names files by SHA-512."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rebuilder.consumer.lock_files.dependency import Dependency, LockedFile, path_name
from rebuilder.consumer.platform_files import Target
from rebuilder.ecosystems.npm.subject import tarball_name
from rebuilder.model.value import Sha512
from rebuilder.toml_files import FileError

_UNHASHED = "The lock file has no SHA-512 of it, so any bytes could be installed."
_DIGEST = re.compile(r"(?P<kind>[a-z0-9]+)-(?P<digest>[A-Za-z0-9+/=]+)(?:\?[!-~]*)?", re.ASCII)
_OTHER = "It comes from a repository or a directory, not from a registry."


def read_package_lock(path: Path, text: str, target: Target) -> list[Dependency]:
    """The packages of a lock file that this platform installs.

    Raises:
        FileError: it is none.
    """
    try:
        document = json.loads(text)
        if "packages" in document:
            _refuse_two_minds(path, document)
            rows = [(key, each) for key, each in document["packages"].items() if "node_modules/" in key]
        elif "dependencies" in document:
            rows = list(_nested(document["dependencies"], ""))
        else:
            raise FileError(path, "This is no package-lock.json: it has no packages.")
        found = [_dependency(path, key, each) for key, each in rows if not each.get("link") and _here(each, target)]
    except (ValueError, TypeError, AttributeError, RecursionError, KeyError):
        raise FileError(path, "This is no package-lock.json that can be used.") from None
    return found


def _refuse_two_minds(path: Path, document: dict[str, Any]) -> None:
    """Make sure that a file of version 2 says the same to npm 6, which reads its other half."""
    for key, each in _nested(document.get("dependencies", {}), ""):
        same = document["packages"].get(key, {})
        if not same.get("link") and each.get("integrity") != same.get("integrity"):
            raise FileError(path, f"It says two things of {key}: “packages” and “dependencies” do not agree.")


def _nested(rows: dict[str, Any], above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, each in rows.items():
        key = f"{above}node_modules/{name}"
        yield key, each
        yield from _nested(each.get("dependencies", {}), f"{key}/")


def _here(row: dict[str, Any], target: Target) -> bool:
    if target.every:
        return True
    system, cpu = target.npm
    return _allows(row.get("os"), system) and _allows(row.get("cpu"), cpu)


def _allows(words: Any, here: str) -> bool:
    """Whether a list of names, or of names with an exclamation mark before them, has the one of this machine."""
    if not words:
        return True
    listed = [words] if isinstance(words, str) else list(words)
    allowed = [each for each in listed if not each.startswith("!")]
    return f"!{here}" not in listed and (not allowed or here in allowed)


def _dependency(path: Path, key: str, row: dict[str, Any]) -> Dependency:
    name = row.get("name") or key.rpartition("node_modules/")[2]
    resolved = str(row.get("resolved") or "")
    filename = path_name(resolved) or ""
    if not filename.endswith(".tgz"):
        filename = tarball_name(name, str(row.get("version")))
    files = tuple(LockedFile(filename, None, each) for each in sha512_of(row.get("integrity")))
    from_index = not resolved.startswith(("git", "file:"))
    problem = None if files else _UNHASHED if from_index else _OTHER
    return Dependency("npm", name, row.get("version"), f"{path.as_posix()}, {key}", files, problem, from_index)


def sha512_of(integrity: Any) -> list[Sha512]:
    """The SHA-512 digests of a "subresource integrity" text (W3C): npm takes any file that has one of them.

    Nothing where it has a word that is none: what one reader takes for blanks between words, another does not.
    """
    found = []
    for word in re.split(r"[ \t\r\n]+", integrity.strip(" \t\r\n")) if isinstance(integrity, str) else ():
        if (known := _DIGEST.fullmatch(word)) is None:
            return []
        if known["kind"] == "sha512":
            try:
                data = base64.b64decode(known["digest"], validate=True)
            except binascii.Error:
                return []
            found += [Sha512(data.hex())] if len(data) == 64 else []
    return found
