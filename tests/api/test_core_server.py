from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from appliance.api import server as server_module
from appliance.api.connection import Connection
from appliance.api.server import Server, serve
from appliance.api.tls import CertificateFiles
from appliance.config.model import Api, Config, Paths
from appliance.plugin_api.http import PUBLIC, Reply, Request, Route
from appliance.security.authority import Authority
from appliance.telemetry.clock import SystemClock
from tests.api.harness import ApiUnderTest, api_under_test, eventually, read_to_end

gates: list[asyncio.Event] = []
arrived: list[str] = []


async def wait(request: Request) -> Reply:
    arrived.append(request.parameters["name"])
    await gates[-1].wait()
    return Reply(body="done")


async def stuck(_request: Request) -> Reply:
    arrived.append("stuck")
    await asyncio.Event().wait()
    return Reply()


ROUTES = [
    Route("GET", "/wait/{name}", PUBLIC, wait, "Wait"),
    Route("GET", "/hot-wait/{name}", PUBLIC, wait, "Wait, hot", hot=True),
    Route("GET", "/stuck", PUBLIC, stuck, "Never ends"),
]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    gates.append(asyncio.Event())
    arrived.clear()
    async with api_under_test(tmp_path, ROUTES, api={"drain_s": 2.0, "keep_alive_timeout_s": 60.0}) as served:
        yield served


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("path", ["/wait", "/hot-wait"])
async def test_draining_lets_running_requests_end(api: ApiUnderTest, http2: bool, path: str) -> None:
    async with api.client(http2=http2) as client:
        running = asyncio.create_task(client.get(f"{path}/a"))
        await eventually(lambda: arrived == ["a"])
        drained = asyncio.create_task(api.server.drain())
        await eventually(api.app.draining.is_set)
        gates[-1].set()
        answer = await running
        assert answer.json() == "done"
        await drained
        assert api.server.connections == 0


async def test_draining_refuses_new_connections_and_closes_idle_ones(api: ApiUnderTest) -> None:
    async with api.client() as client:
        assert (await client.get("/health/live")).status_code == 200
        port = api.port
        idle_reader, idle_writer = await api.connect()
        await api.server.drain()
        assert await idle_reader.read() == b""
        idle_writer.close()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)


async def test_what_never_ends_is_cut_after_the_drain_time(api: ApiUnderTest) -> None:
    reader, writer = await api.connect()
    writer.write(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
    await eventually(lambda: "stuck" in arrived)
    await api.server.drain()
    assert api.server.connections == 0
    assert await read_to_end(reader) == b""
    writer.close()


async def test_serve_reports_its_port_and_returns(tmp_path: Path, api: ApiUnderTest) -> None:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    shutdown = asyncio.Event()
    home = Paths(tmp_path / "home")
    authority = Authority.open(home, Config(), SystemClock().now())
    files = CertificateFiles(authority.server_certificate, authority.server_key, authority.client_authorities)
    serving = asyncio.create_task(serve(api.app, Api(port=0), files, shutdown, ready.set_result))
    port = await ready
    assert port != api.port
    with socket.create_connection(("127.0.0.1", port), 10):
        pass
    shutdown.set()
    await asyncio.wait_for(serving, 30)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 10)


async def test_a_taken_port_is_told_at_once(tmp_path: Path, api: ApiUnderTest) -> None:
    files = CertificateFiles(
        *(tmp_path / "home" / "secrets" / name for name in ("server.pem", "server.key", "clients.pem"))
    )
    with pytest.raises(OSError, match="in use"):
        await serve(api.app, Api(port=api.port), files, asyncio.Event())


async def test_a_missing_certificate_is_told_at_once(tmp_path: Path, api: ApiUnderTest) -> None:
    nothing = tmp_path / "nothing.pem"
    with pytest.raises(OSError, match="No such file"):
        Server(api.app, Api(port=0), CertificateFiles(nothing, nothing, nothing))


async def served_serial(api: ApiUnderTest) -> int:
    _, writer = await api.connect()
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True)
    writer.close()
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


async def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path, api: ApiUnderTest) -> None:
    before = await served_serial(api)
    authority = Authority.open(Paths(tmp_path / "home"), Config(), SystemClock().now())
    assert authority.renew_server(["127.0.0.1", "another.name"], SystemClock().now())
    assert await served_serial(api) == before
    api.server.reload_certificate()
    assert await served_serial(api) != before


async def test_requests_are_counted_by_route_and_never_by_path(api: ApiUnderTest) -> None:
    gates[-1].set()
    async with api.client() as client:
        for name in ("Maria", "José"):
            await client.get(f"/wait/{name}")
        await client.get("/Maria/secret")
        await client.request("MARIA", "/wait/x")
    text = api.metrics.render().decode()
    assert 'prontuario_http_requests_total{method="GET",route="/wait/{name}",status="200"} 2.0' in text
    assert 'prontuario_http_request_seconds_count{method="GET",route="/wait/{name}"} 2.0' in text
    assert 'prontuario_http_requests_total{method="GET",route="(none)",status="404"} 1.0' in text
    assert "Maria" not in text
    assert "MARIA" not in text
    assert "prontuario_http_requests_running 0.0" in text


def connections() -> list[object]:
    """By type, not isinstance: a dead weak proxy of some library, asked for its class, raises."""
    return [one for one in gc.get_objects() if type(one) is Connection]


async def test_closed_connections_do_not_pile_up_their_tls(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CLOSED_TO_COLLECT", 8)
    others = {id(one) for one in connections()}  # of servers that other tests left
    gc.disable()  # as good as off is what it is in production: few objects, much memory
    try:
        gates[-1].set()
        for _ in range(24):
            async with api.client() as client:
                assert (await client.get("/wait/a")).status_code == 200
        await eventually(lambda: api.server.connections == 0)
        left = sum(id(one) not in others for one in connections())
    finally:
        gc.enable()
    assert left <= 8
