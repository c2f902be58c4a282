"""Orders made up in code: as watches and people would queue them."""

from __future__ import annotations

from rebuilder.model.artifact import Artifact
from rebuilder.model.work import Order, Reason
from tests.fakes.verifications import artifact


def order(name: str = "idna", version: str = "3.20", **changes: object) -> Order:
    """An order for :func:`ordered`; a new release in full, unless told otherwise."""
    return order_for(artifact(name, version), **changes)


def order_for(of: Artifact, **changes: object) -> Order:
    """An order for a file."""
    fields: dict[str, object] = {
        "ecosystem": of.ecosystem,
        "purl": of.purl,
        "name": of.name,
        "version": of.version,
        "filename": of.filename,
        "sha256": of.sha256,
        "reason": Reason.RELEASE,
    }
    return Order.model_validate(fields | changes)


def ordered(what: Order) -> Artifact:
    """The file an order is for."""
    found = artifact(what.name, what.version)
    file = found.file.replace(filename=what.filename)
    return found.replace(file=file)
