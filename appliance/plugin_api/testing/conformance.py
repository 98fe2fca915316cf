"""What every engine, every speech model and every chat model must keep. Each check raises AssertionError with the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from appliance.plugin_api.capabilities import (
    SAMPLE_RATE_HZ,
    ChatDelta,
    ChatMessage,
    ChatModel,
    ChatOptions,
    ModelInfo,
    Segment,
    SpeechToText,
    TranscriptionOptions,
)
from appliance.plugin_api.engine import CallOptions, Engine, Loaded
from appliance.plugin_api.messages import Failed, Output, Submit

_MOST_STEPS = 100_000
_SHA256_HEX = 64
_FEW_TOKENS = 8


def _require(condition: object, rule: str) -> None:
    if not condition:
        raise AssertionError(rule)


def _submit(engine: Engine, request_id: int, sample: tuple[str, bytes]) -> None:
    engine.submit(Submit(request_id, sample[0], sample[1], 60.0, "interactive", f"user-{request_id}|"))


def _run(engine: Engine) -> dict[int, list[Output | Failed]]:
    """Step until nothing is left; every answer by request."""
    answers: dict[int, list[Output | Failed]] = {}
    for _ in range(_MOST_STEPS):
        if not engine.busy():
            return answers
        for answer in engine.step():
            answers.setdefault(answer.request_id, []).append(answer)
    raise AssertionError(f"the engine is still busy after {_MOST_STEPS} steps")


def _closed(answers: Sequence[Output | Failed]) -> bool:
    ends = [isinstance(answer, Failed) or answer.final for answer in answers]
    return bool(ends) and ends[-1] and not any(ends[:-1])


def check_engine(factory: Callable[[], Engine], config: Mapping[str, Any], sample: tuple[str, bytes]) -> Loaded:
    """The contract of ``Engine``. ``sample`` is a (kind, payload) that ends by itself with an answer.

    Raises:
        AssertionError: the first rule that is broken.
    """
    engine = factory()
    loaded = engine.load(dict(config))
    _require(isinstance(loaded, Loaded), "load returns Loaded")
    _require(loaded.model_id, "Loaded.model_id names the model")
    _require(len(loaded.model_sha256) == _SHA256_HEX, "Loaded.model_sha256 is 64 hexadecimal digits")
    _require(not engine.busy(), "a fresh engine is not busy")
    _check_answers(engine, sample)
    _check_cancel(engine, sample)
    _check_refusal(engine, sample)
    stats = engine.stats()
    _require(all(isinstance(v, int | float) for v in stats.values()), "stats are numbers")
    engine.close()
    return loaded


def _check_answers(engine: Engine, sample: tuple[str, bytes]) -> None:
    _submit(engine, 1, sample)
    _require(engine.busy(), "an engine with a request is busy")
    alone = _run(engine)
    _require(set(alone) == {1}, "answers carry the id of their request")
    _require(_closed(alone[1]), "exactly the last answer of a request is final")
    _require(not isinstance(alone[1][-1], Failed), "the sample request succeeds")
    for request_id in (2, 3, 4):
        _submit(engine, request_id, sample)
    together = _run(engine)
    _require(set(together) == {2, 3, 4}, "every request of a batch is answered")
    _require(all(_closed(answers) for answers in together.values()), "every request of a batch ends once")


def _check_cancel(engine: Engine, sample: tuple[str, bytes]) -> None:
    cancelled, neighbour, lonely, unknown = 5, 6, 7, 999
    _submit(engine, cancelled, sample)
    _submit(engine, neighbour, sample)
    engine.cancel(cancelled)
    answers = _run(engine)
    _require(cancelled not in answers, "a cancelled request is silent")
    _require(neighbour in answers and _closed(answers[neighbour]), "a neighbour survives a cancel")
    engine.cancel(unknown)
    _submit(engine, lonely, sample)
    engine.cancel(lonely)
    _require(not engine.busy(), "cancelling the only request frees the engine")


def _check_refusal(engine: Engine, sample: tuple[str, bytes]) -> None:
    bad, good = 8, 9
    refused = False
    try:
        _submit(engine, bad, ("no-such-kind", b"\xc1 never valid"))
    except ValueError:
        refused = True
    _require(refused, "submit raises ValueError for a request that it does not understand")
    _submit(engine, good, sample)
    answers = _run(engine)
    _require(bad not in answers and _closed(answers[good]), "a refused request leaves nothing behind")


def _check_model(model: ModelInfo, capability: str) -> None:
    _require(model.capability == capability, f"model().capability is {capability!r}")
    _require(model.id, "model().id names the model")
    _require(not model.ready or len(model.sha256) == _SHA256_HEX, "a ready model tells the SHA-256 of its weights")


async def check_speech_to_text(provider: SpeechToText, speech: bytes | None = None) -> list[Segment]:
    """The contract of ``SpeechToText``; ``speech`` is a 16 kHz mono PCM sample with words in it.

    Returns:
        The segments of ``speech``, for assertions of your own.
    """
    _require(isinstance(provider, SpeechToText), "the provider has the methods of SpeechToText")
    _check_model(provider.model(), "speech_to_text")
    _require(await _segments(provider, b"") == [], "no audio gives no text")
    silence = bytes(2 * SAMPLE_RATE_HZ * 2)
    _require(await _segments(provider, silence) == [], "silence gives no text")
    if speech is None:
        return []
    segments = await _segments(provider, speech)
    _require(segments, "speech gives text")
    length_s = len(speech) / 2 / SAMPLE_RATE_HZ
    last = 0.0
    for segment in segments:
        _require(0 <= segment.start <= segment.end <= length_s + 1.0, "segments lie inside the audio")
        _require(segment.start >= last, "segments come in order of time")
        _require(0 <= segment.confidence <= 1, "confidence is a probability")
        last = segment.start
    return segments


async def _segments(provider: SpeechToText, audio: bytes) -> list[Segment]:
    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(audio), 31_998):  # a block need not end on a second, only on a sample
            yield audio[start : start + 31_998]

    return [segment async for segment in provider.transcribe(blocks(), TranscriptionOptions(), CallOptions())]


async def check_chat_model(provider: ChatModel, question: str = "Olá") -> list[ChatDelta]:
    """The contract of ``ChatModel``: pieces, one end with counts, a token limit that holds, cancel by closing."""
    _require(isinstance(provider, ChatModel), "the provider has the methods of ChatModel")
    _check_model(provider.model(), "chat_model")
    messages = [ChatMessage("user", question)]
    deltas = [delta async for delta in provider.chat(messages, ChatOptions(max_tokens=_FEW_TOKENS), CallOptions())]
    _require(deltas, "a question gets an answer")
    ends = [delta.finish_reason is not None for delta in deltas]
    _require(ends[-1] and not any(ends[:-1]), "exactly the last piece has a finish_reason")
    _require(deltas[-1].prompt_tokens > 0, "the last piece counts the prompt's tokens")
    _require(
        0 < deltas[-1].completion_tokens <= _FEW_TOKENS,
        "max_tokens holds, and the last piece counts the answer's tokens",
    )
    again = [delta async for delta in provider.chat(messages, ChatOptions(max_tokens=_FEW_TOKENS), CallOptions())]
    text, repeated = "".join(d.text for d in deltas), "".join(d.text for d in again)
    _require(text == repeated, "temperature 0 answers the same twice")
    stream = provider.chat(messages, ChatOptions(max_tokens=_FEW_TOKENS), CallOptions())
    await anext(stream)
    close = getattr(stream, "aclose", None)
    _require(close is not None, "the answer can be closed early (an async generator)")
    if close is not None:
        await close()
    return deltas
