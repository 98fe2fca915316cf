"""A plugin for chaos runs: its engines stream, leak or crash on request, in any lane, and every stream tells how it ended."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from appliance.plugin_api.capabilities import ChatMessage, ChatOptions
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineSpec, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Permission, PluginContext, Provider, hookimpl
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from plugins.medgemma_chat.messages import CHAT, ChatRequest
from plugins.medgemma_chat.plugin import DEMONSTRATION, engine_environment

ECHO, SLOTS, LANGUAGE = "chaos_plugin", "chaos_slots", "chaos_language"
BATCH_ROWS = 32


class ChaosPlugin:
    """Three engines, one route: ``GET /api/plugins/chaos_plugin/stream?kind=stream&count=100&lane=interactive&deadline_s=60``.

    ``kind=chat`` goes through the language model's engine with the demonstration's weights, ``kind=late`` (an answer in one piece
    after a second) through one with as many slots, everything else through an echo engine at a model's pace.
    """

    def __init__(self) -> None:
        self._engines: Mapping[str, EngineHandle] = {}

    @hookimpl
    def register_engines(self) -> Sequence[EngineSpec]:
        paced = EngineSpec(
            ECHO, "chaos_engine:PacedEngine", footprint_bytes=96 << 20, stall_limit_s=2.0, queue_limit=1024, max_running=256
        )  # fmt: skip
        slots = EngineSpec(SLOTS, "chaos_engine:PacedEngine", footprint_bytes=96 << 20, max_running=2 * BATCH_ROWS)
        settings = {"batch_size": BATCH_ROWS, "context_tokens": 2048, "prefill_step_tokens": 512, "piece_every_s": 0.04}
        language = EngineSpec(
            LANGUAGE,
            "plugins.medgemma_chat.engine:ChatEngine",
            config={"folder": str(DEMONSTRATION), "demonstration": True, "precision": "auto", **settings},
            footprint_bytes=2 << 30,
            max_running=2 * BATCH_ROWS,
            environment=engine_environment(),
        )
        return [paced, slots, language]

    @hookimpl
    def register_providers(self, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        self._engines = engines
        return []

    @hookimpl
    def register_permissions(self) -> Sequence[Permission]:
        return [Permission("chaos_plugin.use", "Break things on purpose", frozenset({"physician"}))]

    @hookimpl
    def register_routes(self, context: PluginContext) -> Sequence[AnyRoute]:
        path = f"/api/plugins/{context.name}/stream"
        return [Route("GET", path, "chaos_plugin.use", self._stream, "A stream, or a disaster")]

    async def _stream(self, request: Request) -> Reply:
        kind, count = request.query.get("kind", "stream"), int(request.query.get("count", "100"))
        call = CallOptions(
            lane=Lane(request.query.get("lane", Lane.INTERACTIVE)),
            user=request.principal.user_id,
            deadline_s=float(request.query.get("deadline_s", "60")),
            idempotent=kind in {"stream", "late", CHAT},
        )
        payload = _payload(kind, count, request.query.get("key", ""))
        engine = self._engines[{CHAT: LANGUAGE, "late": SLOTS}.get(kind, ECHO)]
        return Reply(stream=_pieces(engine, kind, payload, call), content_type="application/x-ndjson")


def _payload(kind: str, count: int, key: str) -> bytes:
    """What the engine reads. Two requests alike, alive at two deaths, count as one poisonous one: these differ, as real ones do."""
    if kind == CHAT:
        return msgspec.msgpack.encode(ChatRequest([ChatMessage("user", key)], ChatOptions(max_tokens=count)))
    if kind == "late":
        return msgspec.msgpack.encode(1.0)
    if kind == "stream":
        return msgspec.msgpack.encode([count, time.time_ns() % 1_000_000 * 1e-12])
    return msgspec.msgpack.encode(8 << 20) if kind == "leak" else key.encode()


async def _pieces(engine: EngineHandle, kind: str, payload: bytes, call: CallOptions) -> AsyncIterator[bytes]:
    try:
        async for _ in engine.submit(kind, payload, call):
            yield b'{"piece":true}\n'
        yield b'{"end":"answer"}\n'
    except ProntuarioError as error:
        yield b'{"end":"' + error.kind.code.encode() + b'"}\n'


plugin = ChaosPlugin()
