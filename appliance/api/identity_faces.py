"""Faces over HTTP: challenge, enrol, verify, delete; and confirming oneself, by face or, always, by password.

Every route needs a session on an enrolled device: a face never begins one. An attempt commits twice. The first time it spends the
challenge, remembers the frames and counts the attempt, so that a refusal leaves its traces; the second time it settles. Both are
remembered under the request's Idempotency-Key, so a phone that lost our answer across a takeover gets it again.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from appliance.api.identity_faces_shapes import (
    MOST_FRAMES,
    MOST_PICTURE_BYTES,
    ChallengeRequest,
    ConfirmationState,
    FaceDeleted,
    FaceEnrolment,
    FaceVerification,
    PasswordConfirmation,
)
from appliance.plugin_api.errors import INVALID, catalogue
from appliance.plugin_api.http import SELF, AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Store, Transaction
from appliance.security import audit, users
from appliance.security.audit import AuditEvent
from appliance.security.errors import AUTH_DEVICE_REQUIRED
from appliance.security.faces import consent
from appliance.security.faces.challenges import Caller, Challenge
from appliance.security.faces.confirmations import Confirmation
from appliance.security.faces.desk import FaceDesk, FaceState, Purpose, Taken
from appliance.security.faces.gestures import Gesture
from appliance.security.identity import Identity

TAG: Final = "faces"
_MANAGE: Final = "user.manage"
_BODY_BYTES: Final = MOST_FRAMES * (MOST_PICTURE_BYTES * 4 // 3 + 8) + 4096
_SMALL_BODY_BYTES: Final = 4096
REASONS: Final = ("left", "asked", "mistaken", "misuse", "other")
"""Why an administrator deletes a template: codes, since the audit log holds no free text."""
_MAGIC: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_NOT_KEPT: Final = {"cache-control": "no-store"}


def face_routes(desk: FaceDesk, identity: Identity, store: Store) -> list[AnyRoute]:
    """Routes below ``/api/faces``, ``/api/me/confirmation``, and deleting somebody's face as an administrator."""
    api, confirming = _FaceApi(desk, identity, store), _ConfirmationApi(desk, identity, store)
    mine, confirmation = "/api/faces/me", "/api/me/confirmation"
    return [
        Route("POST", "/api/faces/challenge", SELF, api.challenge, "Ask what to show to the camera",
              ChallengeRequest, Challenge, TAG, _SMALL_BODY_BYTES),
        Route("POST", "/api/faces/enrol", SELF, api.enrol, "Enrol one's own face, with consent and password",
              FaceEnrolment, FaceState, TAG, _BODY_BYTES),
        Route("POST", "/api/faces/verify", SELF, api.verify, "Confirm this session by face",
              FaceVerification, Confirmation, TAG, _BODY_BYTES),
        Route("GET", mine, SELF, api.state, "One's own face: enrolled or not, and the consent text", None, FaceState, TAG),
        Route("DELETE", mine, SELF, api.delete_mine, "Take the consent back and destroy one's own template",
              None, FaceDeleted, TAG),
        Route("DELETE", "/api/users/{user_id}/face", _MANAGE, api.delete_theirs,
              "Destroy a person's face template; ?reason= is kept in the audit log",
              None, FaceDeleted, TAG),
        Route("GET", confirmation, SELF, confirming.state, "Whether this session is confirmed, and what needs it",
              None, ConfirmationState, TAG),
        Route("POST", confirmation, SELF, confirming.by_password, "Confirm this session by password",
              PasswordConfirmation, Confirmation, TAG, _SMALL_BODY_BYTES),
    ]  # fmt: skip


class _FaceApi:
    def __init__(self, desk: FaceDesk, identity: Identity, store: Store) -> None:
        self._desk = desk
        self._identity = identity
        self._store = store

    async def challenge(self, request: Request) -> Reply:
        body, caller = await request.body(ChallengeRequest), _caller(request)
        return await request.commit(lambda tx: Reply(201, self._desk.challenge(tx, caller, body.purpose), _NOT_KEPT))

    async def enrol(self, request: Request) -> Reply:
        body, caller, who = await request.body(FaceEnrolment), _caller(request), request.principal
        _check_pictures(body.frames)
        consent.check(body.consent.text_version, agreed=body.consent.agreed)
        await self._identity.check_own_password(who, body.current_password)
        steps = await self._take(request, caller, "enrol", body.nonce, body.frames)
        template = await self._desk.learn(caller, body.nonce, body.frames, steps)

        def change(tx: Transaction) -> Reply:
            state = self._desk.enrol(tx, who, caller, body.nonce, template, language=request.language)
            return Reply(201, state)

        return await request.commit(change)

    async def verify(self, request: Request) -> Reply:
        body, caller = await request.body(FaceVerification), _caller(request)
        _check_pictures(body.frames)
        steps = await self._take(request, caller, "verify", body.nonce, body.frames)
        enrolled_at = await self._desk.compare(caller, body.nonce, body.frames, steps)
        return await request.commit(lambda tx: Reply(body=self._desk.verify(tx, caller, body.nonce, enrolled_at)))

    async def _take(
        self, request: Request, caller: Caller, purpose: Purpose, nonce: str, frames: tuple[bytes, ...]
    ) -> tuple[Gesture, ...]:
        reply = await request.commit(lambda tx: Reply(202, self._desk.take(tx, caller, purpose, nonce, frames)))
        body = reply.body  # bytes when it was remembered
        taken = msgspec.json.decode(body, type=Taken) if isinstance(body, bytes) else body
        if taken.refusal:
            raise catalogue()[taken.refusal]()
        return tuple(taken.steps)

    async def state(self, request: Request) -> Reply:
        who, language = request.principal, request.language
        return Reply(body=await self._store.read(lambda q: self._desk.state(q, who.user_id, language)))

    async def delete_mine(self, request: Request) -> Reply:
        return await self._delete(request, request.principal.user_id)

    async def delete_theirs(self, request: Request) -> Reply:
        user_id = request.parameters["user_id"]
        request.about(resource=f"user/{user_id}")
        reason = _reason_of(request)
        await self._store.read(partial(users.get_user, user_id=user_id))
        return await self._delete(request, user_id, reason)

    async def _delete(self, request: Request, user_id: str, reason: str = "") -> Reply:
        by = request.principal.user_id

        def change(tx: Transaction) -> Reply:
            deleted = self._desk.delete(tx, user_id, by=by)
            if reason:
                audit.append(tx, self._reason(request, user_id, reason))
            return Reply(body=FaceDeleted(deleted))

        return await request.commit(change)

    def _reason(self, request: Request, user_id: str, reason: str) -> AuditEvent:
        """Beside the event of the request itself, which has no room for it."""
        who = request.principal
        return AuditEvent(
            at=self._desk.instant(), action="delete face", user_id=who.user_id, device_id=who.device_id,
            session_id=who.session_id, resource=f"user/{user_id}", status=200, detail_code=reason,
        )  # fmt: skip


class _ConfirmationApi:
    def __init__(self, desk: FaceDesk, identity: Identity, store: Store) -> None:
        self._desk = desk
        self._identity = identity
        self._store = store

    async def state(self, request: Request) -> Reply:
        session_id = request.principal.session_id
        found = await self._store.read(lambda q: self._desk.confirmation(q, session_id))
        return Reply(body=ConfirmationState(found, tuple(sorted(self._desk.required_for))))

    async def by_password(self, request: Request) -> Reply:
        body, who = await request.body(PasswordConfirmation), request.principal
        await self._identity.check_own_password(who, body.current_password)
        return await request.commit(lambda tx: Reply(body=self._desk.confirm_by_password(tx, who.session_id)))


def _caller(request: Request) -> Caller:
    certificate = request.device_certificate
    if certificate is None:
        raise AUTH_DEVICE_REQUIRED()
    return Caller.of(request.principal, certificate)


def _reason_of(request: Request) -> str:
    """One of ``REASONS``, or none. Raises ``invalid`` (422)."""
    reason = request.query.get("reason", "")
    if reason and reason not in REASONS:
        raise INVALID(field="reason", name="reason", reason=" | ".join(REASONS))
    return reason


def _check_pictures(frames: tuple[bytes, ...]) -> None:
    """Whether they are pictures at all shows in their first bytes; what is in them is the model's affair."""
    for number, frame in enumerate(frames):
        if not frame.startswith(_MAGIC):
            raise INVALID(field=f"frames[{number}]", name=f"frames[{number}]", reason="JPEG or PNG")
