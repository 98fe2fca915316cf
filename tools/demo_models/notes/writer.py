"""Lets a notes model answer many prompts at once, greedily, notes under the product's own JSON constraint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.care.note_schema import answer_schema
from tools.demo_models.notes.samples import Sample

AT_ONCE: Final = 8
_LONGEST_NOTE: Final = 900
_LONGEST_ANSWER: Final = 160


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote; ``cut``: it had not come to its end at the token limit."""

    text: str
    cut: bool


class Writer:
    """A model folder that mlx-lm loads, with the product's loader, in fp32 on a CPU."""

    def __init__(self, folder: Path) -> None:
        from plugins.medgemma_chat.engine_grammar import GrammarFactory
        from plugins.medgemma_chat.engine_model import load_language_model

        self._language = load_language_model(folder, "auto")
        self._ends = sorted(int(token) for token in self._language.tokenizer.eos_token_ids)
        self._grammars = GrammarFactory(self._language.tokenizer, self._language.vocabulary, self._ends)

    def notes(self, samples: Sequence[Sample], progress: Callable[[int], None]) -> list[Answer]:
        """The note of each sample's transcript, held to the product's schema."""
        constraints = [[self._grammars.compile(answer_schema(list(each.scene.segments)))] for each in samples]
        prompts = [self._prompt(each.turns[0].question) for each in samples]
        return self._answers(prompts, constraints, _LONGEST_NOTE, progress)

    def chats(self, questions: Sequence[str], progress: Callable[[int], None]) -> list[Answer]:
        """Free answers, each to the first turn of a conversation."""
        prompts = [self._prompt(question) for question in questions]
        return self._answers(prompts, [[] for _ in prompts], _LONGEST_ANSWER, progress)

    def _prompt(self, question: str) -> list[int]:
        turns = [{"role": "user", "content": question}]
        tokens: list[int] = self._language.tokenizer.apply_chat_template(turns, add_generation_prompt=True)
        return tokens

    def _answers(
        self, prompts: list[list[int]], constraints: list[list[Any]], longest: int, progress: Callable[[int], None]
    ) -> list[Answer]:
        from mlx_lm.generate import BatchGenerator

        batch = BatchGenerator(
            self._language.model,
            stop_tokens=[[token] for token in self._ends],
            max_tokens=longest,
            completion_batch_size=AT_ONCE,
            prefill_batch_size=AT_ONCE,
        )
        rows = batch.insert(prompts, [longest] * len(prompts), logits_processors=constraints)
        tokens: dict[int, list[int]] = {row: [] for row in rows}
        finished: dict[int, str] = {}
        while len(finished) < len(rows):
            for step in _generated(batch.next()):
                if step.finish_reason != "stop":
                    tokens[step.uid].append(int(step.token))
                if step.finish_reason:
                    finished[step.uid] = step.finish_reason
                    progress(len(finished))
        batch.close()
        decode = self._language.tokenizer.decode
        return [Answer(decode(tokens[row]), finished[row] == "length") for row in rows]


def _generated(answer: Any) -> Any:
    """The steps of generation; newer mlx-lm gives those of the prompts beside them."""
    return answer[1] if isinstance(answer, tuple) else answer
