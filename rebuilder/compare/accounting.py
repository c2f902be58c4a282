"""Accounts for the members of a wheel that is not rebuilt as a whole, inside the sandbox.

What the compiled files in it say about themselves is read there, too.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from rebuilder.compare.comparer import LIMITS, ending
from rebuilder.model.accounting import Accounting, Content, MemberAccount
from rebuilder.model.attempt import Outcome
from rebuilder.model.binary import Binaries
from rebuilder.model.definition import Input, Role
from rebuilder.model.value import Sha256, Value, canonical_json, sha256_hex
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, Programs
from rebuilder.store.protocol import Memo

_MOST_MEMBERS = 200_000


class _Answer(Value):
    """What ``account_for_wheel`` writes, as far as it is believed."""

    members: tuple[MemberAccount, ...] = Field(max_length=_MOST_MEMBERS)
    remarks: tuple[str, ...] = Field(default=(), max_length=100)
    problem: str | None = None


def account_for_wheel(
    programs: Programs, memo: Memo, wheel: Input, source: Input | None, built: Sha256 | None = None
) -> Accounting | None:
    """Account for every member of a wheel. The same question is not looked into twice by the same program.

    Args:
        programs: What reads the files.
        memo: Where answers are kept.
        wheel: The published file, by its name.
        source: The source archive of the same release; None: its members are only listed.
        built: A blob: the wheel that building the source archive without a compiler gave.

    Returns:
        None where looking did not come to its end, or one of the files cannot be read.

    Raises:
        SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see :class:`Programs`.
    """
    made = Input(role=Role.PARAMETERS, name="built", sha256=built, path="/inputs/built/file.whl") if built else None
    inputs = [each for each in (wheel, source, made) if each is not None]
    arguments = [wheel.path, *([source.path] if source else []), *([f"--built={made.path}"] if made else [])]
    question = [
        programs.program_input("account").sha256,
        wheel.name,
        *(f"{each.path} {each.sha256}" for each in inputs),
    ]
    key = sha256_hex(canonical_json(question))
    kept = memo.get(key)
    found = kept if kept is not None else _asked(programs, [*arguments, f"--filename={wheel.name}"], inputs)
    try:
        answer = _Answer.model_validate(found)
    except ValidationError:
        return None
    if answer.problem is not None:
        return None
    if kept is None:
        memo.put(key, answer.document())
    return Accounting(
        source_sha256=source.sha256 if source is not None else None, members=answer.members, remarks=answer.remarks
    )


def _asked(programs: Programs, arguments: list[str], inputs: list[Input]) -> Any:
    result = programs.run("account", "account_for_wheel", arguments, inputs=inputs, limits=LIMITS)
    return result.document if result.run.outcome is Outcome.COMPLETED else None


_BINARY_LIMITS = PROGRAM_LIMITS.replace(wall_seconds=240, cpu_seconds=240)
"""The largest archives have a gigabyte of compiled code."""
_PATH = "/inputs/archive"


def read_binaries(programs: Programs, memo: Memo, archive: Sha256) -> Binaries:
    """What every compiled file in an archive says about itself; why not, when that cannot be told.

    Raises:
        SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see ``Programs.run``.
    """
    key = sha256_hex(canonical_json(["binaries", programs.program_input("binary").sha256, archive]))
    kept = memo.get(key)
    if kept is None:
        file = Input(role=Role.PARAMETERS, name="archive", sha256=archive, path=_PATH)
        result = programs.run("binary", "read_binaries", [_PATH], inputs=[file], limits=_BINARY_LIMITS)
        if result.run.outcome is not Outcome.COMPLETED or result.document is None:
            why = f"Its compiled files were not read: the reader did not finish; {ending(result.run)}."
            return Binaries(problems=(why,))
    try:
        found = Binaries.model_validate(result.document if kept is None else kept)
    except ValidationError:
        return Binaries(problems=("What the reader of compiled files wrote cannot be understood.",))
    if kept is None:
        memo.put(key, found.document())
    return found


def with_facts(accounting: Accounting, found: Binaries) -> Accounting:
    """An accounting, with what its compiled members say about themselves; it explains none of them."""
    facts = {each.sha256: each.facts for each in found.members}
    members = [
        each.replace(binary=facts[each.sha256]) if each.kind is Content.COMPILED and each.sha256 in facts else each
        for each in accounting.members
    ]
    told = [each for each in found.problems if each not in accounting.remarks]
    return accounting.replace(members=tuple(members), remarks=(*accounting.remarks, *told))
