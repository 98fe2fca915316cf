"""Logging in: name and password on an enrolled device, slowed down, bounded, and audited whatever the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.security import audit, devices, sessions, users
from appliance.security.certificates import fingerprint
from appliance.security.errors import AUTH_BUSY, AUTH_DEVICE_REQUIRED, AUTH_INVALID_CREDENTIALS, AUTH_REVOKED
from appliance.security.passwords import Passwords, Verdict
from appliance.security.sessions import Lifetimes, Tokens
from appliance.security.steady_time import SteadyTime
from appliance.security.throttle import DEVICE, PERSON_ON_DEVICE, Throttle
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

_log = get_logger("login")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What is known once name and device were looked up."""

    user: users.User | None
    stored_hash: str | None
    device: devices.Device
    print: bytes

    @property
    def key(self) -> tuple[str, str]:
        """Unknown names share one count: a flood of them must not fill the throttle's memory."""
        return (self.user.id if self.user else "", self.device.id)


class Login:
    """The only way from a password to a session."""

    def __init__(
        self, store: Store, passwords: Passwords, time: SteadyTime, clock: Clock, lifetimes: Lifetimes
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._time = time
        self._clock = clock
        self._lifetimes = lifetimes
        self._person = Throttle(PERSON_ON_DEVICE, clock.monotonic)
        self._device = Throttle(DEVICE, clock.monotonic)

    async def login(self, username: str, password: str, certificate_der: bytes | None) -> Tokens:
        """Begin a session.

        Raises:
            ProntuarioError: ``auth.device_required|invalid_credentials|revoked`` 401, ``auth.throttled|locked|busy`` 429.
        """
        if certificate_der is None:
            raise AUTH_DEVICE_REQUIRED()
        attempt = await self._store.read(partial(_look_up, username, fingerprint(certificate_der)))
        if attempt is None:
            raise AUTH_DEVICE_REQUIRED()
        if attempt.device.revoked_at is not None:
            raise AUTH_REVOKED()
        verdict = await self._verify(attempt, password)
        user = attempt.user
        if user is None or not verdict.ok or user.disabled_at or attempt.device.user_id not in {None, user.id}:
            await self._refuse(attempt)
            raise AUTH_INVALID_CREDENTIALS()
        tokens = await self._store.write(partial(self._begin, attempt, user, verdict))
        self._person.succeeded(attempt.key)
        self._device.withdraw(attempt.device.id)
        return tokens

    async def confirm(self, who: Principal, password: str) -> None:
        """Check the password of a person who is logged in, slowed down like a log-in.

        Raises:
            ProntuarioError: ``auth.invalid_credentials`` 401, ``auth.throttled|locked|busy`` 429.
        """

        def look_up(q: Query) -> _Attempt:
            stored = users.password_hash_of(q, who.user_id)
            return _Attempt(users.get_user(q, who.user_id), stored, devices.get_device(q, who.device_id), b"")

        attempt = await self._store.read(look_up)
        verdict = await self._verify(attempt, password)
        if not verdict.ok:
            await self._refuse(attempt)
            raise AUTH_INVALID_CREDENTIALS(field="current_password")
        self._person.succeeded(attempt.key)
        self._device.withdraw(attempt.device.id)

    async def _verify(self, attempt: _Attempt, password: str) -> Verdict:
        self._device.begin(attempt.device.id)
        try:
            self._person.begin(attempt.key)
        except ProntuarioError:
            self._device.withdraw(attempt.device.id)
            raise
        try:
            return await self._passwords.verify(attempt.stored_hash, password)
        except ProntuarioError as error:
            if error.kind is AUTH_BUSY:  # told nothing, so costs nothing
                self._person.withdraw(attempt.key)
                self._device.withdraw(attempt.device.id)
            raise

    def _begin(self, attempt: _Attempt, user: users.User, verdict: Verdict, tx: Transaction) -> Tokens:
        """In the transaction all is read again: a revocation may have come while argon2 was at work."""
        gone = users.get_user(tx, user.id).disabled_at or devices.get_device(tx, attempt.device.id).revoked_at
        if gone or users.password_hash_of(tx, user.id) != attempt.stored_hash:
            raise AUTH_REVOKED()
        if verdict.new_hash is not None:
            users.set_password_hash(tx, user.id, verdict.new_hash)
        tokens = sessions.start(
            tx, self._time, self._lifetimes, user_id=user.id, device_id=attempt.device.id, fingerprint=attempt.print
        )
        audit.append(tx, self._event(attempt, 200, "", tokens.session_id))
        return tokens

    async def _refuse(self, attempt: _Attempt) -> None:
        locked = self._person.is_locked(attempt.key)
        reason = "wrong_password" if attempt.user else "unknown_user"
        event = self._event(attempt, 401, "locked" if locked else reason)
        await self._store.write(lambda tx: audit.append(tx, event))
        if locked:
            _log.warning("login locked after wrong attempts", device_id=event.device_id, user_id=event.user_id)

    def _event(self, attempt: _Attempt, status: int, code: str, session_id: str = "") -> audit.AuditEvent:
        return audit.AuditEvent(
            at=instant(self._clock.now()),
            action="login",
            user_id=attempt.user.id if attempt.user else "",
            device_id=attempt.device.id,
            session_id=session_id,
            method="POST",
            route="/api/login",
            status=status,
            detail_code=code,
        )


def _look_up(username: str, print_: bytes, q: Query) -> _Attempt | None:
    device = devices.find_by_fingerprint(q, print_)
    if device is None:
        return None
    user = users.find_by_name(q, username)
    return _Attempt(user, users.password_hash_of(q, user.id) if user else None, device, print_)
