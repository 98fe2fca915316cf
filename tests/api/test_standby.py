"""A node without the record: health and metrics answer, everything else names the primary, streams are sent away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import websockets

from appliance.daemon.record import STANDBY
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route, ServerSentEvent, WebSocketRoute, WebSocketSession
from tests.api.harness import PATIENCE_S, api_under_test


@dataclass
class Place:
    """A standing that a test sets."""

    mode: str = "paired"
    epoch: int = 7
    role: str = "primary"

    @property
    def writable(self) -> bool:
        return self.role == "primary" and self.mode != "read-only"

    def refusal(self) -> ProntuarioError | None:
        return None if self.role == "primary" else STANDBY(primary="10.0.0.2:8443", retry_after=1.0)

    def step_down(self) -> None:
        self.role, self.mode = "standby", "read-only"


def routes() -> list[AnyRoute]:
    async def plain(_request: Request) -> Reply:
        return Reply(body={"served": True})

    async def ticks() -> AsyncIterator[ServerSentEvent]:
        number = 0
        while True:
            yield ServerSentEvent("tick", {"n": number})
            number += 1
            await asyncio.sleep(0.05)

    async def events(_request: Request) -> Reply:
        return Reply(stream=ticks())

    async def talk(session: WebSocketSession) -> None:
        await session.send({"hello": True})
        while await session.receive() is not None:
            pass

    return [
        Route("GET", "/api/plain", "record.read", plain, "Something"),
        Route("GET", "/api/hot", "record.read", plain, "Something hot", hot=True),
        Route("POST", "/api/change", "record.write", plain, "A change"),
        Route("GET", "/api/ticks", "record.read", events, "Ticks for ever"),
        WebSocketRoute("/api/talk", "record.read", talk, "A conversation"),
    ]


async def test_a_standby_tells_everybody_where_the_record_is(tmp_path: Path) -> None:
    place = Place()
    async with api_under_test(tmp_path, routes(), standing=place) as api:
        phone = await api.phone()
        async with api.client(phone, headers={"accept-language": "en"}) as client:
            assert (await client.get("/api/plain")).json() == {"served": True}
            place.step_down()
            for method, path in (
                ("GET", "/api/plain"), ("GET", "/api/hot"), ("POST", "/api/change"), ("GET", "/nowhere"), ("GET", "/docs"),
            ):  # fmt: skip
                answer = await client.request(method, path, content=b"x" * 100_000 if method == "POST" else None)
                told = answer.json()
                assert (answer.status_code, told["code"]) == (503, "cluster.standby"), path
                assert "10.0.0.2:8443" in told["detail"]
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["retry-after"] == "1"
                assert answer.headers["prontuario-mode"] == "read-only"
                assert answer.headers["prontuario-epoch"] == "7"
            place.role, place.mode = "primary", "degraded"
            served = await client.get("/api/plain")
            assert served.json() == {"served": True}
            assert served.headers["prontuario-mode"] == "degraded"


async def test_health_tells_the_role_and_only_the_lease_holder_is_primary(tmp_path: Path) -> None:
    place = Place()
    async with api_under_test(tmp_path, routes(), standing=place) as api, api.client() as client:

        async def asked() -> tuple[int, int, int, str]:
            live, ready, primary = [await client.get(f"/health/{name}") for name in ("live", "ready", "primary")]
            return live.status_code, ready.status_code, primary.status_code, str(ready.json()["role"])

        assert await asked() == (200, 200, 200, "primary")
        place.mode = "read-only"
        assert await asked() == (200, 200, 503, "primary")
        place.step_down()
        assert await asked() == (200, 200, 503, "standby")


async def test_a_standby_shows_its_metrics_to_devices_of_the_hospital_only(tmp_path: Path) -> None:
    place = Place(role="standby")
    async with api_under_test(tmp_path, routes(), standing=place) as api:
        phone = await api.phone()
        async with api.client() as stranger, api.client(phone) as device:
            refused = await stranger.get("/metrics")
            assert (refused.status_code, refused.json()["code"]) == (401, "auth.device_required")
            assert "prontuario_http_requests_total" in (await device.get("/metrics")).text


async def test_a_stream_ends_with_reconnect_when_the_role_is_lost_and_later_ones_run(tmp_path: Path) -> None:
    place = Place()
    async with api_under_test(tmp_path, routes(), standing=place) as api:
        phone = await api.phone()
        async with api.client(phone) as client, asyncio.timeout(PATIENCE_S):
            async with client.stream("GET", "/api/ticks") as answer:
                names = []
                async for line in answer.aiter_lines():
                    if line.startswith("event: "):
                        names.append(line.removeprefix("event: "))
                        if len(names) == 1:
                            place.step_down()
                            api.app.hand_over()
            assert names[0] == "tick"
            assert names[-1] == "reconnect"
            place.role = "primary"
            async with client.stream("GET", "/api/ticks") as answer:
                seen = []
                async for line in answer.aiter_lines():
                    seen.append(line)
                    if sum(line == "event: tick" for line in seen) == 3:
                        break
            assert "event: reconnect" not in seen


async def test_a_websocket_is_closed_with_1012_and_a_new_one_is_refused(tmp_path: Path) -> None:
    place = Place()
    async with api_under_test(tmp_path, routes(), standing=place) as api:
        phone = await api.phone()
        url, headers = f"wss://127.0.0.1:{api.port}/api/talk", {"Authorization": f"Bearer {phone.token}"}
        async with asyncio.timeout(PATIENCE_S):
            async with websockets.connect(url, ssl=api.tls(phone), proxy=None, additional_headers=headers) as peer:
                await peer.recv()
                place.step_down()
                api.app.hand_over()
                await peer.wait_closed()
                assert (peer.close_code, peer.close_reason) == (1012, "reconnect")
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(url, ssl=api.tls(phone), proxy=None, additional_headers=headers)
    assert refused.value.response.status_code == 503
