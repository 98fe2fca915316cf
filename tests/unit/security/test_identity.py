from __future__ import annotations

import asyncio

import argon2
import pytest

from appliance.config.model import Config, Security
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Permission
from appliance.plugin_api.storage import Query, Transaction
from appliance.security import audit, sessions, users
from appliance.security.identity import Identity
from appliance.security.policy import ROLES, Policy
from appliance.security.session_cache import FRESH_S
from appliance.security.sessions import RETRY_GRACE_S
from appliance.store.database import Database
from tests.fakes.hand_clock import HandClock
from tests.unit.security.conftest import CHEAP, PASSWORD, Identities, Phone, Phones


async def refusal(awaitable: object) -> str:
    with pytest.raises(ProntuarioError) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value.kind.code


async def login_events(db: Database) -> list[audit.AuditEvent]:
    rows = await db.read(audit.read_events)
    return [row.event for row in reversed(rows) if row.event.action == "login"]


# -- authenticate ------------------------------------------------------------------------------------------------------
async def test_a_session_tells_who_asks(identity: Identity, phones: Phones) -> None:
    phone = await phones.make()
    tokens = await phone.login()
    who = await identity.authenticate(tokens.access_token, phone.certificate)
    assert (who.user_id, who.username, who.role) == (phone.user.id, "ana", "physician")
    assert (who.device_id, who.session_id) == (phone.enrolled.device_id, tokens.session_id)
    assert who.permissions == ROLES["physician"]


async def test_made_up_tokens_and_refresh_tokens_open_nothing(identity: Identity, phones: Phones) -> None:
    phone = await phones.make()
    tokens = await phone.login()
    for token in (
        "",
        "x",
        "é" * 50,
        "\ud800",
        tokens.access_token + "x",
        tokens.access_token[:-1],
        tokens.refresh_token,
    ):
        assert await refusal(identity.authenticate(token, phone.certificate)) == "auth.required"


async def test_another_devices_certificate_does_not_carry_the_token(identity: Identity, phones: Phones) -> None:
    ana, bia = await phones.make("ana"), await phones.make("bia")
    second = await phones.another(ana.user)
    tokens = await ana.login()
    await identity.authenticate(tokens.access_token, ana.certificate)
    for certificate in (bia.certificate, second.certificate, b"", b"\x30", None):
        assert await refusal(identity.authenticate(tokens.access_token, certificate)) == "auth.device_mismatch"


async def test_an_access_token_ends(identity: Identity, phones: Phones, clock: HandClock, config: Config) -> None:
    phone = await phones.make()
    tokens = await phone.login()
    clock.pass_time(config.security.access_token_s - 1)
    await identity.authenticate(tokens.access_token, phone.certificate)
    clock.pass_time(1)
    assert await refusal(identity.authenticate(tokens.access_token, phone.certificate)) == "auth.expired"
    assert await refusal(identity.authenticate(tokens.access_token, phone.certificate)) == "auth.expired"


@pytest.mark.parametrize("step", [-30 * 86_400, 30 * 86_400])
async def test_setting_the_date_neither_kills_nor_prolongs_sessions(
    identity: Identity, phones: Phones, clock: HandClock, config: Config, step: float
) -> None:
    phone = await phones.make()
    tokens = await phone.login()
    clock.step_wall(step)
    clock.pass_time(FRESH_S + 1)
    await identity.authenticate(tokens.access_token, phone.certificate)
    refreshed = await identity.refresh(tokens.refresh_token, phone.certificate)
    clock.pass_time(config.security.access_token_s)
    assert await refusal(identity.authenticate(refreshed.access_token, phone.certificate)) == "auth.expired"


@pytest.mark.parametrize(("step", "outcome"), [(0.0, "ok"), (-86_400.0, "auth.expired"), (86_400.0, "auth.expired")])
async def test_after_a_restart_the_wall_clock_counts(
    phones: Phones, identities: Identities, clock: HandClock, step: float, outcome: str
) -> None:  # fmt: skip
    """A clock that was set back must not bring old tokens back to life."""
    phone = await phones.make()
    tokens = await phone.login()
    clock.step_wall(step)
    restarted = identities.make()
    if outcome == "ok":
        await restarted.authenticate(tokens.access_token, phone.certificate)
    else:
        assert await refusal(restarted.authenticate(tokens.access_token, phone.certificate)) == outcome


async def test_a_known_session_is_answered_without_the_database(
    phones: Phones, db: Database, identities: Identities, clock: HandClock
) -> None:
    class Counting:
        def __init__(self) -> None:
            self.reads = 0

        async def read(self, query: object) -> object:
            self.reads += 1
            return await db.read(query)  # type: ignore[arg-type]

        async def write(self, change: object) -> object:
            return await db.write(change)  # type: ignore[arg-type]

    store = Counting()
    identity = identities.make(store)
    phone = await phones.make()
    tokens = await phone.login()
    for _ in range(50):
        await identity.authenticate(tokens.access_token, phone.certificate)
    assert store.reads == 1
    clock.pass_time(FRESH_S)
    await identity.authenticate(tokens.access_token, phone.certificate)
    assert store.reads == 2


async def test_fingerprints_are_compared_in_constant_time() -> None:
    """The comparison of secrets is ``hmac.compare_digest`` wherever one end comes from outside."""
    from appliance.security import devices, sessions

    for function in (Identity.authenticate, devices._same, sessions._is_certificate_of):
        assert "compare_digest" in function.__code__.co_names


async def test_a_plugins_permission_reaches_its_roles(
    phones: Phones, db: Database, identities: Identities, clock: HandClock
) -> None:
    policy = Policy()
    policy.register([Permission("images.view", "see images", frozenset({"nurse"}))])
    identity = identities.make(policy=policy)
    nurse, physician = await phones.make("nina", "nurse"), await phones.make("ana")
    seen = [await identity.authenticate((await p.login()).access_token, p.certificate) for p in (nurse, physician)]
    assert [who.may("images.view") for who in seen] == [True, False]


# -- revoking ----------------------------------------------------------------------------------------------------------
REVOCATIONS = ("session", "device", "user", "password")


async def revoke(identity: Identity, db: Database, phone: Phone, session_id: str, what: str) -> None:
    def change(tx: Transaction) -> None:
        if what == "session":
            identity.end_sessions(tx, "test", session_id=session_id)
        elif what == "device":
            identity.revoke_device(tx, phone.enrolled.device_id)
        elif what == "user":
            identity.set_enabled(tx, phone.user.id, enabled=False)
        else:
            identity.set_password(tx, phone.user.id, "hash")

    await db.write(change)


@pytest.mark.parametrize("what", REVOCATIONS)
async def test_revoking_counts_from_the_very_next_request(
    identity: Identity, phones: Phones, db: Database, what: str
) -> None:
    phone, other = await phones.make("ana"), await phones.make("bia")
    tokens, others = await phone.login(), await other.login()
    await identity.authenticate(tokens.access_token, phone.certificate)
    await identity.authenticate(others.access_token, other.certificate)
    await revoke(identity, db, phone, tokens.session_id, what)
    assert await refusal(identity.authenticate(tokens.access_token, phone.certificate)) == "auth.revoked"
    assert await refusal(identity.refresh(tokens.refresh_token, phone.certificate)) == "auth.revoked"
    await identity.authenticate(others.access_token, other.certificate)


@pytest.mark.parametrize("what", ["device", "user"])
async def test_a_revoked_device_or_person_can_not_log_in_again(
    identity: Identity, phones: Phones, db: Database, what: str
) -> None:
    phone = await phones.make()
    await revoke(identity, db, phone, "", what)
    assert await refusal(phone.login()) == ("auth.revoked" if what == "device" else "auth.invalid_credentials")


async def test_a_revocation_during_the_look_up_is_not_overtaken(
    phones: Phones, db: Database, identities: Identities, clock: HandClock
) -> None:
    """The look-up has read "valid"; before it is remembered the session ends. The next request must be refused."""

    class Overtaken:
        between = False

        async def read(self, query: object) -> object:
            found = await db.read(query)  # type: ignore[arg-type]
            if not self.between:
                self.between = True
                await db.write(lambda tx: identity.end_sessions(tx, "test", session_id=tokens.session_id))
            return found

        async def write(self, change: object) -> object:
            return await db.write(change)  # type: ignore[arg-type]

    phone = await phones.make()
    tokens = await phone.login()
    identity = identities.make(Overtaken())
    assert await refusal(identity.authenticate(tokens.access_token, phone.certificate)) == "auth.revoked"


async def test_a_changed_role_counts_from_the_next_request(identity: Identity, phones: Phones, db: Database) -> None:
    phone = await phones.make()
    tokens = await phone.login()
    assert (await identity.authenticate(tokens.access_token, phone.certificate)).may("note.sign")
    await db.write(
        lambda tx: identity.update_user(tx, phone.user.id, display_name=None, role="nurse", practitioner_id=None)
    )
    assert not (await identity.authenticate(tokens.access_token, phone.certificate)).may("note.sign")


async def test_changing_the_password_keeps_only_ones_own_session(
    identity: Identity, phones: Phones, db: Database
) -> None:
    phone = await phones.make()
    mine, elsewhere = await phone.login(), await phone.login()
    hashed = await identity.hash_new_password("outra frase bem longa", "ana")
    await db.write(lambda tx: identity.set_password(tx, phone.user.id, hashed, keep_session=mine.session_id))
    await identity.authenticate(mine.access_token, phone.certificate)
    assert await refusal(identity.authenticate(elsewhere.access_token, phone.certificate)) == "auth.revoked"
    await phone.login("outra frase bem longa")
    assert await refusal(phone.login()) == "auth.invalid_credentials"


async def test_forgetting_reads_the_database_again(identity: Identity, phones: Phones, db: Database) -> None:
    phone = await phones.make()
    tokens = await phone.login()
    await identity.authenticate(tokens.access_token, phone.certificate)
    await db.write(lambda tx: tx.execute("UPDATE security_session SET revoked_at = '2026-01-01T00:00:00.000Z'"))
    identity.forget()
    assert await refusal(identity.authenticate(tokens.access_token, phone.certificate)) == "auth.revoked"


# -- refreshing --------------------------------------------------------------------------------------------------------
async def test_refreshing_gives_a_new_pair_and_keeps_the_session(identity: Identity, phones: Phones) -> None:
    phone = await phones.make()
    first = await phone.login()
    second = await identity.refresh(first.refresh_token, phone.certificate)
    assert second.session_id == first.session_id
    assert {second.access_token, second.refresh_token}.isdisjoint({first.access_token, first.refresh_token})
    await identity.authenticate(second.access_token, phone.certificate)
    await identity.authenticate(first.access_token, phone.certificate)


async def test_reuse_after_the_successor_was_used_ends_the_whole_session(
    identity: Identity, phones: Phones, db: Database
) -> None:
    phone = await phones.make()
    first = await phone.login()
    second = await identity.refresh(first.refresh_token, phone.certificate)
    await identity.authenticate(second.access_token, phone.certificate)
    assert await refusal(identity.refresh(first.refresh_token, phone.certificate)) == "auth.refresh_reused"
    assert await refusal(identity.authenticate(second.access_token, phone.certificate)) == "auth.revoked"
    assert await refusal(identity.refresh(second.refresh_token, phone.certificate)) == "auth.revoked"
    events = [row.event for row in await db.read(audit.read_events)]
    assert ("refresh", 401, "auth.refresh_reused") in {(e.action, e.status, e.detail_code) for e in events}


async def test_reuse_of_any_older_token_ends_the_session(identity: Identity, phones: Phones) -> None:
    phone = await phones.make()
    first = await phone.login()
    second = await identity.refresh(first.refresh_token, phone.certificate)
    third = await identity.refresh(second.refresh_token, phone.certificate)
    assert await refusal(identity.refresh(first.refresh_token, phone.certificate)) == "auth.refresh_reused"
    assert await refusal(identity.refresh(third.refresh_token, phone.certificate)) == "auth.revoked"


async def test_reuse_long_after_ends_the_session(identity: Identity, phones: Phones, clock: HandClock) -> None:
    phone = await phones.make()
    first = await phone.login()
    await identity.refresh(first.refresh_token, phone.certificate)
    clock.pass_time(RETRY_GRACE_S + 1)
    assert await refusal(identity.refresh(first.refresh_token, phone.certificate)) == "auth.refresh_reused"


async def test_a_phone_that_lost_the_answer_may_ask_again(identity: Identity, phones: Phones) -> None:
    phone = await phones.make()
    first = await phone.login()
    lost = [await identity.refresh(first.refresh_token, phone.certificate) for _ in range(3)]
    arrived = lost[-1]
    await identity.authenticate(arrived.access_token, phone.certificate)
    assert await refusal(identity.refresh(lost[0].refresh_token, phone.certificate)) == "auth.required"
    await identity.refresh(arrived.refresh_token, phone.certificate)


async def test_refreshing_needs_the_same_device(identity: Identity, phones: Phones) -> None:
    phone, thief = await phones.make("ana"), await phones.make("bia")
    tokens = await phone.login()
    assert await refusal(identity.refresh(tokens.refresh_token, thief.certificate)) == "auth.device_mismatch"
    assert await refusal(identity.refresh(tokens.refresh_token, None)) == "auth.device_required"
    await identity.refresh(tokens.refresh_token, phone.certificate)


async def test_a_refresh_token_ends(identity: Identity, phones: Phones, clock: HandClock, config: Config) -> None:
    phone = await phones.make()
    tokens = await phone.login()
    clock.pass_time(config.security.refresh_token_s)
    assert await refusal(identity.refresh(tokens.refresh_token, phone.certificate)) == "auth.expired"
    assert await refusal(identity.refresh("made up", phone.certificate)) == "auth.required"


async def test_tokens_are_not_in_the_database(identity: Identity, phones: Phones, db: Database) -> None:
    phone = await phones.make()
    tokens = await phone.login()
    rows = await db.read(lambda q: q.all("SELECT sha256 FROM security_token"))
    kept = {row[0] for row in rows}
    assert kept == {sessions.token_digest(token) for token in (tokens.access_token, tokens.refresh_token)}


async def test_expired_tokens_are_cleared_away_at_the_next_login(
    phones: Phones, db: Database, clock: HandClock
) -> None:
    phone = await phones.make()
    await phone.login()
    clock.pass_time(3 * 86_400)
    await phone.login()
    row = await db.read(lambda q: q.one("SELECT count(*) FROM security_token"))
    assert row is not None
    assert row[0] == 2


# -- logging in --------------------------------------------------------------------------------------------------------
async def test_the_name_may_be_typed_in_any_case(identity: Identity, phones: Phones) -> None:
    phone = await phones.make("ana")
    await identity.login("ANA", PASSWORD, phone.certificate)


async def test_wrong_name_wrong_password_and_other_persons_phone_look_the_same(
    identity: Identity, phones: Phones, db: Database
) -> None:
    ana, bia = await phones.make("ana"), await phones.make("bia")
    codes = [
        await refusal(identity.login("ana", "wrong", ana.certificate)),
        await refusal(identity.login("nobody", PASSWORD, ana.certificate)),
        await refusal(identity.login("bia", PASSWORD, ana.certificate)),
    ]
    assert set(codes) == {"auth.invalid_credentials"}
    events = await login_events(db)
    assert [(e.user_id, e.detail_code) for e in events] == [
        (ana.user.id, "wrong_password"), ("", "unknown_user"), (bia.user.id, "wrong_password"),
    ]  # fmt: skip
    assert all(event.status == 401 and event.device_id == ana.enrolled.device_id for event in events)


async def test_a_shared_device_lets_any_person_in(identity: Identity, phones: Phones) -> None:
    ana, bia = await phones.make("ana"), await phones.make("bia")
    shared = await phones.another(ana.user, shared=True)
    for name in ("ana", "bia"):
        tokens = await identity.login(name, PASSWORD, shared.certificate)
        assert (await identity.authenticate(tokens.access_token, shared.certificate)).username == name
    assert bia.user.id != ana.user.id


async def test_no_login_without_an_enrolled_device(identity: Identity, phones: Phones) -> None:
    await phones.make()
    assert await refusal(identity.login("ana", PASSWORD, None)) == "auth.device_required"
    assert await refusal(identity.login("ana", PASSWORD, b"unknown certificate")) == "auth.device_required"


async def test_a_person_without_a_password_can_not_log_in(identity: Identity, phones: Phones) -> None:
    phone = await phones.another(await identity.create_user("novo", "nurse", None, "Novo"))
    for password in ("", "None", "no user has this password"):
        assert await refusal(identity.login("novo", password, phone.certificate)) == "auth.invalid_credentials"


async def test_guessing_is_slowed_down_then_locked_and_both_are_audited(
    identity: Identity, phones: Phones, db: Database, clock: HandClock
) -> None:
    phone = await phones.make()
    codes = []
    for _ in range(40):
        codes.append(await refusal(phone.login("wrong password")))
        clock.pass_time(20)
    assert codes[:3] == ["auth.invalid_credentials"] * 3
    assert codes[-1] == "auth.locked"
    assert await refusal(phone.login()) == "auth.locked"
    events = await login_events(db)
    assert len(events) == 10
    assert events[-1].detail_code == "locked"
    clock.pass_time(900)
    await phone.login()
    assert (await login_events(db))[-1].status == 200


async def test_a_lock_on_one_phone_leaves_the_persons_other_phone_alone(
    identity: Identity, phones: Phones, clock: HandClock
) -> None:
    ana = await phones.make("ana")
    other = await phones.another(ana.user)
    for _ in range(12):
        await refusal(identity.login("ana", "wrong", ana.certificate))
        clock.pass_time(65)
    assert await refusal(ana.login()) == "auth.locked"
    await other.login()


async def test_one_phone_can_not_try_everybody(identity: Identity, phones: Phones) -> None:
    phone = await phones.make("ana")
    names = [f"medico{number}" for number in range(60)]
    for name in names:
        await identity.create_user(name, "physician", None, name)
    codes = [await refusal(identity.login(name, "senha errada", phone.certificate)) for name in names]
    assert codes[-1] == "auth.throttled"
    assert codes.count("auth.invalid_credentials") <= 30


async def test_a_password_hash_is_upgraded_at_login(identity: Identity, phones: Phones, db: Database) -> None:
    phone = await phones.make()
    old = argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    await db.write(lambda tx: users.set_password_hash(tx, phone.user.id, old))
    await phone.login()
    stored = await db.read(lambda q: users.password_hash_of(q, phone.user.id))
    assert stored is not None
    assert stored != old
    await phone.login()


async def test_a_person_disabled_while_argon2_works_does_not_get_in(
    phones: Phones, db: Database, identities: Identities, clock: HandClock
) -> None:
    class Disabling:
        """The password is right; meanwhile an administrator disables the person."""

        def hash(self, password: str | bytes, /) -> str:
            return CHEAP.hash(password)

        def verify(self, hash: str | bytes, password: str | bytes, /) -> bool:  # noqa: A002
            asyncio.run_coroutine_threadsafe(
                db.write(lambda tx: users.disable_user(tx, phone.user.id, "2026-03-02T12:00:00.000Z")), loop
            ).result(30)
            return True

        def check_needs_rehash(self, hash: str | bytes, /) -> bool:  # noqa: A002
            return False

    loop = asyncio.get_running_loop()
    phone = await phones.make()
    identity = identities.make(hasher=Disabling())
    assert await refusal(identity.login("ana", PASSWORD, phone.certificate)) == "auth.revoked"
    assert (await db.read(sessions.list_sessions)) == []


async def test_two_hundred_people_log_in_at_once(identity: Identity, phones: Phones, db: Database) -> None:
    shift = [await phones.make(f"medico{number}") for number in range(200)]
    tokens = await asyncio.gather(*(phone.login() for phone in shift))
    assert len({token.session_id for token in tokens}) == 200
    who = await asyncio.gather(
        *(identity.authenticate(t.access_token, p.certificate) for t, p in zip(tokens, shift, strict=True))
    )
    assert [principal.user_id for principal in who] == [phone.user.id for phone in shift]
    assert len(await login_events(db)) == 100  # read_events gives a page of 100
    assert (await db.read(audit.head)).size == 400  # an enrolment and a log-in each


async def test_confirming_ones_own_password_is_slowed_down_too(identity: Identity, phones: Phones) -> None:
    phone = await phones.make()
    who = await identity.authenticate((await phone.login()).access_token, phone.certificate)
    await identity.check_own_password(who, PASSWORD)
    codes = [await refusal(identity.check_own_password(who, "wrong")) for _ in range(5)]
    assert codes == ["auth.invalid_credentials"] * 3 + ["auth.throttled"] * 2


async def test_a_session_that_the_machine_itself_starts_is_audited(
    identity: Identity, phones: Phones, db: Database
) -> None:
    phone = await phones.make()
    tokens = await db.write(
        lambda tx: identity.start_session(
            tx, user_id=phone.user.id, device_id=phone.enrolled.device_id, certificate_der=phone.certificate
        )
    )
    await identity.authenticate(tokens.access_token, phone.certificate)
    assert (await login_events(db))[-1].detail_code == "local"


async def test_short_lifetimes_of_the_configuration_are_used(
    phones: Phones, identities: Identities, clock: HandClock
) -> None:
    identity = identities.make(security=Security(access_token_s=5, refresh_token_s=10))
    phone = await phones.make()
    tokens = await identity.login("ana", PASSWORD, phone.certificate)
    assert (tokens.access_expires_in, tokens.refresh_expires_in) == (5, 10)
    clock.pass_time(5)
    assert await refusal(identity.authenticate(tokens.access_token, phone.certificate)) == "auth.expired"


async def test_running_sessions_are_listed(phones: Phones, identity: Identity, db: Database) -> None:
    ana, bia = await phones.make("ana"), await phones.make("bia")
    first, second = await ana.login(), await ana.login()
    await bia.login()

    def of_ana(q: Query) -> list[str]:
        return [session.id for session in sessions.list_sessions(q, user_id=ana.user.id)]

    assert await db.read(of_ana) == [second.session_id, first.session_id]
    await db.write(lambda tx: identity.end_sessions(tx, "test", session_id=first.session_id))
    assert await db.read(of_ana) == [second.session_id]
    ended = await db.read(lambda q: sessions.get_session(q, first.session_id))
    assert ended.revoked_reason == "test"
