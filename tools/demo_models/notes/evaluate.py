"""How right a notes model is by itself, before any guard: on held-out consults, heard well and badly."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tools.demo_models.notes.hearing import CLEAN, Manner
from tools.demo_models.notes.samples import Sample, chat_sample, note_sample
from tools.demo_models.notes.writer import Answer, Writer

SETS: Final[Mapping[str, Manner]] = {
    "clean": CLEAN,
    "misheard": Manner(made_up=0.0, word_errors=0.05, misheard_digits=0.3, number_words=0.0, dialogue=0.0, short=0.0),
    "made-up names": Manner(1.0, 0, 0, 0, 0, 0, 0, cuts=False),
    "number words": Manner(0, 0, 0, 1.0, 0, 0, 0, cuts=False),
    "dialogue": Manner(0, 0, 0, 0, 0, 1.0, 0, cuts=False),
}
_NUMBER: Final = re.compile(r"\d+(?:,\d+)?")


@dataclass(slots=True)
class Score:
    """Counts over the notes of one set; ``rates`` turns them into shares."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, sample: Sample, answer: Answer) -> None:
        """Compare one answer with its gold note."""
        count, gold = self.counts, sample.note or {}
        count["notes"] += 1
        try:
            note = json.loads(answer.text)
        except ValueError:
            note = {"sections": [], "facts": []}
        else:
            count["valid"] += not answer.cut
        count["exact"] += note == gold
        self._facts(gold["facts"], note["facts"])
        self._sentences(_sentences(gold), _sentences(note), sample.scene.segments)
        self._drugs(gold["facts"], note["facts"])

    def _facts(self, gold: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
        wanted, written = Counter(map(_identity, gold)), Counter(map(_identity, found))
        right = wanted & written
        self.counts["facts_wanted"] += wanted.total()
        self.counts["facts_written"] += written.total()
        self.counts["facts_right"] += right.total()
        cited = {_identity(fact): fact["segments"] for fact in gold}
        for fact in found:
            if _identity(fact) in right:
                self.counts["links"] += 1
                self.counts["links_right"] += fact["segments"] == cited[_identity(fact)]
            elif len(self.examples) < 20:
                self.examples.append(str(_identity(fact)))

    def _sentences(
        self, gold: list[tuple[str, tuple[int, ...]]], found: list[tuple[str, tuple[int, ...]]], said: Mapping[int, str]
    ) -> None:
        cited = dict(gold)
        self.counts["sentences_wanted"] += len(gold)
        for text, segments in found:
            if text in cited:
                self.counts["sentences_right"] += 1
                self.counts["links"] += 1
                self.counts["links_right"] += segments == cited[text]
            heard = set(_NUMBER.findall(" ".join(said.get(number, "") for number in segments)))
            numbers = _NUMBER.findall(text.replace("SatO2", ""))
            self.counts["numbers"] += len(numbers)
            self.counts["numbers_wrong"] += sum(number not in heard for number in numbers)

    def _drugs(self, gold: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
        wanted = Counter(fact["name"] for fact in gold if fact["kind"] == "medication")
        written = Counter(fact["name"] for fact in found if fact["kind"] == "medication")
        self.counts["drugs_wanted"] += wanted.total()
        self.counts["drugs_right"] += (wanted & written).total()
        self.counts["drugs_wrong"] += (written - wanted).total()

    def rates(self) -> dict[str, float]:
        """The figures of this set, as shares of one."""
        count = self.counts

        def share(part: str, whole: str) -> float:
            return round(count[part] / count[whole], 4) if count[whole] else 1.0

        precision, recall = share("facts_right", "facts_written"), share("facts_right", "facts_wanted")
        return {
            "valid": share("valid", "notes"),
            "exact": share("exact", "notes"),
            "precision": precision,
            "recall": recall,
            "f1": round(2 * precision * recall / (precision + recall), 4) if precision + recall else 0.0,
            "links": share("links_right", "links"),
            "sentences": share("sentences_right", "sentences_wanted"),
            "drugs": share("drugs_right", "drugs_wanted"),
            "drugs_wrong": share("drugs_wrong", "drugs_wanted"),
            "numbers_wrong": share("numbers_wrong", "numbers"),
        }


def _identity(fact: Mapping[str, Any]) -> tuple[Any, ...]:
    return fact["kind"], fact["name"], fact["value"], fact["negated"], fact["laterality"]


def _sentences(note: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...]]]:
    return [(said["text"], tuple(said["segments"])) for part in note["sections"] for said in part["sentences"]]


def note_samples(name: str, count: int) -> list[Sample]:
    """The held-out samples of one set, the same each time."""
    return [note_sample(random.Random(f"held-out-{name}-{place}"), SETS[name], "held_out") for place in range(count)]


def evaluate_notes(writer: Writer, name: str, count: int, progress: Callable[[int], None]) -> Score:
    """Score the notes of ``count`` consults of a set."""
    samples, score = note_samples(name, count), Score()
    for sample, answer in zip(samples, writer.notes(samples, progress), strict=True):
        score.add(sample, answer)
    return score


def evaluate_chat(writer: Writer, count: int, progress: Callable[[int], None]) -> tuple[float, list[str]]:
    """The share of exact answers to the first question about each of ``count`` consults, and some of the others."""
    samples = [chat_sample(random.Random(f"held-out-chat-{place}"), CLEAN, "held_out") for place in range(count)]
    answers = writer.chats([each.turns[0].question for each in samples], progress)
    wrong = [
        f"{each.turns[0].question.rpartition(chr(10))[2]} → {answer.text} (gold: {each.turns[0].answer})"
        for each, answer in zip(samples, answers, strict=True)
        if answer.text.strip() != each.turns[0].answer
    ]
    return 1 - len(wrong) / max(1, count), wrong
