"""Why a rebuild is not the published file, byte for byte: causes, the evidence for each, and what to change."""

from __future__ import annotations

from enum import StrEnum

from rebuilder.model.value import Value, Worded


class Cause(Worded):
    """Everything that is known to keep a rebuild from being the published file (docs/explain.md says more)."""

    spoken: str
    """The cause as a sentence that needs no documentation."""
    advice: str
    """What whoever publishes should change, as a sentence; of what is ours, what a rebuild would need."""
    ours: bool
    """Whether it is about the environment of the rebuild, so that whoever publishes has nothing to change."""

    ARCHIVE_TIMES = (
        "archive-times",
        "The archive stores the time at which it was made.",
        (
            "Set SOURCE_DATE_EPOCH in the release workflow, such as to the time of the commit: "
            "SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct)."
        ),
    )
    ARCHIVE_ORDER = (
        "archive-order",
        "The members stand in another order.",
        "Use a build backend that sorts files before it packs them; a current release of it does.",
    )
    ARCHIVE_FORM = (
        "archive-form",
        "Another archive writer, or another system, wrote the container around the same content.",
        "Build releases on one named system with pinned tools, and name both in the release notes.",
    )
    MODES_UMASK = (
        "modes-umask",
        "The archive stores file permissions of the machine where it was made.",
        (
            "Set umask 022 in the release workflow, and check files out afresh; let executable bits come from the "
            "repository."
        ),
    )
    COMPRESSION = (
        "compression",
        "The same content was compressed by another program, version or level.",
        "Name the system and the interpreter that releases are built with; their compression library is part of them.",
    )
    LINE_ENDS = (
        "line-ends",
        "One side ends its lines with CRLF, as on Windows, the other with LF.",
        (
            "Build releases on Linux, or set “* text=auto eol=lf” in .gitattributes and let generated files be "
            "written with newline='\\n'."
        ),
    )
    TOOL_VERSION = (
        "tool-version",
        "Another version of the build tools wrote the metadata.",
        "Pin the build tool to an exact version where the project declares what it is built with.",
    )
    INTERPRETER_VERSION = (
        "interpreter-version",
        "The result depends on the version of the interpreter it is built with.",
        (
            "Name the interpreter version of the release workflow in the repository; keep what depends on it out of "
            "files that are meant for all versions."
        ),
    )
    DEPENDENCY_DRIFT = (
        "dependency-drift",
        "A build dependency in another version made other content.",
        "Pin every build dependency, those of dependencies too, by version and hash in the release workflow.",
    )
    EXTRA_SOURCE_FILES = (
        "extra-source-files",
        (
            "The published file has files that the source archive lacks, as a file has that was built from something "
            "else, such as the repository."
        ),
        "Publish a source archive that contains these files, and build the published file from that archive.",
    )
    MISSING_SOURCE_FILES = (
        "missing-source-files",
        "The published file lacks files that a build from its source archive has.",
        "Build the published file from the source archive, in a fresh directory.",
    )
    CHANGED_SOURCE_FILES = (
        "changed-source-files",
        "Files in the published file have other content than in the source archive.",
        "Build the source archive and the published file from one clean checkout of one commit.",
    )
    FILE_SELECTION = (
        "file-selection",
        "Which files of the source are packed depends on where it was built.",
        (
            "List package data in full in the project's configuration instead of leaving it to version control or to "
            "what lies in the build directory."
        ),
    )
    GENERATED_FILES = (
        "generated-files",
        "Files that a tool generated while building are not the same.",
        "Pin the generator, or generate once and put the result into the source archive.",
    )
    NAME_OR_TAG = (
        "name-or-tag",
        "The file was built with other options, which show in its name or its tags.",
        "Put such options into the project's configuration, not on the command line.",
    )
    OTHER_VERSION = (
        "other-version",
        "The rebuild has another version than the published file.",
        (
            "Put the version into a file of the source archive, or declare the tool that sets it, so that every "
            "build of the archive has it."
        ),
    )
    STALE_FILES = (
        "stale-files",
        "The published file has files that an earlier build or run left where it was built.",
        "Build releases in a fresh checkout without build directories, best from the source archive.",
    )
    ADDED_SIGNATURE = (
        "added-signature",
        "A signature was added to the file after it was built.",
        "No rebuild can make a signature: publish it beside the file, or as an attestation, instead of inside.",
    )
    EMBEDDED_PATH = (
        "embedded-path",
        "A file contains the directory in which it was built.",
        "Write paths relative to the project, or map them (such as with -ffile-prefix-map).",
    )
    EMBEDDED_TIME = (
        "embedded-time",
        "A file contains the time at which it was built.",
        "Take the time from SOURCE_DATE_EPOCH where it is set, and set it in the release workflow; or leave it out.",
    )
    HASH_OR_SET_ORDER = (
        "hash-or-set-order",
        "The same entries come in another order, as from a set or a directory listing.",
        "Sort before writing: sets have another order in each run, and hash() gives other numbers.",
    )
    FILE_ORDER = (
        "file-order",
        "The result depends on the order in which the file system lists files.",
        "Sort what glob, os.listdir and os.walk give before using it.",
    )
    LOCALE = (
        "locale",
        "Text was read or written in another character encoding or locale.",
        (
            "Name the encoding wherever text files are opened (encoding='utf-8'), and set LC_ALL=C.UTF-8 in the "
            "release workflow."
        ),
    )
    TIME_ZONE = (
        "time-zone",
        "The result depends on the time zone.",
        "Use UTC for everything that is written, and set TZ=UTC in the release workflow.",
    )
    HOST_OR_USER_NAME = (
        "host-or-user-name",
        "A file contains the name of the machine or the user.",
        "Leave the names of machine and user out of what is built.",
    )
    CPU_DEPENDENT = (
        "cpu-dependent",
        "The result depends on the number or the kind of processors.",
        "Give the degree of parallelism and the processor features in the configuration instead of asking the machine.",
    )
    RANDOMNESS = (
        "randomness",
        "Two builds of the same definition give different content.",
        "Replace random values by ones derived from the content, or give the generator a fixed seed.",
    )
    BUILD_ERROR = (
        "build-error",
        "The build stopped with an error.",
        (
            "Build the source archive in a fresh environment with nothing but its declared build requirements. If "
            "that works, this rebuild lacked something else."
        ),
    )
    MISSING_COMPILER = (
        "missing-compiler",
        "The build wants a compiler, a library or a program that the build environment here has not got.",
        "A build environment with a compiler and what else the log names.",
        True,
    )
    MISSING_INTERPRETER = (
        "missing-interpreter",
        "The build wants another interpreter than it was tried with.",
        "A build environment with an older interpreter.",
        True,
    )
    MISSING_REQUIREMENT = (
        "missing-requirement",
        "The build wants something that is not among its declared requirements.",
        "List it where the project declares what it is built with.",
    )
    MISSING_TOOL = (
        "missing-tool",
        "The registry that is asked here has not got a tool in a version that the build needs.",
        "A registry, or a copy of one, that has it.",
        True,
    )
    NETWORK_WANTED = (
        "network-wanted",
        "The build wants to load something over the network, which no rebuild allows.",
        "Put what is loaded into the source archive, or name it with its digest as a requirement.",
    )
    RESOURCE_LIMIT = "resource-limit", "The build reached one of our limits.", "Higher limits.", True
    INCOMPLETE_SOURCE = (
        "incomplete-source",
        "The source archive lacks something that building it needs.",
        "Put it into the source archive, and build the published file from that archive.",
    )
    SOURCE_UNAVAILABLE = (
        "source-unavailable",
        "What it was built from cannot be had.",
        "Publish the source of every release, and keep what it requires available.",
    )
    UNPUBLISHED_TOOL = (
        "unpublished-tool",
        "It was packed by a version of a build tool that is not to be had from the index.",
        "Build releases with a version of the build tool that is on the index.",
    )
    NO_UPLOAD_TIME = (
        "no-upload-time",
        "The index does not say when the file was uploaded, so which tools were there then is not known.",
        "An index that gives upload times (PEP 700).",
        True,
    )
    NOT_SUPPORTED = "not-supported", "This file cannot be rebuilt here yet.", "A later version of this program.", True


class Certainty(StrEnum):
    """How sure a finding is."""

    SHOWN = "shown"
    """Nothing else fits; :class:`Basis` says what shows it."""
    LIKELY = "likely"
    """It fits everything that differs; something else could too."""
    HINT = "hint"
    """Read from the words of a log."""


class Basis(Worded):
    """What a finding rests on."""

    words: str
    """Of what is shown, by what."""

    COMPARISON = "comparison", "shown by the comparison"
    """The rebuilt file beside the published one."""
    EXPERIMENT = "experiment", "shown by an experiment"
    """Another build: with nothing, or with one thing changed."""
    KIND = "kind", "follows from the kind of file"
    """The kind of file, or what is published about it; nothing was built for it."""
    ENDING = "ending", "shown by how the build ended"
    """How the build ended, or what it wrote."""


class EvidenceLine(Value):
    """One thing a finding rests on: both sides of it, or a note."""

    member: str | None = None
    """Of the archives; None when it is about something else."""
    published: str | None = None
    rebuilt: str | None = None
    note: str | None = None


class Finding(Value):
    """One cause."""

    cause: Cause
    sentence: str
    """What happened here, for a stranger."""
    certainty: Certainty
    basis: Basis = Basis.COMPARISON
    evidence: tuple[EvidenceLine, ...] = ()
    """The first of it; few lines."""
    advice: str
    """What whoever publishes should change; of a cause that is ours, what a rebuild would need."""

    @property
    def how(self) -> str:
        """How sure it is, and by what, in words."""
        if self.certainty is Certainty.SHOWN:
            return self.basis.words
        return "likely" if self.certainty is Certainty.LIKELY else "a hint from the log"


class Diagnosis(Value):
    """All causes that were found, those that explain most first."""

    findings: tuple[Finding, ...] = ()
    unexplained: tuple[str, ...] = ()
    """Members that differ and that no finding explains; cut to what a page can show."""
    unexplained_total: int = 0

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        words = " ".join(each.sentence for each in self.findings)
        if not self.findings:
            words = "No known cause explains the difference."
        if self.findings and self.unexplained_total:
            words += f" Nothing explains {self.unexplained_total:,} more."
        return words
