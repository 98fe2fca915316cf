from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.plugin_api.errors import ProntuarioError
from appliance.records import plan, repository, search
from appliance.records.folding import fold, word_starts
from appliance.store.database import Database

NOW = "2026-03-01T10:00:00.000Z"
BASE = "https://node/fhir/R4"
LOINC = "http://loinc.org"


def patient(number: int, family: str, *given: str, **more: Any) -> dict[str, Any]:
    identifier = [{"system": "urn:cns", "value": f"{number:04d}"}]
    name = [{"family": family, "given": list(given)}]
    return {"resourceType": "Patient", "id": f"p{number}", "name": name, "identifier": identifier, **more}


def observation(number: int, who: str, code: str, when: str, status: str = "final") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": status,
        "code": {"coding": [{"system": LOINC, "code": code}, {"system": "urn:local", "code": f"L{code}"}]},
        "subject": {"reference": f"Patient/{who}"},
        "effectiveDateTime": when,
    }


RESOURCES = [
    patient(1, "da Silva", "João", "Pedro", gender="male", birthDate="1980-05-17"),
    patient(2, "Silveira", "Joana", gender="female", birthDate="1980-06"),
    patient(3, "Gonçalves", "Ítalo", gender="male", birthDate="1990"),
    patient(
        4,
        "Souza",
        "María",
        telecom=[{"system": "phone", "value": "11 98888-0000"}, {"system": "email", "value": "m@x"}],
    ),
    observation(1, "p1", "8867-4", "2026-01-01T08:00:00-03:00"),
    observation(2, "p1", "8867-4", "2026-01-02T23:30:00-03:00", "preliminary"),
    observation(3, "p1", "8310-5", "2026-01-03"),
    observation(4, "p2", "8867-4", "2026-02"),
    observation(5, "p2", "8310-5", "2025"),
    {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "in-progress",
        "class": {"system": "urn:class", "code": "AMB"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-01-01T07:00:00-03:00"},
    },
]


@pytest.fixture
async def filled(database: Database) -> Database:
    for one in RESOURCES:
        await database.write(lambda tx, one=one: repository.create(tx, one, now=NOW, resource_id=one["id"]))
    return database


async def ids(database: Database, kind: str, query: str, **options: Any) -> list[str]:
    params = parse_qsl(query, keep_blank_values=True)
    bundle = await database.read(lambda q: search.search(q, kind, params, BASE, **options))
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]


CASES = [
    ("Patient", "", "p1 p2 p3 p4"),
    ("Patient", "name=sil", "p1 p2"),
    ("Patient", "name=SILVA", "p1"),
    ("Patient", "name=joao", "p1"),
    ("Patient", "name=João pedro da s", "p1"),
    ("Patient", "name=pedro", "p1"),
    ("Patient", "name=goncalves", "p3"),
    ("Patient", "name=italo", "p3"),
    ("Patient", "name:exact=Gonçalves", "p3"),
    ("Patient", "name:exact=goncalves", ""),
    ("Patient", "name:contains=CALV", "p3"),
    ("Patient", "family=silv&given=jo", "p1 p2"),
    ("Patient", "family=silv&given=joana", "p2"),
    ("Patient", "name=maria,italo", "p3 p4"),
    ("Patient", "identifier=urn:cns|0002", "p2"),
    ("Patient", "identifier=0002", "p2"),
    ("Patient", "identifier=urn:other|0002", ""),
    ("Patient", "identifier=|0002", ""),
    ("Patient", "identifier=urn:cns|", "p1 p2 p3 p4"),
    ("Patient", "identifier=urn:cns|0001,urn:cns|0003", "p1 p3"),
    ("Patient", "gender=male", "p1 p3"),
    ("Patient", "gender:not=male", "p2 p4"),
    ("Patient", "gender:missing=true", "p4"),
    ("Patient", "gender:missing=false", "p1 p2 p3"),
    ("Patient", "birthdate=1980", "p1 p2"),
    ("Patient", "birthdate=1980-05-17", "p1"),
    ("Patient", "birthdate=1980-06-02", ""),
    ("Patient", "birthdate=lt1980-06", "p1"),
    ("Patient", "birthdate=ge1980-06", "p2 p3"),
    ("Patient", "birthdate=sa1980-06", "p3"),
    ("Patient", "birthdate=eb1990&birthdate=gt1980-05", "p2"),
    ("Patient", "birthdate=ne1990", "p1 p2"),
    ("Patient", "phone=11 98888-0000", "p4"),
    ("Patient", "email=11 98888-0000", ""),
    ("Patient", "_id=p3,p1,zz", "p1 p3"),
    ("Patient", "_id=p3&gender=female", ""),
    ("Patient", "_lastUpdated=2026-03-01", "p1 p2 p3 p4"),
    ("Patient", "_lastUpdated=lt2026-03-01", ""),
    ("Patient", "_lastUpdated=ge2026-03-01T10:00:00Z&_lastUpdated=le2026", "p1 p2 p3 p4"),
    ("Patient", "_sort=name", "p1 p3 p2 p4"),
    ("Patient", "_sort=-name&gender=male", "p3 p1"),
    ("Observation", "patient=p1", "o1 o2 o3"),
    ("Observation", "patient=Patient/p1", "o1 o2 o3"),
    ("Observation", "subject=Patient/p2", "o4 o5"),
    ("Observation", "subject:Patient=p2", "o4 o5"),
    ("Observation", f"subject={BASE}/Patient/p2", "o4 o5"),
    ("Observation", "patient=p1,p2", "o1 o2 o3 o4 o5"),
    ("Observation", "patient=p1&patient=p2", ""),
    ("Observation", "patient=p1&code=8867-4", "o1 o2"),
    ("Observation", f"patient=p1&code={LOINC}|8867-4&status=final", "o1"),
    ("Observation", "code=urn:local|L8310-5", "o3 o5"),
    ("Observation", f"code={LOINC}|L8310-5", ""),
    ("Observation", "date=2026-01-02", "o2"),
    ("Observation", "date=2026-01-03T02:30:00Z", "o2"),
    ("Observation", "date=ge2026-01-02&date=lt2026-01-03&patient=p1", "o2"),
    ("Observation", "date=2026", "o1 o2 o3 o4"),
    ("Observation", "date=2026-02-10", ""),
    ("Observation", "date=2025,2026-02", "o4 o5"),
    ("Observation", "patient=p1&_sort=-date", "o3 o2 o1"),
    ("Observation", "_sort=date", "o5 o1 o2 o3 o4"),
    ("Observation", "status=preliminary,amended", "o2"),
    ("Encounter", "date=ge2030", "e1"),
    ("Encounter", "class=AMB&status=in-progress", "e1"),
    ("Encounter", "subject=p1", "e1"),
]


@pytest.mark.parametrize("few", [1000, 0], ids=["driven by the value", "tested row by row"])
async def test_searches_find_exactly_what_matches(filled: Database, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(plan), "FEW", few)
    for kind, query, expected in CASES:
        assert await ids(filled, kind, query) == expected.split(), (kind, query)


@pytest.mark.parametrize("query", ["", "_sort=-date", "_sort=_lastUpdated", "patient=p1&_sort=date", "date=ge2025"])
async def test_pages_cover_everything_once_even_while_resources_arrive(filled: Database, query: str) -> None:
    async def page(text: str) -> dict[str, Any]:
        params = parse_qsl(text, keep_blank_values=True)
        return await filled.read(lambda q: search.search(q, "Observation", params, BASE))

    everything = await ids(filled, "Observation", f"{query}&_count=100")
    seen: list[str] = []
    bundle = await page(f"{query}&_count=1")
    number = 100
    while True:
        seen += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        following = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
        if following is None:
            break
        number += 1
        if number <= 103:
            late = observation(number, "p1", "8867-4", "1999-01-01")
            await filled.write(lambda tx, late=late: repository.create(tx, late, now=NOW, resource_id=late["id"]))
        assert urlsplit(following).path == "/fhir/R4/Observation"
        bundle = await page(urlsplit(following).query)
        assert number < 150
    assert [one for one in seen if one in everything] == everything
    assert len(seen) == len(set(seen))


async def test_totals_and_counts(filled: Database) -> None:
    async def bundle(query: str) -> dict[str, Any]:
        return await filled.read(lambda q: search.search(q, "Observation", parse_qsl(query), BASE))

    assert "total" not in await bundle("patient=p1")
    assert (await bundle("patient=p1&_total=accurate&_count=1"))["total"] == 3
    assert (await bundle("code=nothing&_total=accurate"))["total"] == 0
    only = await bundle("_summary=count")
    assert only["total"] == 5
    assert "entry" not in only
    assert "entry" not in await bundle("_count=0")


async def test_updates_and_deletions_are_seen_at_once(filled: Database) -> None:
    changed = patient(1, "Pereira", "João", active=True)
    await filled.write(lambda tx: repository.update(tx, changed, now=NOW, if_match=None))
    assert await ids(filled, "Patient", "name=silva") == []
    assert await ids(filled, "Patient", "name=pereira&active=true") == ["p1"]
    await filled.write(lambda tx: repository.delete(tx, "Patient", "p3", now=NOW))
    assert await ids(filled, "Patient", "name=goncalves") == []
    assert await ids(filled, "Patient", "_id=p3") == []
    assert await ids(filled, "Patient", "") == ["p1", "p2", "p4"]
    assert await ids(filled, "Patient", "_lastUpdated=ge2026") == ["p1", "p2", "p4"]


@pytest.mark.parametrize(
    ("query", "code", "mention"),
    [
        ("brithdate=1980", "fhir.parameter_unknown", "birthdate"),
        ("nmae=x", "fhir.parameter_unknown", "name"),
        ("_include=Patient:organization", "fhir.not_supported", "_include"),
        ("_revinclude=Observation:subject", "fhir.not_supported", "_revinclude"),
        ("_has:Observation:patient:code=1", "fhir.not_supported", "_has"),
        ("organization.name=x", "fhir.not_supported", "chained"),
        ("name:below=x", "fhir.not_supported", "name:below"),
        ("birthdate=ap1980", "fhir.not_supported", "ap"),
        ("birthdate=yesterday", "fhir.parameter_invalid", "birthdate"),
        ("birthdate=1980-02-31", "fhir.parameter_invalid", "birthdate"),
        ("name=", "fhir.parameter_invalid", "name"),
        ("name=%2C", "fhir.parameter_invalid", "name"),
        ("gender:missing=perhaps", "fhir.parameter_invalid", "missing"),
        ("_count=-1", "fhir.parameter_invalid", "_count"),
        ("_count=many", "fhir.parameter_invalid", "_count"),
        ("_sort=birthdate", "fhir.parameter_invalid", "_sort"),
        ("_cursor=xyz", "fhir.parameter_invalid", "_cursor"),
        ("_cursor=W10", "fhir.parameter_invalid", "_cursor"),
        ("_format=xml", "fhir.not_supported", "_format"),
        ("identifier=" + ",".join(["1"] * 101), "fhir.parameter_invalid", "identifier"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    database: Database, query: str, code: str, mention: str
) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await ids(database, "Patient", query)
    assert caught.value.kind.code == code
    assert caught.value.kind.status == 400
    assert mention in caught.value.sentence("en") + caught.value.next_step("en")


async def test_lenient_clients_may_send_anything(filled: Database) -> None:
    assert await ids(filled, "Patient", "colour=red&gender=female", lenient=True) == ["p2"]


async def test_a_cursor_belongs_to_its_own_search(filled: Database) -> None:
    bundle = await filled.read(lambda q: search.search(q, "Patient", [("_count", "1")], BASE))
    cursor = dict(parse_qsl(urlsplit(bundle["link"][1]["url"]).query))["_cursor"]
    with pytest.raises(ProntuarioError, match="_cursor"):
        await ids(filled, "Patient", f"gender=male&_cursor={cursor}")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=40),
    name=st.sampled_from(["name", "identifier", "birthdate", "_id", "_lastUpdated", "_cursor", "_sort"]),
)
async def test_no_value_breaks_a_search(filled: Database, text: str, name: str) -> None:
    params = [(name, text)]
    try:
        bundle = await filled.read(lambda q: search.search(q, "Patient", params, BASE))
    except ProntuarioError as error:
        assert error.kind.status == 400  # noqa: PT017  either outcome is right
    else:
        assert bundle["type"] == "searchset"


async def test_escaped_commas_and_bars_are_part_of_the_value(database: Database) -> None:
    odd = patient(9, "X", "Y", identifier=[{"system": "urn:a|b", "value": "1,2"}])
    await database.write(lambda tx: repository.create(tx, odd, now=NOW, resource_id="p9"))
    assert await ids(database, "Patient", r"identifier=urn:a\|b|1\,2") == ["p9"]
    assert await ids(database, "Patient", r"identifier=1,2") == []


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("São João", "sao joao"),
        ("  ÇA\tÉ ", "ca e"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁm", "fim"),
        ("", ""),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_word_starts_are_every_place_where_a_word_begins() -> None:
    assert word_starts("maria da silva") == ["maria da silva", "da silva", "silva"]
    assert word_starts("") == []


async def test_name_searches_use_an_index(filled: Database) -> None:
    class Spy:
        def __init__(self, q: Any) -> None:
            self.q = q
            self.plans: list[str] = []

        def one(self, sql: str, params: Any = ()) -> Any:
            return self.q.one(sql, params)

        def all(self, sql: str, params: Any = ()) -> Any:
            self.plans += [str(row[3]) for row in self.q.all(f"EXPLAIN QUERY PLAN {sql}", params)]
            return self.q.all(sql, params)

    def spied(q: Any) -> list[str]:
        spy = Spy(q)
        for kind, query in (
            ("Patient", "name=sil"),
            ("Observation", "patient=p1&code=8867-4&_sort=-date"),
            ("Patient", "_sort=name"),
        ):
            search.find(spy, kind, parse_qsl(query), BASE)
        return spy.plans

    plans = await filled.read(spied)
    assert plans
    assert not [one for one in plans if one.startswith("SCAN") and one != "SCAN h"]
