"""Laboratory values: what is printed exactly as the table has it is proposed; everything else is marked, nothing put right."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.paper import Box, LabReport, LabValue, PaperPage, PaperWord
from plugins.document_reader.lab.figures import figure_of
from plugins.document_reader.lab.folding import name_of, unit_of
from plugins.document_reader.lab.report import report_of
from plugins.document_reader.lab.rows import rows_of, text_of
from plugins.document_reader.lab.table import standard_table
from tests.plugins.document_reader import papers
from tests.plugins.document_reader.conftest import NEEDS_TESSERACT, reader

TABLE = standard_table()


def page(*lines: str, confidence: float = 1.0, number: int = 1, **sure: float) -> PaperPage:
    """Lines of words, a row each; ``sure`` gives single words another confidence."""
    words = [
        PaperWord(text, Box(0.02 + place * 0.04, 0.02 + row * 0.03, 0.03, 0.015), sure.get(text, confidence))
        for row, line in enumerate(lines)
        for place, text in enumerate(line.split())
    ]
    return PaperPage(number, "ocr", tuple(words))


def report(*lines: str, **options: float) -> LabReport:
    return report_of([page(*lines, **options)], TABLE)  # type: ignore[arg-type]


def only(*lines: str, **options: float) -> LabValue:
    (value,) = report(*lines, **options).values
    return value


# -- what is plain -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "loinc", "value", "ucum"),
    [
        ("Hemoglobina 13,2 g/dL 12,0 a 15,5", "718-7", "13.2", "g/dL"),
        ("HEMOGLOBINA ........: 13,20 g/dL", "718-7", "13.20", "g/dL"),
        ("Leucócitos 7.200 /mm³ 4.000 a 11.000", "6690-2", "7200", "/uL"),
        ("Leucócitos 11.400 /mm³", "6690-2", "11400", "/uL"),
        ("Leucócitos: 7,2 mil/mm3", "6690-2", "7.2", "10*3/uL"),
        ("Plaquetas 245.000/mm³", "777-3", "245000", "/uL"),
        ("Hemácias 4,52 milhões/mm³", "789-8", "4.52", "10*6/uL"),
        ("Glicose 92 mg/dL", "2345-7", "92", "mg/dL"),
        ("Glicose em jejum 92 mg/dL", "1558-6", "92", "mg/dL"),
        ("Dosagem de creatinina sérica: 0,9 mg/dL", "2160-0", "0.9", "mg/dL"),
        ("Ureia 38 mg/dL", "3091-6", "38", "mg/dL"),
        ("TGO (AST) 24 U/L", "1920-8", "24", "U/L"),
        ("ALT/TGP 31 UI/L", "1742-6", "31", "U/L"),
        ("TSH 2,45 µUI/mL", "3016-3", "2.45", "u[IU]/mL"),
        ("TSH 2,45 μUI/mL", "3016-3", "2.45", "u[IU]/mL"),
        ("Hemoglobina glicada (HbA1c) 5,6 %", "4548-4", "5.6", "%"),
        ("Hemoglobina glicada 5,6%", "4548-4", "5.6", "%"),
        ("Colesterol total 187 mg/dL", "2093-3", "187", "mg/dL"),
        ("HDL colesterol 47 mg/dL", "2085-9", "47", "mg/dL"),
        ("Vitamina B12 450 pg/mL", "2132-9", "450", "pg/mL"),
        ("T4 livre 1,12 ng/dL", "3024-7", "1.12", "ng/dL"),
        ("Potássio 4,1 mmol/L", "2823-3", "4.1", "mmol/L"),
    ],
)
def test_what_is_printed_plainly_is_proposed(line: str, loinc: str, value: str, ucum: str) -> None:
    found = only(line)
    assert (found.loinc, found.value, found.ucum, found.doubts) == (loinc, value, ucum, ())
    assert found.row == line
    assert found.display


def test_mEq_of_a_single_charge_is_mmol_and_says_so() -> None:  # noqa: N802  the unit's own letters
    found = only("Sódio 138 mEq/L 135 a 145")
    assert (found.value, found.ucum, found.converted, found.printed_unit) == ("138", "mmol/L", "meq/L", "mEq/L")
    assert only("Cálcio 4,6 mEq/L").doubts == ("unit_unexpected",)
    assert only("Cálcio 4,6 mEq/L").loinc == ""


@pytest.mark.parametrize(
    ("line", "comparator", "value"),
    [
        ("PCR < 0,3 mg/dL", "<", "0.3"),
        ("PCR <0,3 mg/dL", "<", "0.3"),
        ("PCR inferior a 0,3 mg/dL", "<", "0.3"),
        ("PCR ≤ 0,3 mg/dL", "<=", "0.3"),
        ("Ferritina > 2.000 ng/mL", ">", ""),
        ("Ferritina superior a 2000 ng/mL", ">", "2000"),
    ],
)
def test_comparators_stay(line: str, comparator: str, value: str) -> None:
    found = only(line)
    assert (found.comparator, found.value) == (comparator, value)


@pytest.mark.parametrize(
    ("reference", "low", "high"),
    [
        ("12,0 a 15,5", "12.0", "15.5"),
        ("12,0 - 15,5", "12.0", "15.5"),
        ("12,0-15,5 g/dL", "12.0", "15.5"),
        ("até 15,5", "", "15.5"),
        ("inferior a 15,5", "", "15.5"),
        ("superior a 12", "12", ""),
        ("15,5 a 12,0", "", ""),
        ("35a5,1 ou mais", "", ""),
        ("vide método", "", ""),
    ],
)
def test_references_are_taken_only_in_a_form_without_doubt(reference: str, low: str, high: str) -> None:
    found = only(f"Hemoglobina 13,2 g/dL {reference}")
    assert (found.low, found.high, found.printed_reference) == (low, high, reference)
    assert found.value == "13.2"


def test_name_above_and_result_below_belong_together() -> None:
    found = only("GLICOSE", "Material: soro", "Resultado: 92 mg/dL", "Valor de referência: 70 a 99 mg/dL")
    assert (found.loinc, found.value, found.printed_name) == ("2345-7", "92", "GLICOSE")


def test_two_columns_and_two_values_in_one_row() -> None:
    left, right = report("Glicose 92 mg/dL 70 a 99 Ureia 38 mg/dL 15 a 45").values
    assert [(one.loinc, one.value, one.high) for one in (left, right)] == [
        ("2345-7", "92", "99"),
        ("3091-6", "38", "45"),
    ]
    share, count = report("Segmentados 62,0 % 4.464 /mm³ 1.700 a 8.000").values
    assert (share.loinc, share.value) == ("26505-8", "62.0")
    assert (count.loinc, count.printed_value, count.doubts) == ("", "4.464", ("unit_unexpected",))


# -- what is not ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "doubts"),
    [
        ("Creatlnina 0,9 mg/dL", {"analyte_unknown"}),
        ("Creatinina urinária 90 mg/dL", {"analyte_unknown"}),
        ("Glicose pós-prandial 130 mg/dL", {"analyte_unknown"}),
        ("Alfa-misteriosa 12,5 ng/mL", {"analyte_unknown"}),
        ("Hemoglobina 13,2", {"unit_missing"}),
        ("Hemoglobina 13,2 g/xL", {"unit_unknown"}),
        ("Hemoglobina 13,2 mmol/L", {"unit_unexpected"}),
        ("Leucócitos 7.200 Imm?", {"unit_misread"}),
        ("Hemoglobina 132 g/dL", {"implausible"}),
        ("Potássio 41 mmol/L", {"implausible"}),
        ("Hemoglobina 1O,2 g/dL", {"digits_unsure"}),
        ("Hemoglobina l3,2 g/dL", {"digits_unsure"}),
        ("Creatinina 09 mg/dL", {"digits_unsure"}),
        ("TSH 2.450 µUI/mL", {"implausible", "separator_unsure"}),
        ("Triglicérides 1.250 mg/dL", set()),
        ("Ferritina 1.250 ng/mL", {"separator_unsure"}),
    ],
)
def test_what_is_not_plain_is_marked(line: str, doubts: set[str]) -> None:
    found = only(line)
    assert set(found.doubts) <= doubts
    assert bool(found.doubts) is bool(doubts)
    assert found.row == line
    if doubts & {"analyte_unknown", "unit_missing", "unit_unknown", "unit_unexpected"}:
        assert found.loinc == ""
    if doubts & {"implausible", "digits_unsure", "separator_unsure"}:
        assert found.value == ""


def test_the_same_name_in_urine_is_not_the_one_in_blood() -> None:
    urine, blood = report("URINA TIPO I", "Glicose 150 mg/dL", "BIOQUÍMICA", "Glicose 92 mg/dL").values
    assert (urine.loinc, urine.doubts) == ("", ("other_specimen",))
    assert (blood.loinc, blood.doubts) == ("2345-7", ())


def test_a_doubtful_word_is_marked_and_a_number_that_two_looks_disagree_on_is_not_proposed() -> None:
    found = only("Hemoglobina 13,2 g/dL", **{"13,2": 0.6})
    assert (found.value, found.doubts, found.confidence) == ("13.2", ("low_confidence",), 0.6)
    twice = only("Hemoglobina 15,2 g/dL", **{"15,2": 0.0})
    assert (twice.value, set(twice.doubts)) == ("", {"digits_unsure", "low_confidence"})
    assert twice.printed_value == "15,2"


@pytest.mark.parametrize(
    "line",
    [
        "Idade: 45 anos",
        "CRM 12345",
        "Data 12/03/2026 07:40",
        "Página 1 de 2",
        "Valor de referência: 70 a 99 mg/dL",
        "Ótimo: inferior a 100 mg/dL",
        "Homens: 13,0 a 17,0 g/dL",
        "Rua das Flores, 120",
        "Resultado: 92 mg/dL",
        "Telefone (11) 3333-4444",
        "Pressão 120/80",
        "",
    ],
)
def test_captions_addresses_and_references_are_no_values(line: str) -> None:
    assert report(line).values == ()


def test_whose_and_of_when() -> None:
    found = report(
        "Laboratório São Lucas",
        "Paciente: Maria da Silva Amostra Idade: 58 anos",
        "Data de nascimento: 14/03/1968 Sexo: F",
        "Data da coleta: 12/11/2026 07:40",
    )
    assert found.patient_name is not None
    assert found.birth_date is not None
    assert found.collected is not None
    told = (found.patient_name.text, found.birth_date.text, found.collected.text)
    assert told == ("Maria da Silva Amostra", "14/03/1968", "12/11/2026")
    nobody = report("Paciente: 12345", "Nome Idade")
    assert (nobody.patient_name, nobody.birth_date, nobody.collected) == (None, None, None)


# -- the parts -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("word", "value", "other", "rest"),
    [
        ("13,2", "13.2", "", ""),
        ("7.200", "7200", "7.200", ""),
        ("1.234.567,8", "1234567.8", "", ""),
        ("0.5", "0.5", "", ""),
        ("0,50", "0.50", "", ""),
        ("92", "92", "", ""),
        ("12mg/dL", "12", "", "mg/dL"),
        ("5,6%", "5.6", "", "%"),
        ("70-99", "70", "", "-99"),
        ("1,2,3", "", "", ""),
        ("12.34.5", "", "", ""),
    ],
)
def test_figures(word: str, value: str, other: str, rest: str) -> None:
    found = figure_of(word)
    assert found is not None
    assert (found.value, found.other, found.rest) == (value, other, rest)


@pytest.mark.parametrize("word", ["12/11/2026", "07:40", "1/80", "B12", "g/dL", "soro", "<", "-", "Isolado", ""])
def test_words_that_are_no_figures(word: str) -> None:
    assert figure_of(word) is None


@given(st.decimals(min_value=0, max_value=999_999, places=2, allow_nan=False))
def test_a_brazilian_number_is_read_back_digit_for_digit(number: object) -> None:
    whole, _, part = str(number).partition(".")
    grouped = f"{int(whole):,}".replace(",", ".") + "," + part
    found = figure_of(grouped)
    assert found is not None
    assert found.value == f"{int(whole)}.{part}"


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), max_size=12))
def test_no_text_breaks_the_parser(words: list[str]) -> None:
    placed = tuple(PaperWord(text, Box(0.05 * place, 0.1, 0.04, 0.02), 0.9) for place, text in enumerate(words))
    for value in report_of([PaperPage(1, "ocr", placed)], TABLE).values:
        assert value.row
        assert not value.loinc or value.ucum


def test_rows_come_from_places_not_from_the_order_of_words() -> None:
    lines = page("Glicose 92 mg/dL", "Ureia 38 mg/dL").words
    shuffled = (lines[5], lines[0], lines[3], lines[2], lines[4], lines[1])
    assert [text_of(row) for row in rows_of(shuffled)] == ["Glicose 92 mg/dL", "Ureia 38 mg/dL"]


def test_folding() -> None:
    assert name_of("Potássio (K+) ....:") == "potassio k+"
    assert unit_of("µUI / mL") == "uui/ml"
    assert unit_of("/mm³") == "/mm3"
    assert unit_of("/mmº") == "/mmº"


# -- the hospital's own table --------------------------------------------------------------------------------------------
OWN = """
[units]
"ng/mL" = ["ngml"]
[[analyte]]
loinc = "99999-9"
display = "Mysterious alpha"
names = ["alfa-misteriosa"]
units = { "ng/mL" = [0, 100] }
[[analyte]]
loinc = "718-7"
display = "Haemoglobin"
names = ["hemoglobina", "hb da casa"]
units = { "g/dL" = [1, 30] }
"""


def test_a_hospital_adds_and_replaces_lines(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    table = standard_table(own)
    alpha, blood, sugar = report_of(
        [page("Alfa-misteriosa 12,5 ngml", "Hb da casa 13,2 g/dL", "Glicose 92 mg/dL")], table
    ).values
    assert (alpha.loinc, alpha.ucum, alpha.doubts) == ("99999-9", "ng/mL", ())
    assert (blood.loinc, blood.display) == ("718-7", "Haemoglobin")
    assert sugar.loinc == "2345-7"


@pytest.mark.parametrize(
    "text",
    [
        '[[analyte]]\nloinc = "718"\ndisplay = "x"\nnames = ["x"]\nunits = { "%" = [0, 1] }',
        '[[analyte]]\nloinc = "1-1"\ndisplay = "x"\nnames = ["x"]\nunits = { "furlong" = [0, 1] }',
        '[[analyte]]\nloinc = "1-1"\ndisplay = "x"\nnames = ["glicose"]\nunits = { "%" = [0, 1] }',
        "[what]\nis = 1",
        "not toml at all [",
    ],
)
def test_a_table_that_is_not_in_form_is_refused(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        standard_table(own)


# -- from paper to proposals ---------------------------------------------------------------------------------------------
async def test_a_pdf_s_table_is_proposed_whole() -> None:
    pages = [one async for one in reader().read(papers.pdf([papers.LAB_REPORT]), CallOptions(deadline_s=100.0))]
    found = {value.printed_name: (value.value, value.ucum, value.doubts) for value in reader().lab_report(pages).values}
    assert found == {
        "Hemácias": ("4.52", "10*6/uL", ()),
        "Hemoglobina": ("13.2", "g/dL", ()),
        "Leucócitos": ("7200", "/uL", ()),
        "Plaquetas": ("245000", "/uL", ()),
        "Glicose em jejum": ("92", "mg/dL", ()),
        "Creatinina": ("0.9", "mg/dL", ()),
        "Sódio": ("138", "mmol/L", ()),
        "Potássio": ("4.1", "mmol/L", ()),
        "Proteína C reativa": ("0.3", "mg/dL", ()),
        "TSH": ("2.45", "u[IU]/mL", ()),
        "Alfa-misteriosa": ("12.5", "ng/mL", ("analyte_unknown",)),
    }


@NEEDS_TESSERACT
async def test_no_number_of_a_photographed_report_is_wrong_and_unmarked() -> None:
    picture = papers.photographed(
        papers.drawn(papers.pdf([papers.LAB_REPORT]), dpi=140)[0], turn=90, skew=-2.0, grain=9.0
    )
    call = CallOptions(deadline_s=110.0)
    pages = [one async for one in reader().read(papers.encoded(picture, "JPEG", quality=80), call)]
    values = reader().lab_report(pages).values
    printed = {line[0]: line[1].lstrip("< ") for line in papers.LAB_REPORT if isinstance(line, tuple)}
    right = [one for one in values if one.value and printed.get(one.printed_name) is not None]
    assert len(right) >= 7
    for one in right:
        assert one.value == printed[one.printed_name].replace(".", "").replace(",", ".") or one.doubts, one
