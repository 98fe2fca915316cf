"""Text to speech with the voice of the machine: espeak-ng, or macOS's own. No engine child: the program is one already."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, Provider, hookimpl
from plugins.speech_out.config import VoiceConfig
from plugins.speech_out.programs import Program, standard_programs
from plugins.speech_out.provider import CAPABILITY, Voice


class SpeechOutPlugin:
    """Registers the provider of ``text_to_speech`` and says what is missing when nothing can speak."""

    def __init__(self, programs: Sequence[Program] | None = None) -> None:
        self._programs = programs if programs is not None else standard_programs()

    @hookimpl
    def config_schema(self) -> type:
        return VoiceConfig

    @hookimpl
    def register_providers(self, context: PluginContext) -> Sequence[Provider]:
        config: VoiceConfig = context.config
        voice = Voice(self._programs, config)
        # A voice that can't speak is not offered: nobody shall wait for it to become ready.
        return [Provider(CAPABILITY, "voice", voice)] if voice.missing() is None else []

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        voice = Voice(self._programs, context.config)

        async def check() -> Health:
            missing = voice.missing()
            if missing is None:
                name = voice.model().id
                return Health("ok", f"{name} speaks", message_pt=f"{name} fala")
            return Health(
                "not_configured",
                missing.message,
                missing.advice,
                message_pt=missing.message_pt,
                advice_pt=missing.advice_pt,
            )

        return [HealthCheck("speech_out.program", check)]


plugin = SpeechOutPlugin()
