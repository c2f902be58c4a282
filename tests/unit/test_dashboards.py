"""Alert rules, dashboards and the list of metrics name what a scrape has, and nothing else."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rebuilder.model.figures import ProcessFigures
from rebuilder.service.metrics import scrape
from rebuilder.store.ledger import Ledger
from tests.fakes.histories import populate
from tests.fakes.verifications import NOW

OPERATE = Path(__file__).parents[2] / "docs" / "operate"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((OPERATE / "dashboards").glob("*.json"))}
RULES: list[dict[str, Any]] = [
    rule
    # Not imported by name: it comes with what sends notifications, and has no types.
    for group in importlib.import_module("yaml").safe_load((OPERATE / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
FUNCTIONS = {"absent", "clamp_min", "increase", "predict_linear", "time"}
AGGREGATIONS = {"sum", "max", "min", "count"}
OPERATORS = {"and", "or"}
TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<string>"[^"\\]*")|(?P<number>\d+(?:\.\d+)?(?![\w.]))|(?P<range>\[\d+[smhd]\])"""
    r"""|(?P<name>[a-zA-Z_][\w:]*)|(?P<match>=~|!~|!=|=(?!=))|(?P<operator>[<>]=?|==|[-+*/])|(?P<mark>[(){},])"""
)
CLOSING = {")": "(", "}": "{"}

Metrics = dict[str, set[str]]


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    """Every metric that a scrape of a ledger with a history gives a value for, with its labels."""
    with Ledger.open(tmp_path_factory.mktemp("metrics") / "ledger.sqlite") as ledger:
        populate(ledger)
        place = ProcessFigures(
            workers=1, workers_wanted=1, store_free_bytes=1, store_size_bytes=1, key_due=NOW + timedelta(days=1)
        )
        text = scrape(lambda: ledger.statistics.figures(NOW), lambda: place).decode()
    families = list(text_string_to_metric_families(text))
    assert [] == [each.name for each in families if not each.samples]
    return {sample.name: set(sample.labels) for each in families for sample in each.samples}


def tokens(expression: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each part of a PromQL expression."""
    position = 0
    while position < len(expression):
        found = TOKEN.match(expression, position)
        assert found is not None, f"cannot be read from here: {expression[position:]!r}"
        position = found.end()
        if found.lastgroup != "space":
            yield str(found.lastgroup), found[0]


def check(expression: str, metrics: Metrics) -> set[str]:
    """Make sure that an expression has the shape of PromQL and names what exists; give the metrics it names."""
    named: set[str] = set()
    within: list[str] = []  # open brackets; "by" for the one after by
    labels: set[str] = set()
    parts = [*tokens(expression), ("end", "")]
    operand = False
    assert len(parts) > 1
    for index, (kind, text) in enumerate(parts):
        if kind == "end":
            break
        following = parts[index + 1][1]
        if text in {"(", "{"}:
            within.append("by" if index and parts[index - 1][1] == "by" else text)
            operand = False
        elif text in CLOSING:
            assert within, f"{text} was never opened"
            opened = within.pop()
            assert opened == CLOSING[text] or (opened == "by" and text == ")"), f"{opened} is closed by {text}"
            operand = opened != "by"
        elif within[-1:] == ["by"]:
            assert text == "," or text in set().union(*metrics.values()), f"no metric has the label {text}"
        elif within[-1:] == ["{"]:
            assert kind != "name" or text in labels, f"no such label here: {text}"
            assert kind in {"name", "match", "string"} or text == ",", f"{text} among labels"
        elif kind == "operator" or text in OPERATORS or text == ",":
            assert operand, f"nothing before {text}"
            operand = False
        elif kind == "range":
            assert operand, f"{text} after nothing"
        elif text in AGGREGATIONS | FUNCTIONS:
            assert following == "(" or (text in AGGREGATIONS and following == "by"), f"{text} without brackets"
        elif text != "by":
            assert not operand, f"{text} where an operator should be"
            assert kind == "number" or text in metrics, f"no such metric: {text}"
            operand = True
            if kind == "name":
                named.add(text)
                labels = metrics[text]
    assert not within, "a bracket is open"
    assert operand, "something is missing at the end"
    return named


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """All expressions of a dashboard."""
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def recorded(metrics: Metrics) -> Metrics:
    """With what rules record."""
    return metrics | {rule["record"]: set() for rule in RULES if "record" in rule}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_name_what_exists(rule: dict[str, Any], metrics: Metrics) -> None:
    """Each rule can be read, and says how urgent it is and what is wrong."""
    assert check(rule["expr"], recorded(metrics))
    if "alert" in rule:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"].endswith((".", "?"))


def test_alerts_have_names_of_their_own() -> None:
    """One name, one rule."""
    names = [rule.get("alert") or rule["record"] for rule in RULES]
    assert len(names) == len(set(names))


def test_failures_have_several_windows() -> None:
    """A burn rate is looked at over a long window, and over a short one that tells when it is over."""
    windows = {
        rule["alert"]: re.findall(r"ratio(\w+)", rule["expr"])
        for rule in RULES
        if rule.get("alert", "").startswith("RebuilderFailures")
    }
    expected = {
        "RebuilderFailuresBurnFast": ["1h", "5m"],
        "RebuilderFailuresBurn": ["6h", "30m"],
        "RebuilderFailuresBurnSlowly": ["3d", "6h"],
    }
    assert expected == windows


@pytest.mark.parametrize("name", ["executive", "on-call", "debug"])
def test_dashboards_name_what_exists(name: str, metrics: Metrics) -> None:
    """Every panel shows something, and can be read."""
    dashboard = DASHBOARDS[name]
    assert all(panel["targets"] for panel in dashboard["panels"])
    shown = [*expressions(dashboard)]
    assert shown
    assert [] == [expression for expression in shown if not check(expression, metrics)]
    assert dashboard["templating"]["list"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert asked is not None
            assert asked[2] in metrics[asked[1]]


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_dashboards_can_be_imported(name: str) -> None:
    """They ask which Prometheus to use, name no machine, and their panels do not overlap."""
    dashboard = DASHBOARDS[name]
    assert dashboard["schemaVersion"] >= 36
    assert "id" not in dashboard
    assert "datasource" in [each["name"] for each in dashboard["templating"]["list"] if each["type"] == "datasource"]
    assert "://" not in json.dumps(dashboard)
    used = [panel["datasource"] for panel in dashboard["panels"]]
    used += [target["datasource"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert {"${datasource}"} == {each["uid"] for each in used}
    cells: set[tuple[int, int]] = set()
    assert dashboard["panels"]
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        covered = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & covered, panel["title"]
        cells |= covered
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))


def test_the_list_of_metrics_is_whole(metrics: Metrics) -> None:
    """Each metric has its line with exactly its labels, and no line is about nothing."""
    rows = re.findall(r"^\| `(rebuilder_\w+)` \|([^|]*)\| .+ \|$", (OPERATE / "metrics.md").read_text(), re.MULTILINE)
    assert metrics == {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def test_every_metric_is_shown_or_watched(metrics: Metrics) -> None:
    """What nobody looks at need not be measured."""
    used = {name for each in DASHBOARDS.values() for text in expressions(each) for name in check(text, metrics)}
    used |= {name for rule in RULES for name in check(rule["expr"], recorded(metrics))}
    assert set() == set(metrics) - used


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "sum(rebuilder_artifacts",
        "sum(rebuilder_artifacts))",
        "sum(rebuilder_artifacts}",
        "rebuilder_nothing",
        'rebuilder_artifacts{colour="red"}',
        "rebuilder_artifacts{verdict=reproduced}",
        "max by (colour) (rebuilder_artifacts)",
        "average(rebuilder_artifacts)",
        "rebuilder_artifacts rebuilder_artifacts",
        "rebuilder_artifacts /",
        "/ rebuilder_artifacts",
        "rebuilder_artifacts[1x]",
        "sum rebuilder_artifacts",
        "rebuilder_artifacts ! 1",
    ],
)
def test_the_check_finds_mistakes(expression: str, metrics: Metrics) -> None:
    """An expression that is wrong does not pass for right."""
    with pytest.raises(AssertionError):
        check(expression, metrics)
