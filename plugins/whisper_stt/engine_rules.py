"""Which tokens a row may say next. mlx-whisper's own rules (0.4.3) for text; one of ours for times.

Asked for times, a Whisper that heard nothing says nothing; asked for bare text, it invents. So every answer must begin with a
time. mlx-whisper's rules for times can forbid every token at once, which ends in NaN; one utterance needs none of them beyond the
first token.
"""

from __future__ import annotations

from typing import Any, Final

import mlx.core as mx
import numpy as np
from mlx_whisper.tokenizer import Tokenizer, get_tokenizer
from mlx_whisper.whisper import Whisper
from numpy.typing import NDArray

_LATEST_BEGINNING: Final = 50
"""In positions of 20 ms: speech begins within the window's first second."""


class TokenRules:
    """Additive masks of shape (vocabulary,): ``first`` for a row's first token, ``later`` for the others."""

    def __init__(self, model: Whisper) -> None:
        self._model = model
        self._tokenizers: dict[str, Tokenizer] = {}
        tokenizer = self.tokenizer("en")
        vocabulary = model.dims.n_vocab
        forbidden = self._never_said(tokenizer)
        later = _mask(vocabulary, [*forbidden, tokenizer.no_timestamps])
        blank = _mask(vocabulary, [*tokenizer.encode(" "), tokenizer.eot])
        begin = np.full(vocabulary, -np.inf, np.float32)
        begin[tokenizer.timestamp_begin : tokenizer.timestamp_begin + _LATEST_BEGINNING + 1] = 0.0
        self.first = mx.array(_mask(vocabulary, forbidden) + blank + begin)
        self.later = mx.array(later)
        self.eot: int = tokenizer.eot
        self.sot: int = tokenizer.sot
        self.no_speech: int = tokenizer.no_speech
        languages = np.full(vocabulary, -np.inf, np.float32)
        languages[list(tokenizer.all_language_tokens)] = 0.0
        self.languages = mx.array(languages)
        self._language_of = dict(zip(tokenizer.all_language_tokens, tokenizer.all_language_codes, strict=True))

    def tokenizer(self, language: str) -> Any:
        """The tokenizer whose start sequence names the language."""
        known = self._tokenizers.get(language)
        if known is None:
            known = self._tokenizers[language] = get_tokenizer(
                self._model.is_multilingual,
                num_languages=self._model.num_languages,
                language=language,
                task="transcribe",
            )
        return known

    def language(self, token: int) -> str:
        """The code (ISO 639-1) of a language token."""
        return str(self._language_of[token])

    def beginning(self, language: str, prompt: str) -> list[int]:
        """What a row is given before it speaks: the hint, cut to its last half context, and the start sequence."""
        tokenizer = self.tokenizer(language)
        start = [int(token) for token in tokenizer.sot_sequence]
        if not prompt.strip():
            return start
        # A mark such as <|endoftext|> in a drug's name is text like any other: the tokenizer would raise, and end everybody's batch.
        hint: list[int] = tokenizer.encode(" " + prompt.strip(), disallowed_special=())
        return [tokenizer.sot_prev, *hint[-(self._model.dims.n_text_ctx // 2 - 1) :], *start]

    @staticmethod
    def _never_said(tokenizer: Any) -> list[int]:
        marks = (tokenizer.transcribe, tokenizer.translate, tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm)
        return [*tokenizer.non_speech_tokens, *marks, tokenizer.no_speech]


def _mask(vocabulary: int, forbidden: list[int]) -> NDArray[np.float32]:
    mask = np.zeros(vocabulary, np.float32)
    mask[forbidden] = -np.inf
    return mask
