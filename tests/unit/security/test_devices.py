from __future__ import annotations

import pytest

from appliance.config.model import Config
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.security import audit, devices, signing, users
from appliance.security.devices import Enrolled, EnrolmentCode
from appliance.security.identity import Identity
from appliance.store.database import Database
from tests.fakes.hand_clock import HandClock
from tests.unit.security.conftest import Phones, der_of, new_csr, refusal


@pytest.fixture
async def ana(identity: Identity) -> users.User:
    return await identity.create_user("ana", "physician", None, "Ana")


@pytest.fixture
async def code(db: Database, identity: Identity, ana: users.User) -> EnrolmentCode:
    return await db.write(lambda tx: identity.create_enrolment_code(tx, ana.id, "an-admin"))


async def enrol(
    db: Database, identity: Identity, code: str, csr: bytes | None = None, key: bytes | None = None
) -> Enrolled:
    """As the API does it."""
    await identity.count_enrolment_attempt(code)
    return await db.write(
        lambda tx: identity.enrol(tx, code=code, csr=csr or new_csr(), name="iPhone", signing_public_key=key)
    )


async def test_a_code_enrols_one_device_of_its_person(
    db: Database, identity: Identity, ana: users.User, code: EnrolmentCode
) -> None:
    enrolled = await enrol(db, identity, code.code)
    assert enrolled.user_id == ana.id
    device = await db.read(lambda q: devices.get_device(q, enrolled.device_id))
    assert (device.user_id, device.name, device.revoked_at) == (ana.id, "iPhone", None)
    assert device.not_after == enrolled.not_after
    assert await refusal(enrol(db, identity, code.code)) == "enrolment.used"
    assert len(await db.read(devices.list_devices)) == 1
    event = (await db.read(audit.read_events))[0].event
    assert (event.action, event.user_id, event.device_id) == ("enrol", ana.id, enrolled.device_id)


async def test_a_code_may_be_typed_by_hand(db: Database, identity: Identity, code: EnrolmentCode) -> None:
    sloppy = f"  {code.code.lower().replace('-', ' ')} ".replace("0", "o").replace("1", "l")
    assert (await enrol(db, identity, sloppy)).device_id


async def test_a_code_expires(
    db: Database, identity: Identity, code: EnrolmentCode, clock: HandClock, config: Config
) -> None:
    clock.pass_time(config.security.enrolment_code_s)
    assert await refusal(enrol(db, identity, code.code)) == "enrolment.expired"


async def test_setting_the_date_back_does_not_prolong_a_code(
    db: Database, identity: Identity, code: EnrolmentCode, clock: HandClock, config: Config
) -> None:
    clock.step_wall(-86_400)
    clock.pass_time(config.security.enrolment_code_s)
    assert await refusal(enrol(db, identity, code.code)) == "enrolment.expired"


async def test_made_up_codes(db: Database, identity: Identity, code: EnrolmentCode) -> None:
    for wrong in ("", "AAAAA", "00000-00000-00000-00000-00000", code.code[:-1], code.code + "0", "ß" * 30):
        assert await refusal(enrol(db, identity, wrong)) == "enrolment.refused"


async def test_after_five_wrong_guesses_even_the_right_code_is_refused(
    db: Database, identity: Identity, code: EnrolmentCode
) -> None:
    wrong = code.code[:-1] + ("A" if code.code[-1] != "A" else "B")
    for _ in range(5):
        assert await refusal(enrol(db, identity, wrong)) == "enrolment.refused"
    assert await refusal(enrol(db, identity, code.code)) == "enrolment.refused"
    codes = [row.event.detail_code for row in await db.read(audit.read_events)]
    assert codes == ["wrong_code"] * 5


async def test_four_wrong_guesses_are_forgiven(db: Database, identity: Identity, code: EnrolmentCode) -> None:
    wrong = code.code[:-1] + ("A" if code.code[-1] != "A" else "B")
    for _ in range(4):
        await refusal(enrol(db, identity, wrong))
    assert (await enrol(db, identity, code.code)).device_id


async def test_a_bad_request_leaves_the_code_unspent(db: Database, identity: Identity, code: EnrolmentCode) -> None:
    assert await refusal(enrol(db, identity, code.code, b"nonsense")) == "enrolment.csr"
    assert await refusal(enrol(db, identity, code.code, key=b"short")) == "invalid"
    assert await db.read(devices.list_devices) == []
    assert (await enrol(db, identity, code.code)).device_id


async def test_a_code_is_kept_only_as_a_hash(db: Database, code: EnrolmentCode) -> None:
    row = await db.read(lambda q: q.one("SELECT * FROM security_enrolment_code"))
    assert row is not None
    secret = code.code.replace("-", "")[5:]
    assert not any(
        secret in str(value) or secret.encode() in (value if isinstance(value, bytes) else b"") for value in row
    )


async def test_codes_do_not_repeat_and_nobody_unknown_gets_one(
    db: Database, identity: Identity, ana: users.User
) -> None:
    def many(tx: Transaction) -> set[str]:
        return {identity.create_enrolment_code(tx, ana.id, None).code for _ in range(50)}

    assert len(await db.write(many)) == 50
    assert await refusal(db.write(lambda tx: identity.create_enrolment_code(tx, "nobody", None))) == "not_found"


async def test_a_code_for_a_shared_device(db: Database, identity: Identity) -> None:
    code = await db.write(lambda tx: identity.create_enrolment_code(tx, None, None))
    enrolled = await enrol(db, identity, code.code, key=bytes(32))
    assert (enrolled.user_id, enrolled.signing_key_id) == (None, None)


async def test_a_phone_may_bring_its_own_signing_key(
    db: Database, identity: Identity, ana: users.User, code: EnrolmentCode
) -> None:
    enrolled = await enrol(db, identity, code.code, key=b"\x07" * 32)
    keys = await db.read(lambda q: signing.public_keys(q, ana.id))
    assert (keys[0].key_id, keys[0].device_id) == (enrolled.signing_key_id, enrolled.device_id)
    await db.write(lambda tx: identity.revoke_device(tx, enrolled.device_id))
    keys = await db.read(lambda q: signing.public_keys(q, ana.id))
    assert keys[0].retired_at is not None
    assert keys[1].retired_at is None


async def test_a_renewed_certificate_works_and_so_does_the_one_before(
    db: Database, identity: Identity, phones: Phones
) -> None:
    phone = await phones.make("bia")
    before = await phone.login()
    renewed = await db.write(lambda tx: identity.renew_certificate(tx, phone.enrolled.device_id, new_csr()))
    certificate = der_of(renewed.certificate)
    assert renewed.device_id == phone.enrolled.device_id
    await identity.authenticate(before.access_token, phone.certificate)
    moved = await identity.refresh(before.refresh_token, certificate)
    await identity.authenticate(moved.access_token, certificate)
    assert await refusal(identity.authenticate(moved.access_token, phone.certificate)) == "auth.device_mismatch"
    await phone.login()


async def test_a_revoked_device_gets_no_new_certificate(db: Database, identity: Identity, phones: Phones) -> None:
    phone = await phones.make("bia")
    await db.write(lambda tx: identity.revoke_device(tx, phone.enrolled.device_id))
    renewal = db.write(lambda tx: identity.renew_certificate(tx, phone.enrolled.device_id, new_csr()))
    assert await refusal(renewal) == "not_found"


async def test_devices_are_listed_by_person_newest_first(db: Database, phones: Phones) -> None:
    ana, bia = await phones.make("ana2"), await phones.make("bia")
    second = await phones.another(ana.user)
    of_ana = await db.read(lambda q: devices.list_devices(q, user_id=ana.user.id))
    assert [device.id for device in of_ana] == [second.enrolled.device_id, ana.enrolled.device_id]
    everyone = await db.read(devices.list_devices)
    assert {device.id for device in everyone} == {p.enrolled.device_id for p in (ana, bia, second)}
    with pytest.raises(ProntuarioError, match="not_found"):
        await db.read(lambda q: devices.get_device(q, "nothing"))
