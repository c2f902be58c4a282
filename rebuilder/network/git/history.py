"""The commits before one and their tags, without files: all that ``git describe`` and ``git log`` look at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from rebuilder.model.git import Commit, CommitHistory, SourceProblem, Tag, Trouble
from rebuilder.model.project import ProjectTree
from rebuilder.network.git.objects import Unsound, read_commit, tag_points_at
from rebuilder.network.git.process import Git
from rebuilder.programs.source.git_store import object_name
from rebuilder.store.protocol import Blobs

MOST_COMMITS = 20_000
"""Those nearest are taken of more; the history is cut off behind them."""
_MOST_TAGS = 2_000
_MOST_BYTES = 64 << 20
_TAG_NAME = re.compile(r"(?![-.])[^\x00-\x20\x7f~^:?*\[\\]{1,200}")
_HEADER = re.compile(rb"([0-9a-f]{40}) (commit|tag) ([0-9]{1,9})\n")
Ask = Callable[[Sequence[str], bytes], bytes]
"""Gives what git prints for arguments and standard input; nothing when it fails."""
_PARENTS = re.compile(rb"tree [0-9a-f]{40}\n((?:parent [0-9a-f]{40}\n)*)")


def read_history(
    git: Git, commit: Commit, references: Mapping[str, str], blobs: Blobs, most_bytes: int
) -> CommitHistory | SourceProblem:
    """Fetch and check what is before a commit, as far as the repository has it.

    Args:
        git: A repository of ours for histories alone: a commit it has without its files is not fetched again.
        commit: Whose ancestors are wanted.
        references: What the remote names, peeled tags too.
        blobs: Where the two documents go.
        most_bytes: What may be downloaded.

    Raises:
        GitStopped: a limit was reached.
        Unsound: what came is damaged.
    """
    mine = f"refs/rebuilder/{commit.sha}"
    problem = _fetch(git, [f"+{commit.sha}:{mine}/commit"], most_bytes)
    if problem is not None and commit.tags:  # some servers hand out what a tag names, nothing by its own name
        problem = _fetch(git, [f"+refs/tags/{commit.tags[0].name}:{mine}/commit"], most_bytes)
    if problem is not None:
        return problem
    listed = git.run("rev-list", f"--max-count={MOST_COMMITS}", commit.sha, most_output=_MOST_BYTES)
    names = listed.output.decode("ascii", "replace").split()
    if listed.code or names[:1] != [commit.sha]:
        raise Unsound(f"The history of {commit.sha} cannot be read.")
    objects = dict(_objects(_asker(git), names[1:], "commit"))
    _refuse_others(commit, objects)
    pointing = {
        name: (target, references.get(f"{ref}^{{}}", target))
        for ref, target in references.items()
        if ref.startswith("refs/tags/") and (name := ref.removeprefix("refs/tags/"))
    }
    before = _tags_of(pointing, objects)
    annotated = {name: target for name, (target, end) in before.items() if target != end}
    specs = [f"+refs/tags/{name}:{mine}/tags/{number}" for number, name in enumerate(annotated)]
    problem = _fetch(git, specs, most_bytes) if specs else None
    if problem is not None:
        return problem
    return _kept(objects, before, dict(_objects(_asker(git), list(dict.fromkeys(annotated.values())), "tag")), blobs)


def own_commit(ask: Ask, of: ProjectTree, tree: str, blobs: Blobs) -> tuple[Commit, CommitHistory | None]:
    """A commit of the files of a work tree, and what is before it, of a repository that lies here.

    It is the one that is checked out where that has these files. Where it has others although nothing was changed, such
    as submodules or files that were filtered, it stands for that one; what was changed stands in one after it. Where
    there is no repository, it is the first one.

    Raises:
        Unsound: the repository is damaged.
    """
    if of.commit is None:
        return _own(_new_commit(tree, (), b"Nobody <> %d +0000" % of.seconds), of, (), blobs), None
    head = of.commit
    names = ask(("rev-list", f"--max-count={MOST_COMMITS}", head), b"").decode("ascii", "replace").split()
    commits = dict(_objects(ask, names, "commit"))
    listed = ask(("for-each-ref", "--format=%(objectname) %(*objectname) %(refname:lstrip=2)", "refs/tags"), b"")
    split = [line.split(" ", 2) for line in listed.decode("utf-8", "replace").splitlines()]
    before = _tags_of({name: (target, end or target) for target, end, name in split}, commits)
    annotated = dict(_objects(ask, sorted({target for target, end in before.values() if target != end}), "tag"))
    committer = re.search(rb"\ncommitter ([^\n]*)", commits.get(head, b""))
    if committer is None:
        raise Unsound(f"The commit {head} cannot be read.")
    here: list[Tag] = []
    if of.changed:
        raw = _new_commit(tree, (head,), committer[1])
    else:
        raw = b"tree %b\n" % tree.encode() + commits.pop(head).partition(b"\n")[2]
        sha = object_name("commit", raw).encode()
        for name in [name for name, (_, end) in before.items() if end == head]:
            data = annotated.get(before.pop(name)[0], b"")
            moved = blobs.put(data.replace(head.encode(), sha, 1)) if tag_points_at(data, head) else None
            here.append(Tag(name=name, object_sha256=moved))
    return _own(raw, of, tuple(here), blobs), _kept(commits, before, annotated, blobs)


def _new_commit(tree: str, parents: Sequence[str], who: bytes) -> bytes:
    lines = [f"tree {tree}", *(f"parent {each}" for each in parents)]
    return "\n".join(lines).encode() + b"\nauthor %b\ncommitter %b\n\nNot committed yet\n" % (who, who)


def _own(raw: bytes, of: ProjectTree, tags: tuple[Tag, ...], blobs: Blobs) -> Commit:
    read = read_commit(raw, object_name("commit", raw))
    return Commit(
        repository=f"file:{of.name}",
        sha=object_name("commit", raw),
        tree=read.tree,
        committed_at=read.committed_at,
        object_sha256=blobs.put(raw),
        parents=read.parents,
        tags=tags,
    )


def _tags_of(pointing: Mapping[str, tuple[str, str]], commits: Mapping[str, bytes]) -> dict[str, tuple[str, str]]:
    """Tags of some commits: by name, what each names, and the commit that it leads to."""
    found = [
        (name, both) for name, both in sorted(pointing.items()) if both[1] in commits and _TAG_NAME.fullmatch(name)
    ]
    return dict(found[:_MOST_TAGS])


def _kept(
    commits: Mapping[str, bytes], before: Mapping[str, tuple[str, str]], tags: Mapping[str, bytes], blobs: Blobs
) -> CommitHistory:
    """The two documents."""
    lines = []
    for name, (target, end) in before.items():
        kept = target if target == end or (target in tags and tag_points_at(tags[target], end)) else end
        lines.append(f"{kept} {name}\n")
    kept_tags = {line.split(" ", 1)[0] for line in lines} & tags.keys()
    whole = [b"commit %d\0" % len(commits[name]) + commits[name] for name in sorted(commits)]
    whole += [b"tag %d\0" % len(tags[name]) + tags[name] for name in sorted(kept_tags)]
    return CommitHistory(
        objects_sha256=blobs.put(b"".join(whole)),
        tags_sha256=blobs.put("".join(lines).encode()),
        commits=len(commits),
        tags=len(lines),
    )


def _asker(git: Git) -> Ask:
    return lambda arguments, stdin: git.run(*arguments, stdin=stdin, most_output=_MOST_BYTES).output


def _fetch(git: Git, wanted: list[str], most_bytes: int) -> SourceProblem | None:
    done = git.fetch(wanted, "--filter=tree:0", "--update-shallow", most_growth=most_bytes)
    return git.problem(done) if done.code else None


def _objects(ask: Ask, names: list[str], kind: str) -> Iterator[tuple[str, bytes]]:
    """The objects of one kind among these, each checked against its name."""
    asked = "".join(f"{each}\n" for each in names).encode()
    output = ask(("cat-file", "--batch"), asked) if names else b""
    at = 0
    while found := _HEADER.match(output, at):
        data = output[found.end() : found.end() + int(found[3])]
        at = found.end() + len(data) + 1
        if found[2].decode() == kind:
            if object_name(kind, data) != found[1].decode():
                raise Unsound(f"The {kind} {found[1].decode()} has other bytes than its name says.")
            yield found[1].decode(), data


def _refuse_others(commit: Commit, objects: Mapping[str, bytes]) -> None:
    """Stop where one of the commits is not before the one asked for."""
    pending, reached = list(commit.parents), set[str]()
    while pending:
        name = pending.pop()
        if name in objects and name not in reached:
            reached.add(name)
            found = _PARENTS.match(objects[name])
            pending += [line[7:].decode() for line in found[1].splitlines()] if found else []
    if reached != objects.keys():
        raise Unsound(f"The history of {commit.sha} has commits that are not before it.", Trouble.UNSOUND)
