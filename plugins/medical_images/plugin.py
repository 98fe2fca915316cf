"""Medical images. This version knows its settings; describing an image is not built yet."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, hookimpl
from plugins.medical_images.config import ImagesConfig


class MedicalImagesPlugin:
    """Registers its settings and says what is missing. It offers no provider, so nobody can take it for working."""

    @hookimpl
    def config_schema(self) -> type:
        return ImagesConfig

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        config: ImagesConfig = context.config

        async def check() -> Health:
            return health(config)

        return [HealthCheck("medical_images", check)]


def health(config: ImagesConfig) -> Health:
    """What is missing, and the next step."""
    if config.model is None:
        return Health(
            "not_configured",
            "no image model is configured",
            "set plugins.medical_images.model to a model folder",
            message_pt="nenhum modelo de imagem foi configurado",
            advice_pt="aponte plugins.medical_images.model para uma pasta",
        )
    return Health(
        "not_configured",
        "this version cannot describe images yet",
        "remove plugins.medical_images.model",
        message_pt="esta versão ainda não descreve imagens",
        advice_pt="retire plugins.medical_images.model",
    )


plugin = MedicalImagesPlugin()
