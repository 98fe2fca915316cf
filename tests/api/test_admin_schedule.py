"""Recurring work over the admin API: seen and started by who may, and an engine restarted by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from appliance.config.model import Paths
from appliance.daemon.recurring import Recurring
from appliance.operations.backup import NOT_RESTORABLE
from appliance.operations.schedule import Schedule, Task
from appliance.operations.schedule_memory import Figure, TaskReport
from appliance.security import audit
from appliance.telemetry.clock import SystemClock
from tests.api.admin_harness import AdminApi, admin_api
from tests.unit.store.conftest import until


async def ill() -> Mapping[str, Figure]:
    raise NOT_RESTORABLE(exit_code=1)


async def fine() -> Mapping[str, Figure]:
    return {"rows": 5}


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[AdminApi, Schedule]]:
    schedule = Schedule(folder / "s.json", SystemClock(), settle_s=1e9, poll_s=0.01)
    elsewhere = Task(name="peers", title_pt="c", title_en="c", every_s=1e6, run=fine, here=lambda: False)
    for task in (
        Task(name="good", title_pt="Boa", title_en="Good", every_s=1e6, run=fine),
        Task(name="bad", title_pt="Má", title_en="Bad", every_s=1e6, run=ill),
        elsewhere,
    ):
        schedule.add(task)
    desk = Recurring(Paths(folder / "home"), schedule, SystemClock(), "mac-a")
    schedule.start()
    try:
        async with admin_api(folder, schedule=desk) as api:
            yield api, schedule
    finally:
        await schedule.stop()


async def test_a_person_runs_one_now_and_sees_what_it_found_or_why_it_failed(tmp_path: Path) -> None:
    async with serving(tmp_path) as (api, schedule):
        async with api.signed_in("it") as http:
            for name in ("good", "bad"):
                key = {"Idempotency-Key": f"run {name}".replace(" ", "-")}
                for _ in range(2):
                    answer = await http.post(f"/api/admin/schedule/{name}/run", headers=key)
                    assert (answer.status_code, answer.json()) == (202, {"id": name, "state": "soon"})
            await until(lambda: all(row.last is not None for row in schedule.report()[:2]))
            seen = await http.get("/api/admin/schedule")
            rows = {row.name: row for row in msgspec.json.decode(seen.content, type=list[TaskReport])}
        assert rows["good"].figures == {"rows": 5}
        assert rows["bad"].trouble is not None
        assert rows["bad"].trouble.step_pt == NOT_RESTORABLE(exit_code=1).next_step("pt")
        assert {row.node for row in rows.values()} == {"mac-a"}
        log = await api.store.read(lambda q: audit.read_events(q, limit=50))
        assert {"schedule/good", "schedule/bad"} <= {row.event.resource for row in log}


@pytest.mark.parametrize(
    ("role", "name", "status", "code"),
    [
        ("auditor", "good", 403, "forbidden"),
        ("nurse", "good", 403, "forbidden"),
        ("admin", "nothing", 404, "schedule.unknown"),
        ("admin", "peers", 409, "schedule.elsewhere"),
    ],
)
async def test_it_is_refused_with_a_reason(tmp_path: Path, role: str, name: str, status: int, code: str) -> None:
    async with serving(tmp_path) as (api, _), api.signed_in(role) as http:
        answer = await http.post(f"/api/admin/schedule/{name}/run")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await http.get("/api/admin/schedule")).status_code == (200 if role == "admin" else 403)


async def test_a_node_without_recurring_work_says_so(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api, api.signed_in("it") as http:
        assert (await http.get("/api/admin/schedule")).json() == []
        assert (await http.post("/api/admin/schedule/good/run")).status_code == 404


async def test_an_engine_is_restarted_by_hand_once_for_one_key(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api:
        async with api.signed_in("it") as http:
            for _ in range(2):
                answer = await http.post("/api/admin/engines/chat/restart", headers={"Idempotency-Key": "k"})
                assert answer.status_code == 202
            assert (await http.post("/api/admin/engines/no/restart")).json()["code"] == "not_found"
        async with api.signed_in("auditor") as http:
            assert (await http.post("/api/admin/engines/chat/restart")).status_code == 403
        assert api.restarted == ["chat"]


async def test_health_speaks_the_readers_language(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api, api.signed_in("it") as http:
        rows = {row["name"]: row for row in (await http.get("/api/admin/health")).json()}
        assert (rows["notes"]["message"], rows["notes"]["message_pt"]) == ("the engine fell", "o motor caiu")
        pt = (await http.get("/health/ready")).json()["parts"]["notes"]
        en = (await http.get("/health/ready", headers={"Accept-Language": "en"})).json()["parts"]["notes"]
        assert (pt["message"], pt["advice"]) == ("o motor caiu", "reinicie o motor")
        assert (en["message"], en["advice"]) == ("the engine fell", "restart it")
