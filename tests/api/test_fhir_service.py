"""What the FHIR service claims, searches and Bundles through the API."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.api.fhir_capability import capability_statement
from appliance.records import tables
from appliance.records.validation import validate
from tests.api.fhir_harness import FHIR, PATIENT, code_of, create, fhir_api, issue_of, post
from tests.api.harness import ApiUnderTest


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with fhir_api(tmp_path) as served:
        yield served


@pytest.fixture
async def client(api: ApiUnderTest) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client(await api.phone("nurse")) as opened:
        yield opened


def statement() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capability_statement())
    return found


async def test_the_capability_statement_is_served(client: httpx.AsyncClient) -> None:
    reply = await client.get("/fhir/R4/metadata")
    assert reply.json() == statement()
    assert statement()["fhirVersion"] == "4.0.1"


async def test_every_claimed_search_parameter_is_served_and_no_other(client: httpx.AsyncClient) -> None:
    for claimed in statement()["rest"][0]["resource"]:
        kind = claimed["type"]
        names = {one["name"] for one in claimed["searchParam"]}
        served = set(tables.search_parameters()[kind]) | {"_id", "_lastUpdated"}
        assert names == served
        values = {"token": "x", "string": "x", "date": "2026", "reference": "Patient/x"}
        query = {one["name"]: values[one["type"]] for one in claimed["searchParam"]}
        reply = await client.get(f"/fhir/R4/{kind}", params=query)
        assert reply.status_code == 200, (kind, reply.text)
    assert (await client.get("/fhir/R4/Patient?language=pt")).status_code == 400


async def test_every_claimed_interaction_is_answered_and_others_are_not(client: httpx.AsyncClient) -> None:
    claimed = {one["code"] for one in statement()["rest"][0]["resource"][0]["interaction"]}
    probes = {
        "read": ("GET", "Flag/x", 404),
        "vread": ("GET", "Flag/x/_history/1", 404),
        "update": ("PUT", "Flag/x", 422),
        "delete": ("DELETE", "Flag/x", 404),
        "history-instance": ("GET", "Flag/x/_history", 404),
        "history-type": ("GET", "Flag/_history", 200),
        "create": ("POST", "Flag", 422),
        "search-type": ("GET", "Flag", 200),
    }
    assert claimed == set(probes)
    for method, path, status in probes.values():
        body = b"{}" if method in {"PUT", "POST"} else None
        reply = await client.request(method, f"/fhir/R4/{path}", content=body, headers=FHIR if body else {})
        assert reply.status_code == status, (method, path, reply.text)
    assert (await client.patch("/fhir/R4/Flag/x", content=b"{}", headers=FHIR)).status_code == 405
    assert (await client.get("/fhir/R4/_history")).status_code == 404
    assert not {one["type"] for one in statement()["rest"][0]["resource"]} & tables.NOT_WRITABLE


async def test_search_by_get_and_post_with_links_that_work(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await create(client, {**PATIENT, "birthDate": f"198{number}-01-01"})
    by_get = (await client.get("/fhir/R4/Patient?name=gon%C3%A7alves&_count=2&_sort=name&_total=accurate")).json()
    validate(by_get)
    assert by_get["total"] == 3
    links = {link["relation"]: link["url"] for link in by_get["link"]}
    assert (await client.get(links["self"])).json() == by_get
    rest = (await client.get(links["next"])).json()
    assert len(by_get["entry"]) + len(rest["entry"]) == 3
    address = by_get["entry"][0]["fullUrl"]
    assert (await client.get(address)).json() == by_get["entry"][0]["resource"]
    by_post = await client.post("/fhir/R4/Patient/_search", data={"name": "GONÇALVES", "birthdate": "1981"})
    assert [entry["resource"]["birthDate"] for entry in by_post.json()["entry"]] == ["1981-01-01"]
    assert (await client.post("/fhir/R4/Patient/_search", content=b"{}", headers=FHIR)).status_code == 415
    lenient = await client.get("/fhir/R4/Patient?colour=red", headers={"prefer": "handling=lenient"})
    assert lenient.status_code == 200
    assert "birthdate" in issue_of(await client.get("/fhir/R4/Patient?birtdate=1980"))["diagnostics"]


async def test_a_synthea_transaction_and_everything_about_the_patient(
    api: ApiUnderTest, client: httpx.AsyncClient
) -> None:
    packed = resources.files("appliance.daemon.sample").joinpath("synthea_blake.json.gz").read_bytes()
    reply = await client.post("/fhir/R4", content=gzip.decompress(packed), headers=FHIR)
    assert reply.status_code == 200, reply.text
    done = reply.json()
    validate(done)
    assert done["type"] == "transaction-response"
    assert {entry["response"]["status"] for entry in done["entry"]} == {"201 Created"}
    patient = next(entry["resource"]["id"] for entry in done["entry"] if entry["resource"]["resourceType"] == "Patient")
    seen: set[str] = set()
    address = f"/fhir/R4/Patient/{patient}/$everything?_count=40"
    while address:
        page = (await client.get(address)).json()
        validate(page)
        seen |= {entry["fullUrl"] for entry in page["entry"]}
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert seen == {entry["fullUrl"] for entry in done["entry"]}
    event = (await api.audit_rows(route="/fhir/R4"))[-1].event
    assert event.patient == f"Patient/{patient}"
    again = await client.post(
        "/fhir/R4", content=json.dumps({"resourceType": "Bundle", "type": "transaction"}), headers=FHIR
    )
    assert again.json() == {"resourceType": "Bundle", "type": "transaction-response"}


async def test_a_failing_transaction_keeps_nothing_but_a_batch_keeps_the_good(client: httpx.AsyncClient) -> None:
    bad = {"resource": {"resourceType": "Observation"}, "request": {"method": "POST", "url": "Observation"}}
    good = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [good, bad]}
    failed = await post(client, bundle, "/")
    assert (failed.status_code, code_of(failed)) == (422, "fhir.invalid")
    assert issue_of(failed)["expression"][0].startswith("Bundle.entry[1].resource")
    assert "entry" not in (await client.get("/fhir/R4/Patient")).json()

    batch = {**bundle, "type": "batch"}
    done = await post(client, batch, "/", idempotency_key="b-1")
    repeat = await post(client, batch, "/", idempotency_key="b-1")
    statuses = [entry["response"]["status"] for entry in done.json()["entry"]]
    assert statuses == ["201 Created", "422"]
    assert done.json()["entry"][1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    made = done.json()["entry"][0]["resource"]["id"]
    assert repeat.json()["entry"][0]["resource"]["id"] == made
    found = (await client.get("/fhir/R4/Patient?_total=accurate")).json()
    assert found["total"] == 1
    read = {"request": {"method": "GET", "url": f"Patient/{made}"}}
    wrong = {"request": {"method": "GET", "url": "AuditEvent/1"}}
    reads = (await post(client, {**batch, "entry": [read, wrong, 7]}, "/")).json()["entry"]
    assert [entry["response"]["status"] for entry in reads] == ["200 OK", "404", "422"]


async def test_what_a_batch_reads_is_recorded_even_if_it_also_writes(
    api: ApiUnderTest, client: httpx.AsyncClient
) -> None:
    seen = [(await post(client, PATIENT)).json()["id"] for _ in range(2)]
    reads = [{"request": {"method": "GET", "url": f"Patient/{one}"}} for one in seen]
    write = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [reads[0], write, reads[1]]}
    done = (await post(client, batch, "/")).json()["entry"]
    assert [entry["response"]["status"] for entry in done] == ["200 OK", "201 Created", "200 OK"]
    written, told = [row.event for row in (await api.audit_rows(route="/fhir/R4"))[-2:]]
    made = f"Patient/{done[1]['resource']['id']}"
    assert (written.patient, written.resource) == (made, made)
    assert set(told.patients) == {made, *(f"Patient/{one}" for one in seen)}
    assert told.resource == " ".join(f"Patient/{one}" for one in seen)


@pytest.mark.parametrize(
    "body",
    [[], {}, {"resourceType": "Bundle"}, {"resourceType": "Bundle", "type": "searchset"}, {"type": "batch"}, PATIENT],
)
async def test_what_is_no_transaction_is_refused(client: httpx.AsyncClient, body: Any) -> None:
    reply = await client.post("/fhir/R4", content=json.dumps(body), headers=FHIR)
    assert reply.status_code == 422
    assert issue_of(reply)


async def test_decimals_travel_to_the_digit(client: httpx.AsyncClient) -> None:
    text = b'{"resourceType":"Observation","status":"final","code":{"text":"K"},"valueQuantity":{"value":3.50}}'
    made = await client.post("/fhir/R4/Observation", content=text, headers=FHIR)
    read = await client.get(f"/fhir/R4/Observation/{made.json()['id']}")
    found = await client.get("/fhir/R4/Observation")
    for reply in (made, read, found):
        assert b'"value":3.50}' in reply.content
