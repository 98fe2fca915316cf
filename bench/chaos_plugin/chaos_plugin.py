"""A plugin for chaos runs: its engine streams, leaks or crashes on request, and every stream tells how it ended."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineSpec
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Permission, PluginContext, Provider, hookimpl
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route


class ChaosPlugin:
    """One engine, one route: ``GET /api/plugins/chaos_plugin/stream?kind=stream&count=100``."""

    def __init__(self) -> None:
        self._engine: EngineHandle | None = None

    @hookimpl
    def register_engines(self) -> Sequence[EngineSpec]:
        factory = "chaos_engine:PacedEngine"
        return [EngineSpec("chaos_plugin", factory, footprint_bytes=96 << 20, stall_limit_s=2.0, max_running=128)]

    @hookimpl
    def register_providers(self, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        self._engine = engines["chaos_plugin"]
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
        payload = {
            # Two requests alike, alive at two deaths, count as one poisonous request: real ones differ, and so do these.
            "stream": msgspec.msgpack.encode([count, time.time_ns() % 1_000_000 * 1e-12]),
            "leak": msgspec.msgpack.encode(8 << 20),
        }.get(kind, request.query.get("key", "").encode())
        call = CallOptions(user=request.principal.user_id, deadline_s=60.0, idempotent=kind == "stream")
        return Reply(stream=self._pieces(kind, payload, call), content_type="application/x-ndjson")

    async def _pieces(self, kind: str, payload: bytes, call: CallOptions) -> AsyncIterator[bytes]:
        assert self._engine is not None
        try:
            async for _ in self._engine.submit(kind, payload, call):
                yield b'{"piece":true}\n'
            yield b'{"end":"answer"}\n'
        except ProntuarioError as error:
            yield b'{"end":"' + error.kind.code.encode() + b'"}\n'


plugin = ChaosPlugin()
