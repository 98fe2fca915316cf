"""The judge of notes: what is right passes, what nobody said is named."""

from __future__ import annotations

import pytest

from appliance.care.guard import Verdict
from appliance.care.model import Content, Fact, Section, Sentence
from appliance.care.note_schema import Draft, DraftFact, DraftSection, DraftSentence
from appliance.daemon.demo.gold import FORMAT, Gold, GoldLine
from tools.demo_models.evaluation.judge import Judge, numbers
from tools.demo_models.evaluation.score import NoteScore

LINES = (
    "Refere dor no joelho direito há 3 dias.",
    "Nega febre ou tosse.",
    "Prescrevo losartana 50 mg de 12 em 12 horas.",
    "Pressão arterial cento e trinta por oitenta.",
    "Tem vômitos?",
)
SAID = (
    ("S", "Refere dor no joelho direito há 3 dias.", 1),
    ("S", "Nega febre ou tosse.", 2),
    ("O", "PA 130/80 mmHg.", 4),
    ("P", "Iniciar losartana 50 mg 12/12h.", 3),
)
FACTS = (
    DraftFact("symptom", "dor no joelho", "3 dias", False, "direito", (1,)),
    DraftFact("symptom", "febre", None, True, None, (2,)),
    DraftFact("symptom", "tosse", None, True, None, (2,)),
    DraftFact("medication", "losartana", "50 mg 12/12h", False, None, (3,)),
    DraftFact("vital", "pressão arterial", "130/80", False, None, (4,)),
)
SECTIONS = tuple(
    DraftSection(code, tuple(DraftSentence(text, (line,)) for where, text, line in SAID if where == code))
    for code in ("S", "O", "A", "P")
)
GOLD = Gold(FORMAT, tuple(GoldLine(n, text) for n, text in enumerate(LINES, 1)), Draft(SECTIONS, FACTS))
JUDGE = Judge(GOLD)
FINE, MARKED = Verdict(supported=True), Verdict(supported=False)


@pytest.mark.parametrize(("_code", "text", "line"), SAID)
def test_gold_sentences_are_right_and_so_is_the_speech_itself(_code: str, text: str, line: int) -> None:
    assert JUDGE.sentence(text, [line]) == set()
    assert JUDGE.sentence(LINES[line - 1], [line]) == set()


@pytest.mark.parametrize(
    ("text", "cited", "wrong"),
    [
        ("Refere dor no ombro direito há 3 dias.", [1], {"word"}),
        ("Refere dor no joelho direito há 30 dias.", [1], {"number"}),
        ("Refere febre ou tosse.", [2], {"negation"}),
        ("Iniciar losartana 500 mg 12/12h.", [3], {"number"}),
        ("Iniciar lisinopril 50 mg 12/12h.", [3], {"drug"}),
        ("Nega febre ou tosse.", [1], {"word", "negation"}),
        ("PA 130/90 mmHg.", [4], {"number"}),
        ("Nega febre.", [], {"segment"}),
        ("Nega febre.", [9], {"segment"}),
    ],
)
def test_a_wrong_sentence_is_named(text: str, cited: list[int], wrong: set[str]) -> None:
    assert JUDGE.sentence(text, cited) == wrong


def judge_of(line: str, *facts: DraftFact) -> Judge:
    return Judge(Gold(FORMAT, (GoldLine(1, line),), Draft(SECTIONS[:1], facts)))


def test_another_form_of_a_word_is_no_invention_and_another_word_is() -> None:
    judge = judge_of("Retorno em 9 dias.")
    assert judge.sentence("Retornar em 9 dias.", [1]) == set()
    assert judge.sentence("Retornar em 9 semanas.", [1]) == {"word"}
    assert judge.sentence("Internar em 9 dias.", [1]) == {"word"}
    denial = judge_of("Sem sinais de miastenia gravis no momento.")
    assert denial.sentence("Nega miastenia gravis no momento.", [1]) == set()
    assert denial.sentence("Miastenia gravis no momento.", [1]) == {"negation"}


def test_a_fact_that_quotes_too_much_is_no_invention_but_a_figure_taken_from_the_neighbour_is() -> None:
    rate = DraftFact("vital", "frequência cardíaca", "120", False, None, (1,))
    judge = judge_of("Frequência cardíaca cento e vinte e saturação noventa e dois por cento.", rate)
    quoted = "cento e vinte e saturação noventa e dois por cento"
    assert judge.fact(fact("vital", "frequência cardíaca", quoted), [1]) == set()
    assert judge.fact(fact("vital", "frequência cardíaca", "noventa e dois por cento"), [1]) == {"number"}
    drug = judge_of("Usa digoxina zero vírgula vinte e cinco mg uma vez ao dia.", rate)
    assert drug.fact(fact("medication", "digoxina zero vírgula vinte e cinco mg 24/24h"), [1]) == set()
    assert drug.fact(fact("medication", "digitoxina zero vírgula vinte e cinco mg 24/24h"), [1]) == {"drug"}


def test_the_side_of_the_neighbour_is_wrong() -> None:
    knee = DraftFact("symptom", "dor no joelho", None, False, "esquerdo", (1,))
    hip = DraftFact("symptom", "dor no quadril", None, False, "direito", (1,))
    judge = judge_of("Refere também dor no joelho esquerdo e dor no quadril direito.", knee, hip)
    assert judge.fact(fact("symptom", "dor no joelho", side="esquerdo"), [1]) == set()
    assert judge.fact(fact("symptom", "dor no joelho", side="direito"), [1]) == {"laterality"}


def fact(kind: str, name: str, value: str | None = None, *, negated: bool = False, side: str | None = None) -> Fact:
    return Fact(kind, name, value, negated, side, (1,), FINE)


@pytest.mark.parametrize(
    ("written", "cited", "wrong"),
    [
        (fact("symptom", "dor no joelho", "3 dias", side="direito"), 1, set()),
        (fact("symptom", "dor no joelho", "3 dias", side="esquerdo"), 1, {"laterality"}),
        (fact("symptom", "dor no joelho", "30 dias", side="direito"), 1, {"number"}),
        (fact("symptom", "dor no ombro", "3 dias", side="direito"), 1, {"name"}),
        (fact("symptom", "dor no joelho", "forte", side="direito"), 1, {"value"}),
        (fact("symptom", "febre"), 2, {"negation"}),
        (fact("medication", "lisinopril", "50 mg 12/12h"), 3, {"drug"}),
        (fact("medication", "losartana", "12 mg 50/50h"), 3, {"number"}),
        (fact("history", "febre", negated=True), 2, {"kind"}),
        (fact("symptom", "vômitos"), 5, {"nothing_said"}),
        (fact("symptom", "vômitos"), 7, {"segment"}),
    ],
)
def test_facts_are_judged_by_the_lines_they_cite(written: Fact, cited: int, wrong: set[str]) -> None:
    assert JUDGE.fact(written, [cited]) == wrong


def test_number_words_are_numbers_and_names_with_digits_are_none() -> None:
    assert numbers("Pressão cento e trinta por oitenta, SatO2 93%, diabetes tipo 2") == ["130", "80", "93"]
    assert numbers("38,5 graus e um dia") == ["38.5", "1"]
    assert numbers("pressão de cento e noventa por cento e dez") == ["190", "110"]
    assert numbers("saturação de noventa e oito por cento e febre") == ["98"]


def content(sentences: list[Sentence], facts: list[Fact]) -> Content:
    return Content((Section("S", tuple(sentences)),), tuple(facts), None, "0" * 64)


def perfect(verdict: Verdict = FINE) -> Content:
    sentences = [Sentence(f"s{line}", text, (line,), "ai", verdict) for _, text, line in SAID]
    facts = [Fact(f.kind, f.name, f.value, f.negated, f.laterality, f.segments, verdict) for f in FACTS]
    return content(sentences, facts)


def test_a_perfect_note_scores_one_and_nothing_wrong() -> None:
    score = NoteScore()
    score.add(GOLD, perfect())
    assert (score.precision, score.recall, score.f1) == (1.0, 1.0, 1.0)
    assert score.rate("links_right", "links") == 1.0
    wrong = (
        "facts_invented",
        "sentences_unsupported",
        "drugs_wrong",
        "numbers_wrong",
        "facts_omitted",
        "lines_omitted",
    )
    assert not any(score.counts[name] for name in wrong)
    assert score.counts["drugs_copied"] == 2  # in a sentence and in a fact
    assert score.examples == []


def test_an_empty_note_has_no_precision_and_omits_everything() -> None:
    score = NoteScore()
    score.add(GOLD, content([], []))
    assert (score.precision, score.recall, score.f1) == (0.0, 0.0, 0.0)
    assert score.counts["facts_omitted"] == len(FACTS)


def test_what_is_wrong_counts_only_while_it_stands_unmarked() -> None:
    invented = fact("medication", "lisinopril", "50 mg 12/12h")
    said = Sentence("s1", "Iniciar lisinopril 50 mg 12/12h.", (3,), "ai", FINE)
    placed = Fact(invented.kind, invented.name, invented.value, False, None, (3,), FINE)
    standing, marked = NoteScore(), NoteScore()
    standing.add(GOLD, content([said], [placed]))
    hidden = Sentence("s1", said.text, (3,), "ai", MARKED)
    marked.add(GOLD, content([hidden], [Fact(placed.kind, placed.name, placed.value, False, None, (3,), MARKED)]))
    assert (standing.counts["facts_invented"], standing.counts["sentences_unsupported"]) == (1, 1)
    assert (standing.counts["drugs_wrong"], standing.rate("drugs_wrong", "drugs_copied")) == (2, 1.0)
    assert (marked.counts["facts_invented"], marked.counts["sentences_unsupported"]) == (0, 0)
    assert (marked.counts["facts_marked"], marked.counts["sentences_marked"]) == (1, 1)
    assert len(standing.examples) == 2


def test_a_contradiction_is_told_apart_from_an_omission() -> None:
    score = NoteScore()
    score.add(GOLD, content([], [Fact("symptom", "febre", None, False, None, (2,), MARKED)]))
    assert (score.counts["facts_contradicted"], score.counts["facts_omitted"]) == (1, len(FACTS) - 1)


def test_heard_segments_are_placed_on_the_lines_that_were_said() -> None:
    score = NoteScore()
    shifted = content([Sentence("s1", SAID[0][1], (4,), "ai", FINE)], [])
    score.add(GOLD, shifted, {4: [1]})
    assert (score.counts["links"], score.counts["links_right"], score.counts["sentences_unsupported"]) == (1, 1, 0)
