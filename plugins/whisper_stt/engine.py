"""The child's half: mlx-whisper, with the waiting utterances of all users in one encoder batch and one decoder batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import msgspec
import numpy as np
from mlx_whisper.audio import log_mel_spectrogram, pad_or_trim
from mlx_whisper.decoding import DecodingOptions, DecodingResult
from mlx_whisper.tokenizer import LANGUAGES

from appliance.plugin_api.messages import Failed, Loaded, Output, Submit
from appliance.plugin_api.model_folder import weight_sha256
from plugins.whisper_stt.engine_alignment import word_times
from plugins.whisper_stt.engine_decoding import decode_utterances
from plugins.whisper_stt.engine_model import load_whisper, resident_bytes
from plugins.whisper_stt.messages import INTERNAL, TRANSCRIBE, UNKNOWN_LANGUAGE, TimedWord, Transcript, Utterance

_RATE_HZ: Final = 16_000
_MEL_FRAMES_PER_POSITION: Final = 2
_POSITION_S: Final = 0.02
_SHORTEST_SAMPLES: Final = 400
"""One analysis window; anything shorter has no spectrum."""
_TOKENS_PER_SECOND: Final = 20
_TOKENS_AT_LEAST: Final = 24
"""Nobody speaks faster than about twelve tokens a second; without a cap a lost decoder fills its whole context."""
_SURE_LOG_PROBABILITY: Final = -1.0
"""Whisper's own rule: "no speech" counts only where the text itself is unsure (Radford et al. 2022, section 4.5)."""
_DEMONSTRATION_LANGUAGE: Final = "pt"

_decoder = msgspec.msgpack.Decoder(Utterance)
_encoder = msgspec.msgpack.Encoder()
_Waiting = tuple[int, Utterance]


class UnknownLanguageError(ValueError):
    """No Whisper model knows this language. ``code`` crosses the process border."""

    code: Final = UNKNOWN_LANGUAGE


class WhisperEngine:
    """An ``appliance.plugin_api.engine.Engine``; config: folder, demonstration, batch_size, no_speech_threshold, precision."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._steps = 0
        self._utterances = 0

    def load(self, config: Mapping[str, Any]) -> Loaded:
        folder = Path(config["folder"])
        self._demonstration = bool(config["demonstration"])
        self._batch_size = int(config["batch_size"])
        self._no_speech_threshold = float(config["no_speech_threshold"])
        self._model, self._half = load_whisper(folder, config["precision"])
        self._window_s = self._model.dims.n_audio_ctx * _POSITION_S
        self._warm_up()
        return Loaded(
            model_id=f"{'demonstration-' if self._demonstration else ''}whisper-{self._model.dims.n_audio_state}",
            model_sha256=weight_sha256(folder),
            footprint_bytes=resident_bytes(self._model, self._batch_size),
            demonstration=self._demonstration,
            info={"window_s": self._window_s, "device": str(mx.default_device().type)},
        )

    def submit(self, request: Submit) -> None:
        if request.kind != TRANSCRIBE:
            raise ValueError("unknown kind of request")
        try:
            utterance = _decoder.decode(request.payload)
        except msgspec.MsgspecError as error:
            raise ValueError("not an utterance") from error
        if utterance.language not in LANGUAGES:
            raise UnknownLanguageError("unknown language")
        if not utterance.pcm or len(utterance.pcm) % 2 or len(utterance.pcm) > (self._window_s + 0.1) * _RATE_HZ * 2:
            raise ValueError(f"an utterance has whole samples and lasts up to {self._window_s:g} s")
        if not 0.0 <= utterance.temperature <= 1.0:
            raise ValueError("temperature is 0 to 1")
        if self._demonstration:  # it was trained on one language and never on prompts
            utterance = msgspec.structs.replace(utterance, language=_DEMONSTRATION_LANGUAGE, prompt="")
        self._waiting.append((request.request_id, utterance))

    def busy(self) -> bool:
        return bool(self._waiting)

    def step(self) -> list[Output | Failed]:
        batch = self._next_batch()
        if not batch:
            return []
        mels = mx.stack([self._mel(utterance) for _, utterance in batch])
        results = decode_utterances(self._model, mels, self._options(batch))
        self._steps += 1
        self._utterances += len(batch)
        return [self._answer(*waiting, result) for waiting, result in zip(batch, results, strict=True)]

    def cancel(self, request_id: int) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting[0] != request_id]

    def stats(self) -> dict[str, float]:
        return {"waiting": len(self._waiting), "steps": self._steps, "utterances": self._utterances}

    def close(self) -> None:
        self._waiting.clear()

    def _next_batch(self) -> list[_Waiting]:
        """The oldest request and those behind it that decode under the same options, in order."""
        if not self._waiting:
            return []
        wanted = _options_key(self._waiting[0][1])
        batch = [waiting for waiting in self._waiting if _options_key(waiting[1]) == wanted][: self._batch_size]
        taken = {request_id for request_id, _ in batch}
        self._waiting = [waiting for waiting in self._waiting if waiting[0] not in taken]
        return batch

    def _mel(self, utterance: Utterance) -> mx.array:
        """Log-mel spectrogram filled to the window with 0.0 in the normalised domain: shape (frames, n_mels)."""
        samples = np.frombuffer(utterance.pcm, "<i2").astype(np.float32) / 32768
        if len(samples) < _SHORTEST_SAMPLES:
            samples = np.pad(samples, (0, _SHORTEST_SAMPLES - len(samples)))
        mel = log_mel_spectrogram(samples, n_mels=self._model.dims.n_mels)
        window: mx.array = pad_or_trim(mel, self._model.dims.n_audio_ctx * _MEL_FRAMES_PER_POSITION, axis=-2)
        return window

    def _options(self, batch: list[_Waiting]) -> DecodingOptions:
        first = batch[0][1]
        longest_s = max(len(utterance.pcm) for _, utterance in batch) / (2 * _RATE_HZ)
        room = self._model.dims.n_text_ctx // 2 - 8
        return DecodingOptions(
            language=first.language,
            temperature=first.temperature,
            prompt=first.prompt or None,
            sample_len=min(room, _TOKENS_AT_LEAST + math.ceil(longest_s * _TOKENS_PER_SECOND)),
            fp16=self._half,
        )

    def _answer(self, request_id: int, utterance: Utterance, result: DecodingResult) -> Output | Failed:
        if math.isnan(result.avg_logprob):
            return Failed(request_id, INTERNAL, "the model's probabilities are not numbers")
        unsure = result.avg_logprob < _SURE_LOG_PROBABILITY
        if not result.text or (result.no_speech_prob > self._no_speech_threshold and unsure):
            return _output(request_id, Transcript("", 0.0))
        words: tuple[TimedWord, ...] = ()
        if utterance.word_times:
            words = word_times(self._model, utterance.language, result, len(utterance.pcm) / (2 * _RATE_HZ))
        return _output(request_id, Transcript(result.text, math.exp(min(0.0, result.avg_logprob)), words))

    def _warm_up(self) -> None:
        """Build the lazy parts before the first person waits: mel filters, tokenizer, kernels."""
        silence = Utterance(bytes(2 * _RATE_HZ), _DEMONSTRATION_LANGUAGE, "", 0.0, word_times=False)
        decode_utterances(self._model, self._mel(silence)[None], self._options([(0, silence)]))


def _options_key(utterance: Utterance) -> tuple[str, str, float]:
    return (utterance.language, utterance.prompt, utterance.temperature)


def _output(request_id: int, transcript: Transcript) -> Output:
    return Output(request_id, _encoder.encode(transcript), final=True)
