"""JSON that cannot be malformed: llguidance as a logits processor, its mask computed with numpy on every device."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import llguidance.hf
import llguidance.numpy
import mlx.core as mx
import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from mlx_lm.tokenizer_utils import TokenizerWrapper

from plugins.medgemma_chat.schema import SchemaError

_LIMITS: Final = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
"""A hostile schema runs out of these within a fraction of a second; the notes of this appliance use a hundredth."""
_COMPACT: Final = {"whitespace_flexible": False}
"""Free white space lets a weak model write blanks for ever."""


class GrammarFactory:
    """Compiles schemas for one tokenizer."""

    def __init__(self, tokenizer: TokenizerWrapper, vocabulary: int, ends: Iterable[int]) -> None:
        self._vocabulary = vocabulary
        self._ends = sorted(ends)
        self._tokenizer: LLTokenizer = llguidance.hf.from_tokenizer(
            tokenizer._tokenizer,  # noqa: SLF001  mlx-lm's wrapper forwards methods but is not the tokenizer that llguidance wants
            n_vocab=vocabulary,
            eos_token=self._ends,
        )

    def compile(self, schema: Mapping[str, Any]) -> JsonConstraint:
        """A constraint for one answer.

        Raises:
            SchemaError: llguidance cannot or will not turn the schema into a grammar.
        """
        try:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_COMPACT)
        except ValueError as error:
            raise SchemaError("it is not a JSON schema") from error
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise SchemaError("it cannot be turned into a grammar")
        return JsonConstraint(matcher, self._vocabulary, self._ends)


class JsonConstraint:
    """A logits processor for one row. It never raises: ``broken`` tells the engine to fail this request alone."""

    def __init__(self, matcher: LLMatcher, vocabulary: int, ends: list[int]) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary)
        self._only_ends = np.zeros(vocabulary, bool)
        self._only_ends[ends] = True
        self._begun = False
        self.broken = False

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        """Mask what would break the grammar; ``tokens`` are all tokens so far, ``logits`` has shape (1, vocabulary)."""
        if self._begun and not self._matcher.is_stopped():
            self._matcher.consume_token(int(np.array(tokens[-1])))
        self._begun = True
        return mx.where(mx.array(self._allowed())[None], logits, -mx.inf)

    def _allowed(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        if self._matcher.is_error():
            self.broken = True
            return self._only_ends
        if self._matcher.is_stopped():
            return self._only_ends
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits, 0)
        if self._matcher.is_error():
            self.broken = True
            return self._only_ends
        return np.unpackbits(self._bits.view(np.uint8), bitorder="little")[: self._vocabulary].astype(bool)
