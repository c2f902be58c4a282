"""What a signed verdict says, in every version that was ever signed (docs/predicates/verdict-v2.md)."""

from __future__ import annotations

from typing import Any

from rebuilder.errors import SigningError
from rebuilder.model.value import Value
from rebuilder.signing.vocabulary import VERDICT_TYPE, VERDICT_V1

_VERSIONS = {VERDICT_TYPE, VERDICT_V1}


def findings_of(statement: dict[str, Any]) -> dict[str, Any]:
    """The findings in a statement whose signature was checked.

    Args:
        statement: In-toto Statement v1 with a verification summary, or with a predicate of ours.

    Raises:
        SigningError: it has no verdict, more than one, or one that contradicts itself; a sentence says which.
    """
    said = verdict_of(statement)
    trail = said.get("trail")
    if trail is None:
        return said
    if not isinstance(trail, dict) or not isinstance(trail.get("steps"), list):
        raise SigningError("Its trail has no list of steps.")
    newest = VERDICT_TYPE in {statement.get("predicateType"), *statement["predicate"]}
    if ("nodes" in trail) != newest:
        raise SigningError("Its trail is written as in another version of the verdict.")
    if newest:
        _check(trail, said, statement)
    return said


def verdict_of(statement: dict[str, Any]) -> dict[str, Any]:
    """The same without a look at the trail, for who does not read it.

    Raises:
        SigningError: it has no verdict, or more than one.
    """
    predicate, kind = statement.get("predicate"), statement.get("predicateType")
    if not isinstance(predicate, dict):
        raise SigningError("It has no predicate.")
    inside = _VERSIONS & predicate.keys()
    versions = [*inside, *({kind} & _VERSIONS)]
    if len(versions) != 1:
        raise SigningError(f"It has {'two verdicts of different versions' if versions else 'no verdict'}.")
    (version,) = versions
    said = predicate[version] if inside else predicate
    if not isinstance(said, dict):
        raise SigningError("Its verdict is no JSON object.")
    return said


def _check(trail: dict[str, Any], said: dict[str, Any], statement: dict[str, Any]) -> None:
    """The trail must be a graph that ends in the subject, and count attempts that are listed."""
    from pydantic import ValidationError

    from rebuilder.model.graph import Node, NodeKind, SourceTrail, Step

    try:
        nodes = [_known(Node, each) for each in trail["nodes"]]
        graph = SourceTrail.model_validate({"nodes": nodes, "steps": [_known(Step, each) for each in trail["steps"]]})
        subjects = [f"sha256:{each['digest']['sha256']}" for each in statement["subject"]]
        listed = len(said["attempts"])
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SigningError(f"Its trail cannot be so: {reason}.") from None
    except (KeyError, TypeError, AttributeError):
        raise SigningError("Its trail, its attempts or its subject have another form than is documented.") from None
    if graph.nodes and [each.id for each in graph.nodes if each.kind is NodeKind.ARTIFACT] != subjects:
        raise SigningError("Its trail leads to another file than its subject.")
    for step in graph.steps:
        if any(not 0 <= each < listed for each in step.attempts):
            raise SigningError(f"Its step {step.name} counts an attempt that is not listed.")


def _known(kind: type[Value], document: dict[str, Any]) -> dict[str, Any]:
    """The fields that are known; readers ignore others."""
    return {name: content for name, content in document.items() if name in kind.model_fields}
