"""Clinical shorthand read aloud: what is said, and that no number is ever another one."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.guard.numbers import digits, fold, plain
from plugins.speech_out.reading import reading_of
from plugins.speech_out.reading.numerals import MOST_DIGITS, cardinal
from plugins.speech_out.reading.units import FEMININE_NOUNS, UNITS
from plugins.speech_out.reading.words import EXPANSIONS, MONTHS, SYMBOLS

COUNTABLE = frozenset(
    fold(word) for unit in UNITS.values() for name in (unit.singular, unit.plural) for word in name.split()
) | {fold(noun) for noun in FEMININE_NOUNS} | {"dias", "comprimidos", "%"}  # fmt: skip

SAID = {
    "0,001 mg": "zero vírgula zero zero um miligramas",
    # frequencies
    "12/12h": "de doze em doze horas",
    "8/8 h": "de oito em oito horas",
    "de 6/6h": "de seis em seis horas",
    "1/1h": "de uma em uma hora",
    "06/06 horas": "de seis em seis horas",
    "1x/dia": "uma vez ao dia",
    "3 x ao dia": "três vezes ao dia",
    "2x/semana": "duas vezes por semana",
    "2 vezes ao dia": "duas vezes ao dia",
    # pressures and other vital signs
    "PA 150x90 mmHg": "pressão arterial cento e cinquenta por noventa milímetros de mercúrio",
    "PA: 120/80": "pressão arterial: cento e vinte por oitenta",
    "PA de 13 x 8": "pressão arterial de treze por oito",
    "PA 180x110": "pressão arterial cento e oitenta por, cento e dez",
    "150/90 mmHg": "cento e cinquenta por noventa milímetros de mercúrio",
    "SpO2 94%": "saturação de oxigênio noventa e quatro por cento",
    "SpO₂ 94%": "saturação de oxigênio noventa e quatro por cento",
    "FC 101 bpm": "frequência cardíaca cento e um batimentos por minuto",
    "FR 22 irpm": "frequência respiratória vinte e duas incursões respiratórias por minuto",
    "Tax 37,8 °C": "temperatura axilar trinta e sete vírgula oito graus Celsius",
    "Tax 38º": "temperatura axilar trinta e oito graus",
    # doses
    "0,5 mg": "zero vírgula cinco miligramas",
    "0,05 mg": "zero vírgula zero cinco miligramas",
    "0.125 mg": "zero vírgula cento e vinte e cinco miligramas",
    "1 mg": "um miligrama",
    "1,0 mg": "um vírgula zero miligrama",
    "1.500 mL": "mil e quinhentos mililitros",
    "1.500,75 mL": "mil e quinhentos vírgula setenta e cinco mililitros",
    "5 mg/kg/dia": "cinco miligramas por quilograma por dia",
    "10 mL/h": "dez mililitros por hora",
    "2 UI": "duas unidades internacionais",
    "21 gotas": "vinte e uma gotas",
    "202 gotas": "duzentas e duas gotas",
    "2 comprimidos": "dois comprimidos",
    "2.000 UI": "duas mil unidades internacionais",
    "losartana50mg": "losartana cinquenta miligramas",
    "1/2 comprimido": "meio comprimido",
    "½ ampola": "meia ampola",
    "1 e 1/2 cp": "um e meio comprimido",
    "1/4 de comprimido": "um barra quatro de comprimido",
    "AAS 100 mg VO": "ácido acetilsalicílico cem miligramas via oral",
    "SF 0,9% 500 mL EV": "soro fisiológico zero vírgula nove por cento, quinhentos mililitros via endovenosa",
    "enoxaparina 40 mg SC": "enoxaparina quarenta miligramas via subcutânea",
    "dipirona 1 g IV agora": "dipirona um grama via intravenosa agora",
    "NYHA IV": "NYHA quatro",
    "10 s/n": "dez se necessário",
    "2 mil unidades": "dois mil unidades",
    "2x 500 mg": "duas vezes quinhentos miligramas",
    # ranges, sizes, scores
    "7-10 dias": "sete a dez dias",
    "2 a 3 gotas": "duas a três gotas",
    "3x4 cm": "três por quatro centímetros",
    "8/10": "oito barra dez",
    "2+/4+": "duas cruzes em quatro",
    "+++/4+": "três cruzes em quatro",
    "1:80": "um para oitenta",
    "BE -4": "BE menos quatro",
    "250.000/mm³": "duzentos e cinquenta mil por milímetro cúbico",
    "12 x 10³/mm³": "doze por dez elevado a três por milímetro cúbico",
    # dates and times
    "21/11/2026": "vinte e um de novembro de dois mil e vinte e seis",
    "2026-11-01": "primeiro de novembro de dois mil e vinte e seis",
    "01.03.2026": "primeiro de março de dois mil e vinte e seis",
    "dia 5/4": "dia cinco de abril",
    "14h30": "quatorze horas e trinta minutos",
    "08:00": "oito horas",
    "às 9:30": "às nove horas e trinta minutos",
    # names and codes
    "HAS e DM2": "hipertensão arterial sistêmica e diabetes mellitus tipo dois",
    "B12": "B doze",
    "J45.9": "J quarenta e cinco ponto nove",
    "G2P1A0": "G dois P um A zero",
    "1º dia, 34ª semana": "primeiro dia, trigésima quarta semana",
    "111.222.333-44": "um, um, um, dois, dois, dois, três, três, três, quatro, quatro",
    "007": "zero, zero, sete",
    "c/ dor s/ febre": "com dor sem febre",
}


@pytest.mark.parametrize("text", SAID)
def test_it_is_said_as_clinicians_say_it(text: str) -> None:
    assert reading_of(text) == SAID[text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("20 e 5 mg", "vinte, e cinco miligramas"),
        ("1000 200", "mil, duzentos"),
        ("vinte e 5", "vinte, e cinco"),
        ("5 e vinte", "cinco, e vinte"),
        ("DM2 20 mg", "diabetes mellitus tipo dois, vinte miligramas"),
    ],
)
def test_two_numbers_are_never_heard_as_one(text: str, said: str) -> None:
    assert reading_of(text) == said


@pytest.mark.parametrize("text", ["31/02/2026", "00/00/2026", "32/13/2026", "2026-13-01", "dia 31/2", "29/02/2026"])
def test_a_day_that_does_not_exist_is_no_date(text: str) -> None:
    assert not re.search("janeiro|fevereiro|março|dezembro", reading_of(text))


def test_a_leap_day_is_a_date() -> None:
    assert reading_of("29/02/2028") == "vinte e nove de fevereiro de dois mil e vinte e oito"


@pytest.mark.parametrize("text", ["AP", "FA", "HD", "MSO4", "has", "sc", "ev", "5 sem melhora", "IV"])
def test_what_is_ambiguous_is_not_expanded(text: str) -> None:
    said = reading_of(text)
    assert not any(words in said for words in EXPANSIONS.values() if len(words) > 8)
    assert "semana" not in said


def test_commands_of_a_synthesiser_and_control_characters_do_not_pass() -> None:
    said = reading_of("antes [[f2]] <break time='9s'/> \x01\x1b[31m depois")
    assert not set("[]<>\x01\x1b") & set(said)
    assert said.startswith("antes")
    assert said.endswith("depois")


def test_lines_become_sentences_and_brackets_pauses() -> None:
    assert reading_of("Dor (leve)\nNega febre") == "Dor, leve.\nNega febre"


def test_an_invisible_character_inside_a_number_splits_nothing() -> None:
    assert reading_of("15\u200b0 mg") == "cento e cinquenta miligramas"
    assert reading_of("\uff11\uff15 mg") == "quinze miligramas"


# -- no number may ever be read wrong -----------------------------------------------------------------------------------
def values(said: str) -> list[Decimal]:
    """The numbers that the guard, which is no part of the plugin, reads out of what is said."""
    return [
        Decimal(found)
        for found in re.findall(r"\d+(?:\.\d+)?", digits(fold(said.replace("por cento", "%")), COUNTABLE))
    ]


def brazilian(value: int) -> str:
    return f"{value:,}".replace(",", ".")


wholes = st.integers(0, 999_999)
amounts = st.one_of(
    wholes.map(str),
    wholes.map(brazilian),
    st.builds(lambda whole, part: f"{whole},{part}", wholes, st.from_regex(r"[0-9]{1,2}", fullmatch=True)),
    st.builds(lambda whole, part: f"{whole}.{part}", wholes, st.from_regex(r"[0-9]{1,2}", fullmatch=True)),
)


@given(amounts, st.sampled_from(sorted(UNITS)))
def test_a_quantity_keeps_its_value(amount: str, unit: str) -> None:
    assert values(reading_of(f"usar {amount} {unit}")) == [Decimal(plain(amount))], amount


@given(st.integers(0, 999_999), st.from_regex(r"[0-9]{3,6}", fullmatch=True))
def test_small_doses_keep_every_place(whole: int, fraction: str) -> None:
    """Both halves are read alone: "zero zero cinco" is three places."""
    left, _, right = reading_of(f"usar {whole},{fraction} mg").removeprefix("usar ").partition(" vírgula ")
    zeros = len(fraction) - len(fraction.lstrip("0"))
    places = right.replace("miligramas", "").replace("miligrama", "").split()
    assert read(left) == whole
    assert places[:zeros] == ["zero"] * zeros
    rest = " ".join(places[zeros:])
    assert (read(rest) if rest else 0) == int(fraction)


@given(
    st.lists(st.integers(2, 999_999), min_size=1, max_size=5), st.sampled_from([" ", " e ", ", ", "; ", "\n", " / "])
)
def test_a_row_of_numbers_keeps_each_in_its_place(row: list[int], joint: str) -> None:
    assert values(reading_of(joint.join(map(str, row)))) == [Decimal(number) for number in row]


@given(st.integers(2, 300), st.integers(2, 300), st.sampled_from(["x", " x ", "/", " a ", "-", "×"]))
def test_two_values_stay_two(first: int, second: int, joint: str) -> None:
    assert values(reading_of(f"PA {first}{joint}{second} mmHg")) == [first, second]


@given(st.dates())
def test_a_date_keeps_day_month_and_year(day: date) -> None:
    said = reading_of(f"em {day:%d/%m}/{day.year:04d}")
    assert MONTHS[day.month - 1] in said
    assert values(said.replace("primeiro", "1")) == [day.day, day.year]


@given(st.integers(0, 10**MOST_DIGITS - 1), st.booleans())
def test_every_whole_number_is_said_by_its_groups(value: int, feminine: bool) -> None:
    """The guard reads up to 999 999; above it, each group is read alone: "dois milhões e cem" is 2 · 10⁶ + 100."""
    said, total = cardinal(value, feminine=feminine), Decimal(0)
    for name, size in (("bilh(?:ão|ões)", 10**9), ("milh(?:ão|ões)", 10**6)):
        head, found, rest = re.split(rf"^(.*?) {name}(?: e | |$)", said) if re.search(name, said) else (said, "", said)
        if re.search(name, said):
            assert head == ""
            total += read(found) * size
            said = rest
    assert total + (read(said) if said else 0) == value


def read(words: str) -> Decimal:
    (value,) = values(f"{words} gotas")
    return value


@given(st.text(max_size=200))
def test_any_text_is_read_without_a_digit_left_and_always_alike(text: str) -> None:
    said = reading_of(text)
    assert not any(character.isdecimal() for character in said)
    assert reading_of(text) == said


pieces = st.sampled_from(
    [*SAID, *EXPANSIONS, *SYMBOLS, *UNITS, "1", "20", "300", "0,5", "1.000", "x", "/", "-", "e", " ", "\n"]
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_no_mixture_of_shorthand_breaks_it(text: str) -> None:
    said = reading_of(text)
    assert not any(character.isdecimal() for character in said)
    assert "  " not in said
