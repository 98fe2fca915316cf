"""FHIR REST over real TLS, with identity, audit and the real store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from appliance.api import fhir
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.database import Database
from tests.api.harness import ApiUnderTest, api_under_test

T = TypeVar("T")
FHIR = {"content-type": "application/fhir+json"}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"family": "Gonçalves", "given": ["João"]}],
    "identifier": [{"system": "urn:cns", "value": "700001"}],
}


class LateStore:
    """Routes are made before the harness opens its database."""

    def __init__(self) -> None:
        self.database: Database | None = None

    async def read(self, query: Callable[[Query], T]) -> T:
        assert self.database is not None
        return await self.database.read(query)

    async def write(self, change: Callable[[Transaction], T]) -> T:
        assert self.database is not None
        return await self.database.write(change)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    late = LateStore()
    async with api_under_test(tmp_path, fhir.routes(late), renderers={"/fhir/": fhir.render_error}) as served:
        late.database = served.store
        yield served


@pytest.fixture
async def client(api: ApiUnderTest) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client(await api.phone("physician")) as opened:
        yield opened


async def post(client: httpx.AsyncClient, resource: dict[str, Any], **headers: str) -> httpx.Response:
    return await client.post(
        f"/fhir/R4/{resource['resourceType']}", content=json.dumps(resource), headers=FHIR | headers
    )


def issue_of(reply: httpx.Response) -> dict[str, Any]:
    body = reply.json()
    assert reply.headers["content-type"] == "application/fhir+json"
    assert body["resourceType"] == "OperationOutcome"
    first: dict[str, Any] = body["issue"][0]
    return first


async def test_create_read_update_history_delete(client: httpx.AsyncClient) -> None:
    made = await post(client, PATIENT)
    assert made.status_code == 201
    assert made.headers["etag"] == 'W/"1"'
    patient = made.json()
    address = f"/fhir/R4/Patient/{patient['id']}"
    assert made.headers["location"] == str(client.base_url).rstrip("/") + address + "/_history/1"
    read = await client.get(address)
    assert read.json() == patient
    assert read.headers["last-modified"].endswith("GMT")
    assert (await client.get(address, headers={"if-none-match": 'W/"1"'})).status_code == 304
    assert (await client.get(address, headers={"if-none-match": 'W/"2"'})).status_code == 200

    change = json.dumps({**patient, "active": False})
    assert (await client.put(address, content=change, headers=FHIR)).status_code == 428
    updated = await client.put(address, content=change, headers=FHIR | {"if-match": 'W/"1"'})
    assert updated.status_code == 200, updated.text
    assert updated.headers["etag"] == 'W/"2"'
    late = await client.put(address, content=change, headers=FHIR | {"if-match": 'W/"1"'})
    assert late.status_code == 412
    assert issue_of(late)["details"]["coding"][0]["code"] == "fhir.version_conflict"

    assert (await client.delete(address)).status_code == 204
    assert (await client.get(address)).status_code == 410
    assert (await client.get(f"{address}/_history/1")).json() == patient
    assert (await client.get(f"{address}/_history/3")).status_code == 410
    assert (await client.get(f"{address}/_history/9")).status_code == 404
    history = (await client.get(f"{address}/_history")).json()
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT", "POST"]
    assert "resource" not in history["entry"][0]
    assert history["entry"][2]["resource"] == patient
