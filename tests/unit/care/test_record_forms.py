from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.guard import Verdict, check_fact
from appliance.care.model import SECTION_CODES, Ai, Content, Dictation, Fact, Note, Section, Segment, Sentence
from appliance.care.note_schema import FACT_KINDS, answer_schema, messages
from appliance.care.record_forms import UNSUPPORTED, audio_document, composition
from appliance.care.vitals import observations
from appliance.records.validation import validate

NOW = "2026-01-02T03:04:05.000Z"
DICTATION = Dictation(
    id="d1", patient_id="p1", encounter_id="e1", author="u1", author_name="ana", practitioner_id=None, key_id="k",
    language="pt", media_type="audio/wav", state="drafted", reason=None, total_chunks=1, audio_bytes=10, audio_s=1.0,
    truncated=False, attempt=1, document_id="doc1", note_id="n1", opened_at=NOW, completed_at=NOW, changed_at=NOW,
)  # fmt: skip
SEGMENTS = {1: Segment(1, 0.0, 1.23456, "x", 0.5)}


def note_of(*sentences: Sentence, facts: tuple[Fact, ...] = ()) -> Note:
    sections = tuple(Section(code, sentences if code == "O" else ()) for code in SECTION_CODES)
    content = Content(sections, facts, Ai("m", "a" * 64, demonstration_model=True, degraded=False), "f" * 64)
    return Note(
        id="n1", dictation_id="d1", patient_id="p1", encounter_id="e1", state="draft", version=1, composition_id="c1",
        reviewed_by=None, reviewed_at=None, amends=None, amendment_reason=None, amended_by=None, signature=None,
        signed_by=None, signed_at=None, written=(), created_at=NOW, changed_at=NOW, content=content,
    )  # fmt: skip


def vital(name: str, value: str, said: str | None = None) -> tuple[Note, Fact]:
    """A note with one vital sign, spoken and written as ``said``."""
    text = said or f"{name} {value}"
    verdict = check_fact(name, value, negated=False, laterality=None, segments=[1], transcript={1: text})
    fact = Fact("vital", name, value, False, None, (1,), verdict)
    return note_of(Sentence("s1", text, (1,), "ai"), facts=(fact,)), fact


@pytest.mark.parametrize(
    ("name", "value", "loinc", "number", "ucum"),
    [
        ("frequência cardíaca", "76", "8867-4", 76, "/min"),
        ("frequência respiratória", "18", "9279-1", 18, "/min"),
        ("saturação", "98%", "59408-5", 98, "%"),
        ("temperatura", "37,8", "8310-5", 37.8, "Cel"),
        ("glicemia capilar", "112", "41653-7", 112, "mg/dL"),
        ("peso", "70,5 kg", "29463-7", 70.5, "kg"),
    ],
)
def test_each_vital_sign_has_its_code_and_unit(name: str, value: str, loinc: str, number: float, ucum: str) -> None:
    note, _ = vital(name, value)
    (found,) = observations(note, DICTATION)
    validate(found)
    assert found["code"]["coding"][0]["code"] == loinc
    assert (found["valueQuantity"]["value"], found["valueQuantity"]["code"]) == (number, ucum)
    assert found["status"] == "final"


def test_blood_pressure_has_two_components() -> None:
    note, _ = vital("pressão arterial", "150/90", "Pressão arterial 150 por 90.")
    (found,) = observations(note, DICTATION)
    validate(found)
    assert [part["valueQuantity"]["value"] for part in found["component"]] == [150, 90]


@pytest.mark.parametrize(
    ("name", "value"),
    [("pressão arterial", "90/150"), ("frequência cardíaca", "9000"), ("saturação", "198%"), ("peso", "70"), ("humor", "1"),
     ("temperatura", "alta")],
)  # fmt: skip
def test_what_cannot_be_a_vital_sign_stays_in_the_text(name: str, value: str) -> None:
    note, _ = vital(name, value)
    assert observations(note, DICTATION) == []


def test_a_figure_that_was_edited_away_unsupported_or_denied_is_never_written() -> None:
    note, fact = vital("frequência cardíaca", "76")
    edited = note_of(Sentence("s1", "Frequência cardíaca 67.", (1,), "human"), facts=(fact,))
    removed = note_of(facts=(fact,))
    elsewhere = note_of(Sentence("s1", "frequência cardíaca 76", (2,), "human"), facts=(fact,))
    unsupported = note_of(
        *note.content.sentences(), facts=(msgspec.structs.replace(fact, verdict=Verdict(supported=False)),)
    )
    denied = note_of(*note.content.sentences(), facts=(msgspec.structs.replace(fact, negated=True),))
    for changed in (edited, removed, elsewhere, unsupported, denied):
        assert observations(changed, DICTATION) == []
    assert len(observations(note, DICTATION)) == 1


@given(st.text(min_size=1, max_size=60))
def test_any_text_makes_a_valid_composition(text: str) -> None:
    resource = composition(note_of(Sentence("s1", text, (1, 7), "human")), DICTATION, SEGMENTS, NOW)
    validate(resource)
    assert resource["section"][0]["title"] == "Objetivo"


def test_the_record_shows_which_sentences_nothing_carries_and_who_let_them_stand() -> None:
    bad = Verdict(supported=False)
    texts = ("Febre de 39 graus.", "Dor no peito.", "Refere tosse.")
    doubtful, accepted, carried = (
        Sentence("s1", texts[0], (1,), "ai", bad),
        Sentence("s2", texts[1], (1,), "ai", bad, accepted_by="u1"),
        Sentence("s3", texts[2], (1,), "ai", Verdict(supported=True)),
    )
    resource = composition(note_of(doubtful, accepted, carried), DICTATION, SEGMENTS, NOW)
    validate(resource)
    (section,) = resource["section"]
    shown = (f"{UNSUPPORTED} {texts[0]}", *texts[1:])
    assert "".join(f"<p>{text}</p>" for text in shown) in section["text"]["div"]
    told = [{part["url"]: part for part in link["extension"]} for link in section["extension"]]
    assert [parts.get("unsupported", {}).get("valueBoolean") for parts in told] == [True, True, None]
    assert [parts.get("accepted-by", {}).get("valueString") for parts in told] == [None, "u1", None]


def test_an_empty_note_makes_a_valid_composition_too() -> None:
    validate(composition(note_of(), DICTATION, {}, NOW))


def test_the_recording_has_a_valid_document() -> None:
    resource = audio_document(DICTATION, NOW)
    validate(resource)
    assert resource["content"][0]["attachment"]["contentType"] == "audio/wav"


def test_the_question_is_the_one_that_the_model_was_trained_on() -> None:
    asked = messages([Segment(1, 0, 1, "Nega febre.", 0.9), Segment(2, 1, 2, "PA 120/80.", 0.9)])
    assert asked[-1].content == "Transcrição:\n[1] Nega febre.\n[2] PA 120/80.\n\nEscreva a nota em JSON."


def test_the_schema_admits_good_answers_and_no_others() -> None:
    import jsonschema_rs

    check = jsonschema_rs.validator_for(answer_schema([1, 2]))
    sections: list[dict[str, Any]] = [{"code": code, "sentences": []} for code in SECTION_CODES]
    good = {"sections": sections, "facts": []}
    assert check.is_valid(good)
    sections[0]["sentences"] = [{"text": "Nega febre.", "segments": [2]}]
    assert check.is_valid(good)
    for wrong in ([3], [], [1, 2, 1, 2]):
        sections[0]["sentences"] = [{"text": "Nega febre.", "segments": wrong}]
        assert not check.is_valid(good)
    assert not check.is_valid({"sections": sections[:2], "facts": []})
    assert "prefixItems" not in str(answer_schema([1]))
    assert len(FACT_KINDS) == len(set(FACT_KINDS)) == 18
