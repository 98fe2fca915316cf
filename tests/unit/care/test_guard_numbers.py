from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.guard.form import canonical, tokens
from appliance.care.guard.likeness import near, stem
from appliance.care.guard.numbers import digits, fold, plain

COUNTABLE = frozenset({"dia", "dias", "vez", "vezes", "grama", "gramas", "comprimido", "hora", "horas"})
_SMALL = (
    "zero um dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis dezessete dezoito "
    "dezenove"
)
SMALL = _SMALL.split()
TENS = ["", "", "vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"]
HUNDREDS = ["", "cento", "duzentos", "trezentos", "quatrocentos", "quinhentos", "seiscentos", "setecentos", "oitocentos",
            "novecentos"]  # fmt: skip


def spoken(number: int) -> str:
    """A whole number below a million as a Brazilian says it."""
    if number >= 1000:
        thousands = "mil" if number // 1000 == 1 else spoken(number // 1000) + " mil"
        rest = number % 1000
        return thousands + ("" if not rest else (" e " if rest < 100 or rest % 100 == 0 else " ") + spoken(rest))
    if number == 100:
        return "cem"
    if number >= 100:
        return HUNDREDS[number // 100] + (f" e {spoken(number % 100)}" if number % 100 else "")
    if number >= 20:
        return TENS[number // 10] + (f" e {SMALL[number % 10]}" if number % 10 else "")
    return SMALL[number]


@given(st.integers(2, 999_999))
def test_every_number_that_is_said_is_the_number_that_is_written(number: int) -> None:
    assert digits(fold(spoken(number)), COUNTABLE) == str(number)


@given(st.integers(0, 299), st.integers(1, 99))
def test_decimals_are_said_with_a_comma(whole: int, fraction: int) -> None:
    said = f"{spoken(whole)} vírgula {'zero ' if fraction < 10 else ''}{spoken(fraction)}"
    if whole != 1:
        assert digits(fold(said), COUNTABLE) == plain(f"{whole},{fraction:02d}")


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("um grama de um lado", "1 grama de um lado"),
        ("uma vez ao dia", "1 vez ao dia"),
        ("meio comprimido", "0.5 comprimido"),
        ("trinta e sete e meio", "37.5"),
        ("37 vírgula 8", "37.8"),
        ("zero vírgula vinte e cinco", "0.25"),
        ("um vírgula setenta e cinco", "1.75"),
        ("duzentas", "200"),
        ("mil", "1000"),
        ("150.000 plaquetas", "150000 plaquetas"),
        ("12,50", "12.5"),
        ("SatO2 98%", "sato2 98%"),
        ("um dia e uma noite", "1 dia e uma noite"),
        ("cento e quarenta por noventa", "140 por 90"),
    ],
)
def test_words_around_numbers(said: str, written: str) -> None:
    assert digits(fold(said), COUNTABLE) == written


def without_fillers(text: str) -> list[str]:
    """The tokens of the canonical form, but for ``de`` and the end."""
    return [token.text for token in tokens(text) if token.text not in ("de", ".")]


SAME = [
    ("Pressão arterial de cento e cinquenta por noventa milímetros de mercúrio", "PA 150/90 mmHg"),
    ("Pressão arterial cento e noventa por cento e dez", "PA 190/110"),
    ("Saturação noventa por cento e pulso oitenta", "SatO2 90% e pulso 80"),
    ("Frequência cardíaca setenta e seis batimentos por minuto", "FC 76 bpm"),
    ("Frequência respiratória 18 incursões por minuto", "FR 18 irpm"),
    ("Saturação de oxigênio noventa e oito por cento", "SatO2 98%"),
    ("temperatura trinta e sete vírgula oito graus", "Temperatura 37,8 °C"),
    ("de doze em doze horas", "12/12h"),
    ("de 8 em 8 horas", "8/8 h"),
    ("duas vezes ao dia", "12/12h"),
    ("a cada seis horas", "6/6h"),
    ("uma vez por semana", "1x/semana"),
    ("quinhentos miligramas", "500 mg"),
    ("dez unidades", "10 UI"),
    ("doze de março de 2024", "12/03/2024"),
    ("glicemia capilar 98 miligramas por decilitro", "HGT 98 mg/dl"),
    ("ácido acetilsalicílico cem miligramas", "AAS 100 mg"),
    ("joelho direito", "joelho direita"),
]


@pytest.mark.parametrize(("said", "written"), SAME)
def test_two_ways_to_say_one_thing_have_one_form(said: str, written: str) -> None:
    assert without_fillers(said) == without_fillers(written)


DIFFERENT = [
    ("500 mg", "500 mcg"),
    ("12/12h", "8/8h"),
    ("PA 150/90", "PA 90/150"),
    ("12/03/2024", "03/12/2024"),
    ("suspender losartana", "manter losartana"),
    ("joelho direito", "joelho esquerdo"),
    ("0,25 mg", "2,5 mg"),
    ("3 dias", "3 semanas"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_different_things_have_two_forms(one: str, other: str) -> None:
    assert canonical(one).split() != canonical(other).split()


@given(st.text(max_size=80))
def test_no_text_breaks_the_form(text: str) -> None:
    assert tokens(text)[-1].text == "."
    assert canonical(canonical(text)) is not None


def negated(text: str) -> set[str]:
    return {token.text for token in tokens(text) if token.negated}


def test_a_negation_reaches_over_a_list_and_ends_where_something_is_affirmed() -> None:
    assert {"febre", "tosse", "calafrios"} <= negated("Nega febre, tosse ou calafrios.")
    assert "tontura" not in negated("Não tive febre, mas senti tontura ontem.")
    assert "tontura" not in negated("Nega febre, refere tontura.")
    assert "febre" in negated("Não tive febre.")
    assert "edema" in negated("Edema ausente.")
    assert "vital_fc" not in negated("nega dispneia frequência cardíaca 98")


@pytest.mark.parametrize(
    ("word", "other"),
    [("nauseas", "nausea"), ("dores", "dor"), ("lesoes", "lesao"), ("esquerda", "esquerdo"), ("renais", "renal")],
)
def test_inflections_share_a_stem(word: str, other: str) -> None:
    assert stem(word) == stem(other)


@pytest.mark.parametrize(
    ("word", "heard", "alike"),
    [
        ("cefaleia", "cefalea", True),
        ("pneumonia", "penumonia", True),
        ("hipertensao", "hipotensao", False),
        ("taquicardia", "bradicardia", False),
        ("hiperglicemia", "hipoglicemia", False),
        ("dor", "cor", False),
        ("febre", "lebre", False),
    ],
)
def test_misspellings_are_near_and_opposites_are_not(word: str, heard: str, alike: bool) -> None:
    assert near(word, heard) is alike
