"""One queue, two engines: the own child, and the other node's while that one is lent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from appliance.engines.dispatcher import Dispatcher
from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.errors import BUSY, DIED, FAILED, REJECTED, UNAVAILABLE
from appliance.engines.targets import MOST_AWAY_BYTES
from appliance.plugin_api.engine import CallOptions, EngineSpec, Lane
from appliance.plugin_api.errors import ErrorKind, ProntuarioError
from appliance.plugin_api.messages import Failed, Output
from appliance.telemetry.metrics import Metrics
from tests.fakes.recorded_line import RecordedLine

Ask = Callable[..., "asyncio.Task[Any]"]
Two = tuple[Dispatcher, RecordedLine, RecordedLine]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def two(metrics: Metrics) -> Two:
    """An engine of two slots with a child, and nothing lent yet."""
    made = Dispatcher(EngineSpec("echo", "x:y", max_running=2, queue_limit=20), EngineMetrics(metrics))
    own = RecordedLine()
    made.attach(own)
    return made, own, RecordedLine()


@pytest.fixture
async def ask(two: Two) -> AsyncIterator[Ask]:
    tasks: list[asyncio.Task[Any]] = []

    def start(payload: bytes = b"x", **options: Any) -> asyncio.Task[Any]:
        call = CallOptions(**{"user": f"user-{len(tasks)}", "deadline_s": 60.0, **options})

        async def collect() -> list[bytes]:
            return [piece async for piece in two[0].submit("kind", payload, call)]

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


def payloads(line: RecordedLine) -> list[bytes]:
    return [message.payload for message in line.submitted()]


def counted(metrics: Metrics, event: str) -> float:
    labels = {"engine": "echo", "event": event}
    return metrics.registry.get_sample_value("prontuario_engine_shared_requests_total", labels) or 0.0


async def fill_the_own(two: Two, ask: Ask) -> list[asyncio.Task[Any]]:
    tasks = [ask(b"own-0"), ask(b"own-1")]
    await settle()
    assert two[0].running == 2
    return tasks


async def test_the_own_engine_goes_first_and_the_others_follow_to_the_peer(two: Two, ask: Ask) -> None:
    dispatcher, own, far = two
    dispatcher.lend(far, 2)
    for number in range(6):
        ask(bytes([number]))
        await settle()
    assert payloads(own) == [b"\0", b"\1"]
    assert payloads(far) == [b"\2", b"\3"]
    assert (dispatcher.running, dispatcher.away, dispatcher.waiting) == (2, 2, 2)


async def test_beyond_half_of_the_own_slots_the_one_with_more_room_is_taken(ask: Ask) -> None:
    dispatcher = Dispatcher(EngineSpec("echo", "x:y", max_running=4))
    own, far = RecordedLine(), RecordedLine()
    dispatcher.attach(own)
    dispatcher.lend(far, 4)
    calls = [dispatcher.submit("kind", bytes([n]), CallOptions(user=f"u{n}")) for n in range(8)]
    tasks = [asyncio.ensure_future(anext(call)) for call in calls]
    await settle()
    assert payloads(own)[:3] == [b"\0", b"\1", b"\2"], "half of its slots are free until the third is taken"
    assert payloads(far)[0] == b"\3", "then the peer has more"
    assert len(own.submitted()) == len(far.submitted()) == 4
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_far_answer_comes_piece_by_piece(two: Two, ask: Ask, metrics: Metrics) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far")
    await settle()
    number = far.submitted()[0].request_id
    for piece in (b"a", b"b"):
        dispatcher.on_output(Output(number, piece, final=False))
    dispatcher.on_far_end(number)
    assert await answer == [b"a", b"b"]
    assert (dispatcher.away, counted(metrics, "sent"), counted(metrics, "answered")) == (0, 1, 1)


async def test_far_answers_prove_nothing_of_the_own_child(two: Two, ask: Ask) -> None:
    dispatcher, own, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    ask(b"far")
    await settle()
    dispatcher.on_output(Output(far.submitted()[0].request_id, b"a", final=False))
    assert dispatcher.last_output_at == float("-inf")
    dispatcher.on_output(Output(own.submitted()[0].request_id, b"a", final=False))
    assert dispatcher.last_output_at > 0


async def test_what_the_peer_had_runs_again_here_once_it_is_gone_and_not_there_again(
    two: Two, ask: Ask, metrics: Metrics
) -> None:
    dispatcher, own, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 2)
    first, second = ask(b"far-0"), ask(b"far-1")
    await settle()
    dispatcher.recall()
    assert far.cancelled() == [message.request_id for message in reversed(far.submitted())]
    assert (dispatcher.away, dispatcher.waiting, dispatcher.far_room) == (0, 2, 0)
    back = RecordedLine()
    dispatcher.lend(back, 2)
    assert back.sent == [], "the peer lost them once: they stay"
    for message in own.submitted():
        dispatcher.on_output(Output(message.request_id, b"done", final=True))
    assert payloads(own)[2:] == [b"far-0", b"far-1"], "in their old order"
    for message in own.submitted()[2:]:
        dispatcher.on_output(Output(message.request_id, b"here", final=True))
    assert (await first, await second) == ([b"here"], [b"here"])
    assert counted(metrics, "failed_over") == 2


async def test_a_stream_that_was_read_ends_as_when_an_engine_dies(two: Two, ask: Ask, metrics: Metrics) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far")
    await settle()
    dispatcher.on_output(Output(far.submitted()[0].request_id, b"a", final=False))
    dispatcher.recall()
    assert await code_of(answer) == "engine.died"
    assert (counted(metrics, "broken"), counted(metrics, "failed_over")) == (1, 0)


@pytest.mark.parametrize("kind", [BUSY, UNAVAILABLE, FAILED])
async def test_the_peers_own_trouble_is_no_callers_trouble(two: Two, ask: Ask, kind: ErrorKind) -> None:
    dispatcher, own, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far")
    await settle()
    error = kind(engine="echo", waiting=1, reason="internal")
    dispatcher.on_far_error(far.submitted()[0].request_id, error)
    dispatcher.on_output(Output(own.submitted()[0].request_id, b"done", final=True))
    dispatcher.on_output(Output(own.submitted()[2].request_id, b"here", final=True))
    assert await answer == [b"here"]


async def test_the_requests_own_fault_is_told_with_its_code_and_details(two: Two, ask: Ask) -> None:
    dispatcher, own, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far")
    await settle()
    dispatcher.on_far_error(far.submitted()[0].request_id, REJECTED(engine="echo", reason="speech.language"))
    with pytest.raises(ProntuarioError) as told:
        await answer
    assert (told.value.kind, told.value.details["reason"]) == (REJECTED, "speech.language")
    assert len(own.submitted()) == 2


async def test_what_was_alive_when_the_peers_engine_died_is_a_suspect_here(two: Two, ask: Ask) -> None:
    dispatcher, own, far = two
    tasks = await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"killer")
    await settle()
    dispatcher.on_far_error(far.submitted()[0].request_id, DIED(engine="echo"))
    for message in own.submitted():
        dispatcher.on_output(Output(message.request_id, b"done", final=True))
    await asyncio.gather(*tasks)
    assert payloads(own)[2:] == [b"killer"], "it runs on trial"
    dispatcher.detach(blame=True)
    assert await code_of(answer) == "engine.poison", "the second engine that died of it was the last"


async def test_cancelling_reaches_the_peer_and_frees_its_slot(two: Two, ask: Ask) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far")
    await settle()
    answer.cancel()
    await settle()
    assert far.cancelled() == [far.submitted()[0].request_id]
    assert (dispatcher.away, dispatcher.far_room) == (0, 1)


async def test_a_deadline_holds_on_the_peer_too(two: Two, ask: Ask) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far", deadline_s=0.05)
    await settle()
    assert 0 < far.submitted()[0].deadline_s <= 0.05
    assert await code_of(answer) == "engine.deadline"
    assert far.cancelled() == [far.submitted()[0].request_id]


async def test_what_may_run_only_once_or_is_too_large_stays_here(two: Two, ask: Ask) -> None:
    dispatcher, own, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 4)
    ask(b"probe", idempotent=False)
    ask(bytes(MOST_AWAY_BYTES + 1))
    ask(b"far")
    await settle()
    assert payloads(far) == [b"far"]
    assert (len(own.submitted()), dispatcher.waiting) == (2, 2)


async def test_lanes_and_shares_hold_for_both_engines(two: Two, ask: Ask) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 8)
    for number in range(8):
        ask(b"greedy %d" % number, user="one")
    for number in range(3):
        ask(b"later %d" % number, user="two", lane=Lane.BACKGROUND)
    await settle()
    sent = payloads(far)
    assert len([payload for payload in sent if payload.startswith(b"greedy")]) == 6, "a quarter is for the others"
    assert len(sent) == 7, "an eighth is kept for what is urgent"
    ask(b"now", lane=Lane.URGENT)
    await settle()
    assert payloads(far)[7:] == [b"now"]


async def test_capacity_follows_what_the_peer_offers(two: Two, ask: Ask) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    for number in range(4):
        ask(b"%d" % number)
    await settle()
    dispatcher.lend(far, 2)
    assert dispatcher.away == 2
    dispatcher.lend(far, 1)
    assert (dispatcher.away, dispatcher.far_room) == (2, 0), "what runs goes on"
    dispatcher.on_far_end(far.submitted()[0].request_id)
    assert dispatcher.away == 1
    far.writable = False
    dispatcher.lend(far, 4)
    assert dispatcher.away == 1, "nothing crosses a link that is down"


async def test_while_the_own_child_restarts_the_peer_goes_on(two: Two, ask: Ask) -> None:
    dispatcher, _, far = two
    dispatcher.lend(far, 2)
    dispatcher.detach(blame=True)
    answer = ask(b"far")
    await settle()
    dispatcher.on_far_end(far.submitted()[0].request_id)
    assert await answer == []


async def test_stopping_ends_what_is_away(two: Two, ask: Ask) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far")
    await settle()
    dispatcher.end_all(lambda: UNAVAILABLE(engine="echo"))
    assert await code_of(answer) == "engine.unavailable"
    assert far.cancelled() == [far.submitted()[0].request_id]


async def test_nothing_comes_home_to_an_engine_that_was_given_up(two: Two, ask: Ask) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far")
    await settle()
    dispatcher.refusal = lambda: UNAVAILABLE(engine="echo")
    dispatcher.recall()
    assert await code_of(answer) == "engine.unavailable"


async def test_late_words_about_forgotten_requests_change_nothing(two: Two, ask: Ask) -> None:
    dispatcher, _, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    ask(b"far")
    await settle()
    number = far.submitted()[0].request_id
    dispatcher.recall()
    dispatcher.on_output(Output(number, b"late", final=False))
    dispatcher.on_far_end(number)
    dispatcher.on_far_error(number, DIED(engine="echo"))
    assert (dispatcher.away, dispatcher.waiting) == (0, 1)


async def test_an_answer_that_is_wanted_whole_survives_the_peer_in_the_middle(
    two: Two, ask: Ask, metrics: Metrics
) -> None:
    dispatcher, own, far = two
    await fill_the_own(two, ask)
    dispatcher.lend(far, 1)
    answer = ask(b"far", whole=True)
    await settle()
    dispatcher.on_output(Output(far.submitted()[0].request_id, b"there 1", final=False))
    await settle()
    dispatcher.recall()
    dispatcher.on_output(Output(own.submitted()[0].request_id, b"done", final=True))
    dispatcher.on_output(Output(own.submitted()[2].request_id, b"here 1", final=False))
    dispatcher.on_output(Output(own.submitted()[2].request_id, b"here 2", final=True))
    assert await answer == [b"here 1", b"here 2"], "not a piece of the first try"
    assert (counted(metrics, "failed_over"), counted(metrics, "broken")) == (1, 0)


async def test_an_answer_that_is_wanted_whole_survives_the_death_of_its_child(two: Two, ask: Ask) -> None:
    dispatcher, own, _ = two
    answer = ask(b"x", whole=True)
    await settle()
    dispatcher.on_output(Output(own.submitted()[0].request_id, b"first try", final=False))
    dispatcher.detach(blame=True)
    dispatcher.attach(own)
    dispatcher.on_output(Output(own.submitted()[1].request_id, b"second try", final=True))
    assert await answer == [b"second try"]


async def test_nothing_of_an_answer_that_is_wanted_whole_is_read_before_its_end(two: Two) -> None:
    dispatcher, own, _ = two
    pieces = dispatcher.submit("kind", b"x", CallOptions(whole=True))
    first = asyncio.ensure_future(anext(pieces))
    await settle()
    number = own.submitted()[0].request_id
    dispatcher.on_output(Output(number, b"a", final=False))
    await settle()
    assert not first.done()
    dispatcher.on_output(Output(number, b"b", final=True))
    assert await first == b"a"
    assert [piece async for piece in pieces] == [b"b"]


async def test_an_answer_that_is_wanted_whole_and_fails_is_its_error_alone(two: Two, ask: Ask) -> None:
    dispatcher, own, _ = two
    answer = ask(b"x", whole=True)
    await settle()
    number = own.submitted()[0].request_id
    dispatcher.on_output(Output(number, b"a", final=False))
    dispatcher.on_failed(Failed(number, "internal", ""))
    assert await code_of(answer) == "engine.failed"
