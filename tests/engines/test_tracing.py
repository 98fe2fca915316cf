"""An engine call's span: how long it waited, where it ran, how it ended, and whose child it is."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from appliance.engines.dispatcher import Dispatcher
from appliance.plugin_api.engine import CallOptions, EngineSpec, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.messages import Failed, Output
from appliance.telemetry.tracing import NOTHING, RecordedSpan, Tracer, current, within
from tests.fakes.recorded_line import RecordedLine

CANARY = "Zuleica"


class Desk:
    """An engine with one slot, asked within the span ``request``."""

    def __init__(self, *, queue: int = 5) -> None:
        self.ended: list[RecordedSpan] = []
        self.tracer = Tracer(self.ended.append)
        self.line = RecordedLine()
        self.dispatcher = Dispatcher(EngineSpec("echo", "x:y", max_running=1, queue_limit=queue))

    async def ask(self, **options: object) -> list[bytes]:
        call = CallOptions(**{"user": CANARY, "patient": CANARY, **options})  # type: ignore[arg-type]
        with within(self.tracer.begin("request")):
            return [piece async for piece in self.dispatcher.submit("complete", CANARY.encode(), call)]

    @property
    def engine_spans(self) -> list[RecordedSpan]:
        return [span for span in self.ended if span.name.startswith("engine")]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_call_that_waited_tells_its_queue_and_its_batch() -> None:
    desk = Desk()
    asking = asyncio.create_task(desk.ask(lane=Lane.URGENT))
    await settle()
    desk.dispatcher.attach(desk.line)
    (submit,) = desk.line.submitted()
    desk.dispatcher.on_output(Output(submit.request_id, b"a", final=False))
    desk.dispatcher.on_output(Output(submit.request_id, b"b", final=True))
    assert await asking == [b"a", b"b"]
    engine, request = desk.ended
    assert (engine.name, engine.parent_id) == ("engine echo", request.context.span_id)
    assert submit.traceparent == engine.traceparent
    told = engine.attributes
    assert float(told.pop("prontuario.queue_ms")) >= 0
    assert float(told.pop("prontuario.first_output_ms")) >= 0
    assert told == {
        "prontuario.engine": "echo", "prontuario.request": "complete", "prontuario.lane": "urgent", "prontuario.attempt": 1,
        "prontuario.where": "own", "prontuario.running": 1, "prontuario.outcome": "ok",
    }  # fmt: skip
    assert not engine.failed


async def test_a_second_try_and_a_failure_are_told_by_their_codes() -> None:
    desk = Desk()
    desk.dispatcher.attach(desk.line)
    asking = asyncio.create_task(desk.ask(whole=True))
    await settle()
    desk.dispatcher.detach(blame=False)
    desk.dispatcher.attach(desk.line)
    desk.dispatcher.on_failed(Failed(desk.line.submitted()[1].request_id, "bad_input", CANARY))
    with pytest.raises(ProntuarioError):
        await asking
    (engine,) = desk.engine_spans
    assert (engine.attributes["prontuario.attempt"], engine.attributes["error.type"]) == (2, "engine.rejected")
    assert engine.failed
    assert CANARY not in str([(span.name, span.attributes) for span in desk.ended])


async def test_a_full_queue_is_told_as_well() -> None:
    desk = Desk(queue=1)
    waiting = asyncio.create_task(desk.ask())
    await settle()
    with pytest.raises(ProntuarioError):
        await desk.ask()
    assert [(span.failed, span.attributes["error.type"]) for span in desk.engine_spans] == [(True, "engine.busy")]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert desk.engine_spans[1].attributes["prontuario.outcome"] == "cancelled"


async def test_a_call_that_its_reader_leaves_ends_its_span_and_leaves_the_readers_context_alone() -> None:
    desk = Desk()
    desk.dispatcher.attach(desk.line)
    with within(desk.tracer.begin("request")) as request:
        async with aclosing(desk.dispatcher.submit("complete", b"", CallOptions())) as pieces:
            reading = asyncio.ensure_future(anext(pieces))
            await settle()
            desk.dispatcher.on_output(Output(desk.line.submitted()[0].request_id, b"a", final=False))
            assert await reading == b"a"
            assert current() is request
    assert [span.attributes["prontuario.outcome"] for span in desk.engine_spans] == ["cancelled"]


async def test_the_other_nodes_engine_is_told_apart_and_gets_the_trace() -> None:
    desk, far = Desk(), RecordedLine()
    desk.dispatcher.lend(far, 1)
    asking = asyncio.create_task(desk.ask())
    await settle()
    (submit,) = far.submitted()
    desk.dispatcher.on_output(Output(submit.request_id, b"a", final=False))
    desk.dispatcher.on_far_end(submit.request_id)
    assert await asking == [b"a"]
    (engine,) = desk.engine_spans
    assert engine.attributes["prontuario.where"] == "far"
    assert submit.traceparent == engine.traceparent


async def test_without_a_trace_the_engine_hears_of_none() -> None:
    desk = Desk()
    desk.dispatcher.attach(desk.line)
    asking = asyncio.ensure_future(anext(desk.dispatcher.submit("complete", b"", CallOptions())))
    await settle()
    desk.dispatcher.on_output(Output(desk.line.submitted()[0].request_id, b"a", final=True))
    await asking
    assert desk.line.submitted()[0].traceparent == ""
    assert current() is NOTHING
    assert desk.ended == []
