"""Drills and capacity over the admin API: seen and made by who may, each report a file that proves itself."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from admin_ui import shapes_drills as ours
from admin_ui.words import WORDS
from appliance.api.admin_drills import DrillList, ReportFile
from appliance.operations import budgets, forecast
from appliance.operations.drills import model
from appliance.operations.drills.signing import verify
from appliance.security import audit
from tests.api.admin_harness import AdminApi, admin_api
from tests.fakes.drill_desk import RehearsedDesk
from tests.unit.operations.drills.conftest import seal_in
from tests.unit.store.conftest import until

PATH = "/api/admin/drills"


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[AdminApi, RehearsedDesk]]:
    desk = RehearsedDesk(folder / "desk", seal_in(folder / "seal"))
    desk.schedule.start()
    try:
        async with admin_api(folder, drills=desk, capacity=desk.capacity) as api:
            yield api, desk
    finally:
        await desk.schedule.stop()


async def test_a_person_has_a_drill_made_and_gets_its_report(tmp_path: Path) -> None:
    async with serving(tmp_path) as (api, desk), api.signed_in("it") as http:
        key = {"Idempotency-Key": "make-it-once"}
        for _ in range(2):
            answer = await http.post(f"{PATH}/failover/run", headers=key)
            assert (answer.status_code, answer.json()) == (202, {"id": "failover", "state": "soon"})
        await until(lambda: desk.schedule.report()[0].last is not None)
        await http.post(f"{PATH}/cloud/run")
        await until(lambda: desk.schedule.report()[1].last is not None)
        told = msgspec.json.decode((await http.get(PATH)).content, type=DrillList)
        assert [(one.drill, one.outcome, one.asked_by) for one in told.history] == [
            ("cloud", "not_configured", "it"), ("failover", "passed", "it"),
        ]  # fmt: skip
        rows = {row.name: row for row in told.drills}
        assert rows["failover"].last == told.history[1]
        file: dict[str, Any] = (await http.get(f"{PATH}/reports/{told.history[1].id}")).json()
        verdict = verify(base64.b64decode(file["pdf"]))
        assert (verdict.ok, verdict.facts.rto_s, verdict.facts.watched_writes) == (True, 0.73, 24)
        log = await api.store.read(lambda q: audit.read_events(q, limit=50))
        assert {"drill/failover", "drill/report"} <= {row.event.resource for row in log}


async def test_capacity_is_told_with_what_is_not_known_yet(tmp_path: Path) -> None:
    async with serving(tmp_path) as (api, _), api.signed_in("it") as http:
        told = msgspec.json.decode((await http.get("/api/admin/capacity")).content, type=ours.CapacityPicture)
        assert [(one.name, one.budget_bytes // 10**9) for one in told.budgets] == [
            ("ai", 300),
            ("api", 100),
            ("data", 100),
        ]
        assert [(one.what, one.verdict) for one in told.forecasts] == [
            ("disk", "too_little_history"), ("memory", "too_little_history"),
        ]  # fmt: skip


async def test_refusals_say_why(tmp_path: Path) -> None:
    async with serving(tmp_path) as (api, _):
        async with api.signed_in("auditor") as http:
            assert (await http.post(f"{PATH}/failover/run")).status_code == 403
        async with api.signed_in("it") as http:
            answer = await http.post(f"{PATH}/walk/run")
            assert (answer.status_code, answer.json()["code"]) == (404, "drill.unknown")
            answer = await http.get(f"{PATH}/reports/failover-x")
            assert (answer.status_code, answer.json()["code"]) == (404, "drill.no_report")


async def test_a_node_without_drills_has_none(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api, api.signed_in("it") as http:
        assert (await http.get(PATH)).json() == {"drills": [], "history": []}
        assert (await http.post(f"{PATH}/failover/run")).status_code == 404
        assert (await http.get(f"{PATH}/reports/x")).status_code == 404
        assert (await http.get("/api/admin/capacity")).status_code == 404


@pytest.mark.parametrize(
    ("mine", "core"),
    [
        (ours.DrillReport, model.Summary), (ours.DrillLine, model.DrillRow), (ours.DrillPicture, DrillList),
        (ours.DrillFile, ReportFile), (ours.BudgetRow, budgets.Budget), (ours.ForecastRow, forecast.Forecast),
        (ours.CapacityPicture, budgets.CapacityReport),
    ],
    ids=lambda shape: shape.__name__,
)  # fmt: skip
def test_core_says_every_field_that_the_dashboard_reads(mine: type, core: type) -> None:
    read = {field.encode_name for field in msgspec.structs.fields(mine)}
    assert read <= {field.encode_name for field in msgspec.structs.fields(core)}


def test_every_outcome_and_verdict_has_its_word() -> None:
    outcomes = {f"outcome.{one}" for one in msgspec.inspect.type_info(model.Outcome).values}  # type: ignore[attr-defined]
    verdicts = {f"capacity.{one}" for one in msgspec.inspect.type_info(forecast.Verdict).values}  # type: ignore[attr-defined]
    assert outcomes | verdicts | {f"capacity.{one}" for one in budgets.KINDS} <= WORDS.keys()
