from __future__ import annotations

import copy
import gzip
import re
from importlib import resources
from typing import Any

import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.records import bundles, json_text, repository, search
from appliance.records.everything import everything
from appliance.store.database import Database

NOW = "2026-03-01T10:00:00.000Z"


def sample() -> dict[str, Any]:
    packed = resources.files("appliance.daemon.sample").joinpath("synthea_blake.json.gz").read_bytes()
    bundle: dict[str, Any] = json_text.decode(gzip.decompress(packed))
    return bundle


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def post(resource: dict[str, Any], full_url: str = "", **request: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"], **request},
    }
    return entry | ({"fullUrl": full_url} if full_url else {})


def condition(subject: str) -> dict[str, Any]:
    return {"resourceType": "Condition", "subject": {"reference": subject}}


PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:cns", "value": "1"}], "name": [{"family": "Reis"}]}
URN = "urn:uuid:11111111-1111-4111-8111-111111111111"


async def load(database: Database, bundle: dict[str, Any], **options: Any) -> list[bundles.Outcome]:
    return await database.write(lambda tx: bundles.load_transaction(tx, bundle, now=NOW, **options))


async def fails(database: Database, bundle: dict[str, Any], **options: Any) -> ProntuarioError:
    before = await count(database)
    with pytest.raises(ProntuarioError) as caught:
        await load(database, bundle, **options)
    assert await count(database) == before
    return caught.value


async def count(database: Database) -> int:
    found = await database.read(lambda q: q.one("SELECT COUNT(*) FROM record_version"))
    assert found is not None
    return int(found[0] or 0)


async def test_a_synthea_patient_is_loaded_whole_and_every_reference_leads_somewhere(database: Database) -> None:
    bundle = sample()
    before = copy.deepcopy(bundle)
    outcomes = await load(database, bundle, from_client=True)
    assert bundle == before
    assert [one.type for one in outcomes] == [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    stored = await database.read(lambda q: q.all("SELECT body FROM record_version"))
    text = "\n".join(str(row[0]) for row in stored)
    assert "urn:uuid:" not in text.replace('"system":"urn:', "")
    known = {f"{one.type}/{one.id}" for one in outcomes}
    pointed = set(re.findall(r'"reference":"([^"#]+)"', text))
    assert len(pointed) > 10
    assert pointed <= known
    patient = next(one for one in outcomes if one.type == "Patient")
    everyone = await database.read(lambda q: everything(q, patient.id, limit=1000))
    assert len(everyone) == len(outcomes)
    found = await database.read(
        lambda q: search.search(q, "Observation", [("patient", patient.id), ("_total", "accurate")], "")
    )
    assert found["total"] == 48


async def test_what_was_loaded_is_what_the_bundle_held(database: Database) -> None:
    bundle = sample()
    outcomes = await load(database, bundle)
    for entry, outcome in zip(bundle["entry"], outcomes, strict=True):
        assert outcome.resource is not None
        sent, kept = ({**one, "id": "", "meta": {}} for one in (entry["resource"], outcome.resource))
        assert set(sent) == set(kept)
        read = await database.read(lambda q, one=outcome: repository.read(q, one.type, one.id))
        assert read == outcome.resource


async def test_entries_may_refer_forwards_and_by_condition(database: Database) -> None:
    await load(database, transaction(post(PATIENT)))
    newcomer = {**PATIENT, "identifier": [{"system": "urn:cns", "value": "2"}]}
    done = await load(
        database,
        transaction(post(condition(URN)), post(condition("Patient?identifier=urn:cns|1")), post(newcomer, URN)),
        from_client=True,
    )
    first, second, patient = (one.resource for one in done)
    assert first is not None
    assert second is not None
    assert patient is not None
    assert first["subject"]["reference"] == f"Patient/{patient['id']}"
    assert second["subject"]["reference"] not in {f"Patient/{patient['id']}", "Patient?identifier=urn:cns|1"}


async def test_if_none_exist_uses_the_patient_that_is_there(database: Database) -> None:
    (there,) = await load(database, transaction(post(PATIENT)))
    again, kept = await load(
        database, transaction(post(PATIENT, URN, ifNoneExist="identifier=urn:cns|1"), post(condition(URN)))
    )
    assert again.status == "200 OK"
    assert again.id == there.id
    assert kept.resource is not None
    assert kept.resource["subject"]["reference"] == f"Patient/{there.id}"


async def test_update_read_and_delete_in_one_transaction(database: Database) -> None:
    patient, gone = await load(database, transaction(post(PATIENT), post({**PATIENT, "active": False})))
    assert patient.resource is not None
    update = {
        "resource": {**patient.resource, "active": True},
        "request": {"method": "PUT", "url": f"Patient/{patient.id}"},
    }
    update["request"]["ifMatch"] = 'W/"1"'
    done = await load(
        database,
        transaction(
            {"request": {"method": "GET", "url": f"Patient/{patient.id}"}},
            update,
            {"request": {"method": "DELETE", "url": f"Patient/{gone.id}"}},
        ),
    )
    assert [one.status for one in done] == ["200 OK", "200 OK", "204 No Content"]
    assert done[0].version == 2
    assert (await fails(database, transaction(update))).kind.code == "fhir.version_conflict"


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([post(PATIENT), post({"resourceType": "Observation"})], "fhir.invalid"),
        ([post(PATIENT), post(condition(URN))], "fhir.invalid"),
        ([post(PATIENT), post(condition("Patient?identifier=urn:cns|404"))], "fhir.invalid"),
        ([post(PATIENT, URN), post(PATIENT, URN)], "fhir.invalid"),
        ([post(PATIENT), {"request": {"method": "DELETE", "url": "Patient/none"}}], "fhir.not_found"),
        ([post(PATIENT), {"request": {"method": "GET", "url": "Patient?name=x"}}], "fhir.not_supported"),
        ([post(PATIENT), {"request": {"method": "PATCH", "url": "Patient/x"}}], "fhir.not_supported"),
        ([post(PATIENT), {"request": {"method": "POST", "url": "Patient"}}], "fhir.invalid"),
        ([post(PATIENT), {"resource": PATIENT, "request": {"method": "POST", "url": "Condition"}}], "fhir.invalid"),
        ([post(PATIENT), {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient"}}], "fhir.invalid"),
        ([post(PATIENT), {"resource": PATIENT}], "fhir.invalid"),
        ([post(PATIENT), post({"resourceType": "Zork"})], "fhir.invalid"),
    ],
)
async def test_one_bad_entry_undoes_the_whole_transaction(database: Database, entries: list[Any], code: str) -> None:
    assert (await fails(database, transaction(*entries))).kind.code == code


async def test_a_client_may_neither_point_nowhere_nor_seal(database: Database) -> None:
    nowhere = await fails(database, transaction(post(condition("Patient/none"))), from_client=True)
    issues = nowhere.details["issues"]
    assert isinstance(issues, list)
    assert issues[0]["code"] == "not-found"
    await load(database, transaction(post(condition("Patient/none"))))
    sealed = {**PATIENT, "meta": {"tag": [{"system": repository.IMMUTABLE_TAG, "code": "x"}]}}
    assert (await fails(database, transaction(post(sealed)), from_client=True)).kind.code == "record.immutable"


@pytest.mark.parametrize("body", [{"resourceType": "Bundle", "type": "batch"}, {"resourceType": "Patient"}])
async def test_only_transactions_are_taken(database: Database, body: dict[str, Any]) -> None:
    assert (await fails(database, body)).kind.code == "fhir.invalid"


async def test_everything_of_a_patient_is_hers_alone_and_paged(database: Database) -> None:
    doctor = {"resourceType": "Practitioner", "name": [{"family": "Lima"}]}
    (practitioner, other, patient) = await load(database, transaction(post(doctor), post(PATIENT), post(PATIENT)))
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{patient.id}"},
        "participant": [{"individual": {"reference": f"Practitioner/{practitioner.id}"}}],
    }
    theirs = [post(encounter), post(condition(f"Patient/{patient.id}"))]
    done = await load(database, transaction(*theirs, post(condition(f"Patient/{other.id}"))))
    await database.write(lambda tx: repository.delete(tx, "Condition", done[1].id, now=NOW))
    seen: list[str] = []
    after = 0
    while page := await database.read(lambda q, after=after: everything(q, patient.id, after=after, limit=1)):
        after = page[0][0]
        seen.append(f"{page[0][1].type}/{page[0][1].id}")
    assert seen == [f"Practitioner/{practitioner.id}", f"Patient/{patient.id}", f"Encounter/{done[0].id}"]
    with pytest.raises(ProntuarioError, match=r"fhir\.not_found"):
        await database.read(lambda q: everything(q, "none"))
