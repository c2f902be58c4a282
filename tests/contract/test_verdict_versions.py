"""Reports and statements of version 1 are read as before; no statement is both, or has a graph that cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rebuilder.errors import CorruptStoreError, SigningError
from rebuilder.model.graph import NodeKind, SourceTrail
from rebuilder.model.report import Report, SignedReport
from rebuilder.model.value import sha256_hex
from rebuilder.signing.agreement import Agreement
from rebuilder.signing.envelope import sign_statement, verify
from rebuilder.signing.statements import Builder, verdict_statement
from rebuilder.signing.vocabulary import VERDICT_TYPE, VERDICT_V1, findings_of
from rebuilder.site.sections.trail import trail_section
from tests.fakes.signer import MemorySigner

ASSETS = Path(__file__).parents[1] / "assets" / "verdicts"
NAMES = ("every-step", "recipe-commit", "source-archive")
BUILDER = Builder(id="tag:example.org,2026:rebuilder")
Document = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """What version 1 wrote."""

    text: str
    verdict: str
    provenance: str
    key: bytes
    definitions: list[str]

    @property
    def report(self) -> Report:
        """As it is read today."""
        return Report.model_validate_json(self.text)

    @property
    def trail(self) -> SourceTrail:
        """Of that report."""
        found = self.report.trail
        assert found is not None
        return found


def recorded(name: str) -> Recorded:
    """One of the assets."""
    found = json.loads((ASSETS / f"{name}-v1.json").read_text())
    return Recorded(found["report"], found["verdict"], found["provenance"], found["key"].encode(), found["definitions"])


@pytest.mark.parametrize("name", NAMES)
def test_what_was_signed_before_still_agrees(name: str) -> None:
    """Report, verdict and provenance of version 1 are those that were signed, and their page has all steps."""
    old = recorded(name)
    key_id = "ab" * 32
    signed = SignedReport(
        report=old.report, vsa=old.verdict, provenance=old.provenance, key_id=key_id, stored=old.text.encode()
    )
    Agreement({key_id: old.key}).check_report(signed)
    with pytest.raises(CorruptStoreError, match="another report"):
        Agreement({key_id: old.key}).check_report(signed.replace(stored=b"{}"))
    section = trail_section(old.report)
    assert section is not None
    assert len(json.loads(old.text)["trail"]["edges"]) == len(section.steps) > 0


@pytest.mark.parametrize("name", NAMES)
def test_definitions_keep_their_names(name: str) -> None:
    """The digest of a definition is its name for good."""
    old = recorded(name)
    assert old.definitions
    assert old.definitions == [each.hypothesis.definition.digest for each in old.report.attempts]


@pytest.mark.parametrize("name", NAMES)
def test_old_steps_get_their_nodes(name: str) -> None:
    """Names, attempts and decisions are as they were; the ends are what the report knows of commit and files."""
    old = recorded(name)
    trail, edges = old.trail, json.loads(old.text)["trail"]["edges"]
    assert [each["name"] for each in edges] == [each.name for each in trail.steps]
    for edge, step in zip(edges, trail.steps, strict=True):
        assert (edge["attempts"], edge["decision"]) == (list(step.attempts), step.document()["decision"])
        assert edge["target_sha256"] == trail.node(step.end).sha256
        assert edge["target"] == trail.node(step.end).name
        assert edge["name"].startswith("commit-") == trail.from_commit(step)
    assert trail.origin is not None
    assert f"gitCommit:{trail.origin.commit}" == trail.nodes[0].id
    assert old.report == Report.model_validate_json(old.report.model_dump_json())


def test_two_forms_in_one_report() -> None:
    """Edges beside nodes could say two things; neither is taken."""
    old = json.loads(recorded("every-step").text)
    for name in ("nodes", "steps"):
        mixed = old | {"trail": old["trail"] | {name: []}}
        with pytest.raises(ValidationError, match="edges as well as nodes"):
            Report.model_validate(mixed)
    for bad in (None, 7, [7], [{"name": "commit-to-sdist"}]):
        with pytest.raises(ValidationError):
            Report.model_validate(old | {"trail": {"edges": bad}})
    with pytest.raises(ValidationError):
        Report.model_validate({"trail": {"edges": []}})


def statement(name: str = "every-step") -> Document:
    """An old report signed by today's code."""
    return json.loads(json.dumps(verdict_statement(recorded(name).report, BUILDER, None)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_signed_today_reads_back(name: str) -> None:
    """The graph in a statement is that of its report, and is bound to the subject."""
    made, trail = statement(name), recorded(name).trail
    said = findings_of(made)
    assert said is made["predicate"][VERDICT_TYPE]
    assert VERDICT_V1 not in made["predicate"]
    assert [each.document() for each in trail.nodes] == said["trail"]["nodes"]
    assert [(each.name, each.start, each.end) for each in trail.steps] == [
        (each["name"], each["start"], each["end"]) for each in said["trail"]["steps"]
    ]
    assert [each.verdict for each in trail.steps] == [each["decision"]["verdict"] for each in said["trail"]["steps"]]


def old_statement() -> Document:
    """A statement of version 1."""
    old = recorded("every-step")
    return verify(old.verdict, old.key)


def test_an_old_statement_is_read() -> None:
    """As it was written."""
    said = findings_of(old_statement())
    assert "reproduced" == said["verdict"]
    assert "commit-to-wheel" in {each["step"] for each in said["trail"]["steps"]}


def mixed(made: Document) -> None:
    """Both versions, and who reads the one does not see the other."""
    made["predicate"][VERDICT_V1] = old_statement()["predicate"][VERDICT_V1]


def mixed_kind(made: Document) -> None:
    """One version as the predicate, the other inside."""
    made["predicateType"] = VERDICT_V1


def none_at_all(made: Document) -> None:
    """A summary that says nothing beyond PASSED."""
    del made["predicate"][VERDICT_TYPE]


def called_old(made: Document) -> None:
    """Nodes under the name of version 1."""
    made["predicate"][VERDICT_V1] = made["predicate"].pop(VERDICT_TYPE)


def without_nodes(made: Document) -> None:
    """Version 2 with a trail of version 1."""
    made["predicate"][VERDICT_TYPE]["trail"] = old_statement()["predicate"][VERDICT_V1]["trail"]


def trail(change: Callable[[Document], None]) -> Callable[[Document], None]:
    """A change of the trail."""
    return lambda made: change(made["predicate"][VERDICT_TYPE]["trail"])


ATTACKS: dict[str, tuple[Callable[[Document], None], str]] = {
    "two versions": (mixed, "two verdicts of different versions"),
    "two versions, one as the type": (mixed_kind, "two verdicts of different versions"),
    "no verdict": (none_at_all, "no verdict"),
    "v2 called v1": (called_old, "another version"),
    "v1 called v2": (without_nodes, "another version"),
    "a node twice": (trail(lambda each: each["nodes"].append(each["nodes"][0])), "twice"),
    "a node twice under two names": (
        trail(lambda each: each["nodes"].append(each["nodes"][1] | {"name": "other", "kind": "artifact"})),
        "twice",
    ),
    "a step twice": (trail(lambda each: each["steps"].append(each["steps"][0])), "twice"),
    "a step to nowhere": (trail(lambda each: each["steps"][0].update(end="sha256:" + "0" * 64)), "no node of it"),
    "a step from nowhere": (trail(lambda each: each["nodes"].pop(0)), "no node of it"),
    "a circle": (
        trail(
            lambda each: each["steps"].append(
                {"name": "wheel-to-commit", "start": each["nodes"][-1]["id"], "end": each["nodes"][0]["id"]}
            )
        ),
        "circle",
    ),
    "a step to itself": (trail(lambda each: each["steps"][0].update(end=each["steps"][0]["start"])), "circle"),
    "another file": (trail(lambda each: each["nodes"][-1].update(kind="source-archive")), "another file"),
    "two artifacts": (trail(lambda each: each["nodes"][1].update(kind="artifact")), "another file"),
    "a commit that is a file": (trail(lambda each: each["nodes"][-1].update(kind="commit")), "is no commit"),
    "no such attempt": (trail(lambda each: each["steps"][0].update(attempts=[99])), "not listed"),
    "an attempt before the first": (trail(lambda each: each["steps"][0].update(attempts=[-1])), "not listed"),
    "no list of nodes": (trail(lambda each: each.update(nodes=7)), "another form"),
    "nodes that are none": (trail(lambda each: each.update(nodes=[None])), "another form"),
    "steps that are none": (trail(lambda each: each.update(steps={})), "no list of steps"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_statements_that_cannot_be(attack: str) -> None:
    """One sentence says what is wrong; nothing of it is believed, also when our own key signed it."""
    spoil, words = ATTACKS[attack]
    made = statement()
    spoil(made)
    with pytest.raises(SigningError, match=words) as error:
        findings_of(made)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")
    key, report = MemorySigner(), recorded("every-step").report
    signed = SignedReport(report=report, vsa=sign_statement(made, key), key_id=key.key_id)
    with pytest.raises(CorruptStoreError, match=words):
        Agreement({key.key_id: key.public_pem}).check_report(signed)


def test_fields_of_later_versions_are_ignored() -> None:
    """Fields may be added; none changes what is there."""
    made = statement()
    found = made["predicate"][VERDICT_TYPE]["trail"]
    for each in (found, *found["nodes"], *found["steps"]):
        each["later"] = {"x": 1}
    assert "later" in findings_of(made)["trail"]


def changed(report: Report, **changes: Any) -> Report:
    """A report whose trail was changed, as a worker could hand it to the signer."""
    assert report.trail is not None
    return report.replace(trail=report.trail.replace(**changes))


def test_the_signer_works_out_the_steps_again() -> None:
    """What a worker says of a step must be what its attempts show; attempts of another step do not count."""
    report = recorded("every-step").report
    assert report.trail is not None
    first, second, direct = report.trail.steps
    assert first.decision is not None
    differs = first.decision.replace(verdict="differs")
    lies = {
        "its attempts show reproduced": (first.replace(decision=differs), second, direct),
        "says None of the step": (first.replace(decision=None), second, direct),
        "another step": (first, second.replace(attempts=direct.attempts), direct),
        "was not made": (first, second, direct.replace(attempts=(9,))),
    }
    verdict_statement(report, BUILDER, None)
    for words, steps in lies.items():
        with pytest.raises(SigningError, match=words):
            verdict_statement(changed(report, steps=steps), BUILDER, None)
    nodes = tuple(each.replace(kind=NodeKind.SOURCE_ARCHIVE) for each in report.trail.nodes[1:])
    with pytest.raises(SigningError, match="another file"):
        verdict_statement(changed(report, nodes=(report.trail.nodes[0], *nodes)), BUILDER, None)


def test_identifiers_are_the_same_in_every_verification() -> None:
    """A source archive is one node, whether it is what is verified or what a wheel is built from."""
    wheel, archive = recorded("every-step").trail, recorded("source-archive").trail
    between = next(each for each in wheel.nodes if each.kind is NodeKind.SOURCE_ARCHIVE)
    assert between.id == f"sha256:{between.sha256}"
    assert archive.nodes[-1].id == f"sha256:{recorded('source-archive').report.artifact.sha256}"
    assert sha256_hex(b"") not in between.id
