"""FHIR REST over real TLS, with identity, audit and the real store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.records.repository import IMMUTABLE_TAG
from appliance.records.validation import validate
from appliance.security.audit import read_events
from tests.api.fhir_harness import FHIR, PATIENT, code_of, create, fhir_api, issue_of, post
from tests.api.harness import ApiUnderTest


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with fhir_api(tmp_path) as served:
        yield served


@pytest.fixture
async def client(api: ApiUnderTest) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client(await api.phone("physician")) as opened:
        yield opened


async def test_create_read_update_history_delete(client: httpx.AsyncClient) -> None:
    made = await post(client, PATIENT)
    assert made.status_code == 201
    assert made.headers["etag"] == 'W/"1"'
    patient = made.json()
    address = f"/fhir/R4/Patient/{patient['id']}"
    assert made.headers["location"] == str(client.base_url).rstrip("/") + address + "/_history/1"
    read = await client.get(address)
    assert read.json() == patient
    assert read.headers["content-type"] == "application/fhir+json"
    assert read.headers["last-modified"].endswith("GMT")
    assert (await client.get(address, headers={"if-none-match": 'W/"1"'})).status_code == 304
    assert (await client.get(address, headers={"if-none-match": 'W/"2"'})).status_code == 200

    change = json.dumps({**patient, "active": False})
    blind = await client.put(address, content=change, headers=FHIR)
    assert blind.status_code == 428
    updated = await client.put(address, content=change, headers=FHIR | {"if-match": 'W/"1"'})
    assert updated.status_code == 200, updated.text
    assert updated.headers["etag"] == 'W/"2"'
    late = await client.put(address, content=change, headers=FHIR | {"if-match": 'W/"1"'})
    assert late.status_code == 412
    assert code_of(late) == "fhir.version_conflict"

    assert (await client.delete(address)).status_code == 204
    gone = await client.get(address)
    assert (gone.status_code, issue_of(gone)["code"]) == (410, "deleted")
    assert (await client.get(f"{address}/_history/1")).json() == patient
    assert (await client.get(f"{address}/_history/3")).status_code == 410
    for missing in ("9", "x", "-1", "9" * 40):
        assert (await client.get(f"{address}/_history/{missing}")).status_code == 404
    history = (await client.get(f"{address}/_history")).json()
    validate(history)
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT", "POST"]
    assert "resource" not in history["entry"][0]
    assert history["entry"][2]["resource"] == patient


async def test_histories_are_paged_and_may_begin_at_a_moment(client: httpx.AsyncClient) -> None:
    made = [await create(client, PATIENT) for _ in range(3)]
    first = (await client.get("/fhir/R4/Patient/_history?_count=2")).json()
    assert [entry["resource"]["id"] for entry in first["entry"]] == [made[2]["id"], made[1]["id"]]
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = (await client.get(following)).json()
    assert [entry["resource"]["id"] for entry in second["entry"]] == [made[0]["id"]]
    assert [link["relation"] for link in second["link"]] == ["self"]
    assert "entry" not in (await client.get("/fhir/R4/Patient/_history?_since=2999-01-01T00:00:00Z")).json()
    assert (await client.get("/fhir/R4/Patient/_history?_count=x")).status_code == 400
    assert (await client.get("/fhir/R4/Patient/_history?colour=red")).status_code == 400
    assert (await client.get("/fhir/R4/Patient/none/_history")).status_code == 404


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", FHIR, 400, "body.malformed"),
        (b'{"resourceType": "Patient", "x": \xff}', FHIR, 400, "body.malformed"),
        (b"[" * 100_000, FHIR, 400, "body.malformed"),
        (b'{"resourceType":"Patient","multipleBirthInteger":1e99999999999999999999}', FHIR, 400, "body.malformed"),
        (b"<Patient/>", {"content-type": "application/fhir+xml"}, 415, "body.type"),
        (b'{"resourceType": "Observation"}', FHIR, 422, "fhir.invalid"),
        (b"[]", FHIR, 422, "fhir.invalid"),
        (b'{"resourceType": "Patient", "gender": "Fulano"}', FHIR, 422, "fhir.invalid"),
    ],
)
async def test_a_bad_body_is_refused_by_name(
    client: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    reply = await client.post("/fhir/R4/Patient", content=body, headers=headers)
    assert (reply.status_code, code_of(reply)) == (status, code)
    assert "Fulano" not in reply.text


async def test_faults_are_told_with_their_path_in_the_readers_language(client: httpx.AsyncClient) -> None:
    bad = {**PATIENT, "gender": "xx", "birthDate": "2024-02-30"}
    for language, word in (("pt-BR", "código"), ("en", "code")):
        reply = await post(client, bad, accept_language=language)
        issue = issue_of(reply)
        assert issue["expression"] == ["Patient.gender"]
        assert word in issue["details"]["text"]
        assert reply.headers["content-language"].startswith(language[:2])
        validate_outcome(reply.json())


def validate_outcome(body: dict[str, Any]) -> None:
    assert set(body) == {"resourceType", "issue"}
    for issue in body["issue"]:
        assert {"severity", "code", "details", "diagnostics"} <= set(issue)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Zork", 404), ("Zork/1", 404), ("Patient/none", 404), ("patient/1", 404), ("AuditEvent", 404), ("AuditEvent/1", 404),
        ("Patient?zork=1", 400), ("Patient?_include=x", 400), ("x/y/z", 404), ("$everything", 404),
    ],
)  # fmt: skip
async def test_errors_are_operation_outcomes_everywhere(client: httpx.AsyncClient, path: str, status: int) -> None:
    reply = await client.get(f"/fhir/R4/{path}")
    assert reply.status_code == status
    assert issue_of(reply)["severity"] == "error"


async def test_a_resource_must_be_of_the_addresss_type_and_id(client: httpx.AsyncClient) -> None:
    assert (await post(client, PATIENT, "Observation")).status_code == 422
    made = await create(client, PATIENT)
    reply = await client.put("/fhir/R4/Patient/other", content=json.dumps(made), headers=FHIR | {"if-match": "1"})
    assert issue_of(reply)["expression"] == ["Patient.id"]
    assert (await post(client, {**PATIENT, "resourceType": "AuditEvent"}, "AuditEvent")).status_code == 404


async def test_nobody_points_at_what_is_not_there_or_seals_by_hand(client: httpx.AsyncClient) -> None:
    lost = await post(client, {"resourceType": "Condition", "subject": {"reference": "Patient/none"}})
    assert (lost.status_code, issue_of(lost)["expression"]) == (422, ["Condition.subject.reference"])
    assert "entry" not in (await client.get("/fhir/R4/Condition")).json()
    seal = {"tag": [{"system": IMMUTABLE_TAG, "code": "signed"}]}
    assert code_of(await post(client, {**PATIENT, "meta": seal})) == "record.immutable"


async def test_conditional_create_and_preferences(client: httpx.AsyncClient) -> None:
    condition = "identifier=urn:cns|700001"
    first = await post(client, PATIENT, if_none_exist=condition)
    again = await post(client, PATIENT, if_none_exist=condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    minimal = await post(client, PATIENT, prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    assert (await post(client, PATIENT, if_none_exist=condition)).status_code == 412


async def test_a_repeat_with_the_same_idempotency_key_never_doubles(client: httpx.AsyncClient) -> None:
    replies = [await post(client, PATIENT, idempotency_key="k-1") for _ in range(3)]
    assert {reply.status_code for reply in replies} == {201}
    assert len({reply.json()["id"] for reply in replies}) == 1
    bundle = (await client.get("/fhir/R4/Patient?_total=accurate")).json()
    assert bundle["total"] == 1


async def test_roles_without_the_record_stay_outside(api: ApiUnderTest, client: httpx.AsyncClient) -> None:
    made = await create(client, PATIENT)
    for role in ("auditor", "admin", "it"):
        async with api.client(await api.phone(role)) as other:
            for path in (
                f"Patient/{made['id']}",
                "Patient",
                "Observation",
                "metadata",
                f"Patient/{made['id']}/$everything",
            ):
                reply = await other.get(f"/fhir/R4/{path}")
                assert (reply.status_code, issue_of(reply)["code"]) == (403, "forbidden"), (role, path)
            assert (await post(other, PATIENT)).status_code == 403
    async with api.client() as stranger:
        assert (await stranger.get(f"/fhir/R4/Patient/{made['id']}")).status_code == 401


async def test_the_audit_says_whose_record_was_touched(api: ApiUnderTest, client: httpx.AsyncClient) -> None:
    made = await create(client, PATIENT)
    patient = f"Patient/{made['id']}"
    kept = await create(client, {"resourceType": "Condition", "subject": {"reference": patient}})
    await client.get(f"/fhir/R4/Condition/{kept['id']}")
    await client.get(f"/fhir/R4/Condition?patient={made['id']}")
    await client.get(f"/fhir/R4/{patient}/$everything")
    await client.get("/fhir/R4/Condition/none")
    await client.get("/fhir/R4/Patient?name=Gon")
    events = [row.event for row in await api.audit_rows() if row.event.route.startswith("/fhir/")]
    touched = [(event.method, event.patient, event.resource, event.status) for event in events]
    assert touched == [
        ("POST", patient, patient, 201),
        ("POST", patient, f"Condition/{kept['id']}", 201),
        ("GET", patient, f"Condition/{kept['id']}", 200),
        ("GET", patient, "Condition", 200),
        ("GET", patient, patient, 200),
        ("GET", None, "Condition/none", 404),
        ("GET", patient, "Patient", 200),
    ]
    assert not any("Gon" in str(event) for event in events)


async def test_the_audit_says_whose_resource_was_deleted(api: ApiUnderTest, client: httpx.AsyncClient) -> None:
    patient = f"Patient/{(await create(client, PATIENT))['id']}"
    condition = {"resourceType": "Condition", "subject": {"reference": patient}}
    gone = [f"Condition/{(await create(client, condition))['id']}" for _ in range(3)]
    assert (await client.delete(f"/fhir/R4/{gone[0]}", headers={"If-Match": 'W/"1"'})).status_code == 204
    for kind, place in (("transaction", gone[1]), ("batch", gone[2])):
        entry = {"request": {"method": "DELETE", "url": place, "ifMatch": 'W/"1"'}}
        done = await post(client, {"resourceType": "Bundle", "type": kind, "entry": [entry]}, "/")
        assert done.json()["entry"][0]["response"]["status"] == "204 No Content", done.text
    rows = await api.store.read(lambda q: read_events(q, patient=patient))
    touched = [row.event.resource for row in rows if row.event.resource in gone]
    assert sorted(touched) == sorted(2 * gone), "made and deleted"


async def test_a_page_of_several_patients_names_each_in_the_audit(api: ApiUnderTest, client: httpx.AsyncClient) -> None:
    made = [await create(client, PATIENT) for _ in range(3)]
    await client.get("/fhir/R4/Patient?name=goncalves")
    row = (await api.audit_rows())[-1]
    assert sorted(row.event.patients) == sorted(f"Patient/{one['id']}" for one in made)
    for one in made:
        found = await api.store.read(lambda q, one=one: read_events(q, patient=f"Patient/{one['id']}"))
        assert row in found
    assert row not in await api.store.read(lambda q: read_events(q, patient="Patient/other"))
