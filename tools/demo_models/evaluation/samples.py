"""The product's two sample consults: held-out data of the generator, in two voices, with their gold notes.

How they were chosen: among some twenty seeds ``sample/N`` that were tried, not strictly in order, two consults that show enough
and that the demonstration models carry from voice to note without a mistake: ``sample/102`` in a training voice, ``sample/112``
in the held-out voice f4. They show the product, not the models: how often the models are wrong is what
``make bench-demo-models`` tells, on consults that nobody chose. The synthesiser's noise differs a little from run to run; the
recordings that were checked are the ones in the repository.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import soundfile

from appliance.care.model import Content
from appliance.daemon.demo.compare import compare_facts, word_error_rate
from appliance.daemon.demo.gold import Gold
from appliance.plugin_api.capabilities import ChatModel, SpeechToText
from tools.demo_models.evaluation.drafts import draft_all
from tools.demo_models.evaluation.engines import chat_model, speech_model
from tools.demo_models.evaluation.gold import gold_of, held_out_consult
from tools.demo_models.evaluation.hearing import hear_all, numbered
from tools.demo_models.evaluation.load import AUDIO_SUFFIX, write_spoken
from tools.demo_models.grammar import is_held_out
from tools.demo_models.speech.espeak import Delivery

SAMPLE_FOLDER: Final = Path(__file__).resolve().parents[3] / "appliance" / "daemon" / "sample"
_WORST_WER: Final = 0.05
_LEAST_SENTENCES: Final = 9
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample consult: its file name, the voice, and the chosen seed."""

    name: str
    delivery: Delivery
    seed: str


SAMPLES: Final = (
    Sample("consult", Delivery("pt-br+m3", 165, 50), "sample/102"),
    Sample("consult_2", Delivery("pt-br+f4", 170, 50), "sample/112"),
)


def write_samples(folder: Path = SAMPLE_FOLDER) -> list[Gold]:
    """Write audio, text and gold of both, from their seeds."""
    return [_write(folder, sample) for sample in SAMPLES]


def candidates(first: int, count: int) -> list[str]:
    """Seeds in order whose consults may serve: long enough to show a note, every drug and dose sentence held out."""
    found: list[str] = []
    number = first
    while len(found) < count:
        seed = f"sample/{number}"
        number += 1
        if _shows_enough(seed):
            found.append(seed)
    return found


async def seek(wanted: int, sample: Sample, most: int, say: Say) -> list[tuple[str, int]]:
    """The first ``wanted`` seeds that come through without a mistake, each with its place among the candidates.

    The note is tried on the text first, which is cheap, and then on what the speech model heard.
    """
    seeds = candidates(1, most)
    found: list[tuple[str, int]] = []
    async with speech_model() as speech, chat_model() as chat:
        golds = [gold_of(held_out_consult(seed), seed) for seed in seeds]
        drafted = await draft_all([gold.segments() for gold in golds], chat)
        verdicts = [_verdict(gold, note) for gold, note in zip(golds, drafted.notes, strict=True)]
        for place, (seed, verdict) in enumerate(zip(seeds, verdicts, strict=True), 1):
            told = verdict or await _come_through(seed, sample, speech, chat)
            say(f"{sample.name}, candidate {place}, {seed}: {told or 'whole'}")
            if not told:
                found.append((seed, place))
            if len(found) >= wanted:
                break
    return found


async def _come_through(seed: str, sample: Sample, speech: SpeechToText, chat: ChatModel) -> str:
    """What goes wrong on the way from voice to note; an empty string when nothing does."""
    with TemporaryDirectory() as scratch:
        gold = await asyncio.to_thread(write_spoken, Path(scratch), "try", seed, sample.delivery)
        wave, _rate = soundfile.read(Path(scratch) / f"try{AUDIO_SUFFIX}", dtype="float32")
    heard = await hear_all([np.asarray(wave, np.float32)], speech)
    if (rate := word_error_rate(gold.text, heard.texts()[0])) > _WORST_WER:
        return f"WER {rate:.1%}"
    drafted = await draft_all([numbered(heard.segments[0])], chat)
    return _verdict(gold, drafted.notes[0])


def _verdict(gold: Gold, note: Content) -> str:
    """How a note differs from its gold note."""
    comparison = compare_facts(gold.note.facts, note.facts)
    expected = {said.text: said.segments for part in gold.note.sections for said in part.sentences}
    problems = [] if comparison.equal else [f"missing {comparison.missing}, extra {comparison.extra}"]
    for sentence in note.sentences():
        if not sentence.resolved:
            problems.append(f"marked: {sentence.text}")
        elif expected.get(sentence.text) != sentence.segments:
            problems.append(f"not the gold sentence: {sentence.text}")
    return "; ".join(problems)


def _shows_enough(seed: str) -> bool:
    sentences = held_out_consult(seed).sentences
    kinds = {fact.kind for sentence in sentences for fact in sentence.facts}
    held_out = sum(is_held_out(sentence.text) for sentence in sentences)
    shown = {"medication", "vital", "diagnosis"} <= kinds
    denied = any(fact.negated for sentence in sentences for fact in sentence.facts)
    return len(sentences) >= _LEAST_SENTENCES and held_out >= len(sentences) - 1 and shown and denied


def _write(folder: Path, sample: Sample) -> Gold:
    gold = write_spoken(folder, sample.name, sample.seed, sample.delivery)
    text = "".join(line.text + "\n" for line in gold.transcript)
    (folder / f"{sample.name}.txt").write_text(text, encoding="utf-8")
    return gold
