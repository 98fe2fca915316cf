from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h2.connection
import h2.events
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.plugin_api.http import PUBLIC, Reply, Request, Route
from tests.api.harness import (
    ApiUnderTest,
    Phone,
    api_under_test,
    eventually,
    pem_of,
    read_to_end,
    status_of,
    still_answering,
)

MAX_CONNECTIONS = 20


async def whose(request: Request) -> Reply:
    return Reply(body={"certificate": request.device_certificate is not None})


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    limits = {
        "handshake_timeout_s": 1.0,
        "keep_alive_timeout_s": 4.0,
        "max_connections": MAX_CONNECTIONS,
        "drain_s": 0.5,
    }
    async with api_under_test(tmp_path, [Route("GET", "/whose", PUBLIC, whose, "Whose")], api=limits) as served:
        yield served


def certify(
    folder: Path,
    issuer_name: x509.Name | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
    *,
    chain: bytes = b"",
    ended: bool = False,
) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "forged")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=-1 if ended else 9))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(issuer_key or key, hashes.SHA256())
    )
    certificate, key_file = folder / "forged.pem", folder / "forged.key"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM) + chain)
    key_file.write_bytes(pem_of(key))
    return certificate, key_file


async def answer_with(api: ApiUnderTest, context: ssl.SSLContext) -> bytes:
    """What a client with these TLS settings gets; nothing at all when the handshake fails, on either side."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port, ssl=context, server_hostname="127.0.0.1")
    except (ssl.SSLError, ConnectionError):
        return b""
    writer.write(b"GET /whose HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await read_to_end(reader)
    writer.close()
    return answer


async def test_the_certificate_reaches_the_handler_and_may_be_missing(api: ApiUnderTest) -> None:
    assert b'{"certificate":false}' in await answer_with(api, api.tls())
    assert b'{"certificate":true}' in await answer_with(api, api.tls(await api.phone()))


async def test_tls_1_2_is_refused(api: ApiUnderTest) -> None:
    context = api.tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with still_answering(api):
        assert await answer_with(api, context) == b""
    context = api.tls()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    assert status_of(await answer_with(api, context)) == 200


async def test_a_certificate_of_a_foreign_authority_is_refused(api: ApiUnderTest, tmp_path: Path) -> None:
    context = api.tls()
    context.load_cert_chain(*certify(tmp_path, None, None))
    async with still_answering(api):
        assert await answer_with(api, context) == b""


async def test_a_phone_can_not_issue_certificates(api: ApiUnderTest, tmp_path: Path) -> None:
    phone = await api.phone()
    key = serialization.load_pem_private_key(phone.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.load_pem_x509_certificate(phone.certificate.read_bytes()).subject
    context = api.tls()
    context.load_cert_chain(*certify(tmp_path, name, key, chain=phone.certificate.read_bytes()))
    async with still_answering(api):
        assert await answer_with(api, context) == b""


async def test_the_servers_own_certificate_is_no_device(api: ApiUnderTest, tmp_path: Path) -> None:
    secrets = tmp_path / "home" / "secrets"
    context = api.tls()
    context.load_cert_chain(secrets / "server.pem", secrets / "server.key")
    assert await answer_with(api, context) == b""


async def test_no_session_is_resumed(api: ApiUnderTest) -> None:
    """A ticket would let a client in on the strength of an earlier handshake."""

    def resume() -> bool:
        context = api.tls(phone)
        with (
            socket.create_connection(("127.0.0.1", api.port), 10) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as first,
        ):
            first.sendall(b"GET /whose HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while first.recv(4096):
                pass
            ticket = first.session
        return ticket is not None and ticket.has_ticket

    phone: Phone = await api.phone()
    assert await asyncio.to_thread(resume) is False


async def test_silent_clients_are_dropped_before_their_handshake(api: ApiUnderTest) -> None:
    silent = []
    async with still_answering(api):
        for number in range(15):
            reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
            if number % 2:
                writer.write(b"\x16\x03\x01\x02\x00\x01")
            silent.append((reader, writer))
        for reader, writer in silent:
            assert len(await read_to_end(reader)) < 100
            writer.close()
    await eventually(lambda: api.server.connections <= 1)


async def test_plain_http_on_the_tls_port_gets_nothing(api: ApiUnderTest) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(b"GET /whose HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"HTTP/1.1 200" not in await read_to_end(reader)
    writer.close()


async def test_beyond_the_limit_clients_are_told_so(api: ApiUnderTest) -> None:
    """All places taken by idle connections: the next ones hear 503 or GOAWAY, and places come back."""
    idle = await asyncio.gather(*(api.connect() for _ in range(MAX_CONNECTIONS)))
    await eventually(lambda: api.server.connections == MAX_CONNECTIONS)
    full = await answer_with(api, api.tls())
    assert status_of(full) == 503
    assert b"retry-after: 2" in full
    head, body = full.split(b"\r\n\r\n", 1)
    assert f"content-length: {len(body)}".encode() in head
    assert b'"code":"busy"' in body

    reader, writer = await api.connect(alpn=("h2",))
    client = h2.connection.H2Connection()
    client.initiate_connection()
    writer.write(client.data_to_send())
    events = client.receive_data(await read_to_end(reader))
    assert any(isinstance(event, h2.events.ConnectionTerminated) for event in events)
    writer.close()

    await eventually(lambda: api.server.connections < MAX_CONNECTIONS)  # the idle ones time out by themselves
    async with api.client() as ordinary:
        assert (await ordinary.get("/whose")).status_code == 200
    for _, opened in idle:
        opened.close()


async def test_two_thousand_connections_beyond_the_limit_do_not_hurt(api: ApiUnderTest) -> None:
    """They neither pile up nor keep those inside from being answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096  # both ends of the flood are in this process
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine allows only {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    async with AsyncExitStack() as stack:
        inside = await stack.enter_async_context(api.client())
        assert (await inside.get("/whose")).status_code == 200
        flood = stack.enter_context(ExitStack())
        for number in range(2000):
            raw = flood.enter_context(socket.socket())
            raw.setblocking(False)
            with pytest.raises(BlockingIOError):
                raw.connect(("127.0.0.1", api.port))
            if number % 100 == 0:
                assert (await inside.get("/whose")).status_code == 200
                assert api.server.connections <= MAX_CONNECTIONS
        flood.close()
        assert (await inside.get("/whose")).status_code == 200
    await eventually(lambda: api.server.connections == 0)
