"""Every rule fires and stays silent where it should: on the box, and in Prometheus by Debian's promtool."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.operations.watching.conditions import Either, EndsWithin, Is, Labels, Rises, Share, Snapshot
from appliance.operations.watching.evaluate import Evaluator
from appliance.operations.watching.rendering import alerts_page, alerts_yaml, carried
from appliance.operations.watching.rules import BY_NAME, RULES, Rule
from tests.unit.operations.watching.examples import EXAMPLES, POINTS, STEP_S, Line, snapshots

ROOT = Path(__file__).resolve().parents[4]
PROMTOOL = shutil.which("promtool")
END_S = (POINTS - 1) * STEP_S


def on_box(lines: tuple[Line, ...]) -> set[str]:
    evaluator = Evaluator()
    fired: dict[tuple[str, Labels], float] = {}
    for one in snapshots(lines):
        fired = evaluator.judge(one)
    return {name for name, _ in fired}


def test_every_rule_has_an_example_and_every_example_a_rule() -> None:
    assert EXAMPLES.keys() == BY_NAME.keys()
    assert len(BY_NAME) == len(RULES), "no name twice"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_on_the_box_it_fires_and_stays_silent(rule: Rule) -> None:
    assert rule.name in on_box(EXAMPLES[rule.name].bad)
    assert rule.name not in on_box(EXAMPLES[rule.name].good)


def test_a_node_that_is_down_is_told_by_prometheus_or_by_its_peer() -> None:
    assert on_box(EXAMPLES["NodeDown"].bad) == {"NodeDown"}
    assert on_box((Line("up", 0, {"job": "prontuario"}),)) == {"NodeDown"}
    either = Either(Is("m", ">", 1), Rises("c", 0, 60))
    assert either.met([at(0, c=1), at(30, m=2, c=2)]) == [()], "told once"
    assert either.met([at(0, c=1), at(30, m=1, c=1)]) == []
    assert (either.metrics, either.window_s) == (("m", "c"), 60)


def test_the_only_copy_is_as_important_as_the_one_that_a_standby_received() -> None:
    """The proof that a pair's primary makes while its standby is away (``daemon.pair.recurring``)."""
    assert on_box((Line("prontuario_schedule_failures", 1, {"task": "lonely-proof"}),)) == {"RestoreProofFailed"}
    assert on_box((Line("prontuario_schedule_failures", 1, {"task": "blob-check"}),)) == set()


def told(lines: tuple[Line, ...]) -> list[dict[str, str]]:
    def number(value: float) -> str:
        return "NaN" if math.isnan(value) else f"{value:g}" if abs(value) < 1e5 else f"{value:.0f}"

    return [{"series": line.series, "values": " ".join(map(number, line.points))} for line in lines]


def expected(rule: Rule, lines: tuple[Line, ...]) -> list[dict[str, dict[str, str]]]:
    labels = {"severity": rule.severity, **lines[0].labels}
    return [{"exp_labels": labels, "exp_annotations": carried(rule)}]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_prometheus_itself_judges_every_example_alike(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(alerts_yaml())
    cases = []
    for rule in RULES:
        example = EXAMPLES[rule.name]
        for lines, alerts in ((example.bad, expected(rule, example.bad)), (example.good, [])):
            wanted = {"eval_time": f"{END_S}s", "alertname": rule.name, "exp_alerts": alerts}
            cases.append({"interval": f"{STEP_S}s", "input_series": told(lines), "alert_rule_test": [wanted]})
    test = {"rule_files": ["alerts.yaml"], "evaluation_interval": f"{STEP_S}s", "tests": cases}
    (tmp_path / "test.yaml").write_text(json.dumps(test))
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_the_comparison_notices_a_rule_that_does_not_fire(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(alerts_yaml([BY_NAME["OnBattery"]]))
    wanted = {"eval_time": "300s", "alertname": "OnBattery", "exp_alerts": []}
    case = {"interval": "15s", "input_series": told(EXAMPLES["OnBattery"].bad), "alert_rule_test": [wanted]}
    (tmp_path / "test.yaml").write_text(json.dumps({"rule_files": ["alerts.yaml"], "tests": [case]}))
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0


def test_every_rule_has_its_runbook_and_words_in_both_languages() -> None:
    for rule in RULES:
        assert (ROOT / "docs" / "runbooks" / f"{rule.runbook}.md").exists(), rule.name
        assert rule.pt.endswith("."), rule.name
        assert rule.en.endswith("."), rule.name
    assert alerts_page().count("\n") == len(RULES) + 2


# -- conditions beyond the examples -------------------------------------------------------------------------------------
def at(when: float, **values: float) -> Snapshot:
    return Snapshot(when, {name: {(): value} for name, value in values.items()})


def test_a_condition_has_to_last_without_a_gap() -> None:
    rule = Rule(name="OnBattery", severity="warning", condition=Is("m", ">", 1), runbook="x", pt="x", en="x", for_s=60)
    evaluator = Evaluator([rule])
    values = [2] * 4 + [0] + [2] * 5
    fired = [bool(evaluator.judge(at(15.0 * turn, m=value))) for turn, value in enumerate(values)]
    assert fired == [False] * 9 + [True]


def test_an_alert_tells_since_when_it_has_been_so() -> None:
    evaluator = Evaluator(
        [Rule(name="a", severity="warning", condition=Is("m", ">", 1), runbook="x", pt="x", en="x", for_s=30)]
    )
    for when in (100.0, 115.0):
        assert evaluator.judge(at(when, m=2)) == {}
    assert evaluator.judge(at(130.0, m=2)) == {("a", ()): 100.0}


def test_a_clock_that_steps_back_ends_nothing_and_hurries_nothing() -> None:
    evaluator = Evaluator(
        [Rule(name="a", severity="warning", condition=Is("m", ">", 1), runbook="x", pt="x", en="x", for_s=30)]
    )
    assert evaluator.judge(at(1000.0, m=2)) == {}
    assert evaluator.judge(at(500.0, m=2)) == {}
    assert evaluator.judge(at(531.0, m=2)) == {("a", ()): 500.0}


def test_a_counter_that_begins_anew_or_appears_counts_what_it_shows() -> None:
    rises = Rises("c", 2, 60)
    assert rises.met([at(0, c=9), at(30, c=1), at(60, c=2)]) == []
    assert rises.met([at(0, c=9), at(30, c=1), at(60, c=3)]) == [()]
    assert rises.met([at(0), at(30, c=3)]) == [()], "the first count of a new series is seen"
    assert rises.met([at(0, c=1), at(100, c=9)]) == [], "what is older than the window does not count"


def test_a_share_of_nothing_is_nothing() -> None:
    share = Share("part", "whole", ">=", 0.5)
    assert share.met([at(0, part=1, whole=0)]) == []
    assert share.met([at(0, part=1)]) == []
    assert share.met([at(0, part=1, whole=2)]) == [()]


def test_a_moment_that_has_passed_is_near_and_none_is_far() -> None:
    ends = EndsWithin("m", 10)
    assert [bool(ends.met([at(100, m=moment)])) for moment in (90, 105, 110, 0)] == [True, True, False, False]


def test_what_is_not_told_meets_nothing() -> None:
    for sign in (">", "<", ">=", "<=", "=="):
        assert Is("m", sign, 1).met([at(0, m=math.nan)]) == []
    assert EndsWithin("m", 10).met([at(0, m=math.nan)]) == []
