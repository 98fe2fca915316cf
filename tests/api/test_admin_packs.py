"""Model packs over the admin API, on a real shelf with a real engine: from the stick to serving, back, and out again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from appliance.security import audit
from tests.api.admin_harness import AdminApi, admin_api
from tests.fakes.pack_node import PackNode, pack_node
from tests.unit.store.conftest import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Served:
    node: PackNode
    api: AdminApi
    http: httpx.AsyncClient
    """Of somebody in IT."""

    async def order(self, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        """Give an order and wait until it has ended; the work as the snapshot tells it."""
        answer = await self.http.post(path, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return await self.ended(answer.json()["id"])

    async def ended(self, work_id: str) -> dict[str, Any]:
        desk = self.node.desk
        await until(lambda: (work := desk.latest()) is not None and work.id == work_id and work.state != "running")
        ended: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(desk.latest()))
        return ended

    async def take_in(self, path: str) -> dict[str, Any]:
        return await self.order("/api/admin/pack-imports", {"place": str(self.node.disks), "path": path})

    async def states(self) -> dict[str, str]:
        rows = (await self.http.get("/api/admin/packs")).json()["packs"]
        return {row["pack"]: row["state"] for row in rows if row["name"] == "late"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("packs")
    async with pack_node(folder) as node, admin_api(folder, packs=node.desk) as api, api.signed_in("it") as http:
        node.slot.put(api.store)
        yield Served(node, api, http)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["code"]


async def test_a_pack_comes_from_a_stick_serves_goes_back_and_is_removed(served: Served) -> None:
    http, place = served.http, str(served.node.disks)
    first, second, bad = served.node.stick(1), served.node.stick(2), served.node.stick(3, load_error="no")
    places = (await http.get("/api/admin/pack-places")).json()["places"]
    assert [(one["id"], one["there"]) for one in places] == [("inbox", True), (place, True)]
    listed = (await http.get("/api/admin/pack-places/entries", params={"place": place, "path": "STICK"})).json()
    assert {(path, "pack") for path in (first, second, bad)} <= {
        (one["path"], one["kind"]) for one in listed["entries"]
    }
    offer = (await http.get("/api/admin/pack-places/offer", params={"place": place, "path": first})).json()
    assert (offer["pack"], offer["refused"]["code"], offer["there_bytes"], offer["serving"]) == ("late-1", "", 0, "")
    assert 0 < offer["bytes"] < offer["needed_bytes"] < offer["free_bytes"]
    for path in (first, second, bad):
        work = await served.take_in(path)
        assert (work["state"], work["done_bytes"], work["by"]) == ("done", work["all_bytes"], "it")
    known = (await http.get("/api/admin/pack-places/offer", params={"place": place, "path": first})).json()
    assert (known["pack"], known["refused"]["code"]) == ("late-1", "pack.older")

    assert (await served.order("/api/admin/packs/late-1/activate"))["serving"] == "late-1"
    work = await served.order("/api/admin/packs/late-2/activate")
    assert (work["state"], work["before"], work["serving"]) == ("done", "late-1", "late-2")
    work = await served.order("/api/admin/packs/late-3/activate")
    assert (work["state"], work["told"]["code"], work["serving"]) == ("failed", "pack.gate", "late-2")
    assert await served.states() == {"late-3": "standby", "late-2": "active", "late-1": "previous"}
    seen: dict[str, Any] = {}
    while (
        seen.get("id") != work["id"] or seen["state"] == "running"
    ):  # the picture is shared by all who look, and a second old at most
        seen = (await http.get("/api/admin/snapshot")).json()["pack_work"] or {}
    assert seen == work
    work = await served.order("/api/admin/pack-rollbacks/chat_model")
    assert (work["pack"], work["before"]) == ("late-1", "late-2")

    (served.node.shelf.find("late-3") / "LICENSE").write_text("another")
    work = await served.order("/api/admin/packs/late-3/verify")
    assert [(one["file"], one["told"]["code"]) for one in work["wrong"]] == [("LICENSE", "pack.truncated")]
    assert code_of(await http.post("/api/admin/packs/late-1/remove")) == (409, "pack.in_use")
    key = {"Idempotency-Key": "remove-late-3"}
    gone = await served.order("/api/admin/packs/late-3/remove", **key)
    again = await http.post("/api/admin/packs/late-3/remove", headers=key)
    assert (again.status_code, again.json()["id"], again.headers["idempotency-replayed"]) == (202, gone["id"], "true")
    assert await served.states() == {"late-2": "previous", "late-1": "active"}
    assert await _audited(served) >= {
        ("import model", "models/late-1", 200, ""),
        ("activate model", "models/late-2", 200, ""),
        ("activate model", "models/late-3", 422, "pack.gate"),
        ("roll model back", "models/late-1", 200, ""),
        ("verify model", "models/late-3", 422, "pack.truncated"),
        ("remove model", "models/late-3", 200, ""),
    }


async def _audited(served: Served) -> set[tuple[str, str, int, str]]:
    """Outcomes, each under the name of who gave the order."""
    found = await served.api.store.read(lambda q: audit.read_events(q, limit=500))
    it = (await served.http.get("/api/me")).json()["user"]["id"]
    outcomes = [row.event for row in found if row.event.resource.startswith("models/") and not row.event.method]
    assert {event.user_id for event in outcomes} == {it}
    return {(event.action, event.resource, event.status, event.detail_code) for event in outcomes}


async def test_the_texts_are_read_in_full(served: Served) -> None:
    assert (await served.take_in(served.node.stick(1, "other")))["pack"] == "other-1"
    text = (await served.http.get("/api/admin/packs/other-1")).json()
    assert (text["licence"], text["intended_use"]) == ("Apache-2.0", "Tests only.")
    assert {"config.json", "LICENSE"} <= {file["path"] for file in text["files"]}
    assert code_of(await served.http.get("/api/admin/packs/nothing-1")) == (404, "pack.unknown")


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "pack-places/entries?place=/etc", (404, "pack.place")),
        ("GET", "pack-places/entries?place=inbox&path=../secrets", (404, "pack.place")),
        ("GET", "pack-places/offer?place=inbox&path=nothing", (404, "pack.place")),
        ("POST", "packs/none-1/activate", (404, "pack.unknown")),
        ("POST", "packs/none-1/polish", (422, "invalid")),
    ],
)
async def test_what_is_not_there_is_told(served: Served, method: str, path: str, told: tuple[int, str]) -> None:
    assert code_of(await served.http.request(method, f"/api/admin/{path}")) == told


async def test_what_can_not_be_imported_says_why_before_and_after(served: Served) -> None:
    (served.node.paths.inbox / "plain").mkdir(exist_ok=True)
    asked = {"place": "inbox", "path": "plain"}
    offer = (await served.http.get("/api/admin/pack-places/offer", params=asked)).json()
    assert (offer["pack"], offer["refused"]["code"]) == ("", "pack.unsigned")
    assert offer["refused"]["step_pt"]
    work = await served.order("/api/admin/pack-imports", asked)
    assert (work["state"], work["told"]["code"]) == ("failed", "pack.unsigned")
    refused = await served.http.post("/api/admin/pack-imports", json={"place": "inbox", "path": "../x"})
    assert code_of(refused) == (404, "pack.place")
    stopping = await served.http.post(f"/api/admin/pack-work/{work['id']}/stop")
    assert (stopping.status_code, stopping.json()["state"]) == (202, "stopping")  # over already: nothing to stop


async def test_who_may_only_look_changes_nothing_and_sees_no_disks(served: Served) -> None:
    async with served.api.signed_in("auditor") as http:
        assert (await http.get("/api/admin/packs")).status_code == 200
        assert (await http.get("/api/admin/pack-places")).status_code == 403
        assert (await http.post("/api/admin/pack-imports", json={"place": "inbox", "path": "x"})).status_code == 403
        assert (await http.post("/api/admin/packs/late-1/remove")).status_code == 403


async def test_a_node_without_a_shelf_says_so(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api, api.signed_in("it") as http:
        assert (await http.get("/api/admin/packs")).json()["packs"] == []
        assert (await http.get("/api/admin/pack-places")).json() == {"places": []}
        assert (await http.post("/api/admin/packs/x-1/verify")).status_code == 404
        assert (await http.get("/api/admin/snapshot")).json()["pack_work"] is None
