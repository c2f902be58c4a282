"""``POST /v1/admit`` as a WSGI application: whether images and packages may be deployed, by the policy, and why not.

Asked with a Kubernetes ``AdmissionReview``, or plain JSON by any other deployer.

What fails here blocks: whoever asks gets an answer that says no, whatever a webhook's ``failurePolicy`` is. Only with
``audit`` everything is let through, with a warning.

The form of a review: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from rebuilder.consumer.admission.contents import Image, images_in, package_of, read_contents
from rebuilder.consumer.admission.sboms import Sboms
from rebuilder.consumer.answer import Answer, Standing
from rebuilder.consumer.enforcement import Enforcement, Reply, document, sentence
from rebuilder.consumer.lock_files import Dependency
from rebuilder.consumer.policy import IMAGES
from rebuilder.errors import RebuilderError
from rebuilder.foreign_json import UnreadableJson, read_json
from rebuilder.model.text import clipped, visible

_OPEN = {Standing.UNDECIDED, Standing.TOLERATED, Standing.UNANSWERED}
_MOST_SHOWN = 5
_LONGEST_REFERENCE = 200


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered to somebody who wants to deploy something."""

    images: int
    packages: int
    """How many answers it follows from; an image that was decided as a whole is one."""
    reasons: tuple[str, ...] = ()
    """Why it may not, as sentences; empty: it may."""
    warnings: tuple[str, ...] = ()
    """What is let through although no rebuilder confirms it, as sentences."""

    @property
    def allowed(self) -> bool:
        """Whether it may be deployed."""
        return not self.reasons

    @property
    def message(self) -> str:
        """The answer in words, however many reasons there are."""
        if self.allowed:
            numbers = ((self.images, "image"), (self.packages, "package"), (len(self.warnings), "warning"))
            of = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in numbers if number)
            return f"{'It is let through' if self.warnings else 'All of it passes'}{of and f' ({of})'}."
        more = len(self.reasons) - _MOST_SHOWN
        left = [f"… and {more} more, which the report at / lists."] if more > 0 else []
        return "\n".join([*self.reasons[:_MOST_SHOWN], *left])


def decide(
    enforcement: Enforcement, sboms: Sboms, images: Iterable[Image], packages: Sequence[Dependency] = ()
) -> Decision:
    """Ask about images and packages, and note what was asked.

    Raises:
        StoreError: what was seen cannot be remembered.
    """
    different = {each.reference: each for each in images}
    found = [("", each) for each in enforcement.gate.answers(packages)]
    for reference, image in different.items():
        whole, inside = f"{image.place}: ", f"{image.place} {_shortened(reference)}: "
        # The name of an image that is decided as a whole is in what is said of it.
        found += [
            (whole if each.dependency.ecosystem == IMAGES else inside, each)
            for each in _about(enforcement, sboms, image)
        ]
    reasons, warnings = [], []
    for where, answer in found:
        enforcement.note(answer)
        if (against := enforcement.against(answer)) is not None:
            reasons.append(against if against == enforcement.broken else where + against)
        elif answer.standing is not Standing.PASSED:
            warnings.append(where + sentence(answer))
    if enforcement.broken is not None:  # images without any package of ours are not let through either
        reasons = [enforcement.broken]
    return Decision(len(different), len(found), tuple(dict.fromkeys(reasons)), tuple(dict.fromkeys(warnings)))


def _shortened(reference: str) -> str:
    """A reference with the first digits of its digest, as people know them."""
    name, _, digest = reference.partition("@sha256:")
    return clipped(f"{name}@sha256:{digest[:12]}…" if digest else reference, _LONGEST_REFERENCE)


def _about(enforcement: Enforcement, sboms: Sboms, image: Image) -> Sequence[Answer]:
    """The answer about an image as a whole, if there is one; otherwise those about what is inside."""
    asked = image.asked
    (whole,) = enforcement.gate.answers([asked])
    digest = asked.files[0].digest if asked.files else None
    if digest is None or whole.standing not in _OPEN:
        return [whole]
    inside = sboms.inside(digest)
    if not isinstance(inside, str):
        return enforcement.gate.answers(inside.packages)
    if whole.standing is Standing.UNANSWERED:
        return [replace(whole, sentence=f"{whole.sentence} {inside}")]
    return enforcement.gate.answers([replace(asked, problem=f"No rebuilder confirms the image as a whole. {inside}")])


LARGEST = 8 << 20
"""Bytes of a body: an object has at most 3 MB, and an update has two."""
_MOST_LEFT = 64 << 20
_PIECE = 1 << 16
_MOST_ASKED = 5000
_MOST_REASONS = 100
_PLAIN = {"images", "packages", "sbom"}


class _Refused(Exception):  # noqa: N818 - it is the client's mistake, not ours
    """A request that is answered with one sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Application:
    """Answers clusters and deployers.

    Args:
        enforcement: Says what passes.
        sboms: What is known to be inside images.
    """

    def __init__(self, enforcement: Enforcement, sboms: Sboms) -> None:
        self._enforcement, self._sboms = enforcement, sboms

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        """See PEP 3333."""
        try:
            reply = self._answer(environ)
        except _Refused as error:
            self._enforcement.decided("malformed")
            reply = document(error.status, {"error": str(error)})
        return reply.send(environ, start_response)

    def _answer(self, environ: dict[str, Any]) -> Reply:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if path == "/v1/admit":
            if method != "POST":
                raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "What is to be deployed is sent with POST.")
            asked = _body(environ)
            return self._plain(asked) if _PLAIN & set(asked) and "kind" not in asked else self._review(asked)
        if method in {"GET", "HEAD"} and (found := self._enforcement.page(path)) is not None:
            return found
        raise _Refused(HTTPStatus.NOT_FOUND, "There is nothing at this address; questions go to /v1/admit.")

    def _review(self, asked: dict[str, Any]) -> Reply:
        try:
            review = read_review(asked)
        except NoReview as error:
            hint = "It may also be an object with “packages”, “images” or “sbom”."
            raise _Refused(HTTPStatus.BAD_REQUEST, f"{error} {hint}") from None
        code = HTTPStatus.FORBIDDEN
        if review.problem is not None:
            code, decision = HTTPStatus.UNPROCESSABLE_ENTITY, self._failed(review.problem)
        else:
            try:
                decision = decide(self._enforcement, self._sboms, review.images)
            except Exception as error:  # noqa: BLE001 - whatever it is, the cluster gets an answer that says no
                code, decision = HTTPStatus.INTERNAL_SERVER_ERROR, self._failed(_our_fault(error))
        self._count(decision)
        return document(HTTPStatus.OK, response(review.uid, decision, code))

    def _failed(self, sentence: str) -> Decision:
        said = (f"rebuilder: {sentence}",)
        return Decision(0, 0, warnings=said) if self._enforcement.audit else Decision(0, 0, reasons=said)

    def _count(self, decision: Decision) -> None:
        self._enforcement.decided("blocked" if not decision.allowed else "warned" if decision.warnings else "allowed")

    def _plain(self, asked: dict[str, Any]) -> Reply:
        """An object with ``packages``, ``images`` and ``sbom``, each of which may be left out."""
        if unknown := sorted(set(asked) - _PLAIN):
            raise _Refused(HTTPStatus.BAD_REQUEST, f"“{unknown[0][:80]}” is none of images, packages and sbom.")
        try:
            images = [Image(f"images[{number}]", each) for number, each in enumerate(_texts(asked.get("images", [])))]
            packages = [_package(each) for each in _rows(asked.get("packages", []))]
            if "sbom" in asked:
                packages += read_contents(asked["sbom"], self._enforcement.gate.policy.images.ecosystems).packages
        except ValueError as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
        if len(packages) > _MOST_ASKED:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"More than {_MOST_ASKED:,} packages are not answered at once.")
        try:
            decision = decide(self._enforcement, self._sboms, images, packages)
        except RebuilderError as error:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, _our_fault(error)) from None
        self._count(decision)
        found = {
            "allowed": decision.allowed,
            "message": decision.message,
            "images": decision.images,
            "packages": decision.packages,
            "reasons": decision.reasons[:_MOST_REASONS],
            "warnings": decision.warnings[:_MOST_REASONS],
        }
        return document(HTTPStatus.OK if decision.allowed else HTTPStatus.FORBIDDEN, found)


def _our_fault(error: Exception) -> str:
    if isinstance(error, RebuilderError):
        return f"Nothing could be decided: {error}"
    traceback.print_exception(error, file=sys.stderr)
    return "Something failed on our side; standard error of the program has more."


def _body(environ: dict[str, Any]) -> dict[str, Any]:
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdecimal() or len(length) > 15:
        raise _Refused(HTTPStatus.LENGTH_REQUIRED, "The request must say how long its body is (Content-Length).")
    if (size := int(length)) > LARGEST:
        for _ in range(min(size, _MOST_LEFT) // _PIECE):  # who is not read to the end does not read the answer
            if not environ["wsgi.input"].read(_PIECE):
                break
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {LARGEST >> 20} MiB.")
    content = environ["wsgi.input"].read(size)
    if kind != "application/json":
        raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON (Content-Type: application/json).")
    try:
        found = read_json(content)
    except UnreadableJson as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"The body {error}.") from None
    if not isinstance(found, dict):
        raise _Refused(HTTPStatus.BAD_REQUEST, "The body is no object.")
    return found


def _rows(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST_ASKED:
        raise ValueError(f"“images” and “packages” are lists of at most {_MOST_ASKED:,}.")
    return value


def _texts(value: Any) -> list[str]:
    if not all(isinstance(each, str) for each in _rows(value)):
        raise ValueError("“images” is a list of references.")
    return list(value)


def _package(row: Any) -> Dependency:
    """A package of a plain question, by its URL and one digest.

    Raises:
        ValueError: it is none; a sentence.
    """
    if not isinstance(row, dict) or set(row) - {"purl", "sha256", "sha512"}:
        raise ValueError("Each of “packages” has “purl”, and “sha256” or “sha512” in hexadecimal.")
    if not all(isinstance(each, str) for each in row.values()) or "purl" not in row:
        raise ValueError("Each of “packages” has “purl”, and “sha256” or “sha512”, each a text.")
    found = list(package_of(row["purl"], [{key: each for key, each in row.items() if key != "purl"}]))
    if len(found) != 1:
        raise ValueError(f"{row['purl'][:100]!r} is given with digests of several files.")
    return found[0]


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
