from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.records import conditional, json_text, repository
from appliance.store.database import Database
from appliance.store.sqlite import IntegrityError

T = TypeVar("T")
T1, T2, T3 = "2026-03-01T10:00:00.000Z", "2026-03-01T10:00:01.000Z", "2026-03-01T10:00:02.000Z"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"family": "Araújo", "given": ["Bento"]}],
    "identifier": [{"system": "urn:cns", "value": "7001"}],
}


async def create(database: Database, resource: dict[str, Any], **options: Any) -> dict[str, Any]:
    return await database.write(lambda tx: repository.create(tx, resource, now=T1, **options))


async def refused(database: Database, change: Callable[[Transaction], Any]) -> ProntuarioError:
    with pytest.raises(ProntuarioError) as caught:
        await database.write(change)
    return caught.value


async def test_a_created_resource_is_read_back_with_the_servers_id_and_version(database: Database) -> None:
    created = await create(database, {**PATIENT, "id": "mine", "meta": {"versionId": "9"}}, author="u1")
    assert created["id"] != "mine"
    assert created["meta"] == {"versionId": "1", "lastUpdated": T1}
    read = await database.read(lambda q: repository.read(q, "Patient", created["id"]))
    assert read == created
    assert read["name"] == PATIENT["name"]


async def test_an_invalid_resource_leaves_nothing_behind(database: Database) -> None:
    error = await refused(database, lambda tx: repository.create(tx, {"resourceType": "Observation"}, now=T1))
    assert error.kind.code == "fhir.invalid"
    assert tuple(await database.read(lambda q: q.one("SELECT COUNT(*) FROM record_version")) or ()) == (0,)


async def test_an_id_set_on_purpose_is_kept_and_never_given_twice(database: Database) -> None:
    await create(database, PATIENT, resource_id="p-1")
    error = await refused(database, lambda tx: repository.create(tx, PATIENT, now=T2, resource_id="p-1"))
    assert error.kind.code == "fhir.exists"
    await database.write(lambda tx: repository.delete(tx, "Patient", "p-1", now=T2))
    error = await refused(database, lambda tx: repository.create(tx, PATIENT, now=T3, resource_id="p-1"))
    assert error.kind.code == "fhir.exists"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "ção", "../x", "a/b"])
async def test_an_id_of_the_wrong_form_is_refused(database: Database, bad: str) -> None:
    error = await refused(database, lambda tx: repository.create(tx, PATIENT, now=T1, resource_id=bad or " "))
    assert error.field == "Patient.id"


@pytest.mark.parametrize("seen", ['W/"1"', '"1"', "1", None])
async def test_update_makes_the_next_version(database: Database, seen: str | None) -> None:
    made = await create(database, PATIENT)
    changed = {**made, "active": False}
    updated = await database.write(lambda tx: repository.update(tx, changed, now=T2, if_match=seen))
    assert updated["meta"] == {"versionId": "2", "lastUpdated": T2}
    assert (await database.read(lambda q: repository.read(q, "Patient", made["id"])))["active"] is False


@pytest.mark.parametrize("seen", ['W/"2"', "0", "", "latest", 'W/"99999999999999999999999"'])
async def test_update_of_another_version_than_seen_is_a_conflict(database: Database, seen: str) -> None:
    made = await create(database, PATIENT)
    error = await refused(database, lambda tx: repository.update(tx, made, now=T2, if_match=seen))
    assert error.kind.code == "fhir.version_conflict"
    assert error.kind.status == 412


async def test_every_version_stays_readable_after_updates_and_deletion(database: Database) -> None:
    first = await create(database, PATIENT)
    second = await database.write(
        lambda tx: repository.update(tx, {**first, "active": True}, now=T2, if_match="1", author="u2")
    )
    await database.write(lambda tx: repository.delete(tx, "Patient", first["id"], now=T3))
    for version, expected in ((1, first), (2, second)):
        stored = await database.read(
            lambda q, version=version: repository.read_version(q, "Patient", first["id"], version)
        )
        assert stored.resource() == expected
    history = await database.read(lambda q: repository.history(q, "Patient", first["id"]))
    assert [one["meta"]["versionId"] for one in history] == ["3", "2", "1"]
    with pytest.raises(ProntuarioError, match=r"fhir\.gone"):
        await database.read(lambda q: repository.read(q, "Patient", first["id"]))


async def test_deleting_twice_is_harmless_and_an_update_brings_it_back(database: Database) -> None:
    made = await create(database, PATIENT)
    for _ in range(2):
        assert await database.write(lambda tx: repository.delete(tx, "Patient", made["id"], now=T2)) == 2
    back = await database.write(lambda tx: repository.update(tx, made, now=T3, if_match="2"))
    assert back["meta"]["versionId"] == "3"
    assert await database.read(lambda q: repository.read(q, "Patient", made["id"])) == back


async def test_history_never_goes_back_in_time_when_the_clock_does(database: Database) -> None:
    made = await database.write(lambda tx: repository.create(tx, PATIENT, now=T3))
    updated = await database.write(lambda tx: repository.update(tx, made, now=T1, if_match=None))
    assert updated["meta"]["lastUpdated"] == T3


async def test_what_never_was_is_not_found_and_foreign_types_are_named_so(database: Database) -> None:
    for kind, code in (("Patient", "fhir.not_found"), ("Zork", "fhir.type_unknown")):
        with pytest.raises(ProntuarioError) as caught:
            await database.read(lambda q, kind=kind: repository.read(q, kind, "x"))
        assert caught.value.kind.code == code
    error = await refused(database, lambda tx: repository.delete(tx, "Patient", "x", now=T1))
    assert error.kind.code == "fhir.not_found"
    error = await refused(database, lambda tx: repository.update(tx, {**PATIENT, "id": "x"}, now=T1, if_match=None))
    assert error.kind.code == "fhir.not_found"


async def test_a_sealed_resource_can_neither_be_changed_nor_deleted(database: Database) -> None:
    tag = {"tag": [{"system": repository.IMMUTABLE_TAG, "code": "signed"}]}
    made = await create(database, {**PATIENT, "meta": tag})
    bare = {key: value for key, value in made.items() if key != "meta"}
    error = await refused(database, lambda tx: repository.update(tx, bare, now=T2, if_match="1"))
    assert error.kind.code == "record.immutable"
    error = await refused(database, lambda tx: repository.delete(tx, "Patient", made["id"], now=T2))
    assert error.kind.code == "record.immutable"


async def test_a_text_that_only_mentions_the_seal_does_not_seal(database: Database) -> None:
    made = await create(database, {**PATIENT, "identifier": [{"system": repository.IMMUTABLE_TAG, "value": "1"}]})
    updated = await database.write(lambda tx: repository.update(tx, made, now=T2, if_match="1"))
    assert updated["meta"]["versionId"] == "2"


async def test_a_patient_with_records_is_not_deleted(database: Database) -> None:
    made = await create(database, PATIENT)
    condition = {"resourceType": "Condition", "subject": {"reference": f"Patient/{made['id']}"}}
    kept = await create(database, condition)
    error = await refused(database, lambda tx: repository.delete(tx, "Patient", made["id"], now=T2))
    assert error.kind.code == "fhir.referenced"
    await database.write(lambda tx: repository.delete(tx, "Condition", kept["id"], now=T2))
    await database.write(lambda tx: repository.delete(tx, "Patient", made["id"], now=T2))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE record_version SET body = '{}'",
        "DELETE FROM record_version",
        "INSERT OR REPLACE INTO record_version SELECT seq, type, id, version, last_updated, deleted, author, '{}' FROM record_version",
        "INSERT OR REPLACE INTO record_version SELECT seq, type, id, version + 1, last_updated, 0, author, '{}' FROM record_version",
        "INSERT INTO record_version SELECT seq + 7, type, id, version + 1, last_updated, 0, author, '{}' FROM record_version",
        "REPLACE INTO record_version SELECT seq + 1, type, id, version, last_updated, 0, author, '{}' FROM record_version",
    ],
)
async def test_the_database_itself_keeps_every_version(database: Database, statement: str) -> None:
    made = await create(database, PATIENT)
    with pytest.raises(IntegrityError):
        await database.write(lambda tx: tx.execute(statement))
    assert await database.read(lambda q: repository.read(q, "Patient", made["id"])) == made


async def test_decimals_come_back_to_the_digit(database: Database) -> None:
    text = (
        b'{"resourceType":"Observation","status":"final","code":{"text":"K"},'
        b'"valueQuantity":{"value":3.50,"unit":"mmol/L"},"referenceRange":[{"low":{"value":3.10},"high":{"value":5.0}}]}'
    )
    made = await create(database, json_text.decode(text))
    stored = await database.read(lambda q: repository.read_stored(q, "Observation", made["id"]))
    assert b'"value":3.50' in stored.body
    assert b'"value":3.10' in stored.body
    assert b'"value":5.0}' in stored.body


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,8})?", fullmatch=True).filter(
    lambda text: float(text) != 0 or text[0] != "-"
)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(str.strip)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=NUMBERS, unit=TEXTS, notes=st.lists(TEXTS, min_size=1, max_size=3))
async def test_what_was_created_is_what_is_read_to_the_digit(
    database: Database, number: str, unit: str, notes: list[str]
) -> None:
    rest = {"note": [{"text": note} for note in notes], "code": {"text": unit}}
    text = (
        f'{{"resourceType":"Observation","status":"final","valueQuantity":{{"value":{number}}},{json.dumps(rest)[1:]}'
    )
    made = await create(database, json_text.decode(text))
    stored = await database.read(lambda q: repository.read_stored(q, "Observation", made["id"]))
    assert f'"value":{number}}}'.encode() in stored.body
    assert stored.resource() == {**json_text.decode(text), "id": made["id"], "meta": made["meta"]}


async def test_conditional_create_finds_the_one_that_is_there(database: Database) -> None:
    condition = "identifier=urn:cns|7001"
    first = await database.write(lambda tx: conditional.create_if_none(tx, PATIENT, condition, now=T1))
    again = await database.write(lambda tx: conditional.create_if_none(tx, PATIENT, condition, now=T2))
    assert (first.new, again.new) == (True, False)
    assert again.resource == first.resource
    await create(database, PATIENT)
    error = await refused(database, lambda tx: conditional.create_if_none(tx, PATIENT, condition, now=T2))
    assert error.kind.code == "fhir.multiple_matches"
    error = await refused(database, lambda tx: conditional.create_if_none(tx, PATIENT, "", now=T2))
    assert error.kind.code == "fhir.parameter_invalid"
