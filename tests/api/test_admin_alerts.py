"""Alerts over the admin API, from a real feed of this node and of a neighbour that a test plays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from admin_ui.shapes_alerts import AlertRow
from appliance.cluster.errors import NO_HANDOVER
from appliance.config.model import Config, Paths
from appliance.daemon.watching import CLOCK, LIST, SEEN, Seen, Watching
from appliance.operations.watching.conditions import PREFIX, Snapshot
from appliance.operations.watching.feed import Alert, AlertFeed
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.metrics import Metrics
from tests.api.admin_harness import AdminApi, admin_api
from tests.unit.store.conftest import until


class PlayedNeighbour:
    """The other node's end of the peer link: a real ``Watching`` behind it, or silence."""

    def __init__(self, other: Watching) -> None:
        self.services: dict[str, object] = {}
        self.other, self.away = other, False

    async def call(self, service: str, verb: str, body: bytes) -> bytes:
        assert service == "alerts"
        if self.away:
            raise NO_HANDOVER(reason="away", reason_pt="away", reason_code="away")
        return await self.other._serve_peer(verb, body)


def ill(feed: AlertFeed, *metrics: str) -> None:
    feed.look(Snapshot(1_800_000_000.0, {PREFIX + name: {(): 1.0} for name in metrics}))


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[AdminApi, Watching, Watching, PlayedNeighbour]]:
    own, other = (
        Watching(Paths(folder / node), Config(), SystemClock(), Metrics(), f"mac-{node}") for node in ("a", "b")
    )
    neighbour = PlayedNeighbour(other)
    own._neighbour = neighbour  # type: ignore[assignment]
    async with admin_api(folder, alerts=own) as api:
        yield api, own, other, neighbour


async def test_alerts_of_both_nodes_are_listed_the_critical_first_and_seen_by_name(tmp_path: Path) -> None:
    async with serving(tmp_path) as (api, own, other, _):
        ill(own.feed, "ups_on_battery")
        ill(other.feed, "ups_battery_low")
        async with api.signed_in("it") as http:
            rows = msgspec.json.decode((await http.get("/api/admin/alerts")).content, type=list[Alert])
            assert [(row.node, row.rule) for row in rows] == [("mac-b", "BatteryLow"), ("mac-a", "OnBattery")]
            for row in rows:
                key = {"Idempotency-Key": f"seen-{row.id}"}
                for _ in range(2):
                    answer = await http.post(f"/api/admin/alerts/{row.id}/acknowledge", headers=key)
                    assert (answer.status_code, answer.json()) == (200, {"id": row.id, "state": "seen"})
        await until(lambda: other.feed.on()[0].seen_by == "it")
        assert own.feed.on()[0].seen_by == "it"
        await until((tmp_path / "a" / "data" / "alerts.json").exists)


async def test_a_neighbour_that_is_away_leaves_what_it_said_last(tmp_path: Path) -> None:
    async with serving(tmp_path) as (api, own, other, neighbour):
        ill(other.feed, "ups_on_battery")
        async with api.signed_in("it") as http:
            assert len((await http.get("/api/admin/alerts")).json()) == 1
            neighbour.away = True
            own._peer = float("-inf"), own._peer[1]
            assert len((await http.get("/api/admin/alerts")).json()) == 1


async def test_who_may_not_manage_the_node_acknowledges_nothing_and_unknown_ones_are_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as (api, own, _, _):
        ill(own.feed, "ups_on_battery")
        path = f"/api/admin/alerts/{own.feed.on()[0].id}/acknowledge"
        async with api.signed_in("physician") as http:
            assert (await http.get("/api/admin/alerts")).status_code == 403
            assert (await http.post(path)).status_code == 403
        async with api.signed_in("it") as http:
            gone = await http.post("/api/admin/alerts/nope/acknowledge")
            assert (gone.status_code, gone.json()["code"]) == (404, "alerts.unknown")
        assert own.feed.on()[0].seen_by is None


async def test_the_peers_questions_are_answered(tmp_path: Path) -> None:
    watching = Watching(Paths(tmp_path), Config(), SystemClock(), Metrics(), "mac-a")
    serve = watching._serve_peer
    ill(watching.feed, "ups_on_battery")
    (told,) = msgspec.msgpack.decode(await serve(LIST, b""), type=list[Alert])
    seen = msgspec.msgpack.encode(Seen(told.id, "ana", "2027-01-15T08:00:00.000Z"))
    assert msgspec.msgpack.decode(await serve(SEEN, seen), type=list[Alert])[0].seen_by == "ana"
    assert abs(msgspec.msgpack.decode(await serve(CLOCK, b""), type=float) - SystemClock().now().timestamp()) < 60


async def test_a_node_that_watches_nothing_has_no_alerts(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api, api.signed_in("it") as http:
        assert (await http.get("/api/admin/alerts")).json() == []
        assert (await http.post("/api/admin/alerts/x/acknowledge")).status_code == 404


def test_the_dashboard_reads_only_what_core_says() -> None:
    assert set(AlertRow.__struct_fields__) <= set(Alert.__struct_fields__)
