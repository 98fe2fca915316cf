"""The door: who are you, may you, and nothing leaves before the audit log has it.

Every HTTP request and WebSocket goes through here, whichever way it is served. The order is: authenticate (401),
authorise (403), handle, record. The audit event is durable before the reply leaves; if it can't be written, the answer
is ``audit.unavailable`` and a change that was to be made is not.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeVar, runtime_checkable

from appliance.api.commit import once
from appliance.api.context import ApiRequest, Visit, header
from appliance.api.errors import AUDIT_UNAVAILABLE, SERVER_ERROR, ErrorPages, as_answer
from appliance.api.metering import Meters
from appliance.api.replies import Answer, prepare
from appliance.api.standing import Standing, standing_headers
from appliance.plugin_api.errors import FORBIDDEN, ProntuarioError
from appliance.plugin_api.http import PUBLIC, SELF, Principal, Reply, Route
from appliance.plugin_api.storage import Store, Transaction
from appliance.security.audit import AuditEvent, append
from appliance.security.errors import AUTH_REQUIRED
from appliance.store.errors import FAILED, FULL
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger
from appliance.telemetry.tracing import current

_BEARER: Final = b"bearer "
_NOT_REVOKED: Final = frozenset({"auth.expired", "cluster.standby"})
"""Reasons for which a model's answer under way may still be read to its end."""
_ILL_DISK: Final = frozenset({FULL, FAILED})
"""Told at the commit, when the event itself was accepted; a node that may not write now is another matter, with alerts of its own."""
_log = get_logger("api")
T = TypeVar("T")


@runtime_checkable
class NotingStore(Protocol):
    """A record that can be read, and can keep on this node who read it, while nothing may be acknowledged (ADR 14)."""

    async def note(self, change: Callable[[Transaction], T]) -> T:
        """Durable on the pair if it may acknowledge now, otherwise on this node."""
        ...


class Authenticator(Protocol):
    """Tells who a token belongs to (``appliance.security.identity.Identity``)."""

    def authenticate(self, token: str, certificate_der: bytes | None) -> Awaitable[Principal]:
        """Raises ``auth.*`` 401 unless the token is current and bound to this certificate."""
        ...


class Door:
    """Authentication, authorisation, audit and error pages, for every way in."""

    def __init__(
        self,
        *,
        identity: Authenticator,
        store: Store,
        standing: Standing,
        clock: Clock,
        pages: ErrorPages,
        meters: Meters,
    ) -> None:
        self._identity = identity
        self._store = store
        self.standing = standing
        self._clock = clock
        self._pages = pages
        self._meters = meters

    async def answer(self, route: Route, request: ApiRequest) -> Answer:
        """The answer to ``request``; never raises."""
        began = time.perf_counter()
        self._meters.running += 1
        try:
            answer = await self._serve(route, request)
        except Exception as error:  # noqa: BLE001  the API boundary: every failure becomes an answer
            answer = self.refusal(as_answer(error, route.path), request)
        finally:
            self._meters.running -= 1
        self._meters.count(request.method, route.path, answer.status, time.perf_counter() - began)
        return answer

    def refusal(self, error: ProntuarioError, visit: Visit, *, close: bool = False) -> Answer:
        """``error`` as an answer in the shape and language that this visitor expects; ``close`` ends the connection."""
        current().set("error.type", error.kind.code)
        reply = self._pages.render(error, visit.path, visit.language)
        answer = prepare(reply, standing_headers(self.standing))
        if close:
            answer.headers.append((b"connection", b"close"))
        return answer

    async def admit(self, visit: Visit, token: str | None) -> None:
        """Authenticate and authorise; afterwards ``visit.caller`` is set (on PUBLIC routes only if a token is good).

        Raises:
            ProntuarioError: ``auth.*`` 401; ``forbidden`` 403 with ``visit.caller`` set, so that it can be recorded.
        """
        permission = visit.route.permission
        if token is None:
            if permission != PUBLIC:
                raise AUTH_REQUIRED()
            return
        try:
            visit.caller = await self._identity.authenticate(token, visit.device_certificate)
        except ProntuarioError as error:
            if permission != PUBLIC:
                raise
            visit.refusal = error
            return
        if permission not in {PUBLIC, SELF} and permission not in visit.caller.permissions:
            raise FORBIDDEN()

    async def still_admitted(self, visit: Visit, token: str | None) -> bool:
        """Whether a long-lived stream may go on: false once its session, user or device was revoked."""
        if visit.caller is None or token is None:
            return visit.route.permission == PUBLIC
        try:
            await self._identity.authenticate(token, visit.device_certificate)
        except ProntuarioError as error:
            return error.kind.code in _NOT_REVOKED
        return True

    async def commit(self, request: ApiRequest, change: Callable[[Transaction], Reply]) -> Reply:
        """Run ``change`` once per Idempotency-Key, with its audit event, in one durable savepoint."""
        changed_once = once(request, change, self._clock.now())

        def change_and_record(tx: Transaction) -> Reply:
            reply = changed_once(tx)
            if _is_recorded(request):
                self._append(tx, request, reply.status, request.method, "")
            return reply

        reply = await self._store.write(change_and_record)
        request.recorded = True
        if "idempotency-replayed" in reply.headers:
            self._meters.count_replay()
        return reply

    async def record(self, visit: Visit, status: int, method: str, code: str = "") -> None:
        """Make the audit event of ``visit`` durable; it changes nothing else, so a record that may only be read takes it.

        Raises:
            ProntuarioError: ``audit.unavailable`` 503.
        """
        keep = self._store.note if isinstance(self._store, NotingStore) else self._store.write
        try:
            await keep(partial(self._append, visit=visit, status=status, method=method, code=code))
        except ProntuarioError as error:
            if error.kind in _ILL_DISK:
                self._meters.count_unaudited()
            raise AUDIT_UNAVAILABLE(retry_after=error.retry_after) from error

    async def _serve(self, route: Route, request: ApiRequest) -> Answer:
        try:
            await self.admit(request, bearer_token(request.scope))
            answer = prepare(await route.handler(request), standing_headers(self.standing))
        except Exception as error:  # noqa: BLE001  the API boundary: a failure is recorded and answered
            failure = as_answer(error, route.path)
            await self._record_failure(request, failure)
            raise failure from None
        if not request.recorded and _is_recorded(request):
            await self.record(request, answer.status, request.method)
        return answer

    async def _record_failure(self, request: ApiRequest, failure: ProntuarioError) -> None:
        if failure.kind is AUDIT_UNAVAILABLE or not _is_recorded(request):
            return
        try:
            await self.record(request, failure.kind.status, request.method, failure.kind.code)
        except ProntuarioError:
            # What already failed on our side tells nobody anything; everything else must not be answered unrecorded.
            if failure.kind.status < SERVER_ERROR:
                raise

    def _append(self, tx: Transaction, visit: Visit, status: int, method: str, code: str) -> None:
        try:
            append(tx, self._event(visit, status, method, code))
        except Exception as error:
            self._meters.count_unaudited()
            _log.error("audit event could not be written", error=type(error).__qualname__, route=visit.route.path)
            raise AUDIT_UNAVAILABLE() from error

    def _event(self, visit: Visit, status: int, method: str, code: str) -> AuditEvent:
        caller = visit.caller
        permission = visit.route.permission
        patients = visit.about_patients
        return AuditEvent(
            at=instant(self._clock.now()),
            action=permission if permission not in {PUBLIC, SELF} else visit.route.path.rpartition("/")[2],
            user_id=caller.user_id if caller else "",
            device_id=caller.device_id if caller else "",
            session_id=caller.session_id if caller else "",
            method=method,
            route=visit.route.path,
            resource=visit.about_resource or "",
            patient=patients[0] if len(patients) == 1 else None,
            patients=patients if len(patients) > 1 else (),
            status=status,
            detail_code=code,
        )


def bearer_token(scope: object) -> str | None:
    """The token of ``Authorization: Bearer …`` (RFC 6750 §2.1), or None."""
    value = header(scope, b"authorization")  # type: ignore[arg-type]
    if value is None or value[:7].lower() != _BEARER:
        return None
    return value[7:].strip().decode("latin-1") or None


def _is_recorded(visit: Visit) -> bool:
    """An identified person's every access; on PUBLIC routes only what the handler declared to concern somebody."""
    if visit.route.permission != PUBLIC:
        return visit.caller is not None
    return bool(visit.about_patients) or visit.about_resource is not None
