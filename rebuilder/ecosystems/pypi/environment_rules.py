"""What the build environment here lacked, seen in a rebuild that came to an end all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.diagnose import failure_rules as general
from rebuilder.diagnose.case import FILE_NAME, Claim, DiagnosisInput, claim, listed, named, quoted
from rebuilder.ecosystems.pypi import failure_rules
from rebuilder.ecosystems.pypi.file_times import metadata_file
from rebuilder.model.comparison import MemberChange
from rebuilder.model.diagnosis import Cause, Certainty, EvidenceLine

_WANTED = re.compile(f"{general.COMPILER.pattern}|{failure_rules.COMPILER.pattern}")
_COMPILED = re.compile(r"\.(?:so(?:\.\d+)*|pyd|dll|dylib|a|lib)$")
_EXTENSION = re.compile(r"building extension ['\"]?([\w.]+)['\"]? failed|building '([\w.]+)' extension")


def extension(case: DiagnosisInput) -> Iterator[Claim]:
    """An optional extension was not compiled, or a wheel became one for a platform because of it."""
    attempt = case.attempt
    if not case.different or attempt is None or attempt.rebuilt is None:
        return
    wanted = [
        line.strip()
        for line in case.log.splitlines()
        if any(rules.COMPILER.search(line) for rules in (failure_rules, general))
    ]
    compiled = [each for each in case.having(MemberChange.MISSING) if _COMPILED.search(each.member)]
    target, made = attempt.hypothesis.definition.filename, attempt.rebuilt.filename
    pure = target.endswith("-any.whl") and made.endswith(".whl") and not made.endswith("-any.whl")
    if not wanted or not (compiled or pure):
        return
    lines = [
        line
        for line in case.lines(lambda member: metadata_file(member, "WHEEL"))
        if line[2].startswith(("Tag:", "Root-Is-Purelib:"))
    ]
    name = next((match[1] or match[2] for each in wanted if (match := _EXTENSION.search(each))), None)
    name = name or next((match[1] or match[2] for match in _EXTENSION.finditer(case.log)), None)
    what = f"the compiled extension {name[:100]}" if name else "a compiled extension"
    sentence = f"The project has {what}, and the build environment here has no compiler for it."
    if pure:
        sentence += (
            " The rebuild left it out, but made a wheel for one platform all the same; the published wheel is for any:"
            " it was built with the extension turned off, such as by a variable or an option."
        )
    if compiled:
        sentence += f" The published file has it ({listed([each.member for each in compiled])})."
    yield claim(
        Cause.MISSING_COMPILER,
        sentence,
        [EvidenceLine(note=wanted[-1][:300]), *named(compiled), *quoted(lines)],
        members=[each.member for each in compiled],
        lines=[*lines, FILE_NAME],
        certainty=Certainty.LIKELY,
        first=True,
    )
