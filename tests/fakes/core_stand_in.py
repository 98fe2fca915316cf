"""A stand-in for core's API: the dashboard's side of it, with state in memory, over plain HTTP or HTTPS.

It answers in the shapes of ``appliance.api.admin_shapes`` and of the security layer, so a change there shows here.
Tests tell it to fail through its attributes; ``python tests/fakes/core_stand_in.py FOLDER`` serves it for looking at pages.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from appliance.api import admin_shapes as shapes
from appliance.api.identity_shapes import CodeForDevice, DeviceList, Me, UserList
from appliance.engines.fleet import EngineReport
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.hooks import AdminPage
from appliance.plugin_host.host import PluginReport
from appliance.security.audit_heads import Report
from appliance.security.devices import Device
from appliance.security.policy import ROLES
from appliance.security.sessions import Tokens
from appliance.security.users import User
from appliance.store.job_records import JobRow
from appliance.telemetry.clock import instant

PASSWORD = "uma senha comprida"
CODE = "4F7KQ-8M2XD-9RT3W-0HCVB-6NPZE"
MIB = 1 << 20


def now() -> str:
    return instant(datetime.now(UTC))


class CoreStandIn:
    """Users are named like their roles: ``admin`` signs in as an administrator, with ``PASSWORD``."""

    def __init__(self, *, event_pause_s: float = 2.0, events: int = 30) -> None:
        self.calls: list[tuple[str, str]] = []
        self.keys: list[str] = []
        self.event_pause_s = event_pause_s
        self.events = events
        self.refreshes = 0
        self.accept_refresh = True
        self.tokens: dict[str, str] = {}
        self.refresh_tokens: dict[str, str] = {}
        self.access_s = 900.0
        self.audit_intact = True
        self.started = datetime.now(UTC)
        self.counter = itertools.count(1)
        self.users = [User(f"u-{role}", role, role.title(), role, None, now(), None) for role in ROLES]
        self.devices = [
            Device("d-1", "u-physician", "iPhone da Dra. Ana", now(), None, now()),
            Device("d-2", None, "iPad da enfermaria", now(), None, now()),
        ]
        self.dead = [
            JobRow(f"{n:032x}", "care.transcribe", "dead", 8, 0.0, "engine.died", now(), now()) for n in range(1, 4)
        ]
        self.quarantined = "ValueError em plugins.exemplo.plugin: a tabela [plugins.exemplo] não tem a chave 'modelo'"
        self.app = Starlette(routes=self._routes())

    def _routes(self) -> list[Route]:
        table: list[tuple[str, str, Any]] = [
            ("POST", "/api/login", self.login),
            ("POST", "/api/token/refresh", self.refresh),
            ("POST", "/api/logout", self.logout),
            ("GET", "/api/me", self.me),
            ("GET", "/api/admin/snapshot", self.one_snapshot),
            ("GET", "/api/admin/events", self.stream),
            ("GET", "/api/admin/jobs", self.jobs),
            ("POST", "/api/admin/jobs/{id}/{verb}", self.change_job),
            ("GET", "/api/admin/audit", self.audit),
            ("GET", "/api/users", self.list_users),
            ("POST", "/api/users", self.create_user),
            ("POST", "/api/users/{id}/enrolment-codes", self.code),
            ("GET", "/api/devices", self.list_devices),
            ("POST", "/api/devices/enrolment-codes", self.code),
            ("DELETE", "/api/devices/{id}", self.revoke),
            ("PATCH", "/api/users/{id}", self.change_user),
            ("GET", "/api/audit/check", self.check),
            ("GET", "/api/plugins/whisper_stt/figures", self.figures),
        ]
        return [Route(path, handler, methods=[method]) for method, path, handler in table]

    # -- sessions
    def _issue(self, role: str) -> Response:
        access, refresh = secrets.token_hex(8), secrets.token_hex(8)
        self.tokens[access] = self.refresh_tokens[refresh] = role
        return answer(Tokens(access, self.access_s, refresh, 43200.0, "s-1", f"u-{role}"))

    async def login(self, request: Request) -> Response:
        body = await request.json()
        self._note(request)
        if body["username"] not in ROLES or body["password"] != PASSWORD:
            return problem(401, "auth.invalid_credentials", "Usuário ou senha não conferem.")
        return self._issue(body["username"])

    async def refresh(self, request: Request) -> Response:
        self._note(request)
        self.refreshes += 1
        role = self.refresh_tokens.pop((await request.json())["refresh_token"], None)
        if role is None or not self.accept_refresh:
            return problem(401, "auth.revoked", "A sessão terminou.")
        return self._issue(role)

    async def logout(self, request: Request) -> Response:
        self._note(request)
        self.tokens.clear()
        return answer(None)

    async def me(self, request: Request) -> Response:
        role = self._role(request)
        if role is None:
            return problem(401, "auth.required", "Entre primeiro.")
        return answer(
            Me(User(f"u-{role}", role, role.title(), role, None, now(), None), "d-0", "s-1", tuple(sorted(ROLES[role])))
        )

    def _role(self, request: Request) -> str | None:
        self._note(request)
        return self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    def _note(self, request: Request) -> None:
        self.calls.append((request.method, request.url.path))
        if request.method == "POST":
            self.keys.append(request.headers.get("idempotency-key", ""))

    def _refusal(self, request: Request, permission: str) -> Response | None:
        role = self._role(request)
        if role is None:
            return problem(401, "auth.expired", "A sessão venceu.")
        return None if permission in ROLES[role] else problem(403, "forbidden", "Seu perfil não permite esta ação.")

    # -- the live picture
    def snapshot(self, role: str) -> shapes.Snapshot:
        turn = next(self.counter)
        passed = (datetime.now(UTC) - self.started).total_seconds()
        may = ROLES[role]
        return shapes.Snapshot(
            node=node_facts(turn, passed),
            health=HEALTH,
            engines=engine_rows(turn),
            plugins=plugin_rows(self.quarantined) if "plugin.read" in may else None,
            models=[shapes.ModelRow(m.id, m.capability, m.sha256, m.demonstration, m.ready) for m in MODELS],
            job_counts={"dead": len(self.dead), "ready": 2, "running": 1, "done": 412} if "job.read" in may else None,
        )

    async def one_snapshot(self, request: Request) -> Response:
        role = self._role(request)
        return self._refusal(request, "node.read") or answer(self.snapshot(role or ""))

    async def stream(self, request: Request) -> Response:
        role = self._role(request)
        refusal = self._refusal(request, "node.read")
        return refusal or StreamingResponse(self._events(role or ""), media_type="text/event-stream")

    async def _events(self, role: str) -> AsyncIterator[bytes]:
        for turn in range(self.events):
            if turn:
                await asyncio.sleep(self.event_pause_s)
            yield b"event: snapshot\ndata: " + msgspec.json.encode(self.snapshot(role)) + b"\n\n"

    # -- jobs, audit, people
    async def jobs(self, request: Request) -> Response:
        rows = self.dead if request.query_params.get("state") == "dead" else []
        counts = {"ready": 2, "running": 1, "done": 412, "dead": len(self.dead)}
        return self._refusal(request, "job.read") or answer(shapes.JobList(counts, rows))

    async def change_job(self, request: Request) -> Response:
        refusal = self._refusal(request, "job.manage")
        if refusal is not None:
            return refusal
        before = len(self.dead)
        self.dead = [job for job in self.dead if job.id != request.path_params["id"]]
        if len(self.dead) == before:
            return problem(404, "job.unknown", "Não há tarefa parada com este identificador.")
        return answer(shapes.Done(request.path_params["id"], "ready"))

    async def audit(self, request: Request) -> Response:
        limit, before = int(request.query_params["limit"]), int(request.query_params.get("before", 121))
        rows = [access_row(seq) for seq in range(before - 1, max(0, before - 1 - limit), -1)]
        return self._refusal(request, "audit.read") or answer(rows)

    async def list_users(self, request: Request) -> Response:
        return self._refusal(request, "user.manage") or answer(UserList(self.users, None))

    async def create_user(self, request: Request) -> Response:
        refusal = self._refusal(request, "user.manage")
        if refusal is not None:
            return refusal
        body = await request.json()
        if any(user.username == body["username"] for user in self.users):
            return problem(409, "user.exists", "Este usuário já existe.", "Escolha outro nome.")
        made = User(secrets.token_hex(4), body["username"], body["display_name"], body["role"], None, now(), None)
        self.users.append(made)
        return answer(made, 201)

    async def code(self, request: Request) -> Response:
        expires = instant(datetime.now(UTC) + timedelta(seconds=600))
        return self._refusal(request, "device.manage") or answer(
            CodeForDevice(CODE, f"prontuario://enrol?h=127.0.0.1%3A8443&c={CODE}&p=Zm9v", expires), 201
        )

    async def change_user(self, request: Request) -> Response:
        refusal = self._refusal(request, "user.manage")
        if refusal is not None:
            return refusal
        blocked = now() if (await request.json())["disabled"] else None
        place = next(n for n, user in enumerate(self.users) if user.id == request.path_params["id"])
        self.users[place] = msgspec.structs.replace(self.users[place], disabled_at=blocked)
        return answer(self.users[place])

    async def check(self, request: Request) -> Response:
        return self._refusal(request, "audit.read") or answer(Report(self.audit_intact, 120, "00" * 32, 3, ()))

    async def list_devices(self, request: Request) -> Response:
        return self._refusal(request, "device.manage") or answer(DeviceList(self.devices))

    async def revoke(self, request: Request) -> Response:
        refusal = self._refusal(request, "device.manage")
        if refusal is None:
            wanted = request.path_params["id"]
            self.devices = [
                msgspec.structs.replace(one, revoked_at=now()) if one.id == wanted else one for one in self.devices
            ]
        return refusal or answer(self.devices[0])

    async def figures(self, request: Request) -> Response:
        return self._refusal(request, "plugin.read") or answer(
            {"segments": 1204, "mean_seconds": 2.4, "recent": [{"when": now(), "<b>audio</b>": 31.5, "ok": True}]}
        )


HEALTH = [
    shapes.HealthRow("record", "ok", "banco íntegro, 14 ms desde a última gravação", ""),
    shapes.HealthRow("litestream", "ok", "réplica local em dia", ""),
    shapes.HealthRow(
        "speech", "degraded", "modelo de demonstração em uso", "instale um pacote com prontuario models install"
    ),
    shapes.HealthRow("notes", "failed", "o motor caiu 5 vezes em 60 s", "veja logs/core.log e reinicie o motor"),
    shapes.HealthRow("gcp_sync", "not_configured", "a fase piloto não usa nuvem", "nada a fazer nesta fase"),
]
MODELS = [
    ModelInfo("demo-fala-1", "ab" * 32, "speech_to_text", True, True),
    ModelInfo("demo-notas-1", "cd" * 32, "chat_model", True, False),
]


def node_facts(turn: int, passed: float) -> shapes.NodeFacts:
    return shapes.NodeFacts(
        name="mac-a",
        hospital="Hospital São Lucas",
        phase="pilot",
        profile="production",
        mode="single",
        version="0.1.0",
        at=now(),
        uptime_s=passed + 86_400,
        demonstration_models=("demo-fala-1", "demo-notas-1"),
        database_bytes=884 * MIB,
        disk_free_bytes=812 << 30,
        disk_total_bytes=1 << 40,
        memory_used_bytes=2900 * MIB + (turn % 7) * 30 * MIB,
        memory_free_bytes=380 << 30,
        memory_total_bytes=512 << 30,
        requests_total=120_000 + passed * 14 + (turn % 5) * 9,
    )


def engine_row(name: str, plugin: str, status: str, **more: Any) -> EngineReport:
    empty = EngineReport(
        name=name,
        plugin=plugin,
        status=status,
        pid=4711,
        restarts=0,
        waiting=0,
        running=0,
        footprint_bytes=900 * MIB,
        resident_bytes=0,
        model_id="",
        model_sha256="ab" * 32,
        demonstration=True,
        reason="",
    )
    return msgspec.structs.replace(empty, **more)


def engine_rows(turn: int) -> list[EngineReport]:
    return [
        engine_row(
            "speech",
            "whisper_stt",
            "ready",
            model_id="demo-fala-1",
            waiting=turn % 4,
            running=2 + turn % 3,
            resident_bytes=610 * MIB,
        ),
        engine_row("chat", "medgemma_chat", "circuit_open", model_id="demo-notas-1", restarts=5, reason="exit code -9"),
    ]


def plugin_rows(quarantined: str) -> list[PluginReport]:
    page = AdminPage("figures", "Números da fala", "Speech figures", (("Totais", "/api/plugins/whisper_stt/figures"),))
    return [
        plugin_row("whisper_stt", "active", capabilities=("speech_to_text",), pages=(page,)),
        plugin_row("medgemma_chat", "active", capabilities=("chat_model",)),
        plugin_row("exemplo", "quarantined", reason=quarantined, first_party=False),
        plugin_row("gcp_sync", "disabled", capabilities=("cloud_sync",)),
    ]


def plugin_row(name: str, state: str, *, first_party: bool = True, **more: Any) -> PluginReport:
    return PluginReport(name=name, version="0.1.0", first_party=first_party, state=state, **more)


def access_row(seq: int) -> shapes.AccessRow:
    status = {0: 403, 5: 500}.get(seq % 11, 200)
    return shapes.AccessRow(
        seq=seq,
        at=now(),
        action="read",
        user="ana.souza",
        role="physician",
        device="iPhone da Dra. Ana",
        status=status,
        method="GET",
        route="/fhir/R4/Patient/{id}",
        patient=f"Patient/{seq % 9}",
        resource=f"Patient/{seq % 9}",
    )


def answer(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def problem(status: int, code: str, detail: str, next_step: str = "") -> Response:
    body = {
        "type": f"urn:prontuario:error:{code}",
        "status": status,
        "code": code,
        "detail": detail,
        "next_step": next_step,
    }
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")
