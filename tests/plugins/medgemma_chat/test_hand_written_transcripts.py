"""Transcripts that no grammar made, through the product's drafting and guard with the demonstration chat model.

The model was not made for them: number words, names it has never seen, two people talking. Whatever it writes, what stands
unmarked must be what was said; everything else is marked or the speech itself stands. Expectations are written by hand.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from dataclasses import dataclass, field
from difflib import get_close_matches

import pytest

from appliance.care.chat.claims import judge
from appliance.care.chat.conversation import Finished, answer, call_for
from appliance.care.chat.retrieval import Context, Source
from appliance.care.drafting import write_draft
from appliance.care.guard.word_lists import words
from appliance.care.model import Content, Fact, Segment, Sentence
from appliance.plugin_api.capabilities import ChatMessage
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_host.choice import Choice
from tools.demo_models.evaluation.engines import chat_model

DEADLINE_S = 900.0
FRAMES = words("""
    paciente refere relata apresenta queixa nega sem iniciar manter suspender solicitar hipotese em uso de retorno anos
    alergia alergias medicamentos medicamento pela manha noite vezes dia dias horas miligramas suspenso mg
""")
"""Words in which any note may tell; the rest must be the speaker's."""


@dataclass(frozen=True)
class Told:
    """One line: the figures in it, and what in it is denied or somebody else's."""

    text: str
    figures: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


NUMBER_WORDS = (
    Told("Refere dor lombar há duas semanas.", {"2"}),
    Told("Toma losartana cinquenta miligramas de doze em doze horas.", {"50", "12"}),
    Told("Pressão arterial de cento e noventa por cento e dez.", {"190", "110"}),
    Told("Prescrevo dipirona um grama de seis em seis horas por cinco dias.", {"6", "5"}),
)
UNKNOWN_NAMES = (
    Told("Em uso de zoltrepina 30 mg à noite.", {"30"}),
    Told("Hipótese de síndrome de Gitelman."),
    Told("Iniciar miglustate 100 mg três vezes ao dia.", {"100", "3", "8"}),
    Told("Suspender o fexaramide."),
)
TWO_SPEAKERS = (
    Told("O senhor teve febre?"),
    Told("Não, febre eu não tive, mas minha mulher teve tosse.", denied={"febre"}, others={"tosse"}),
    Told("Tomo losartana, e minha mãe tomava insulina.", others={"insulina"}),
    Told("Vou pedir um eletrocardiograma."),
)
WORDS = {
    "zero": 0, "um": 1, "uma": 1, "dois": 2, "duas": 2, "tres": 3, "cinco": 5, "seis": 6, "oito": 8, "dez": 10, "doze": 12,
    "cinquenta": 50, "noventa": 90, "cem": 100, "cento": 100,
}  # fmt: skip


def plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()


def figures(text: str) -> set[str]:
    """The numbers of a text, number words of this page too: "cento e noventa" counts as 190."""
    found, total = set(re.findall(r"\d+", text)), 0
    for word in [*re.findall(r"\w+|[^\w\s]", plain(text)), "."]:
        if word in WORDS and (total >= 100 or not total):
            total += WORDS[word]
        elif word in WORDS:
            found.add(str(total))
            total = WORDS[word]
        elif word != "e" and total:
            found.add(str(total))
            total = 0
    return found - {"1"}  # "um" and "uma" are articles as often


def check(text: str, cited: tuple[int, ...], told: tuple[Told, ...], *, negated: bool) -> None:
    """What stands unmarked: every figure and every longer word was said in a cited line, by and of the right person."""
    lines = [told[number - 1] for number in cited]
    assert lines, text
    assert figures(text) <= set().union(*(line.figures for line in lines)), text
    said = set(re.findall(r"[a-z]+", plain(" ".join(line.text for line in lines))))
    written = set(re.findall(r"[a-z]{4,}", plain(text)))
    assert all(get_close_matches(word, FRAMES, cutoff=0.9) for word in written - said), text  # a frame may be misspelt
    assert not written & set().union(*(line.others for line in lines)), text
    assert negated or not written & set().union(*(line.denied for line in lines)), text


def standing(content: Content) -> tuple[list[Sentence], list[Fact]]:
    """What the guard let through of the model's own."""
    sentences = [
        each for each in content.sentences() if each.origin == "ai" and each.verdict and each.verdict.supported
    ]
    return sentences, [fact for fact in content.facts if fact.verdict.supported]


@pytest.mark.timeout(900)
async def test_what_the_model_was_not_made_for_is_marked_or_refused_and_never_invented() -> None:
    transcripts = (NUMBER_WORDS, UNKNOWN_NAMES, TWO_SPEAKERS)
    async with chat_model() as model:
        choice = Choice(model, "test", "test")

        async def drafted(place: int, told: tuple[Told, ...]) -> Content:
            lines = [Segment(number, number, number + 0.9, each.text, 0.9) for number, each in enumerate(told, 1)]
            call = CallOptions(deadline_s=DEADLINE_S, user=f"test-{place}")
            return await write_draft(lines, "0" * 64, choice, call)

        asked = asyncio.create_task(chatted(choice))
        notes = await asyncio.gather(*(drafted(place, told) for place, told in enumerate(transcripts)))
        await asked
    for told, note in zip(transcripts, notes, strict=True):
        assert note.ai is not None
        assert note.ai.demonstration_model
        sentences, facts = standing(note)
        for sentence in sentences:
            negated = bool(re.search(r"\b(nega|nao|sem)\b", plain(sentence.text)))
            check(sentence.text, sentence.segments, told, negated=negated)
        for fact in facts:
            check(f"{fact.name} {fact.value or ''}", fact.segments, told, negated=fact.negated)
        verbatim = [sentence for sentence in note.sentences() if sentence.origin == "transcript"]
        assert all(each.text == told[each.segments[0] - 1].text for each in verbatim)
        assert sentences or verbatim  # a note that holds nothing would pass all of the above
    assert any(fact.name == "losartana" for fact in standing(notes[0])[1])


async def chatted(choice: Choice) -> None:  # type: ignore[type-arg]
    """The demonstration answers from a record with a citation that holds, and what it gets wrong is marked."""
    texts = (
        "Alergia: dipirona, gravidade alta.", "Em uso de losartana 50 mg 12/12h.", "Hipertensão arterial desde 2015.",
        "Pressão arterial 150/90 mmHg em 12/03/2024.", "Nega febre.",
    )  # fmt: skip
    context = Context(
        tuple(
            Source(n, f"Thing/{n}", 1, "", text, f"/fhir/R4/Thing/{n}/_history/1") for n, text in enumerate(texts, 1)
        ),
        (),
        (),
    )
    ask = [ChatMessage("user", "Qual a pressão arterial?")]
    pieces = [piece async for piece in answer(ask, context, choice, call_for("u", "p"), max_tokens=60)]
    *claims, end = pieces
    assert isinstance(end, Finished)
    assert end.ai.demonstration_model
    assert [(claim.status, claim.citations[0].number) for claim in claims] == [("supported", 4)]  # type: ignore[union-attr]
    assert judge("Não há menção a alergias.", context).status == "contradicted"


@pytest.mark.parametrize(
    ("text", "told", "negated"),
    [
        ("Em uso de losartana 500 mg.", NUMBER_WORDS[1], False),
        ("Em uso de enalapril 50 mg.", NUMBER_WORDS[1], False),
        ("Refere febre.", TWO_SPEAKERS[1], False),
        ("Refere tosse.", TWO_SPEAKERS[1], False),
        ("Em uso de insulina.", TWO_SPEAKERS[2], False),
        ("Pressão arterial 190/120.", NUMBER_WORDS[2], False),
    ],
)
def test_the_expectations_above_catch_inventions(text: str, told: Told, *, negated: bool) -> None:
    with pytest.raises(AssertionError):
        check(text, (1,), (told,), negated=negated)


def test_figures_are_read_as_people_say_them() -> None:
    assert figures("cento e noventa por cento e dez, 12/12h, um grama de seis em seis") == {
        "190",
        "110",
        "12",
        "6",
    }
