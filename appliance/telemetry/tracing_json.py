"""Spans as OTLP/HTTP's JSON (OpenTelemetry protocol 1.x, ``ExportTraceServiceRequest``).

By the specification (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): identifiers in hexadecimal, 64-bit
numbers as text, enumerations as numbers, keys in lowerCamelCase.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from appliance.telemetry.tracing import RecordedSpan
from appliance.telemetry.tracing_values import Value

SCOPE: Final = "prontuario"
_FAILED: Final = 2
_SAMPLED: Final = 0x01
_ENCODER: Final = msgspec.json.Encoder()


def export_request(spans: Iterable[RecordedSpan], resource: Mapping[str, str]) -> bytes:
    """The body of one POST to ``/v1/traces``. ``resource`` says which node it was."""
    return _ENCODER.encode(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": _attributes(resource)},
                    "scopeSpans": [{"scope": {"name": SCOPE}, "spans": [_span(span) for span in spans]}],
                }
            ]
        }
    )


def _span(span: RecordedSpan) -> dict[str, Any]:
    return {
        "traceId": span.context.trace_id,
        "spanId": span.context.span_id,
        "parentSpanId": span.parent_id,
        "flags": _SAMPLED,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.started_ns),
        "endTimeUnixNano": str(span.ended_ns),
        "attributes": _attributes(span.attributes),
        "status": {"code": _FAILED} if span.failed else {},
    }


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


class _PartialSuccess(msgspec.Struct):
    rejectedSpans: int | str = 0  # noqa: N815  the protocol's name


class _Response(msgspec.Struct):
    partialSuccess: _PartialSuccess | None = None  # noqa: N815  the protocol's name


def rejected_spans(body: bytes) -> int:
    """How many of a request's spans a collector that answered 200 did not take; what can't be read counts as none."""
    try:
        partial = msgspec.json.decode(body, type=_Response).partialSuccess
        return max(0, int(partial.rejectedSpans)) if partial is not None else 0
    except (msgspec.MsgspecError, ValueError):
        return 0
