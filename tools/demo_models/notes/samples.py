"""Samples of the notes model: a conversation whose last turn, or every answer, is what it learns to write."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tools.demo_models.grammar.types import Split
from tools.demo_models.notes.hearing import Manner, Scene, scene
from tools.demo_models.notes.questions import Answered, questions

REQUEST: Final = "Escreva a nota em JSON."
# The same text as ``chunks``, for whoever loads the exported model.
CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] != 'system' %}<start_of_turn>"
    "{{ 'model' if m['role']=='assistant' else 'user' }}\n{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_CHAT_SHARE: Final = 0.22


@dataclass(frozen=True, slots=True)
class Sample:
    """Turns of (question, answer); ``note`` is the gold note when it is a note's sample."""

    scene: Scene
    turns: tuple[Answered, ...]
    note: dict[str, Any] | None


def transcript(segments: Mapping[int, str]) -> str:
    """The numbered lines as the product's prompt has them."""
    return "Transcrição:" + "".join(f"\n[{number}] {text}" for number, text in segments.items()) + "\n\n"


def gold_note(heard: Scene) -> dict[str, Any]:
    """The note of a scene in the product's schema."""
    sections = [
        {
            "code": code,
            "sentences": [
                {"text": said.note, "segments": list(numbers)} for said, numbers in heard.items if said.section == code
            ],
        }
        for code in "SOAP"
    ]
    facts = [
        {
            "kind": fact.kind,
            "name": fact.name,
            "value": fact.value,
            "negated": fact.negated,
            "laterality": fact.laterality,
            "segments": list(numbers),
        }
        for said, numbers in heard.items
        for fact in said.facts
    ]
    return {"sections": sections, "facts": facts}


def written(note: Mapping[str, Any]) -> str:
    """The note as compact JSON, as the model writes it."""
    return json.dumps(note, ensure_ascii=False, separators=(",", ":"))


def note_sample(rng: random.Random, manner: Manner, split: Split = "train") -> Sample:
    """A transcript and its note."""
    heard = scene(rng, manner, split)
    note = gold_note(heard)
    return Sample(heard, (Answered("note", transcript(heard.segments) + REQUEST, written(note)),), note)


def chat_sample(rng: random.Random, manner: Manner, split: Split = "train") -> Sample:
    """A transcript and a few questions about it."""
    heard = scene(rng, manner, split)
    asked = questions(heard, rng)
    first = asked[0]
    opened = Answered(first.kind, transcript(heard.segments) + first.question, first.answer)
    return Sample(heard, (opened, *asked[1:]), None)


def sample(rng: random.Random, manner: Manner) -> Sample:
    """A training sample: mostly notes, some chats."""
    return chat_sample(rng, manner) if rng.random() < _CHAT_SHARE else note_sample(rng, manner)


def chunks(turns: tuple[Answered, ...]) -> list[tuple[str, bool]]:
    """The conversation in pieces, each with whether the model is to write it."""
    out = [("<bos>", False)]
    for turn in turns:
        out += [
            (f"<start_of_turn>user\n{turn.question}<end_of_turn>\n<start_of_turn>model\n", False),
            (turn.answer + "<end_of_turn>", True),
            ("\n", False),
        ]
    return out
