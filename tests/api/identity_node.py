"""The identity API on a real port with real TLS: phones enrol through it, as they would."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.api import identity as identity_api
from appliance.api.application import build_application
from appliance.api.server import Server
from appliance.api.tls import CertificateFiles
from appliance.config.model import Api, Config, Paths, Store
from appliance.plugin_api.http import AnyRoute
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.identity import Identity
from appliance.security.users import User
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.metrics import Metrics
from tests.fakes.hand_clock import HandClock

PASSWORD = "cavalo bateria grampo 7"
ADDRESS = "10.0.0.5:8443"


@dataclass
class TestPhone:
    """A device as its owner holds it: key, certificate, and after a log-in the tokens."""

    __test__ = False

    client: httpx.AsyncClient
    device_id: str
    user: User
    tokens: dict[str, Any]

    async def login(self, password: str = PASSWORD) -> httpx.Response:
        answer = await self.client.post("/api/login", json={"username": self.user.username, "password": password})
        if answer.status_code == 200:
            self.use(answer.json())
        return answer

    def use(self, tokens: dict[str, Any]) -> None:
        self.tokens = tokens
        self.client.headers["Authorization"] = f"Bearer {tokens['access_token']}"


@dataclass
class IdentityNode:
    url: str
    store: Database
    identity: Identity
    authority: Authority
    clock: HandClock
    folder: Path
    routes: list[AnyRoute]
    phones: list[TestPhone] = field(default_factory=list)

    def client(self, certificate: Path | None = None, key: Path | None = None) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=str(self.folder / "home" / "ca.pem"))
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return httpx.AsyncClient(base_url=self.url, verify=context, timeout=60)

    async def user(self, username: str, role: str, password: str | None = PASSWORD) -> User:
        return await self.identity.create_user(username, role, password, username.title())

    async def enrol(self, user: User, code: str | None = None) -> TestPhone:
        """Through the API: a code, a key made here, a request for a certificate."""
        if code is None:
            code = (await self.store.write(lambda tx: self.identity.create_enrolment_code(tx, user.id, None))).code
        key = ec.generate_private_key(ec.SECP256R1())
        async with self.client() as stranger:
            answer = await stranger.post("/api/enrolment", json={"code": code, "csr": csr_of(key)})
        assert answer.status_code == 201, answer.text
        certificate = self.folder / f"{answer.json()['device_id']}.pem"
        key_file = certificate.with_suffix(".key")
        certificate.write_text(answer.json()["certificate"])
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        phone = TestPhone(self.client(certificate, key_file), answer.json()["device_id"], user, {})
        self.phones.append(phone)
        return phone

    async def phone(self, username: str, role: str) -> TestPhone:
        """A person with an enrolled phone and a session."""
        phone = await self.enrol(await self.user(username, role))
        assert (await phone.login()).status_code == 200
        return phone


def csr_of(key: ec.EllipticCurvePrivateKey | None = None) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


MoreRoutes = Callable[[Database, Vault, Identity, HandClock], Sequence[AnyRoute]]


@asynccontextmanager
async def identity_node(folder: Path, more: MoreRoutes | None = None) -> AsyncIterator[IdentityNode]:
    """A node with the routes of identity, and with those that ``more`` makes over its parts."""
    config, clock, metrics = Config(api=Api(port=0, drain_s=1), store=Store(litestream=False)), HandClock(), Metrics()
    # TLS checks certificates against the machine's clock, so this node's clock starts there.
    clock.wall = SystemClock().now()
    paths = Paths(folder / "home")
    authority, vault = Authority.open(paths, config, clock.now()), Vault(bytes(32), clock)
    async with await Database.open(paths.database, config.store) as store:
        hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        identity = Identity(store, vault, authority, clock, config.security, hasher=hasher)
        routes = identity_api.routes(identity, authority, store, HeadSigner.open(paths, vault), clock, address=ADDRESS)
        routes += more(store, vault, identity, clock) if more is not None else []
        app = build_application(
            routes,
            identity=identity,
            store=store,
            metrics=metrics,
            config=config.api,
            clock=clock,
            health=HealthRegistry(),
        )
        files = CertificateFiles(authority.server_certificate, authority.server_key, authority.client_authorities)
        server = Server(app, config.api, files)
        server.start()
        url = f"https://127.0.0.1:{server.port}"
        node = IdentityNode(url, store, identity, authority, clock, folder, routes)
        try:
            yield node
        finally:
            for phone in node.phones:
                await phone.client.aclose()
            await server.drain()
            identity.close()
