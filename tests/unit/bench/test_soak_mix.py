"""The soak's phones ask for what the mix says, under names that tell no patient, and losses are seen when reading back."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections import Counter
from typing import Any

import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from bench.soak_books import Books
from bench.soak_phone import broke, place, problem_of, wish
from bench.soak_readback import different
from bench.soak_record import (
    FHIR,
    READS,
    WRITES,
    Ledger,
    Person,
    Readings,
    Recording,
    choose_write,
    identifier,
    mark_of,
)
from bench.soak_sessions import photograph, with_comment
from tests.fakes.phone import SilentError


class SilentPhone:
    """Writes down what is asked and keeps what is created."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.kept: list[dict[str, Any]] = []
        self.seen: list[str] = []
        self.user = "dra.silva"

    async def get(self, path: str, **query: str) -> dict[str, str]:
        self.asked.append((path, query))
        return {}

    async def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        self.kept.append(resource)
        return {**resource, "id": f"id-{len(self.kept)}", "meta": {"versionId": "1"}}

    async def put(self, _path: str, resource: dict[str, Any], version: str) -> dict[str, Any]:
        self.seen.append(version)
        return {**resource, "meta": {"versionId": str(int(version) + 1)}}


@pytest.fixture
async def person() -> Person:
    one = Person(SilentPhone(), Ledger(), random.Random(7))  # type: ignore[arg-type]
    await one.arrive()
    return one


def phone_of(person: Person) -> SilentPhone:
    assert isinstance(person.phone, SilentPhone)
    return person.phone


async def test_a_patient_arrives_with_measurements_and_all_of_it_is_in_the_ledger(person: Person) -> None:
    kinds = Counter(resource["resourceType"] for resource in phone_of(person).kept)
    assert kinds == {"Patient": 1, "Observation": 3}
    assert person.ledger.writes == 4
    assert set(person.ledger.versions) == {person.patient}


async def test_every_resource_carries_a_mark_of_its_own(person: Person) -> None:
    marks = [mark_of(resource) for resource in phone_of(person).kept]
    assert all(marks)
    assert len(set(marks)) == len(marks)
    assert mark_of({"identifier": [{"system": "urn:other", "value": "1"}]}) == mark_of({}) == ""


async def test_a_change_is_of_the_version_that_was_seen(person: Person) -> None:
    await person.change()
    await person.change()
    assert phone_of(person).seen == ["1", "2"]
    assert list(person.ledger.versions[person.patient]) == ["1", "2", "3"]


async def test_a_change_does_not_overtake_the_one_under_way(person: Person) -> None:
    before = len(phone_of(person).kept)
    async with person.changing:
        await person.change()
    assert phone_of(person).seen == []
    assert len(phone_of(person).kept) == before + 1


async def test_all_reads_of_the_mix_come_with_their_shares(person: Person) -> None:
    person.ledger.recordings.append(Recording("d", "00", "the-note", 3))
    readings = Readings([person], person.ledger)
    counts: Counter[str] = Counter()
    for _ in range(2000):
        name, call = readings.choose(person)
        counts[name] += 1
        await call()
    assert set(counts) == set(READS)
    assert all(abs(counts[name] / 20 - share) < 5 for name, share in READS.items())
    paths = {path for path, _query in phone_of(person).asked}
    assert "/api/notes/the-note" in paths
    assert f"{FHIR}/Patient/{person.patient}/$everything" in paths
    assert all(
        query["patient"] == person.patient for path, query in phone_of(person).asked if path == f"{FHIR}/Observation"
    )


async def test_before_there_is_a_note_lists_are_read_instead(person: Person) -> None:
    readings = Readings([person], person.ledger)
    assert "read a note" not in {readings.choose(person)[0] for _ in range(500)}


async def test_all_writes_of_the_mix_come(person: Person) -> None:
    for _ in range(200):
        name, call = choose_write(person)
        assert name in WRITES
        await call()
    kinds = Counter(resource["resourceType"] for resource in phone_of(person).kept)
    assert kinds["Observation"] > kinds["Encounter"] > 0
    assert len(phone_of(person).seen) > 0
    assert person.ledger.writes == 4 + 200


def test_what_is_missing_or_different_is_told_and_what_is_more_is_not() -> None:
    expected = {"a": "1", "b": "2", "c": "3"}
    wrong = different("Observation of p", expected, {"a": "1", "b": "9", "stranger": "4"})
    assert [sentence.split(": ", 1)[1].split()[0] for sentence in wrong] == ["b", "c"]
    assert different("Observation of p", expected, expected) == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/fhir/R4/Patient/9a1c", "GET /fhir/R4/Patient"),
        ("/fhir/R4/Patient/9a1c/$everything", "GET /fhir/R4/Patient"),
        ("/api/notes/77/sign", "GET /api/notes"),
        ("/api/token/refresh", "GET /api/token"),
    ],
)
def test_calls_are_named_without_their_ids(path: str, told: str) -> None:
    assert place("GET", path) == told


def test_a_refusal_without_a_problem_is_still_told() -> None:
    assert problem_of(httpx.Response(500, text="<html>")) == {}
    assert problem_of(httpx.Response(500, content=json.dumps([1]))) == {}
    assert problem_of(httpx.Response(503, json={"code": "store.closed"})) == {"code": "store.closed"}


def test_only_a_429_asks_to_wait() -> None:
    assert wish(httpx.Response(429, headers={"Retry-After": "2"})) == 2.0
    assert wish(httpx.Response(503, headers={"Retry-After": "2"})) == wish(httpx.Response(429)) == 0.0


def test_a_phone_that_waits_no_longer_is_told_from_a_line_that_was_cut() -> None:
    books = Books()
    ours, theirs = Close(1011, "keepalive ping timeout"), Close(1001, "going away")
    for error in (
        httpx.ReadTimeout("nothing came"),
        SilentError("GET /api/notes"),
        ConnectionClosedError(None, ours),
    ):
        broke(books, "mine", error)
    for other in (
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("Server disconnected"),
        ConnectionClosedError(theirs, ours, rcvd_then_sent=True),
        ConnectionClosedError(None, None),
        TimeoutError("store.read_only"),
    ):
        broke(books, "theirs", other)
    assert {what.split(":")[0] for what in books.timed_out} == {"mine"}
    assert books.timed_out.total() == 3
    assert [what.split(":")[0] for _at, what in books.cuts] == ["theirs"] * 5


def test_the_same_picture_becomes_as_many_files_as_there_are_marks() -> None:
    picture = photograph(1)
    files = [with_comment(picture, mark) for mark in (b"one", b"two")]
    assert len({hashlib.sha256(file).digest() for file in (picture, *files)}) == 3
    first, second = (Image.open(io.BytesIO(file)) for file in files)
    with first, second:
        assert first.tobytes() == second.tobytes()
        assert first.info["comment"] == b"one"


def test_identifiers_grow() -> None:
    assert int(identifier()[0]["value"]) < int(identifier()[0]["value"])
