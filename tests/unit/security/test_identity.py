from __future__ import annotations

import pytest

from appliance.config.model import Config
from appliance.plugin_api.hooks import Permission
from appliance.plugin_api.storage import Transaction
from appliance.security import sessions
from appliance.security.identity import Identity
from appliance.security.policy import ROLES, Policy
from appliance.security.session_cache import FRESH_S
from appliance.store.database import Database
from tests.fakes.hand_clock import HandClock
from tests.unit.security.conftest import Identities, Phone, Phones, refusal


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
    from appliance.security import devices

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
