"""Faces as a second signal at login. This version knows its settings; comparing faces is not built yet."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, hookimpl
from plugins.facenet_auth.config import FaceConfig


class FacenetAuthPlugin:
    """Registers its settings and says what is missing. It offers no provider, so nobody can take it for working."""

    @hookimpl
    def config_schema(self) -> type:
        return FaceConfig

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        config: FaceConfig = context.config

        async def check() -> Health:
            return health(config)

        return [HealthCheck("facenet_auth", check)]


def health(config: FaceConfig) -> Health:
    """What is missing, and the next step."""
    if config.model is None:
        return Health(
            "not_configured",
            "no face model is configured",
            "set plugins.facenet_auth.model to a model file",
            message_pt="nenhum modelo de rosto foi configurado",
            advice_pt="aponte plugins.facenet_auth.model para um arquivo",
        )
    if config.threshold is None:
        return Health(
            "not_configured",
            "the face model has no threshold",
            "calibrate it and set plugins.facenet_auth.threshold",
            message_pt="o modelo de rosto não tem limiar",
            advice_pt="calibre-o e defina plugins.facenet_auth.threshold",
        )
    return Health(
        "not_configured",
        "this version cannot compare faces yet",
        "remove plugins.facenet_auth.model",
        message_pt="esta versão ainda não compara rostos",
        advice_pt="retire plugins.facenet_auth.model",
    )


plugin = FacenetAuthPlugin()
