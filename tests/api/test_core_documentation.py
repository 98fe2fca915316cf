from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from appliance.api.openapi import PAGE_FOLDER, describe
from appliance.plugin_api.hooks import Health, HealthCheck
from appliance.plugin_api.http import (
    PUBLIC,
    AnyRoute,
    Reply,
    Request,
    Route,
    StaticFolder,
    WebSocketRoute,
    WebSocketSession,
)
from tests.api.harness import ApiUnderTest, api_under_test


class Dose(msgspec.Struct):
    """How much of what."""

    drug: str
    milligrams: float


class Prescription(msgspec.Struct):
    doses: list[Dose]


async def handler(_request: Request) -> Reply:
    return Reply()


async def conversation(_session: WebSocketSession) -> None: ...


ROUTES: list[AnyRoute] = [
    Route(
        "POST", "/api/p", "record.write", handler, "Prescribe", request=Prescription, response=Prescription, tag="drugs"
    ),
    Route("GET", "/api/p/{prescription_id}", "record.read", handler, "Read", response=list[Dose], tag="drugs"),
    Route("GET", "/api/open", PUBLIC, handler, "Open"),
    WebSocketRoute("/api/live/{room}", "record.read", conversation, "Live"),
    WebSocketRoute("/api/open", PUBLIC, conversation, "Live at an address that HTTP has too"),
    StaticFolder("/files", Path()),
]


def test_operations_are_described_from_the_routes_themselves() -> None:
    document = describe(ROUTES, title="T", version="9")
    assert document["openapi"] == "3.1.0"
    post = document["paths"]["/api/p"]["post"]
    assert post["summary"] == "Prescribe"
    assert post["tags"] == ["drugs"]
    assert post["x-permission"] == "record.write"
    assert post["security"] == [{"token": [], "device": []}]
    assert [parameter["name"] for parameter in post["parameters"]] == ["Idempotency-Key"]
    reference = {"$ref": "#/components/schemas/Prescription"}
    assert post["requestBody"]["content"]["application/json"]["schema"] == reference
    assert post["responses"]["2XX"]["content"]["application/json"]["schema"] == reference
    get = document["paths"]["/api/p/{prescription_id}"]["get"]
    assert [(p["name"], p["in"], p["required"]) for p in get["parameters"]] == [("prescription_id", "path", True)]
    assert "requestBody" not in get
    assert "security" not in document["paths"]["/api/open"]["get"]
    assert document["paths"]["/api/live/{room}"]["get"]["x-websocket"] is True
    assert "/files" not in document["paths"]


def test_schemas_are_complete_and_every_reference_leads_somewhere() -> None:
    document = describe(ROUTES, title="T", version="9")
    schemas = document["components"]["schemas"]
    assert schemas["Dose"]["description"] == "How much of what."
    assert schemas["Dose"]["required"] == ["drug", "milligrams"]
    references = re.findall(r'"\$ref":"#/components/schemas/(\w+)"', msgspec.json.encode(document).decode())
    assert references
    assert set(references) <= set(schemas)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with api_under_test(tmp_path, ROUTES[:-1], api={"drain_s": 0.5}) as served:
        yield served


async def test_the_description_is_public_and_names_every_operation(api: ApiUnderTest) -> None:
    async with api.client() as client:
        document = (await client.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {(route.method, route.path) for route in api.app.routes if isinstance(route, Route)}
    assert served - described == {("GET", "/openapi.json")}
    assert all(operation["summary"] for methods in document["paths"].values() for operation in methods.values())


async def test_the_page_loads_nothing_from_outside(api: ApiUnderTest) -> None:
    async with api.client() as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        wanted = set(re.findall(r'(?:src|href)="([^"]+)"', page.text)) - {"data:,"}
        assert wanted == {"/docs/page.css", "/docs/page.js", "/openapi.json"}
        for path in wanted:
            assert (await client.get(path)).status_code == 200
    for file in PAGE_FOLDER.iterdir():
        assert not re.search(r"https?://|//[a-z]+\.|@import|innerHTML", file.read_text()), file.name
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


# -- health ---------------------------------------------------------------------------------------------------------
async def well() -> Health:
    return Health("ok", "all is well")


async def ill() -> Health:
    return Health("failed", "the disk is full", "free some space")


async def breaks() -> Health:
    raise ValueError("Maria de Souza")


async def test_live_ready_primary(api: ApiUnderTest) -> None:
    api.health.add(HealthCheck("store", well))
    async with api.client() as client:
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        assert (await client.get("/health/ready")).json() == {"status": "ok", "mode": "single"}
        primary = await client.get("/health/primary")
        assert (primary.status_code, primary.json()) == (200, {"status": "primary"})
        api.health.add(HealthCheck("disk", ill))
        unready = await client.get("/health/ready")
        assert (unready.status_code, unready.json()) == (503, {"status": "failed", "mode": "single"})
        assert (await client.get("/health/live")).status_code == 200


async def test_only_those_who_may_see_the_parts(api: ApiUnderTest) -> None:
    api.health.add(HealthCheck("disk", ill))
    api.health.add(HealthCheck("broken", breaks))
    async with api.client(await api.phone("it")) as it, api.client(await api.phone("nurse")) as nurse:
        parts = (await it.get("/health/ready")).json()["parts"]
        assert parts["disk"] == {"status": "failed", "message": "the disk is full", "advice": "free some space"}
        assert parts["broken"]["status"] == "failed"
        assert "Maria" not in str(parts)
        assert "parts" not in (await nurse.get("/health/ready")).json()


async def test_metrics_are_for_those_who_run_the_node(api: ApiUnderTest) -> None:
    async with api.client(await api.phone("it")) as it, api.client() as stranger:
        answer = await it.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "prontuario_http_requests_total" in answer.text
        assert (await stranger.get("/metrics")).status_code == 401
