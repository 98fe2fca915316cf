"""From a conversation about pictures to what the model takes in: runs of tokens, and pictures between them.

A picture stands in the text as Hugging Face's ``Gemma3Processor`` writes it: two line breaks, its first mark, its tokens, its last
mark, two line breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

from jinja2 import TemplateError

from plugins.medical_images.gemma_shape import GemmaShape
from plugins.medical_images.messages import BAD_CONVERSATION, TOO_LONG, Turn

Piece: TypeAlias = tuple[int, ...] | int
"""Tokens of words, or the number of a picture."""
WORDS_AT_ONCE: Final = 64
"""Of a long text; others get a turn in between, and a small processor gives a sign of life."""
_CHARACTERS_PER_TOKEN: Final = 32
"""No text has so few tokens for its length; beyond it a conversation is refused before anybody tokenises megabytes."""


class ConversationError(ValueError):
    """The conversation can't be put into the model's template. ``code`` crosses the process border."""

    code: Final = BAD_CONVERSATION


class ConversationTooLongError(ValueError):
    """It leaves no room for an answer. ``code`` crosses the process border."""

    code: Final = TOO_LONG


class Prompts:
    """Applies the chat template; texts can not smuggle in control tokens, nor pictures."""

    def __init__(self, tokenizer: Any, shape: GemmaShape, context_tokens: int) -> None:
        self._tokenizer, self._context_tokens = tokenizer, context_tokens
        self._soft, self._tokens = shape.image_token_index, shape.mm_tokens_per_image
        first, last, soft = (
            str(tokenizer.convert_ids_to_tokens(one))
            for one in (shape.boi_token_index, shape.eoi_token_index, shape.image_token_index)
        )
        self._mark, self._whole = first, f"\n\n{first}{soft * self._tokens}{last}\n\n"
        special = {one.content for one in tokenizer.added_tokens_decoder.values() if one.special}
        self._control = sorted(special | set(tokenizer.all_special_tokens), key=len, reverse=True)

    def build(self, turns: Sequence[Turn], pictures: int) -> list[Piece]:
        """What to take in, one after another; words come last.

        Raises:
            ConversationError: nothing is said, a picture is missing or shown twice, or the template refuses the roles.
            ConversationTooLongError: it leaves no room for an answer.
        """
        parts = [part for turn in turns for part in turn.parts]
        shown = [part for part in parts if isinstance(part, int)]
        if not parts or sorted(shown) != list(range(pictures)):
            raise ConversationError("every picture stands in the conversation once")
        if sum(len(part) for part in parts if isinstance(part, str)) > self._context_tokens * _CHARACTERS_PER_TOKEN:
            raise ConversationTooLongError(f"more than {self._context_tokens} tokens")
        said = [{"role": turn.role, "content": "".join(map(self._text, turn.parts))} for turn in turns]
        try:
            text = self._tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        except TemplateError as error:
            raise ConversationError("the model's template does not take this order of roles") from error
        tokens: list[int] = self._tokenizer.encode(text.replace(self._mark, self._whole), add_special_tokens=False)
        if len(tokens) >= self._context_tokens:
            raise ConversationTooLongError(f"{len(tokens)} of {self._context_tokens} tokens")
        return self._pieces(tokens, shown)

    def length(self, pieces: Sequence[Piece]) -> int:
        """How many tokens they are."""
        return sum(self._tokens if isinstance(piece, int) else len(piece) for piece in pieces)

    def _text(self, part: str | int) -> str:
        if isinstance(part, int):
            return self._mark
        harmless = part.strip()
        for token in self._control:
            if token in harmless:
                harmless = harmless.replace(token, f"{token[0]} {token[1:]}")
        return harmless

    def _pieces(self, tokens: Sequence[int], shown: Sequence[int]) -> list[Piece]:
        pieces: list[Piece] = []
        left = iter(shown)
        for soft, run in groupby(tokens, key=lambda token: token == self._soft):
            words = tuple(run)
            if soft:
                pieces.append(next(left))
            else:
                pieces += [words[start : start + WORDS_AT_ONCE] for start in range(0, len(words), WORDS_AT_ONCE)]
        if next(left, None) is not None or not isinstance(pieces[-1], tuple):
            raise ConversationError("the model's template leaves out what was said")
        return pieces
