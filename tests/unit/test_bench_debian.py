"""The draw of Debian packages by chance: what is drawn, and how its results are counted."""

from __future__ import annotations

from typing import Any

from rebuilder.ecosystems.debian.index import BinaryPackage, IndexedFile, SourceName
from rebuilder.model.value import Sha256
from tests.bench.debian_list import Drawn, drawn, table


def package(name: str) -> BinaryPackage:
    """A package of an update."""
    file = IndexedFile(f"{name}.deb", f"pool/{name}.deb", 1, Sha256("0" * 64))
    return BinaryPackage(name, "1-1+deb13u1", "all", file, SourceName(name, "1-1+deb13u1"))


def result(verdict: str | None, **more: str) -> dict[str, Any]:
    """As a line of the results has it."""
    return {"verdict": verdict, **more}


def test_the_same_seed_draws_the_same_packages_in_the_same_order() -> None:
    """Whatever order the lists have them in; each once."""
    every = [package(f"name{number}") for number in range(30)]
    first, again = drawn(every, 7, 10), drawn(reversed(every), 7, 10)
    assert [(each.position, each.subject) for each in first] == [(each.position, each.subject) for each in again]
    assert 10 == len({each.subject for each in first})
    assert list(range(1, 11)) == [each.position for each in first]
    assert first != drawn(every, 8, 10)


def test_packages_without_inputs_or_time_are_counted_apart() -> None:
    """The share is that of packages whose inputs can be had; each that did not come out is named."""
    draw = [Drawn(number, package(f"name{number}")) for number in range(1, 6)]
    verdicts = [
        result("reproduced"),
        result("differs", sentence="Its content differs."),
        result("timed-out", sentence="A limit was reached."),
        result("inputs-missing", sentence="Nobody has it."),
    ]
    text = table(draw, {each.subject: found for each, found in zip(draw, verdicts, strict=False)}, 10)
    assert "4 of 5 have a result, among them the first 4 of the draw." in text
    assert "Not measured: build longer than 10 minutes: 1. Inputs not to be had: 1." in text
    assert "Bit for bit: 1 of 2 whose inputs can be had (50.0 %)" in text
    assert "   2 name2_1-1+deb13u1_all.deb: differs: Its content differs." in text
    assert "name1_" not in text
