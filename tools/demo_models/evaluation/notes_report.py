"""Scores a folder of gold files through a chat model and the product's own drafting and guard: ``make eval-notes``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.daemon.demo.gold import SUFFIX, Gold, GoldError, read_gold
from appliance.plugin_api.capabilities import ChatModel
from tools.demo_models.evaluation.drafts import Watched, draft_all
from tools.demo_models.evaluation.score import NoteScore

Row = tuple[str, float, str]
"""(what, value, unit)."""


def read_folder(folder: Path) -> list[Gold]:
    """Every gold file of a folder, by name.

    Raises:
        GoldError: there is none, or one is not right.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise GoldError(f"{folder} holds no file that ends in {SUFFIX}")
    return [read_gold(path) for path in paths]


async def evaluate(
    golds: list[Gold], model: ChatModel, progress: Callable[[int, int], None]
) -> tuple[NoteScore, Watched, float]:
    """Draft a note of each transcript and score it: (score, account of the answers, seconds)."""
    watched, score = Watched(model), NoteScore()
    drafted = await draft_all([gold.segments() for gold in golds], watched, progress)
    for gold, note in zip(golds, drafted.notes, strict=True):
        score.add(gold, note)
    return score, watched, drafted.seconds


def rows(score: NoteScore, watched: Watched, seconds: float) -> list[Row]:
    """What ``make eval-notes`` prints. Rates are percent."""
    count = score.counts
    return [
        ("notes", count["notes"], ""),
        ("answers that are valid JSON", 100 * watched.valid_json / max(1, watched.answers), "%"),
        ("notes that fell back to the transcript, in part or whole", count["refused"], ""),
        ("facts: precision", 100 * score.precision, "%"),
        ("facts: recall", 100 * score.recall, "%"),
        ("facts: F1", 100 * score.f1, "%"),
        ("facts omitted", 100 * score.rate("facts_omitted", "facts_expected"), "%"),
        ("facts contradicted", 100 * score.rate("facts_contradicted", "facts_expected"), "%"),
        ("facts marked by the guard", 100 * score.rate("facts_marked", "facts_written"), "%"),
        ("facts invented that stand unmarked", count["facts_invented"], ""),
        ("citations right", 100 * score.rate("links_right", "links"), "%"),
        ("lines with facts that no sentence cites", 100 * score.rate("lines_omitted", "lines_with_facts"), "%"),
        ("sentences marked by the guard", 100 * score.rate("sentences_marked", "sentences"), "%"),
        ("sentences unsupported that stand unmarked", count["sentences_unsupported"], ""),
        ("drugs wrong, of those that stand", 100 * score.rate("drugs_wrong", "drugs_copied"), "%"),
        ("numbers wrong, of those that stand", 100 * score.rate("numbers_wrong", "numbers_copied"), "%"),
        ("tokens a second", watched.tokens / max(seconds, 1e-9), "1/s"),
    ]


def as_report(score: NoteScore, watched: Watched, seconds: float) -> dict[str, Any]:
    """The JSON line: the rows, the model, and examples of what stands and should not."""
    model = watched.model()
    return {
        "name": "eval-notes",
        "model": model.id,
        "sha256": model.sha256,
        "demonstration_model": model.demonstration,
        "rows": [
            {"what": what, "value": round(value, 4), "unit": unit}
            for what, value, unit in rows(score, watched, seconds)
        ],
        "examples": score.examples,
    }
