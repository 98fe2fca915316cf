"""A mirror of the record in the cloud. This version knows its settings; nothing is ever sent anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, hookimpl
from plugins.gcp_sync.config import CloudConfig


class GcpSyncPlugin:
    """Registers its settings and says what is missing. It offers no provider, so nobody can take it for working."""

    @hookimpl
    def config_schema(self) -> type:
        return CloudConfig

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        config: CloudConfig = context.config

        async def check() -> Health:
            return health(config)

        return [HealthCheck("gcp_sync", check)]


def health(config: CloudConfig) -> Health:
    """What is missing, and the next step."""
    if config.bucket is None:
        return Health(
            "not_configured",
            "no bucket is configured",
            "set plugins.gcp_sync.bucket",
            message_pt="nenhum bucket foi configurado",
            advice_pt="defina plugins.gcp_sync.bucket",
        )
    if config.credentials is None:
        return Health(
            "not_configured",
            "no credentials are configured",
            "set plugins.gcp_sync.credentials to a key file",
            message_pt="nenhuma credencial foi configurada",
            advice_pt="aponte plugins.gcp_sync.credentials para um arquivo de chave",
        )
    return Health(
        "not_configured",
        "this version cannot mirror the record yet",
        "remove plugins.gcp_sync.bucket",
        message_pt="esta versão ainda não espelha o prontuário",
        advice_pt="retire plugins.gcp_sync.bucket",
    )


plugin = GcpSyncPlugin()
