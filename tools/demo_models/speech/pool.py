"""A pool of spoken sentences on disk: made once, resumable shard by shard, read by memory map.

A folder holds ``manifest.json``, ``vocabulary.json`` and for each shard ``00012.npy`` (int16 at 16 kHz, all sentences one
after another) with ``00012.json`` (what lies where). A shard depends on the seed and its number only, so several processes
may make one pool and a broken run goes on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tools.demo_models.grammar import Sentence, Split, consult, is_held_out
from tools.demo_models.speech.alignment import written_word_starts
from tools.demo_models.speech.espeak import Delivery, resample, speaker
from tools.demo_models.speech.vocabulary import VOCABULARY_CONSULTS, grammar_vocabulary
from tools.demo_models.speech.voices import FAR, NEAR, clean_delivery, held_out_delivery, training_delivery

RATE_HZ: Final = 16_000
LONGEST_S: Final = 9.4
"""With a little silence a sentence still fits the model's window of ten seconds."""
VoiceSet = Literal["train", "clean", "near", "far"]
_MOST_REPEATS: Final = 2
"""Of one sentence in one shard: "Nega febre." would fill the pool otherwise."""
_AUDIBLE: Final = 60
_KEPT_SILENCE: Final = 320
_SHORTEST_WORD_S: Final = 0.02
_WAIT_S: Final = 2.0
_PATIENCE_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """A sentence said: ``samples`` int16 at 16 kHz, ``starts`` in seconds for each written word."""

    text: str
    spoken: str
    voice: str
    starts: tuple[float, ...]
    samples: NDArray[np.int16]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE_HZ


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What a pool holds: written to its manifest."""

    utterances: int
    seed: int
    split: Split = "train"
    voices: VoiceSet = "train"
    per_shard: int = 500

    @property
    def shards(self) -> int:
        return -(-self.utterances // self.per_shard)


def utter(sentence: Sentence, delivery: Delivery) -> Utterance:
    """Say a sentence; the silence around it is cut to 20 ms."""
    spoken = speaker().say(sentence.spoken, delivery)
    ratio = RATE_HZ / (spoken.rate_hz * delivery.warp)
    wave = resample(spoken.samples, ratio)
    audible = np.flatnonzero(np.abs(wave) > _AUDIBLE)
    if not len(audible):
        return Utterance(sentence.text, sentence.spoken, delivery.voice, (), np.zeros(0, np.int16))
    first, last = max(0, int(audible[0]) - _KEPT_SILENCE), int(audible[-1]) + _KEPT_SILENCE
    events = [(offset, seconds / delivery.warp) for offset, seconds in spoken.words]
    starts = written_word_starts(sentence.text, sentence.spoken, events, len(wave) / RATE_HZ)
    samples = np.clip(wave[first:last], -32768, 32767).astype(np.int16)
    latest = max(0.0, len(samples) / RATE_HZ - _SHORTEST_WORD_S)  # an event may lie in the silence that was cut
    return Utterance(
        sentence.text,
        sentence.spoken,
        delivery.voice,
        tuple(min(max(0.0, start - first / RATE_HZ), latest) for start in starts),
        samples,
    )


def speak(plan: PoolPlan, shard: int) -> Iterator[Utterance]:
    """The utterances of one shard."""
    rng = random.Random(f"{plan.seed}/{plan.split}/{plan.voices}/{shard}")
    wanted = min(plan.per_shard, plan.utterances - shard * plan.per_shard)
    seen: Counter[str] = Counter()
    made = 0
    while made < wanted:
        for sentence in consult(rng, plan.split).sentences:
            seen[sentence.text] += 1
            if seen[sentence.text] > _MOST_REPEATS or made >= wanted:
                continue
            if plan.split == "held_out" and not is_held_out(sentence.text):
                continue  # of a template with too few realisations to hold any back
            utterance = utter(sentence, _delivery(rng, plan.voices))
            if 0.3 < utterance.duration_s <= LONGEST_S:
                made += 1
                yield utterance


def prepare_pool(folder: Path, plan: PoolPlan, consults: int = VOCABULARY_CONSULTS) -> None:
    """Write the manifest and, unless it is there, the vocabulary: what ``consults`` sampled consults use."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "manifest.json", asdict(plan))
    if not (folder / "vocabulary.json").exists():
        draft = folder / "vocabulary.tmp"
        grammar_vocabulary(consults).save(draft)
        draft.rename(folder / "vocabulary.json")


def make_shard(task: tuple[Path, PoolPlan, int]) -> None:
    """Make one shard (of a folder, a plan and a number) unless it is there."""
    folder, plan, shard = task
    if not (folder / f"{shard:05d}.json").exists():
        _write_shard(folder, shard, list(speak(plan, shard)))


def make_shards(folder: Path, plan: PoolPlan, workers: int = 1) -> Iterator[int]:
    """Make the shards that are missing and yield how many are there so far.

    Each is made in a fresh process: the synthesiser carries noise and phase from one sentence into the next, and so a
    shard sounds the same whichever was made before it.
    """
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(workers, maxtasksperchild=1) as processes:
        tasks = [(folder, plan, shard) for shard in range(plan.shards)]
        for done, _ in enumerate(processes.imap_unordered(make_shard, tasks, chunksize=1), 1):
            yield done


class Pool:
    """Reads a pool that may still be in the making: an utterance that is not there yet is waited for."""

    def __init__(self, folder: Path, patience_s: float = _PATIENCE_S) -> None:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.plan = PoolPlan(**manifest)
        self._folder = folder
        self._patience_s = patience_s
        self._shards: dict[int, tuple[NDArray[np.int16], list[dict[str, Any]]]] = {}

    def __len__(self) -> int:
        return self.plan.utterances

    def __getitem__(self, index: int) -> Utterance:
        """Raises ``TimeoutError`` when nobody makes the shard."""
        samples, entries = self._shard(index // self.plan.per_shard)
        entry = entries[index % self.plan.per_shard]
        begin = entry["offset"]
        piece = samples[begin : begin + entry["samples"]]
        return Utterance(entry["text"], entry["spoken"], entry["voice"], tuple(entry["starts"]), piece)

    def duration_s(self, index: int) -> float:
        """Length of an utterance without touching its sound."""
        return float(self._shard(index // self.plan.per_shard)[1][index % self.plan.per_shard]["samples"]) / RATE_HZ

    def _shard(self, number: int) -> tuple[NDArray[np.int16], list[dict[str, Any]]]:
        if number not in self._shards:
            path = self._folder / f"{number:05d}.json"
            deadline = time.monotonic() + self._patience_s
            while not path.exists():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} was not made in {self._patience_s:g} s: run speech-pool")
                time.sleep(_WAIT_S)
            entries = json.loads(path.read_text(encoding="utf-8"))
            self._shards[number] = (np.load(path.with_suffix(".npy"), mmap_mode="r"), entries)
        return self._shards[number]


def _delivery(rng: random.Random, voices: VoiceSet) -> Delivery:
    if voices == "train":
        return training_delivery(rng)
    if voices == "clean":
        return clean_delivery(rng)
    return held_out_delivery(rng, NEAR if voices == "near" else FAR)


def _write_shard(folder: Path, shard: int, utterances: list[Utterance]) -> None:
    """The sound first and the list last, each under its own name only when whole: a shard with a list is complete."""
    entries, offset = [], 0
    for utterance in utterances:
        entry = {"text": utterance.text, "spoken": utterance.spoken, "voice": utterance.voice}
        starts = [round(start, 3) for start in utterance.starts]
        entries.append({**entry, "offset": offset, "samples": len(utterance.samples), "starts": starts})
        offset += len(utterance.samples)
    draft = folder / f"{shard:05d}.tmp.npy"
    np.save(draft, np.concatenate([utterance.samples for utterance in utterances]))
    draft.rename(folder / f"{shard:05d}.npy")
    _write(folder / f"{shard:05d}.json", entries)


def _write(path: Path, content: Any) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    draft.rename(path)
