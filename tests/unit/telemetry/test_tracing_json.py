"""Our JSON against OpenTelemetry's own definition of the request, which knows every field and its type."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

from appliance.telemetry.tracing import Kind, RecordedSpan, Tracer, part, within
from appliance.telemetry.tracing_json import export_request, rejected_spans

NODE = {"service.name": "prontuario", "service.version": "1.2.3", "service.instance.id": "a"}
IDENTIFIERS = {"traceId", "spanId", "parentSpanId"}


def made() -> list[RecordedSpan]:
    ended: list[RecordedSpan] = []
    with within(Tracer(ended.append).begin("GET /x", Kind.SERVER)) as span:
        span.set("http.response.status_code", 503)
        span.set("prontuario.queue_ms", 0.25)
        span.set("http.route", "/x")
        span.set("prontuario.where", "own")
        span.fail("LookupError")
        with part("engine echo", Kind.CLIENT), part("store commit"):
            pass
    return ended


def as_protobuf(body: bytes) -> ExportTraceServiceRequest:
    """By protobuf's own JSON reader, which refuses unknown names; OTLP writes identifiers in hexadecimal, protobuf in base64."""

    def rewritten(value: Any) -> Any:
        if isinstance(value, list):
            return [rewritten(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            key: base64.b64encode(bytes.fromhex(one)).decode() if key in IDENTIFIERS else rewritten(one)
            for key, one in value.items()
        }

    return ParseDict(rewritten(json.loads(body)), ExportTraceServiceRequest())


def test_the_request_is_what_the_protocol_defines() -> None:
    spans = made()
    request = as_protobuf(export_request(spans, NODE))
    (resource,) = request.resource_spans
    assert {one.key: one.value.string_value for one in resource.resource.attributes} == NODE
    (scope,) = resource.scope_spans
    assert scope.scope.name == "prontuario"
    for ours, theirs in zip(spans, scope.spans, strict=True):
        assert theirs.trace_id.hex() == ours.context.trace_id
        assert theirs.span_id.hex() == ours.context.span_id
        assert theirs.parent_span_id.hex() == ours.parent_id
        assert (theirs.name, theirs.start_time_unix_nano, theirs.end_time_unix_nano) == (
            ours.name, ours.started_ns, ours.ended_ns,
        )  # fmt: skip
    commit, engine, outer = scope.spans
    assert [one.kind for one in (commit, engine, outer)] == [
        trace_pb2.Span.SPAN_KIND_INTERNAL, trace_pb2.Span.SPAN_KIND_CLIENT, trace_pb2.Span.SPAN_KIND_SERVER,
    ]  # fmt: skip
    assert (len(outer.trace_id), len(outer.span_id)) == (16, 8)
    assert (outer.status.code, commit.status.code) == (
        trace_pb2.Status.STATUS_CODE_ERROR, trace_pb2.Status.STATUS_CODE_UNSET,
    )  # fmt: skip
    told = {one.key: one.value for one in outer.attributes}
    assert told["http.response.status_code"].int_value == 503
    assert told["prontuario.queue_ms"].double_value == 0.25
    assert (told["http.route"].string_value, told["error.type"].string_value) == ("/x", "LookupError")
    assert outer.flags & 1


def test_every_kind_is_the_protocols() -> None:
    for kind in Kind:
        assert trace_pb2.Span.SpanKind.Name(kind) == f"SPAN_KIND_{kind.name}"


def test_an_identifier_is_written_in_lower_case_hexadecimal() -> None:
    ((resource,),) = (json.loads(export_request(made(), NODE))["resourceSpans"],)
    for span in resource["scopeSpans"][0]["spans"]:
        assert all(set(span[key]) <= set("0123456789abcdef") for key in IDENTIFIERS)
        assert isinstance(span["startTimeUnixNano"], str), "64-bit numbers are text in protobuf's JSON"


@pytest.mark.parametrize(
    ("answer", "count"), [(b"{}", 0), (b'{"partialSuccess":{"rejectedSpans":"7"}}', 7), (b"\xff", 0)]
)
def test_what_was_refused_is_read_from_the_answer(answer: bytes, count: int) -> None:
    assert rejected_spans(answer) == count
