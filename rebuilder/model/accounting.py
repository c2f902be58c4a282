"""Every member of a file that is not rebuilt as a whole, and what it is accounted for with."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from pydantic import Field

from rebuilder.model.attempt import Outcome, Output, Run
from rebuilder.model.binary import BinaryFacts, CodeComparison
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.value import Sha256Field, Value, Worded


class How(StrEnum):
    """What a member is accounted for with."""

    SOURCE = "source"
    """It is a file of the source archive, byte for byte."""
    LINE_ENDS = "line-ends"
    """It is a file of the source archive with CRLF for every LF, as Windows checks it out, or the other way round."""
    BUILT = "built"
    """It is what building here without a compiler gave, byte for byte."""
    DERIVED = "derived"
    """A named rule says how it follows from the source archive, the file name or the other members."""
    COMPILED_EQUAL = "compiled-equal"
    """Compiled code, and compiling it here gave the same bytes."""
    COMPILED_DIFFERENT = "compiled-different"
    """Compiled code that was compiled here too and came out otherwise; :attr:`MemberAccount.detail` says how."""
    NOT_COMPILED = "not-compiled"
    """Compiled code that the source archive asks for or another member needs, and that was not compiled here."""
    UNEXPLAINED = "unexplained"
    """Nothing accounts for it: it is listed by its digest."""
    LISTED = "listed"
    """There was nothing to compare with: it is listed by its digest."""

    @property
    def explains(self) -> bool:
        """Whether the content of the member is settled: by the source, a rule, or being made here again."""
        return self in _SETTLED


_SETTLED = {How.SOURCE, How.LINE_ENDS, How.BUILT, How.DERIVED, How.COMPILED_EQUAL}


class Content(Worded):
    """What a member is to who installs it."""

    words: str

    PYTHON = "python", "Python"
    STARTUP = "startup", "run when Python starts"
    """Python reads it whenever it starts: ``.pth`` and the like."""
    SCRIPT = "script", "script"
    """Installed as a command, or begins with ``#!``."""
    COMPILED = "compiled", "compiled code"
    """An extension module, a library or a program, by its first bytes or its name."""
    METADATA = "metadata", "metadata of the wheel"
    """In the ``.dist-info`` directory."""
    DATA = "data", "data"

    @property
    def runs(self) -> bool:
        """Whether it is something that is executed."""
        return self in {Content.PYTHON, Content.STARTUP, Content.SCRIPT, Content.COMPILED}


class MemberAccount(Value):
    """One member, and what it is accounted for with."""

    path: str
    """As it stands in the archive."""
    sha256: Sha256Field
    size: int = Field(ge=0)
    """Bytes, decompressed."""
    kind: Content
    how: How
    source: str | None = None
    """Path below the top directory of the source archive, or name of the member that it is accounted for with."""
    rule: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]{1,40}$")
    """Name of the rule, of a derived member."""
    detail: str | None = None
    """What a reader has to know beyond that, as a sentence: what a rule found, or what is wrong."""
    binary: BinaryFacts | None = None
    """What compiled code says about itself, which accounts for nothing; None where nobody looked into it."""
    recompiled: CodeComparison | None = None
    """How far it is the same as what compiling the source archive here gave."""
    accuses: bool = False
    """Whether it is executed or changes what is installed, and nothing accounts for it."""


class CompiledHere(Value):
    """The build whose compiled files were compared with published ones; it decides nothing."""

    definition: BuildDefinition
    run: Run

    @property
    def rebuilt(self) -> Output | None:
        """The file that it gave, under whatever name; None when it did not come to its end."""
        return self.run.outputs[0] if self.run.outcome is Outcome.COMPLETED and len(self.run.outputs) == 1 else None


class Accounting(Value):
    """All members of one published file."""

    source_sha256: Sha256Field | None = None
    """Digest of the source archive that they were compared with; None: there was none to compare with."""
    members: tuple[MemberAccount, ...]
    """In archive order; directories are none."""
    attempt: int | None = Field(default=None, ge=0)
    """Index of the attempt whose file was looked at too: what building without a compiler gave."""
    compiled: CompiledHere | None = None
    """The build that members were compared with as :attr:`MemberAccount.recompiled`; None where none was made."""
    remarks: tuple[str, ...] = ()
    """What could not be checked, one sentence each."""

    @property
    def counts(self) -> dict[How, int]:
        """How many members are accounted for with what, in the order of :class:`How`; those of none are left out."""
        found = Counter(each.how for each in self.members)
        return {how: found[how] for how in How if found[how]}

    @property
    def accusing(self) -> tuple[MemberAccount, ...]:
        """Members that are executed or change what is installed, and that nothing accounts for."""
        return tuple(each for each in self.members if each.accuses)

    @property
    def compared(self) -> bool:
        """Whether there was a source archive to compare with."""
        return self.source_sha256 is not None
