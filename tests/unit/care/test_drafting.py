from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care import guard
from appliance.care.drafting import WIDEST, parse, uncited, verbatim, write_draft
from appliance.care.model import SECTION_CODES, Content, Segment
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import BUSY, UNAVAILABLE, ProntuarioError
from appliance.plugin_host.choice import Choice
from plugins.medgemma_chat.provider import TOO_LONG
from tests.fakes.care_models import ScriptedChat, note_json, note_with_facts


def speech(count: int) -> list[Segment]:
    return [Segment(n, float(n), n + 0.9, f"Refere sintoma {n}.", 0.9) for n in range(1, count + 1)]


async def drafted(chat: ScriptedChat, segments: list[Segment]) -> Content:
    return await write_draft(segments, "f" * 64, Choice(chat, "p", "p"), CallOptions())


def numbers_in(question: str) -> list[int]:
    return [int(number) for number in re.findall(r"^\[(\d+)\]", question, re.MULTILINE)]


def echo(question: str) -> str:
    """A model that writes every segment down as it is."""
    lines = re.findall(r"^\[(\d+)\] (.*)$", question, re.MULTILINE)
    return note_json(S=[(text, [int(number)]) for number, text in lines])


def narrow(limit: int) -> Any:
    """A model whose context holds so many segments."""

    def answer(question: str) -> str:
        if len(numbers_in(question)) > limit:
            raise TOO_LONG()
        return echo(question)

    return answer


async def test_a_long_consult_is_drafted_in_parts_without_a_gap() -> None:
    chat = ScriptedChat([echo])
    content = await drafted(chat, speech(WIDEST * 2 + 5))
    assert len(chat.asked) == 3
    assert [s.segments[0] for s in content.sentences()] == list(range(1, WIDEST * 2 + 6))
    assert len({s.id for s in content.sentences()}) == len(content.sentences())
    assert uncited(content, speech(WIDEST * 2 + 5)) == []


async def test_the_guard_reads_a_draft_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    check, threads = guard.check_sentence, set[int]()

    def noted(text: str, segments: Sequence[int], transcript: Mapping[int, str]) -> guard.Verdict:
        threads.add(threading.get_ident())
        return check(text, segments, transcript)

    monkeypatch.setattr(guard, "check_sentence", noted)
    content = await drafted(ScriptedChat([echo]), speech(3))
    assert len(content.sentences()) == 3
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_what_is_too_much_at_once_is_halved_until_it_fits(limit: int) -> None:
    content = await drafted(ScriptedChat([narrow(limit)]), speech(11))
    assert sorted(s.segments[0] for s in content.sentences()) == list(range(1, 12))
    assert {s.origin for s in content.sentences()} == {"ai"}
    assert content.ai is not None
    assert not content.ai.fallback


async def test_what_never_fits_stands_verbatim_beside_what_does() -> None:
    def answer(question: str) -> str:
        if 3 in numbers_in(question):
            raise TOO_LONG()
        return echo(question)

    content = await drafted(ScriptedChat([answer]), speech(4))
    origins = {s.segments[0]: s.origin for s in content.sentences()}
    assert origins == {1: "ai", 2: "ai", 3: "transcript", 4: "ai"}
    assert content.ai is not None
    assert (content.ai.fallback, content.ai.fallback_reason) == (True, "chat.context_too_long")


@pytest.mark.parametrize("error", [BUSY(what="chat", waiting=3), UNAVAILABLE(what="chat")])
async def test_a_passing_failure_is_left_to_the_queue(error: ProntuarioError) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await drafted(ScriptedChat([error]), speech(2))
    assert caught.value is error


async def test_each_question_is_held_to_a_schema_of_its_own_segments() -> None:
    chat = ScriptedChat([echo])
    await drafted(chat, speech(3))
    schema = chat.asked[0][1].json_schema
    assert schema is not None
    cited = schema["properties"]["facts"]["items"]["properties"]["segments"]["items"]["enum"]
    assert cited == [1, 2, 3]
    assert chat.asked[0][1].temperature == 0.0
    assert chat.asked[0][1].public_system
    assert "sintoma" not in chat.asked[0][0][0].content  # what all share holds nothing that was said


async def test_invented_facts_and_sentences_are_kept_and_marked() -> None:
    answer = note_with_facts(
        [
            {"kind": "symptom", "name": "febre", "segments": [1]},
            {"kind": "symptom", "name": "sintoma", "segments": [1]},
        ],
        S=[("Refere sintoma 1.", [1]), ("Refere febre.", [1])],
    )
    content = await drafted(ScriptedChat([answer]), speech(1))
    assert [s.verdict.supported for s in content.sentences() if s.verdict] == [True, False]
    assert [fact.verdict.supported for fact in content.facts] == [False, True]


async def test_a_segment_cited_twice_is_cited_once() -> None:
    content = await drafted(ScriptedChat([note_json(S=[("Refere sintoma 1.", [1, 1])])]), speech(1))
    assert content.sentences()[0].segments == (1,)


async def test_what_the_model_repeats_word_by_word_stands_once() -> None:
    cough = {"kind": "symptom", "name": "sintoma", "value": "1", "segments": [1, 2]}
    again = [cough | {"segments": [2, 1, 2]}, cough]
    others = [
        cough | {"negated": True},
        cough | {"segments": [1]},
        cough | {"value": None},
        cough | {"kind": "finding"},
    ]
    said = ("Refere sintoma 1.", [1])
    answer = note_with_facts(
        [cough, *again, *others, cough], S=[said, said, ("Refere sintoma 2.", [2]), said], A=[said, (said[0], [1, 2])]
    )
    content = await drafted(ScriptedChat([answer]), speech(2))
    assert [(fact.kind, fact.value, fact.negated, fact.segments) for fact in content.facts] == [
        ("symptom", "1", False, (1, 2)),
        ("symptom", "1", True, (1, 2)),
        ("symptom", "1", False, (1,)),
        ("symptom", None, False, (1, 2)),
        ("finding", "1", False, (1, 2)),
    ]
    assert [[s.text[-2] for s in section.sentences] for section in content.sections] == [["1", "2"], [], ["1", "1"], []]
    assert [s.id for s in content.sentences()] == ["s1", "s2", "s3", "s4"]


def test_verbatim_speech_keeps_every_word_in_order() -> None:
    content = verbatim(speech(3), "f" * 64, "capability.unavailable")
    assert [s.text for s in content.sentences()] == [segment.text for segment in speech(3)]
    assert [section.code for section in content.sections] == list(SECTION_CODES)
    assert all(sentence.resolved for sentence in content.sentences())


def test_what_nobody_cites_is_told() -> None:
    content = verbatim(speech(2), "f" * 64, "x")
    assert uncited(content, speech(4)) == [3, 4]


@given(st.text(max_size=200))
def test_any_answer_is_either_a_draft_or_malformed(text: str) -> None:
    with pytest.raises(ProntuarioError, match=r"draft\.malformed"):
        parse(text, [1])


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[]",
        '{"sections": 3, "facts": []}',
        '{"sections": [{"code": "X", "sentences": []}], "facts": []}',
        '{"sections": [{"code": "S", "sentences": [{"text": "", "segments": [1]}]}], "facts": []}',
        note_json(S=[("a", [2])]),
        note_with_facts([{"name": "a", "segments": [2]}]),
        note_json(S=[("a", [1])])[:-1],
    ],
)
def test_malformed_answers(text: str) -> None:
    with pytest.raises(ProntuarioError, match=r"draft\.malformed"):
        parse(text, [1])
