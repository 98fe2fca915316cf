"""The identity API: enrolling a device, logging in and out, and what belongs to the person who asks.

Log-in and refresh do not go through ``Request.commit``: its idempotency record would keep their tokens in the clear on
disk. Repeating them is safe (see ``appliance.security.identity``).
"""

from __future__ import annotations

import base64
import binascii

from appliance.api.identity_audit import audit_routes
from appliance.api.identity_devices import device_routes
from appliance.api.identity_people import people_routes
from appliance.api.identity_shapes import (
    CertificateRenewal,
    EnrolmentRequest,
    LoginRequest,
    Me,
    PasswordChange,
    RefreshRequest,
)
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import PUBLIC, SELF, AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Store, Transaction
from appliance.security import users
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.devices import Enrolled
from appliance.security.identity import Identity
from appliance.security.sessions import Tokens
from appliance.telemetry.clock import Clock

TAG = "identity"
_SMALL_BODY_BYTES = 32_768
_SECRET_ANSWER = {"cache-control": "no-store"}


def routes(
    identity: Identity, authority: Authority, store: Store, signer: HeadSigner, clock: Clock, *, address: str
) -> list[AnyRoute]:
    """Every route of identity and audit; ``address`` is the ``host:port`` that phones use, for the QR code."""
    return [
        *_session_routes(_SessionApi(identity)),
        *_own_routes(_OwnApi(identity, store)),
        *people_routes(identity, store),
        *device_routes(identity, authority, store, address),
        *audit_routes(store, signer, clock),
    ]


class _SessionApi:
    """What works without a session."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def enrol(self, request: Request) -> Reply:
        body = await request.body(EnrolmentRequest)
        key = _public_key(body.signing_public_key)
        await self._identity.count_enrolment_attempt(body.code)

        def change(tx: Transaction) -> Reply:
            enrolled = self._identity.enrol(
                tx, code=body.code, csr=body.csr.encode(), name=body.device_name, signing_public_key=key
            )
            return Reply(201, enrolled)

        return await request.commit(change)

    async def login(self, request: Request) -> Reply:
        body = await request.body(LoginRequest)
        tokens = await self._identity.login(body.username, body.password, request.device_certificate)
        return Reply(200, tokens, _SECRET_ANSWER)

    async def refresh(self, request: Request) -> Reply:
        body = await request.body(RefreshRequest)
        tokens = await self._identity.refresh(body.refresh_token, request.device_certificate)
        return Reply(200, tokens, _SECRET_ANSWER)


class _OwnApi:
    """What any person may do with their own session."""

    def __init__(self, identity: Identity, store: Store) -> None:
        self._identity = identity
        self._store = store

    async def logout(self, request: Request) -> Reply:
        session_id = request.principal.session_id

        def change(tx: Transaction) -> Reply:
            self._identity.end_sessions(tx, "logout", session_id=session_id)
            return Reply(204)

        return await request.commit(change)

    async def me(self, request: Request) -> Reply:
        who = request.principal
        user = await self._store.read(lambda q: users.get_user(q, who.user_id))
        return Reply(body=Me(user, who.device_id, who.session_id, tuple(sorted(who.permissions))))

    async def change_password(self, request: Request) -> Reply:
        body, who = await request.body(PasswordChange), request.principal
        await self._identity.check_own_password(who, body.current_password)
        hashed = await self._identity.hash_new_password(body.new_password, who.username)

        def change(tx: Transaction) -> Reply:
            self._identity.set_password(tx, who.user_id, hashed, keep_session=who.session_id)
            return Reply(204)

        return await request.commit(change)

    async def renew_certificate(self, request: Request) -> Reply:
        body, who = await request.body(CertificateRenewal), request.principal

        def change(tx: Transaction) -> Reply:
            return Reply(201, self._identity.renew_certificate(tx, who.device_id, body.csr.encode()))

        return await request.commit(change)


def _session_routes(api: _SessionApi) -> list[Route]:
    return [
        Route(
            "POST", "/api/enrolment", PUBLIC, api.enrol, "Enrol this device with a one-time code",
            EnrolmentRequest, Enrolled, TAG, _SMALL_BODY_BYTES,
        ),
        Route(
            "POST", "/api/login", PUBLIC, api.login, "Log in with name and password on an enrolled device",
            LoginRequest, Tokens, TAG, _SMALL_BODY_BYTES,
        ),
        Route(
            "POST", "/api/token/refresh", PUBLIC, api.refresh, "Exchange a refresh token for a new pair of tokens",
            RefreshRequest, Tokens, TAG, _SMALL_BODY_BYTES,
        ),
    ]  # fmt: skip


def _own_routes(api: _OwnApi) -> list[Route]:
    return [
        Route("POST", "/api/logout", SELF, api.logout, "End this session", tag=TAG),
        Route("GET", "/api/me", SELF, api.me, "Who am I and what may I do", response=Me, tag=TAG),
        Route(
            "POST", "/api/me/password", SELF, api.change_password, "Change one's own password, ending other sessions",
            PasswordChange, None, TAG, _SMALL_BODY_BYTES,
        ),
        Route(
            "POST", "/api/me/device/certificate", SELF, api.renew_certificate, "A new certificate before the old one ends",
            CertificateRenewal, Enrolled, TAG, _SMALL_BODY_BYTES,
        ),
    ]  # fmt: skip


def _public_key(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise INVALID(field="signing_public_key", name="signing_public_key", reason="base64") from error
