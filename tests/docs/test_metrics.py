"""Every metric that a node shows is documented, and nothing looks for one that does not exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.operations.watching.conditions import PREFIX
from appliance.operations.watching.dashboard import PANELS, Panel, dashboard_json
from appliance.operations.watching.rules import RULES, Rule
from tests.conftest import RunningNode
from tools.metric_names import declared

ROOT = Path(__file__).resolve().parents[2]
DECLARED = declared()
SERIES = {series for one in DECLARED for series in one.series}


def test_every_metric_of_a_running_node_is_documented(running_node: RunningNode) -> None:
    with running_node.http("it") as http:
        families = list(text_string_to_metric_families(http.get("/metrics").text))
    shown = {sample.name for family in families for sample in family.samples if not sample.name.endswith("_created")}
    assert len(shown) > 30, "the node shows its figures"
    assert shown <= SERIES
    documented = set(re.findall(r"^\| `([a-z0-9_]+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    assert documented == {one.name for one in DECLARED}


def test_no_metric_is_declared_twice_as_different_things() -> None:
    assert len({one.name for one in DECLARED}) == len(DECLARED)
    assert all(one.text for one in DECLARED)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_looks_at_metrics_that_exist(rule: Rule) -> None:
    assert set(rule.condition.metrics) <= SERIES | {"up"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_of_the_dashboard_asks_for_metrics_that_exist(panel: Panel) -> None:
    for query, _legend in panel.queries:
        named = set(re.findall(rf"{PREFIX}[a-z0-9_]+", query.replace("$", PREFIX)))
        assert named, query
        assert named <= SERIES, query


def test_the_dashboard_is_what_grafana_imports() -> None:
    told = json.loads(dashboard_json())
    assert [panel["id"] for panel in told["panels"]] == list(range(1, len(PANELS) + 1))
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in told["panels"]}
    assert len(places) == len(PANELS), "no panel lies on another"
    assert "$" not in re.sub(r"\$\{source\}", "", dashboard_json())
