"""A real node's API as the dashboard sees it: TLS, database, identity, jobs; only engines and plugins are told."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import argon2
import httpx
import msgspec

from appliance.api import admin, identity
from appliance.api.admin_alerts import AlertDesk
from appliance.api.admin_capacity import CapacityDesk
from appliance.api.admin_cluster import ClusterDesk
from appliance.api.admin_doctor import DoctorDesk
from appliance.api.admin_drills import DrillDesk
from appliance.api.admin_node import NodeProbe, requests_answered
from appliance.api.admin_packs import PackDesk
from appliance.api.admin_schedule import ScheduleDesk
from appliance.api.admin_sources import AdminSources
from appliance.api.admin_updates import UpdateDesk
from appliance.api.application import build_application
from appliance.api.care_switches import SwitchRoutes
from appliance.api.server import Server
from appliance.api.tls import CertificateFiles
from appliance.config.model import Api, Config, Node, Paths, Security
from appliance.config.model import Store as StoreConfig
from appliance.daemon.enrolment import make_key_and_csr
from appliance.engines.fleet import EngineReport
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.hooks import AdminPage, Health, HealthCheck
from appliance.plugin_api.http import AnyRoute
from appliance.plugin_host.host import PluginReport
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.identity import Identity
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock, instant
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.metrics import Metrics

PASSWORD = "Orvalho-na-Serra-27"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PAGE = AdminPage("engines", "Motores", "Engines", (("Agora", "/api/admin/engines"),))
QUARANTINE = "ValueError: the table [plugins.broken] has no key <b>modelo</b>"

MoreRoutes = Callable[[Database, Vault, Identity], Sequence[AnyRoute]]
"""Routes over the node's own record, besides the usual ones."""


@dataclass
class AdminApi:
    """One node. ``engines`` and ``plugins`` may be changed while it serves."""

    server: Server
    store: Database
    identity: Identity
    home: Paths
    certificate: Path
    key: Path
    engines: list[EngineReport]
    plugins: list[PluginReport]
    models: list[ModelInfo]
    woken: list[bool] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.port}"

    def tls(self) -> ssl.SSLContext:
        """As the dashboard's own device."""
        context = ssl.create_default_context(cafile=self.home.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context

    async def person(self, role: str) -> str:
        """Make a person called like the role; the name."""
        await self.identity.create_user(role, role, PASSWORD, role.title())
        return role

    @asynccontextmanager
    async def signed_in(self, role: str) -> AsyncIterator[httpx.AsyncClient]:
        """A new person's HTTP client."""
        async with httpx.AsyncClient(base_url=self.url, verify=self.tls(), timeout=60) as http:
            body = {"username": await self.person(role), "password": PASSWORD}
            answer = await http.post("/api/login", json=body)
            assert answer.status_code == 200, answer.text
            http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield http


@asynccontextmanager
async def admin_api(
    folder: Path,
    *,
    port: int = 0,
    access_token_s: float = 900.0,
    desk: ClusterDesk | None = None,
    schedule: ScheduleDesk | None = None,
    alerts: AlertDesk | None = None,
    packs: PackDesk | None = None,
    drills: DrillDesk | None = None,
    capacity: CapacityDesk | None = None,
    updates: UpdateDesk | None = None,
    doctor: DoctorDesk | None = None,
    more: MoreRoutes = lambda *_: [],
) -> AsyncIterator[AdminApi]:
    """Serve on ``folder``; a second time on the same folder it is the same node, started again; with a ``desk`` one of a pair."""
    config = Config(
        node=Node(name="mac-a", hospital="Hospital São Lucas"),
        api=Api(port=port, drain_s=3.0),
        store=StoreConfig(litestream=False),
        security=Security(access_token_s=access_token_s),
    )
    clock, metrics, health, paths = SystemClock(), Metrics(), HealthRegistry(), Paths(folder / "home")
    authority, vault = Authority.open(paths, config, clock.now()), Vault(bytes(32))
    store = await Database.open(paths.database, config.store, metrics=metrics)
    people = Identity(store, vault, authority, clock, config.security, hasher=CHEAP)
    health.add(HealthCheck("record", _fine))
    health.add(HealthCheck("notes", _ill))
    parts = [engine("speech", "ready"), engine("chat", "circuit_open")], [*PLUGINS], [*MODELS]
    woken: list[bool] = []
    restarted: list[str] = []
    probe = NodeProbe(
        config,
        paths,
        clock,
        version="0.1.0",
        mode=lambda: store.mode,
        requests_total=lambda: requests_answered(metrics),
    )
    sources = AdminSources(
        store=store,
        health=health,
        node=probe,
        engines=lambda: parts[0],
        plugins=lambda: parts[1],
        models=lambda: parts[2],
        wake_jobs=lambda: woken.append(True),
        cluster=desk,
        schedule=schedule,
        alerts=alerts,
        packs=packs,
        drills=drills,
        capacity=capacity,
        updates=updates,
        doctor=doctor,
        restart_engine=lambda name: not restarted.append(name),
    )
    signer = HeadSigner.open(paths, vault)
    routes = [
        *identity.routes(people, authority, store, signer, clock, address="mac-a.local:8443"),
        *admin.routes(sources),
        *SwitchRoutes(store, lambda: instant(clock.now())).routes(),
        *more(store, vault, people),
    ]
    app = build_application(
        routes, identity=people, store=store, metrics=metrics, config=config.api, clock=clock, health=health
    )
    files = CertificateFiles(authority.server_certificate, authority.server_key, authority.client_authorities)
    server = Server(app, config.api, files)
    server.start()
    try:
        certificate, key = await _dashboard_device(people, store, folder)
        yield AdminApi(server, store, people, paths, certificate, key, *parts, woken, restarted)
    finally:
        await server.drain()
        people.close()
        await store.close()


async def _dashboard_device(people: Identity, store: Database, folder: Path) -> tuple[Path, Path]:
    certificate, key_file = folder / "dashboard.pem", folder / "dashboard.key"
    if not certificate.exists():
        key, csr = make_key_and_csr("dashboard")
        enrolled = await store.write(lambda tx: people.enrol_local(tx, csr=csr, name="dashboard", user_id=None))
        certificate.write_text(enrolled.certificate)
        key_file.write_bytes(key)
    return certificate, key_file


async def _fine() -> Health:
    return Health("ok", "whole", message_pt="íntegro")


async def _ill() -> Health:
    return Health("failed", "the engine fell", "restart it", message_pt="o motor caiu", advice_pt="reinicie o motor")


def engine(name: str, status: str, **more: object) -> EngineReport:
    """One row of the fleet."""
    row = EngineReport(
        name=name,
        plugin="whisper_stt",
        status=status,
        pid=1,
        restarts=0,
        waiting=3,
        running=2,
        footprint_bytes=1 << 30,
        resident_bytes=1 << 29,
        model_id=f"demo-{name}",
        model_sha256="ab" * 32,
        demonstration=True,
        reason="" if status == "ready" else "exit code -9",
    )
    return msgspec.structs.replace(row, **more)


PLUGINS = (
    PluginReport(name="whisper_stt", version="0.1.0", first_party=True, state="active", pages=(PAGE,)),
    PluginReport(name="broken", version="2", first_party=False, state="quarantined", reason=QUARANTINE),
)
MODELS = (ModelInfo("demo-speech", "ab" * 32, "speech_to_text", True, True),)
