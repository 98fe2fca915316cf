from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from appliance.plugin_api.errors import CONFLICT, UNAVAILABLE
from appliance.plugin_api.http import PUBLIC, Reply, Request, Route
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.database import Database
from appliance.store.errors import FULL
from tests.api.harness import ApiUnderTest, api_under_test

T = TypeVar("T")
COUNTER = "SELECT count(*) FROM note"


def make_table(tx: Transaction) -> None:
    tx.execute("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")


async def write_note(request: Request) -> Reply:
    body = await request.body(dict[str, str])

    def change(tx: Transaction) -> Reply:
        tx.execute("INSERT INTO note (text) VALUES (?)", (body["text"],))
        row = tx.one("SELECT max(id) FROM note")
        assert row is not None
        request.about(patient="Patient/7", resource=f"Note/{row[0]}")
        if body["text"] == "refuse":
            raise CONFLICT(what="Note/1")
        if body["text"] == "bug":
            raise ValueError(body["text"])
        return Reply(201, {"id": row[0]}, {"Location": f"/api/notes/{row[0]}"})

    return await request.commit(change)


async def write_twice(request: Request) -> Reply:
    def change(tx: Transaction) -> Reply:
        tx.execute("INSERT INTO note (text) VALUES ('twice')")
        return Reply(201, {"count": tx.one(COUNTER)[0]})  # type: ignore[index]

    first = await request.commit(change)
    second = await request.commit(change)
    return Reply(201, [first.body, second.body])


async def upload(request: Request) -> Reply:
    size = 0
    async for part in request.stream_body():
        size += len(part)

    def change(tx: Transaction) -> Reply:
        tx.execute("INSERT INTO note (text) VALUES (?)", (str(size),))
        return Reply(201, {"size": size})

    return await request.commit(change)


async def read_note(request: Request) -> Reply:
    request.about(patient="Patient/7", resource=f"Note/{request.parameters['id']}")
    return Reply(body={"id": request.parameters["id"]})


async def refuse(request: Request) -> Reply:
    request.about(patient="Patient/9")
    raise CONFLICT(what="Note/1")


async def login(request: Request) -> Reply:
    if request.query.get("known"):
        request.about(resource="User/ana")
    if request.query.get("fail"):
        raise CONFLICT(what="x")
    return Reply(body={"ok": True})


async def enrol(request: Request) -> Reply:
    def change(tx: Transaction) -> Reply:
        tx.execute("INSERT INTO note (text) VALUES ('enrolled')")
        return Reply(201, {"count": tx.one(COUNTER)[0]})  # type: ignore[index]

    return await request.commit(change)


async def listen(request: Request) -> Reply:
    async def stream() -> AsyncIterator[bytes]:
        yield b"x"

    request.about(resource="Stream/1")
    return Reply(content_type="text/plain", stream=stream())


ROUTES = [
    Route("POST", "/api/notes", "note.write", write_note, "Write"),
    Route("POST", "/api/other-notes", "note.write", write_note, "Write elsewhere"),
    Route("POST", "/api/twice", "note.write", write_twice, "Write twice"),
    Route("PUT", "/api/upload", "note.write", upload, "Upload"),
    Route("GET", "/api/notes/{id}", "note.read", read_note, "Read"),
    Route("GET", "/api/hot/{id}", "note.read", read_note, "Read, hot", hot=True),
    Route("GET", "/api/refuse", "note.read", refuse, "Refuse"),
    Route("POST", "/api/login", PUBLIC, login, "Log in"),
    Route("POST", "/api/enrol", PUBLIC, enrol, "Enrol"),
    Route("GET", "/api/listen", "note.read", listen, "Listen"),
]


class Weak:
    """A store that refuses to write when told to: a full disk, or a node that may not acknowledge."""

    def __init__(self) -> None:
        self.real: Database | None = None
        self.refusing = False

    @property
    def mode(self) -> str:
        return "single"

    async def write(self, change: Callable[[Transaction], T]) -> T:
        assert self.real is not None
        if self.refusing:
            raise UNAVAILABLE(what="store")
        return await self.real.write(change)

    async def read(self, query: Callable[[Query], T]) -> T:
        assert self.real is not None
        return await self.real.read(query)


class Full(Weak):
    """A disk that is full: the statement is accepted, the commit is not."""

    async def write(self, change: Callable[[Transaction], T]) -> T:
        if self.refusing:
            raise FULL(retry_after=5.0)
        return await super().write(change)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with api_under_test(tmp_path, ROUTES) as served:
        await served.store.write(make_table)
        yield served


async def count(api: ApiUnderTest) -> int:
    row = await api.store.read(lambda q: q.one(COUNTER))
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]


async def test_a_repeat_gets_the_first_reply_and_does_nothing(api: ApiUnderTest) -> None:
    key = {"Idempotency-Key": "k-1"}
    async with api.client(await api.phone()) as client:
        first = await client.post("/api/notes", json={"text": "a"}, headers=key)
        again = await client.post("/api/notes", json={"text": "a"}, headers=key)
        other = await client.post("/api/notes", json={"text": "a"}, headers={"Idempotency-Key": "k-2"})
    assert first.status_code == again.status_code == other.status_code == 201
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert other.json() != first.json()
    assert await count(api) == 2


async def test_without_a_key_every_request_counts(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        for _ in range(2):
            assert (await client.post("/api/notes", json={"text": "a"})).status_code == 201
    assert await count(api) == 2


async def test_twenty_at_once_make_one(api: ApiUnderTest) -> None:
    async with api.client(await api.phone(), http2=True) as client:
        answers = await asyncio.gather(
            *(client.post("/api/notes", json={"text": "a"}, headers={"Idempotency-Key": "same"}) for _ in range(20))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 19
    assert await count(api) == 1


@pytest.mark.parametrize("change", ["body", "query", "path"])
async def test_a_key_of_another_request_is_refused(api: ApiUnderTest, change: str) -> None:
    key = {"Idempotency-Key": "k"}
    async with api.client(await api.phone()) as client:
        assert (await client.post("/api/notes", json={"text": "a"}, headers=key)).status_code == 201
        path = "/api/other-notes" if change == "path" else "/api/notes"
        body = {"text": "b" if change == "body" else "a"}
        refused = await client.post(path, json=body, headers=key, params={"x": "1"} if change == "query" else None)
    assert refused.status_code == 422
    assert refused.json()["code"].startswith("idempotency.")
    assert await count(api) == 1


async def test_one_persons_key_never_yields_anothers_reply(api: ApiUnderTest) -> None:
    key = {"Idempotency-Key": "k"}
    async with api.client(await api.phone()) as ana, api.client(await api.phone()) as rui:
        one = await ana.post("/api/notes", json={"text": "a"}, headers=key)
        two = await rui.post("/api/notes", json={"text": "a"}, headers=key)
    assert one.json() != two.json()
    assert await count(api) == 2


@pytest.mark.parametrize("text", ["refuse", "bug"])
async def test_a_failure_is_undone_and_not_remembered(api: ApiUnderTest, text: str) -> None:
    key = {"Idempotency-Key": "k"}
    async with api.client(await api.phone()) as client:
        failed = await client.post("/api/notes", json={"text": text}, headers=key)
        assert failed.status_code == (409 if text == "refuse" else 500)
        assert await count(api) == 0
        assert (await client.post("/api/notes", json={"text": "a"}, headers=key)).status_code == 201
    rows = await api.audit_rows(route="/api/notes")
    assert [row.event.status for row in rows] == [failed.status_code, 201]


async def test_a_handler_may_commit_twice_and_repeats_get_both(api: ApiUnderTest) -> None:
    key = {"Idempotency-Key": "k"}
    async with api.client(await api.phone()) as client:
        first = await client.post("/api/twice", headers=key)
        again = await client.post("/api/twice", headers=key)
    assert first.json() == [{"count": 1}, {"count": 2}]
    assert again.status_code == 201
    assert await count(api) == 2


@pytest.mark.parametrize("key", ["", "a b", "ação", "x" * 129])
async def test_a_malformed_key_is_refused(api: ApiUnderTest, key: str) -> None:
    async with api.client(await api.phone()) as client:
        refused = await client.post(
            "/api/notes", json={"text": "a"}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]
        )
    assert refused.status_code == 422
    assert refused.json()["code"] == "idempotency.key"
    assert refused.json()["field"] == "Idempotency-Key"
    assert await count(api) == 0


async def test_a_streamed_body_counts_by_its_digest(api: ApiUnderTest) -> None:
    async def body(byte: bytes) -> AsyncIterator[bytes]:
        for _ in range(5):
            yield byte * 100_000

    key = {"Idempotency-Key": "k"}
    async with api.client(await api.phone()) as client:
        first = await client.put("/api/upload", content=body(b"a"), headers=key)
        again = await client.put("/api/upload", content=body(b"a"), headers=key)
        other = await client.put("/api/upload", content=body(b"b"), headers=key)
    assert first.json() == again.json() == {"size": 500_000}
    assert other.status_code == 422


async def test_public_routes_tell_devices_apart(api: ApiUnderTest) -> None:
    key = {"Idempotency-Key": "k"}
    one, two = await api.phone(), await api.phone()
    answers = []
    for phone in (one, one, two):
        async with api.client(phone, headers={"Authorization": ""}) as client:
            answers.append((await client.post("/api/enrol", headers=key)).json()["count"])
    assert answers == [1, 1, 2]


# -- audit ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/api/notes", "/api/hot"])
async def test_a_read_is_recorded_with_who_what_and_whose(api: ApiUnderTest, path: str) -> None:
    phone = await api.phone()
    async with api.client(phone) as client:
        await client.get(f"{path}/5")
    (row,) = await api.audit_rows(route=f"{path}/{{id}}")
    event = row.event
    assert (event.user_id, event.device_id, event.session_id) == (phone.user_id, phone.device_id, phone.session_id)
    assert (event.action, event.method, event.status) == ("note.read", "GET", 200)
    assert (event.patient, event.resource) == ("Patient/7", "Note/5")


async def test_a_change_and_its_audit_event_are_one(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        await client.post("/api/notes", json={"text": "a"})
    (row,) = await api.audit_rows(route="/api/notes")
    assert (row.event.status, row.event.resource, row.event.patient) == (201, "Note/1", "Patient/7")


async def test_refusals_and_failures_are_recorded_too(api: ApiUnderTest) -> None:
    async with api.client(await api.phone("auditor")) as auditor, api.client(await api.phone()) as physician:
        await auditor.get("/api/notes/1")
        await auditor.get("/api/hot/1")
        await physician.get("/api/refuse")
        await physician.post("/api/notes", content=b"{")
    rows = {row.event.route: row.event for row in await api.audit_rows() if row.event.route.startswith("/api/")}
    assert (rows["/api/notes/{id}"].status, rows["/api/notes/{id}"].detail_code) == (403, "forbidden")
    assert rows["/api/hot/{id}"].status == 403
    assert (rows["/api/refuse"].status, rows["/api/refuse"].patient) == (409, "Patient/9")
    assert (rows["/api/notes"].status, rows["/api/notes"].detail_code) == (400, "body.malformed")


async def test_public_routes_are_recorded_only_when_they_concern_somebody(api: ApiUnderTest) -> None:
    async with api.client() as client:
        await client.post("/api/login")
        await client.post("/api/login?known=1")
        await client.post("/api/login?known=1&fail=1")
    rows = await api.audit_rows(route="/api/login")
    assert [(row.event.status, row.event.resource, row.event.user_id) for row in rows] == [
        (200, "User/ana", ""),
        (409, "User/ana", ""),
    ]


async def test_a_stream_is_recorded_before_its_first_byte(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client, client.stream("GET", "/api/listen") as answer:
        assert answer.status_code == 200
        (row,) = await api.audit_rows(route="/api/listen")
        assert row.event.resource == "Stream/1"
        await answer.aread()


async def test_a_replay_is_recorded(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        for _ in range(2):
            await client.post("/api/notes", json={"text": "a"}, headers={"Idempotency-Key": "k"})
    assert [row.event.status for row in await api.audit_rows(route="/api/notes")] == [201, 201]


async def drop_audit(api: ApiUnderTest) -> None:
    def refuse_audit(tx: Transaction) -> None:
        tx.execute(
            "CREATE TRIGGER no_audit BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no more audit'); END"
        )

    await api.store.write(refuse_audit)


async def test_without_an_audit_event_nothing_happens(api: ApiUnderTest) -> None:
    phone = await api.phone()
    async with api.client(phone) as client:
        await drop_audit(api)
        refused = await client.post("/api/notes", json={"text": "a"}, headers={"Idempotency-Key": "k"})
        read = [await client.get(path) for path in ("/api/notes/1", "/api/hot/1", "/api/refuse", "/api/listen")]
    assert refused.status_code == 503
    assert refused.json()["code"] == "audit.unavailable"
    assert await count(api) == 0
    assert {answer.json()["code"] for answer in read} == {"audit.unavailable"}
    assert b"prontuario_http_audit_failures_total 5" in api.metrics.render()


async def test_an_audit_event_that_a_full_disk_refuses_is_counted_for_the_alert(tmp_path: Path) -> None:
    full = Full()
    async with api_under_test(tmp_path, ROUTES, store=full) as api:
        full.real = api.store
        async with api.client(await api.phone()) as client:
            full.refusing = True
            refused = await client.get("/api/hot/1")
    assert (refused.status_code, refused.json()["code"]) == (503, "audit.unavailable")
    assert b"prontuario_http_audit_failures_total 1" in api.metrics.render()


async def test_a_node_that_may_not_write_answers_nothing_about_patients(tmp_path: Path) -> None:
    weak = Weak()
    async with api_under_test(tmp_path, ROUTES, store=weak) as api:
        weak.real = api.store
        await api.store.write(make_table)
        async with api.client(await api.phone()) as client:
            weak.refusing = True
            answers: list[Any] = [
                await client.get("/api/notes/1"),
                await client.get("/api/hot/1"),
                await client.post("/api/notes", json={"text": "a"}),
            ]
            public = await client.get("/health/live")
    assert {answer.status_code for answer in answers} == {503}
    assert public.status_code == 200
