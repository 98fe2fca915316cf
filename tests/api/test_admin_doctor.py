"""Doctor over the admin API: seen by who may look, asked for by who may manage, recorded either way."""

from __future__ import annotations

from pathlib import Path

import msgspec

from appliance.operations.doctor.rounds import DoctorRounds, DoctorView
from appliance.security import audit
from appliance.telemetry.clock import SystemClock
from tests.api.admin_harness import admin_api
from tests.unit.operations.doctor.test_rounds import REPORT, saying
from tests.unit.store.conftest import until

PATH = "/api/admin/doctor"


async def test_who_manages_has_the_node_examined_and_who_may_look_sees_it(tmp_path: Path) -> None:
    desk = DoctorRounds(tmp_path / "doctor.json", "mac-a", saying(REPORT, tmp_path), SystemClock())
    async with admin_api(tmp_path, doctor=desk) as api:
        async with api.signed_in("it") as http:
            assert (await http.get(PATH)).json()["last"] is None
            answer = await http.post(f"{PATH}/run")
            assert (answer.status_code, answer.json()) == (202, {"id": "doctor", "state": "running"})
            await until(lambda: not desk.view().running)
            assert (await http.get(PATH)).json()["running"] is False
        async with api.signed_in("auditor") as http:
            told = msgspec.json.decode((await http.get(PATH)).content, type=DoctorView)
            assert (told.node, told.last and told.last.by, told.last and told.last.report) == ("mac-a", "it", REPORT)
            assert (await http.post(f"{PATH}/run")).status_code == 403
        log = await api.store.read(lambda q: audit.read_events(q, limit=50))
        ordered = [(row.event.action, row.event.status) for row in log if row.event.route == f"{PATH}/run"]
        assert sorted(ordered) == [("node.manage", 202), ("node.manage", 403)]
    await desk.close()


async def test_a_node_without_a_doctor_says_so(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api, api.signed_in("it") as http:
        assert (await http.get(PATH)).status_code == 404
        assert (await http.post(f"{PATH}/run")).status_code == 404
