"""Gold consults from the grammar: what a transcript should write, and the note that it should become."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from appliance.care.note_schema import Draft, DraftFact, DraftSection, DraftSentence
from appliance.daemon.demo.gold import FORMAT, Gold, GoldLine
from tools.demo_models.grammar import Consult, Fact, Sentence, consult
from tools.demo_models.grammar.hard import Hardness, hard_consult

Span = tuple[float, float]
_CODES: Final = ("S", "O", "A", "P")


def held_out_consult(seed: str) -> Consult:
    """A consult of held-out sentences; the same seed gives the same."""
    return consult(random.Random(seed), "held_out")


def gold_of(made: Consult, seed: str, spans: Sequence[Span] | None = None, **more: str | float) -> Gold:
    """The gold file of a consult, one line for each sentence; ``spans`` are their (start, end) in the audio."""
    sentences = made.sentences
    times = spans if spans is not None else [(0.0, 0.0)] * len(sentences)
    lines = tuple(
        GoldLine(number, sentence.text, *map(_round, times[number - 1])) for number, sentence in enumerate(sentences, 1)
    )
    facts = tuple(_fact(fact, number) for number, sentence in enumerate(sentences, 1) for fact in sentence.facts)
    return Gold(FORMAT, lines, Draft(_sections(sentences), facts), {"seed": seed, **more})


def hard_gold(seed: str, hardness: Hardness) -> Gold:
    """A consult outside the grammar. Its facts are gold; its sentences only where number words became figures.

    Elsewhere many wordings would be right, and the judge goes by the lines themselves.
    """
    made = hard_consult(random.Random(seed), hardness)
    lines = tuple(GoldLine(number, text) for number, text in enumerate(made.lines, 1))
    facts = tuple(_fact(fact, number) for fact, number in made.facts)
    same = held_out_consult(seed).sentences if hardness == "number_words" else ()
    return Gold(FORMAT, lines, Draft(_sections(same), facts), {"seed": seed, "hardness": hardness})


def _sections(sentences: Sequence[Sentence]) -> tuple[DraftSection, ...]:
    return tuple(
        DraftSection(
            code,
            tuple(
                DraftSentence(sentence.note, (number,))
                for number, sentence in enumerate(sentences, 1)
                if sentence.section == code
            ),
        )
        for code in _CODES
    )


def _fact(fact: Fact, number: int) -> DraftFact:
    return DraftFact(fact.kind, fact.name, fact.value, fact.negated, fact.laterality, (number,))


def _round(seconds: float) -> float:
    return round(seconds, 3)
