"""Archives listed inside the sandbox, once for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.model.definition import Input
from rebuilder.model.evidence import Inspection
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.sandbox.protocol import Programs
from rebuilder.store.protocol import Memo


class InspectionContext(Protocol):
    """What archives are listed with."""

    @property
    def programs(self) -> Programs: ...  # noqa: D102
    @property
    def memo(self) -> Memo: ...  # noqa: D102


def inspect(context: InspectionContext, archives: Sequence[Input], *, texts: Sequence[str]) -> list[Inspection]:
    """List archives inside the sandbox; what an earlier run found out is not asked again.

    Patterns of ``texts`` choose the members whose text is wanted; a star matches slashes too.

    Raises:
        NotRebuildable: the listing was cut short by a limit or failed.
    """
    program = context.programs.program_input("archive")
    question = {"inspect": [each.sha256 for each in archives], "texts": list(texts), "program": program.sha256}
    key = sha256_hex(canonical_json(question))
    document = context.memo.get(key)
    if document is None:
        document = _run_inspection(context, archives, texts)
        context.memo.put(key, document)
    return [Inspection.model_validate(each) for each in document]


def read_texts(context: InspectionContext, archive: Input, paths: Sequence[str], longest: int) -> dict[str, str]:
    """Whole texts of an archive, by name; nothing is remembered. What is longer than ``longest`` bytes is left out.

    Raises:
        NotRebuildable: see :func:`inspect`.
    """
    patterns = [exactly(path) for path in paths]
    [document] = _run_inspection(context, [archive], patterns, longest + 1)
    texts = Inspection.model_validate(document).texts
    return {name: text for name, text in texts.items() if len(text.encode()) <= longest}


def exactly(path: str) -> str:
    """The pattern that one path fits."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in path)


def _run_inspection(
    context: InspectionContext, archives: Sequence[Input], texts: Sequence[str], longest: int | None = None
) -> list[dict[str, object]]:
    wanted = [*(f"--text={pattern}" for pattern in texts), *([f"--text-bytes={longest}"] if longest else [])]
    paths = [each.path for each in archives]
    result = context.programs.run("archive", "inspect_archive", [*paths, *wanted], inputs=archives)
    names = " and ".join(each.name for each in archives)
    document = result.document
    listings = document.get("archives") if isinstance(document, dict) else None
    if not isinstance(listings, list) or len(listings) != len(archives):
        limit = f" (limit on {result.run.limit})" if result.run.limit else ""
        verdict = Verdict.TIMED_OUT if result.run.limit else Verdict.UNSUPPORTED
        raise NotRebuildable(verdict, f"Listing {names} did not come to an end{limit}.")
    return [Inspection.model_validate(each).document() for each in listings]
