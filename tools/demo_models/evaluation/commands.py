"""Verbs: gold, load, samples, eval-notes."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

_BAR = 40
_SEED = "gold"


def register(verbs: Any) -> None:
    """Add this package's verbs to the tool's sub-parsers."""
    gold = verbs.add_parser("gold", help="write gold transcript/note pairs of held-out consults")
    _where(gold, 100)
    gold.set_defaults(run=_gold)
    load = verbs.add_parser("load", help="write spoken held-out consults with their gold files, for benches and soaks")
    _where(load, 200)
    load.set_defaults(run=_load)
    samples = verbs.add_parser("samples", help="write the product's two sample consults again")
    samples.add_argument(
        "--seek", type=int, metavar="N", help="only look which of the first N candidates come through whole"
    )
    samples.set_defaults(run=_samples)
    notes = verbs.add_parser("eval-notes", help="score a folder of gold pairs through a chat model")
    notes.add_argument("folder", type=Path)
    notes.add_argument("--home", type=Path, help="the node whose chat model is used; without it, the demonstration")
    notes.set_defaults(run=_eval_notes)


def progress(name: str) -> Any:
    """A function of (done, of) that draws one moving line on a terminal."""

    def draw(done: int, of: int) -> None:
        if sys.stderr.isatty():
            filled = "█" * (_BAR * done // max(1, of))
            print(
                f"\r{name} {filled:░<{_BAR}} {done}/{of}", end="\n" if done == of else "", file=sys.stderr, flush=True
            )

    return draw


def _where(parser: argparse.ArgumentParser, count: int) -> None:
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", default=_SEED, help="another seed gives other consults")


def _gold(asked: argparse.Namespace) -> int:
    from tools.demo_models.evaluation.load import write_pairs

    new = write_pairs(asked.out, asked.count, asked.seed, progress("gold"))
    print(f"{asked.out}: {asked.count} pairs, {new} of them new")
    return 0


def _load(asked: argparse.Namespace) -> int:
    from tools.demo_models.evaluation.load import write_load

    new = write_load(asked.out, asked.count, asked.seed, progress("load"))
    print(f"{asked.out}: {asked.count} consults, {new} of them new")
    return 0


def _samples(asked: argparse.Namespace) -> int:
    from tools.demo_models.evaluation import samples

    if asked.seek is None:
        for gold in samples.write_samples():
            print(f"{gold.made['seed']}: {len(gold.transcript)} sentences, {gold.transcript[-1].end:.0f} s")
        return 0
    for sample in samples.SAMPLES:
        found = asyncio.run(samples.seek(2, sample, asked.seek, print))
        print(f"{sample.name}: {', '.join(f'{seed} (candidate {place})' for seed, place in found) or 'none'}")
    return 0


def _eval_notes(asked: argparse.Namespace) -> int:
    from appliance.daemon.demo.gold import GoldError
    from tools.demo_models.evaluation import notes_report
    from tools.demo_models.evaluation.engines import chat_model

    async def run() -> int:
        golds = notes_report.read_folder(asked.folder)
        async with chat_model(asked.home) as model:
            result = await notes_report.evaluate(golds, model, progress("notes"))
            report = notes_report.as_report(*result)  # while the engine runs: only then it knows its weights' hash
        for what, value, unit in notes_report.rows(*result):
            print(f"{what:58} {value:10.2f} {unit}")
        print(json.dumps(report, ensure_ascii=False))
        return 0

    try:
        return asyncio.run(run())
    except GoldError as error:
        print(error, file=sys.stderr)
        return 2
