"""Kubernetes' ``AdmissionReview``, version 1: what is asked, and the answer in the same form; pure.

See https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from rebuilder.consumer.admission.decision import Decision
from rebuilder.consumer.admission.images import Image, images_in
from rebuilder.model.text import clipped, visible

API = "admission.k8s.io/v1"
_OPERATIONS = {"CREATE", "UPDATE", "DELETE", "CONNECT"}
_LONGEST_UID = 200
_LONGEST_WARNING = 250
_MOST_WARNINGS = 15
"""The API server passes over what is longer than 256, and all of it beyond 4,096 characters."""
_LONGEST_ANNOTATION = 2000


class NoReview(ValueError):  # noqa: N818 - reads as what happened
    """A body is no review that can be answered in kind; a sentence."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a cluster asks."""

    uid: str
    images: tuple[Image, ...] = ()
    """Those that would run and did not before."""
    problem: str | None = None
    """Why it is not known which images that are, as a sentence."""


def read_review(document: Any) -> Review:
    """Read a review.

    Raises:
        NoReview: it is none, or of another version.
    """
    if not isinstance(document, dict) or document.get("kind") != "AdmissionReview":
        raise NoReview("The body is no AdmissionReview.")
    if document.get("apiVersion") != API:
        raise NoReview(f"Only {API} is answered: the webhook must say admissionReviewVersions: [v1].")
    request = document.get("request")
    uid = request.get("uid") if isinstance(request, dict) else None
    if not isinstance(request, dict) or not isinstance(uid, str) or not 0 < len(uid) <= _LONGEST_UID:
        raise NoReview("The AdmissionReview has no request with a uid.")
    kind, operation = request.get("kind"), request.get("operation")
    if not isinstance(kind, dict) or operation not in _OPERATIONS:
        raise NoReview("The request of the AdmissionReview has no kind, or no operation that there is.")
    if operation == "DELETE":
        return Review(uid)
    named = clipped(str(kind.get("group") or ""), 100), clipped(str(kind.get("kind") or ""), 100)
    try:
        images = images_in(*named, request.get("object"))
    except ValueError as error:
        return Review(uid, problem=str(error))
    before = _before(named, request, operation)
    return Review(uid, tuple(each for each in images if each.reference not in before))


def _before(named: tuple[str, str], request: dict[str, Any], operation: str) -> set[str]:
    """What the object ran before: a policy that became stricter must not hold up what is being cleared away."""
    try:
        return (
            {each.reference for each in images_in(*named, request.get("oldObject"))} if operation == "UPDATE" else set()
        )
    except ValueError:
        return set()


def response(uid: str, decision: Decision, code: HTTPStatus = HTTPStatus.FORBIDDEN) -> dict[str, Any]:
    """The answer to a review; its size is limited whatever was asked."""
    found: dict[str, Any] = {"uid": uid, "allowed": decision.allowed}
    if not decision.allowed:
        reason = "Forbidden" if code is HTTPStatus.FORBIDDEN else "Invalid" if code < 500 else "InternalError"
        found["status"] = {"status": "Failure", "code": code.value, "reason": reason, "message": decision.message}
    if decision.warnings:
        found["warnings"] = [clipped(each, _LONGEST_WARNING) for each in decision.warnings[:_MOST_WARNINGS]]
    annotations = {
        "decision": "blocked" if not decision.allowed else "warned" if decision.warnings else "allowed",
        "images": str(decision.images),
        "packages": str(decision.packages),
    }
    if said := [*decision.reasons, *decision.warnings]:
        annotations["why"] = visible("\n".join(said[:_MOST_WARNINGS]), _LONGEST_ANNOTATION)
    found["auditAnnotations"] = annotations
    return {"apiVersion": API, "kind": "AdmissionReview", "response": found}
