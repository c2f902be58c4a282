"""``rebuilder check``: a consumer's gate in front of an installation."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.errors import UsageError

if TYPE_CHECKING:
    from rebuilder.consumer.check import Speaker
    from rebuilder.consumer.gate import Gate
    from rebuilder.consumer.policy import Policy
    from rebuilder.consumer.rebuilder import Trusted

Seen = Annotated[
    Path | None, typer.Option("--seen", help="Directory that remembers what was seen.", show_default=False)
]
Rebuilders = Annotated[
    list[str] | None,
    typer.Option("--rebuilder", metavar="SITE", help="Address, directory or bundle of a site; may be given again."),
]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="What is asked of a file (TOML); docs/check.md.")]


def check(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="LOCKFILE|FILE|DIRECTORY…",
            help="requirements.txt with hashes, pylock.toml, uv.lock, poetry.lock, package-lock.json, pnpm-lock.yaml, "
            "yarn.lock, a report of pip install --report; a file; an environment of Python, or a directory of files.",
            show_default=False,
        ),
    ],
    *,
    rebuilder: Rebuilders = None,
    need: Annotated[int | None, typer.Option("--need", min=1, help="How many rebuilders must confirm a file.")] = None,
    policy: PolicyFile = None,
    all_platforms: Annotated[
        bool, typer.Option("--all-platforms", help="Every file counts, not only the one this platform installs.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no index for the names of files that a lock file does not name.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    format: Annotated[str, typer.Option("--format", help="table, json, sarif or junit.")] = "table",  # noqa: A002
    seen: Seen = None,
) -> None:
    """Ask rebuilders whether what is to be installed was reproduced, and check their answers here.

    Exit code 0: everything passes; 1: a rebuild differs, or what a rebuilder shows was changed; 2: wrong use; 3: too
    few rebuilders confirm something; 4: a rebuilder could not be read. Pure Python: no sandbox, no root, any system.
    """
    written = run(
        subjects,
        rebuilders=rebuilder or [],
        need=need,
        policy_file=policy,
        all_platforms=all_platforms,
        offline=offline,
        kind="json" if json else format,
        seen=seen,
    )
    raise typer.Exit(written)


def run(
    subjects: Sequence[str],
    *,
    rebuilders: Sequence[str],
    need: int | None,
    policy_file: Path | None,
    all_platforms: bool,
    offline: bool,
    kind: str,
    seen: Path | None,
    now: datetime | None = None,
) -> int:
    """Check and print; give the exit code.

    Raises:
        UsageError: a file or the policy has a mistake, or nobody is to be asked.
        StoreError: what was seen cannot be remembered.
    """
    from rebuilder.consumer.check import Panel
    from rebuilder.consumer.check import check as checked
    from rebuilder.consumer.index_names import IndexNames
    from rebuilder.consumer.lock_files import dependencies
    from rebuilder.consumer.platform_files import Target
    from rebuilder.log.seen import usual_memory

    if kind not in {"table", "json", "sarif", "junit"}:
        raise UsageError(f"Answers are written as table, json, sarif or junit, not as {kind!r}.")
    policy, trusted, others = whom_to_ask(policy_file, rebuilders)
    if need is not None:
        policy = policy.replace(need=need)
    if not trusted and not others:
        raise UsageError("Nobody is asked.", hint="Name a rebuilder: --rebuilder https://… , a directory, or a bundle.")
    target = Target(every=all_platforms)
    wanted = [each for subject in subjects for each in dependencies(Path(subject), target)]
    moment = now or datetime.now(UTC)
    with Panel(trusted, seen or usual_memory(), moment, others) as panel, IndexNames() as names:
        outcome = checked(wanted, panel, policy, target, None if offline else names)
        panel.remember()
    if kind == "table":
        text = "\n".join(outcome.table())
    elif kind == "json":
        text = json.dumps(outcome.document())
    else:
        from rebuilder.consumer.formats import junit, sarif

        text = sarif(outcome) if kind == "sarif" else junit(outcome)
    print(text.encode("utf-8", "backslashreplace").decode())  # noqa: T201
    if kind != "table":
        print(outcome.sentence, file=sys.stderr)  # noqa: T201
    return int(outcome.code)


def gate_of(policy_file: Path, seen: Path | None) -> Gate:
    """A gate that stays open, and what is wrong with its rebuilders now on standard error.

    Raises:
        UsageError: the policy has a mistake, or asks for more rebuilders than it names.
    """
    from rebuilder.consumer.gate import Gate
    from rebuilder.log.seen import usual_memory

    policy, trusted, others = whom_to_ask(policy_file)
    gate = Gate(trusted, policy, seen or usual_memory(), others=others)
    for each in [*gate.refused, *gate.unread]:
        print(f"! {each}", file=sys.stderr)  # noqa: T201
    return gate


def whom_to_ask(
    policy_file: Path | None, rebuilders: Sequence[str] = ()
) -> tuple[Policy, list[Trusted], list[Speaker]]:
    """A policy, the rebuilders that it or the command line names, and those of other formats.

    Raises:
        UsageError: the policy has a mistake, or one of another format cannot be read.
    """
    from rebuilder.consumer.policy import Policy, read_policy
    from rebuilder.consumer.rebuilder import Trusted

    policy = read_policy(policy_file) if policy_file is not None else Policy()
    base = policy_file.parent if policy_file is not None else Path()
    trusted = [*policy.trusted(base), *(Trusted(each) for each in dict.fromkeys(rebuilders))]
    if not policy.others:
        return policy, trusted, []
    from rebuilder.interop.oss_rebuild import Collected

    others = [Collected(base / each.place, each.kind, base / each.key, each.name) for each in policy.others]
    return policy, trusted, [*others]
