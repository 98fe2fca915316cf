"""What ``make run`` prints beside each sample: how it compares with the gold file."""

from __future__ import annotations

import pytest

from appliance.care.note_schema import DraftFact
from appliance.daemon.demo.compare import compare_facts, word_edits
from appliance.daemon.demo.consult import Consult
from appliance.daemon.demo.gold import GoldError, decode_gold
from appliance.daemon.demo.show import SAMPLES, read_sample, told

FEVER = DraftFact("symptom", "febre", None, True, None, (2,))
KNEE = DraftFact("symptom", "dor no joelho", "3 dias", False, "direito", (1,))


def test_a_right_note_is_told_in_one_line() -> None:
    assert told(compare_facts([KNEE, FEVER], [FEVER, KNEE])) == ["facts     2 of 2 right, 2 with the right source"]


def test_what_is_missing_and_what_is_too_many_are_told_by_name() -> None:
    left = DraftFact("symptom", "dor no joelho", "3 dias", False, "esquerdo", (1,))
    lines = told(compare_facts([KNEE, FEVER], [left, FEVER]))
    assert lines[0] == "facts     1 of 2 right, 1 with the right source"
    assert lines[1:] == [
        "missing   symptom, dor no joelho, 3 dias, direito",
        "too many  symptom, dor no joelho, 3 dias, esquerdo",
    ]


def test_a_right_fact_from_the_wrong_place_is_right_but_not_linked() -> None:
    elsewhere = DraftFact("symptom", "febre", None, True, None, (3,))
    comparison = compare_facts([FEVER], [elsewhere])
    assert (comparison.right, comparison.linked, comparison.equal) == (1, 0, False)


def test_the_same_fact_twice_is_one_too_many() -> None:
    comparison = compare_facts([FEVER], [FEVER, FEVER])
    assert (comparison.right, len(comparison.extra)) == (1, 1)


def test_a_consult_gives_its_facts_as_values() -> None:
    note = {"facts": [{"kind": "symptom", "name": "febre", "value": None, "negated": True, "laterality": None}]}
    note["facts"][0] |= {"segments": [2], "verdict": {"supported": True}}
    assert Consult("p", "e", note=note).facts == [FEVER]


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_has_its_recording_and_a_gold_note_with_every_section(name: str) -> None:
    audio, gold = read_sample(name)
    assert audio[:4] == b"fLaC"
    assert [part.code for part in gold.note.sections] == ["S", "O", "A", "P"]
    assert {fact.kind for fact in gold.note.facts} >= {"medication", "diagnosis", "vital"}


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"format": "prontuario-gold/1", "transcript": []}'])
def test_what_is_no_gold_file_is_refused(data: bytes) -> None:
    with pytest.raises(GoldError):
        decode_gold(data)


def test_words_are_counted_without_case_and_punctuation() -> None:
    assert word_edits("Temperatura 38,5 graus.", "temperatura 38 5 graus") == (2, 3)
    assert word_edits("", "inventado") == (1, 0)
    assert word_edits("PA 130/80.", "pa 130/80") == (0, 2)
