"""The figures of the demonstration models, group by group; ``bench_demo_models.py`` runs them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from appliance.care.note_schema import messages
from appliance.daemon.demo.gold import Gold
from appliance.plugin_api.blas import openblas_environment
from appliance.plugin_api.capabilities import ChatModel, SpeechToText
from bench.report import Report, say
from tools.demo_models.evaluation import hearing, sounds
from tools.demo_models.evaluation.drafts import Watched, draft_all
from tools.demo_models.evaluation.gold import gold_of, hard_gold, held_out_consult
from tools.demo_models.evaluation.score import NoteScore
from tools.demo_models.grammar import Sentence, is_held_out
from tools.demo_models.grammar.hard import HARDNESSES
from tools.demo_models.speech.espeak import Delivery
from tools.demo_models.speech.voices import FAR, NEAR, clean_delivery, held_out_delivery

SEED = "bench"
NOT_SPEECH_ROUNDS = 5
PEER_SOUNDS, PEER_NOTES = 24, 6
HARD_NAMES = {
    "number_words": "number words",
    "unknown_names": "unknown drugs and diagnoses",
    "dialogue": "two speakers",
}
Voice = Callable[[random.Random], Delivery]


def held_out_sentences(count: int) -> list[Sentence]:
    """Different sentences that no training ever saw."""
    found: dict[str, Sentence] = {}
    number = 0
    while len(found) < count:
        for sentence in held_out_consult(f"{SEED}/sentences/{number}").sentences:
            if is_held_out(sentence.text) and len(found) < count:
                found[sentence.text] = sentence
        number += 1
    return list(found.values())


def spoken_alone(sentences: Sequence[Sentence], voice: Voice, snr_db: float | None = None) -> list[sounds.Wave]:
    """Each sentence by a voice of its own."""
    rng = random.Random(f"{SEED}/voices")
    return [sounds.alone(sentence, voice(rng), number, snr_db) for number, sentence in enumerate(sentences)]


def dots(name: str) -> Callable[[int, int], None]:
    """Progress in tenths."""

    def told(done: int, of: int) -> None:
        if done * 10 // of != (done - 1) * 10 // of:
            say(f"  {name}: {done}/{of}")

    return told


def peer(kind: str, path: Path) -> dict[str, Any]:
    """Run the reference library in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("demo_peer.py")), kind, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | openblas_environment())
    return dict(json.loads(done.stdout.splitlines()[-1]))


async def speech_rows(report: Report, model: SpeechToText, count: int) -> None:
    """Word error rates through the voice gate and the engine's batches; speed beside the sequential reference."""
    sentences = held_out_sentences(count)
    texts = [sentence.text for sentence in sentences]
    conditions: list[tuple[str, Voice, float | None, float | None]] = [
        ("clean", clean_delivery, None, 5),
        ("noise at 20 dB", clean_delivery, 20.0, 10),
        ("noise at 10 dB", clean_delivery, 10.0, None),
        ("held-out voices", lambda rng: held_out_delivery(rng, NEAR), None, 10),
        ("distant held-out voices", lambda rng: held_out_delivery(rng, FAR), None, None),
    ]
    for name, voice, snr_db, most in conditions:
        waves = spoken_alone(sentences, voice, snr_db)
        heard = await hearing.hear_all(waves, model, dots(name))
        rate = 100 * hearing.corpus_word_error_rate(texts, heard.texts())
        report.row(f"WER, {count} held-out sentences, {name}", rate, "%", aim=("<=", most) if most else None)
        if name == "clean":
            _speed(report, heard, waves[:PEER_SOUNDS], texts)
    for name in sounds.not_speech(0):
        waves = [sounds.not_speech(seed)[name] for seed in range(NOT_SPEECH_ROUNDS)]
        words = sum(len(text.split()) for text in (await hearing.hear_all(waves, model)).texts())
        report.row(f"words heard in {NOT_SPEECH_ROUNDS} × 8 s of {name}", words, "words", aim=("==", 0))


def _speed(report: Report, ours: hearing.Heard, waves: Sequence[sounds.Wave], texts: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sounds.npz"
        np.savez(path, *waves)
        theirs = peer("speech", path)
    rate = hearing.corpus_word_error_rate(texts[: len(waves)], theirs["texts"])
    say(f"  the reference's WER on {len(waves)} of the same sounds: {rate:.1%}")
    report.row(
        "seconds of speech transcribed a second", ours.audio_s / ours.seconds, "s/s",
        peer=f"mlx_whisper.transcribe, one after another, {len(waves)} of them",
        peer_value=theirs["audio_s"] / theirs["seconds"],
    )  # fmt: skip


async def score_of(golds: Sequence[Gold], model: ChatModel, name: str) -> tuple[NoteScore, Watched, float]:
    """Draft and score; examples of what stands and should not go to the terminal."""
    watched, score = Watched(model), NoteScore()
    drafted = await draft_all([gold.segments() for gold in golds], watched, dots(name))
    for gold, note in zip(golds, drafted.notes, strict=True):
        score.add(gold, note)
    for example in score.examples[:12]:
        say(f"  stands and should not: {example}")
    return score, watched, drafted.seconds


async def note_rows(report: Report, model: ChatModel, count: int) -> None:
    """Notes of consults whose transcript is right: what the language model and the guard make of them."""
    seeds = [f"{SEED}/notes/{number}" for number in range(count)]
    golds = [gold_of(held_out_consult(seed), seed) for seed in seeds]
    score, watched, seconds = await score_of(golds, model, "notes")
    row = report.row
    row(
        f"notes of {count} held-out consults: valid JSON",
        100 * watched.valid_json / watched.answers,
        "%",
        aim=("==", 100),
    )
    row("facts: precision", 100 * score.precision, "%")
    row("facts: recall", 100 * score.recall, "%")
    row("facts: F1", 100 * score.f1, "%", aim=(">=", 95))
    copies_rows(report, score, "")
    row("citations of the right segment", 100 * score.rate("links_right", "links"), "%")
    row(
        f"sentences unsupported and unmarked, of {score.counts['sentences']}",
        score.counts["sentences_unsupported"],
        "sentences",
    )
    row(f"facts invented and unmarked, of {score.counts['facts_written']}", score.counts["facts_invented"], "facts")
    row("sentences marked by the guard", 100 * score.rate("sentences_marked", "sentences"), "%")
    theirs = await asyncio.to_thread(_reference_notes, golds[:PEER_NOTES])
    row(
        "tokens of notes a second, 32 at a time, held to the schema", watched.tokens / seconds, "1/s",
        peer=f"mlx_lm.generate, one after another, free of a schema, {PEER_NOTES} of them",
        peer_value=theirs["tokens"] / theirs["seconds"],
    )  # fmt: skip


def copies_rows(report: Report, score: NoteScore, where: str) -> None:
    """Drugs and numbers that stand in drafts although nobody said them."""
    for what in ("drugs", "numbers"):
        rate = 100 * score.rate(f"{what}_wrong", f"{what}_copied")
        name = f"{what} wrong after the guard{where}, of {score.counts[f'{what}_copied']}"
        report.row(name, rate, "%", aim=None if where else ("<=", 0.5))


def _reference_notes(golds: Sequence[Gold]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.json"
        path.write_text(json.dumps([messages(gold.segments())[1].content for gold in golds]), encoding="utf-8")
        return peer("notes", path)


async def hard_rows(report: Report, model: ChatModel, count: int) -> None:
    """Outside the grammar the models break: what then stands unmarked must still have been said."""
    for hardness in HARDNESSES:
        golds = [hard_gold(f"{SEED}/{hardness}/{number}", hardness) for number in range(count)]
        score, _watched, _seconds = await score_of(golds, model, hardness)
        name = HARD_NAMES[hardness]
        kept = score.counts["facts_written"] - score.counts["facts_marked"]
        report.row(
            f"{name}: facts invented and unmarked, of {kept} that stand",
            score.counts["facts_invented"],
            "facts",
            aim=("==", 0),
        )
        unsupported = score.counts["sentences_unsupported"]
        report.row(
            f"{name}: sentences unsupported and unmarked, of {score.counts['sentences']}", unsupported, "sentences"
        )
        report.row(f"{name}: facts marked", 100 * score.rate("facts_marked", "facts_written"), "%")
        report.row(f"{name}: notes of {count} that fell back to the transcript", score.counts["refused"], "notes")


async def whole_rows(report: Report, speech: SpeechToText, chat: ChatModel, count: int) -> None:
    """From voice to note: what the speech model mishears reaches the draft, and no guard can know."""
    golds, waves = [], []
    for number in range(count):
        seed = f"{SEED}/whole/{number}"
        made = held_out_consult(seed)
        wave, spans = sounds.consult_audio(made.sentences, clean_delivery(random.Random(seed)), number)
        golds.append(gold_of(made, seed, spans))
        waves.append(wave)
    heard = await hearing.hear_all(waves, speech, dots("whole consults heard"))
    transcripts = [hearing.numbered(segments) for segments in heard.segments]
    drafted = await draft_all(transcripts, chat, dots("whole consults drafted"))
    score = NoteScore()
    for gold, transcript, note in zip(golds, transcripts, drafted.notes, strict=True):
        score.add(gold, note, hearing.places(gold, transcript))
    rate = 100 * hearing.corpus_word_error_rate([gold.text for gold in golds], heard.texts())
    report.row(f"{count} consults from voice to note: WER", rate, "%")
    report.row("from voice to note: facts, F1", 100 * score.f1, "%")
    copies_rows(report, score, ", from voice to note")
