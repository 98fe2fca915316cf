"""The rules of waiting, handing over and retrying, without a process in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from appliance.engines.dispatcher import Dispatcher
from appliance.engines.errors import UNAVAILABLE
from appliance.engines.requests import MOST_BUFFERED_BYTES, MOST_BUFFERED_PIECES, PendingRequest
from appliance.plugin_api.engine import CallOptions, EngineSpec, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.messages import Failed, Output
from tests.fakes.recorded_line import RecordedLine

Ask = Callable[..., "asyncio.Task[Any]"]


@pytest.fixture
def dispatcher() -> Dispatcher:
    return Dispatcher(EngineSpec("echo", "x:y", max_running=2, queue_limit=5))


@pytest.fixture
def line() -> RecordedLine:
    return RecordedLine()


@pytest.fixture
async def ask(dispatcher: Dispatcher) -> AsyncIterator[Ask]:
    tasks: list[asyncio.Task[Any]] = []

    def start(payload: bytes = b"x", **options: Any) -> asyncio.Task[Any]:
        async def collect() -> list[bytes]:
            return [piece async for piece in dispatcher.submit("kind", payload, CallOptions(**options))]

        tasks.append(asyncio.create_task(collect()))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def code_of(task: asyncio.Task[Any]) -> str:
    with pytest.raises(ProntuarioError) as error:
        await task
    return error.value.kind.code


async def test_nothing_is_sent_before_a_child_is_ready(dispatcher: Dispatcher, line: RecordedLine, ask: Ask) -> None:
    ask()
    await settle()
    assert (dispatcher.waiting, dispatcher.running) == (1, 0)
    dispatcher.attach(line)
    assert (dispatcher.waiting, dispatcher.running) == (0, 1)
    assert len(line.submitted()) == 1


async def test_the_child_gets_no_more_than_it_has_slots_for(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    dispatcher.attach(line)
    tasks = [ask(bytes([number])) for number in range(4)]
    await settle()
    assert [message.payload for message in line.submitted()] == [b"\0", b"\1"]
    dispatcher.on_output(Output(line.submitted()[0].request_id, b"done", final=True))
    assert [message.payload for message in line.submitted()] == [b"\0", b"\1", b"\2"]
    assert await tasks[0] == [b"done"]


async def test_lane_tenant_and_the_time_that_is_left_travel_along(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    ask(lane=Lane.URGENT, user="ana", patient="p7", deadline_s=100.0)
    await settle()
    dispatcher.attach(line)
    (message,) = line.submitted()
    assert (message.lane, message.tenant) == ("urgent", "ana|p7")
    assert 0 < message.deadline_s <= 100.0


async def test_a_full_channel_holds_requests_back_until_it_is_writable(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    line.writable = False
    dispatcher.attach(line)
    ask()
    await settle()
    assert line.sent == []
    line.writable = True
    dispatcher.pump()
    assert len(line.submitted()) == 1


async def test_a_payload_that_fits_nowhere_fails_alone(dispatcher: Dispatcher, ask: Ask) -> None:
    line = RecordedLine(largest=3)
    dispatcher.attach(line)
    large, small = ask(b"too large"), ask(b"ok")
    assert await code_of(large) == "engine.too_large"
    await settle()
    dispatcher.on_output(Output(line.submitted()[0].request_id, b"fine", final=True))
    assert await small == [b"fine"]


async def test_a_cancelled_running_request_is_cancelled_in_the_child_and_the_next_one_goes(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    dispatcher.attach(line)
    first = ask(b"1")
    ask(b"2")
    ask(b"3")
    await settle()
    first.cancel()
    await settle()
    assert line.cancelled() == [line.submitted()[0].request_id]
    assert [message.payload for message in line.submitted()] == [b"1", b"2", b"3"]


async def test_a_cancelled_waiting_request_never_reaches_the_child(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    task = ask()
    await settle()
    task.cancel()
    await settle()
    dispatcher.attach(line)
    assert line.sent == []


async def test_outputs_of_forgotten_requests_are_dropped(dispatcher: Dispatcher, line: RecordedLine, ask: Ask) -> None:
    dispatcher.attach(line)
    task = ask()
    await settle()
    (message,) = line.submitted()
    dispatcher.on_output(Output(message.request_id + 100, b"stray", final=True))
    dispatcher.on_failed(Failed(message.request_id + 100, "x", ""))
    dispatcher.on_output(Output(message.request_id, b"mine", final=True))
    dispatcher.on_output(Output(message.request_id, b"late", final=True))
    assert await task == [b"mine"]


async def test_pieces_that_came_before_an_error_are_still_handed_on(dispatcher: Dispatcher, line: RecordedLine) -> None:
    dispatcher.attach(line)
    stream = dispatcher.submit("kind", b"x", CallOptions())
    first = asyncio.ensure_future(anext(stream))
    await settle()
    (message,) = line.submitted()
    dispatcher.on_output(Output(message.request_id, b"1", final=False))
    dispatcher.on_output(Output(message.request_id, b"2", final=False))
    dispatcher.on_failed(Failed(message.request_id, "internal", ""))
    assert [await first, await anext(stream)] == [b"1", b"2"]
    with pytest.raises(ProntuarioError) as error:
        await anext(stream)
    assert error.value.kind.code == "engine.failed"


async def test_a_reader_that_is_too_far_behind_is_cut_off(dispatcher: Dispatcher, line: RecordedLine) -> None:
    dispatcher.attach(line)
    stream = dispatcher.submit("kind", b"x", CallOptions())
    first = asyncio.ensure_future(anext(stream))
    await settle()
    (message,) = line.submitted()
    piece = bytes(MOST_BUFFERED_BYTES // 4)
    for _ in range(6):
        dispatcher.on_output(Output(message.request_id, piece, final=False))
    await first
    with pytest.raises(ProntuarioError) as error:
        async for _ in stream:
            pass
    assert error.value.kind.code == "engine.overflow"
    assert line.cancelled() == [message.request_id]
    assert dispatcher.running == 0


async def test_after_a_death_suspects_run_one_at_a_time_until_their_first_output(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    dispatcher.attach(line)
    for number in range(2):
        ask(bytes([number]))
    await settle()
    dispatcher.detach(blame=True)
    fresh = RecordedLine()
    dispatcher.attach(fresh)
    assert [message.payload for message in fresh.submitted()] == [b"\0"]
    assert dispatcher.waiting == 1
    dispatcher.on_output(Output(fresh.submitted()[0].request_id, b"alive", final=False))
    assert [message.payload for message in fresh.submitted()] == [b"\0", b"\1"]


async def test_fresh_requests_run_beside_a_suspect(dispatcher: Dispatcher, line: RecordedLine, ask: Ask) -> None:
    dispatcher.attach(line)
    ask(b"suspect")
    await settle()
    dispatcher.detach(blame=True)
    ask(b"fresh")
    await settle()
    second = RecordedLine()
    dispatcher.attach(second)
    assert {message.payload for message in second.submitted()} == {b"suspect", b"fresh"}


async def test_at_the_second_death_only_the_suspect_on_trial_is_blamed(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    dispatcher.attach(line)
    suspect = ask(b"suspect")
    await settle()
    dispatcher.detach(blame=True)
    fresh = ask(b"fresh")
    await settle()
    dispatcher.attach(RecordedLine())
    dispatcher.detach(blame=True)
    assert await code_of(suspect) == "engine.poison"
    third = RecordedLine()
    dispatcher.attach(third)
    dispatcher.on_output(Output(third.submitted()[0].request_id, b"fine", final=True))
    assert await fresh == [b"fine"]


async def test_a_known_poison_is_refused_at_the_door(dispatcher: Dispatcher, line: RecordedLine, ask: Ask) -> None:
    dispatcher.attach(line)
    first = ask(b"bad")
    await settle()
    dispatcher.detach(blame=True)
    dispatcher.attach(RecordedLine())
    dispatcher.detach(blame=True)
    assert await code_of(first) == "engine.poison"
    assert await code_of(ask(b"bad")) == "engine.poison"
    dispatcher.poison.clear()
    ask(b"bad")
    await settle()
    assert dispatcher.waiting == 1


async def test_an_engine_that_died_of_its_probe_twice_can_still_prove_itself(line: RecordedLine) -> None:
    dispatcher = Dispatcher(EngineSpec("echo", "x:y", probe=("kind", b"probe")))

    async def prove() -> list[bytes]:
        call = CallOptions(Lane.URGENT, user="(health)", idempotent=False)
        return [piece async for piece in dispatcher.submit("kind", b"probe", call)]

    for _ in range(2):
        dispatcher.attach(RecordedLine())
        probe = asyncio.create_task(prove())
        await settle()
        dispatcher.detach(blame=True)
        assert await code_of(probe) == "engine.died"
    dispatcher.attach(line)
    probe = asyncio.create_task(prove())
    await settle()
    dispatcher.on_output(Output(line.submitted()[0].request_id, b"alive", final=True))
    assert await probe == [b"alive"]


async def test_an_end_without_blame_makes_no_suspects(dispatcher: Dispatcher, line: RecordedLine, ask: Ask) -> None:
    dispatcher.attach(line)
    ask(b"1")
    ask(b"2")
    await settle()
    dispatcher.detach(blame=False)
    fresh = RecordedLine()
    dispatcher.attach(fresh)
    assert {message.payload for message in fresh.submitted()} == {b"1", b"2"}


async def test_no_request_runs_a_third_time(dispatcher: Dispatcher, ask: Ask) -> None:
    dispatcher.attach(RecordedLine())
    task = ask()
    await settle()
    dispatcher.detach(blame=False)
    dispatcher.attach(RecordedLine())
    dispatcher.detach(blame=False)
    assert await code_of(task) == "engine.died"


async def test_a_request_that_was_partly_answered_is_not_repeated(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    dispatcher.attach(line)
    task = ask()
    await settle()
    dispatcher.on_output(Output(line.submitted()[0].request_id, b"half a sen", final=False))
    dispatcher.detach(blame=True)
    assert await code_of(task) == "engine.died"


async def test_the_time_to_come_back_grows_with_the_queue() -> None:
    dispatcher = Dispatcher(EngineSpec("echo", "x:y", max_running=1, queue_limit=1000))
    line = RecordedLine()
    dispatcher.attach(line)
    times = []
    streams = []
    for _ in range(40):
        stream = dispatcher.submit("kind", b"x", CallOptions())
        streams.append(asyncio.ensure_future(anext(stream)))
        await asyncio.sleep(0)
        times.append(dispatcher._retry_after())
    assert times == sorted(times)
    assert times[0] >= 1.0
    assert times[-1] > times[0]
    assert times[-1] <= 60.0
    dispatcher.end_all(lambda: UNAVAILABLE(engine="echo"))
    ends = await asyncio.gather(*streams, return_exceptions=True)
    assert {type(end) for end in ends} == {ProntuarioError}


async def test_many_small_pieces_are_bounded_too() -> None:
    request = PendingRequest("kind", b"", CallOptions(), 0.0)
    kept = [request.add(b"") for _ in range(MOST_BUFFERED_PIECES + 1)]
    assert kept[-2:] == [True, False]
    request.take()
    request.take()
    assert request.add(b"")


async def test_the_first_end_of_a_request_counts() -> None:
    request = PendingRequest("kind", b"", CallOptions(), 0.0)
    request.end(UNAVAILABLE(engine="first"))
    request.end()
    assert request.error is not None
    assert request.error.details["engine"] == "first"
    await request.changed()


async def test_suspects_are_told_their_place_while_they_wait_for_their_trial(
    dispatcher: Dispatcher, line: RecordedLine, ask: Ask
) -> None:
    told: dict[int, list[int]] = {0: [], 1: []}
    dispatcher.attach(line)
    for number in (0, 1):
        ask(b"%d" % number, on_queue=told[number].append)
    await settle()
    assert told == {0: [0], 1: [0]}
    dispatcher.detach(blame=True)
    async with asyncio.timeout(30):
        while len(told[1]) < 2:  # noqa: ASYNC110  the dispatcher tells in its own rhythm
            await asyncio.sleep(0.05)
    assert (told[0][1], told[1][1]) == (1, 2)
