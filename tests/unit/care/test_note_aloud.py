"""What is read back of a note: its state first, every sentence, and a warning before one that nobody answered for."""

from __future__ import annotations

import msgspec
import pytest

from appliance.care.guard import Verdict
from appliance.care.model import Content, Heading, Layout, Note, NoteState, Section, Sentence
from appliance.care.note_aloud import text_of


def note(content: Content, state: NoteState = "draft") -> Note:
    names = dict.fromkeys(Note.__struct_fields__, "")
    return msgspec.convert(
        names
        | {"state": state, "version": 1, "signature": None, "written": (), "content": msgspec.to_builtins(content)},
        Note,
    )


def content(*sections: Section, layout: Layout | None = None) -> Content:
    return Content(sections, (), None, "", layout)


@pytest.mark.parametrize(
    ("state", "begins"),
    [
        ("draft", "Rascunho"),
        ("reviewed", "Nota revisada, ainda não assinada"),
        ("signed", "Nota assinada."),
        ("amended", "Nota assinada, depois"),
    ],
)
def test_whose_word_it_is_comes_first(state: NoteState, begins: str) -> None:
    assert text_of(note(content(Section("S", (Sentence("s1", "Nega febre."),))), state)).startswith(begins)


def test_headings_and_sentences_come_in_order_and_empty_headings_are_left_out() -> None:
    made = content(
        Section("S", (Sentence("s1", "Refere tosse"), Sentence("s2", "Nega febre."))),
        Section("O"),
        Section("P", (Sentence("s3", "Retorno!"),)),
    )
    assert text_of(note(made, "signed")).splitlines() == [
        "Nota assinada.",
        "Subjetivo. Refere tosse. Nega febre.",
        "Plano. Retorno!",
    ]


def test_a_sentence_without_support_is_announced() -> None:
    doubtful = Sentence("s1", "Usa 50 mg.", (1,), "ai", Verdict(supported=False))
    said = text_of(note(content(Section("S", (doubtful, Sentence("s2", "Nega febre."))))))
    assert "Atenção, frase sem apoio no ditado: Usa 50 mg. Nega febre." in said
    accepted = msgspec.structs.replace(doubtful, accepted_by="u1")
    assert "Atenção" not in text_of(note(content(Section("S", (accepted,)))))


def test_a_template_gives_the_headings() -> None:
    layout = Layout("x", 1, "", "X", (Heading("História", ("S", "O", "A", "P")),))
    assert "História. Nega febre." in text_of(
        note(content(Section("S", (Sentence("s1", "Nega febre."),)), layout=layout))
    )


def test_an_empty_note_says_that_it_is_empty() -> None:
    assert text_of(note(content())).endswith("A nota não tem texto.")
