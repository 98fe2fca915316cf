"""The plugin: what is registered. Light: the engine is named by a dotted name and never imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.plugin_api.engine import EngineHandle, EngineSpec
from appliance.plugin_api.hooks import AdminPage, Health, HealthCheck, Permission, PluginContext, Provider, hookimpl
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from word_mirror.config import MirrorConfig
from word_mirror.provider import MirrorChat

NAME = "word_mirror"
USE = f"{NAME}.use"


class WordMirror:
    """One object with the hooks that it needs; every hook is optional."""

    def __init__(self) -> None:
        self._mirrored = 0
        self._started = False

    @hookimpl
    def config_schema(self) -> type:
        return MirrorConfig

    @hookimpl
    def register_engines(self, context: PluginContext) -> Sequence[EngineSpec]:
        config: MirrorConfig = context.config
        return [
            EngineSpec(
                name=NAME,
                factory="word_mirror.engine:MirrorEngine",
                config={"separator": config.separator},
                footprint_bytes=128 << 20,
                max_running=config.max_running,
            )
        ]

    @hookimpl
    def register_providers(self, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        return [Provider("chat_model", "mirror", MirrorChat(engines[NAME]), priority=-100)]

    @hookimpl
    def register_routes(self, context: PluginContext) -> Sequence[AnyRoute]:
        prefix = f"/api/plugins/{context.name}"
        return [
            Route("GET", f"{prefix}/mirror", USE, self._mirror, "A text with its words in reverse order"),
            Route("GET", f"{prefix}/status", USE, self._status, "How often the mirror was used"),
        ]

    @hookimpl
    def register_permissions(self) -> Sequence[Permission]:
        return [Permission(USE, "Use the word mirror", frozenset({"physician", "nurse", "admin"}))]

    @hookimpl
    def register_admin_pages(self) -> Sequence[AdminPage]:
        return [AdminPage(NAME, "Espelho", "Mirror", (("Uso", f"/api/plugins/{NAME}/status"),))]

    @hookimpl
    def register_health_checks(self) -> Sequence[HealthCheck]:
        async def check() -> Health:
            return Health("ok", "the mirror is clean") if self._started else Health("failed", "not started")

        return [HealthCheck(NAME, check)]

    @hookimpl
    async def startup(self) -> None:
        self._started = True

    @hookimpl
    async def shutdown(self) -> None:
        self._started = False

    async def _mirror(self, request: Request) -> Reply:
        self._mirrored += 1
        return Reply(body={"text": " ".join(reversed(request.query.get("text", "").split()))})

    async def _status(self, _request: Request) -> Reply:
        return Reply(body={"mirrored": self._mirrored})


plugin = WordMirror()
