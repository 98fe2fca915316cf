"""Spans: what a request, a job or a change of roles spent its time on. Off unless ``[tracing]`` says otherwise.

Whoever begins something (the API, the job queue, the role loop) has a ``Tracer``; everything beneath asks for a child of
the span of the moment, and gets ``NOTHING`` where nobody traces: one look at a context variable. A span that has ended
has no more children, so that a task which outlives its request does not write into its trace for ever.

Only the event loop's thread begins and ends spans. What a span may say: ``appliance.telemetry.tracing_values``.
"""

from __future__ import annotations

import asyncio
import enum
import os
import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Final

from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.tracing_context import TraceContext
from appliance.telemetry.tracing_values import KEYS, Key, Value, safe

_CANCELLED: Final = "cancelled"
_WHOLE: Final = 1 << 64


class Kind(enum.IntEnum):
    """OTLP's ``SpanKind``."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    CONSUMER = 5


class Span:
    """One that nobody records: every call does nothing. ``RecordedSpan`` is the other kind."""

    __slots__ = ()
    recorded: bool = False

    @property
    def traceparent(self) -> str:
        """For who continues the trace elsewhere; empty: nobody does."""
        return ""

    def set(self, key: Key, value: Value) -> None:
        """Say something about it; see ``tracing_values``."""

    def rename(self, name: str) -> None:
        """What it is, now that this is known."""

    def fail(self, code: str = "") -> None:
        """It failed, with this error code unless it has one already; the first failure counts."""

    def end(self) -> None:
        """It is over; the first end counts."""

    def child(self, name: str, kind: Kind) -> Span:
        """A part of it, until it ends."""
        del name, kind
        return self


NOTHING: Final = Span()


class RecordedSpan(Span):
    """One that is handed to ``sink`` when it ends. ``started_ns`` and ``ended_ns``: since 1970; 0: not ended."""

    __slots__ = (
        "_began_ns",
        "_sink",
        "attributes",
        "context",
        "ended_ns",
        "failed",
        "kind",
        "name",
        "parent_id",
        "started_ns",
    )
    recorded = True

    def __init__(
        self, sink: Callable[[RecordedSpan], None], name: str, kind: Kind, context: TraceContext, parent_id: str
    ) -> None:
        """``parent_id`` is empty for the first of a trace."""
        self._sink = sink
        self.rename(name)
        self.kind = kind
        self.context = context
        self.parent_id = parent_id
        self.attributes: dict[str, Value] = {}
        self.failed = False
        self.ended_ns = 0
        self.started_ns = time.time_ns()
        self._began_ns = time.perf_counter_ns()

    @property
    def traceparent(self) -> str:
        return self.context.traceparent()

    def set(self, key: Key, value: Value) -> None:
        if key in KEYS:  # also what a type checker never saw
            self.attributes[key] = safe(value)

    def rename(self, name: str) -> None:
        self.name = " ".join(str(safe(word)) for word in name.split(" "))

    def fail(self, code: str = "") -> None:
        self.failed = True
        self.attributes.setdefault("error.type", safe(code))

    def end(self) -> None:
        if not self.ended_ns:
            # The wall clock may step meanwhile: a duration is measured on the other one.
            self.ended_ns = self.started_ns + time.perf_counter_ns() - self._began_ns
            self._sink(self)

    def child(self, name: str, kind: Kind) -> Span:
        if self.ended_ns:
            return NOTHING
        context = TraceContext(self.context.trace_id, _new_id(8))
        return RecordedSpan(self._sink, name, kind, context, self.context.span_id)


_current: ContextVar[Span] = ContextVar("span", default=NOTHING)


def current() -> Span:
    """The span of the moment, or ``NOTHING``."""
    return _current.get()


def begin_child(name: str, kind: Kind = Kind.INTERNAL) -> Span:
    """A child of the span of the moment, which does not become that itself: for generators, which share their reader's context."""
    return _current.get().child(name, kind)


class Block:
    """See ``within``."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[Span] | None = None

    def __enter__(self) -> Span:
        if self._span.recorded:
            self._token = _current.set(self._span)
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._token is None:
            return
        _current.reset(self._token)
        if error is not None:
            self._span.fail(code_of(error))
        self._span.end()


def within(span: Span) -> Block:
    """``span`` is the one of the moment for a block of code; it ends with the block, failed if that raises."""
    return Block(span)


def part(name: str, kind: Kind = Kind.INTERNAL) -> Block:
    """As ``within``, for a child of the span of the moment."""
    return Block(begin_child(name, kind))


class Tracer:
    """Begins traces. ``sink`` gets what has ended and never waits; None: nothing is recorded.

    ``ratio`` is the share of traces that is recorded, chosen by the trace's own id, so that both nodes choose the same.
    """

    def __init__(self, sink: Callable[[RecordedSpan], None] | None, ratio: float = 1.0) -> None:
        self._sink = sink
        self._limit = int(ratio * _WHOLE)

    @property
    def on(self) -> bool:
        """Whether anything may ever be recorded."""
        return self._sink is not None

    def begin(self, name: str, kind: Kind = Kind.INTERNAL, asked: TraceContext | None = None) -> Span:
        """The first span of a trace on this node; ``asked``: a client's, continued, but never recorded beyond our ratio."""
        if self._sink is None or (asked is not None and not asked.sampled):
            return NOTHING
        trace_id = asked.trace_id if asked is not None else _new_id(16)
        if int(trace_id[16:], 16) >= self._limit:
            return NOTHING
        return self._make(name, kind, trace_id, asked.span_id if asked is not None else "")

    def join(self, name: str, kind: Kind, told: TraceContext | None) -> Span:
        """A part of a trace that the other node records; what it chose holds here too."""
        if self._sink is None or told is None or not told.sampled:
            return NOTHING
        return self._make(name, kind, told.trace_id, told.span_id)

    def always(self, name: str, trace_id: str) -> Span:
        """Something rare that is recorded whatever the ratio is, in the trace of this id (32 hexadecimal digits)."""
        return NOTHING if self._sink is None else self._make(name, Kind.INTERNAL, trace_id, "")

    def _make(self, name: str, kind: Kind, trace_id: str, parent_id: str) -> Span:
        assert self._sink is not None, "asked before"  # noqa: S101
        return RecordedSpan(self._sink, name, kind, TraceContext(trace_id, _new_id(8)), parent_id)


SILENT: Final = Tracer(None)
"""Records nothing: the default everywhere."""


def code_of(error: BaseException) -> str:
    """A stable code or a type's name, never the text: that may quote what was being worked on."""
    if isinstance(error, ProntuarioError):
        return error.kind.code
    return _CANCELLED if isinstance(error, asyncio.CancelledError | GeneratorExit) else type(error).__name__


def _new_id(octets: int) -> str:
    """Random, and not all zeros (which means "none")."""
    while not any(made := os.urandom(octets)):
        pass
    return made.hex()
