"""Requests of one node answered by the other's engine: real children, real mutual TLS, real cuts."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Any

import msgspec
import pytest

from appliance.cluster.compute_messages import OFFERS, RUN, SERVICE, Run, identity_of
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import Answer, Call
from appliance.cluster.replication_errors import PEER_MISUNDERSTOOD
from appliance.engines.errors import BUSY, UNAVAILABLE
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import ErrorKind, ProntuarioError
from appliance.security.node_authority import NodeFiles, client_side
from tests.cluster.compute.conftest import PATIENCE_S, Both, Make, until


async def end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def code_of(task: asyncio.Task[Any]) -> str:
    with pytest.raises(ProntuarioError) as error:
        async with asyncio.timeout(PATIENCE_S):
            await task
    return error.value.kind.code


async def test_the_other_node_answers_while_the_own_engine_is_full(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    pieces = await both.ask("stream", [3], user="ana")
    assert [int.from_bytes(piece, "little") for piece in pieces] == [0, 1, 2]
    assert await both.ask("echo", b"x" * 1_000_000, user="rui") == [b"x" * 1_000_000]
    assert (both.counted("sent"), both.counted("answered"), both.counted("failed_over")) == (2, 2, 0)
    await end(*busy)


async def test_the_cache_name_lane_and_deadline_travel(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    await both.ask("echo", b"x", user="ana|1", patient="p", lane=Lane.URGENT, deadline_s=50.0)
    run = msgspec.msgpack.decode(next(call.body for call in both.calls if call.verb == RUN), type=Run)
    assert (run.tenant, run.lane) == ("ana|1|p", Lane.URGENT)
    assert 0 < run.deadline_s <= 50
    await end(*busy)


async def test_a_cancel_reaches_the_other_nodes_child(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    task = asyncio.create_task(both.ask("mute"))
    await until(lambda: both.there.running == 1)
    await end(task)
    await until(lambda: both.there.running == 0)
    assert both.here.away == 0
    await end(*busy)


async def test_an_error_of_the_request_keeps_its_code_and_reason(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    with pytest.raises(ProntuarioError) as told:
        await both.ask("fail", "speech.language")
    assert (told.value.kind.code, told.value.details["reason"]) == ("engine.rejected", "speech.language")
    assert both.counted("refused") == 1
    await end(*busy)


async def test_what_the_other_node_fails_at_is_answered_here(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    task = asyncio.create_task(both.ask("fail", "internal"))
    await until(lambda: both.counted("failed_over") == 1)
    await end(*busy)
    assert await code_of(task) == "engine.failed", "told by the own engine, in the end"
    assert both.counted("sent") == 1, "an engine that failed rests"


async def test_the_other_engine_dies_and_the_own_one_answers(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    task = asyncio.create_task(both.ask("late", 1.0))
    await until(lambda: both.there.running == 1)
    os.kill(both.there.pid, signal.SIGKILL)
    await until(lambda: both.counted("failed_over") == 1)
    await end(*busy)
    assert await task == [b"late"]


async def test_the_link_breaks_and_the_own_engine_answers_and_the_peer_comes_back(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    task = asyncio.create_task(both.ask("late", 1.0))
    await until(lambda: both.there.running == 1)
    await both.server.close()
    await until(lambda: both.counted("failed_over") == 1)
    assert both.here.far_room == 0
    await until(lambda: both.sharing.state == "peer_away")
    await until(lambda: both.there.running == 0)
    await end(*busy)
    assert await task == [b"late"]


async def test_a_stream_that_was_read_ends_with_the_error_of_a_dead_engine(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    answer = both.here.submit("stream", msgspec.msgpack.encode([10_000, 0.01]), CallOptions(deadline_s=PATIENCE_S))
    assert await anext(answer) == (0).to_bytes(8, "little")
    both.server.cut()
    with pytest.raises(ProntuarioError) as told:
        async for _ in answer:
            pass
    assert (told.value.kind.code, told.value.retry_after) == ("engine.died", 2.0)
    assert both.counted("broken") == 1
    await until(lambda: both.sharing.state == "both" and both.here.far_room > 0)
    await end(*busy)


async def test_a_frozen_node_loses_what_it_had(make_both: Make) -> None:
    both = await make_both()
    busy = await both.fill_here()
    both.frozen.set()
    task = asyncio.create_task(both.ask("echo", b"x"))
    await until(lambda: both.counted("failed_over") == 1)
    assert both.sharing.state == "peer_away"
    await end(*busy)
    assert await task == [b"x"]
    both.frozen.clear()
    await until(lambda: both.sharing.state == "both")


@pytest.mark.parametrize(
    "other",
    [
        {"there": {"config": {"model_id": "another"}}},
        {"there": {"config": {"precision": "fp32"}}},
        {"version": "2"},
    ],
)
async def test_another_model_other_settings_or_software_share_nothing(make_both: Make, other: dict[str, Any]) -> None:
    both = await make_both(together=False, **other)
    await until(lambda: both.sharing.state == "other_model")
    busy = await both.fill_here()
    task = asyncio.create_task(both.ask("echo", b"x"))
    await until(lambda: both.here.waiting == 1)
    await end(*busy)
    assert await task == [b"x"]
    assert both.counted("sent") == 0


async def test_the_same_model_in_another_folder_is_the_same(make_both: Make) -> None:
    both = await make_both(there={"config": {"folder": "/elsewhere/model"}})
    assert both.sharing.state == "both"


async def test_an_engine_that_is_away_is_not_lent_until_it_is_back(make_both: Make) -> None:
    both = await make_both()
    await both.there.stop(0.0)
    await until(lambda: both.sharing.state == "peer_not_ready")
    assert both.here.far_room == 0
    await both.there.start()
    await until(lambda: both.sharing.state == "both")
    assert both.here.far_room == 2


async def test_the_own_requests_of_the_other_node_come_first_there(make_both: Make) -> None:
    both = await make_both()
    own = asyncio.create_task(collect(both))
    await until(lambda: both.service.offers().offers[0].room == 1)
    await until(lambda: both.here.far_room == 1)
    await end(own)
    await until(lambda: both.here.far_room == 2)


async def collect(both: Both) -> list[bytes]:
    return [piece async for piece in both.there.submit("mute", b"", CallOptions(deadline_s=PATIENCE_S))]


async def test_the_service_refuses_by_name(make_both: Make) -> None:
    both = await make_both()
    identity = identity_of(both.there, "1")
    assert identity is not None
    run = Run(identity, "echo", b"x", 5.0, Lane.INTERACTIVE, "|")
    other = msgspec.structs.replace(run, identity=msgspec.structs.replace(identity, model_sha256="0" * 64))
    assert await refusal(both, "sing", b"") is PEER_MISUNDERSTOOD
    assert await refusal(both, RUN, b"\xc1") is PEER_MISUNDERSTOOD
    assert await refusal(both, RUN, msgspec.msgpack.encode(other)) is UNAVAILABLE
    assert await refusal(both, RUN, msgspec.msgpack.encode(run)) is None
    filling = [asyncio.create_task(collect(both)) for _ in range(2)]
    await until(lambda: both.there.running == 2)
    assert await refusal(both, RUN, msgspec.msgpack.encode(run)) is BUSY, "nothing waits there"
    await end(*filling)


async def refusal(both: Both, verb: str, body: bytes) -> ErrorKind | None:
    try:
        async for _ in both.service.on_call(Call(SERVICE, verb, body)):
            pass
    except ProntuarioError as error:
        return error.kind
    return None


async def test_nothing_that_was_said_is_logged(make_both: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    both = await make_both()
    busy = await both.fill_here()
    secret = "paciente com febre"
    with pytest.raises(ProntuarioError):
        await both.ask("fail", "bad.request", user="ana", patient=secret)
    assert await both.ask("echo", secret.encode(), user="rui") == [secret.encode()]
    task = asyncio.create_task(both.ask("stream", [10_000, 0.01], patient=secret))
    await until(lambda: both.there.running == 1)
    both.server.cut()
    await end(task, *busy)
    assert secret not in caplog.text


async def test_a_node_without_the_service_shares_nothing(make_both: Make) -> None:
    both = await make_both()
    both.server.handlers.pop(Call)
    await until(lambda: both.sharing.state == "peer_does_not_share")
    assert both.here.far_room == 0


async def test_many_requests_at_once_are_all_answered_while_the_link_is_cut_again_and_again(make_both: Make) -> None:
    both = await make_both()
    asked = [asyncio.create_task(both.ask("echo", b"%d" % n, user=f"u{n % 7}")) for n in range(120)]
    for _ in range(3):
        await asyncio.sleep(0.02)
        both.server.cut()
    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.gather(*asked) == [[b"%d" % n] for n in range(120)]
    assert (both.here.running, both.here.away, both.here.waiting) == (0, 0, 0)


async def test_offers_are_answered_beside_a_link_full_of_answers(
    make_both: Make, certificates: dict[str, NodeFiles]
) -> None:
    """A second connection, as replication has one, is answered while inference streams on the first."""
    both = await make_both(there={"max_running": 2})
    link = PeerLink("127.0.0.1", both.server.port, client_side(certificates["a"]), name="b")
    link.start()
    await link.wait_up()
    busy = await both.fill_here()
    streams = [asyncio.create_task(both.ask("stream", [100_000], user=f"s{n}")) for n in range(2)]
    await until(lambda: both.there.running == 2)
    for _ in range(20):
        await link.ask(Call(SERVICE, OFFERS, b""), Answer, deadline_s=PATIENCE_S)
    await end(*streams, *busy)
    await link.close()


async def test_a_model_that_was_replaced_while_people_work_is_lent_anew(make_both: Make) -> None:
    """The old supervisor goes on beside its successor for a while; what is lent goes to who takes requests now."""
    both = await make_both()
    before, engines = both.here, both.engines
    engines[0] = await both.another()
    await until(lambda: engines[0].far_room == 2)
    assert before.far_room == 0
    both.here = engines[0]
    busy = await both.fill_here()
    assert await both.ask("echo", b"x") == [b"x"]
    await end(*busy)
