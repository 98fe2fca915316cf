"""The guard's parts by themselves: polarity, people, what belongs to what, what is done with which drug."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.guard import check_sentence
from appliance.care.guard.attributes import SCHEDULE, SIDE, TIME, attributes, of_kind
from appliance.care.guard.evidence import Evidence
from appliance.care.guard.form import canonical, heard_tokens, tokens
from appliance.care.guard.people import PATIENT, owners, relatives_in
from appliance.care.guard.roles import roles
from appliance.care.guard.wordings import before_folding, height, quantities


def denied(text: str) -> set[str]:
    return {token.text for token in tokens(text) if token.negated}


@pytest.mark.parametrize(
    ("text", "no", "yes"),
    [
        ("Febre não teve, teve só calafrio.", {"febre"}, {"calafrio"}),
        ("Dor nega, refere tontura.", {"dor"}, {"tontura"}),
        ("Infarto descartado pelo eletro.", {"infarto"}, set()),
        ("Edema ausente, sopro presente.", {"edema"}, {"sopro"}),
        ("Edema e cianose ausentes.", {"edema", "cianose"}, set()),
        ("Ausência de edema e presença de sopro.", {"edema"}, {"sopro"}),
        ("Sem a presença de edema.", {"edema"}, set()),
        ("Nega: febre, tosse.", {"febre", "tosse"}, set()),
        ("Não, tome paracetamol.", set(), {"paracetamol"}),
        ("Nega febre, caiu da escada.", {"febre"}, {"escada"}),
        ("Nunca mais tive febre.", {"febre"}, set()),
        ("Dengue não confirmada.", {"dengue"}, set()),
        ("O exame não mostrou fratura, mostrou derrame.", {"fratura"}, {"derrame"}),
        ("Não vomitei nem tive diarreia, só náusea.", {"vomito", "diarreia"}, {"nausea"}),
    ],
)
def test_a_negation_holds_where_it_is_meant(text: str, no: set[str], yes: set[str]) -> None:
    assert no <= denied(text)
    assert not yes & denied(text)
    assert yes <= {token.text for token in tokens(text)}


@pytest.mark.parametrize(
    ("spoken", "affirmed", "negated"),
    [
        ("Tem febre? Tenho, desde ontem.", {"febre"}, set()),
        ("Tem febre? Não.", set(), {"febre"}),
        ("Tem febre? Que eu saiba, não.", set(), {"febre"}),
        ("Tem febre? Não sei.", set(), set()),
        ("Tem febre?", set(), set()),
        ("Tem febre? Tosse? Tenho.", {"tosse"}, set()),
        ("Tem febre? Tosse? Nada disso.", set(), {"febre", "tosse"}),
        ("Não tem febre? Tenho tosse.", {"tosse"}, set()),
        ("Onde dói? No joelho direito.", {"dor", "joelho", "direito"}, set()),
        ("É o olho direito ou o esquerdo? O esquerdo.", {"olho", "esquerdo"}, set()),
        ("Tem dor no peito? Só falta de ar.", {"falta"}, set()),
        ("Quantos comprimidos? Dois.", {"2"}, set()),
    ],
)
def test_a_question_says_what_its_answer_makes_of_it(spoken: str, affirmed: set[str], negated: set[str]) -> None:
    heard = heard_tokens(spoken)
    told = {token.text for token in heard if not token.negated}
    assert affirmed <= told
    assert negated <= {token.text for token in heard if token.negated}
    assert not {"febre", "tosse", "peito"} & (told - affirmed)
    assert ("direito" in told) is ("direito" in affirmed)


def whose(text: str, word: str) -> set[str]:
    heard = tokens(text)
    found = owners(heard, relatives_in(frozenset(token.text for token in heard)))
    return next(people for root, people in found.items() if word.startswith(root))


@pytest.mark.parametrize(
    ("text", "word", "people"),
    [
        ("Minha mãe tem diabetes e eu tenho asma.", "diabetes", {"mae"}),
        ("Minha mãe tem diabetes e eu tenho asma.", "asma", {PATIENT}),
        ("Diabetes na mãe, infarto no pai.", "diabetes", {"mae"}),
        ("Diabetes na mãe, infarto no pai.", "infarto", {"pai"}),
        ("Mãe com diabetes e infarto no pai.", "diabetes", {"mae"}),
        ("Febre segundo relato da mãe.", "febre", {PATIENT}),
        ("Meu filho tem catapora e eu tenho coceira.", "catapora", {"filho"}),
        ("Meu filho está com febre.", "febre", {PATIENT}),
        ("Meu avô teve AVC.", "avc", {"avohomem"}),
        ("Diabetes na família.", "diabetes", {"familia"}),
        ("Pai hipertenso, sou diabético.", "diabetes", {PATIENT}),
    ],
)
def test_a_disease_is_that_persons_who_is_named_with_it(text: str, word: str, people: set[str]) -> None:
    assert whose(text, word) == people


def belongs(text: str, kind: str) -> dict[str, set[str]]:
    return {found.value: set(found.owners or ()) for found in of_kind(Evidence.of(text), kind)}


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("Losartana de manhã e sinvastatina à noite.", SCHEDULE,
         {"pela_manha": {"losartana"}, "a_noite": {"sinvastatina"}}),
        ("Dipirona de 6 em 6 horas e ibuprofeno de 8 em 8 horas.", SCHEDULE,
         {"freq_6h": {"dipirona"}, "freq_8h": {"ibuprofeno"}}),
        ("Dipirona. De 6 em 6 horas.", SCHEDULE, {"freq_6h": {"dipirona"}}),
        ("Tosse e febre há 3 dias.", TIME, {"3 dia": {"tosse", "febre"}}),
        ("Há 2 dias tosse e há 3 semanas dor.", TIME, {"2 dia": {"tosse"}, "3 semana": {"dor"}}),
        ("Em 2012 tive infarto, em 2016 AVC.", TIME, {"2012": {"infarto"}, "2016": {"avc"}}),
        ("Dor no joelho direito e edema no tornozelo esquerdo.", SIDE,
         {"direito": {"dor", "joelho"}, "esquerdo": {"edema", "tornozelo"}}),
    ],
)  # fmt: skip
def test_what_is_said_of_when_and_where_belongs_to_what_it_was_said_of(
    text: str, kind: str, expected: dict[str, set[str]]
) -> None:
    assert belongs(text, kind) == expected


def test_an_age_is_no_span_and_doses_go_with_their_hours() -> None:
    assert [found.value for found in attributes(Evidence.of("Paciente de 45 anos com tosse há 2 dias."))] == ["2 dia"]
    found = {a.value: a.doses for a in attributes(Evidence.of("Insulina 20 UI de manhã e 10 UI à noite."))}
    assert found == {"pela_manha": {"20"}, "a_noite": {"10"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Suspendi o AAS e iniciei clopidogrel.", {"aas": {"suspender"}, "clopidogrel": {"iniciar"}}),
        ("AAS suspenso, clopidogrel iniciado.", {"aas": {"suspender"}, "clopidogrel": {"iniciar"}}),
        ("Alergia a dipirona e usa paracetamol.", {"dipirona": {"alergia"}, "paracetamol": {"em_uso"}}),
        ("Trocar enalapril por losartana.", {"enalapril": {"trocar"}, "losartana": {"trocar por"}}),
        ("Parou de tomar omeprazol.", {"omeprazol": {"suspender"}}),
        ("Alergia: dipirona, gravidade alta. Em uso de losartana.", {"dipirona": {"alergia"}, "losartana": {"em_uso"}}),
        ("Já tomei fluoxetina.", {"fluoxetina": {"usou"}}),
        ("Comecei a tomar sertralina.", {"sertralina": {"iniciar"}}),
        ("A febre começou ontem.", {}),
        ("A dor melhora com dipirona.", {}),
    ],
)
def test_what_is_done_with_a_drug(text: str, expected: dict[str, set[str]]) -> None:
    assert roles(Evidence.of(text)) == expected


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1 maco e meio", "1.5 maco"),
        ("1 m e 75 cm", "1.75 m"),
        ("1 milhao e 200000 ui", "1200000 ui"),
        ("trigesima segunda semana", "32 semana"),
        ("vigesima semana", "20 semana"),
    ],
)
def test_numbers_stand_around_their_units(text: str, form: str) -> None:
    assert quantities(text) == form


def test_words_that_only_an_accent_tells_apart() -> None:
    assert before_folding("O bebê e o avô") == "O nenem e o avohomem"
    assert "etilismo" not in canonical("O bebê está bem.")
    assert "etilismo" in canonical("Bebe cerveja.")
    assert height("vital_altura um e 70") == "vital_altura 1.7 m"


def test_a_word_that_a_model_repeats_without_end_is_no_misspelling() -> None:
    said = {1: "Miastenia gravis em melhora clínica."}
    assert not check_sentence("Miastenia gravis gravis gravis gravis.", [1], said).supported
    assert not check_sentence("Miastenia gravisia.", [1], said).supported
    assert check_sentence("Miastenia gravis em melhora clínica.", [1], said).supported
    assert check_sentence("Muito, muito, muito cansado.", [1], {1: "Estou muito, muito, muito cansado."}).supported


DRUGS = st.sampled_from(["losartana", "metformina", "sinvastatina", "omeprazol", "sertralina", "carvedilol"])
HOURS = st.sampled_from([4, 6, 8, 12])


@given(first=DRUGS, second=DRUGS, one=HOURS, other=HOURS)
def test_the_hours_of_two_drugs_are_never_exchanged(first: str, second: str, one: int, other: int) -> None:
    said = {1: f"Tomo {first} de {one} em {one} horas e {second} de {other} em {other} horas."}
    assert check_sentence(f"Em uso de {first} {one}/{one}h e {second} {other}/{other}h.", [1], said).supported
    turned = check_sentence(f"Em uso de {first} {other}/{other}h.", [1], said)
    assert turned.supported is (first == second or one == other)


@given(first=st.integers(2, 30), second=st.integers(2, 30))
def test_the_spans_of_two_complaints_are_never_exchanged(first: int, second: int) -> None:
    said = {1: f"A febre começou há {first} dias e a tosse há {second} semanas."}
    assert check_sentence(f"Febre há {first} dias e tosse há {second} semanas.", [1], said).supported
    assert not check_sentence(f"Tosse há {first} dias.", [1], said).supported
    assert not check_sentence(f"Febre há {second} semanas.", [1], said).supported
