"""A real API on a real port: TLS, database, authority, identity; only the routes are the test's own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.api.application import Application, build_application
from appliance.api.server import Server
from appliance.api.tls import CertificateFiles
from appliance.config.model import Api, Config, Paths
from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.http import AnyRoute
from appliance.security import audit
from appliance.security.audit import AuditRow
from appliance.security.authority import Authority
from appliance.security.identity import Identity
from appliance.security.policy import Policy
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.metrics import Metrics

PATIENCE_S = 30.0


@dataclass
class Phone:
    """An enrolled device with a session."""

    token: str
    certificate: Path
    key: Path
    user_id: str
    device_id: str
    session_id: str


@dataclass
class ApiUnderTest:
    server: Server
    app: Application
    store: Database
    identity: Identity
    metrics: Metrics
    health: HealthRegistry
    ca: Path
    folder: Path
    _made: int = field(default=0)

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def tls(self, phone: Phone | None = None, *, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.set_alpn_protocols(list(alpn))
        if phone is not None:
            context.load_cert_chain(phone.certificate, phone.key)
        return context

    def client(self, phone: Phone | None = None, *, http2: bool = False, **options: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {phone.token}"} if phone else {}
        headers |= options.pop("headers", {})
        alpn = ("h2", "http/1.1") if http2 else ("http/1.1",)
        return httpx.AsyncClient(
            base_url=self.url, verify=self.tls(phone, alpn=alpn), http2=http2, headers=headers, timeout=60, **options
        )

    async def connect(
        self, phone: Phone | None = None, *, alpn: Sequence[str] = ("http/1.1",)
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A raw TLS connection, for clients that misbehave."""
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.tls(phone, alpn=alpn), server_hostname="127.0.0.1"
        )

    async def phone(self, role: str = "physician", name: str | None = None) -> Phone:
        self._made += 1
        username = name or f"{role}.{self._made}"
        user = await self.identity.create_user(username, role, None, username)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "phone")])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        csr_pem = csr.public_bytes(serialization.Encoding.PEM)
        enrolled = await self.store.write(
            lambda tx: self.identity.enrol_local(tx, csr=csr_pem, name=username, user_id=user.id)
        )
        leaf = x509.load_pem_x509_certificate(enrolled.certificate.encode())
        der = leaf.public_bytes(serialization.Encoding.DER)
        tokens = await self.store.write(
            lambda tx: self.identity.start_session(
                tx, user_id=user.id, device_id=enrolled.device_id, certificate_der=der
            )
        )
        certificate, key_file = self.folder / f"{username}.pem", self.folder / f"{username}.key"
        certificate.write_text(enrolled.certificate)
        key_file.write_bytes(pem_of(key))
        return Phone(tokens.access_token, certificate, key_file, user.id, enrolled.device_id, tokens.session_id)

    async def audit_rows(self, *, route: str | None = None) -> list[AuditRow]:
        """Audit events, oldest first; of one route if given."""
        rows = await self.store.read(lambda q: audit.read_events(q, limit=1000))
        return [row for row in reversed(rows) if route is None or row.event.route == route]


@asynccontextmanager
async def api_under_test(
    folder: Path,
    routes: Sequence[AnyRoute] = (),
    *,
    api: dict[str, Any] | None = None,
    policy: Policy | None = None,
    **options: Any,
) -> AsyncIterator[ApiUnderTest]:
    """Serve ``routes``; ``api`` overrides fields of ``[api]``, ``options`` go to ``build_application``."""
    defaults: dict[str, Any] = {"port": 0, "drain_s": 3.0}
    config = Config(api=Api(**(defaults | (api or {}))), store=StoreConfig(litestream=False))
    clock, metrics, health = SystemClock(), Metrics(), HealthRegistry()
    paths = Paths(folder / "home")
    authority = Authority.open(paths, config, clock.now())
    store = await Database.open(paths.database, config.store, metrics=metrics)
    identity = Identity(store, Vault(bytes(32)), authority, clock, config.security, policy=policy)
    try:
        app = build_application(
            routes,
            identity=identity,
            store=options.pop("store", store),
            metrics=metrics,
            config=config.api,
            clock=clock,
            health=health,
            **options,
        )
        files = CertificateFiles(authority.server_certificate, authority.server_key, authority.client_authorities)
        server = Server(app, config.api, files)
        server.start()
        try:
            yield ApiUnderTest(server, app, store, identity, metrics, health, paths.ca, folder)
        finally:
            await server.drain()
    finally:
        identity.close()
        await store.close()


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


async def eventually(condition: Any, *, within_s: float = PATIENCE_S) -> None:
    """Poll until ``condition()`` holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  polling is the point: the condition has no event
            await asyncio.sleep(0.02)


async def read_to_end(reader: asyncio.StreamReader, *, within_s: float = PATIENCE_S) -> bytes:
    """Everything until the server hangs up, politely or not."""
    received = b""
    async with asyncio.timeout(within_s):
        try:
            while part := await reader.read(65536):
                received += part
        except (ConnectionError, ssl.SSLError):
            pass
    return received


@asynccontextmanager
async def still_answering(api: ApiUnderTest) -> AsyncIterator[None]:
    """Ordinary requests before, during and after the attack."""
    answered = 0
    over = asyncio.Event()

    async def ask() -> None:
        nonlocal answered
        while not over.is_set():
            async with api.client() as client:
                assert (await client.get("/health/live")).status_code == 200
            answered += 1
            await asyncio.sleep(0.05)

    asking = asyncio.create_task(ask())
    await eventually(lambda: answered > 0)
    yield
    before = answered
    await eventually(lambda: answered > before or asking.done())
    over.set()
    await asking


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
