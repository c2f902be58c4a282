"""Which Python a version of a build tool runs on: rows of measurements, and what is read out of them."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from rebuilder.ecosystems.pypi.interpreter_choice import LIMITS, refusal


def test_every_row_can_be_read_and_says_where_it_is_from() -> None:
    """A specifier of versions, one of Pythons, a reason and its source."""
    assert LIMITS
    for each in LIMITS:
        assert each.tools
        assert [canonicalize_name(tool) for tool in each.tools] == list(each.tools)
        assert SpecifierSet(each.versions)
        assert SpecifierSet(each.pythons)
        assert each.why
        assert each.source


def test_rows_of_one_tool_do_not_contradict_each_other() -> None:
    """At a version where a row begins or ends there is at most one limit, and some Python is left."""
    edges = {(tool, part.version) for each in LIMITS for tool in each.tools for part in SpecifierSet(each.versions)}
    assert edges
    for tool, version in edges:
        assert 1 >= sum(tool in each.tools and SpecifierSet(each.versions).contains(version) for each in LIMITS)
        assert [
            each for each in ("3.4", "3.8", "3.9", "3.11", "3.13", "3.14") if refusal({tool: version}, each) is None
        ]


@pytest.mark.parametrize(
    ("tool", "version", "runs", "refused"),
    [
        ("setuptools", "16.0", ["3.4"], ["3.5", "3.9"]),
        ("setuptools", "17.0", ["3.5", "3.9"], ["3.10"]),
        ("setuptools", "38.9", ["3.9"], ["3.10", "3.11", "3.14"]),
        ("setuptools", "40.9", ["3.8"], ["3.9", "3.13"]),
        ("setuptools", "66.0", ["3.9", "3.11"], ["3.12", "3.14"]),
        ("setuptools", "66.1", ["3.9", "3.12", "3.14"], []),
        ("setuptools", "83", ["3.10"], ["3.9"]),
        ("SetupTools", "65.5.0rc1", ["3.11"], ["3.12"]),
        ("wheel", "0.28", ["3.11"], ["3.12"]),
        ("flit_core", "3.9", ["3.13"], ["3.14"]),
        ("poetry.core", "1.0.8", ["3.11"], ["3.12"]),
        ("hatchling", "1.0", ["3.9", "3.14"], []),
    ],
)
def test_where_a_tool_runs(tool: str, version: str, runs: list[str], refused: list[str]) -> None:
    """On both sides of each limit, however the name is spelt; what is in no row runs everywhere."""
    assert [None] * len(runs) == [refusal({tool: version}, each) for each in runs]
    assert [] == [each for each in refused if each not in str(refusal({tool: version}, each))]


def test_one_tool_that_does_not_run_is_enough() -> None:
    """It is named; a version that nobody can read says nothing."""
    assert "wheel 0.28" in str(refusal({"setuptools": "70", "broken": "latest", "wheel": "0.28"}, "3.13"))
    assert refusal({"setuptools": "latest"}, "3.13") is None
    assert refusal({}, "3.13") is None
