"""Definitions with several targets: their names, the file compared for each, and when their one run is shared."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from rebuilder.errors import SigningError
from rebuilder.model.attempt import Attempt, History, Hypothesis, Output
from rebuilder.model.comparison import Level
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.value import canonical_json
from rebuilder.model.work import Check, Reason, Tier
from rebuilder.signing.statements import Builder, verdict_statement
from rebuilder.verification.attempts import product
from rebuilder.verification.coordinator import Verification
from tests.fakes.orders import order_for
from tests.fakes.verifications import NOW, artifact, attempt, definition, digest, report

ARTIFACT = artifact()
ONE, OTHER = ARTIFACT.filename, "other-1-py3-none-any.whl"
EARLIER = NOW - timedelta(hours=1)
BOTH = definition(ARTIFACT).replace(targets=(ONE, OTHER))


def about(filename: str | None, of: BuildDefinition = BOTH) -> Hypothesis:
    """A hypothesis about one target."""
    return Hypothesis(name="both", sentence="Both come out.", definition=of, filename=filename)


def made(level: Level = Level.IDENTICAL, **changes: Any) -> Attempt:
    """An attempt at the artifact by the definition of both."""
    return attempt(ARTIFACT, level).replace(hypothesis=about(ONE), **changes)


def test_one_target_is_written_as_before() -> None:
    """The canonical form of a definition with one target has a ``filename``, and older documents read."""
    single = definition(ARTIFACT)
    assert ONE == single.slsa["externalParameters"]["filename"]
    assert "filenames" not in single.slsa["externalParameters"]
    old = {name: each for name, each in single.document().items() if name != "targets"} | {"filename": ONE}
    assert single == BuildDefinition.model_validate(old)
    with pytest.raises(ValidationError):
        BuildDefinition.model_validate(old | {"targets": [OTHER]})


def test_several_targets_are_one_definition() -> None:
    """They are read back; another order, another name and fewer of them are other definitions."""
    assert [ONE, OTHER] == BOTH.slsa["externalParameters"]["filenames"]
    assert "filename" not in BOTH.slsa["externalParameters"]
    assert BOTH == BuildDefinition.from_slsa(BOTH.slsa)
    others = [BOTH.replace(targets=each) for each in ((OTHER, ONE), (ONE,), (ONE, "x"))]
    assert 4 == len({each.digest for each in (BOTH, *others)})
    for bad in ((), (ONE, ONE)):
        with pytest.raises(ValidationError):
            BOTH.replace(targets=bad)


@pytest.mark.parametrize(
    "names",
    [{"filename": ONE, "filenames": [ONE, OTHER]}, {"filenames": [ONE]}, {"filenames": []}, {"filenames": [ONE, ONE]}],
)
def test_documents_that_could_be_two_definitions(names: dict[str, Any]) -> None:
    """What is not written in the one form there is for it is refused: its digest would name another document."""
    outer = {name: each for name, each in BOTH.slsa["externalParameters"].items() if name != "filenames"}
    document = BOTH.slsa | {"externalParameters": outer | names}
    assert canonical_json(document) != BOTH.canonical
    with pytest.raises(ValueError, match=r"filename|twice"):
        BuildDefinition.from_slsa(document)


def test_a_hypothesis_is_about_one_of_them() -> None:
    """And two about two targets are two, although they are one build."""
    assert (ONE, OTHER) == (about(ONE).target, about(OTHER).target)
    assert not about(ONE).same(about(OTHER))
    single = definition(ARTIFACT)
    assert about(None, single).same(about(ONE, single))
    for bad, of in ((None, BOTH), ("x", BOTH), (OTHER, single)):
        with pytest.raises(ValidationError):
            about(bad, of)
    tried = made()
    assert tried == History((tried,)).of(about(ONE))
    with pytest.raises(Exception, match="both"):
        History((tried,)).of(about(OTHER))


def test_another_target_is_never_compared() -> None:
    """A target that did not come out is not there, whatever else of its type is: a wrong difference would accuse."""
    left = tuple(Output(filename=each, sha256=digest(each), size=1) for each in (ONE, "renamed-1-py3-none-any.whl"))
    run = made().run.replace(outputs=left[:1])
    assert left[0] == product(run, about(ONE))
    assert product(run, about(OTHER)) is None
    assert left[1] == product(run.replace(outputs=left), about(OTHER))
    assert product(attempt(ARTIFACT, None).run, about(ONE)) is None


def test_the_signer_does_not_take_it_either() -> None:
    """A worker that hands over another target's file is refused."""
    builder = Builder(id="tag:example.org,2026:rebuilder")
    verdict_statement(report(ARTIFACT, made()), builder, None)
    swapped = Output(filename=OTHER, sha256=digest("different 0022"), size=15)
    lie = made(Level.DIFFERENT)
    lie = lie.replace(rebuilt=swapped, run=lie.run.replace(outputs=(swapped,)))
    with pytest.raises(SigningError, match="another target"):
        verdict_statement(report(ARTIFACT, lie), builder, None)


@pytest.mark.parametrize(
    ("reason", "check", "single", "both"),
    [
        (None, Check.VERIFY, None, EARLIER),
        (Reason.ASKED, Check.VERIFY, None, EARLIER),
        (Reason.RELEASE, Check.VERIFY, NOW - timedelta(days=1), NOW - timedelta(days=1)),
        (Reason.RECHECK, Check.INPUTS, None, None),
    ],
)
def test_when_a_run_is_shared(reason: Reason | None, check: Check, single: Any, both: Any) -> None:
    """One that was made for another target since this was asked for; one made before only where any is shared."""
    evidence = report(ARTIFACT).evidence
    order = order_for(ARTIFACT, check=check).replace(reason=reason) if reason is not None else None
    verification = Verification(evidence, 1, NOW, (), History(), order, Tier.FULL, EARLIER)
    assert single == verification.share_since(definition(ARTIFACT))
    assert both == verification.share_since(BOTH)
