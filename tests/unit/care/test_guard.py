from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.guard import check_fact, check_sentence
from appliance.care.guard.lexicon import DRUGS
from tests.unit.care.test_guard_numbers import spoken

SPEECH = {
    1: "Bom dia doutora, estou com dor no joelho direito há três dias.",
    2: "Não tive febre, mas senti tontura ontem.",
    3: "A senhora toma algum remédio?",
    4: "Tomo losartana cinquenta miligramas de manhã e metformina oitocentos e cinquenta duas vezes ao dia.",
    5: "Pressão cento e trinta e oito por oitenta e dois, frequência cardíaca setenta e seis e saturação noventa e oito.",
    6: "Não tenho alergia a nenhum remédio.",
    7: "Vou prescrever dipirona quinhentos miligramas de seis em seis horas por cinco dias.",
    8: "Suspendo o enalapril e mantenho a metformina.",
    9: "Ombro direito sem dor. Quadril esquerdo com dor.",
    10: "Levotiroxina setenta e cinco em jejum. Pressão quinze por nove.",
    11: "Consulta no dia doze de março, joelho inchado",
    12: "desde ontem com calor local.",
    13: "Refere dor no quadril.",
    14: "Temperatura de trinta e sete vírgula oito graus.",
    15: "Tomo losartana, e minha mãe tomava insulina.",
    16: "Pai com infarto, diabetes e derrame. Eu tenho asma.",
    17: "Minha mulher teve febre, mas eu não tive febre.",
}
TRUE = [
    ("Dor em joelho direito há 3 dias.", [1]),
    ("Nega febre, refere tontura.", [2]),
    ("Em uso de losartana 50 mg pela manhã e metformina 850 mg 2 vezes ao dia.", [4]),
    ("Em uso de metformina 850 mg 12/12h.", [4]),
    ("PA 138x82 mmHg, FC 76 bpm.", [5]),
    ("PA 138/82 mmHg, SatO2 98%.", [5]),
    ("Nega alergias medicamentosas.", [6]),
    ("Dipirona 500 mg de 6/6 h por 5 dias.", [7]),
    ("Iniciar dipirona 0,5 g 6/6h.", [7]),
    ("Suspender enalapril, manter metformina.", [8]),
    ("Dor em quadril esquerdo.", [9, 1]),
    ("PA 150/90 mmHg.", [10]),
    ("Joelho inchado desde ontem.", [11, 12]),
    ("Consulta em 12 de março.", [11]),
    ("Em uso de losartana.", [15]),
    ("Mãe em uso de insulina.", [15]),
    ("História familiar: infarto e diabetes (pai).", [16]),
    ("Antecedentes familiares de diabetes.", [16]),
    ("Refere asma.", [16]),
    ("Nega febre.", [17]),
]
FALSE = [
    ("Dor em joelho esquerdo há 3 dias.", [1], "laterality"),
    ("Dor em joelho direito há 30 dias.", [1], "number"),
    ("Dor em joelho direito há 3 semanas.", [1], "unit"),
    ("Refere febre e tontura.", [2], "negation"),
    ("Nega febre, nega tontura.", [2], "negation"),
    ("Refere tontura hoje.", [2], "qualifier"),
    ("Em uso de enalapril 50 mg.", [4], "drug"),
    ("Em uso de losartana 500 mg.", [4], "number"),
    ("Em uso de losartana 50 mcg.", [4], "unit"),
    ("Em uso de losartana 850 mg.", [4], "binding"),
    ("Metformina 850 mg 3 vezes ao dia.", [4], "frequency"),
    ("PA 188x82 mmHg.", [5], "number"),
    ("PA 82/138 mmHg.", [5], "number"),
    ("FC 98 bpm, SatO2 76%.", [5], "binding"),
    ("Alergia a dipirona.", [6], "drug"),
    ("Dipirona 500 mg de 4/4 h.", [7], "frequency"),
    ("Amoxicilina 500 mg por 5 dias.", [7], "drug"),
    ("Zoltrepina 500 mg 6/6h.", [7], "drug"),
    ("Manter enalapril, suspender metformina e aumentar losartana.", [8], "action"),
    ("Levotiroxina 75 mg em jejum.", [10], "unit"),
    ("Dispneia aos esforços.", [1], "finding"),
    ("Paciente tabagista.", [3], "finding"),
    ("Pai com infarto.", [1], "finding"),
    ("Hipótese de dor no quadril.", [13], "finding"),
    ("Hipótese de 37,8 °C.", [14], "invention"),
    ("Em uso de insulina.", [15], "person"),
    ("Diabetes.", [16], "person"),
    ("Trabalha como motorista noturno.", [1], "invention"),
    ("Consulta em 12 de abril.", [11], "date"),
    ("Dipirona 500 mg.", [], "no_segment"),
    ("Dipirona 500 mg.", [42], "unknown_segment"),
]


@pytest.mark.parametrize(("sentence", "segments"), TRUE)
def test_what_was_said_raises_no_alarm(sentence: str, segments: list[int]) -> None:
    verdict = check_sentence(sentence, segments, SPEECH)
    assert verdict.problems == ()
    assert verdict.supported


@pytest.mark.parametrize(("sentence", "segments", "code"), FALSE)
def test_what_was_not_said_is_caught_and_named(sentence: str, segments: list[int], code: str) -> None:
    verdict = check_sentence(sentence, segments, SPEECH)
    assert not verdict.supported
    assert code in [problem.code for problem in verdict.problems]


@pytest.mark.parametrize("text", [text for number, text in SPEECH.items() if number != 3])
def test_the_speech_itself_is_always_supported(text: str) -> None:
    assert check_sentence(text, [1], {1: text}).supported


DRUG = st.sampled_from(sorted(DRUGS - {"acetilsalicilico", "adrenalina", "noradrenalina", "hioscina"}))
DOSE = st.integers(2, 999)
HOURS = st.sampled_from([4, 6, 8, 12])


@given(drug=DRUG, dose=DOSE, hours=HOURS, days=st.integers(2, 30))
def test_a_prescription_in_words_supports_itself_in_signs(drug: str, dose: int, hours: int, days: int) -> None:
    said = f"Prescrevo {drug} {spoken(dose)} miligramas de {spoken(hours)} em {spoken(hours)} horas por {spoken(days)} dias."
    assert check_sentence(f"Iniciar {drug} {dose} mg {hours}/{hours}h por {days} dias.", [1], {1: said}).supported


@given(drug=DRUG, dose=DOSE, wrong=DOSE, hours=HOURS)
def test_a_wrong_dose_never_passes(drug: str, dose: int, wrong: int, hours: int) -> None:
    said = f"Prescrevo {drug} {spoken(dose)} miligramas de {hours} em {hours} horas."
    verdict = check_sentence(f"Iniciar {drug} {wrong} mg {hours}/{hours}h.", [1], {1: said})
    assert verdict.supported is (dose == wrong)


@given(drug=DRUG, other=DRUG, dose=DOSE)
def test_a_swapped_drug_never_passes(drug: str, other: str, dose: int) -> None:
    verdict = check_sentence(f"Manter {other} {dose} mg.", [1], {1: f"Mantenho {drug} {spoken(dose)} miligramas."})
    assert verdict.supported is (drug == other)


@given(name=st.text(string.ascii_lowercase, min_size=6, max_size=12), slip=st.integers(0, 5), dose=DOSE)
def test_an_unknown_drug_must_be_written_as_it_was_heard(name: str, slip: int, dose: int) -> None:
    changed = name[:slip] + ("q" if name[slip] != "q" else "z") + name[slip + 1 :]
    sentence = f"Iniciar x{changed} {dose} mg."
    assert not check_sentence(sentence, [1], {1: f"Prescrevo x{name} {dose} mg."}).supported


@pytest.mark.parametrize(
    ("said", "right", "wrong"),
    [
        ("zero vírgula cento e vinte e cinco", "0,125", "125"),
        ("zero vírgula cento e vinte e cinco", "0.125", "0,25"),
        ("dois vírgula cento e vinte e cinco", "2,125", "2125"),
        ("zero vírgula zero zero um", "0,001", "1"),
        ("0,125", "0.125", "125"),
        ("1.500", "1500", "1,5"),
    ],
)
def test_three_places_behind_the_comma_are_no_thousands(said: str, right: str, wrong: str) -> None:
    speech = {1: f"Digoxina {said} miligramas uma vez ao dia."}
    assert check_sentence(f"Digoxina {right} mg 1x/dia.", [1], speech).supported
    assert not check_sentence(f"Digoxina {wrong} mg 1x/dia.", [1], speech).supported


@given(whole=st.integers(0, 40), places=st.integers(1, 999))
def test_every_fraction_that_is_said_is_read_as_it_was_said(whole: int, places: int) -> None:
    said = {1: f"Iniciar insulina {spoken(whole)} vírgula {spoken(places)} mg."}
    assert check_sentence(f"Iniciar insulina {whole},{places} mg.", [1], said).supported
    assert not check_sentence(f"Iniciar insulina {whole}{places} mg.", [1], said).supported


@given(systolic=st.integers(90, 220), diastolic=st.integers(40, 89), wrong=st.integers(40, 220))
def test_blood_pressure_in_words(systolic: int, diastolic: int, wrong: int) -> None:
    said = {1: f"Pressão arterial {spoken(systolic)} por {spoken(diastolic)}."}
    assert check_sentence(f"PA {systolic}/{diastolic} mmHg.", [1], said).supported
    assert not check_sentence(f"PA {diastolic}/{systolic} mmHg.", [1], said).supported
    assert check_sentence(f"PA {systolic}/{wrong} mmHg.", [1], said).supported is (wrong == diastolic)


@pytest.mark.parametrize("finding", ["febre", "tosse seca", "dor torácica", "náuseas", "edema", "dispneia"])
def test_a_negation_cannot_be_lost_or_invented(finding: str) -> None:
    denied, told = {1: f"Nega {finding}."}, {1: f"Refere {finding}."}
    assert check_sentence(f"Nega {finding}.", [1], denied).supported
    assert check_sentence(f"Refere {finding}.", [1], told).supported
    assert not check_sentence(f"Refere {finding}.", [1], denied).supported
    assert not check_sentence(f"Nega {finding}.", [1], told).supported


@pytest.mark.parametrize("filler", ["Hum", "Hum, entendi.", "Ah, certo.", "Ok, obrigada."])
def test_what_people_say_to_show_that_they_listen_is_no_finding(filler: str) -> None:
    assert not check_sentence(filler, [1], {1: "Hum, entendi. Ah, certo. Ok, obrigada."}).supported
    told = check_fact(filler, None, negated=False, laterality=None, segments=[1], transcript={1: filler})
    assert [problem.code for problem in told.problems] == ["invention"]
    assert check_sentence("Febre há 2 dias.", [1], {1: f"{filler} Febre há 2 dias."}).supported


def fact(
    name: str, value: str | None = None, *, negated: bool = False, side: str | None = None, cited: int = 1
) -> bool:
    return check_fact(name, value, negated=negated, laterality=side, segments=[cited], transcript=SPEECH).supported


def test_facts_are_held_to_the_same() -> None:
    assert fact("pressão arterial", "138/82", cited=5)
    assert not fact("pressão arterial", "139/82", cited=5)
    assert fact("dor no joelho", "3 dias", side="direito")
    assert not fact("dor no joelho", "3 dias", side="esquerdo")
    assert fact("febre", negated=True, cited=2)
    assert not fact("febre", cited=2)
    assert fact("alergias", negated=True, cited=6)
    assert fact("metformina", "850 mg 12/12h", cited=4)
    assert not fact("losartana", "850 mg 12/12h", cited=4)


@given(st.text(max_size=120), st.text(max_size=120))
def test_no_text_breaks_the_guard(sentence: str, speech: str) -> None:
    verdict = check_sentence(sentence, [1], {1: speech})
    assert verdict.supported is (not verdict.problems)
    assert check_sentence(sentence, [1], {1: speech}) == verdict


@pytest.mark.parametrize(
    ("said", "written", "unheard"),
    [
        (
            "Refere dor na mão direita que piora ao caminhar.",
            "Refere dor na perna direita que piora ao caminhar.",
            "perna",
        ),
        ("Mãe com dermatite de contato.", "Mãe com dermatite atópica.", "atopica"),
        (
            "Alergia a cefalexina, com edema de face.",
            "Alergia a cefalexina, com edema de membros inferiores.",
            "membro",
        ),
        ("Mulher de 38 anos com dor retro-orbitária.", "Paciente feminina de 38 anos com dor lombar.", "lombar"),
        ("Retorno em 3 dias com exames.", "Retorno em jejum com exames.", "jejum"),
    ],
)
def test_a_word_in_the_place_of_another_is_caught(said: str, written: str, unheard: str) -> None:
    problems = check_sentence(written, [1], {1: said}).problems
    (problem,) = [problem for problem in problems if problem.code == "substitution"]
    assert unheard in problem.words
    assert check_sentence(said, [1], {1: said}).supported


def test_a_courtesy_is_no_finding() -> None:
    said = {1: "Bom dia, doutora."}
    assert not check_fact("bom", None, negated=False, laterality=None, segments=[1], transcript=said).supported
    assert check_fact(
        "paciente", "72 anos", negated=False, laterality=None, segments=[1], transcript={1: "Paciente de 72 anos."}
    ).supported


def test_a_sentence_may_tell_a_part_of_long_speech_in_words_of_its_own() -> None:
    said = {1: "Ontem acordei com dor no joelho, fui ao trabalho, subi a escada da estação e na volta o joelho inchou."}
    assert check_sentence("Dor importante no joelho.", [1], said).supported


@pytest.mark.parametrize("asked", ["Tem febre?", "O senhor tem tido febre ou calafrios?"])
def test_a_question_alone_carries_nothing_but_with_its_answer_it_may(asked: str) -> None:
    verdict = check_sentence("Refere febre.", [1], {1: asked})
    assert [problem.code for problem in verdict.problems] == ["question"]
    assert check_sentence("Refere febre.", [1, 2], {1: asked, 2: "Tenho, desde ontem."}).supported
    assert check_sentence("Refere febre.", [1], {1: f"Sim, refere febre. {asked}"}).supported


@pytest.mark.parametrize("said", ["Direito.", "Esquerda, direita.", ""])
def test_a_side_without_anything_before_it_breaks_nothing(said: str) -> None:
    assert not check_sentence("Dor no joelho direito.", [1], {1: said}).supported
    assert not check_fact(
        "direito", None, negated=False, laterality="esquerdo", segments=[1], transcript={1: "dor"}
    ).supported


def test_harmless_words_that_were_not_said_are_listed_but_raise_no_alarm() -> None:
    verdict = check_sentence("Dor importante em joelho direito há 3 dias.", [1], SPEECH)
    assert verdict.supported
    assert verdict.unheard == ("importante",)
