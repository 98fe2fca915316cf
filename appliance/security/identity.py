"""Who is asking: authentication, log-in, refresh, revocation and enrolment as the API uses them.

Database work is in ``users``, ``devices`` and ``sessions`` (functions on a transaction); here are the parts that wait or
remember. Log-in and refresh write through the store directly and not through an idempotency record: that record would keep
their tokens in the clear. A lost answer to a log-in costs a second, harmless session; one to a refresh, see ``sessions``.
"""

from __future__ import annotations

import hmac
from functools import partial
from typing import Final

from appliance.config.model import Security
from appliance.plugin_api.errors import ErrorKind
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Store, Transaction
from appliance.security import audit, devices, sessions, users
from appliance.security.authority import Authority
from appliance.security.certificates import fingerprint
from appliance.security.devices import Device, Enrolled, EnrolmentCode
from appliance.security.errors import AUTH_DEVICE_MISMATCH, AUTH_DEVICE_REQUIRED, AUTH_EXPIRED
from appliance.security.faces import leaving
from appliance.security.login import Login
from appliance.security.passwords import Hasher, Passwords, check_strength
from appliance.security.policy import Policy
from appliance.security.session_cache import FRESH_S, Entry, SessionCache
from appliance.security.sessions import Lifetimes, LiveSession, Refused, Tokens
from appliance.security.steady_time import SteadyTime
from appliance.security.users import User
from appliance.security.vault import Vault
from appliance.telemetry.clock import Clock, instant

_READ_AGAIN: Final = 3


class Identity:
    """One per node. ``hasher`` replaces argon2's parameters (tests); ``policy`` carries plugins' permissions."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        authority: Authority,
        clock: Clock,
        config: Security,
        *,
        policy: Policy | None = None,
        hasher: Hasher | None = None,
    ) -> None:
        self._store = store
        self._vault = vault
        self._authority = authority
        self._clock = clock
        self._config = config
        self._policy = policy or Policy()
        self._time = SteadyTime(clock)
        self._lifetimes = Lifetimes(config.access_token_s, config.refresh_token_s)
        self._passwords = Passwords(config.concurrent_logins, hasher=hasher)
        self._cache = SessionCache()
        self._login = Login(store, self._passwords, self._time, clock, self._lifetimes)

    def close(self) -> None:
        """End the password threads."""
        self._passwords.close()

    def forget(self) -> None:
        """Drop what is remembered of sessions: this node's role changed, or another one wrote."""
        self._cache.clear()

    # -- every request ---------------------------------------------------------------------------------------------
    async def authenticate(self, token: str, certificate_der: bytes | None) -> Principal:
        """Who holds this access token, on the device whose certificate the connection showed.

        Raises:
            ProntuarioError: ``auth.required``, ``auth.expired``, ``auth.device_mismatch``, ``auth.revoked``, all 401.
        """
        digest = sessions.token_digest(token)
        entry = self._cache.get(digest)
        now = self._clock.monotonic()
        if entry is None or now >= entry.fresh_until:
            entry = await self._look_up(digest)
        if now >= entry.ends_at:
            self._cache.drop_token(digest)
            raise AUTH_EXPIRED()
        if certificate_der is None or not hmac.compare_digest(fingerprint(certificate_der), entry.fingerprint):
            raise AUTH_DEVICE_MISMATCH()
        return entry.principal

    async def _look_up(self, digest: bytes) -> Entry:
        for _ in range(_READ_AGAIN):
            epoch = self._cache.epoch
            found = await self._store.read(lambda q: sessions.find_live(q, self._time, digest))
            if isinstance(found, ErrorKind):
                self._cache.drop_token(digest)
                raise found()
            entry = self._entry(found)
            if self._cache.put(digest, entry, found.generation, epoch):
                break
        return entry  # if revocations kept coming it is true for this request, and not remembered

    def _entry(self, live: LiveSession) -> Entry:
        now = self._clock.monotonic()
        principal = Principal(
            user_id=live.user_id,
            username=live.username,
            role=live.role,
            device_id=live.device_id,
            session_id=live.session_id,
            permissions=self._policy.permissions_of(live.role),
            practitioner_id=live.practitioner_id,
        )
        return Entry(principal, live.fingerprint, now + live.remaining_s, now + min(FRESH_S, live.remaining_s))

    # -- sessions --------------------------------------------------------------------------------------------------
    async def login(self, username: str, password: str, certificate_der: bytes | None) -> Tokens:
        """Begin a session with name and password on an enrolled device; see ``Login.login`` for the errors."""
        return await self._login.login(username, password, certificate_der)

    async def refresh(self, refresh_token: str, certificate_der: bytes | None) -> Tokens:
        """Exchange a refresh token for a new pair; it works once.

        Raises:
            ProntuarioError: ``auth.required|expired|revoked|device_mismatch|device_required|refresh_reused``, all 401.
        """
        if certificate_der is None:
            raise AUTH_DEVICE_REQUIRED()
        outcome = await self._store.write(partial(self._rotate, refresh_token, fingerprint(certificate_der)))
        if isinstance(outcome, Refused):
            raise outcome.kind()
        return outcome

    def _rotate(self, refresh_token: str, print_: bytes, tx: Transaction) -> Tokens | Refused:
        outcome = sessions.rotate(
            tx,
            self._time,
            self._lifetimes,
            refresh_token=refresh_token,
            fingerprint=print_,
            seen=self._cache.newest,
        )
        if isinstance(outcome, Tokens):
            audit.append(tx, self._event("refresh", 200, user_id=outcome.user_id, session_id=outcome.session_id))
        elif outcome.session_id is not None:
            audit.append(
                tx, self._event("refresh", 401, user_id="", session_id=outcome.session_id, code=outcome.kind.code)
            )
        ended = outcome.session_id
        if ended is not None:  # also after a success: the session may be bound to a renewed certificate now
            tx.after_commit(lambda: self._cache.drop(session_id=ended))
        return outcome

    def start_session(self, tx: Transaction, *, user_id: str, device_id: str, certificate_der: bytes) -> Tokens:
        """Begin a session without a password: for the command line on this very machine, which is audited too."""
        print_ = fingerprint(certificate_der)
        tokens = sessions.start(
            tx, self._time, self._lifetimes, user_id=user_id, device_id=device_id, fingerprint=print_
        )
        audit.append(tx, self._event("login", 200, user_id=user_id, session_id=tokens.session_id, code="local"))
        return tokens

    def end_sessions(
        self,
        tx: Transaction,
        reason: str,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        device_id: str | None = None,
        keep_session: str | None = None,
    ) -> int:
        """Revoke sessions by id, person or device (except ``keep_session``); refused at once after the commit."""
        ended = sessions.revoke(
            tx, self._time, reason=reason, session_id=session_id, user_id=user_id, device_id=device_id,
            keep_session=keep_session,
        )  # fmt: skip
        tx.after_commit(lambda: self._cache.drop(session_id=session_id, user_id=user_id, device_id=device_id))
        return ended

    # -- people ----------------------------------------------------------------------------------------------------
    async def hash_new_password(self, password: str, username: str) -> str:
        """Check a new password's strength and hash it off the loop, to be stored in a transaction afterwards.

        Raises:
            ProntuarioError: ``password.weak`` 422, ``auth.busy`` 429.
        """
        check_strength(password, username)
        return await self._passwords.hash(password)

    async def check_own_password(self, who: Principal, password: str) -> None:
        """That the person at an unlocked phone knows the current password; guesses are slowed down as at log-in.

        Raises:
            ProntuarioError: ``auth.invalid_credentials`` 401, ``auth.throttled|locked|busy`` 429.
        """
        await self._login.confirm(who, password)

    async def create_user(self, username: str, role: str, password: str | None, display_name: str) -> User:
        """Make a person in one go (command line, tests); routes hash first and add inside their own commit."""
        hashed = None if password is None else await self.hash_new_password(password, username)
        return await self._store.write(
            lambda tx: self.add_user(tx, username=username, role=role, display_name=display_name, password_hash=hashed)
        )

    def add_user(
        self,
        tx: Transaction,
        *,
        username: str,
        role: str,
        display_name: str,
        password_hash: str | None,
        practitioner_id: str | None = None,
    ) -> User:
        """Make a person; see ``users.create_user`` for the errors."""
        now = instant(self._clock.now())
        return users.create_user(
            tx, self._vault, username=username, role=role, display_name=display_name, now=now,
            password_hash=password_hash, practitioner_id=practitioner_id,
        )  # fmt: skip

    def update_user(
        self, tx: Transaction, user_id: str, *, display_name: str | None, role: str | None, practitioner_id: str | None
    ) -> User:
        """Change a person; a new role counts from the next request on."""
        user = users.update_user(tx, user_id, display_name=display_name, role=role, practitioner_id=practitioner_id)
        tx.after_commit(lambda: self._cache.drop(user_id=user_id))
        return user

    def set_enabled(self, tx: Transaction, user_id: str, *, enabled: bool) -> User:
        """Let a person in again, or out at once with every session; what a face was kept for ends with it."""
        now = instant(self._clock.now())
        if enabled:
            return users.enable_user(tx, self._vault, user_id, now)
        user = users.disable_user(tx, user_id, now)
        leaving.forget_face(tx, self._vault, user_id, by="", now=now)
        self.end_sessions(tx, "user_disabled", user_id=user_id)
        return user

    def set_password(self, tx: Transaction, user_id: str, hashed: str, *, keep_session: str | None = None) -> None:
        """Store a new password and end every other session of the person."""
        users.set_password_hash(tx, user_id, hashed)
        self.end_sessions(tx, "password_changed", user_id=user_id, keep_session=keep_session)

    # -- devices ---------------------------------------------------------------------------------------------------
    def create_enrolment_code(self, tx: Transaction, user_id: str | None, created_by: str | None) -> EnrolmentCode:
        """A one-time code for a device of ``user_id`` (None: a shared device).

        Raises:
            ProntuarioError: ``not_found`` 404.
        """
        if user_id is not None:
            users.get_user(tx, user_id)
        return devices.create_code(
            tx, self._time, user_id=user_id, lifetime_s=self._config.enrolment_code_s, created_by=created_by
        )

    async def count_enrolment_attempt(self, code: str) -> None:
        """Before ``enrol``: note a wrong code durably, since a refusal undoes its own transaction."""
        if await self._store.read(lambda q: devices.is_wrong_attempt(q, code)):
            await self._store.write(partial(self._count_wrong, code))

    def _count_wrong(self, code: str, tx: Transaction) -> None:
        devices.count_wrong_attempt(tx, code)
        audit.append(tx, self._event("enrol", 403, user_id="", code="wrong_code"))

    def enrol(
        self, tx: Transaction, *, code: str, csr: bytes, name: str, signing_public_key: bytes | None = None
    ) -> Enrolled:
        """Spend a code and certify a device's key; see ``devices.enrol`` for the errors."""
        enrolled = devices.enrol(
            tx, self._authority, self._time, self._clock.now(), code=code, csr=csr, name=name,
            signing_public_key=signing_public_key,
        )  # fmt: skip
        audit.append(tx, self._event("enrol", 201, user_id=enrolled.user_id or "", device_id=enrolled.device_id))
        return enrolled

    def enrol_local(self, tx: Transaction, *, csr: bytes, name: str, user_id: str | None) -> Enrolled:
        """Enrol without a code, for a program on this very machine (command line, dashboard)."""
        enrolled = devices.enrol_directly(tx, self._authority, self._clock.now(), csr=csr, name=name, user_id=user_id)
        audit.append(tx, self._event("enrol", 201, user_id=user_id or "", device_id=enrolled.device_id, code="local"))
        return enrolled

    def renew_certificate(self, tx: Transaction, device_id: str, csr: bytes) -> Enrolled:
        """A further certificate for an enrolled device."""
        return devices.renew(tx, self._authority, self._clock.now(), device_id=device_id, csr=csr)

    def revoke_device(self, tx: Transaction, device_id: str) -> Device:
        """Shut a device out at once, with every session on it."""
        device = devices.revoke_device(tx, device_id, instant(self._clock.now()))
        self.end_sessions(tx, "device_revoked", device_id=device_id)
        return device

    def _event(
        self, action: str, status: int, *, user_id: str, session_id: str = "", device_id: str = "", code: str = ""
    ) -> audit.AuditEvent:
        return audit.AuditEvent(
            at=instant(self._clock.now()), action=action, user_id=user_id, device_id=device_id,
            session_id=session_id, status=status, detail_code=code,
        )  # fmt: skip
