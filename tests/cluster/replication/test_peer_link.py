"""Questions and answers over real mutual TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.cluster.model import Position
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import (
    MAX_FRAME_BYTES,
    Answer,
    AskHeld,
    Call,
    FrameError,
    Held,
    Missing,
    Request,
    to_frame,
)
from appliance.cluster.peer_server import PeerServer
from appliance.cluster.replication_errors import STALE_EPOCH
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.node_authority import NodeFiles, client_side, prepare_node, server_side
from tests.cluster.replication.conftest import Wiring, until


async def held(question: AskHeld) -> Held:
    return Held(Position(question.epoch, 7))


async def test_an_answer_comes_back(r_wire: Wiring) -> None:
    wire = await r_wire({AskHeld: held})
    assert await wire.link.ask(AskHeld(3), Held, deadline_s=30) == Held(Position(3, 7))


async def test_many_questions_are_under_way_and_answers_come_as_they_are_ready(r_wire: Wiring) -> None:
    gates = [asyncio.Event() for _ in range(20)]
    asked: list[int] = []

    async def slow(question: AskHeld) -> Held:
        asked.append(question.epoch)
        await gates[question.epoch].wait()
        return await held(question)

    wire = await r_wire({AskHeld: slow})
    tasks = [asyncio.create_task(wire.link.ask(AskHeld(n), Held, deadline_s=60)) for n in range(20)]
    await until(lambda: len(asked) == 20)
    assert asked == list(range(20))  # in the order of the calls
    for n in reversed(range(20)):
        gates[n].set()
        assert (await tasks[n]).position.epoch == n


async def test_a_refusal_arrives_as_the_same_error(r_wire: Wiring) -> None:
    async def refuse(question: AskHeld) -> Held:
        raise STALE_EPOCH(retry_after=2.5, epoch=question.epoch, fence=9)

    wire = await r_wire({AskHeld: refuse})
    with pytest.raises(ProntuarioError) as caught:
        await wire.link.ask(AskHeld(4), Held, deadline_s=30)
    assert (caught.value.kind, caught.value.retry_after) == (STALE_EPOCH, 2.5)
    assert caught.value.details == {"epoch": 4, "fence": 9}


async def test_a_question_that_nobody_answers_there_is_told(r_wire: Wiring) -> None:
    wire = await r_wire({})
    with pytest.raises(ProntuarioError) as caught:
        await wire.link.ask(AskHeld(4), Held, deadline_s=30)
    assert caught.value.kind.code == "cluster.peer_misunderstood"


async def test_a_broken_handler_hurts_only_its_question(r_wire: Wiring) -> None:
    async def broken(question: AskHeld) -> Held:
        if question.epoch == 0:
            raise OSError("disk")
        return await held(question)

    wire = await r_wire({AskHeld: broken})
    with pytest.raises(ProntuarioError) as caught:
        await wire.link.ask(AskHeld(0), Held, deadline_s=30)
    assert caught.value.kind.code == "unavailable"
    assert (await wire.link.ask(AskHeld(1), Held, deadline_s=30)).position.epoch == 1


async def test_a_silent_peer_costs_the_deadline_and_learns_that_nobody_waits(r_wire: Wiring) -> None:
    cancelled = asyncio.Event()

    async def silent(question: AskHeld) -> Held:
        if question.epoch:
            return await held(question)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    wire = await r_wire({AskHeld: silent})
    with pytest.raises(ProntuarioError) as caught:
        await wire.link.ask(AskHeld(0), Held, deadline_s=0.05)
    assert caught.value.kind.code == "cluster.peer_away"
    async with asyncio.timeout(30):
        await cancelled.wait()
    assert (await wire.link.ask(AskHeld(2), Held, deadline_s=30)).position.epoch == 2


async def test_the_link_comes_back_by_itself(r_wire: Wiring) -> None:
    wire = await r_wire({AskHeld: held})
    waiting = asyncio.create_task(wire.link.ask(Call("s", "v", b""), Answer, deadline_s=60))
    wire.server.handlers[Call] = lambda _: asyncio.get_running_loop().create_future()  # never answers
    await asyncio.sleep(0)
    wire.server.cut()
    with pytest.raises(ProntuarioError):
        await waiting
    await until(lambda: wire.link.is_up)
    assert (await wire.link.ask(AskHeld(5), Held, deadline_s=30)).position.epoch == 5


async def test_without_a_peer_a_question_fails_at_once(r_certificates: dict[str, NodeFiles]) -> None:
    link = PeerLink("127.0.0.1", 1, client_side(r_certificates["a"]), name="b")
    link.start()
    with pytest.raises(ProntuarioError) as caught:
        await link.ask(AskHeld(1), Held, deadline_s=60)
    assert caught.value.kind.code == "cluster.peer_away"
    await link.close()


async def test_a_stream_of_answers_ends_where_its_handler_ends(r_wire: Wiring) -> None:
    async def count(call: Call) -> AsyncIterator[Answer]:
        for n in range(int(call.body)):
            yield Answer(b"%d" % n)

    wire = await r_wire({Call: count, AskHeld: held})
    got = [answer.body async for answer in wire.link.stream(Call("s", "v", b"5"), Answer, silence_s=30)]
    assert got == [b"0", b"1", b"2", b"3", b"4"]


async def test_leaving_a_stream_early_ends_its_handler(r_wire: Wiring) -> None:
    ended = asyncio.Event()

    async def endless(_: Call) -> AsyncIterator[Answer]:
        try:
            while True:
                yield Answer(b"x")
                await asyncio.sleep(0)
        finally:
            ended.set()

    wire = await r_wire({Call: endless, AskHeld: held})
    stream = wire.link.stream(Call("s", "v", b""), Answer, silence_s=30)
    assert (await anext(stream)).body == b"x"
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(30):
        await ended.wait()
    assert (await wire.link.ask(AskHeld(1), Held, deadline_s=30)).position.epoch == 1


async def test_a_stream_may_be_refused_in_the_middle(r_wire: Wiring) -> None:
    async def half(_: Call) -> AsyncIterator[Answer]:
        yield Answer(b"x")
        raise STALE_EPOCH(epoch=1, fence=2)

    wire = await r_wire({Call: half})
    stream = wire.link.stream(Call("s", "v", b""), Answer, silence_s=30)
    assert (await anext(stream)).body == b"x"
    with pytest.raises(ProntuarioError) as caught:
        await anext(stream)
    assert caught.value.kind is STALE_EPOCH


async def test_another_kind_of_answer_is_no_answer(r_wire: Wiring) -> None:
    async def odd(_: AskHeld) -> Missing:
        return Missing(())

    wire = await r_wire({AskHeld: odd})
    with pytest.raises(ProntuarioError) as caught:
        await wire.link.ask(AskHeld(1), Held, deadline_s=30)
    assert caught.value.kind.code == "cluster.peer_misunderstood"


async def test_a_stranger_gets_no_word(r_wire: Wiring, tmp_path: Path) -> None:
    """A certificate of another authority, or none."""
    wire = await r_wire({AskHeld: held})
    stranger = prepare_node(tmp_path, ["a"], datetime.now(UTC))
    nobody = ssl.create_default_context()
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    strange = client_side(stranger)
    strange.check_hostname, strange.verify_mode = False, ssl.CERT_NONE
    for context in (nobody, strange):
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await one_question(wire.server, context)


async def one_question(server: PeerServer, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    try:
        writer.write(to_frame(Request(1, AskHeld(1))))
        await writer.drain()
        return await reader.readexactly(4)
    finally:
        writer.transport.abort()


async def test_the_link_takes_only_the_peer_that_it_asked_for(r_certificates: dict[str, NodeFiles]) -> None:
    server = PeerServer("127.0.0.1", 0, server_side(r_certificates["a"]), {AskHeld: held})
    await server.start()
    link = PeerLink("127.0.0.1", server.port, client_side(r_certificates["a"]), name="b")
    with pytest.raises(ssl.SSLCertVerificationError):
        await link._one_connection()
    assert not link.is_up
    await server.close()


@pytest.mark.parametrize("noise", [b"\xff\xff\xff\xff", b"\0\0\0\x02\xc1\xc1", b"\0\0\0\x01\x90"])
async def test_noise_ends_the_connection_and_nothing_else(
    r_wire: Wiring, r_certificates: dict[str, NodeFiles], noise: bytes
) -> None:
    wire = await r_wire({AskHeld: held})
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", wire.server.port, ssl=client_side(r_certificates["a"]), server_hostname="b"
    )
    writer.write(noise)
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.transport.abort()
    assert (await wire.link.ask(AskHeld(1), Held, deadline_s=30)).position.epoch == 1


def test_what_is_too_long_is_not_sent() -> None:
    with pytest.raises(FrameError):
        to_frame(Request(1, Call("s", "v", b"x" * (MAX_FRAME_BYTES + 1))))


async def test_a_link_outlives_what_uvloop_raises_when_a_connection_breaks_in_its_hands(
    r_certificates: dict[str, NodeFiles],
) -> None:
    server = PeerServer("127.0.0.1", 0, server_side(r_certificates["b"]), {AskHeld: held})
    await server.start()
    broken: list[int] = []

    def break_once() -> None:
        if not broken:
            broken.append(1)
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    link = PeerLink("127.0.0.1", server.port, client_side(r_certificates["a"]), name="b", on_up=break_once)
    link.start()
    try:
        await until(lambda: broken and link.is_up)
        assert await link.ask(AskHeld(3), Held, deadline_s=30) == Held(Position(3, 7))
    finally:
        await link.close()
        await server.close()
