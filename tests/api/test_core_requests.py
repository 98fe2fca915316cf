from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.plugin_api.errors import CONFLICT, UNAVAILABLE, ProntuarioError
from appliance.plugin_api.http import PUBLIC, SELF, Reply, Request, Route
from tests.api.harness import ApiUnderTest, api_under_test

MIB = 1 << 20


class Address(msgspec.Struct):
    street: str
    kind: str = msgspec.field(default="home")


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: int = 0
    address: Address | None = None


async def make(request: Request) -> Reply:
    thing = await request.body(Thing)
    return Reply(201, {"name": thing.name, "who": request.principal.username}, {"Location": "/api/things/1"})


async def read(request: Request) -> Reply:
    return Reply(
        body={
            "id": request.parameters["thing_id"],
            "certificate": request.device_certificate is not None,
            "query": request.query_items,
            "first": dict(request.query),
            "language": request.language,
        }
    )


async def upload(request: Request) -> Reply:
    digest, size, biggest = hashlib.sha256(), 0, 0
    async for part in request.stream_body():
        digest.update(part)
        size += len(part)
        biggest = max(biggest, len(part))
    return Reply(body={"sha256": digest.hexdigest(), "size": size, "biggest": biggest})


async def ignore_body(_request: Request) -> Reply:
    return Reply(204)


async def fail(request: Request) -> Reply:
    kind = request.query.get("kind", "bug")
    if kind == "conflict":
        raise CONFLICT(what="Patient/1")
    if kind == "later":
        raise UNAVAILABLE(what="A fila", retry_after=1.2)
    raise ValueError("João da Silva has an unexpected accent")


async def whoami(request: Request) -> Reply:
    return Reply(body={"user": request.principal.username, "role": request.principal.role})


async def file(_request: Request) -> Reply:
    return Reply(body=b"\x00\x01", content_type="application/octet-stream", headers={"Cache-Control": "private"})


async def parts(_request: Request) -> Reply:
    async def stream() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d;" % number

    return Reply(content_type="text/plain", stream=stream())


async def splitting(_request: Request) -> Reply:
    return Reply(headers={"X-Name": "a\r\nSet-Cookie: b"})


ROUTES = [
    Route("POST", "/api/things", "record.write", make, "Make a thing", request=Thing, max_body_bytes=1000),
    Route("GET", "/api/things/{thing_id}", "record.read", read, "Read a thing"),
    Route("GET", "/api/hot/{thing_id}", "record.read", read, "Read a thing, hot", hot=True),
    Route("GET", "/api/open/{thing_id}", PUBLIC, read, "Read an open thing"),
    Route("PUT", "/api/upload", "record.write", upload, "Upload", max_body_bytes=64 * MIB),
    Route("POST", "/api/ignore", "record.write", ignore_body, "Ignore the body"),
    Route("GET", "/api/fail", "record.read", fail, "Fail"),
    Route("GET", "/api/hot-fail", "record.read", fail, "Fail, hot", hot=True),
    Route("GET", "/api/me", SELF, whoami, "Who am I"),
    Route("GET", "/api/who", PUBLIC, whoami, "Who am I, if anybody"),
    Route("GET", "/api/file", "record.read", file, "A file"),
    Route("GET", "/api/parts", "record.read", parts, "A stream"),
    Route("GET", "/api/splitting", "record.read", splitting, "A bad header"),
]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with api_under_test(tmp_path, ROUTES) as served:
        yield served


@pytest.mark.parametrize("http2", [False, True])
async def test_every_way_in_gives_the_same_request(api: ApiUnderTest, http2: bool) -> None:
    async with api.client(await api.phone(), http2=http2) as client:
        for path in ("/api/things/7", "/api/hot/7", "/api/open/7"):
            answer = await client.get(path + "?a=1&b=&a=2", headers={"Accept-Language": "en-GB"})
            assert answer.status_code == 200
            assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert answer.json() == {
                "id": "7",
                "certificate": True,
                "query": [["a", "1"], ["b", ""], ["a", "2"]],
                "first": {"a": "1", "b": ""},
                "language": "en",
            }


async def test_every_answer_carries_the_security_headers(api: ApiUnderTest) -> None:
    identifiers = set()
    async with api.client(await api.phone()) as client:
        for path in ("/api/things/7", "/api/hot/7", "/api/fail", "/nowhere", "/health/live", "/api/parts"):
            headers = (await client.get(path)).headers
            assert headers["prontuario-mode"] == "single"
            assert headers["prontuario-epoch"] == "0"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["strict-transport-security"].startswith("max-age=")
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers
            identifiers.add(headers["x-request-id"])
        assert (await client.get("/api/file")).headers["cache-control"] == "private"
    assert len(identifiers) == 6


async def test_a_missing_token_is_401_and_says_how_to_ask(api: ApiUnderTest) -> None:
    async with api.client() as client:
        for path in ("/api/things/7", "/api/hot/7", "/api/me"):
            answer = await client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "auth.required"
        for scheme in ("Basic YTpi", "Bearer", "Bearer nonsense", "nonsense"):
            answer = await client.get("/api/me", headers={"Authorization": scheme})
            assert answer.status_code == 401, scheme


async def test_a_role_without_the_permission_is_403(api: ApiUnderTest) -> None:
    async with api.client(await api.phone("auditor")) as client:
        for path in ("/api/things/7", "/api/hot/7"):
            answer = await client.get(path)
            assert answer.status_code == 403
            assert answer.json()["code"] == "forbidden"
        assert (await client.get("/api/me")).json() == {"user": "auditor.1", "role": "auditor"}


async def test_a_public_route_knows_its_caller_only_by_a_good_token(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as known, api.client() as unknown:
        assert (await known.get("/api/who")).json()["user"] == "physician.1"
        assert (await unknown.get("/api/who")).json()["code"] == "auth.required"
        bad = await unknown.get("/api/who", headers={"Authorization": "Bearer wrong"})
        assert bad.status_code == 401
        assert (await unknown.get("/api/open/1", headers={"Authorization": "Bearer wrong"})).status_code == 200


async def test_the_token_of_another_device_is_refused(api: ApiUnderTest) -> None:
    mine, other = await api.phone(), await api.phone("nurse")
    async with api.client(other, headers={"Authorization": f"Bearer {mine.token}"}) as client:
        assert (await client.get("/api/me")).json()["code"] == "auth.device_mismatch"
    async with api.client(headers={"Authorization": f"Bearer {mine.token}"}) as client:
        assert (await client.get("/api/me")).status_code == 401


async def test_problems_speak_the_readers_language(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        portuguese = (await client.get("/api/fail?kind=conflict")).json()
        english = (await client.get("/api/fail?kind=conflict", headers={"Accept-Language": "en"})).json()
    assert portuguese["status"] == english["status"] == 409
    assert portuguese["detail"] == "Alguém mudou isto antes: Patient/1."
    assert english["detail"] == "Somebody changed this before you: Patient/1."
    assert english["next_step"].startswith("Read the current version")
    assert english["type"] == "urn:prontuario:error:conflict"


async def test_retry_after_is_a_header_and_a_member(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        answer = await client.get("/api/fail?kind=later")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["retry_after"] == 1.2


@pytest.mark.parametrize("path", ["/api/fail", "/api/hot-fail"])
async def test_an_unexpected_failure_is_500_with_an_incident_code_and_no_text(api: ApiUnderTest, path: str) -> None:
    async with api.client(await api.phone()) as client:
        answer = await client.get(path)
    assert answer.status_code == 500
    told = answer.json()
    assert told["code"] == "internal"
    incident = told["instance"].rpartition(":")[2]
    assert incident
    assert incident in told["next_step"]
    assert "João" not in answer.text


async def test_a_header_that_would_split_the_response_is_500_not_two_responses(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        answer = await client.get("/api/splitting")
        assert answer.status_code == 500
        assert "set-cookie" not in answer.headers
        assert answer.json()["code"] == "internal"


async def test_unknown_addresses_and_methods(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        assert (await client.get("/api/nothing")).json()["code"] == "route.unknown"
        refused = await client.delete("/api/things/7")
        assert refused.status_code == 405
        assert refused.headers["allow"] == "GET, HEAD"
        assert (await client.request("BREW", "/api/things/7")).status_code == 405
        assert (await client.get("/api/things/%00")).status_code == 400


@pytest.mark.parametrize("path", ["/api/things/7", "/api/hot/7", "/api/parts"])
async def test_head_gives_the_headers_alone(api: ApiUnderTest, path: str) -> None:
    async with api.client(await api.phone()) as client:
        head, got = await client.head(path), await client.get(path)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers.get("content-length") == got.headers.get("content-length")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b'{"name": "x"}', 201, None, None),
        (b"", 400, "body.malformed", None),
        (b"{", 400, "body.malformed", None),
        (b'{"name": "\xff"}', 400, "body.malformed", None),
        (b"[" * 100_000, 413, "body.too_large", None),
        (b"[" * 900, 422, "invalid", "$"),
        (b"{}", 422, "invalid", "$"),
        (b'{"name": 1}', 422, "invalid", "$.name"),
        (b'{"name": "x", "address": {"street": null}}', 422, "invalid", "$.address.street"),
        (b'{"name": "x", "colour": "red"}', 422, "invalid", "$"),
    ],
)
async def test_bodies(api: ApiUnderTest, body: bytes, status: int, code: str | None, field: str | None) -> None:
    async with api.client(await api.phone(), headers={"Content-Type": "application/json"}) as client:
        answer = await client.post("/api/things", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json().get("code") == code
    assert answer.json().get("field") == field


async def test_another_content_type_is_415(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        answer = await client.post("/api/things", content=b"name=x", headers={"Content-Type": "text/plain"})
        assert answer.status_code == 415
        assert answer.json()["code"] == "body.type"
        fhir = {"Content-Type": "application/fhir+json; charset=utf-8"}
        assert (await client.post("/api/things", content=b'{"name":"x"}', headers=fhir)).status_code == 201


async def blocks(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"\xa5" * size


@pytest.mark.parametrize("http2", [False, True])
async def test_a_big_upload_streams_through(api: ApiUnderTest, http2: bool) -> None:
    size = 24 * MIB
    async with api.client(await api.phone(), http2=http2) as client:
        answer = await client.put("/api/upload", content=blocks(24, MIB))
    assert answer.status_code == 200, answer.text
    assert answer.json()["size"] == size
    assert answer.json()["sha256"] == hashlib.sha256(b"\xa5" * size).hexdigest()
    assert answer.json()["biggest"] <= MIB


@pytest.mark.parametrize("http2", [False, True])
async def test_an_unread_body_does_not_hurt_the_next_request(api: ApiUnderTest, http2: bool) -> None:
    async with api.client(await api.phone(), http2=http2) as client:
        for _ in range(3):
            assert (await client.post("/api/ignore", content=bytes(3 * MIB))).status_code == 204
            assert (await client.get("/api/me")).status_code == 200


async def test_streams_arrive_whole(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        answer = await client.get("/api/parts")
    assert answer.text == "0;1;2;"
    assert answer.headers["content-type"] == "text/plain"


async def test_many_at_once(api: ApiUnderTest) -> None:
    phones = [await api.phone() for _ in range(5)]

    async def ask(number: int) -> Any:
        async with api.client(phones[number % 5], http2=number % 2 == 0) as client:
            answers = await asyncio.gather(*(client.get(f"/api/hot/{number}-{turn}") for turn in range(10)))
            return [answer.json()["id"] for answer in answers]

    asked = await asyncio.gather(*(ask(number) for number in range(10)))
    assert asked == [[f"{number}-{turn}" for turn in range(10)] for number in range(10)]
    assert len(await api.audit_rows(route="/api/hot/{thing_id}")) == 100


async def test_errors_under_a_prefix_take_that_clients_shape(tmp_path: Path) -> None:
    def render(error: ProntuarioError, language: str) -> Reply:
        return Reply(error.kind.status, {"shape": "own", "language": language})

    fhir_fail = Route("GET", "/fhir/R4/fail", "record.read", fail, "Fail")
    async with (
        api_under_test(tmp_path, [fhir_fail], renderers={"/fhir/": render}) as api,
        api.client(await api.phone()) as client,
        api.client() as stranger,
    ):
        for path in ("/fhir/R4/fail?kind=later", "/fhir/R4/unknown"):
            assert (await client.get(path)).json() == {"shape": "own", "language": "pt"}
        assert (await client.get("/fhir/R4/fail?kind=later")).headers["retry-after"] == "2"
        refused = await stranger.get("/fhir/R4/fail")
        assert refused.json()["shape"] == "own"
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert (await client.get("/api/unknown")).json()["code"] == "route.unknown"
