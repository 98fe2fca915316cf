from __future__ import annotations

from appliance.config.model import Config
from appliance.security import audit, sessions
from appliance.security.identity import Identity
from appliance.security.sessions import RETRY_GRACE_S
from appliance.store.database import Database
from tests.fakes.hand_clock import HandClock
from tests.unit.security.conftest import Phones, refusal


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
