"""Which scripts of a package.json make what a release holds, without those that publish, tag, test or lint (pure).

What ``npm publish`` runs are texts for a shell. They are read as such: parts between ``&&`` and ``;`` are commands of
their own, calls of other scripts are followed, and a command that pushes, publishes, tests or installs is left out. A
text that is more than that (a loop, a substitution) is run whole where none of its words is one of those.

Packages of the same repository that a package imports are built before it.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rebuilder.ecosystems.npm.tarball import scripts_of

LONGEST = 8192
"""Characters of one script."""
_MOST_COMMANDS = 200
_DEEPEST = 12
_LIFECYCLE = ("prepublish", "prepare", "prepublishOnly", "prepack")
"""What a publication runs before it packs, in an order in which each finds what it needs
(https://docs.npmjs.com/cli/using-npm/scripts)."""
_BUILDS = ("build", "bundle", "compile", "dist", "transpile")
_MANAGERS = frozenset({"npm", "pnpm", "yarn"})
_RUNNERS = frozenset({"npm-run-all", "npm-run-all2", "run-s", "run-p", "run-z"})
_BEFORE = frozenset({"npx", "cross-env", "env", "exec", "time", "dotenv", "cross-env-shell"})
"""Words that may stand before the command itself."""
_ELSEWHERE = frozenset(
    {
        *("git", "hub", "gh", "np", "release-it", "semantic-release", "standard-version", "changelogen", "auto"),
        *("husky", "is-ci", "lint-staged", "simple-git-hooks", "pinst", "lefthook", "yorkie", "patch-package", "curl"),
        *("wget", "ssh", "scp", "rsync", "gh-pages", "codecov", "coveralls", "in-publish", "not-in-publish", "snyk"),
        *("safe-publish-latest", "published", "check-publish", "open-cli", "only-allow"),
    }
)
"""Programs that speak to repositories, registries and people, or set up a working copy."""
_TESTS = frozenset(
    {
        *("mocha", "jest", "ava", "tap", "tape", "vitest", "nyc", "c8", "karma", "istanbul", "lab", "uvu", "tsd"),
        *("eslint", "tslint", "standard", "xo", "jshint", "jscs", "publint", "attw", "size-limit", "bundlesize"),
        *("dtslint", "evalmd", "aud", "ls-engines", "depcheck", "knip", "zuul", "airtap", "testem", "cypress"),
    }
)
_VERBS = frozenset(
    {
        *("publish", "version", "test", "t", "tst", "install", "i", "ci", "add", "audit", "login", "whoami"),
        *("outdated", "link", "unpublish", "dist-tag", "access", "owner", "it", "install-test", "update", "prune"),
        "shrinkwrap",
    }
)
"""Commands of package managers that are not run."""
_NAMES = re.compile(
    r"(?:pre|post)?(?:test|lint|release|publish|deploy|coverage|version|e2e|ci|cover|typecheck|type-check)s?(?:[:_-].*)?"
)
"""Scripts that check or publish, by their name."""
_COMPLEX = re.compile(r"[`(){}]|\$\(|<<|(?:^|[;&|]\s*)(?:if|for|while|until|case|function|cd|export|set)\b")
_ASSIGNED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@dataclass(frozen=True)
class ScriptStep:
    """One command that is run."""

    script: str
    """Of the package.json, in which it stands."""
    command: str
    """For a shell."""
    directory: str
    """Of that package.json in the repository."""


@dataclass(frozen=True)
class BuildScripts:
    """One way to build a package."""

    name: str
    """Short and stable, such as ``lifecycle``."""
    steps: tuple[ScriptStep, ...]
    left_out: tuple[str, ...] = ()
    """Commands that are not run."""
    after_failure: bool = False
    """Whether it is tried only where no other came to its end."""


class UnreadableScript(Exception):  # noqa: N818 - reads as what happened
    """A script that is not run; the text is the end of a sentence."""


def ways_to_build(
    scripts: Mapping[str, str], directory: str, above: Mapping[str, str] | None = None
) -> list[BuildScripts]:
    """The ways to build a package, likeliest first: what a publication runs, its build script, that of the repository.

    ``above`` are the scripts of the repository's own package.json, where that is another one.

    Raises:
        UnreadableScript: a script is longer than any that people write, or they call each other too often.
    """
    lifecycle = _Reading(scripts, directory).of(_LIFECYCLE)
    builds = [each for each in _BUILDS if each in scripts]
    found: list[BuildScripts] = []
    covered = bool(lifecycle.called & set(builds))
    if lifecycle.steps and (covered or not builds):
        found.append(lifecycle.way("lifecycle"))
    for build in builds[:2]:
        alone = _Reading(scripts, directory).of([build])
        if lifecycle.steps and not covered:
            both = (*alone.steps, *lifecycle.steps), (*alone.left_out, *lifecycle.left_out)
            found.append(BuildScripts(f"{build}-lifecycle", *both))
        found.append(alone.way(build))
    if lifecycle.steps:
        found.append(lifecycle.way("lifecycle"))
    if above is not None:
        found += [replace(each, name=f"repository-{each.name}") for each in ways_to_build(above, "")[:1]]
    unique = {each.steps: each for each in reversed(found) if each.steps}
    return sorted(unique.values(), key=found.index)


class _Reading:
    """Scripts of one package.json, followed to the commands that they run."""

    def __init__(self, scripts: Mapping[str, str], directory: str) -> None:
        self.steps: list[ScriptStep] = []
        self.left_out: list[str] = []
        self.called: set[str] = set()
        """Names of all scripts that were come upon."""
        self._scripts = scripts
        self._directory = directory
        self._open: list[str] = []
        self._taken = 0

    def of(self, names: Iterable[str]) -> _Reading:
        """Read these scripts, one after the other."""
        for name in names:
            self._follow(name)
        return self

    def way(self, name: str) -> BuildScripts:
        """What was read."""
        return BuildScripts(name, tuple(self.steps), tuple(self.left_out))

    def _follow(self, name: str) -> None:
        if name in self._open or len(self._open) > _DEEPEST:
            return
        self._open.append(name)
        for each in (f"pre{name}", name, f"post{name}"):
            if each not in self._scripts or (each != name and each in _LIFECYCLE):
                continue
            if _NAMES.fullmatch(each):
                self.left_out.append(f"npm run {each}")
                continue
            self.called.add(each)
            text = self._scripts[each]
            if len(text) > LONGEST:
                raise UnreadableScript(f"the script {each[:40]!r} has {len(text):,} characters")
            for command in commands(text):
                self._take(each, command)
        self._open.pop()

    def _take(self, script: str, command: str) -> None:
        self._taken += 1
        if self._taken > _MOST_COMMANDS:
            raise UnreadableScript(f"its scripts call each other to more than {_MOST_COMMANDS} commands")
        called = self._called(command)
        if called is not None:
            for each in called:
                self._follow(each)
        elif is_left_out(command):
            self.left_out.append(command)
        else:
            self.steps.append(ScriptStep(script, command, self._directory))

    def _called(self, command: str) -> list[str] | None:
        """Names of the scripts that a command runs, where it does nothing else."""
        words = plain_words(command)
        if not words or len(list(_pieces(command))) > 1:
            return None
        program, *rest = words
        if program in _MANAGERS:
            named = [each for each in rest if not each.startswith("-")]
            if named and named[0] in _RUNNERS:
                return [name for pattern in named[1:] for name in self._matching(pattern)]
            run = bool(named) and named[0] in {"run", "run-script"}
            name = named[run] if len(named) > run else ""
            known = name in self._scripts and (run or program != "npm") and "--" not in rest
            return [name] if known and len(named) == run + 1 else None
        if program in _RUNNERS and "--" not in rest:
            patterns = [each for each in rest if not each.startswith("-")]
            return [name for pattern in patterns for name in self._matching(pattern)]
        return None

    def _matching(self, pattern: str) -> list[str]:
        """Scripts that a runner's pattern names: ``*`` stops at a colon, ``**`` does not."""
        if "*" not in pattern:
            return [pattern] if pattern in self._scripts else []
        deep = "**" in pattern
        return [
            each
            for each in self._scripts
            if fnmatch.fnmatchcase(each, pattern) and (deep or each.count(":") == pattern.count(":"))
        ]


def commands(text: str) -> list[str]:
    """The commands of a script, as they are written; a text that is more than commands in a row is one of them."""
    if _COMPLEX.search(text) or "\n" in text.strip():
        return [text.strip()] if text.strip() else []
    found: list[str] = []
    joined = ""
    for piece, operator in _pieces(text):
        joined += piece
        if operator in {"&&", ";", ""}:
            found.append(joined.strip())
            joined = ""
        else:
            joined += operator
    return [each for each in found if each]


def is_left_out(command: str) -> bool:
    """Whether something in a command is not to be run: then none of it is."""
    return any(_is_left_out(plain_words(piece)) for piece, _ in _pieces(command))


def _is_left_out(words: Sequence[str]) -> bool:
    if not words:
        return False
    program, *rest = words
    if program in _ELSEWHERE:
        return True
    fixes = any(each in {"--fix", "--write", "-w"} for each in rest)
    if program in _TESTS or (program == "prettier" and not fixes) or (program == "tsc" and "--noEmit" in rest):
        return not fixes
    if program in _MANAGERS:
        named = [each for each in rest if not each.startswith("-")]
        run = bool(named) and named[0] in {"run", "run-script"}
        verb = named[run] if len(named) > run else ""
        return _NAMES.fullmatch(verb) is not None if run else verb in _VERBS or _NAMES.fullmatch(verb) is not None
    return program in {"lerna", "changeset", "nx", "rush"} and bool({"publish", "version", "release"} & set(rest))


def plain_words(command: str) -> list[str]:
    """The words of one command, without what only sets its variables or finds its program; empty if it has none."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    while words and (_ASSIGNED.match(words[0]) or words[0].rpartition("/")[2] in _BEFORE or words[0] == "--"):
        words = words[1:]
        while words and words[0].startswith("-") and words[0] != "--":
            words = words[1:]
    return [words[0].rpartition("/")[2], *words[1:]] if words else []


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """What is between the operators of a command line, each with the operator behind it."""
    start = at = 0
    quote = ""
    while at < len(text):
        letter = text[at]
        if letter == "\\" and quote != "'":
            at += 2
            continue
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in ";&|" and text[max(at - 1, 0) : at] not in {">", "<"}:
            operator = text[at : at + 2] if text[at : at + 2] in {"&&", "||"} else letter
            yield text[start:at], operator
            start = at = at + len(operator)
            continue
        at += 1
    yield text[start:], ""


MOST = 60
"""Neighbours of one package."""
_KINDS = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")


def built_before(packages: Mapping[str, Mapping[str, Any]], directory: str) -> tuple[ScriptStep, ...]:
    """The commands that build what a package depends on in its own repository, in an order in which each finds its own.

    All of them are hostile.

    Raises:
        UnreadableScript: see :func:`rebuilder.ecosystems.npm.scripts.ways_to_build`.
    """
    places: dict[str, str] = {}
    for place, manifest in packages.items():
        if isinstance(name := manifest.get("name"), str):
            places.setdefault(name, place)
    order: list[str] = []
    open_: list[tuple[str, list[str]]] = [(directory, _needed(packages[directory], places))]
    seen = {directory}
    while open_:
        place, waiting = open_[-1]
        if not waiting:
            open_.pop()
            order.append(place)
            continue
        following = waiting.pop()
        if following not in seen and len(seen) <= MOST:
            seen.add(following)
            open_.append((following, _needed(packages[following], places)))
    return tuple(step for place in order[:-1] for step in _steps(packages[place], place))


def _needed(manifest: Mapping[str, Any], places: Mapping[str, str]) -> list[str]:
    """Directories of what a package names among its dependencies, the last first."""
    named = [name for kind in _KINDS if isinstance(found := manifest.get(kind), dict) for name in found]
    return list(dict.fromkeys(places[each] for each in named if each in places))[::-1]


def _steps(manifest: Mapping[str, Any], place: str) -> tuple[ScriptStep, ...]:
    ways = ways_to_build(scripts_of(manifest), place)
    return ways[0].steps if ways else ()
