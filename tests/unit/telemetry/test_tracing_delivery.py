"""Spans reach a real HTTP collector; one that is dead, hung, slow or mad costs counted spans and nothing else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.config.model import Config, Tracing
from appliance.security.node_authority import prepare_node
from appliance.telemetry.metrics import Metrics
from appliance.telemetry.tracing import SILENT, Kind, Tracer, part, within
from appliance.telemetry.tracing_delivery import Delivery
from appliance.telemetry.tracing_open import open_tracer
from tests.fakes.trace_collector import PATIENCE_S, collector

LOOPBACK = ("127.0.0.0/8", "::1/128")
NODE = {"service.name": "prontuario", "service.version": "1.2.3", "service.instance.id": "a"}
DEAD = Tracing(enabled=True, endpoint="http://127.0.0.1:1/v1/traces", sample_ratio=1.0, every_s=0.01)


class Sending:
    """A delivery, its tracer and its figures."""

    def __init__(self, config: Tracing, networks: tuple[str, ...] = LOOPBACK) -> None:
        self.metrics = Metrics()
        self.delivery = Delivery(config, networks, NODE, self.metrics)
        self.tracer = Tracer(self.delivery.put, config.sample_ratio)

    def make(self, count: int = 1) -> None:
        for _ in range(count):
            self.tracer.begin("request", Kind.SERVER).end()

    def counted(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("prontuario_trace_spans_total", {"outcome": outcome}) or 0.0

    @property
    def waiting(self) -> float:
        return self.metrics.registry.get_sample_value("prontuario_trace_spans_waiting") or 0.0

    async def until_counted(self, outcome: str, spans: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.counted(outcome) < spans:  # noqa: ASYNC110  the sender is another task
                await asyncio.sleep(0.005)


@asynccontextmanager
async def sending(config: Tracing, networks: tuple[str, ...] = LOOPBACK) -> AsyncIterator[Sending]:
    one = Sending(config, networks)
    one.delivery.start()
    try:
        yield one
    finally:
        await one.delivery.close()


def silent_port() -> socket.socket:
    """Listens and never accepts."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    return listener


async def test_spans_arrive_with_their_structure_and_the_node_that_they_come_from() -> None:
    async with collector() as there, sending(there.settings()) as here:
        with within(here.tracer.begin("GET /x", Kind.SERVER)) as span, part("store commit"):
            span.set("http.response.status_code", 200)
            span.set("prontuario.queue_ms", 0.5)
        inner, outer = await there.until_spans(2)
        await here.until_counted("sent", 2)
    assert (outer["name"], outer["kind"], outer["parentSpanId"]) == ("GET /x", 2, "")
    assert (inner["name"], inner["kind"], inner["parentSpanId"]) == ("store commit", 1, outer["spanId"])
    assert outer["attributes"] == {"http.response.status_code": 200, "prontuario.queue_ms": 0.5}
    assert int(outer["startTimeUnixNano"]) <= int(inner["startTimeUnixNano"])
    assert '"service.instance.id","value":{"stringValue":"a"}' in there.bodies[0].decode()
    assert there.heads[0].startswith("POST /v1/traces HTTP/1.1\r\n")
    assert "content-type: application/json" in there.heads[0].lower()


async def test_a_name_is_looked_up_and_the_collector_still_hears_it() -> None:
    async with collector() as there:
        settings = there.settings(endpoint=f"http://localhost:{there.port}/v1/traces")
        async with sending(settings) as here:
            here.make()
            await there.until_spans(1)
        assert f"host: localhost:{there.port}" in there.heads[0].lower()


async def test_many_spans_go_in_batches() -> None:
    async with collector() as there, sending(there.settings(batch_spans=10)) as here:
        here.make(35)
        await there.until_spans(35)
    assert max(body.count(b'"spanId"') for body in there.bodies) == 10
    assert here.counted("sent") == 35
    assert len({span["spanId"] for span in there.spans}) == 35


@pytest.mark.parametrize("endpoint", ["http://192.0.2.7:4318/v1/traces", "http://[2001:db8::1]/v1/traces"])
async def test_nothing_is_ever_sent_outside_the_hospital(endpoint: str) -> None:
    async with collector() as there, sending(there.settings(endpoint=endpoint)) as here:
        here.make(3)
        await here.until_counted("failed", 3)
        assert there.heads == []


async def test_a_collector_that_is_inside_no_network_of_ours_gets_no_connection() -> None:
    async with collector() as there, sending(there.settings(), networks=("10.0.0.0/8",)) as here:
        here.make(3)
        await here.until_counted("failed", 3)
        assert there.heads == []


async def test_a_dead_collector_costs_counted_spans_and_it_is_served_again_when_it_is_back() -> None:
    async with collector() as there, sending(there.settings()) as here:
        there.status = "503 Busy"
        here.make(2)
        await there.until_asked(3)
        await here.until_counted("failed", 2)
        there.status = "200 OK"
        here.make(3)
        await here.until_counted("sent", 3)
    assert len(there.spans) == 3


async def test_a_batch_is_sent_again_while_the_collector_asks_for_that() -> None:
    async with collector(status="429 Later") as there, sending(there.settings()) as here:
        here.make(2)
        await there.until_asked(1)
        there.status = "200 OK"
        assert len(await there.until_spans(2)) == 2
        await here.until_counted("sent", 2)
    assert here.counted("failed") == 0


@pytest.mark.parametrize("status", ["400 No", "404 Not Found", "500 Oops", "302 Found"])
async def test_what_no_repeat_can_help_is_sent_once(status: str) -> None:
    async with collector(status=status) as there, sending(there.settings()) as here:
        here.make()
        await here.until_counted("failed", 1)
        assert len(there.heads) == 1


async def test_a_full_queue_drops_the_newest_and_counts_them() -> None:
    async with collector(hangs=True) as there:
        settings = there.settings(queue_spans=5, batch_spans=2, flush_s=0.0)
        async with sending(settings) as here:
            here.make(1)
            await there.until_asked(1)
            here.make(20)
            assert (here.counted("queue_full"), here.waiting) == (16, 5)
        assert here.counted("unsent") == 5
        assert here.waiting == 0


async def test_a_collector_that_hangs_is_given_up_after_the_limit() -> None:
    async with collector(hangs=True) as there, sending(there.settings(timeout_s=0.05)) as here:
        here.make()
        await here.until_counted("failed", 1)
        assert here.waiting == 0


async def test_a_connection_that_nobody_accepts_is_given_up_as_well() -> None:
    with silent_port() as port:
        url = f"http://127.0.0.1:{port.getsockname()[1]}/v1/traces"
        config = Tracing(enabled=True, endpoint=url, sample_ratio=1.0, every_s=0.01, timeout_s=0.05)
        async with sending(config) as here:
            here.make()
            await here.until_counted("failed", 1)


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    endless = b"{" + b" " * (4 << 20)
    async with collector(answer=endless) as there, sending(there.settings()) as here:
        here.make()
        await here.until_counted("sent", 1)
        assert len(there.spans) == 1


@pytest.mark.parametrize(
    ("answer", "rejected"),
    [
        (b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"full"}}', 2),
        (b'{"partialSuccess":{"rejectedSpans":1}}', 1),
        (b'{"partialSuccess":{"rejectedSpans":"999"}}', 3),
        (b'{"partialSuccess":{"rejectedSpans":"-4"}}', 0),
        (b'{"partialSuccess":{"rejectedSpans":"many"}}', 0),
        (b'{"partialSuccess":[]}', 0),
        (b"<html>", 0),
        (b"", 0),
    ],
)
async def test_what_a_collector_did_not_take_is_counted(answer: bytes, rejected: int) -> None:
    async with collector(answer=answer) as there, sending(there.settings(batch_spans=3, every_s=60.0)) as here:
        here.make(3)
        await here.until_counted("sent" if rejected < 3 else "rejected", 3 - rejected or 3)
    assert (here.counted("rejected"), here.counted("sent")) == (rejected, 3 - rejected)


async def test_the_end_sends_what_still_waits() -> None:
    async with collector() as there:
        async with sending(there.settings(every_s=300.0)) as here:
            here.make(7)
        assert (len(there.spans), here.counted("sent"), here.counted("unsent")) == (7, 7, 0)
        here.make()
        assert here.counted("unsent") == 1, "what ends later is too late"


async def test_the_end_does_not_wait_for_a_collector_that_hangs() -> None:
    async with collector(hangs=True) as there:
        async with sending(there.settings(every_s=300.0, flush_s=0.05)) as here:
            here.make(7)
        assert here.counted("unsent") == 7


async def test_an_end_that_is_cancelled_leaves_nothing_running() -> None:
    async with collector(hangs=True) as there:
        here = Sending(there.settings(flush_s=10.0))
        here.delivery.start()
        here.make()
        await there.until_asked(1)
        closing = asyncio.create_task(here.delivery.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "tracing"]


async def test_ending_a_span_never_waits_for_anybody() -> None:
    async with sending(DEAD) as here:
        here.make(5000)  # nothing is awaited in here
        assert here.counted("queue_full") == 5000 - DEAD.queue_spans


async def test_over_tls_the_collector_must_be_who_it_says_it_is(tmp_path: Path) -> None:
    ours, others = (prepare_node(tmp_path / name, ["collector"], datetime.now(UTC)) for name in ("ours", "others"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ours.certificate, ours.key)
    async with collector(tls=tls) as there:
        endpoint = f"https://localhost:{there.port}/v1/traces"
        async with sending(there.settings(endpoint=endpoint, ca=str(ours.ca))) as here:
            here.make()
            await here.until_counted("sent", 1)
        async with sending(there.settings(endpoint=endpoint, ca=str(others.ca))) as here:
            here.make()
            await here.until_counted("failed", 1)
        assert len(there.spans) == 1


def test_an_authority_that_can_not_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    config = Tracing(enabled=True, endpoint="https://10.0.0.5:4318/v1/traces", ca=str(tmp_path / "none.pem"))
    with pytest.raises(OSError, match="No such file"):
        Delivery(config, LOOPBACK, NODE, Metrics())
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ssl.SSLError):
        Delivery(
            Tracing(enabled=True, endpoint=config.endpoint, ca=str(tmp_path / "empty.pem")), LOOPBACK, NODE, Metrics()
        )


async def test_the_switch_gives_a_tracer_that_sends_or_the_silent_one() -> None:
    async with collector() as there:
        async with AsyncExitStack() as stack:
            assert open_tracer(stack, Config(), Metrics(), "a", "1") is SILENT
            tracer = open_tracer(stack, Config(tracing=there.settings()), Metrics(), "a", "1")
            tracer.begin("request").end()
        assert [span["name"] for span in there.spans] == ["request"]
