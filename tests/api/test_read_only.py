"""A node without a lease whose record is still open: reads go on and are audited here, writes are refused (ADR 14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from appliance.daemon.record import RecordSlot
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.database import Database
from tests.api.harness import ApiUnderTest, api_under_test

T = TypeVar("T")


@dataclass
class Lapsing:
    """The database of a node whose lease a test takes away; closed, it can keep nothing."""

    database: Database | None = None
    mode: str = "paired"

    async def write(self, change: Callable[[Transaction], T]) -> T:
        assert self.database is not None
        return await self.database.write(change)

    async def write_here(self, change: Callable[[Transaction], T]) -> T:
        assert self.database is not None
        return await self.database.write_here(change)

    async def read(self, query: Callable[[Query], T]) -> T:
        assert self.database is not None
        return await self.database.read(query)


def routes() -> list[AnyRoute]:
    async def look(request: Request) -> Reply:
        return Reply(body={"id": request.parameters["id"]})

    async def change(request: Request) -> Reply:
        return await request.commit(lambda _tx: Reply(status=201))

    return [
        Route("GET", "/api/things/{id}", "record.read", look, "A thing"),
        Route("POST", "/api/things", "record.write", change, "A new thing"),
    ]


async def events(api: ApiUnderTest) -> list[tuple[str, int]]:
    rows = [row.event for row in await api.audit_rows() if row.event.route.startswith("/api/things")]
    return [(event.method, event.status) for event in rows]


async def test_reads_are_answered_and_audited_and_writes_are_refused(tmp_path: Path) -> None:
    slot, lapsing = RecordSlot(), Lapsing()
    async with api_under_test(tmp_path, routes(), store=slot) as api:
        lapsing.database = api.store
        slot.put(cast("Database", lapsing))
        async with api.client(await api.phone()) as client:
            assert (await client.get("/api/things/1")).status_code == 200
            lapsing.mode = "read-only"
            assert (await client.get("/api/things/2")).status_code == 200
            refused = await client.post("/api/things", json={})
            assert (refused.status_code, refused.json()["code"]) == (503, "cluster.read_only")
            assert await events(api) == [("GET", 200), ("GET", 200), ("POST", 503)]
            await slot.fall_quiet()
            answer = await client.get("/api/things/3")
            assert (answer.status_code, answer.json()["code"]) == (503, "audit.unavailable")
            assert answer.headers["retry-after"] == "1"
            slot.speak_again()
            lapsing.mode = "paired"
            assert (await client.post("/api/things", json={})).status_code == 201
            assert await events(api) == [("GET", 200), ("GET", 200), ("POST", 503), ("POST", 201)]
