from __future__ import annotations

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.guard import Problem, Verdict
from appliance.care.model import SECTION_CODES, Content, Section, Sentence
from appliance.care.note_edits import SectionEdit, SentenceEdit, accept, apply, unresolved
from appliance.plugin_api.errors import ProntuarioError

BAD = Verdict(supported=False, problems=(Problem("number", "5"),))
GOOD = Verdict(supported=True)
SENTENCES = (
    Sentence("s1", "Refere tosse.", (1,), "ai", GOOD),
    Sentence("s2", "Febre de 39 graus.", (2,), "ai", BAD),
    Sentence("s3", "Nega dor.", (3,), "transcript"),
)
CONTENT = Content(tuple(Section(code, SENTENCES if code == "S" else ()) for code in SECTION_CODES), (), None, "f" * 64)
KNOWN = (1, 2, 3)


def after(*sentences: SentenceEdit) -> tuple[Sentence, ...]:
    return apply(CONTENT, [SectionEdit("S", sentences)], editor="ana", known=KNOWN).sections[0].sentences


def test_an_untouched_sentence_keeps_everything() -> None:
    same = [SentenceEdit(sentence.text, sentence.id) for sentence in SENTENCES]
    assert after(*same) == SENTENCES


def test_order_may_change_and_sentences_may_go() -> None:
    assert after(SentenceEdit("Nega dor.", "s3"), SentenceEdit("Refere tosse.", "s1")) == (SENTENCES[2], SENTENCES[0])


@pytest.mark.parametrize(
    "edit",
    [
        SentenceEdit("Refere tosse seca.", "s1"),
        SentenceEdit("Refere tosse.", "s1", (2,)),
        SentenceEdit("Refere tosse.", None, (1,)),
        SentenceEdit("Refere tosse.", "unknown", (1,)),
    ],
)
def test_whatever_a_person_changes_is_theirs(edit: SentenceEdit) -> None:
    (changed,) = after(edit)
    assert (changed.origin, changed.verdict, changed.text) == ("human", None, edit.text)


@pytest.mark.parametrize("text", [" Febre de 39 graus. ", "Febre  de 39\u00a0graus.\n", "Febre de 39 graus.\r\n"])
def test_white_space_answers_for_no_sentence(text: str) -> None:
    kept = after(SentenceEdit(text, "s2"))
    assert kept == (SENTENCES[1],)
    assert not kept[0].resolved
    assert after(SentenceEdit(text, "s2", accepted=True))[0].accepted_by == "ana"


def test_another_composition_of_the_same_letters_is_the_same_sentence() -> None:
    composed = Sentence("s1", "Não há tosse.", (1,), "ai", BAD)
    content = msgspec.structs.replace(CONTENT, sections=(Section("S", (composed,)),))
    apart = unicodedata.normalize("NFD", composed.text)
    assert apart != composed.text
    (section, *_) = apply(content, [SectionEdit("S", (SentenceEdit(apart, "s1"),))], editor="ana", known=KNOWN).sections
    assert section.sentences == (composed,)


def test_a_rewritten_sentence_keeps_its_links_unless_told_otherwise() -> None:
    assert after(SentenceEdit("Outra coisa.", "s2"))[0].segments == (2,)
    assert after(SentenceEdit("Outra coisa.", "s2", ()))[0].segments == ()


def test_one_id_used_twice_gives_two_sentences_with_two_ids() -> None:
    first, second = after(SentenceEdit("Refere tosse.", "s1"), SentenceEdit("Refere tosse.", "s1"))
    assert (first.id, first.origin) == ("s1", "ai")
    assert (second.origin, second.id) == ("human", "h1")


def test_a_link_to_nowhere_is_refused() -> None:
    with pytest.raises(ProntuarioError, match=r"note\.unknown_segment"):
        after(SentenceEdit("x", None, (9,)))


def test_only_an_unsupported_sentence_needs_an_answer() -> None:
    assert unresolved(CONTENT) == ["s2"]
    assert unresolved(accept(CONTENT, ["s1", "s2", "nobody"], "ana")) == []
    accepted = accept(CONTENT, ["s1", "s2"], "ana").sentences()
    assert [sentence.accepted_by for sentence in accepted] == [None, "ana", None]
    assert after(SentenceEdit("Febre de 39 graus.", "s2", accepted=True))[0].accepted_by == "ana"
    assert after(SentenceEdit("Refere tosse.", "s1", accepted=True))[0].accepted_by is None


def test_sections_that_are_not_sent_stay() -> None:
    changed = apply(CONTENT, [SectionEdit("A", (SentenceEdit("Gripe."),))], editor="ana", known=KNOWN)
    assert changed.sections[0] == CONTENT.sections[0]
    assert [sentence.text for sentence in changed.sections[2].sentences] == ["Gripe."]
    assert [section.code for section in changed.sections] == list(SECTION_CODES)


EDITS = st.lists(
    st.builds(
        SentenceEdit,
        text=st.sampled_from(["Refere tosse.", "Febre de 39 graus.", "Nova."]),
        id=st.sampled_from([None, "s1", "s2", "s3", "h1", "zz"]),
        segments=st.sampled_from([None, (), (1,), (2, 3)]),
        accepted=st.booleans(),
    ),
    max_size=8,
)


@given(edits=EDITS)
def test_whatever_is_sent_ids_stay_unique_texts_are_kept_and_no_machine_text_is_forged(
    edits: list[SentenceEdit],
) -> None:
    result = after(*edits)
    assert [sentence.text for sentence in result] == [edit.text for edit in edits]
    assert len({sentence.id for sentence in result}) == len(result)
    written_by_machine = {(sentence.id, sentence.text, sentence.segments) for sentence in SENTENCES}
    for sentence in result:
        if sentence.origin != "human":
            assert (sentence.id, sentence.text, sentence.segments) in written_by_machine
