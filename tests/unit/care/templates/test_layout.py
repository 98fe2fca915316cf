from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.care.guard import Verdict
from appliance.care.model import SECTION_CODES, Content, Fact, Section, Sentence
from appliance.care.note_schema import FACT_KINDS
from appliance.care.templates.layout import MAX_CHARACTERS, arrange, parse
from appliance.care.templates.shelf import builtin
from appliance.plugin_api.errors import ProntuarioError

GOOD = Verdict(supported=True)
WHOLE = '[[heading]]\ntitle = "Tudo"\ntakes = ["S", "O", "A", "P"]\n'


def fact(kind: str, name: str, *segments: int) -> Fact:
    return Fact(kind, name, None, negated=False, laterality=None, segments=segments, verdict=GOOD)


def content(template: str, facts: tuple[Fact, ...] = (), **sections: list[tuple[str, tuple[int, ...]]]) -> Content:
    parts = tuple(
        Section(code, tuple(Sentence(text, text, cited, "ai", GOOD) for text, cited in sections.get(code, [])))
        for code in SECTION_CODES
    )
    return Content(parts, facts, None, "f" * 64, parse(builtin()[template], template, 0))


def under(arranged: Content) -> dict[str, list[str]]:
    return {heading.title: [each.text for each in heading.sentences] for heading in arrange(arranged)}


def test_the_product_brings_the_four_templates() -> None:
    assert set(builtin()) == {"soap", "evolucao", "anamnese", "alta"}


def test_an_anamnesis_sorts_what_was_told_by_what_it_tells() -> None:
    facts = (
        fact("symptom", "tosse", 1),
        fact("medication", "losartana", 2),
        fact("allergy", "dipirona", 3),
        fact("family", "infarto", 4),
        fact("habit", "tabagismo", 5),
        fact("vital", "pressão arterial", 6),
        fact("finding", "ausculta pulmonar", 7),
        fact("medication", "amoxicilina", 9),
    )
    made = content(
        "anamnese",
        facts,
        S=[
            ("Refere tosse.", (1,)),
            ("Em uso de losartana.", (2,)),
            ("Alergia a dipirona.", (3,)),
            ("Pai com infarto.", (4,)),
            ("Tabagista.", (5,)),
        ],
        O=[("Pressão arterial 120/80.", (6,)), ("Ausculta pulmonar limpa.", (7,))],
        A=[("Hipótese de pneumonia.", (8,))],
        P=[("Iniciar amoxicilina.", (9,))],
    )
    found = under(made)
    assert found["Queixa e história da doença atual"] == ["Refere tosse."]
    assert found["Medicações em uso"] == ["Em uso de losartana."]
    assert found["Alergias"] == ["Alergia a dipirona."]
    assert found["História familiar"] == ["Pai com infarto."]
    assert found["Hábitos de vida"] == ["Tabagista."]
    assert found["Sinais vitais"] == ["Pressão arterial 120/80."]
    assert found["Exame físico"] == ["Ausculta pulmonar limpa."]
    assert found["Hipóteses diagnósticas"] == ["Hipótese de pneumonia."]
    assert found["Conduta"] == ["Iniciar amoxicilina."]  # a drug of the plan is no drug in use
    assert found["Antecedentes pessoais"] == []


def test_two_sentences_of_one_breath_go_where_their_own_words_belong() -> None:
    facts = (fact("medication", "losartana", 1), fact("allergy", "dipirona", 1))
    made = content("anamnese", facts, S=[("Em uso de losartana.", (1,)), ("Alergia a dipirona.", (1,))])
    found = under(made)
    assert (found["Medicações em uso"], found["Alergias"]) == (["Em uso de losartana."], ["Alergia a dipirona."])


def test_without_a_template_nothing_is_arranged() -> None:
    assert arrange(Content((), (), None, "f" * 64)) == ()


SENTENCE = st.tuples(
    st.integers(0, 10**6).map(lambda n: f"frase {n}"), st.lists(st.integers(1, 9), max_size=3).map(tuple)
)
SECTIONS = st.dictionaries(st.sampled_from(SECTION_CODES), st.lists(SENTENCE, max_size=6))
FACTS = st.lists(
    st.builds(lambda kind, cited: fact(kind, "frase", *cited), st.sampled_from(FACT_KINDS), st.lists(st.integers(1, 9)))
).map(tuple)


@settings(deadline=None, max_examples=50)
@given(template=st.sampled_from(sorted(builtin())), facts=FACTS, sections=SECTIONS)
def test_no_template_loses_doubles_or_reorders_a_sentence_of_a_heading(
    template: str, facts: tuple[Fact, ...], sections: dict[str, list[tuple[str, tuple[int, ...]]]]
) -> None:
    made = content(template, facts, **sections)
    everywhere = [id(each) for heading in arrange(made) for each in heading.sentences]
    order = {id(each): place for place, each in enumerate(made.sentences())}
    assert sorted(order[one] for one in everywhere) == list(range(len(order)))
    for heading in arrange(made):
        places = [order[id(each)] for each in heading.sentences]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title = ", "Invalid"),
        ('title = "x"', "heading"),
        ('title = "x"\n' + WHOLE.replace('"S", ', ""), "takes S"),
        ('title = "x"\n' + WHOLE + 'kinds = ["vital"]', "takes S, O, A, P"),
        ('title = "x"\n' + WHOLE + WHOLE.replace("Tudo", "b") + 'kinds = ["mood"]', "mood"),
        ('title = "x"\n' + WHOLE + WHOLE, "same title"),
        ('title = "x"\ncolour = "red"\n' + WHOLE, "colour"),
        ('title = "x"\n' + WHOLE.replace('"S"', '"X"'), "X"),
        ('title = "x"\n' + WHOLE + 'loinc = "not a code"', "loinc"),
        ('title = "x\\u0007"\n' + WHOLE, "title"),
        ('title = "x"\n' + WHOLE * 41, "length"),
        ("#" * (MAX_CHARACTERS + 1), "characters"),
    ],
)
def test_a_file_that_would_lose_something_or_is_not_understood_is_refused_with_the_reason(
    text: str, reason: str
) -> None:
    with pytest.raises(ProntuarioError, match=re.escape("template.invalid")) as caught:
        parse(text, "x", 1)
    assert reason in str(caught.value.details["reason"])


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=200))
def test_any_text_is_a_template_or_a_refusal(text: str) -> None:
    with pytest.raises(ProntuarioError, match=re.escape("template.invalid")):
        parse(text, "x", 1)
