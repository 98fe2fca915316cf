"""The pair over the admin API: seen by who may, acted on only when confirmed, and recorded before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from appliance.api.admin_cluster import Action, PairView, Preview
from appliance.cluster.errors import CONFIRMATION
from appliance.cluster.model import ClusterStatus, Event, Position, Role
from appliance.daemon.pair.drill import NO_DRILL
from appliance.security import audit
from tests.api.admin_harness import admin_api

STATUS = ClusterStatus(
    node="a", peer="b", role=Role.PRIMARY, mode="paired", epoch=4, leader="a", leader_since="2026-01-01T00:00:00Z",
    own=Position(4, 100), peer_held=Position(4, 98), lag_txids=2, lag_s=0.01, in_sync="b", unreplicated_rows=0,
    voters=(3, 3), vip=True, last_drill=None,
    events=(Event("2026-01-01T00:00:00Z", "a", "promoted", "a assumiu", "a leads now", 4),),
)  # fmt: skip


@dataclass
class Desk:
    """Counts what it is told to do; ``mark-lost`` costs data."""

    begun: list[tuple[str, str, str]] = field(default_factory=list)
    busy: bool = False

    def status(self) -> ClusterStatus:
        return STATUS

    def previews(self) -> Sequence[Preview]:
        return [Preview(action="handover", sentence_pt="b assume", sentence_en="b takes over")]

    def check(self, action: Action, typed: str) -> None:
        if action == "mark-lost" and typed != "perder b":
            raise CONFIRMATION(reason="b", phrase="perder b")
        if action == "drill" and self.busy:
            raise NO_DRILL(reason="a drill is under way", reason_pt="um simulado está em andamento")

    def begin(self, action: Action, by: str, typed: str) -> None:
        self.busy = True
        self.begun.append((action, by, typed))


async def test_the_pair_is_shown_to_those_who_may_read_the_node(tmp_path: Path) -> None:
    async with admin_api(tmp_path, desk=Desk()) as api:
        for role, status in (("it", 200), ("admin", 200), ("auditor", 200), ("nurse", 403)):
            async with api.signed_in(role) as http:
                answer = await http.get("/api/admin/cluster")
                assert answer.status_code == status
            if role == "it":
                seen = msgspec.json.decode(answer.content, type=PairView)
                assert seen.status == STATUS
                assert [one.action for one in seen.actions] == ["handover"]


async def test_a_handover_begins_once_and_is_in_the_audit_log(tmp_path: Path) -> None:
    desk = Desk()
    async with admin_api(tmp_path, desk=desk) as api:
        async with api.signed_in("it") as http:
            for _ in range(2):
                answer = await http.post("/api/admin/cluster/handover", json={}, headers={"Idempotency-Key": "once"})
                assert answer.status_code == 202
        assert [(action, typed) for action, _, typed in desk.begun] == [("handover", "")]
        rows = await api.store.read(lambda q: audit.read_events(q, limit=100))
        assert [row.event.action for row in rows if row.event.route.endswith("{action}")] == ["node.manage"] * 2


async def test_a_repeated_order_for_a_drill_gets_the_first_answer_and_another_one_is_refused(tmp_path: Path) -> None:
    desk = Desk()
    async with admin_api(tmp_path, desk=desk) as api, api.signed_in("it") as http:
        for replayed in (None, "true"):
            answer = await http.post("/api/admin/cluster/drill", json={}, headers={"Idempotency-Key": "d"})
            assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (202, replayed)
        other = await http.post("/api/admin/cluster/drill", json={})
        assert (other.status_code, other.json()["code"]) == (409, "cluster.no_drill")
        assert "em andamento" in other.json()["detail"]
    assert [(action, by) for action, by, _ in desk.begun] == [("drill", "it")]


@pytest.mark.parametrize(
    ("path", "typed", "status", "code"),
    [
        ("mark-lost", "", 422, "cluster.confirmation"),
        ("mark-lost", "perder a", 422, "cluster.confirmation"),
        ("explode", "", 422, "invalid"),
    ],
)
async def test_what_costs_data_must_be_typed(tmp_path: Path, path: str, typed: str, status: int, code: str) -> None:
    desk = Desk()
    async with admin_api(tmp_path, desk=desk) as api, api.signed_in("admin") as http:
        answer = await http.post(f"/api/admin/cluster/{path}", json={"typed": typed})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert desk.begun == []
        assert (await http.post("/api/admin/cluster/mark-lost", json={"typed": "perder b"})).status_code == 202
        assert [action for action, _, _ in desk.begun] == ["mark-lost"]


async def test_nobody_without_the_right_acts_and_a_lone_node_has_no_pair(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api:
        async with api.signed_in("auditor") as http:
            assert (await http.post("/api/admin/cluster/handover", json={})).status_code == 403
        async with api.signed_in("it") as http:
            assert (await http.get("/api/admin/cluster")).json()["paired"] is False
            refused = await http.post("/api/admin/cluster/handover", json={})
            assert (refused.status_code, refused.json()["code"]) == (409, "cluster.single")
