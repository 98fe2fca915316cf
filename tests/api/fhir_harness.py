"""The FHIR routes served for real, and small words to talk to them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

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


@asynccontextmanager
async def fhir_api(folder: Path) -> AsyncIterator[ApiUnderTest]:
    late = LateStore()
    async with api_under_test(folder, fhir.routes(late), renderers={"/fhir/": fhir.render_error}) as served:
        late.database = served.store
        yield served


async def post(client: httpx.AsyncClient, resource: Any, path: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    address = f"/fhir/R4/{path or resource['resourceType']}" if path != "/" else "/fhir/R4"
    return await client.post(address, content=json.dumps(resource), headers=FHIR | named)


async def create(client: httpx.AsyncClient, resource: dict[str, Any]) -> dict[str, Any]:
    reply = await post(client, resource)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


def issue_of(reply: httpx.Response) -> dict[str, Any]:
    """The first issue of an OperationOutcome."""
    body = reply.json()
    assert reply.headers["content-type"] == "application/fhir+json"
    assert body["resourceType"] == "OperationOutcome"
    first: dict[str, Any] = body["issue"][0]
    return first


def code_of(reply: httpx.Response) -> str:
    """Our own stable code in an OperationOutcome."""
    return str(issue_of(reply)["details"]["coding"][0]["code"])
