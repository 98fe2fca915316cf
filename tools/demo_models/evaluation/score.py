"""Adds up how notes compare with their gold files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appliance.care.model import Content
from appliance.care.model import Fact as NoteFact
from appliance.daemon.demo.compare import FactLike, compare_facts
from appliance.daemon.demo.gold import Gold
from tools.demo_models.evaluation.judge import Judge, copied_wrong, drugs, numbers

Places = Mapping[int, Sequence[int]]
"""Transcript segment → gold lines; a segment that is not there stands for the line of its own number."""
_INVENTED = frozenset({"segment", "nothing_said", "name", "value", "drug", "number", "negation", "laterality"})
_KEPT_EXAMPLES = 40


@dataclass
class NoteScore:
    """Counts over any number of notes. ``examples``: what stands unmarked and should not, for people to read.

    A sentence or fact *stands* when the guard did not mark it.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, gold: Gold, content: Content, places: Places | None = None) -> None:
        """Count one note."""
        self.counts["notes"] += 1
        if content.ai is not None and content.ai.fallback:
            self.counts["refused"] += 1
        judge, where = Judge(gold), places or {}
        self._facts(gold, content.facts, judge, where)
        self._sentences(gold, content, judge, where)

    def rate(self, part: str, whole: str) -> float:
        """One count by another; 0 when there is nothing to count."""
        return self.counts[part] / self.counts[whole] if self.counts[whole] else 0.0

    @property
    def precision(self) -> float:
        return self.rate("facts_right", "facts_written")

    @property
    def recall(self) -> float:
        return self.rate("facts_right", "facts_expected")

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    def _facts(self, gold: Gold, facts: Sequence[NoteFact], judge: Judge, where: Places) -> None:
        written = [_relocated(fact, where) for fact in facts]
        comparison = compare_facts(gold.note.facts, written)
        count = self.counts
        count["facts_expected"] += comparison.expected
        count["facts_written"] += len(written)
        count["facts_right"] += comparison.right
        count["links"] += comparison.right
        count["links_right"] += comparison.linked
        expected = {(kind, name): rest for kind, name, *rest in comparison.missing}
        said = {(kind, name) for kind, name, *_ in comparison.extra}
        count["facts_contradicted"] += len(expected.keys() & said)
        count["facts_omitted"] += comparison.expected - comparison.right - len(expected.keys() & said)
        for fact, placed in zip(facts, written, strict=True):
            if not fact.verdict.supported:
                count["facts_marked"] += 1
                continue
            problems = judge.fact(placed, placed.segments)
            count["facts_invented"] += bool(problems & _INVENTED)
            self._copies(problems, f"{fact.name} {fact.value or ''}", medication=fact.kind == "medication")
            if problems:
                self._example("fact", f"{fact.kind}: {fact.name} = {fact.value}", problems, gold)

    def _sentences(self, gold: Gold, content: Content, judge: Judge, where: Places) -> None:
        expected = {said.text: set(said.segments) for part in gold.note.sections for said in part.sentences}
        drafted = [sentence for sentence in content.sentences() if sentence.origin == "ai"]
        self.counts["sentences"] += len(drafted)
        self.counts["lines"] += len(gold.transcript)
        cited_lines: set[int] = set()
        for sentence in drafted:
            cited = _lines(sentence.segments, where)
            cited_lines |= set(cited)
            if sentence.text in expected:
                self.counts["links"] += 1
                self.counts["links_right"] += set(cited) == expected[sentence.text]
            if sentence.verdict is not None and not sentence.verdict.supported:
                self.counts["sentences_marked"] += 1
                continue
            problems = judge.sentence(sentence.text, cited)
            self.counts["sentences_unsupported"] += bool(problems)
            self._copies(problems, sentence.text)
            if problems:
                self._example("sentence", sentence.text, problems, gold)
        spoken = {number for fact in gold.note.facts for number in fact.segments}
        self.counts["lines_with_facts"] += len(spoken)
        self.counts["lines_omitted"] += len(spoken - cited_lines) if drafted else 0

    def _copies(self, problems: set[str], text: str, *, medication: bool = False) -> None:
        """What was copied (drugs, numbers) and how often wrongly, of all that stands."""
        wrong = copied_wrong(problems)
        self.counts["drugs_copied"] += max(len(drugs(text)), int(medication))
        self.counts["numbers_copied"] += len(numbers(text))
        self.counts["drugs_wrong"] += "drug" in wrong
        self.counts["numbers_wrong"] += "number" in wrong

    def _example(self, what: str, text: str, problems: set[str], gold: Gold) -> None:
        if len(self.examples) < _KEPT_EXAMPLES:
            self.examples.append(f"{what} {sorted(problems)} of {gold.made.get('seed', '?')}: {text}")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A fact whose segments are gold line numbers."""

    kind: str
    name: str
    value: str | None
    negated: bool
    laterality: str | None
    segments: tuple[int, ...]


def _relocated(fact: FactLike, where: Places) -> _Placed:
    cited = tuple(_lines(fact.segments, where))
    return _Placed(fact.kind, fact.name, fact.value, fact.negated, fact.laterality, cited)


def _lines(segments: Sequence[int], where: Places) -> list[int]:
    return sorted({line for segment in segments for line in where.get(segment, (segment,))})
