"""The evaluation's way through the product: drafting with a scripted model, hearing with a scripted recogniser."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from appliance.daemon.demo.gold import Gold, GoldLine
from appliance.plugin_api.capabilities import Segment
from tests.fakes.care_models import ScriptedChat, ScriptedSpeech
from tools.demo_models.evaluation.drafts import Watched, draft_all
from tools.demo_models.evaluation.gold import gold_of, held_out_consult
from tools.demo_models.evaluation.hearing import corpus_word_error_rate, hear_all, numbered, places
from tools.demo_models.evaluation.notes_report import as_report, evaluate, rows
from tools.demo_models.evaluation.sounds import RATE_HZ, not_speech

GOLD = gold_of(held_out_consult("path"), "path")


def answer(gold: Gold) -> str:
    return msgspec.json.encode(gold.note).decode()


def scripted(*answers: Any) -> Any:
    return ScriptedChat(list(answers))


async def test_a_model_that_writes_the_gold_note_scores_perfectly() -> None:
    score, watched, seconds = await evaluate([GOLD], scripted(answer(GOLD)), lambda _done, _of: None)
    told = {what: value for what, value, _ in rows(score, watched, seconds)}
    assert (told["facts: F1"], told["answers that are valid JSON"], told["citations right"]) == (100, 100, 100)
    assert told["facts marked by the guard"] == 0
    assert told["facts invented that stand unmarked"] == 0
    report = as_report(score, watched, seconds)
    assert report["name"] == "eval-notes"
    assert report["examples"] == []


async def test_an_answer_that_is_no_json_is_counted_and_the_transcript_stands() -> None:
    watched = Watched(scripted("{", "{"))
    drafted = await draft_all([GOLD.segments()], watched)
    assert (watched.answers, watched.valid_json) == (2, 0)
    assert drafted.notes[0].ai is not None
    assert drafted.notes[0].ai.fallback
    assert [sentence.text for sentence in drafted.notes[0].sentences()] == list(GOLD.lines.values())


async def test_a_swapped_figure_is_marked_by_the_guard_and_so_does_not_stand() -> None:
    seed = next(
        f"swap/{n}" for n in range(50) if "Frequência cardíaca de" in gold_of(held_out_consult(f"swap/{n}"), "").text
    )
    gold = gold_of(held_out_consult(seed), seed)
    heard = next(line for line in gold.transcript if line.text.startswith("Frequência cardíaca de"))
    rate = heard.text.split()[3]
    wrong = answer(gold).replace(f'"{rate}"', '"999"').replace(f"FC {rate} bpm", "FC 999 bpm")
    assert wrong != answer(gold)
    score, _, _ = await evaluate([gold], scripted(wrong), lambda _done, _of: None)
    assert score.counts["facts_marked"] >= 1
    assert score.counts["sentences_marked"] >= 1
    assert score.counts["numbers_wrong"] == 0


async def test_sounds_are_heard_through_the_provider() -> None:
    speech: Any = ScriptedSpeech(["Nega febre.", "Refere tosse."])
    heard = await hear_all([np.zeros(RATE_HZ, np.float32)] * 3, speech)
    assert heard.audio_s == 3.0
    assert heard.texts() == ["Nega febre. Refere tosse."] * 3
    assert speech.heard_bytes == [2 * RATE_HZ] * 3
    assert corpus_word_error_rate(["nega febre refere dor"] * 3, heard.texts()) == 0.25


def test_heard_segments_find_their_lines_by_time() -> None:
    lines = (GoldLine(1, "a", 0.5, 1.5), GoldLine(2, "b", 2.0, 3.0), GoldLine(3, "c", 4.0, 5.0))
    gold = msgspec.structs.replace(GOLD, transcript=lines)
    heard = numbered([Segment(0.4, 3.1, "a b", 0.9), Segment(5.2, 5.4, "c", 0.9)])
    assert places(gold, heard) == {1: [1, 2], 2: [3]}


def test_what_is_not_speech_is_the_same_for_a_seed_and_within_range() -> None:
    first, again = not_speech(3, 1.0), not_speech(3, 1.0)
    assert set(first) == {"silence", "tone", "noise", "music"}
    for name, wave in first.items():
        assert np.array_equal(wave, again[name])
        assert len(wave) == RATE_HZ
        assert float(np.abs(wave).max()) <= 1.0
