"""Choosing a provider: the order in the configuration, then the score for this request, then priority."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from appliance.config.load import ConfigError
from appliance.plugin_api.capabilities import (
    CAPABILITIES,
    ChatModel,
    CloudSync,
    DocumentReader,
    FaceVerifier,
    ImageAnalyser,
    ImageDescriber,
    ImageReader,
    ModelInfo,
    SpeechToText,
    TextToSpeech,
)
from appliance.plugin_api.engine import EngineHandle, EngineStatus
from appliance.plugin_api.hooks import Provider
from appliance.plugin_host.choice import Choice
from appliance.plugin_host.errors import CAPABILITY_UNAVAILABLE
from appliance.telemetry.logs import get_logger

_log = get_logger("plugins")
_COMING: Final = frozenset({EngineStatus.STARTING, EngineStatus.RESTARTING})
_RETRY_AFTER_S: Final = 5.0


class Fitness(IntEnum):
    """How able a provider is right now."""

    UNABLE = 0
    COMING = 1
    READY = 2


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider, whose it is, and the engines that stand behind it."""

    plugin: str
    provider: Provider
    engines: Sequence[EngineHandle] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the configuration may call it."""
        return (self.plugin, self.provider.name, f"{self.plugin}.{self.provider.name}")

    def model(self) -> ModelInfo | None:
        """Its model; None if it has none, or can't tell."""
        tell = getattr(self.provider.instance, "model", None)
        if tell is None:
            return None
        try:
            model = tell()
        except Exception as error:  # noqa: BLE001  a provider that fails to describe itself is only not chosen
            _log.error("provider can't describe its model", plugin=self.plugin, exc_info=error)
            return None
        return model if isinstance(model, ModelInfo) else None

    def installed(self) -> bool:
        """Whether there is a model at all, or none is needed; else the provider only waits for its first pack."""
        model = self.model()
        return model is None or model.installed

    def fitness(self) -> Fitness:
        """Ready; coming (its engine loads or restarts: requests wait in its queue); or unable."""
        if self.provider.capability == "cloud_sync":
            return Fitness.READY if self._configured(self.provider.instance) else Fitness.UNABLE
        model = self.model()
        if model is not None and model.ready:
            return Fitness.READY
        return Fitness.COMING if any(engine.status in _COMING for engine in self.engines) else Fitness.UNABLE

    def _configured(self, instance: CloudSync) -> bool:
        try:
            return bool(instance.configured())
        except Exception as error:  # noqa: BLE001  as above
            _log.error("provider can't tell whether it is configured", plugin=self.plugin, exc_info=error)
            return False

    def score(self, request: Any) -> float:
        """How well it suits ``request``; 0 when it has no opinion."""
        if self.provider.score is None or request is None:
            return 0.0
        try:
            return float(self.provider.score(request))
        except Exception as error:  # noqa: BLE001  as above
            _log.error("provider can't score a request", plugin=self.plugin, exc_info=error)
            return 0.0


class PluginAbilities:
    """Implements ``choice.Abilities``. ``order`` is the ``[capabilities]`` table: names of plugins or providers."""

    def __init__(self, offers: Sequence[Offer], order: Mapping[str, Sequence[str]]) -> None:
        """Check the order and the absence of ties.

        Raises:
            ConfigError: a tie between two providers; both are named.
        """
        self._order = order
        self.fell_back: Callable[[str], None] = lambda _capability: None
        """Told the capability whenever the best provider could not serve and another one does."""
        self._offers = {
            capability: [o for o in offers if o.provider.capability == capability] for capability in CAPABILITIES
        }
        for capability, rivals in self._offers.items():
            self._refuse_tie(capability, rivals)

    def remove(self, plugin: str) -> None:
        """A plugin was quarantined while running: choose it no more."""
        for capability, offers in self._offers.items():
            self._offers[capability] = [offer for offer in offers if offer.plugin != plugin]

    def renew(self, plugin: str, offers: Sequence[Offer]) -> None:
        """From the next choice on, ``offers`` stand for those of the same capability and name of ``plugin``."""
        fresh = {(offer.provider.capability, offer.provider.name): offer for offer in offers}
        for capability, known in self._offers.items():
            self._offers[capability] = [
                fresh.get((capability, offer.provider.name), offer) if offer.plugin == plugin else offer
                for offer in known
            ]

    def offered(self, plugin: str) -> tuple[str, ...]:
        """The capabilities that ``plugin`` offers."""
        return tuple(
            capability for capability, offers in self._offers.items() if any(o.plugin == plugin for o in offers)
        )

    def speech_to_text(self, request: Any = None) -> Choice[SpeechToText]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("speech_to_text", request)

    def chat_model(self, request: Any = None) -> Choice[ChatModel]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("chat_model", request)

    def text_to_speech(self, request: Any = None) -> Choice[TextToSpeech]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("text_to_speech", request)

    def document_reader(self, request: Any = None) -> Choice[DocumentReader]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("document_reader", request)

    def image_reader(self, request: Any = None) -> Choice[ImageReader]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("image_reader", request)

    def image_analyser(self, request: Any = None) -> Choice[ImageAnalyser]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("image_analyser", request)

    def image_describer(self, request: Any = None) -> Choice[ImageDescriber]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("image_describer", request)

    def face_verifier(self, request: Any = None) -> Choice[FaceVerifier]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("face_verifier", request)

    def cloud_sync(self, request: Any = None) -> Choice[CloudSync]:
        """Raises ``capability.unavailable`` (503)."""
        return self.choose("cloud_sync", request)

    def models(self) -> list[ModelInfo]:
        """Every model that there is behind any capability, in order of preference."""
        ranked = (offer for capability in self._offers for offer in self._ranked(capability, None))
        return [model for offer in ranked if (model := offer.model()) is not None and model.installed]

    def choose(self, capability: str, request: Any = None) -> Choice[Any]:
        """The best provider that can serve; ``degraded`` if a better one exists but can't.

        Raises:
            ProntuarioError: ``capability.unavailable`` (503).
        """
        ranked = [offer for offer in self._ranked(capability, request) if offer.installed()]
        fitness = [offer.fitness() for offer in ranked]
        for wanted in (Fitness.READY, Fitness.COMING):
            if wanted in fitness:
                place = fitness.index(wanted)
                offer = ranked[place]
                if place:
                    self.fell_back(capability)
                return Choice(offer.provider.instance, offer.plugin, offer.provider.name, degraded=place > 0)
        raise CAPABILITY_UNAVAILABLE(capability=capability, retry_after=_RETRY_AFTER_S)

    def _ranked(self, capability: str, request: Any) -> list[Offer]:
        def rank(offer: Offer) -> tuple[float, float, int]:
            return (self._place(capability, offer), -offer.score(request), -offer.provider.priority)

        return sorted(self._offers[capability], key=rank)

    def _place(self, capability: str, offer: Offer) -> float:
        for place, name in enumerate(self._order.get(capability, ())):
            if name in offer.names:
                return place
        return float("inf")

    def _refuse_tie(self, capability: str, rivals: Sequence[Offer]) -> None:
        seen: dict[tuple[float, int], Offer] = {}
        for offer in rivals:
            key = (self._place(capability, offer), offer.provider.priority)
            other = seen.setdefault(key, offer)
            both_score = offer.provider.score is not None and other.provider.score is not None
            if other is not offer and not both_score:
                first, second = f"{other.plugin}.{other.provider.name}", f"{offer.plugin}.{offer.provider.name}"
                raise ConfigError(
                    f"{first} and {second} offer {capability} with the same priority; say which goes first: "
                    f'[capabilities] {capability} = ["{first}", "{second}"]'
                )
