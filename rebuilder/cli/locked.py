"""The files of lock files as subjects of ``rebuilder verify``, with the digests that the lock files pin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rebuilder.consumer.lock_files import Dependency, LockedFile, dependencies
from rebuilder.consumer.platform_files import Target
from rebuilder.ecosystems.pypi.platform_tags import LAST, Rank, rank
from rebuilder.ecosystems.pypi.subject import file_version
from rebuilder.errors import ExitCode, RebuilderError, UsageError
from rebuilder.model.artifact import Subject

Names = Callable[[str], dict[str, str]]
"""The file names of a project by their SHA-256, as its index lists them."""


class LockedFileError(RebuilderError):
    """What a lock file asks for is not what is published, or cannot be verified."""

    def __init__(self, sentence: str, code: ExitCode) -> None:
        super().__init__(sentence)
        self.exit_code = code


def locked_subjects(
    files: Sequence[Path], names: Names, *, all_files: bool
) -> Iterator[tuple[Subject, LockedFileError | None]]:
    """What lock files ask for: the file that this platform installs, or all of them.

    Args:
        files: Lock files, as ``rebuilder check`` reads them.
        names: Asked where a lock file has digests without names, or no digests.
        all_files: Every file of every line, whatever the platform.

    Yields:
        A subject, and why it cannot be verified, if it cannot.

    Raises:
        UsageError: a lock file cannot be read, or contradicts itself.
        UnavailableError: the index does not answer.
    """
    target = Target(every=all_files)
    for each in [each for file in files for each in dependencies(file, target)]:  # all are read before any is used
        yield from _subjects(each, names, target)


def _subjects(dependency: Dependency, names: Names, target: Target) -> Iterator[tuple[Subject, LockedFileError | None]]:
    ecosystem = dependency.ecosystem or "pypi"
    plain = Subject(
        ecosystem=ecosystem,
        name=dependency.name,
        version=dependency.version,
        asked=f"{ecosystem}:{dependency.label}",
    )
    if ecosystem != "pypi" and (dependency.version is None or not dependency.from_index):
        sentence = dependency.problem or f"{dependency.place} names no version of it."
        yield plain, LockedFileError(sentence, ExitCode.UNDECIDED)
        return
    if ecosystem != "pypi":
        # A release has one file; where a lock file allows several, any of them may be it.
        allowed = {each.sha512 for each in dependency.files}
        yield plain.replace(local_sha512=allowed.pop() if len(allowed) == 1 else None), None
        return
    if dependency.problem is not None and dependency.version is None:
        yield plain, LockedFileError(dependency.problem, ExitCode.UNDECIDED)
        return
    files = list(dependency.files)
    if not files or any(each.filename is None for each in files):
        listed = {sha256: name for sha256, name in names(dependency.name).items() if _is_of(name, dependency)}
        pinned = [each.sha256 for each in files if each.sha256 is not None]
        if pinned and not listed.keys() & set(pinned):
            sentence = f"The index lists no file of {dependency.label} with a digest that {dependency.place} asks for."
            yield plain, LockedFileError(sentence, ExitCode.DIFFERS)
            return
        wanted = {sha256: name for sha256, name in listed.items() if not pinned or sha256 in pinned}
        files = [LockedFile(name, sha256) for sha256, name in wanted.items()]  # type: ignore[arg-type]
    chosen = target.installed(files).files
    if not chosen:
        sentence = f"None of the {len(files)} files of {dependency.label} fits this platform."
        yield plain, LockedFileError(sentence, ExitCode.UNDECIDED)
    for each in chosen:
        asked = f"{ecosystem}:{dependency.label} ({each.filename})"
        named = plain.replace(filename=each.filename, asked=asked)
        yield named.replace(local_sha256=each.sha256, local_sha512=each.sha512), None


def every_file(subject: Subject, names: Names) -> list[Subject]:
    """A subject for each file of a release, the one that is installed here first.

    Raises:
        UsageError: it names no release of Python's index.
        UnavailableError: the index does not answer.
    """
    if subject.ecosystem != "pypi" or subject.version is None or subject.filename is not None:
        raise UsageError(
            f"{subject.asked!r} does not name a release whose files are known.",
            hint="--all-files is for releases such as pypi:numpy==2.3.5, and for lock files.",
        )
    dependency = Dependency("pypi", subject.name, subject.version, "")
    found = sorted((name for name in names(subject.name).values() if _is_of(name, dependency)), key=_order)
    return [subject.replace(filename=name, asked=f"{subject.asked} ({name})") for name in found] or [subject]


def _order(filename: str) -> tuple[Rank, str]:
    return rank(filename) or LAST, filename


def _is_of(filename: str, dependency: Dependency) -> bool:
    """Whether a file is of the release, by its name."""
    from packaging.version import InvalidVersion, Version

    found = file_version(filename)
    try:
        return found is not None and dependency.version is not None and found[1] == Version(dependency.version)
    except InvalidVersion:
        return False
