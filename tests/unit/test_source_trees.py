"""How the source tree of a build comes about, for every ecosystem."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rebuilder.ecosystems.source_trees import CheckedOut
from rebuilder.model.git import Commit, SourceTree, Tag
from rebuilder.programs.source.checkout import main
from tests.fakes.verifications import digest

TAGS = (Tag(name="--branch"), Tag(name="v1", object_sha256=digest("tag")))
TREE = SourceTree(
    commit=Commit(
        repository="https://example.org/x",
        sha="1" * 40,
        tree="2" * 40,
        committed_at=datetime(2024, 1, 1, tzinfo=UTC),
        object_sha256=digest("commit"),
        tags=TAGS,
    ),
    archive_sha256=digest("archive"),
    files=1,
    size=1,
)


def test_a_tag_may_be_named_like_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one argument of the program that checks out, which then looks for its files and not for options."""
    checkout = CheckedOut.of(TREE)
    program, *arguments = checkout.command("/nowhere/tree", 0o022)
    assert "checkout" == program
    assert {"--tag=--branch", "--tag-object=v1=/inputs/tags/1"} < set(arguments)
    assert "--shallow" not in arguments
    with pytest.raises(FileNotFoundError):
        main(arguments)
    assert "expected one argument" not in capsys.readouterr().err


def test_one_tag_or_all() -> None:
    """The tag that was asked for is set alone; where the commit has no such tag, all it has are."""
    alone = CheckedOut.of(TREE, tag="v1", shallow=True)
    assert ["v1"] == [name for name, _ in alone.tags]
    assert ["/inputs/commit.tar", "/inputs/commit", "/inputs/tags/0"] == [each.path for each in alone.inputs]
    assert "--shallow" in alone.command("/build/src", 0o022)
    assert ["--branch", "v1"] == [name for name, _ in CheckedOut.of(TREE, tag="v2").tags]
