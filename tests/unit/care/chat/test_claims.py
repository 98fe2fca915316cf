from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.care.chat.claims import Claim, Splitter, judge
from appliance.care.chat.retrieval import Context, Source, Withheld

LINES = {
    1: "Alergia a dipirona; risco alto.",
    2: "Em uso de losartana 50 mg 12/12h desde 02/05/2024.",
    3: "Diagnóstico: hipertensão arterial, ativo desde 2015.",
    4: "Pressão arterial 150/90 mmHg em 12/03/2024.",
    5: "Nota de 02/05/2024, Subjetivo: Nega febre, refere tosse seca há 3 dias.",
    6: "Nota de 02/05/2024, Objetivo: Dor em joelho direito à palpação.",
}


def source(number: int, text: str) -> Source:
    return Source(
        number, f"Thing/{number}", number + 10, "2024-05-02", text, f"/fhir/R4/Thing/{number}/_history/{number + 10}"
    )


CONTEXT = Context(tuple(source(number, text) for number, text in LINES.items()), (), ())


def cited(claim: Claim) -> list[int]:
    return [one.number for one in claim.citations]


@pytest.mark.parametrize(
    ("sentence", "numbers"),
    [
        ("losartana 50 mg 12/12h [2].", [2]),
        ("Usa losartana 50 mg [2][4].", [2, 4]),
        ("O paciente usa losartana 50 mg de 12/12h.", [2]),
        ("A pressão arterial foi 150/90 mmHg em 12/03/2024 [4].", [4]),
        ("Alergia a dipirona [9].", [1]),
        ("- Tem hipertensão arterial [3, 2]", [3, 2]),
        ("Nega febre [5].", [5]),
    ],
)
def test_what_the_record_carries_is_cited_with_resource_and_version(sentence: str, numbers: list[int]) -> None:
    claim = judge(sentence, CONTEXT)
    assert (claim.status, cited(claim)) == ("supported", numbers)
    first = claim.citations[0]
    assert (first.resource, first.version) == (f"Thing/{numbers[0]}", numbers[0] + 10)
    assert "[" not in claim.text


@pytest.mark.parametrize(
    ("sentence", "status"),
    [
        ("losartana 100 mg [2].", "unsupported"),
        ("enalapril 50 mg 12/12h [2].", "unsupported"),
        ("losartana 50 mg 8/8h [2].", "unsupported"),
        ("losartana 50 mcg [2].", "unsupported"),
        ("Pressão arterial 150/90 mmHg em 13/03/2024 [4].", "unsupported"),
        ("Dor em joelho esquerdo [6].", "unsupported"),
        ("Tem diabetes [3].", "unsupported"),
        ("Refere febre [5].", "contradicted"),
        ("Não há registro de alergias.", "contradicted"),
        ("Não há menção a losartana.", "contradicted"),
        ("Não consta hipertensão no prontuário.", "contradicted"),
        ("Não há menção.", "unsupported"),
        ("Não há registro de infarto.", "absent"),
        ("Não encontrei informações sobre tabagismo.", "absent"),
        ("Não há registro de infarto, trombose ou cirurgia.", "absent"),
        ("Não há registro de infarto, mas pode usar varfarina.", "unsupported"),
        ("Não há registro de infarto e a dose de varfarina é 5 mg.", "unsupported"),
        ("Toma varfarina, não há registro de infarto.", "unsupported"),
    ],
)
def test_what_the_record_does_not_carry_is_marked(sentence: str, status: str) -> None:
    claim = judge(sentence, CONTEXT)
    assert claim.status == status
    assert not claim.citations


def test_a_contradiction_names_the_source_that_says_otherwise() -> None:
    assert [one.number for one in judge("Não há registro de alergias.", CONTEXT).conflicts] == [1]
    assert [one.number for one in judge("Refere febre.", CONTEXT).conflicts] == [5]


def test_silence_is_held_to_the_whole_record_and_not_to_what_was_shown() -> None:
    hidden = Context(CONTEXT.sources, (source(7, "Procedimento: apendicectomia em 2010."),), ())
    assert judge("Não há registro de apendicectomia.", CONTEXT).status == "absent"
    assert judge("Não há registro de apendicectomia.", hidden).status == "contradicted"


@pytest.mark.parametrize(
    ("sentence", "unread", "withheld", "unseen"),
    [
        ("Não há registro de vacina contra gripe.", (), (), ""),
        ("Não há registro de vacina contra gripe.", ("Observation",), (), ""),
        ("Não há registro de vacina contra gripe.", ("Immunization",), (), "Immunization"),
        ("Não há registro de vacina contra gripe.", (), ("Immunization/7",), "Immunization/7"),
        ("Não há registro de apendicectomia.", ("Observation",), ("Condition/3",), "Observation, Condition/3"),
    ],
)
def test_nobody_can_say_that_a_record_is_silent_where_it_was_not_read(
    sentence: str, unread: tuple[str, ...], withheld: tuple[str, ...], unseen: str
) -> None:
    hidden = tuple(Withheld(name, 1, "/x") for name in withheld)
    claim = judge(sentence, Context(CONTEXT.sources, (), hidden, unread))
    assert claim.status == ("unsupported" if unseen else "absent")
    assert [(one.code, one.words) for one in claim.problems] == ([("unread", unseen)] if unseen else [])


def test_two_notes_that_disagree_are_both_named() -> None:
    context = Context((*CONTEXT.sources, source(7, "Nota de 01/06/2024, Subjetivo: Refere febre.")), (), ())
    claim = judge("Nega febre [5].", context)
    assert (claim.status, cited(claim), [one.number for one in claim.conflicts]) == ("supported", [5], [7])


@settings(deadline=None, max_examples=50)
@given(dose=st.integers(1, 999), hours=st.sampled_from([4, 6, 8, 12, 24]))
def test_only_the_dose_of_the_record_is_ever_supported(dose: int, hours: int) -> None:
    claim = judge(f"Usa losartana {dose} mg {hours}/{hours}h [2].", CONTEXT)
    assert (claim.status == "supported") is ((dose, hours) == (50, 12))


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=120))
def test_no_answer_breaks_the_judge(text: str) -> None:
    claim = judge(text, CONTEXT)
    assert (claim.status == "supported") == bool(claim.citations)


def split(*pieces: str) -> list[str]:
    splitter = Splitter()
    return [" ".join(one.split()) for piece in pieces for one in splitter.feed(piece)] + [
        " ".join(one.split()) for one in splitter.end()
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Usa losartana 50 mg [2]. Nega febre [5].", ["Usa losartana 50 mg [2].", "Nega febre [5]."]),
        ("losartana 50 mg [2]; metformina 850 mg [3].", ["losartana 50 mg [2];", "metformina 850 mg [3]."]),
        ("Usa losartana. [2] Nega febre. [5]", ["Usa losartana. [2]", "Nega febre. [5]"]),
        ("- A 1,5 mg\n- B 2.5 mg", ["- A 1,5 mg", "- B 2.5 mg"]),
        ("Visto pela Dra. Ana em 2024.", ["Visto pela Dra. Ana em 2024."]),
        ("  \n... \n", []),
    ],
)
def test_an_answer_is_cut_into_sentences(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences
    assert split(*text) == sentences


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text("ab .;!?[]12\n", max_size=8), max_size=12))
def test_however_it_arrives_no_word_is_lost(pieces: list[str]) -> None:
    letters = [c for c in "".join(pieces) if c in "ab"]
    assert [c for one in split(*pieces) for c in one if c in "ab"] == letters
