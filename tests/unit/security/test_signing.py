from __future__ import annotations

import base64
import copy
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugin_api.errors import ProntuarioError
from appliance.security import signing
from appliance.security.identity import Identity
from appliance.security.signing import Signature
from appliance.security.users import User
from appliance.security.vault import Vault
from appliance.store.database import Database

NOTE = {
    "resourceType": "Composition", "status": "final", "title": "Consulta — evolução",
    "section": [{"title": "Plano", "text": {"div": "Losartana 50 mg"}}, {"temperature": 36.5, "codes": [1, 2, None]}],
}  # fmt: skip
AT = "2026-03-02T12:00:00.000Z"


@pytest.fixture
async def ana(identity: Identity) -> User:
    return await identity.create_user("ana", "physician", None, "Ana")


@pytest.fixture
async def signature(db: Database, vault: Vault, ana: User) -> Signature:
    return await db.read(lambda q: signing.sign(q, vault, ana.id, NOTE, signed_at=AT))


async def test_a_signature_verifies_after_a_trip_through_json(signature: Signature) -> None:
    wire = msgspec.json.decode(msgspec.json.encode(signature), type=Signature)
    shuffled = dict(reversed(json.loads(json.dumps(NOTE)).items()))
    assert signing.verify(shuffled, wire)
    assert signature.signed_at == AT


async def test_anyone_can_verify_with_the_public_key_and_two_libraries(signature: Signature) -> None:
    """Written as an outsider would: sorted keys and Ed25519; this note needs no more of RFC 8785."""
    signed = {"algorithm": "Ed25519", "key_id": signature.key_id, "payload": NOTE, "signed_at": AT}
    message = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.public_key))
    key.verify(base64.b64decode(signature.value), message)


def _paths(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    if isinstance(value, dict):
        return [deeper for key, item in value.items() for deeper in _paths(item, (*path, key))]
    if isinstance(value, list):
        return [deeper for index, item in enumerate(value) for deeper in _paths(item, (*path, index))]
    return [path]


@pytest.mark.parametrize("path", _paths(NOTE), ids=str)
async def test_any_change_to_the_note_breaks_the_signature(signature: Signature, path: tuple[object, ...]) -> None:
    changed = copy.deepcopy(NOTE)
    target: object = changed
    for step in path[:-1]:
        target = target[step]  # type: ignore[index]
    target[path[-1]] = "something else"  # type: ignore[index]
    assert not signing.verify(changed, signature)


@pytest.mark.parametrize(
    "change",
    [{"signed_at": "2026-03-03T12:00:00.000Z"}, {"key_id": "0" * 32}, {"value": base64.b64encode(bytes(64)).decode()},
     {"value": "not base64!"}, {"value": ""}, {"public_key": base64.b64encode(bytes(31)).decode()}, {"public_key": "é"}],
)  # fmt: skip
async def test_no_part_of_the_signature_can_be_swapped(signature: Signature, change: dict[str, str]) -> None:
    assert not signing.verify(NOTE, msgspec.structs.replace(signature, **change))


def test_what_has_no_canonical_form_can_not_be_verified() -> None:
    signature = Signature("Ed25519", "k", base64.b64encode(bytes(32)).decode(), "AA==", AT)
    assert not signing.verify({"x": float("nan")}, signature)


async def test_the_key_belongs_to_its_person(
    db: Database, vault: Vault, identity: Identity, ana: User, signature: Signature
) -> None:
    bia = await identity.create_user("bia", "physician", None, "Bia")
    assert await db.read(lambda q: signing.verify_with_registered(q, ana.id, NOTE, signature))
    assert not await db.read(lambda q: signing.verify_with_registered(q, bia.id, NOTE, signature))
    assert not await db.read(lambda q: signing.verify_with_registered(q, ana.id, {}, signature))


async def test_somebody_elses_key_under_a_registered_id_is_refused(
    db: Database, ana: User, signature: Signature
) -> None:
    forger = Ed25519PrivateKey.generate()
    forged = Signature(
        "Ed25519", signature.key_id, base64.b64encode(forger.public_key().public_bytes_raw()).decode(),
        base64.b64encode(forger.sign(signing.signed_bytes(NOTE, signature.key_id, AT))).decode(), AT,
    )  # fmt: skip
    assert signing.verify(NOTE, forged)
    assert not await db.read(lambda q: signing.verify_with_registered(q, ana.id, NOTE, forged))


async def test_a_phone_signs_by_itself(db: Database, ana: User) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    key_id = await db.write(lambda tx: signing.register_device_key(tx, ana.id, "phone-1", public, AT))
    value = base64.b64encode(key.sign(signing.signed_bytes(NOTE, key_id, AT))).decode()
    signature = Signature("Ed25519", key_id, base64.b64encode(public).decode(), value, AT)
    assert await db.read(lambda q: signing.verify_with_registered(q, ana.id, NOTE, signature))


async def test_old_signatures_stay_valid_and_later_ones_do_not(
    db: Database, vault: Vault, ana: User, signature: Signature
) -> None:
    await db.write(lambda tx: signing.retire_keys(tx, "2026-03-02T13:00:00.000Z", user_id=ana.id))
    assert await db.read(lambda q: signing.verify_with_registered(q, ana.id, NOTE, signature))
    with pytest.raises(ProntuarioError, match=r"signing\.no_key"):
        await db.read(lambda q: signing.sign(q, vault, ana.id, NOTE))


async def test_a_signature_dated_after_the_key_was_retired(db: Database, vault: Vault, ana: User) -> None:
    later = await db.read(lambda q: signing.sign(q, vault, ana.id, NOTE, signed_at="2026-03-02T14:00:00.000Z"))
    await db.write(lambda tx: signing.retire_keys(tx, "2026-03-02T13:00:00.000Z", user_id=ana.id))
    assert not await db.read(lambda q: signing.verify_with_registered(q, ana.id, NOTE, later))


async def test_a_new_key_replaces_the_old_one(db: Database, vault: Vault, ana: User, signature: Signature) -> None:
    new = await db.write(lambda tx: signing.create_key(tx, vault, ana.id, "2026-03-02T13:00:00.000Z"))
    again = await db.read(lambda q: signing.sign(q, vault, ana.id, NOTE))
    assert (again.key_id, signature.key_id != new) == (new, True)
    keys = await db.read(lambda q: signing.public_keys(q, ana.id))
    assert [key.key_id for key in keys] == [new, signature.key_id]


async def test_the_private_key_is_sealed_for_its_person(
    db: Database, vault: Vault, identity: Identity, ana: User
) -> None:
    bia = await identity.create_user("bia", "physician", None, "Bia")
    swap = (
        "UPDATE security_signing_key SET sealed_private_key ="
        " (SELECT sealed_private_key FROM security_signing_key WHERE user_id = ?) WHERE user_id = ?"
    )
    await db.write(lambda tx: tx.execute(swap, (bia.id, ana.id)))
    with pytest.raises(ProntuarioError, match=r"vault\.damaged"):
        await db.read(lambda q: signing.sign(q, vault, ana.id, NOTE))


@given(st.binary(max_size=40).filter(lambda raw: len(raw) != 32))
def test_only_thirty_two_bytes_are_a_key(raw: bytes) -> None:
    with pytest.raises(ProntuarioError, match="32 bytes"):
        signing.register_device_key(None, "u", "d", raw, AT)  # type: ignore[arg-type]
