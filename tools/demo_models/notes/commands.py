"""The verbs of the notes model, and ``consults``, which shows what the grammar says."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any, Final

PACK: Final = Path(__file__).resolve().parents[3] / "plugins" / "medgemma_chat" / "demonstration"


def register(verbs: Any) -> None:
    """Add this package's verbs; each sets ``run``, a function of the arguments that gives the exit status."""
    shown = verbs.add_parser("consults", help="print consults of the grammar with their sections and facts")
    shown.add_argument("--count", type=int, default=1)
    shown.add_argument("--seed", type=int, default=0)
    shown.add_argument("--split", choices=("train", "held_out"), default="train")
    shown.set_defaults(run=_consults)
    train = verbs.add_parser("train-notes", help="train the notes model (resumable)")
    _trained(train)
    train.add_argument("--threads", type=int, default=1)
    train.add_argument("--stop-at", type=int, help="stop after this step; the same command goes on from there")
    train.set_defaults(run=_train)
    export = verbs.add_parser("export-notes", help="write the trained model for mlx-lm")
    _trained(export)
    export.add_argument("--out", type=Path, default=PACK)
    export.add_argument("--bits", type=int, default=8, choices=(4, 8))
    export.set_defaults(run=_export)
    evaluate = verbs.add_parser("evaluate-notes", help="score a notes model by itself, without the guard")
    evaluate.add_argument("--model", type=Path, default=PACK)
    evaluate.add_argument("--count", type=int, default=60, help="consults of each set")
    evaluate.add_argument("--sets", nargs="+", help="of the sets that the module names; all when left out")
    evaluate.set_defaults(run=_evaluate)
    smoke = verbs.add_parser("smoke-notes", help="train for under a minute and compare with the recorded curve")
    smoke.add_argument("--work", type=Path, required=True, help="an empty folder")
    smoke.add_argument("--record", action="store_true", help="make this curve the recorded one")
    smoke.set_defaults(run=_smoke)


def _trained(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="where checkpoints and curves lie")
    parser.add_argument("--preset", choices=("full", "ten-minutes"), default="full")


def _folder(asked: argparse.Namespace) -> Path:
    return Path(asked.work) / f"notes-{asked.preset}"


def _consults(asked: argparse.Namespace) -> int:
    from tools.demo_models.grammar import consult, distinct_sentences

    rng = random.Random(asked.seed)
    for _ in range(asked.count):
        for said in consult(rng, asked.split).sentences:
            facts = "; ".join(
                f"{'não ' * fact.negated}{fact.kind} {fact.name} {fact.value or ''}" for fact in said.facts
            )
            print(f"[{said.section}] {said.text}\n      {facts}")
        print()
    print(f"at least {distinct_sentences():,} distinct sentences", file=sys.stderr)
    return 0


def _train(asked: argparse.Namespace) -> int:
    from tools.demo_models.notes.presets import STEPS, figures
    from tools.demo_models.notes.train import Plan, train

    print(json.dumps({"predicted": figures(asked.preset)}, ensure_ascii=False), file=sys.stderr)
    train(Plan(_folder(asked), STEPS[asked.preset], threads=asked.threads, stop_at=asked.stop_at))
    return 0


def _export(asked: argparse.Namespace) -> int:
    from tools.demo_models.notes.export import export

    made = export(_folder(asked), asked.out, asked.bits)
    print(
        f"{asked.out}: {made.bytes / 1e6:.1f} MB; fp32 logits differ from PyTorch's by {made.difference:.1e} at most, "
        f"the same choice in {made.same_choice:.2%}"
    )
    return 0


def _evaluate(asked: argparse.Namespace) -> int:
    from appliance.plugin_api.blas import load_openblas

    load_openblas()
    from tools.demo_models.notes.evaluate import SETS, evaluate_chat, evaluate_notes
    from tools.demo_models.notes.writer import Writer

    writer, report = Writer(asked.model), {}
    for name in asked.sets or SETS:
        score = evaluate_notes(writer, name, asked.count, _bar(name, asked.count))
        report[name] = score.rates()
        print(f"{name}: {report[name]}")
        for example in score.examples:
            print(f"    not in the gold note: {example}")
    exact, wrong = evaluate_chat(writer, asked.count, _bar("chat", asked.count))
    print(f"chat: {exact:.4f}")
    for line in wrong[:10]:
        print(f"    {line}")
    print(json.dumps(report | {"chat": {"exact": round(exact, 4)}}, ensure_ascii=False))
    return 0


def _bar(title: str, total: int) -> Any:
    from tools.demo_models.speech.progress import Bar

    return Bar(title, total).show


def _smoke(asked: argparse.Namespace) -> int:
    from tools.demo_models.notes.presets import EXPECTED
    from tools.demo_models.notes.smoke import differences, recorded, smoke

    points = smoke(asked.work)
    if asked.record:
        lines = [json.dumps(point | {"seconds": 0}) for point in points]
        (EXPECTED / "smoke.curve.jsonl").write_text("\n".join(lines) + "\n")
    found = differences(points, recorded())
    for sentence in found:
        print(sentence, file=sys.stderr)
    print(json.dumps({"smoke-notes": points[-1], "as_recorded": not found}))
    return 1 if found else 0
