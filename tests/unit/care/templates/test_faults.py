"""Whoever edits a template is told which line to look at, and in their own language what to do there."""

from __future__ import annotations

import pytest

from appliance.care.templates.faults import Place
from appliance.care.templates.layout import MAX_CHARACTERS, parse
from appliance.care.templates.shelf import builtin
from appliance.plugin_api.errors import ProntuarioError

WHOLE = """# um comentário
title = "Curta"

[[heading]]
title = "Tudo"
takes = ["S", "O", "A", "P"]

[[heading]]
title = "Sinais vitais"
takes = ["O"]
kinds = ["vital"]
loinc = "8716-3"
"""


def refused(text: str) -> ProntuarioError:
    with pytest.raises(ProntuarioError) as caught:
        parse(text, "x", 1)
    assert caught.value.kind.code == "template.invalid"
    return caught.value


def test_the_text_of_these_tests_is_a_template() -> None:
    assert [heading.title for heading in parse(WHOLE, "x", 1).headings] == ["Tudo", "Sinais vitais"]


@pytest.mark.parametrize(
    ("old", "new", "line", "pt"),
    [
        ('title = "Tudo"', "title = ", 5, "linha 5, coluna 9: isto não é TOML"),
        ("[[heading]]", "[[heading]", 4, "linha 4, coluna 10: isto não é TOML"),
        ('title = "Tudo"', "title Tudo", 5, "linha 5, coluna 7: isto não é TOML"),
        ('title = "Curta"', "title = 3", 2, "linha 2, title: aqui cabe um texto entre aspas"),
        ('title = "Curta"\n', "\n", 1, "linha 1: falta o campo title"),
        ('title = "Curta"', 'title = "Curta"\ncolour = "red"', 3, "linha 3, colour: o campo colour não existe"),
        ('title = "Tudo"\n', "\n", 4, "linha 4, 1º título: falta o campo title"),
        ('title = "Sinais vitais"', 'title = ""', 9, "linha 9, 2º título, title: o texto está vazio"),
        ('"Sinais vitais"', '"' + "x" * 81 + '"', 9, "linha 9, 2º título, title: mais de 80 letras"),
        ('"Sinais vitais"', '"a\\u0007"', 9, "linha 9, 2º título, title: caracteres que não se imprimem"),
        ('takes = ["O"]', 'takes = "O"', 10, "linha 10, 2º título, takes: aqui cabe uma lista entre colchetes"),
        ('takes = ["O"]', "takes = []", 10, "linha 10, 2º título, takes: a lista está vazia"),
        ('takes = ["O"]', 'takes = ["O", "X"]', 10, "linha 10, 2º título, takes: “X” não serve; valem S, O, A e P"),
        ('["vital"]', '["mood"]', 11, "linha 11, 2º título, kinds: não há fatos do tipo mood"),
        ('"8716-3"', '"vitais"', 12, "linha 12, 2º título, loinc: um código LOINC tem a forma 61150-9"),
        ('"8716-3"', '"8716-3"\ncor = "azul"', 13, "linha 13, 2º título, cor: o campo cor não existe"),
        ('"Sinais vitais"', '"Tudo"', 9, "linha 9, 2º título, title: dois títulos iguais"),
    ],
)
def test_the_line_the_field_and_the_reason_are_told(old: str, new: str, line: int, pt: str) -> None:
    error = refused(WHOLE.replace(old, new, 1))
    assert error.details["line"] == line
    assert f"O modelo de nota não pode ser usado: {pt}" in error.sentence("pt")
    assert f"line {line}" in error.sentence("en")
    assert error.field == "text"


@pytest.mark.parametrize(
    ("text", "pt", "en"),
    [
        (WHOLE.replace('"S", ', ""), "nenhum título sem “kinds” recebe S; frases se perderiam", "takes S"),
        ("#" * (MAX_CHARACTERS + 1), "mais de 20000 caracteres", "more than 20000 characters"),
        (WHOLE + 'x = """', "o texto acaba no meio de algo", "it ends in the middle"),
    ],
)
def test_what_is_wrong_with_the_whole_has_no_line_of_its_own(text: str, pt: str, en: str) -> None:
    error = refused(text)
    assert pt in error.sentence("pt")
    assert en in error.sentence("en")


def test_headings_written_as_one_list_have_no_line_to_be_told() -> None:
    text = 'title = "x"\nheading = [{ title = "Tudo", takes = ["S", "O", "A", "Z"] }]'
    error = refused(text)
    assert error.details["line"] == 0
    assert error.sentence("pt").endswith("usado: 1º título, takes: “Z” não serve; valem S, O, A e P.")


@pytest.mark.parametrize("name", sorted(builtin()))
def test_every_heading_of_the_products_files_is_found(name: str) -> None:
    text = builtin()[name]
    lines = text.split("\n")
    for at, heading in enumerate(parse(text, name, 0).headings):
        assert lines[Place(at).line(text) - 1] == "[[heading]]"
        assert heading.title in lines[Place(at, "title").line(text) - 1]
    assert lines[Place(None, "title").line(text) - 1].startswith("title = ")
