"""npm's registry at ``/npm/``: documents of packages (packuments), tarballs, and where attestations are.

A version that does not pass is not among the versions; npm finds it under ``policyRestrictions``, where a registry
says what it does not hand out, and shows the reason. Tags lead to versions that pass only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any
from urllib.parse import quote

from rebuilder.consumer.answer import Answer
from rebuilder.consumer.enforcement import Reply, sentence
from rebuilder.consumer.lock_files import Dependency, LockedFile
from rebuilder.consumer.proxy.pages import Listed, Page, Pages, Read, phrase, sent_on
from rebuilder.ecosystems.npm.integrity import digests
from rebuilder.ecosystems.npm.packument import Packument
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, escaped, is_name, precedence, scope_of, tarball_name
from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import Document
from rebuilder.model.text import visible
from rebuilder.model.value import Sha512, sha256_hex
from rebuilder.network.index_reader import IndexReader

Registries = Callable[[str | None], IndexReader]
"""The registry of a scope (with its ``@``), or of packages without."""
SHORT, FULL = "application/vnd.npm.install-v1+json", "application/json"
_NAME = r"(?P<name>(?:@[^/]*/)?[^/]+)"
_TARBALL = re.compile(rf"/npm/{_NAME}/-/(?P<file>[^/]+)")
_PACKAGE = re.compile(rf"/npm/{_NAME}")
_SIGNED = re.compile(r"/npm/(?P<path>-/npm/v1/(?:keys|attestations/))(?P<release>(?<=/)[\w.@/+~-]{1,500})?", re.ASCII)
_BY_NAME = re.compile(r"(?:npm:(?:@[^/\\:]+/)?)?[^/\\:]*", re.DOTALL)
"""What a package wants of another one by its name, an alias among them: npm asks the registry for it."""
_WANTED = ("dependencies", "optionalDependencies", "peerDependencies")
_AT_INSTALL = {"preinstall", "install", "postinstall"}
_AROUND = "It asks for other packages by addresses or directories, and the proxy is not asked about those."
_MOST_SCOPES = 1000
_MOST_REASONS = 10
_MOST_NAMED = 5


class NpmRegistry:
    """Answers npm and whoever speaks its protocol.

    Args:
        registries: The real ones.
        pages: What they answered, and what passes of it.
    """

    def __init__(self, registries: Registries, pages: Pages) -> None:
        self._registries, self._pages = registries, pages
        self._readers: dict[str | None, IndexReader] = {}
        self._lock = Lock()

    def answer(self, path: str, accept: str, root: str) -> Reply | None:
        """What is at an address; None: nothing.

        Args:
            path: Decoded.
            accept: Media types.
            root: The address by which the client reached the proxy: those of tarballs must be whole.

        Raises:
            UsageError: the settings of npm name no registry.
            UnavailableError: the registry does not answer as it must.
        """
        if (signed := _SIGNED.fullmatch(path)) is not None and ".." not in path:
            release = signed["release"] or ""
            return sent_on(self._registry(scope_of(release)).url + signed["path"] + escaped(release))
        found = _TARBALL.fullmatch(path) or _PACKAGE.fullmatch(path)
        if found is None:
            return None
        name, file = found["name"], found.groupdict().get("file")
        if not is_name(name) or name == "-":
            return _error("404 Not Found", "This is no name of an npm package.")
        form = SHORT if file is not None or SHORT in accept else FULL
        page = self._page(name, form)
        if page is None:
            return _error("404 Not Found", f"The registry has no package {name}.")
        if file is not None:
            return self._tarball(page, file)
        return page.reply(root, lambda: self._made(page, root))

    def _page(self, name: str, form: str) -> Page | None:
        registry = self._registry(scope_of(name))
        accept = FULL if form == FULL else f"{SHORT}, {FULL};q=0.8"
        return self._pages.get(
            registry, escaped(name), accept, lambda content, url: _read_packument(content, url, name)
        )

    def _registry(self, scope: str | None) -> IndexReader:
        with self._lock:
            if scope not in self._readers:
                if len(self._readers) > _MOST_SCOPES:
                    self._readers.clear()
                self._readers[scope] = self._registries(scope)
            return self._readers[scope]

    def _tarball(self, page: Page, filename: str) -> Reply:
        for listed, answer in page.answered:
            if listed.file.files[0].filename == filename:
                self._pages.enforcement.note(answer)
                against = self._pages.enforcement.against(answer)
                return _error(phrase(403, against), against) if against is not None else sent_on(listed.url)
        return _error("404 Not Found", "The registry does not list this tarball with a digest that binds its bytes.")

    def _made(self, page: Page, root: str) -> Reply:
        refused = {
            each.file.version for each, answer in page.answered if self._pages.enforcement.against(answer) is not None
        }
        said = reasons(answer for each, answer in page.answered if each.file.version in refused)
        document = _gated(page.read, refused, self._pages.enforcement.broken or f"rebuilder: {said}", root)
        headers = (("Content-Type", page.media_type), ("Cache-Control", "no-cache"), ("Vary", "Accept"))
        return Reply("200 OK", headers, json.dumps(document).encode())


def _read_packument(content: bytes, url: str, name: str) -> Read:
    """A package's document, and its tarballs; what is not listed as it must be is left out."""
    packument = Packument(Document(url=url, sha256=sha256_hex(content), content=content, media_type=FULL), name)
    files = []
    for version in packument.versions:
        try:
            release = packument.release(version)
        except UnavailableError:
            continue
        if release is not None:
            row = packument.content["versions"][version]
            # npm takes any file with one of the strongest digests: only where there is one it is known which.
            sha512 = [each for each in digests(row["dist"].get("integrity")) if each.algorithm == "sha512"]
            filename = tarball_name(name, version)
            file = LockedFile(filename, None, Sha512(sha512[0].value) if len(sha512) == 1 else None)
            around = _AROUND if leads_around(row) else None
            asked = Dependency(ECOSYSTEM, name, version, f"{name} {filename}", (file,), objection=around)
            files.append(Listed(row, asked, release.tarball))
    return Read(packument.content, files)


def leads_around(row: dict[str, Any]) -> bool:
    """Whether the entry of a version makes npm fetch other packages from elsewhere than a registry.

    Packages that it wants by an address do, and so may a list of addresses of its own (``npm-shrinkwrap.json``).
    """
    for wanted in (row.get(each) or {} for each in _WANTED):
        if not isinstance(wanted, dict):
            return True
        if not all(isinstance(each, str) and _BY_NAME.fullmatch(each) for each in wanted.values()):
            return True
    return bool(row.get("_hasShrinkwrap"))


def _gated(read: Read, refused: set[str | None], message: str, root: str) -> dict[str, Any]:
    """The document as it is handed out.

    Args:
        read: As the registry has it.
        refused: Versions that do not pass.
        message: Why not.
        root: Address of the proxy.
    """
    versions = {str(each.file.version): _version(each, root) for each in read.files if each.file.version not in refused}
    # Versions that a client may take from elsewhere than “versions” are not looked at here, so nobody gets them.
    kept = {key: each for key, each in read.document.items() if not (isinstance(each, dict) and "versions" in each)}
    document = kept | {"versions": versions, "dist-tags": _tags(read.document.get("dist-tags"), versions)}
    if refused:
        name = read.document["name"]
        restricted = {each: {"name": name, "version": each} for each in sorted(str(each) for each in refused)}
        document["policyRestrictions"] = {"message": message, "versions": restricted}
    return document


def _version(listed: Listed, root: str) -> dict[str, Any]:
    """The entry of a version, as it is but for the address of its tarball, and without scripts.

    Npm runs those of the entry where there are some, and otherwise those of the tarball, which is what was looked at.
    """
    filename = listed.file.files[0].filename
    tarball = f"{root}/npm/{escaped(listed.file.name)}/-/{quote(str(filename))}"
    entry = {**listed.document, "dist": {**listed.document["dist"], "tarball": tarball}}
    scripts = entry.pop("scripts", None)
    if isinstance(scripts, dict) and _AT_INSTALL & scripts.keys():
        entry["hasInstallScript"] = True
    return entry


def _tags(tags: Any, versions: dict[str, Any]) -> dict[str, str]:
    """Tags of versions that pass; ``latest`` leads to the newest release before it that does, if it does not."""
    found = {
        str(tag): each
        for tag, each in (tags.items() if isinstance(tags, dict) else ())
        if isinstance(each, str) and each in versions
    }
    latest = tags.get("latest") if isinstance(tags, dict) else None
    if "latest" not in found and isinstance(latest, str):
        older = sorted((each for each in versions if _is_before(each, latest)), key=precedence)
        found |= {"latest": older[-1]} if older else {}
    return found


def _is_before(version: str, latest: str) -> bool:
    return "-" not in version.partition("+")[0] and precedence(version) < precedence(latest)


def reasons(answers: Iterable[Answer]) -> str:
    """Why versions do not pass, each reason once with the versions that it is about; the newest version first."""
    rows: dict[str, list[str]] = {}
    for each in answers:
        said = sentence(each).partition(" does not pass ")[2]
        rows.setdefault(said, []).append(str(each.dependency.version))
    lines = []
    for said, versions in rows.items():
        named = sorted(versions, key=precedence, reverse=True)
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        verb = "does" if len(named) == 1 else "do"
        lines.append((precedence(named[0]), f"{', '.join(named[:_MOST_NAMED])}{more} {verb} not pass {said}"))
    shown = [line for _, line in sorted(lines, reverse=True)]
    left = [f"and {len(shown) - _MOST_REASONS} other reasons"] if len(shown) > _MOST_REASONS else []
    return "\n".join(shown[:_MOST_REASONS] + left)


def _error(status: str, body: str) -> Reply:
    """An answer in words, as npm shows it."""
    return Reply(status, (("Content-Type", "application/json"),), json.dumps({"error": visible(body)}).encode())
