"""Values are replaced, never changed: what is new is validated, what was worked out from the old fields is gone."""

from __future__ import annotations

import json
from functools import cached_property

import pytest
from pydantic import ValidationError, model_validator

from rebuilder.model.value import Sha256Field, Value, indented_json, sha256_hex


class Part(Value):
    """A value within a value."""

    name: str
    digest: Sha256Field


class Whole(Value):
    """With a derived property, and a rule about two fields."""

    size: int = 0
    limit: int = 10
    parts: tuple[Part, ...] = ()
    labels: dict[str, int] = {}

    @cached_property
    def names(self) -> str:
        """Worked out once."""
        return ",".join(each.name for each in self.parts)

    @model_validator(mode="after")
    def _fits(self) -> Whole:
        if self.size > self.limit:
            raise ValueError("larger than its limit")
        return self


PART = Part(name="a", digest=sha256_hex(b"a"))


def test_the_rest_stays_as_it_was() -> None:
    """The old value is untouched, the new one is of the same class, what was not named is the same object."""
    old = Whole(size=3, parts=(PART,), labels={"x": 1})
    new = old.replace(size=4)
    assert Whole(size=4, parts=(PART,), labels={"x": 1}) == new
    assert (3, Whole) == (old.size, type(new))
    assert new.parts[0] is PART
    assert old == old.replace()


def test_what_was_worked_out_is_worked_out_again() -> None:
    """A digest that was read before the change is that of the old value only."""
    old = Whole(parts=(PART,))
    assert "a" == old.names
    new = old.replace(parts=(PART, PART.replace(name="b")))
    assert ("a", "a,b") == (old.names, new.names)
    assert Whole(parts=new.parts) == new


@pytest.mark.parametrize("size", ["many", None, 1.5, ("1",)])
def test_a_wrong_type_is_refused(size: object) -> None:
    """As when the value is made."""
    with pytest.raises(ValidationError):
        Whole().replace(size=size)


def test_constraints_and_rules_about_several_fields_hold() -> None:
    """A digest of another shape is refused; so is a size above the limit, whichever of the two changes."""
    with pytest.raises(ValidationError):
        PART.replace(digest="A" * 64)
    for changes in ({"size": 11}, {"size": 4, "limit": 3}):
        with pytest.raises(ValidationError, match="larger than its limit"):
            Whole(size=3).replace(**changes)
    with pytest.raises(ValidationError, match="larger than its limit"):
        Whole(size=3).replace(limit=2)


def test_a_field_that_is_not_there_is_a_mistake_of_the_caller() -> None:
    """A misspelt name is told, and so is that of a derived property."""
    for name in ("sise", "names", "document"):
        with pytest.raises(TypeError, match=f"Whole has no field '{name}'"):
            Whole().replace(**{name: 1})


def test_documents_become_values() -> None:
    """What is new may be given as plain JSON types."""
    assert Whole(parts=(PART,)) == Whole().replace(parts=[PART.document()])


def test_indented_json_is_that_of_the_standard_library() -> None:
    """Byte for byte, so that published documents do not change; half of a surrogate pair is written as an escape."""
    document = {"ä": ['\x00\x1f\x7f/\\"\n', 1, -0.25, 12345.678, True, None, [], {}], "b": {"c": "\U0001f600\u2028"}}
    expected = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    assert expected.encode() == indented_json(document)
    assert b'[\n "\\udc80"\n]\n' == indented_json(["\udc80"])
