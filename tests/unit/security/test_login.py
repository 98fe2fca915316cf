from __future__ import annotations

import asyncio

import argon2

from appliance.config.model import Security
from appliance.plugin_api.storage import Query
from appliance.security import audit, sessions, users
from appliance.security.identity import Identity
from appliance.store.database import Database
from tests.fakes.hand_clock import HandClock
from tests.unit.security.conftest import CHEAP, PASSWORD, Identities, Phones, login_events, refusal


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
