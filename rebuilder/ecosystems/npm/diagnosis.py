"""What is known of the causes of differences between npm tarballs, in the words of npm.

What is said of the commit rests on the comparison of the tarball with the commit's files (``tree_changes``); what is
said of the packing tool on attempts that differ in nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rebuilder.diagnose.case import (
    Claim,
    DiagnosisInput,
    EcosystemRules,
    about,
    about_pairs,
    alike,
    claim,
    files,
    listed,
    named,
)
from rebuilder.ecosystems.npm.build import SOURCE
from rebuilder.ecosystems.npm.resolution import UNLOCKED
from rebuilder.ecosystems.npm.tarball import MANIFEST
from rebuilder.ecosystems.npm.tree_changes import ELSEWHERE, NOWHERE
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Difference, MemberChange
from rebuilder.model.definition import BuildDefinition, Role
from rebuilder.model.diagnosis import Basis, Cause, Certainty, EvidenceLine
from rebuilder.model.graph import FileChange, TreeChange
from rebuilder.programs.account.list_tarball import below

_PACK_ONLY = "pack-only"
_PROGRAM = re.compile(r"/[a-z-]+-(?P<version>[0-9][^/]*)/commands/(?P<tool>[a-z]+)$")
_NODE = re.compile(r"/node-(?P<version>[0-9][^/]*)/bin$")
_VERSION = re.compile(r"(?<![\w.])v?[0-9]+(?:\.[0-9]+)+(?:-[\w.]+)?(?![\w.]*[0-9])")
_LEFT = re.compile(
    r"/(?:\.nyc_output|\.cache|coverage|node_modules/\.cache)/|/npm-debug\.log|/yarn-error\.log|\.tsbuildinfo$|\.tgz$"
)
_PNPM_WRITES = "Package managers write package.json anew when they pack: pnpm and Yarn from version 2 on do."


def _known(case: DiagnosisInput) -> dict[str, FileChange]:
    """What is known of each file of the tarball that the commit does not have so."""
    return {each.path: each for each in case.trail.changes} if case.trail is not None else {}


def _only_packed(case: DiagnosisInput) -> bool:
    return case.attempt is not None and case.attempt.hypothesis.name == _PACK_ONLY


def _committed(case: DiagnosisInput, member: str) -> bool:
    """Whether the commit has a file of the tarball with the same content."""
    trail = case.trail
    if trail is None or len(trail.changes) < trail.changes_total or not (trail.changes or _only_packed(case)):
        return False
    change = _known(case).get(below(member))
    return change is None or change.rule == "line-ends"


def _said(case: DiagnosisInput, found: Sequence[Difference]) -> list[EvidenceLine]:
    """Differences as evidence, with what is known of the file."""
    known = _known(case)
    return [
        EvidenceLine(member=each.member, note=change.sentence)
        if (change := known.get(below(each.member))) is not None and change.sentence
        else EvidenceLine(member=each.member, note=each.detail)
        for each in found
    ]


def _members(found: Sequence[Difference]) -> list[str]:
    return [each.member for each in found]


def _packer(definition: BuildDefinition) -> str | None:
    """What a definition packs with, for sentences."""
    command = definition.commands[-1]
    options = dict(pairwise(command))
    program, node = _PROGRAM.search(options.get("--program", "")), _NODE.search(options.get("--node", ""))
    if program is None or node is None:
        return None
    return f"{program['tool']} {program['version']} on Node {node['version']}"


def _packed(case: DiagnosisInput) -> Iterator[Claim]:
    """Another attempt packed the same files with another tool, and what differs here came out as published there."""
    attempt = case.attempt
    if not case.different or attempt is None or (ours := _packer(attempt.hypothesis.definition)) is None:
        return
    for other in case.attempts:
        theirs = _packer(other.hypothesis.definition)
        if theirs in (None, ours) or not _only_packed_otherwise(attempt, other) or other.comparison is None:
            continue
        differing = {each.member for each in other.comparison.differences}
        found = [each for each in case.having(*MemberChange) if each.member not in differing]
        if found:
            yield claim(
                Cause.TOOL_VERSION,
                f"It depends on what packs: {theirs} gives {files(len(found))} as published "
                f"({listed(_members(found))}), and {ours} does not.",
                named(found),
                members=_members(found),
                basis=Basis.EXPERIMENT,
            )
            return


def _only_packed_otherwise(attempt: Attempt, other: Attempt) -> bool:
    """Whether another attempt differs in what packs alone, and all of its differences are known."""
    comparison, here, there = other.comparison, attempt.hypothesis.definition, other.hypothesis.definition
    whole = comparison is not None and not comparison.problem
    return (
        whole
        and not other.repeat
        and comparison is not None
        and comparison.differences_total == len(comparison.differences)
        and (here.source, here.commands[1:-1]) == (there.source, there.commands[1:-1])
    )


def _file_list(case: DiagnosisInput) -> Iterator[Claim]:
    """Files of the commit that one side packs and the other does not: `files`, .npmignore, or the packing tool."""
    more = [each for each in case.having(MemberChange.MISSING) if _committed(case, each.member)]
    less = case.having(MemberChange.ADDED) if _only_packed(case) else []
    for found, words in (
        (more, "has {count} of the commit that packing the commit leaves out ({names})"),
        (less, "lacks {count} that packing the commit gives ({names})"),
    ):
        if found:
            what = words.format(count=files(len(found)), names=listed(_members(found)))
            yield about(
                Cause.FILE_SELECTION,
                f"The tarball {what}: the file list (“files”, .npmignore, .gitignore) was another one where it was "
                "packed, or files lay there that the commit has not got, or another version packed it.",
                found,
                Certainty.LIKELY,
            )


def _manifest(case: DiagnosisInput) -> Iterator[Claim]:
    """package.json was changed between the commit and packing, or is written otherwise by what packs."""
    found = [each for each in case.having(MemberChange.CONTENT) if below(each.member) == MANIFEST]
    change = _known(case).get(MANIFEST)
    if not found:
        return
    if change is None and not _committed(case, found[0].member):
        return
    if change is None:
        sentence = "The tarball has the package.json of the commit, and the rebuild wrote it otherwise."
        yield about(Cause.TOOL_VERSION, f"{sentence} {_PNPM_WRITES}", found, Certainty.LIKELY)
    elif change.rule == "manifest-order":
        sentence = "package.json says the same as that of the commit and is written otherwise."
        yield claim(
            Cause.TOOL_VERSION,
            f"{sentence} {_PNPM_WRITES}",
            _said(case, found),
            members=_members(found),
            certainty=Certainty.LIKELY,
        )
    elif change.change is TreeChange.CHANGED:
        yield claim(
            Cause.CHANGED_SOURCE_FILES,
            "package.json in the tarball is not that of the commit: it was rewritten before it was packed (tools such "
            "as clean-publish do that), or the tarball was made of another commit.",
            [*_said(case, found), *_lines(found)],
            members=_members(found),
            advice=(
                "Let a script of package.json (prepack) rewrite it, so that whoever rebuilds sees how, or publish the "
                "one of the commit."
            ),
        )


def _lines(found: Sequence[Difference]) -> list[EvidenceLine]:
    return [
        EvidenceLine(member=each.member, published=each.content.published[0], rebuilt=each.content.rebuilt[0])
        for each in found
        if each.content is not None and each.content.published and each.content.rebuilt
    ]


def _dependencies(case: DiagnosisInput) -> Iterator[Claim]:
    """Lines that are the same but for a version, where ours is that of an installed package."""
    definition = case.definition
    if definition is None or _only_packed(case):
        return
    used = {
        (each.name.removesuffix(f"-{each.version}.tgz"), each.version)
        for each in definition.inputs
        if each.role is Role.BUILD_DEPENDENCY and each.version is not None
    }
    pairs = alike(case.lines(), lambda line: _VERSION.sub("\0", line) if _VERSION.search(line) else None)
    found = {}
    for pair in pairs:
        line = pair[1][2]
        versions = {each.removeprefix("v") for each in _VERSION.findall(line)}
        words = {each.rpartition("@")[0] or each for each in re.findall(r"[@\w./-]+", line.lower())}
        if named_here := sorted(name for name, version in used if version in versions and name in words):
            found[pair] = named_here
    if found:
        names = listed(sorted({name for names in found.values() for name in names}))
        yield about_pairs(
            Cause.DEPENDENCY_DRIFT,
            f"Files name the version of a package they were made with, and it was another one: {names}.",
            list(found),
        )


def _only_published(case: DiagnosisInput) -> Iterator[Claim]:
    """Files of the tarball that neither the commit has nor the build makes."""
    known = _known(case)
    found = case.having(MemberChange.MISSING)
    sentences = {each.member: change.sentence or "" for each in found if (change := known.get(below(each.member)))}
    elsewhere = [each for each in found if ELSEWHERE in sentences.get(each.member, "")]
    nowhere = [each for each in found if NOWHERE in sentences.get(each.member, "")]
    other = [each for each in found if each not in elsewhere and each not in nowhere]
    how = "no script of package.json was found that makes" if _only_packed(case) else "the build does not make"
    both = "a step that package.json does not name made them, or they lay about where it was packed"
    for some, words, certainty in (
        (elsewhere, "that other commits of the repository have, and not this one", Certainty.SHOWN),
        (nowhere, f"that no commit of the repository has and {how} ({both})", Certainty.LIKELY),
        (other, f"that the rebuild lacks; {how} them, and whether some commit has them is not known", Certainty.LIKELY),
    ):
        if some:
            yield claim(
                Cause.EXTRA_SOURCE_FILES,
                f"The tarball has {files(len(some))} {words}: {listed(_members(some))}.",
                _said(case, some),
                members=_members(some),
                certainty=certainty,
            )


def _only_rebuilt(case: DiagnosisInput) -> Iterator[Claim]:
    """Files that our build wrote and the tarball lacks."""
    if found := case.having(MemberChange.ADDED):
        yield about(
            Cause.GENERATED_FILES,
            f"The rebuild has {files(len(found))} that the tarball lacks ({listed(_members(found))}): the build writes "
            "more here, or the file list was another one.",
            found,
            Certainty.LIKELY,
        )


def _changed(case: DiagnosisInput) -> Iterator[Claim]:
    """Other contents: of files of the commit, or of those that the build writes."""
    known = _known(case)
    found = case.having(MemberChange.CONTENT)
    changes = {each.member: change for each in found if (change := known.get(below(each.member))) is not None}
    source = [each for each in found if each.member in changes and changes[each.member].change is TreeChange.CHANGED]
    elsewhere = [each for each in source if ELSEWHERE in (changes[each.member].sentence or "")]
    rewritten = [each for each in source if each not in elsewhere]
    written = [each for each in found if each not in source]
    if elsewhere:
        yield claim(
            Cause.CHANGED_SOURCE_FILES,
            f"{files(len(elsewhere)).capitalize()} of the tarball ({listed(_members(elsewhere))}) "
            f"{'has' if len(elsewhere) == 1 else 'have'} the content of other commits, not of the one it comes from.",
            _said(case, elsewhere),
            members=_members(elsewhere),
        )
    if rewritten:
        yield claim(
            Cause.CHANGED_SOURCE_FILES,
            f"{files(len(rewritten)).capitalize()} of the tarball ({listed(_members(rewritten))}) "
            f"{'is' if len(rewritten) == 1 else 'are'} in the commit with other content: rewritten before packing, as "
            "scripts do that shorten a README, or never committed.",
            _said(case, rewritten),
            members=_members(rewritten),
            certainty=Certainty.LIKELY,
        )
    if written:
        yield _written(case, written)


def _written(case: DiagnosisInput, found: Sequence[Difference]) -> Claim:
    unlocked = case.attempt is not None and UNLOCKED in case.attempt.hypothesis.sentence
    what = f"{files(len(found)).capitalize()} that the build writes came out differently ({listed(_members(found))})"
    why = (
        "the commit has no lock file, so other versions of what it is built with may have been installed"
        if unlocked
        else "another Node, another version of what it is built with, or other steps made them"
    )
    return claim(
        Cause.DEPENDENCY_DRIFT if unlocked else Cause.GENERATED_FILES,
        f"{what}: {why}.",
        [*_lines(found), *named(found)],
        members=_members(found),
        certainty=Certainty.LIKELY,
    )


_MODULE = re.compile(r"(?:Cannot find module|Cannot find package|Could not resolve) ['\"]([^'\"]{1,200})['\"]")
_OWN = re.compile(rf"{SOURCE}/((?!node_modules/).+)")
_COMMAND = re.compile(r"sh: (?:[0-9]+: )?([\w@./-]{1,100}): (?:command )?not found")
_TOO_OLD = re.compile(
    r"EBADENGINE|ERR_OSSL_EVP_UNSUPPORTED|The engine \"node\" is incompatible|requires Node(?:\.js)? version"
    r"|SyntaxError: Unexpected token ['\"]?[?.]"
)
_COMPILER = re.compile(r"gyp ERR!|node-gyp: not found")
_NETWORK = re.compile(r"\b(?:ENOTFOUND|EAI_AGAIN|ENETUNREACH|ENOTCACHED|ERR_PNPM_NO_OFFLINE)\w*")


def _hints(line: str) -> Iterator[tuple[Cause, str]]:
    """What a line points to; see :attr:`rebuilder.diagnose.case.EcosystemRules.hints`."""
    if _COMPILER.search(line):
        yield Cause.MISSING_COMPILER, "The build compiles for Node (node-gyp), and no compiler is here."
    if _NETWORK.search(line):
        yield Cause.NETWORK_WANTED, Cause.NETWORK_WANTED.spoken
    if _TOO_OLD.search(line):
        yield Cause.MISSING_INTERPRETER, "The build does not work with the Node it was tried with."
    if (module := _MODULE.search(line)) is not None and (file := _OWN.match(module[1])) is not None:
        yield (
            Cause.INCOMPLETE_SOURCE,
            f"The build wants {file[1]}, which is not in the commit and no script made before.",
        )
    elif module is not None:
        yield Cause.MISSING_REQUIREMENT, f"The build wants {module[1]}, which is not there."
    if (command := _COMMAND.search(line)) is not None:
        yield Cause.MISSING_REQUIREMENT, f"The build calls {command[1]}, which no installed package has."


_PORTABLE = "Publish with npm 7.20.5 or later, which writes the same headers whatever machine it runs on."
_CLEAN_CHECKOUT = "Publish from a clean checkout of the tagged commit, best in a workflow (npm publish --provenance)."

BUILD_FILES = re.compile(
    r"(?:(?:build|config|scripts|tools|tasks)/)?[^/]+\.[cm]?[jt]s|package\.json|Makefile|\.npmrc"
    r"|\.github/workflows/[^/]+\.ya?ml"
)
"""Paths of files that say how a package is built and released, or are run for it."""
_ASKS = {
    Cause.EMBEDDED_PATH: r"process\.cwd\(|__(?:dir|file)name|import\.meta\.(?:url|\w+name)|\bresolve\(|\bpwd\b",
    Cause.EMBEDDED_TIME: r"\bDate\.now\(|\bDate\(\s*\)|moment\(\)|\bhrtime|\bdate\b.*\+%|(?:`|\$\()date\b",
    Cause.FILE_ORDER: r"readdir(?:Sync)?\(|\bglob(?:\.sync|Sync)?\(|opendir(?:Sync)?\(|\bfind \S",
    Cause.LOCALE: r"toLocale\w*\(|localeCompare\(|\bIntl\.",
    Cause.TIME_ZONE: r"getTimezoneOffset\(|\.get(?:Hours|Date|Day|Month|FullYear)\(|to(?:Locale|Date|Time)\w*\(",
    Cause.HOST_OR_USER_NAME: r"\bhostname\(|userInfo\(|homedir\(|env\.(?:USER|HOME|LOGNAME|HOSTNAME)\b|\bwhoami\b",
    Cause.CPU_DEPENDENT: r"\bcpus\(|availableParallelism\(|\bnproc\b",
    Cause.RANDOMNESS: r"Math\.random\(|random(?:Bytes|UUID|Int|FillSync)\(|getRandomValues\(|\bnanoid\(|\buuid|mkdtemp",
}
RULES = EcosystemRules(
    rules={"packed": _packed, "file-list": _file_list, "manifest": _manifest},
    instead={
        "only-published": _only_published,
        "only-rebuilt": _only_rebuilt,
        "dependencies": _dependencies,
        "changed": _changed,
    },
    advice={
        **dict.fromkeys(
            (Cause.ARCHIVE_TIMES, Cause.ARCHIVE_ORDER, Cause.ARCHIVE_FORM, Cause.MODES_UMASK),
            _PORTABLE,
        ),
        Cause.HOST_OR_USER_NAME: (
            "Leave the names of machine and user out of what scripts write; npm 7.20.5 or later writes none besides."
        ),
        Cause.INCOMPLETE_SOURCE: "Commit the file, or make it in a script that runs before (prepare, prepack).",
        **dict.fromkeys((Cause.CHANGED_SOURCE_FILES, Cause.STALE_FILES), _CLEAN_CHECKOUT),
        Cause.COMPRESSION: "Publish with a Node of nodejs.org: those of distributions may have another zlib.",
        Cause.LINE_ENDS: "Publish from Linux or macOS, or set “* text=auto eol=lf” in .gitattributes.",
        Cause.TOOL_VERSION: "Name the package manager and its version in package.json (“packageManager”).",
        Cause.DEPENDENCY_DRIFT: "Commit the lock file, and install from it (npm ci) to publish.",
        Cause.GENERATED_FILES: (
            "Commit a lock file, install from it (npm ci), name the Node (.nvmrc), and make what is generated in a "
            "script of package.json (prepack)."
        ),
        Cause.EXTRA_SOURCE_FILES: (
            "Make what is generated in a script of package.json (prepack), and publish from a clean checkout."
        ),
        Cause.FILE_SELECTION: "Name what is to be packed in “files” of package.json; publish from a clean checkout.",
        Cause.EMBEDDED_PATH: "Write paths relative to the package; let bundlers and source maps do the same.",
        Cause.MISSING_COMPILER: "A build environment with a compiler.",
        Cause.MISSING_INTERPRETER: "The Node that the build is made for; .nvmrc or “engines” can name it.",
        Cause.MISSING_REQUIREMENT: "List it in devDependencies of package.json, and commit the lock file.",
        Cause.NETWORK_WANTED: "Make it a dependency, so that the lock file binds it, instead of downloading it.",
        Cause.BUILD_ERROR: (
            "Try npm ci, the build script and npm pack in a fresh clone of the commit, without a network after npm ci. "
            "If that works, this rebuild lacked something else."
        ),
        Cause.SOURCE_UNAVAILABLE: (
            "Keep the commit in the repository that package.json names, and depend on releases of the registry that "
            "stay there. A copy of the repository or of the registry that is asked here may lack what they have."
        ),
    },
    hints=_hints,
    endings={70: "the package manager could not pack it", 73: "the package manager left no tarball"},
    leftovers=_LEFT,
    asks={cause: re.compile(pattern) for cause, pattern in _ASKS.items()},
    asked_first=("package.json", "build.js", "build.mjs", "build.cjs"),
)
