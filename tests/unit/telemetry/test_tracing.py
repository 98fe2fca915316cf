"""Spans: who is whose child, what they may say, and that nothing happens where nobody traces."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugin_api.errors import INVALID
from appliance.telemetry.tracing import (
    NOTHING,
    SILENT,
    Kind,
    RecordedSpan,
    Tracer,
    begin_child,
    code_of,
    current,
    part,
    within,
)
from appliance.telemetry.tracing_context import TraceContext
from appliance.telemetry.tracing_values import BLANK, KEYS, safe

NAME, CPF = "Maria da Silva", "12345678909"
CLIENTS = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.fixture
def ended() -> list[RecordedSpan]:
    return []


@pytest.fixture
def tracer(ended: list[RecordedSpan]) -> Tracer:
    return Tracer(ended.append)


def test_a_part_is_the_child_of_the_span_of_the_moment(tracer: Tracer, ended: list[RecordedSpan]) -> None:
    with within(tracer.begin("request", Kind.SERVER)) as outer, part("inner") as inner:
        assert current() is inner
        with part("innermost"):
            pass
    assert current() is NOTHING
    innermost, inner_span, outer_span = ended
    assert (outer, inner) == (outer_span, inner_span)
    assert innermost.parent_id == inner_span.context.span_id
    assert inner_span.parent_id == outer_span.context.span_id
    assert outer_span.parent_id == ""
    assert len({span.context.trace_id for span in ended}) == 1
    assert len({span.context.span_id for span in ended}) == 3


def test_a_span_lasts_as_long_as_its_block_and_covers_its_parts(tracer: Tracer, ended: list[RecordedSpan]) -> None:
    with within(tracer.begin("request")), part("inner"):
        pass
    inner, outer = ended
    assert all(0 < span.started_ns <= span.ended_ns for span in ended)
    before = inner.ended_ns
    inner.end()
    assert (inner.ended_ns, len(ended)) == (before, 2), "the first end counts"
    assert outer.ended_ns - outer.started_ns >= inner.ended_ns - inner.started_ns


def test_without_a_trace_nothing_is_made_and_nothing_is_remembered() -> None:
    with part("alone") as span:
        assert span is NOTHING
        span.set("http.route", "/x")
        span.rename("x")
        span.fail("x")
    assert begin_child("x") is NOTHING
    assert SILENT.begin("x") is SILENT.join("x", Kind.SERVER, CLIENTS) is SILENT.always("x", "ab" * 16) is NOTHING
    with within(NOTHING):
        assert current() is NOTHING
    assert (NOTHING.traceparent, NOTHING.recorded, SILENT.on) == ("", False, False)


async def test_a_task_that_outlives_its_request_writes_into_no_trace(tracer: Tracer, ended: list[RecordedSpan]) -> None:
    over = asyncio.Event()

    async def lingering() -> Any:
        with part("during"):
            pass
        await over.wait()
        with part("after") as late:
            return late

    with within(tracer.begin("request")):
        task = asyncio.create_task(lingering())
        await asyncio.sleep(0)
    over.set()
    assert await task is NOTHING
    assert [span.name for span in ended] == ["during", "request"]


async def test_two_requests_at_once_do_not_mix(tracer: Tracer, ended: list[RecordedSpan]) -> None:
    async def request(number: int) -> None:
        with within(tracer.begin(f"request {number}")):
            await asyncio.sleep(0)
            with part(f"part {number}"):
                await asyncio.sleep(0)

    await asyncio.gather(*(request(number) for number in range(5)))
    by_id = {span.context.span_id: span for span in ended}
    parts = [span for span in ended if span.parent_id]
    assert len(parts) == 5
    assert all(by_id[one.parent_id].name.split()[1] == one.name.split()[1] for one in parts)


def test_a_failure_is_told_as_a_code_never_as_a_text(tracer: Tracer, ended: list[RecordedSpan]) -> None:
    for error in (ValueError(NAME), INVALID(field="name", reason=NAME), asyncio.CancelledError(NAME)):
        with pytest.raises(type(error)), within(tracer.begin("request")):
            raise error
    assert [span.attributes for span in ended] == [
        {"error.type": "ValueError"},
        {"error.type": INVALID.code},
        {"error.type": "cancelled"},
    ]
    assert all(span.failed for span in ended)
    assert code_of(GeneratorExit()) == "cancelled"


def test_what_is_known_of_a_failure_is_not_overwritten(tracer: Tracer) -> None:
    span = tracer.begin("request")
    assert isinstance(span, RecordedSpan)
    span.set("error.type", "store.full")
    span.fail("http_507")
    assert (span.failed, span.attributes) == (True, {"error.type": "store.full"})


@pytest.mark.parametrize(
    "text",
    [NAME, "Zé", "João", CPF, "MRN-0012345", "a@b", "x" * 121, "", "line\nbreak", "?name=x", "a=b", "%20",
     "3f2c1a90-7b1e-4c7e-9f10-0123456789ab", "deadbeefdeadbeef"],
)  # fmt: skip
def test_a_text_that_is_no_plain_word_is_blanked(tracer: Tracer, text: str) -> None:
    span = tracer.begin("request")
    assert isinstance(span, RecordedSpan)
    span.set("http.route", text)
    span.fail(text)
    assert set(span.attributes.values()) == {BLANK}


@pytest.mark.parametrize(
    "word", ["/fhir/R4/{type}/{id}/_history/{vid}", "GET", "store.full", "note.draft", "$everything"]
)
def test_plain_words_and_numbers_pass(word: str) -> None:
    assert safe(word) == word
    assert [safe(number) for number in (True, 503, 0.25)] == [True, 503, 0.25]


def test_an_attribute_that_is_not_on_the_list_is_dropped_and_names_are_words(tracer: Tracer) -> None:
    span = tracer.begin(f"GET /fhir/R4/Patient/{CPF}")
    assert isinstance(span, RecordedSpan)
    span.set("patient", "x")  # type: ignore[arg-type]  # what a type checker would not let pass
    assert span.attributes == {}
    assert span.name == f"GET {BLANK}"
    assert not {
        key
        for key in KEYS
        if any(word in key for word in ("user", "patient", "device", "session", "url", "query", "id"))
    }


@given(st.text())
def test_whatever_passes_is_short_ascii_without_a_space(text: str) -> None:
    passed = safe(text)
    assert isinstance(passed, str)
    assert passed == BLANK or (passed.isascii() and len(passed) <= 120 and not any(part.isspace() for part in passed))


def test_a_clients_trace_is_continued_but_asks_for_no_more_than_our_ratio(ended: list[RecordedSpan]) -> None:
    span = Tracer(ended.append).begin("request", Kind.SERVER, CLIENTS)
    assert isinstance(span, RecordedSpan)
    assert (span.context.trace_id, span.parent_id) == (CLIENTS.trace_id, CLIENTS.span_id)
    assert span.traceparent == f"00-{CLIENTS.trace_id}-{span.context.span_id}-01"
    unsampled = TraceContext(CLIENTS.trace_id, CLIENTS.span_id, sampled=False)
    assert Tracer(ended.append).begin("request", Kind.SERVER, unsampled) is NOTHING
    assert Tracer(ended.append, 0.0).begin("request", Kind.SERVER, CLIENTS) is NOTHING


def test_the_other_node_follows_what_the_first_one_chose(ended: list[RecordedSpan]) -> None:
    thrifty = Tracer(ended.append, 0.0)
    span = thrifty.join("lend echo", Kind.SERVER, CLIENTS)
    assert isinstance(span, RecordedSpan)
    assert span.parent_id == CLIENTS.span_id
    assert thrifty.join("lend echo", Kind.SERVER, None) is NOTHING
    assert thrifty.join("lend", Kind.SERVER, TraceContext(CLIENTS.trace_id, CLIENTS.span_id, sampled=False)) is NOTHING
    assert thrifty.always("cluster open", CLIENTS.trace_id).recorded


def test_the_ratio_is_about_kept_and_is_decided_by_the_traces_id(ended: list[RecordedSpan]) -> None:
    half = Tracer(ended.append, 0.5)
    kept = sum(half.begin("x").recorded for _ in range(2000))
    assert 800 < kept < 1200, "eight standard deviations and more"
    low, high = TraceContext("f" * 16 + "0" * 15 + "1", "1" * 16), TraceContext("0" * 16 + "f" * 16, "1" * 16)
    assert half.begin("x", Kind.SERVER, low).recorded
    assert not half.begin("x", Kind.SERVER, high).recorded
    assert Tracer(ended.append).begin("x", Kind.SERVER, high).recorded, "all of them means all of them"


def test_switched_off_nothing_that_sends_is_imported() -> None:
    program = (
        "import sys; from contextlib import AsyncExitStack; from appliance.config.model import Config\n"
        "import appliance.daemon.core\n"
        "from appliance.telemetry.metrics import Metrics; from appliance.telemetry.tracing import SILENT\n"
        "from appliance.telemetry.tracing_open import open_tracer\n"
        "metrics = Metrics(); tracer = open_tracer(AsyncExitStack(), Config(), metrics, 'a', '1')\n"
        "assert tracer is SILENT and b'trace_spans' not in metrics.render()\n"
        "print(*(name for name in sys.modules if 'opentelemetry' in name or name.endswith(('delivery', 'tracing_json'))))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    assert said.stdout.split() == []
