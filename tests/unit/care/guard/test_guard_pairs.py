"""Pairs of speech and writing (``pairs.toml``), each wrong in one way that a model or a recogniser might really be wrong in."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from appliance.care.guard import check_fact, check_sentence
from appliance.care.guard.verdict import Verdict

CASES: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("pairs.toml").read_text(encoding="utf-8"))["case"]
KINDS = {
    "number words", "decimals", "thousands", "ordinals", "ages", "frequency", "units", "negation", "laterality", "time",
    "who said it", "family history", "drug names alike", "dose swapped", "allergic or uses", "suspended or started",
    "hypothesis or diagnosis", "route",
}  # fmt: skip


def judged(case: dict[str, Any], sentence: str) -> Verdict:
    speech = dict(enumerate(case["said"], 1))
    return check_sentence(sentence, list(speech), speech)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["said"][0][:50])
def test_what_is_wrong_is_marked_and_what_is_right_is_not(case: dict[str, Any]) -> None:
    for sentence in case.get("right", ()):
        assert judged(case, sentence).problems == (), sentence
    for sentence in case["wrong"]:
        assert judged(case, sentence).problems, sentence


def test_what_the_rules_cannot_see_is_still_what_the_list_says() -> None:
    """Whoever mends one of these moves it to where it belongs, here and in docs/notes-and-chat.md."""
    for case in CASES:
        assert [sentence for sentence in case.get("open", ()) if judged(case, sentence).problems] == []
        assert [sentence for sentence in case.get("strict", ()) if not judged(case, sentence).problems] == []


def test_the_list_reaches_every_kind() -> None:
    """Or the tests above would hold of nothing."""
    wrong = Counter[str]()
    for case in CASES:
        wrong[case["about"]] += len(case["wrong"])
    assert set(wrong) >= KINDS
    assert wrong.total() >= 500
    assert sum(len(case.get("open", ())) for case in CASES) <= 5


SPEECH = {
    1: "Tem alergia a dipirona e usa losartana cinquenta.",
    2: "Minha mãe tem diabetes.",
    3: "Tenho asma.",
    4: "Hipótese de transtorno bipolar.",
    5: "Tomo losartana.",
}


def fact(kind: str, name: str, value: str | None, cited: int) -> bool:
    told = check_fact(name, value, negated=False, laterality=None, segments=[cited], transcript=SPEECH, kind=kind)
    return told.supported


@pytest.mark.parametrize(
    ("kind", "name", "value", "cited", "supported"),
    [
        ("allergy", "dipirona", None, 1, True),
        ("allergy", "losartana", None, 1, False),
        ("allergy", "losartana", None, 5, False),
        ("medication", "losartana", "50 mg", 1, True),
        ("medication", "dipirona", None, 1, False),
        ("medication", "losartana", None, 5, True),
        ("family", "diabetes", "mãe", 2, True),
        ("family", "asma", None, 3, False),
        ("history", "diabetes", None, 2, False),
        ("diagnosis", "transtorno bipolar", None, 4, True),
        ("diagnosis", "transtorno bipolar", "diferencial", 4, False),
    ],
)
def test_the_kind_and_the_value_of_a_fact_are_claims_too(
    kind: str, name: str, value: str | None, cited: int, supported: bool
) -> None:
    assert fact(kind, name, value, cited) is supported
