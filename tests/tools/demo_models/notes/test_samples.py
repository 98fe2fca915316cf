from __future__ import annotations

import json
import random
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Template
from llguidance import LLMatcher

from appliance.care.guard.check import check_fact, check_sentence
from appliance.care.model import Segment
from appliance.care.note_schema import Draft, answer_schema, messages
from tools.demo_models.grammar import is_held_out
from tools.demo_models.notes.hearing import CLEAN, Manner, misheard, scene, worded
from tools.demo_models.notes.made_up import Renamer, word
from tools.demo_models.notes.misspelling import misspelt
from tools.demo_models.notes.samples import CHAT_TEMPLATE, chat_sample, chunks, gold_note, note_sample, sample, written

SEEDS = st.integers(0, 2**32)


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_the_prompt_is_the_product_s_and_the_answer_fits_its_schema(seed: int) -> None:
    made = note_sample(random.Random(seed), Manner())
    segments = [Segment(number, 0.0, 0.0, text, 1.0) for number, text in made.scene.segments.items()]
    assert made.turns[0].question == messages(segments)[1].content
    note = msgspec.json.decode(made.turns[0].answer, type=Draft)
    assert note == msgspec.convert(made.note, Draft)
    LLMatcher.grammar_from_json_schema(json.dumps(answer_schema(list(made.scene.segments))))


@pytest.mark.parametrize(
    "manner",
    [CLEAN, Manner(0, 0, 1.0, 0, 0, 0, 0, cuts=False), Manner(0, 0, 0, 1.0, 0, 0, 0), Manner(0, 0, 0, 0, 0, 1.0, 0)],
)
def test_the_guard_lets_every_gold_note_through(manner: Manner) -> None:
    rng = random.Random(5)
    for _ in range(40):
        heard = scene(rng, manner)
        for said, at in heard.items:
            assert check_sentence(said.note, at, heard.segments).supported, said
            for fact in said.facts:
                verdict = check_fact(
                    fact.name,
                    fact.value,
                    negated=fact.negated,
                    laterality=fact.laterality,
                    segments=at,
                    transcript=heard.segments,
                )
                assert verdict.supported, (said, fact, verdict)


def test_most_entities_of_training_are_made_up() -> None:
    renamer = Renamer(random.Random(1), 0.45, 0.0)
    changed = sum(renamer("diagnosis", "asma") != "asma" for _ in range(2000))
    assert 0.38 < changed / 2000 < 0.52


@settings(deadline=None, max_examples=100)
@given(SEEDS)
def test_a_made_up_name_holds_no_word_that_would_change_the_grammar(seed: int) -> None:
    renamer = Renamer(random.Random(seed), 1.0)
    for kind, name in (("symptom", "febre"), ("diagnosis", "asma"), ("drug", "losartana"), ("exam", "hemograma")):
        made = renamer(kind, name)
        assert made
        assert made == made.strip()
        assert not set(made.split()) & {"e", "ou", "que", "há", "nega", "sem", "para"}


def test_a_misheard_number_is_copied_and_not_corrected() -> None:
    rng, changed = random.Random(2), 0
    for _ in range(300):
        said = scene(rng, CLEAN).items[0][0]
        heard = misheard(said, rng)
        assert not is_held_out(heard.text)
        if heard == said:
            continue
        changed += 1
        assert heard.text != said.text
        written = heard.note.replace("SatO2", "")
        assert set(re.findall(r"\d+", written)) <= set(re.findall(r"\d+", heard.text))
    assert changed > 100


def test_numbers_as_words_are_copied_as_words() -> None:
    rng = random.Random(3)
    for _ in range(60):
        for said, _ in scene(rng, CLEAN).items:
            heard = worded(said)
            assert not re.search(r"\d", heard.text)
            assert not re.search(r"\d", heard.note)
            values = " ".join(fact.value or "" for fact in heard.facts)
            assert not re.search(r"\d", re.sub(r"\d+/\d+h|\d+/dia|1x/semana|/mm3", "", values)), heard


def test_other_people_s_lines_are_no_one_s_facts() -> None:
    rng, others = random.Random(4), 0
    for _ in range(60):
        heard = scene(rng, Manner(0, 0, 0, 0, 0, 1.0, 0, cuts=False))
        cited = {number for _, at in heard.items for number in at}
        others += len(heard.segments) - len(cited)
        note = gold_note(heard)
        assert {number for fact in note["facts"] for number in fact["segments"]} <= cited
    assert others > 100


def test_training_samples_have_no_held_out_sentence() -> None:
    rng = random.Random(6)
    for _ in range(300):
        assert not [
            said.text for said, _ in scene(rng, Manner(made_up=0.0, number_words=0.0)).items if is_held_out(said.text)
        ]


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_chunks_spell_what_the_chat_template_renders(seed: int) -> None:
    made = sample(random.Random(seed), Manner())
    turns = []
    for turn in made.turns:
        turns += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]
    rendered = Template(CHAT_TEMPLATE).render(messages=turns, bos_token="<bos>", add_generation_prompt=False)
    assert "".join(text for text, _ in chunks(made.turns)) == rendered


def test_what_was_not_said_is_said_to_be_absent() -> None:
    rng, absent, cited = random.Random(8), 0, 0
    for _ in range(200):
        made = chat_sample(rng, CLEAN)
        said = " ".join(made.scene.segments.values()).lower()
        for turn in made.turns:
            if turn.kind == "has" and turn.answer.startswith("Não há menção a "):
                absent += 1
                assert turn.answer.removeprefix("Não há menção a ").rstrip(".") not in said
            for number in re.findall(r"\[(\d+)\]", turn.answer):
                cited += 1
                assert int(number) in made.scene.segments
    assert absent > 20
    assert cited > 200


def test_a_misspelling_keeps_the_beginning() -> None:
    rng = random.Random(9)
    for _ in range(500):
        made = word(rng)
        wrong = misspelt(made, rng)
        assert wrong[0].translate(str.maketrans("áéíóúã", "aeioua")) == made[0].translate(
            str.maketrans("áéíóúã", "aeioua")
        )
        assert abs(len(wrong) - len(made)) <= 1


def test_a_note_is_written_without_blanks() -> None:
    assert written({"facts": [], "a": None}) == '{"facts":[],"a":null}'
