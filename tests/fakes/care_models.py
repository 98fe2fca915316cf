"""Scripted stand-ins for the models behind the abilities: they say what a test tells them to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.plugin_api.capabilities import (
    ChatDelta,
    ChatMessage,
    ChatModel,
    ChatOptions,
    DocumentReader,
    ImageAnalyser,
    ImageReader,
    ModelInfo,
    Segment,
    SpeechToText,
    TranscriptionOptions,
)
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_host.choice import Choice
from appliance.plugin_host.errors import CAPABILITY_UNAVAILABLE


@dataclass
class ScriptedSpeech:
    """Hears the script, whatever the audio; ``failures`` are raised first, one a call, after the first utterance."""

    script: Sequence[str]
    failures: list[BaseException] = field(default_factory=list)
    heard_bytes: list[int] = field(default_factory=list)
    hold: asyncio.Event | None = None

    def model(self) -> ModelInfo:
        return ModelInfo("scripted-speech", "a" * 64, "speech_to_text", True, True)

    async def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncIterator[Segment]:
        total = 0
        async for block in audio:
            total += len(block)
        self.heard_bytes.append(total)
        for number, text in enumerate(self.script):
            yield Segment(number * 2.0, number * 2.0 + 1.5, text, 0.9)
            if self.failures:
                raise self.failures.pop(0)
            if self.hold is not None:
                await self.hold.wait()


@dataclass
class ScriptedChat:
    """Gives the next answer of the script; a string, an exception, or a function of the question."""

    answers: list[str | BaseException | Callable[[str], str]]
    finish_reason: str = "stop"
    asked: list[tuple[Sequence[ChatMessage], ChatOptions]] = field(default_factory=list)

    def model(self) -> ModelInfo:
        return ModelInfo("scripted-chat", "b" * 64, "chat_model", True, True)

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncIterator[ChatDelta]:
        self.asked.append((messages, options))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        text = answer if isinstance(answer, str) else answer(messages[-1].content)
        middle = len(text) // 2
        yield ChatDelta(text[:middle])
        yield ChatDelta(text[middle:], self.finish_reason, 10, 20)  # type: ignore[arg-type]


@dataclass
class ScriptedAbilities:
    """Chooses the scripted models; None means that nothing offers the ability."""

    speech: SpeechToText | None = None
    chat: ChatModel | None = None
    degraded: bool = False
    reader: DocumentReader | None = None
    pictures: ImageReader | None = None
    analyser: ImageAnalyser | None = None

    def image_reader(self, request: Any = None) -> Choice[ImageReader]:
        if self.pictures is None:
            raise CAPABILITY_UNAVAILABLE(capability="image_reader")
        return Choice(self.pictures, "scripted", "scripted", self.degraded)

    def image_analyser(self, request: Any = None) -> Choice[ImageAnalyser]:
        if self.analyser is None:
            raise CAPABILITY_UNAVAILABLE(capability="image_analyser")
        return Choice(self.analyser, "scripted", "scripted", self.degraded)

    def document_reader(self, request: Any = None) -> Choice[DocumentReader]:
        if self.reader is None:
            raise CAPABILITY_UNAVAILABLE(capability="document_reader")
        return Choice(self.reader, "scripted", "scripted", self.degraded)

    def speech_to_text(self, request: Any = None) -> Choice[SpeechToText]:
        if self.speech is None:
            raise CAPABILITY_UNAVAILABLE(capability="speech_to_text")
        return Choice(self.speech, "scripted", "scripted", self.degraded)

    def chat_model(self, request: Any = None) -> Choice[ChatModel]:
        if self.chat is None:
            raise CAPABILITY_UNAVAILABLE(capability="chat_model")
        return Choice(self.chat, "scripted", "scripted", self.degraded)

    def models(self) -> Sequence[ModelInfo]:
        return [one.model() for one in (self.speech, self.chat) if one is not None]


def note_json(**sections: list[tuple[str, list[int]]]) -> str:
    """A model's answer: ``note_json(S=[("Refere tosse.", [1])])``, all four sections, no facts."""
    return note_with_facts([], **sections)


def note_with_facts(facts: list[dict[str, Any]], **sections: list[tuple[str, list[int]]]) -> str:
    """The same with facts, each completed by what it leaves out."""
    blank = {"kind": "vital", "value": None, "negated": False, "laterality": None}
    return json.dumps(
        {
            "sections": [
                {"code": code, "sentences": [{"text": t, "segments": s} for t, s in sections.get(code, [])]}
                for code in "SOAP"
            ],
            "facts": [blank | fact for fact in facts],
        }
    )


def is_refusal(error: BaseException, code: str) -> bool:
    """Whether an error carries this code."""
    return isinstance(error, ProntuarioError) and error.kind.code == code
