"""A request that the other node answers is one trace on both."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from appliance.cluster.compute_messages import RUN, SERVICE, Identity, Run
from appliance.cluster.peer_messages import Call
from appliance.engines.errors import UNAVAILABLE
from appliance.plugin_api.engine import Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.tracing import Kind, RecordedSpan, Tracer, within
from tests.cluster.compute.conftest import Make


async def test_the_lenders_span_is_a_child_of_the_borrowers(make_both: Make) -> None:
    here: list[RecordedSpan] = []
    there: list[RecordedSpan] = []
    both = await make_both()
    both.service._tracer = Tracer(there.append, ratio=0.0)
    busy = await both.fill_here()
    await both.ask("echo", b"untraced")
    assert there == []
    with within(Tracer(here.append).begin("request")):
        assert await both.ask("echo", b"x") == [b"x"]
    engine, request = here
    (lent,) = there
    assert engine.attributes["prontuario.where"] == "far"
    assert (lent.name, lent.kind, lent.parent_id) == ("lend echo", Kind.SERVER, engine.context.span_id)
    assert lent.context.trace_id == request.context.trace_id, (
        "it follows what the borrower chose, whatever its own ratio"
    )
    assert lent.attributes == {
        "prontuario.engine": "echo", "prontuario.request": "echo", "prontuario.lane": Lane.INTERACTIVE.value,
    }  # fmt: skip
    there.clear()
    stranger = Run(Identity("echo", "x:y", "m", "s", b"", "1"), "echo", b"", 5.0, Lane.URGENT, "", engine.traceparent)
    with pytest.raises(ProntuarioError, match="engine"):
        await anext(both.service.on_call(Call(SERVICE, RUN, msgspec.msgpack.encode(stranger))))
    assert [(span.failed, span.attributes["error.type"]) for span in there] == [(True, UNAVAILABLE.code)]
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
