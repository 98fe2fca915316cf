"""What the language model is asked and the shape that its answer is held to.

The prompt is what the demonstration model was trained on; an instruction-tuned model also reads the system message,
which the demonstration's chat template leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from appliance.care.model import SECTION_CODES, Segment
from appliance.plugin_api.capabilities import ChatMessage

PROMPT_VERSION: Final = "note-pt/1"
FACT_KINDS: Final = (
    "patient", "symptom", "modifier", "history", "medication", "allergy", "habit", "surgery", "family", "vital", "finding",
    "lab", "diagnosis", "order", "referral", "advice", "certificate", "followup",
)  # fmt: skip
_INSTRUCTIONS: Final = (
    "Você transforma a transcrição numerada de uma consulta em uma nota clínica em JSON com as seções S, O, A e P. "
    'Use somente o que foi dito. Cada frase e cada fato citam em "segments" os números dos trechos de onde vieram. '
    "Não acrescente diagnósticos, doses nem interpretações. Copie nomes de medicamentos como foram ditos."
)
MAX_SENTENCES: Final = 16
MAX_FACTS: Final = 40
MAX_CITED: Final = 3
MAX_TEXT: Final = 300
_MAX_NAME: Final = 80
_MAX_VALUE: Final = 120


class DraftSentence(msgspec.Struct, frozen=True):
    """A sentence as the model gives it."""

    text: Annotated[str, msgspec.Meta(min_length=1)]
    segments: tuple[int, ...]


class DraftSection(msgspec.Struct, frozen=True):
    """A section as the model gives it."""

    code: Literal["S", "O", "A", "P"]
    sentences: tuple[DraftSentence, ...]


class DraftFact(msgspec.Struct, frozen=True):
    """A fact as the model gives it."""

    kind: str
    name: str
    value: str | None
    negated: bool
    laterality: Literal["direito", "esquerdo"] | None
    segments: tuple[int, ...]


class Draft(msgspec.Struct, frozen=True):
    """The model's whole answer."""

    sections: tuple[DraftSection, ...]
    facts: tuple[DraftFact, ...]


def messages(segments: Sequence[Segment]) -> list[ChatMessage]:
    """The conversation that asks for a note."""
    transcript = "".join(f"\n[{segment.number}] {segment.text}" for segment in segments)
    question = f"Transcrição:{transcript}\n\nEscreva a nota em JSON."
    return [ChatMessage("system", _INSTRUCTIONS), ChatMessage("user", question)]


def answer_schema(numbers: Sequence[int]) -> dict[str, Any]:
    """The JSON schema of an answer about these segments.

    ``items`` with ``anyOf`` and not ``prefixItems``, whose constants force bytes that hide the longer trained tokens; short
    lengths everywhere, because a loop inside a string would otherwise run to the token limit.
    """
    cited = {"type": "array", "items": {"enum": list(numbers)}, "minItems": 1, "maxItems": MAX_CITED}
    sentence = _object(text=_text(MAX_TEXT), segments=cited)
    sections = [
        _object(code={"const": code}, sentences={"type": "array", "items": sentence, "maxItems": MAX_SENTENCES})
        for code in SECTION_CODES
    ]
    fact = _object(
        kind={"enum": list(FACT_KINDS)},
        name=_text(_MAX_NAME),
        value={"anyOf": [{"type": "null"}, _text(_MAX_VALUE)]},
        negated={"type": "boolean"},
        laterality={"enum": [None, "direito", "esquerdo"]},
        segments=cited,
    )
    count = len(SECTION_CODES)
    return _object(
        sections={"type": "array", "items": {"anyOf": sections}, "minItems": count, "maxItems": count},
        facts={"type": "array", "items": fact, "maxItems": MAX_FACTS},
    )


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}
