"""An identity node with faces, a scripted camera and a scripted model; phones that enrol and verify as the app would."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from appliance.api.admin_faces import admin_face_routes
from appliance.api.identity_faces import face_routes
from appliance.api.identity_faces_guard import GUARDED, confirmed
from appliance.config.model import Faces
from appliance.plugin_api.capabilities import FaceVerifier
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.faces.desk import FaceDesk
from appliance.security.identity import Identity
from appliance.security.vault import Vault
from appliance.store.database import Database
from tests.api.identity_node import PASSWORD, IdentityNode, TestPhone, identity_node
from tests.fakes.hand_clock import HandClock
from tests.fakes.scripted_faces import ScriptedFaces, pictures

ON = Faces(enabled=True, required_for=("sign",))
SIGN = "/api/notes/1/sign"
AGREED = {"text_version": "1", "agreed": True}


@dataclass
class FacesNode:
    node: IdentityNode
    faces: ScriptedFaces
    vault: Vault

    async def person(self, name: str, role: str = "physician") -> TestPhone:
        """A person with a phone, a session, and an enrolled face of their own name."""
        phone = await self.node.phone(name, role)
        assert (await enrol(phone)).status_code == 201
        return phone

    async def attempts(self, route: str = "/api/faces/verify") -> list[tuple[int, str]]:
        """(status, code) of what the audit log says of a route, oldest first."""
        return [(event.status, event.detail_code) for event in await self.events() if event.route == route]

    async def events(self) -> list[AuditEvent]:
        rows = await self.node.store.read(lambda q: audit.read_events(q, limit=1000))
        return [row.event for row in reversed(rows)]


async def ask(phone: TestPhone, purpose: str = "verify") -> dict[str, Any]:
    """A challenge."""
    answer = await phone.client.post("/api/faces/challenge", json={"purpose": purpose})
    assert answer.status_code == 201, answer.text
    challenge: dict[str, Any] = answer.json()
    return challenge


async def enrol(
    phone: TestPhone, face: str | None = None, *, password: str = PASSWORD, **changed: Any
) -> httpx.Response:
    """Challenge, pictures of ``face`` (the person's own), consent and password in one go."""
    challenge = await ask(phone, "enrol")
    frames = pictures(face or phone.user.username, challenge["steps"])
    body = {"nonce": challenge["nonce"], "frames": sent(frames), "consent": AGREED, "current_password": password}
    return await phone.client.post("/api/faces/enrol", json=body | changed)


async def verify(phone: TestPhone, face: str | None = None, **headers: str) -> httpx.Response:
    """Challenge and pictures of ``face`` (the person's own)."""
    challenge = await ask(phone)
    return await send(phone, challenge["nonce"], pictures(face or phone.user.username, challenge["steps"]), **headers)


async def send(phone: TestPhone, nonce: str, frames: Sequence[bytes], **headers: str) -> httpx.Response:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return await phone.client.post("/api/faces/verify", json={"nonce": nonce, "frames": sent(frames)}, headers=told)


def sent(frames: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(frame).decode() for frame in frames]


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["code"]


async def is_confirmed(phone: TestPhone) -> str | None:
    """How the phone's session is confirmed, and that a guarded route sees it the same way."""
    found = (await phone.client.get("/api/me/confirmation")).json()["confirmation"]
    assert (await phone.client.post(SIGN)).status_code == (403 if found is None else 200)
    return None if found is None else str(found["way"])


@asynccontextmanager
async def faces_node(folder: Path, config: Faces = ON, real: FaceVerifier | None = None) -> AsyncIterator[FacesNode]:
    """Serve it, with the scripted model or a ``real`` one. The notes behind the guarded routes are empty: the guard is tested."""
    faces = ScriptedFaces()
    vaults: list[Vault] = []

    def more(store: Database, vault: Vault, identity: Identity, clock: HandClock) -> list[AnyRoute]:
        vaults.append(vault)
        desk = FaceDesk(store, vault, clock, config, lambda: real or faces)
        notes: list[AnyRoute] = [Route(*where, "self", _note, "Do it", dict) for where in GUARDED.values()]
        shown = admin_face_routes(desk, store, folder / "evaluation.json")
        return [*face_routes(desk, identity, store), *confirmed(notes, desk), *shown]

    async with identity_node(folder, more) as node:
        yield FacesNode(node, faces, vaults[0])


async def _note(_request: Request) -> Reply:
    return Reply(body=msgspec.Raw(b"{}"))
