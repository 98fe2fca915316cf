"""What a caller gets when it asks for an ability: the provider, and whether it is only the second choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from appliance.plugin_api.capabilities import (
    ChatModel,
    DocumentReader,
    ImageAnalyser,
    ImageDescriber,
    ImageReader,
    ModelInfo,
    SpeechToText,
    TextToSpeech,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """A chosen provider; ``degraded`` says that a preferred one could not serve, and must be told to the client."""

    instance: T
    plugin: str
    provider: str
    degraded: bool = False


class Abilities(Protocol):
    """The typed façade over the plugins that the layers above use."""

    def speech_to_text(self, request: Any = None) -> Choice[SpeechToText]:
        """Raises ``capability.unavailable`` (503) when no plugin offers it or none can serve."""
        ...

    def chat_model(self, request: Any = None) -> Choice[ChatModel]:
        """Raises ``capability.unavailable`` (503)."""
        ...

    def text_to_speech(self, request: Any = None) -> Choice[TextToSpeech]:
        """Raises ``capability.unavailable`` (503)."""
        ...

    def image_reader(self, request: Any = None) -> Choice[ImageReader]:
        """Raises ``capability.unavailable`` (503)."""
        ...

    def image_analyser(self, request: Any = None) -> Choice[ImageAnalyser]:
        """Raises ``capability.unavailable`` (503)."""
        ...

    def image_describer(self, request: Any = None) -> Choice[ImageDescriber]:
        """Raises ``capability.unavailable`` (503)."""
        ...

    def document_reader(self, request: Any = None) -> Choice[DocumentReader]:
        """Raises ``capability.unavailable`` (503)."""
        ...

    def models(self) -> Sequence[ModelInfo]:
        """Every model behind any capability."""
        ...
