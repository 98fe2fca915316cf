"""From a conversation to the tokens that the model continues."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from jinja2 import TemplateError
from mlx_lm.tokenizer_utils import TokenizerWrapper

from appliance.plugin_api.capabilities import ChatMessage
from plugins.medgemma_chat.messages import BAD_MESSAGES, CONTEXT_TOO_LONG

_CHARACTERS_PER_TOKEN: Final = 32
"""No text has so few tokens for its length; beyond it a prompt is refused before anybody tokenises megabytes."""


class PromptError(ValueError):
    """The conversation cannot be put into the model's template."""

    code: Final = BAD_MESSAGES


class PromptTooLongError(ValueError):
    """The conversation does not fit the model's context."""

    code: Final = CONTEXT_TOO_LONG


class PromptBuilder:
    """Applies the chat template; texts can not smuggle in control tokens."""

    def __init__(self, tokenizer: TokenizerWrapper, context_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        # all_special_tokens names only the roles (begin, end, padding), not the turn marks.
        added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._control = sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True)

    def build(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Tokens of the prompt, with room for at least one token of answer.

        Raises:
            PromptError: no message, or an order of roles that the template refuses.
            PromptTooLongError: it leaves no room for an answer.
        """
        if not any(message.content.strip() for message in messages):
            raise PromptError("the conversation is empty")
        characters = sum(len(message.content) for message in messages)
        if characters > self._context_tokens * _CHARACTERS_PER_TOKEN:
            raise PromptTooLongError(f"more than {self._context_tokens} tokens")
        turns = [{"role": message.role, "content": self._harmless(message.content)} for message in messages]
        try:
            tokens: list[int] = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True)
        except TemplateError as error:
            raise PromptError("the model's template does not take this order of roles") from error
        if not tokens:
            raise PromptError("the conversation is empty")
        if len(tokens) >= self._context_tokens:
            raise PromptTooLongError(f"{len(tokens)} of {self._context_tokens} tokens")
        return tokens

    def shared(self, messages: Sequence[ChatMessage]) -> int:
        """How many tokens of the prompt come from the leading system messages alone, whatever the others say."""
        leading = list(takewhile(lambda message: message.role == "system", messages))
        if not leading or len(leading) == len(messages):
            return 0
        roles = [message.role for message in messages[len(leading) :]]
        first, second = (self.build([*leading, *(ChatMessage(role, other) for role in roles)]) for other in ("a", "1"))
        mine = self.build(messages)
        return sum(
            1 for _ in takewhile(lambda three: three[0] == three[1] == three[2], zip(first, second, mine, strict=False))
        )

    def _harmless(self, text: str) -> str:
        """The text with control tokens broken up, so that no dictation can close a turn or open another."""
        for token in self._control:
            if token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text
