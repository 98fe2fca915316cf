"""The feed that people see, and what a restart, a person and a damaged file do to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.operations.watching.conditions import PREFIX, Snapshot, snapshot
from appliance.operations.watching.feed import KEEP_S, SETTLE_S, Alert, AlertFeed, Change
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.metrics import Metrics

NOON = 1_800_000_000.0


def at(when: float, **figures: float) -> Snapshot:
    return Snapshot(when, {PREFIX + name: {(): value} for name, value in figures.items()})


class Heard:
    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []

    def __call__(self, alert: Alert, change: Change) -> None:
        self.changes.append((alert.rule, change))


def test_an_alert_begins_is_seen_and_ends(tmp_path: Path) -> None:
    heard = Heard()
    feed = AlertFeed(tmp_path / "alerts.json", "a", heard)
    assert not feed.look(at(NOON, ups_on_battery=0))
    assert feed.look(at(NOON + 10, ups_on_battery=1))
    assert not feed.look(at(NOON + 20, ups_on_battery=1)), "nothing changed"
    (one,) = feed.on()
    assert (one.node, one.rule, one.severity, one.runbook) == ("a", "OnBattery", "warning", "power-failed")
    assert (one.began, one.ended, one.seen_by) == ("2027-01-15T08:00:10.000Z", None, None)
    feed.acknowledge(one.id, "ana", "2027-01-15T08:01:00.000Z")
    assert feed.acknowledge(one.id, "bia", "2027-01-15T08:02:00.000Z").seen_by == "ana", "the first one's name stays"
    assert feed.look(at(NOON + 30, ups_on_battery=0))
    assert feed.on() == []
    assert feed.rows()[0].ended == "2027-01-15T08:00:30.000Z"
    assert heard.changes == [("OnBattery", "on"), ("OnBattery", "off")]


def test_a_restart_neither_repeats_nor_forgets(tmp_path: Path) -> None:
    heard = Heard()
    feed = AlertFeed(tmp_path / "alerts.json", "a")
    feed.look(at(NOON, ups_on_battery=1))
    feed.acknowledge(feed.on()[0].id, "ana", "x")
    feed.told(feed.on()[0], "on")
    assert feed.look(at(NOON + 10, ups_on_battery=1)), "that it was told is worth keeping"
    feed.save()
    again = AlertFeed(tmp_path / "alerts.json", "a", heard)
    again.look(at(NOON + 60, ups_on_battery=1))
    assert [one.seen_by for one in again.on()] == ["ana"]
    assert heard.changes == [], "nobody is told twice"
    assert again.look(at(NOON + 70, ups_on_battery=0)), "and its end is noticed"


def test_what_no_target_had_taken_when_core_died_is_told_again(tmp_path: Path) -> None:
    feed, heard = AlertFeed(tmp_path / "alerts.json", "a"), Heard()
    feed.look(at(NOON, ups_on_battery=1, ups_battery_worn=1))
    (worn,) = [one for one in feed.on() if one.rule != "OnBattery"]
    feed.told(worn, "on")
    feed.look(at(NOON + 10, ups_on_battery=1, ups_battery_worn=0))
    feed.save()
    again = AlertFeed(tmp_path / "alerts.json", "a", heard)
    again.look(at(NOON + 60, ups_on_battery=0, ups_battery_worn=0))
    assert heard.changes == [(worn.rule, "off")], (
        "who heard that it began waits for its end; the other is not known yet"
    )
    again.look(at(NOON + 70, ups_on_battery=1, ups_battery_worn=0))
    again.look(at(NOON + 80, ups_on_battery=1, ups_battery_worn=0))
    assert heard.changes[1:] == [("OnBattery", "on")], "once"


def test_a_restart_does_not_tell_that_all_is_well_before_it_knows(tmp_path: Path) -> None:
    """ClusterDegraded has to be so for a minute; a core that has just begun does not even lead yet."""
    feed, heard = AlertFeed(tmp_path / "alerts.json", "a"), Heard()
    for second in (0, 60):
        feed.look(at(NOON + second, cluster_degraded=1))
    feed.told(feed.on()[0], "on")
    feed.save()
    again = AlertFeed(tmp_path / "alerts.json", "a", heard)
    for second, degraded in ((100, 0), (110, 1), (170, 1)):
        again.look(at(NOON + second, cluster_degraded=degraded))
        assert [one.rule for one in again.on()] == ["ClusterDegraded"]
    assert heard.changes == []
    assert again.look(at(NOON + 180, cluster_degraded=0)), "it was seen again, so its end is one"
    assert heard.changes == [("ClusterDegraded", "off")]


def test_what_ended_while_core_was_away_ends_once_its_rule_had_its_time(tmp_path: Path) -> None:
    feed = AlertFeed(tmp_path / "alerts.json", "a")
    feed.look(at(NOON, ups_on_battery=1))
    feed.save()
    again = AlertFeed(tmp_path / "alerts.json", "a")
    assert not again.look(at(NOON + 100, ups_on_battery=0))
    assert not again.look(at(NOON + 100 + SETTLE_S - 1, ups_on_battery=0))
    assert again.look(at(NOON + 100 + SETTLE_S, ups_on_battery=0))
    assert again.on() == []


def test_the_critical_and_what_is_on_come_first(tmp_path: Path) -> None:
    feed = AlertFeed(tmp_path / "alerts.json", "a")
    feed.look(at(NOON, node_disk_free_bytes=1))
    feed.look(at(NOON + 20, node_disk_free_bytes=1 << 50, ups_battery_low=0))
    feed.look(at(NOON + 40, ups_on_battery=1, ups_battery_low=1))
    assert [(one.rule, one.ended is None) for one in feed.rows()] == [
        ("BatteryLow", True),
        ("OnBattery", True),
        ("DiskFull", False),
    ]


def test_what_ended_a_week_ago_is_forgotten(tmp_path: Path) -> None:
    feed = AlertFeed(tmp_path / "alerts.json", "a")
    feed.look(at(NOON, ups_on_battery=1))
    feed.look(at(NOON + 10, ups_on_battery=0))
    assert not feed.look(at(NOON + KEEP_S, ups_on_battery=0))
    assert feed.look(at(NOON + KEEP_S + 20, ups_on_battery=0))
    assert feed.rows() == []


def test_each_series_is_an_alert_of_its_own(tmp_path: Path) -> None:
    metrics = Metrics()
    circuit = metrics.gauge("engine_circuit_open", "x", ("engine",))
    for engine in ("chat", "speech"):
        circuit.labels(engine).set(1)
    feed = AlertFeed(tmp_path / "alerts.json", "a")
    feed.look(snapshot(metrics.registry, NOON))
    assert sorted(one.labels["engine"] for one in feed.on()) == ["chat", "speech"]
    circuit.labels("chat").set(0)
    feed.look(snapshot(metrics.registry, NOON + 10))
    assert [one.labels for one in feed.on()] == [{"engine": "speech"}]


@pytest.mark.parametrize("text", ["", "{", '[{"id": 1}]', "null"])
def test_a_damaged_file_begins_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "alerts.json").write_text(text)
    feed = AlertFeed(tmp_path / "alerts.json", "a")
    assert feed.rows() == []
    feed.look(at(NOON, ups_on_battery=1))
    feed.save()
    assert len(AlertFeed(tmp_path / "alerts.json", "a").rows()) == 1


def test_a_folder_that_can_not_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    feed = AlertFeed(tmp_path / "data" / "alerts.json", "a")
    feed.look(at(NOON, ups_on_battery=1))
    feed.save()
    assert len(feed.on()) == 1


def test_an_alert_that_is_not_there_is_told(tmp_path: Path) -> None:
    feed = AlertFeed(tmp_path / "alerts.json", "a")
    with pytest.raises(ProntuarioError) as error:
        feed.acknowledge("nope", "ana", "x")
    assert error.value.kind.code == "alerts.unknown"
