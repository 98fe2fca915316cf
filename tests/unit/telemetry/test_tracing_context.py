"""``traceparent``: what is well-formed is read as OpenTelemetry's own reader does, anything else begins a new trace."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from appliance.telemetry.tracing_context import TraceContext, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def as_others_read(text: str) -> TraceContext | None:
    """The peer: the reader of opentelemetry-api."""
    found = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": text})).get_span_context()
    if not found.is_valid:
        return None
    return TraceContext(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)


def test_a_well_formed_header_is_read_and_written_again() -> None:
    context = parse_traceparent(GOOD)
    assert context == TraceContext(TRACE, SPAN, sampled=True)
    assert context.traceparent() == GOOD
    assert TraceContext(TRACE, SPAN, sampled=False).traceparent() == f"00-{TRACE}-{SPAN}-00"


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "00", GOOD[:-1], GOOD + "0", GOOD + "-", GOOD + "-more", GOOD.upper(), GOOD.replace("-", "_"), f" {GOOD}",
        f"{GOOD}\n", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01", f"0-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-zz", f"00-{TRACE}-{SPAN}-01, {GOOD}",
        f"00-{'٣' * 32}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\0", "'; DROP TABLE audit; --", "0" * 100_000,
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 300,
    ],
)  # fmt: skip
def test_a_poisoned_header_names_no_trace(text: str) -> None:
    assert parse_traceparent(text) is None


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff"])
def test_only_the_lowest_flag_means_sampled(flags: str) -> None:
    text = f"00-{TRACE}-{SPAN}-{flags}"
    assert parse_traceparent(text) == as_others_read(text)


def test_a_later_version_may_say_more_after_what_we_know() -> None:
    for text in (f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-brings"):
        assert parse_traceparent(text) == as_others_read(text) == TraceContext(TRACE, SPAN)


@given(
    st.from_regex(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
    | st.text(alphabet="0123456789abcdefABCDEF-f", max_size=60)
)
@example(GOOD)
def test_it_is_read_as_the_library_reads_it(text: str) -> None:
    assert parse_traceparent(text) == as_others_read(text)
