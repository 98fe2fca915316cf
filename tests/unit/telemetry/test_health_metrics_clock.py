from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugin_api.hooks import Health, HealthCheck
from appliance.telemetry.clock import SystemClock, instant
from appliance.telemetry.health import HealthRegistry, worst
from appliance.telemetry.metrics import Metrics

MIN, MAX = datetime(2, 1, 1), datetime(9998, 1, 1)  # noqa: DTZ001  hypothesis adds the zone


def says(status: str) -> HealthCheck:
    async def check() -> Health:
        return Health(status, "as told")

    return HealthCheck(f"says {status}", check)


async def test_every_check_answers_for_itself() -> None:
    async def raises() -> Health:
        raise RuntimeError("Maria de Souza")

    registry = HealthRegistry()
    registry.add(says("ok"))
    registry.add(HealthCheck("raises", raises))
    answers = await registry.ask()
    assert answers["says ok"].status == "ok"
    assert answers["raises"].status == "failed"
    assert "Maria" not in answers["raises"].message


async def test_a_check_that_hangs_fails_and_does_not_hold_up_the_others() -> None:
    stopped: list[str] = []

    async def hangs() -> Health:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("hangs")
        return Health("ok", "")

    registry = HealthRegistry()
    registry.add(HealthCheck("hangs", hangs))
    registry.add(says("degraded"))
    answers = await registry.ask()
    assert answers["hangs"].status == "failed"
    assert answers["hangs"].advice
    assert answers["says degraded"].status == "degraded"
    assert stopped == ["hangs"]


def test_a_name_is_taken_once() -> None:
    registry = HealthRegistry()
    registry.add(says("ok"))
    with pytest.raises(ValueError, match="twice"):
        registry.add(says("ok"))


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "ok"),
        (["ok", "not_configured"], "ok"),
        (["ok", "degraded"], "degraded"),
        (["degraded", "failed", "ok"], "failed"),
        (["ok", "no such status"], "failed"),
    ],
)
def test_the_worst_counts(statuses: list[str], expected: str) -> None:
    assert worst({str(number): Health(status, "") for number, status in enumerate(statuses)}) == expected


def test_metrics_carry_our_prefix_and_keep_to_their_own_registry() -> None:
    one, two = Metrics(), Metrics()
    one.counter("notes_total", "Notes", ("kind",)).labels("signed").inc(3)
    one.gauge("waiting", "Waiting").set(2)
    one.histogram("save_seconds", "Saving").observe(0.02)
    text = one.render().decode()
    assert 'prontuario_notes_total{kind="signed"} 3.0' in text
    assert "prontuario_waiting 2.0" in text
    assert 'prontuario_save_seconds_bucket{le="0.025"} 1.0' in text
    assert "notes" not in two.render().decode()
    two.counter("notes_total", "Notes")


def test_a_metric_has_one_meaning() -> None:
    metrics = Metrics()
    waiting = metrics.gauge("waiting", "Waiting", ("engine",))
    assert metrics.gauge("waiting", "Waiting", ("engine",)) is waiting
    for declare in (
        lambda: metrics.counter("waiting", "Waiting", ("engine",)),
        lambda: metrics.gauge("waiting", "Something else", ("engine",)),
        lambda: metrics.gauge("waiting", "Waiting"),
    ):
        with pytest.raises(ValueError, match="waiting"):
            declare()


@given(
    st.datetimes(
        MIN, MAX, timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3)), timezone(timedelta(hours=5.5))])
    )
)
def test_instants_are_utc_in_milliseconds(moment: datetime) -> None:
    text = instant(moment)
    assert text.endswith("Z")
    read = datetime.fromisoformat(text)
    assert timedelta(0) <= moment - read < timedelta(milliseconds=1)


@given(st.lists(st.datetimes(MIN, MAX, timezones=st.just(UTC)), min_size=2))
def test_instants_sort_as_text(moments: list[datetime]) -> None:
    assert [instant(moment) for moment in sorted(moments)] == sorted(instant(moment) for moment in moments)


def test_the_systems_clock_is_aware_and_its_monotonic_side_never_steps_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    readings = [clock.monotonic() for _ in range(1000)]
    assert readings == sorted(readings)
