"""What a transcript makes of a consult: misheard digits, number words, lower case, odd cuts, and other people's lines."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from typing import Final

from tools.demo_models.grammar.canonical import canonical
from tools.demo_models.grammar.consults import consult
from tools.demo_models.grammar.number_words import in_words
from tools.demo_models.grammar.types import Fact, Sentence, Split, is_held_out
from tools.demo_models.grammar.vocabulary import DIAGNOSES, DRUGS, SYMPTOMS
from tools.demo_models.notes.made_up import Renamer
from tools.demo_models.notes.misspelling import misspelt

_SMALL_TALK: Final = (
    "bom dia", "deixa eu anotar aqui", "certo", "vamos lá", "um instante por favor", "pode deitar na maca", "ok",
    "respire fundo", "muito bem", "pode se vestir", "boa tarde tudo bem", "então vamos ver", "só um minuto",
    "alguma dúvida", "pode sentar", "está certo", "obrigado", "sim senhora", "isso mesmo", "não sei dizer", "sim", "não",
    "um pouco", "às vezes", "já faz tempo", "não me lembro", "entendi", "pode falar", "e o que mais", "como a senhora está",
)  # fmt: skip
_QUESTIONS: Final = (
    "o senhor tem {symptom}", "a senhora sente {symptom}", "tem tido {symptom}", "está com {symptom}", "teve {symptom}",
    "já teve {diagnosis}", "alguém na família com {diagnosis}", "já usou {drug}", "toma {drug} em casa", "e {symptom}",
    "o senhor fuma", "a senhora bebe", "já fez alguma cirurgia", "tem alguma alergia", "dói quando aperta aqui",
    "desde quando", "toma algum remédio", "tem {symptom}", "sentiu {symptom} ou {symptom}", "melhora com alguma coisa",
)  # fmt: skip
_LINKS: Final = frozenset({"de", "com", "e", "em", "há", "do", "da", "a", "o"})
_SENSITIVE: Final = frozenset({"nega", "sem", "não", "que", "para"})
_NUMBER: Final = re.compile(r"(?<![\d,])\d+(?![\d,]*\d)(?!,\d)(?! vez)")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a scene is heard; each share is a probability."""

    made_up: float = 0.45
    word_errors: float = 0.04
    misheard_digits: float = 0.25
    number_words: float = 0.06
    lower_case: float = 0.4
    dialogue: float = 0.15
    short: float = 0.15
    cuts: bool = True


CLEAN: Final = Manner(0, 0, 0, 0, 0, 0, 0, cuts=False)


@dataclass(frozen=True, slots=True)
class Scene:
    """``segments``: number → text as heard. ``items``: each sentence with the numbers of its segments, in order."""

    segments: dict[int, str]
    items: tuple[tuple[Sentence, tuple[int, ...]], ...]


def scene(rng: random.Random, manner: Manner, split: Split = "train") -> Scene:
    """A consult as a transcript has it."""
    renamer = Renamer(rng, manner.made_up, 0.03 if manner.made_up else 0.0)
    said = list(consult(rng, split, renamer).sentences)
    if rng.random() < manner.short:
        kept = sorted(rng.sample(range(len(said)), min(rng.randint(1, 4), len(said))))
        said = [said[place] for place in kept]
    if manner.cuts and len(said) > 3 and rng.random() < 0.25:
        said.insert(rng.randrange(1, len(said)), said.pop(rng.randrange(1, len(said))))
    if rng.random() < manner.number_words:
        said = [worded(each) for each in said]
    else:
        said = [misheard(each, rng) if rng.random() < manner.misheard_digits else each for each in said]
    return _laid_out(rng, manner, said)


def misheard(sentence: Sentence, rng: random.Random) -> Sentence:
    """The sentence with one of its numbers heard as another; text, note and facts agree on the wrong one."""
    found = _NUMBER.findall(sentence.text)
    if not found:
        return sentence
    old = rng.choice(found)
    place = rng.randrange(len(old))
    new = old[:place] + rng.choice("123456789") + old[place + 1 :] if rng.random() < 0.7 else str(rng.randint(1, 400))
    pattern = re.compile(rf"(?<![\d,]){old}(?![\d,]*\d)(?!,\d)(?! vez)")
    text = pattern.sub(new, sentence.text)
    if is_held_out(text):
        return sentence

    def heard(fact: Fact) -> Fact:
        # "24/24h" may stand for "1 vez ao dia": only a frequency that was said in hours has the number to change.
        hourly = f"de {old} em {old} horas" in sentence.text
        value = fact.value
        if value is not None:
            figure = re.compile(rf"(?<![\d,/]){old}(?![\d,]*\d)(?!,\d)(?!/{old}h)|(?<=\d/){old}(?!\d|h)")
            value = figure.sub(new, value)
            value = value.replace(f"{old}/{old}h", f"{new}/{new}h") if hourly else value
        return replace(fact, name=pattern.sub(new, fact.name), value=value)

    return replace(sentence, text=text, note=canonical(text), facts=tuple(heard(fact) for fact in sentence.facts))


def worded(sentence: Sentence) -> Sentence:
    """The sentence with its numbers as words; note and facts copy the words, frequencies keep their canonical form."""
    text = in_words(sentence.text)

    def heard(fact: Fact) -> Fact:
        value = fact.value
        if value is not None:
            dose, _, frequency = value.rpartition(" ")
            canonical_frequency = re.fullmatch(r"\d+/\d+h|\dx/semana", frequency) is not None
            value = f"{_in_words(dose)} {frequency}" if canonical_frequency else _in_words(value)
        return replace(fact, name=in_words(fact.name), value=value)

    return replace(sentence, text=text, note=canonical(text), facts=tuple(heard(fact) for fact in sentence.facts))


def _in_words(value: str) -> str:
    return re.sub(r"/mm3$", " /mm3", in_words(re.sub(r"(\d)/(\d)", r"\1 por \2", value.replace("/mm3", "#")))).replace(
        "#", "/mm3"
    )


def _laid_out(rng: random.Random, manner: Manner, said: list[Sentence]) -> Scene:
    low = rng.random() < manner.lower_case
    others = (0.4 if rng.random() < manner.dialogue else 0.04) if manner.cuts or manner.dialogue else 0.0
    number = 1 if rng.random() < 0.85 or not manner.cuts else rng.randint(1, 40)
    segments: dict[int, str] = {}
    items: list[tuple[Sentence, tuple[int, ...]]] = []
    before: int | None = None
    for each in said:
        if rng.random() < others:
            segments[number] = _other_line(rng, low)
            number, before = number + 1, None
        heard = _heard(each, rng, manner.word_errors, low)
        kind, words = rng.random() if manner.cuts else 1.0, heard.split(" ")
        if kind < 0.07 and len(words) > 5:
            cut = rng.randint(2, len(words) - 2)
            segments[number], segments[number + 1] = " ".join(words[:cut]), " ".join(words[cut:])
            items.append((each, (number, number + 1)))
            number, before = number + 2, None
        elif kind < 0.17 and before is not None:
            segments[before] += " " + heard
            items.append((each, (before,)))
            before = None
        else:
            segments[number] = heard
            items.append((each, (number,)))
            number, before = number + 1, number
    if others and rng.random() < others / 2:
        segments[number] = _other_line(rng, low)
    return Scene(segments, tuple(items))


def _other_line(rng: random.Random, low: bool) -> str:
    if rng.random() < 0.4:
        line, mark = rng.choice(_SMALL_TALK), "."
    else:
        names = Renamer(rng, 0.3)
        form = rng.choice(_QUESTIONS)
        for kind, table in (("symptom", SYMPTOMS), ("diagnosis", DIAGNOSES), ("drug", DRUGS)):
            while "{" + kind + "}" in form:
                form = form.replace("{" + kind + "}", names(kind, rng.choice(table.names)), 1)
        line, mark = form, "?"
    return line if low else line[0].upper() + line[1:] + mark


def _heard(sentence: Sentence, rng: random.Random, share: float, low: bool) -> str:
    text = sentence.text
    if low:  # a list without commas cannot be told apart from one long name, so they stay half of the time
        marks = r"[.;](?!\d)|,(?!\d)" if rng.random() < 0.5 else r"[.;](?!\d)"
        text = re.sub(marks, "", text).lower()
    if not share:
        return text
    kept = {part for fact in sentence.facts for part in f"{fact.name} {fact.value or ''}".lower().split()}
    out = []
    for word in text.split(" "):
        written = word
        core = re.sub(r"[^\w]", "", word)
        plain = core.lower()
        if core.isalpha() and plain not in _SENSITIVE and plain not in kept and rng.random() < share:
            if plain in _LINKS:
                if rng.random() < 0.5:
                    continue
            elif len(core) > 3:
                written = word.replace(core, misspelt(core, rng))
        out.append(written)
    return " ".join(out)
