"""The child's half: mlx-whisper's weights, with the utterances of all users in one encoder batch and one decoder batch."""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import msgspec
import numpy as np
from mlx_whisper.audio import log_mel_spectrogram, pad_or_trim
from mlx_whisper.tokenizer import LANGUAGES

from appliance.plugin_api.engine import Lane
from appliance.plugin_api.messages import Failed, Loaded, Output, Submit
from appliance.plugin_api.model_folder import weight_sha256
from plugins.whisper_stt.engine_alignment import word_times
from plugins.whisper_stt.engine_batch import DecoderBatch, SpokenRow, without_loop
from plugins.whisper_stt.engine_model import load_whisper, resident_bytes
from plugins.whisper_stt.engine_rules import TokenRules
from plugins.whisper_stt.engine_verdict import Attempts, Spoken
from plugins.whisper_stt.messages import (
    DETECT,
    INTERNAL,
    TRANSCRIBE,
    UNKNOWN_LANGUAGE,
    TimedWord,
    Transcript,
    Utterance,
)

_RATE_HZ: Final = 16_000
_MEL_FRAMES_PER_POSITION: Final = 2
_POSITION_S: Final = 0.02
_SHORTEST_SAMPLES: Final = 400
"""One analysis window; anything shorter has no spectrum."""
_TOKENS_PER_SECOND: Final = 20
_TOKENS_AT_LEAST: Final = 24
"""Nobody speaks faster than about twelve tokens a second; without a cap a lost decoder fills its whole context."""
_ENCODED_AT_ONCE: Final = 8
"""Utterances that one step encodes: a larger group would hold up those that are being decoded."""
_TOKENS_A_STEP: Final = 4
_DEMONSTRATION_LANGUAGE: Final = "pt"

_decoder = msgspec.msgpack.Decoder(Utterance)
_encoder = msgspec.msgpack.Encoder()


class UnknownLanguageError(ValueError):
    """No Whisper model knows this language. ``code`` crosses the process border."""

    code: Final = UNKNOWN_LANGUAGE


class WhisperEngine:
    """An ``appliance.plugin_api.engine.Engine``.

    Config: folder, demonstration, batch_size, no_speech_threshold, precision, fallback_temperatures.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Utterance]] = deque()
        self._again: deque[SpokenRow] = deque()
        """Rows that start anew at a higher temperature; their sound is encoded already."""
        self._running: dict[int, tuple[Utterance, str]] = {}
        """Utterance and language of what is being decoded, by request."""
        self._counters = {"steps": 0, "utterances": 0, "fallbacks": 0, "tokens": 0}

    def load(self, config: Mapping[str, Any]) -> Loaded:
        folder = Path(config["folder"])
        self._demonstration = bool(config["demonstration"])
        self._batch_size = int(config["batch_size"])
        warmer = () if self._demonstration else tuple(config.get("fallback_temperatures", ()))
        self._attempts = Attempts(float(config["no_speech_threshold"]), warmer)
        self._model, _ = load_whisper(folder, config["precision"])
        self._window_s = self._model.dims.n_audio_ctx * _POSITION_S
        self._rules = TokenRules(self._model)
        self._batch = DecoderBatch(self._model, self._rules)
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
        if utterance.language != DETECT and utterance.language not in LANGUAGES:
            raise UnknownLanguageError("unknown language")
        if not utterance.pcm or len(utterance.pcm) % 2 or len(utterance.pcm) > (self._window_s + 0.1) * _RATE_HZ * 2:
            raise ValueError(f"an utterance has whole samples and lasts up to {self._window_s:g} s")
        if not 0.0 <= utterance.temperature <= 1.0:
            raise ValueError("temperature is 0 to 1")
        if self._demonstration:  # it was trained on one language and never on prompts
            utterance = msgspec.structs.replace(utterance, language=_DEMONSTRATION_LANGUAGE, prompt="")
        if request.lane == Lane.URGENT:
            self._waiting.appendleft((request.request_id, utterance))
        else:
            self._waiting.append((request.request_id, utterance))

    def busy(self) -> bool:
        return bool(self._waiting or self._again or self._running)

    def step(self) -> list[Output | Failed]:
        """Let newcomers join, then a few tokens for everybody."""
        self._counters["steps"] += 1
        ended: list[SpokenRow] = []
        if newcomers := self._newcomers():
            ended += self._batch.join(newcomers)
        for _ in range(_TOKENS_A_STEP):
            ended += self._batch.step()
        answers = [self._judge(row) for row in ended]
        return [answer for answer in answers if answer is not None]

    def cancel(self, request_id: int) -> None:
        self._waiting = deque(waiting for waiting in self._waiting if waiting[0] != request_id)
        self._again = deque(row for row in self._again if row.key != request_id)
        if self._running.pop(request_id, None) is not None:
            self._batch.remove({request_id})
            self._attempts.forget(request_id)

    def stats(self) -> dict[str, float]:
        return {"waiting": len(self._waiting), "running": len(self._running), **self._counters}

    def close(self) -> None:
        self._waiting.clear()
        self._again.clear()
        self._batch.remove(set(self._running))
        self._running.clear()

    # -- newcomers ----------------------------------------------------------------------------------------------------------
    def _newcomers(self) -> list[SpokenRow]:
        room = self._batch_size - len(self._batch)
        rows = [self._again.popleft() for _ in range(min(room, len(self._again)))]
        fresh = [self._waiting.popleft() for _ in range(min(room - len(rows), _ENCODED_AT_ONCE, len(self._waiting)))]
        if fresh:
            features = self._model.encoder(mx.stack([self._mel(utterance) for _, utterance in fresh]))
            languages = self._languages([utterance for _, utterance in fresh], features)
            for place, (request_id, utterance) in enumerate(fresh):
                self._running[request_id] = (utterance, languages[place])
                rows.append(self._row(request_id, utterance, languages[place], features[place]))
            self._counters["utterances"] += len(fresh)
        return rows

    def _languages(self, utterances: list[Utterance], features: mx.array) -> list[str]:
        """What each asked for; where nothing was asked for, what it sounds like."""
        asked = [utterance.language for utterance in utterances]
        unknown = [place for place, language in enumerate(asked) if language == DETECT]
        if unknown:
            for place, found in zip(unknown, self._batch.detect_languages(features[mx.array(unknown)]), strict=True):
                asked[place] = found
        return asked

    def _row(self, request_id: int, utterance: Utterance, language: str, features: mx.array) -> SpokenRow:
        beginning = self._rules.beginning(language, utterance.prompt)
        seconds = len(utterance.pcm) / (2 * _RATE_HZ)
        room = self._model.dims.n_text_ctx // 2 - 8
        return SpokenRow(
            key=request_id,
            features=features,
            beginning=beginning,
            most_tokens=min(room, _TOKENS_AT_LEAST + math.ceil(seconds * _TOKENS_PER_SECOND)),
            temperature=utterance.temperature,
            random=mx.random.key(secrets.randbits(63)) if utterance.temperature else None,
        )

    def _mel(self, utterance: Utterance) -> mx.array:
        """Log-mel spectrogram filled to the window with 0.0 in the normalised domain: shape (frames, n_mels)."""
        samples = np.frombuffer(utterance.pcm, "<i2").astype(np.float32) / 32768
        if len(samples) < _SHORTEST_SAMPLES:
            samples = np.pad(samples, (0, _SHORTEST_SAMPLES - len(samples)))
        mel = log_mel_spectrogram(samples, n_mels=self._model.dims.n_mels)
        window: mx.array = pad_or_trim(mel, self._model.dims.n_audio_ctx * _MEL_FRAMES_PER_POSITION, axis=-2)
        return window.astype(self._model.decoder.positional_embedding.dtype)

    # -- answers --------------------------------------------------------------------------------------------------------------
    def _judge(self, row: SpokenRow) -> Output | Failed | None:
        """The answer, or None when the utterance is decoded once more."""
        utterance, language = self._running[row.key]
        self._counters["tokens"] += len(row.tokens)
        if math.isnan(row.log_probability):
            self._finish(row.key)
            return Failed(row.key, INTERNAL, "the model's probabilities are not numbers")
        text = str(self._rules.tokenizer(language).decode(without_loop(row.tokens))).strip()
        verdict = self._attempts.judge(row, text, warm=utterance.temperature > 0)
        if isinstance(verdict, float):
            self._counters["fallbacks"] += 1
            again = self._row(row.key, utterance, language, row.features)
            again.temperature, again.random = verdict, mx.random.key(secrets.randbits(63))
            self._again.append(again)
            return None
        self._finish(row.key)
        return self._answer(row.key, utterance, language, verdict)

    def _finish(self, request_id: int) -> None:
        del self._running[request_id]
        self._attempts.forget(request_id)

    def _answer(self, request_id: int, utterance: Utterance, language: str, spoken: Spoken) -> Output:
        words: tuple[TimedWord, ...] = ()
        if utterance.word_times and spoken.tokens:
            seconds = len(utterance.pcm) / (2 * _RATE_HZ)
            words = word_times(self._model, language, spoken.tokens, spoken.features, seconds)
        transcript = Transcript(spoken.text, spoken.confidence, words, language, no_speech=not spoken.text)
        return Output(request_id, _encoder.encode(transcript), final=True)

    def _warm_up(self) -> None:
        """Build the lazy parts before the first person waits: mel filters, tokenizer, kernels."""
        silence = Utterance(bytes(2 * _RATE_HZ), _DEMONSTRATION_LANGUAGE, "", 0.0, word_times=False)
        features = self._model.encoder(self._mel(silence)[None])
        self._batch.join([self._row(-1, silence, _DEMONSTRATION_LANGUAGE, features[0])])
        self._batch.step()
        self._batch.remove({-1})
