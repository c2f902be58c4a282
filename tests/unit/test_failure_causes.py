"""Sentences about single cases become causes."""

from __future__ import annotations

import pytest

from rebuilder.store.ledger.current_results import cause


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "A build command ended with exit code 2; the log says where.",
            "A build command ended with exit code …; the log says where.",
        ),
        ("3 files inside it differ: a/b.py, METADATA, RECORD.", "… files inside it differ: …"),
        ("1 file inside it differs: METADATA.", "… files inside it differ: …"),
        ("12 members differ: core, spin, __init__ and 9 more.", "… members differ: …"),
        ("The rebuilt file has another name (idna-3.20.whl).", "The rebuilt file has another name (…)."),
        ("The build reached its limit on memory after 61 s.", "The build reached its limit on memory after … s."),
        ("The build reached its limit on CPU time after 600 s.", "The build reached its limit on CPU time after … s."),
        ("The wheel 'a b' needs “x” and \"y\".", "The wheel … needs …."),
        ("Its parent pkg:npm/x@1 and b==2, c==3 and d==4 are gone.", "Its parent … are gone."),
        ("Our rebuild's SHA-256 is 00ff00.", "Our rebuild's SHA-256 is …."),
        ("Nothing to see here.", "Nothing to see here."),
        ("", "…"),
    ],
)
def test_names_and_figures_are_taken_out(sentence: str, expected: str) -> None:
    """What two cases have in common stays, and nothing else."""
    assert expected == cause(sentence)


@pytest.mark.parametrize(
    "hostile", ["'" * 100_000, "1 " * 50_000, "x.y:" * 50_000, ", ".join("a1" for _ in range(50_000))]
)
def test_hostile_sentences_are_short_and_quick(hostile: str) -> None:
    """A sentence may quote what was published; it is bounded all the same."""
    assert len(cause(hostile)) <= 300
