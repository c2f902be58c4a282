"""Lock files of npm, pnpm and yarn as lines of a gate; npm's own and pnpm's name files by SHA-512."""

from __future__ import annotations

from pathlib import Path

from rebuilder.consumer.lock_files.dependency import Dependency, LockedFile, path_name
from rebuilder.consumer.platform_files import Target
from rebuilder.ecosystems.npm.lock_files import LockedPackage, LockFileError, Origin, read_lock
from rebuilder.ecosystems.npm.subject import tarball_name
from rebuilder.model.value import Sha512
from rebuilder.toml_files import FileError

_UNHASHED = "The lock file has no SHA-512 of it, so any bytes could be installed."
_OTHER = "It comes from a repository or a directory, not from a registry."


def read_node_lock(path: Path, kind: str, text: str, target: Target) -> list[Dependency]:
    """The packages of a lock file that this platform installs.

    Args:
        path: Where it is.
        kind: One of :data:`rebuilder.ecosystems.npm.lock_files.FORMATS`.
        text: Its content.
        target: Packages for other platforms are left out.

    Raises:
        FileError: it is none.
    """
    try:
        found = read_lock(kind, text.encode("utf-8", "surrogatepass"))
    except LockFileError as error:
        raise FileError(path, str(error)) from None
    return [_dependency(path, each) for each in found if target.every or each.runs_on(*target.npm)]


def _dependency(path: Path, package: LockedPackage) -> Dependency:
    filename = path_name(package.address) or ""
    if not filename.endswith(".tgz"):
        filename = tarball_name(package.name, str(package.version))
    sha512 = [Sha512(each.value) for each in package.digests if each.algorithm == "sha512"]
    from_index = package.origin in {Origin.REGISTRY, Origin.ADDRESS}
    return Dependency(
        "npm",
        package.name,
        package.version,
        f"{path.as_posix()}, {package.place}",
        tuple(LockedFile(filename, None, each) for each in sha512),
        None if sha512 else _UNHASHED if from_index else _OTHER,
        from_index,
    )
