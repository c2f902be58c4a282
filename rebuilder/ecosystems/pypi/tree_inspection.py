"""Listing a commit and a published source archive to compare them."""

from __future__ import annotations

import glob
from dataclasses import replace

from rebuilder.ecosystems.pypi.build_inputs import Product
from rebuilder.ecosystems.pypi.commit_hypotheses import targets_of
from rebuilder.ecosystems.pypi.commit_listing import CommitListing, archive_input, list_commit
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.evidence import as_input
from rebuilder.ecosystems.pypi.listing import inspect
from rebuilder.ecosystems.pypi.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.sdist_configuration import read_project
from rebuilder.ecosystems.pypi.source_archive import top_directory
from rebuilder.ecosystems.pypi.tree_changes import Tree, explained_changes, raw_changes, tree_of
from rebuilder.ecosystems.pypi.tree_rules import SourceProject
from rebuilder.model.artifact import PublishedFile
from rebuilder.model.evidence import Evidence, Inspection
from rebuilder.model.git import SourceTree
from rebuilder.model.trail import FileChange, TreeChange

_MOST_TEXTS = 100
"""Files whose texts are compared; their rules stay unsaid for the rest, which are then unexplained."""
_LARGEST_TEXT = 1 << 20
"""Longer texts are cut where they are listed."""


def inspected_changes(context: PlanningContext, evidence: Evidence, tree: SourceTree) -> tuple[FileChange, ...]:
    """Compare; see :meth:`rebuilder.ecosystems.protocol.Ecosystem.tree_changes`.

    What cannot be listed gives nothing here: building from the commit meets the same obstacle, and tells it.
    """
    target = next((each for each in targets_of(evidence) if each.product is Product.SDIST), None)
    if target is None or not target.listing.readable:
        return ()
    try:
        commit = list_commit(context, tree, target.listing)
        ours, theirs = tree_of(target.listing, top_directory(target.listing)), tree_of(commit.listing, commit.top)
        ours, theirs = _with_texts(context, target.file, tree, ours, theirs)
    except NotRebuildable:
        return ()
    return explained_changes(ours, theirs, _project(commit, theirs))


def _with_texts(
    context: PlanningContext, file: PublishedFile, commit: SourceTree, ours: Tree, theirs: Tree
) -> tuple[Tree, Tree]:
    """Both trees with the texts of the files that are in the source archive and differ."""
    changes = [path for path, change in raw_changes(ours, theirs) if change is not TreeChange.MISSING]
    wanted = [path for path in changes if ours.files[path].size <= _LARGEST_TEXT]
    wanted = [path for path in wanted if theirs.files.get(path) is None or theirs.files[path].size <= _LARGEST_TEXT]
    paths = sorted(wanted, key=lambda path: (path.count("/"), path))[:_MOST_TEXTS]
    paths = [*paths, *(name for name in ("MANIFEST.in",) if name in theirs.files)]
    names = dict.fromkeys(side.names[path] for side in (ours, theirs) for path in paths if path in side.names)
    patterns = [glob.escape(name) for name in names]
    if not patterns:
        return ours, theirs
    read = inspect(context, [as_input(file), archive_input(commit)], texts=patterns)
    return _texted(ours, read[0]), _texted(theirs, read[1])


def _texted(tree: Tree, listing: Inspection) -> Tree:
    texts = {path: listing.texts[name] for path, name in tree.names.items() if name in listing.texts}
    return replace(tree, texts=texts)


def _project(commit: CommitListing, theirs: Tree) -> SourceProject:
    manifest = theirs.texts.get("MANIFEST.in")
    return read_project(commit.text("pyproject.toml"), commit.text("setup.py"), commit.text("setup.cfg"), manifest)
