from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.api.body import BUFFER_BYTES, RequestBody, decode_json
from appliance.plugin_api.errors import ProntuarioError

LIMIT = 10 * BUFFER_BYTES


async def collect(body: RequestBody, limit: int = LIMIT, timeout_s: float = 30.0) -> list[bytes]:
    return [part async for part in body.chunks(limit, timeout_s)]


async def refusal(body: RequestBody, limit: int = LIMIT, timeout_s: float = 30.0) -> str:
    with pytest.raises(ProntuarioError) as caught:
        await collect(body, limit, timeout_s)
    return caught.value.kind.code


async def test_parts_come_out_as_they_went_in() -> None:
    body = RequestBody()
    for part in (b"a", b"", b"bc"):
        await body.put(part)
    body.set_complete()
    assert await collect(body) == [b"a", b"bc"]


async def test_an_empty_body_is_no_part() -> None:
    body = RequestBody()
    body.set_complete()
    assert await collect(body) == []


async def test_the_writer_waits_while_the_reader_is_behind() -> None:
    body = RequestBody()
    block = bytes(BUFFER_BYTES // 2)
    await body.put(block)
    await body.put(block)
    third = asyncio.create_task(body.put(block))
    await asyncio.sleep(0)
    assert not third.done()
    reading = body.chunks(LIMIT, 30.0)
    assert await anext(reading) == block
    await asyncio.wait_for(third, 10)
    body.set_complete()
    assert sum([len(part) async for part in reading]) == 2 * len(block)


async def test_sizes_are_refused_by_declaration_and_by_count() -> None:
    assert await refusal(RequestBody(101), 100) == "body.too_large"
    liar = RequestBody(5)
    await liar.put(bytes(101))
    assert await refusal(liar, 100) == "body.too_large"
    exact = RequestBody(100)
    await exact.put(bytes(100))
    exact.set_complete()
    assert await collect(exact, 100) == [bytes(100)]


async def test_a_stall_and_a_cut_are_told_apart() -> None:
    stalled = RequestBody(10)
    await stalled.put(b"a")
    assert await refusal(stalled, timeout_s=0.02) == "body.stalled"
    cut = RequestBody(10)
    await cut.put(b"a")
    cut.interrupt()
    assert await refusal(cut) == "body.interrupted"


async def test_what_arrived_in_full_counts_even_if_the_client_left_at_once() -> None:
    body = RequestBody(2)
    await body.put(b"ab")
    body.set_complete()
    body.interrupt()
    assert await collect(body) == [b"ab"]


async def test_time_that_the_handler_takes_is_not_the_clients() -> None:
    body = RequestBody()
    await body.put(b"a")
    parts = []
    async for part in body.chunks(LIMIT, 0.05):
        parts.append(part)
        await asyncio.sleep(0.1)
        if len(parts) == 1:
            await body.put(b"b")
        else:
            body.set_complete()
    assert parts == [b"a", b"b"]


async def test_discarding_lets_the_writer_go_on() -> None:
    body = RequestBody()
    await body.put(bytes(BUFFER_BYTES))
    writing = asyncio.create_task(body.put(b"x"))
    discarding = asyncio.create_task(body.discard())
    await asyncio.wait_for(writing, 10)
    body.set_complete()
    await asyncio.wait_for(discarding, 10)


class Drug(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    route: str = "oral"


class Order(msgspec.Struct):
    drugs: list[Drug]
    note: str | None = None


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'{"drugs": 1}', "$.drugs"),
        (b'{"drugs": [{"name": 1}]}', "$.drugs[0].name"),
        (b'{"drugs": [{"name": "x", "dose": 1}]}', "$.drugs[0]"),
        (b'{"drugs": [{}]}', "$.drugs[0]"),
        (b"[]", "$"),
        (b'"x"', "$"),
    ],
)
def test_the_field_is_named(data: bytes, field: str) -> None:
    with pytest.raises(ProntuarioError) as caught:
        decode_json(data, Order)
    assert caught.value.kind.code == "invalid"
    assert caught.value.field == field
    assert caught.value.details["reason"]


@pytest.mark.parametrize("data", [b"", b"{", b"nul", b"\xff", b'{"drugs": [}', b'{"drugs": []} x', b"\xef\xbb\xbf{}"])
def test_no_json_is_400(data: bytes) -> None:
    with pytest.raises(ProntuarioError) as caught:
        decode_json(data, Order)
    assert caught.value.kind.code == "body.malformed"


def test_depth_does_not_exhaust_the_stack() -> None:
    with pytest.raises(ProntuarioError) as caught:
        decode_json(b"[" * 100_000 + b"]" * 100_000, Any)  # type: ignore[arg-type]
    assert caught.value.kind.status == 400


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    try:
        order = decode_json(data, Order)
    except ProntuarioError as refused:
        status = refused.kind.status
    else:
        status = 200
        assert isinstance(order, Order)
    assert status in {200, 400, 422}


@given(st.text(min_size=5, alphabet=st.characters(categories=("Lu", "Ll"))))
def test_a_refused_value_is_not_quoted(value: str) -> None:
    class Choice(msgspec.Struct):
        kind: int

    with pytest.raises(ProntuarioError) as caught:
        decode_json(msgspec.json.encode({"kind": value}), Choice)
    assert value not in str(caught.value)
