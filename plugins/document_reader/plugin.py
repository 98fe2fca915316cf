"""Paper into words and proposals. No engine child: there is no model to keep loaded, and each document gets its own process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, Provider, hookimpl
from plugins.document_reader.config import ReaderConfig
from plugins.document_reader.provider import CAPABILITY, Reader
from plugins.document_reader.recognisers import Recogniser, standard_recognisers


class DocumentReaderPlugin:
    """Registers the provider of ``document_reader`` and says what is missing when pictures can't be read."""

    def __init__(self, recognisers: Sequence[Recogniser] | None = None) -> None:
        self._recognisers = recognisers if recognisers is not None else standard_recognisers()

    @hookimpl
    def config_schema(self) -> type:
        return ReaderConfig

    @hookimpl
    def register_providers(self, context: PluginContext) -> Sequence[Provider]:
        return [Provider(CAPABILITY, "reader", Reader(self._recognisers, context.config))]

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        reader = Reader(self._recognisers, context.config)

        async def check() -> Health:
            missing = await asyncio.to_thread(reader.missing)
            if missing is None:
                name = reader.model().id
                return Health("ok", f"{name} reads pictures", message_pt=f"{name} lê imagens")
            return Health(
                "degraded",
                f"only PDFs with text can be read: {missing.message}",
                missing.advice,
                message_pt=f"só PDFs com texto podem ser lidos: {missing.message_pt}",
                advice_pt=missing.advice_pt,
            )

        return [HealthCheck("document_reader.recogniser", check)]


plugin = DocumentReaderPlugin()
