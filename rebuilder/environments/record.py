"""What is kept beside a tree: what it was made from, and when."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from rebuilder.model.environment import Image, Made, Manifest, Specification
from rebuilder.model.value import Sha256, Sha256Field, Value

PUBLISHED = "environments"
"""Directory of a site that has the records of build environments as ``TREE.json``."""


class Record(Value):
    """What is kept about one tree."""

    sha256: Sha256Field
    """Digest of the tree, see :mod:`rebuilder.environments.tree`."""
    spec: Manifest
    made: Made
    made_at: datetime
    recipe: int = Field(default=1, ge=1, le=1_000_000)
    """:data:`rebuilder.environments.settle.RECIPE` at that time."""

    @property
    def base(self) -> Sha256 | None:
        """Digest of the tree that it lies over; None: it is a tree of its own."""
        return self.made.base.sha256 if self.made.base is not None else None

    @property
    def given(self) -> bool:
        """Whether somebody gave it as it is, so that it cannot be made again."""
        return self.made.image is not None and self.made.image.base is None and self.spec.interpreter is None

    @property
    def specification(self) -> Specification:
        """What the tree was made from, to the digest."""
        given = self.spec.interpreter is not None or self.made.image is not None
        return Specification(
            method="image" if given else "configured" if self.spec.configured else "extracted",
            suite=self.spec.suite,
            **{name: getattr(self.made, name) for name in ("releases", "packages", "image")},
            **{name: getattr(self.spec, name) for name in ("provides", "links", "prune", "package_times")},
            base=self.made.base.specification if self.made.base is not None else None,
            recipe=self.recipe,
        )

    @property
    def public(self) -> Record:
        """The same without what is this machine's alone: its mirrors, and where given files lay."""
        made = self.made.replace(sources=())
        if self.spec.interpreter is None:
            return self.replace(made=made)
        image = made.image or Image(sha256=self.spec.interpreter.sha256 or self.sha256)
        return self.replace(spec=self.spec.replace(interpreter=None), made=made.replace(image=image))
