from __future__ import annotations

import random
import re
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.care.guard.check import check_fact, check_sentence
from appliance.care.note_schema import FACT_KINDS, MAX_FACTS, MAX_SENTENCES
from tools.demo_models.grammar import Consult, Split, consult, distinct_sentences, is_held_out
from tools.demo_models.grammar.closing import ASSESSMENT, PLAN
from tools.demo_models.grammar.draft import Draft
from tools.demo_models.grammar.objective import OBJECTIVE
from tools.demo_models.grammar.subjective import SUBJECTIVE, opening
from tools.demo_models.grammar.vocabulary import DRUGS, SYMPTOMS, doses, frequencies

SEEDS = st.integers(0, 2**32)
FEW = {
    template.make.__name__ for part in (SUBJECTIVE, OBJECTIVE, ASSESSMENT, PLAN) for template in part if template.few
}


def made(seed: int, split: Split = "train") -> Consult:
    return consult(random.Random(seed), split)


def some(split: Split, count: int) -> list[Consult]:
    rng = random.Random(7)
    return [consult(rng, split) for _ in range(count)]


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_a_seed_always_gives_the_same_consult(seed: int) -> None:
    assert made(seed) == made(seed)


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_sections_come_in_order_and_fit_the_note(seed: int) -> None:
    sentences = made(seed).sentences
    sections = [each.section for each in sentences]
    assert sections == sorted(sections, key="SOAP".index)
    assert set(sections) == set("SOAP")
    assert max(Counter(sections).values()) <= MAX_SENTENCES
    assert sum(len(each.facts) for each in sentences) <= MAX_FACTS
    assert sentences[0].facts[0].kind == "patient"
    assert sentences[-1].facts[0].kind == "followup"


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from(get_args(Split)))
def test_the_guard_finds_every_fact_and_note_sentence_in_its_text(seed: int, split: Split) -> None:
    sentences = made(seed, split).sentences
    transcript = {number: each.text for number, each in enumerate(sentences, 1)}
    for number, each in enumerate(sentences, 1):
        assert check_sentence(each.note, [number], transcript).supported, each
        assert each.facts
        for fact in each.facts:
            assert fact.kind in FACT_KINDS
            verdict = check_fact(
                fact.name,
                fact.value,
                negated=fact.negated,
                laterality=fact.laterality,
                segments=[number],
                transcript=transcript,
            )
            assert verdict.supported, (each.text, fact, verdict)


def test_training_never_says_a_held_out_sentence() -> None:
    assert not [each.text for one in some("train", 400) for each in one.sentences if is_held_out(each.text)]


def test_held_out_consults_say_only_held_out_sentences_where_there_are_enough() -> None:
    told = Counter(is_held_out(each.text) for one in some("held_out", 60) for each in one.sentences)
    assert told[True] > told[False]  # the others come from templates with few realisations
    few = {each.text for one in some("held_out", 60) for each in one.sentences if not is_held_out(each.text)}
    assert len(few) < 250


@pytest.mark.parametrize(
    "template", [each for part in (SUBJECTIVE, OBJECTIVE, ASSESSMENT, PLAN) for each in part if not each.few]
)
def test_a_template_with_held_out_sentences_has_at_least_twenty(template: object) -> None:
    make = template.make  # type: ignore[attr-defined]
    rng = random.Random(3)
    assert len({make(Draft(rng)).text for _ in range(1500)}) >= 20


def test_about_one_sentence_in_twenty_is_held_out() -> None:
    rng = random.Random(5)
    texts = {opening(Draft(rng)).text for _ in range(4000)}
    assert 0.03 < sum(map(is_held_out, texts)) / len(texts) < 0.07


def test_more_than_a_million_sentences_by_the_tables_and_by_counting() -> None:
    assert distinct_sentences() > 10**6
    rng = random.Random(1)
    openings = [opening(Draft(rng)).text for _ in range(3000)]
    # Were there few openings, most of three thousand would have been drawn twice.
    assert len(set(openings)) > 2900


def test_a_denial_negates_all_that_it_names() -> None:
    denials = [
        each for one in some("train", 200) for each in one.sentences if re.match(r"(Nega|Sem|Não refere) ", each.text)
    ]
    assert len(denials) > 50
    assert all(fact.negated for each in denials for fact in each.facts)


def test_a_side_is_said_and_stands_in_the_fact() -> None:
    lateral = [
        (each.text, fact.laterality) for one in some("train", 300) for each in one.sentences for fact in each.facts
        if fact.laterality
    ]  # fmt: skip
    assert len(lateral) > 30
    assert all(side[:-1] in text.lower() for text, side in lateral if side)
    assert {side for _, side in lateral} == {"direito", "esquerdo"}


def test_a_medication_carries_a_dose_and_frequency_of_its_table() -> None:
    taken = [
        fact for one in some("train", 300) for each in one.sentences for fact in each.facts if fact.kind == "medication"
    ]
    assert len({fact.name for fact in taken}) > 50
    for fact in taken:
        assert fact.name in DRUGS.names
        assert fact.value == "suspenso" or any((fact.value or "").startswith(dose) for dose in doses(fact.name))


def test_each_drug_has_doses_and_frequencies() -> None:
    for drug in DRUGS.names:
        assert doses(drug)
        assert frequencies(drug)
        assert all(re.fullmatch(r"\d+(,\d+)? (mg|mcg|g|UI)", dose) for dose in doses(drug))


def test_a_renaming_reaches_text_note_and_facts_alike() -> None:
    rng = random.Random(4)
    for _ in range(40):
        one = consult(rng, "train", lambda kind, name: "xablute" if kind == "symptom" else name)
        for each in one.sentences:
            named = [fact for fact in each.facts if fact.name == "xablute"]
            assert not [fact for fact in each.facts if fact.kind == "symptom" and fact.name in SYMPTOMS.names]
            assert not named or ("xablute" in each.text and "xablute" in each.note)
