"""Which images a Kubernetes object would run, and what a reference to an image says; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rebuilder.consumer.lock_files import Dependency, locked_file
from rebuilder.consumer.policy import IMAGES

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,254}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_MOST = 500
_TEMPLATE = ("spec", "template", "spec")
PODS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    ("batch", "Job"): _TEMPLATE,
}
"""Where each kind of object, by its group, describes pods."""
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that something would run."""

    place: str
    """Where it is named: ``containers[0]``."""
    reference: str
    """As it is written there."""

    @property
    def asked(self) -> Dependency:
        """The image as something to ask about: by its digest; a tag says nothing of which bytes will run."""
        named, at, digest = self.reference.partition("@")
        name, _, tag = named.rpartition(":") if ":" in named.rpartition("/")[2] else (named, "", "")
        if not _NAME.fullmatch(name) or (tag and not _TAG.fullmatch(tag)):
            return Dependency(
                IMAGES, self.reference[:300], None, self.place, problem="This is no reference to an image."
            )
        if not at:
            problem = "It is named by a tag, which may lead to other bytes at any time: add a digest (NAME@sha256:…)."
            return Dependency(IMAGES, name, None, self.place, problem=problem)
        algorithm, _, value = digest.partition(":")
        file = locked_file(None, {algorithm: value})
        if file.digest is None:
            problem = "Its digest is neither a SHA-256 nor a SHA-512."
            return Dependency(IMAGES, name, None, self.place, problem=problem)
        return Dependency(IMAGES, name, None, self.place, (file,))


def images_in(group: str, kind: str, document: Any) -> list[Image]:
    """The images of an object's containers of all kinds, and of its image volumes.

    Raises:
        ValueError: objects of this kind are not looked into, or it is not what its kind must be; a sentence.
    """
    path = PODS.get((group, kind))
    if path is None:
        known = ", ".join(sorted(each for _, each in PODS))
        raise ValueError(f"Nothing is known of images in a {kind} ({group or 'core'}); rules may name {known}.")
    spec = document
    for each in path:
        spec = spec.get(each) if isinstance(spec, dict) else None
    spec = spec if isinstance(spec, dict) else {}
    try:
        found = [
            Image(f"{name}[{number}]", each["image"])
            for name in _CONTAINERS
            for number, each in enumerate(spec.get(name) or ())
        ]
        found += [
            Image(f"volumes[{number}]", each["image"]["reference"])
            for number, each in enumerate(spec.get("volumes") or ())
            if each.get("image") is not None
        ]
    except (KeyError, TypeError, AttributeError):
        found = []
    if not any(each.place.startswith("containers") for each in found):
        raise ValueError(f"This {kind} has no containers that each name an image.")
    if not all(isinstance(each.reference, str) for each in found) or len(found) > _MOST:
        raise ValueError(f"This {kind} names images by something that is no text, or more than {_MOST}.")
    return found
